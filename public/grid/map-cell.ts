import type OlMap from 'ol/Map.js'
import type { ChannelGroup } from '../../src/render/channel-groups.js'
import { make } from '../parts/make.js'
import type { Camera } from '../picture/camera.js'
import { CanvasPictureLayer, CanvasPictureSource } from '../picture/canvas-picture.js'
import { Gestures } from '../picture/gestures.js'
import type { Slice } from '../picture/look.js'
import type { PictureColours } from '../picture/picture-layer.js'
import { drawView, stageMap } from '../picture/stage-map.js'
import type { View } from '../picture/view-frame.js'
import type { PlaneSelection, PointUm } from '../server/pyramid-api.js'
import type { TileStore } from '../tiles/tile-store.js'
import { sampleAt } from '../tiles/view-samples.js'
import type { CellStyle } from './cell-style.js'

export interface MapCellListener {
  /** The pointer is at a place of the stage; nowhere once it left. */
  pointed(stage: PointUm | undefined): void
  /** `isDrawn` may have changed. */
  drawn(): void
  /** The contrast of this map is to be set. */
  styleAsked(cell: MapCell): void
}

/** One map of a grid: a channel, or the three of a photo, under its title, the view of all others, and the value under the linked crosshair. */
export class MapCell {
  readonly element: HTMLElement
  readonly channels: readonly number[]
  readonly title: string
  /** Where its contrast is set. */
  readonly styleButton: HTMLButtonElement
  readonly #picture: HTMLElement
  readonly #crosshair: HTMLElement
  readonly #value: HTMLElement
  readonly #map: OlMap
  readonly #store: TileStore
  readonly #camera: Camera
  readonly #listener: MapCellListener
  #source: CanvasPictureSource | undefined
  #slice: Slice
  #styles: readonly CellStyle[] = []
  /** Whether it lies in the window: others are not drawn. */
  #isSeen = false
  #isDrawn = false

  constructor(store: TileStore, group: ChannelGroup, slice: Slice, camera: Camera, listener: MapCellListener) {
    const { title, channels } = group
    this.channels = channels
    this.title = title
    this.#store = store
    this.#camera = camera
    this.#listener = listener
    this.#slice = slice
    this.#crosshair = make('div', { class: 'crosshair', hidden: '' })
    this.#picture = make('div', { class: 'cell-picture' }, this.#crosshair)
    this.#value = make('output', { class: 'cell-value' })
    this.styleButton = make('button', {
      type: 'button',
      class: 'cell-style',
      title: `Contrast of ${title}`,
      text: title,
    })
    this.styleButton.setAttribute('aria-label', `${title}: contrast`)
    // A photo is shown as it is.
    this.styleButton.disabled = channels.length > 1
    this.styleButton.addEventListener('click', () => listener.styleAsked(this))
    const bar = make('figcaption', {}, this.styleButton, this.#value)
    this.element = make('figure', { class: 'cell' }, bar, this.#picture)
    this.#map = stageMap(this.#picture)
    new Gestures(this.#picture, camera, {
      pointed: event => listener.pointed(event?.stage),
      clicked: ({ stage }) => listener.pointed(stage),
      held: ({ stage }) => listener.pointed(stage),
      menu: () => undefined,
    })
  }

  /** Of its picture, px. */
  get size(): { readonly width: number; readonly height: number } {
    return { width: this.#picture.clientWidth, height: this.#picture.clientHeight }
  }

  /** What is drawn of the stage. */
  get shown(): Pick<View, 'centerUm' | 'umPerPx'> {
    const view = this.#map.getView()
    const [x = 0, y = 0] = view.getCenter() ?? []
    return { centerUm: { x, y: -y }, umPerPx: view.getResolution() ?? 0 }
  }

  /** Of each of its channels; none before they are known. */
  get styles(): readonly CellStyle[] {
    return this.#styles
  }

  get isDrawn(): boolean {
    return this.#isDrawn || !this.#isSeen
  }

  get planes(): PlaneSelection[] {
    return this.channels.map(channel => ({ ...this.#slice, channel }))
  }

  /** Whether it lies in the window. */
  set isSeen(seen: boolean) {
    if (seen === this.#isSeen) return
    this.#isSeen = seen
    this.#listener.drawn()
    this.follow()
  }

  /** Draw the map from now on in these styles, one for each of its channels. */
  show(styles: readonly CellStyle[], colours: PictureColours): void {
    const shown = this.channels.map((channel, i) => ({ channel, contrast: styles[i] as CellStyle }))
    const look = { channels: shown, smooth: false }
    this.#styles = styles
    if (this.#source) {
      this.#source.setLook(look)
      this.#source.setColours(colours)
      return
    }
    this.#source = new CanvasPictureSource(this.#store, this.planes, look, colours)
    this.#map.addLayer(new CanvasPictureLayer({ source: this.#source }))
    this.#map.on('rendercomplete', () => {
      this.#isDrawn = true
      this.#listener.drawn()
    })
    this.follow()
  }

  setSlice(slice: Slice): void {
    this.#slice = slice
    this.#source?.select(this.planes)
  }

  /** Draw what the camera sees now. */
  follow(): void {
    if (!this.#isSeen) return
    this.#isDrawn = false
    this.#listener.drawn()
    drawView(this.#map, this.#camera.frame)
  }

  resize(): void {
    this.#map.updateSize()
  }

  /** Put the crosshair to a place of the stage; `pixel` is the same in level-0 px. */
  point(stage: PointUm | undefined, pixel: PointUm | undefined, text: (value: number) => string): void {
    this.#crosshair.hidden = stage === undefined
    this.#value.textContent = ''
    if (!stage || !pixel) return
    const { left, top } = this.#camera.frame.toScreen(stage)
    this.#crosshair.style.setProperty('--left', `${left}px`)
    this.#crosshair.style.setProperty('--top', `${top}px`)
    const values = this.planes.map(plane => {
      const sample = sampleAt(this.#store, plane, 0, pixel)
      return typeof sample === 'object' ? text(sample.value) : sample === 'unknown' ? '…' : '–'
    })
    this.#value.textContent = values.join(' · ')
  }
}
