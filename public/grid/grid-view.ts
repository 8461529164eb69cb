import { SAMPLE_TYPES } from '../../src/plane.js'
import { groupsOf } from '../../src/render/channel-groups.js'
import { formatSample, sampleUnit } from '../parts/number-format.js'
import { Camera } from '../picture/camera.js'
import type { Slice } from '../picture/look.js'
import type { PictureColours } from '../picture/picture-layer.js'
import { pixelOfStage } from '../picture/stage-geometry.js'
import type { View } from '../picture/view-frame.js'
import { areaOf, limitsOf } from '../picture/view-limits.js'
import type { PointUm } from '../server/pyramid-api.js'
import type { TileStore } from '../tiles/tile-store.js'
import type { CellStyle } from './cell-style.js'
import { columnsFor } from './grid-columns.js'
import { MapCell } from './map-cell.js'

export interface GridViewListener {
  moved(umPerPx: number): void
  pointed(stage: PointUm | undefined): void
  styleAsked(cell: MapCell): void
  /** `isDrawn` may have changed. */
  drawn(): void
}

const NO_INSETS = { top: 6, right: 6, bottom: 6, left: 6 }
/** How long the pointer rests before tiles are asked for that its values come from. */
const READ_AFTER_MS = 80

/** Maps side by side that share one view and one crosshair. */
export class GridView {
  readonly cells: readonly MapCell[]
  readonly #root: HTMLElement
  readonly #store: TileStore
  readonly #listener: GridViewListener
  readonly #camera: Camera
  readonly #visibility: IntersectionObserver
  #pointer: PointUm | undefined
  #readTimer: number | undefined
  #isFitted = false

  constructor(root: HTMLElement, store: TileStore, slice: Slice, listener: GridViewListener) {
    this.#root = root
    this.#store = store
    this.#listener = listener
    this.#camera = new Camera(() => this.#follow())
    this.cells = groupsOf(store.pyramid.channels).map(
      group =>
        new MapCell(store, group, slice, this.#camera, {
          pointed: stage => this.point(stage),
          styleAsked: cell => listener.styleAsked(cell),
          drawn: () => listener.drawn(),
        }),
    )
    root.replaceChildren(...this.cells.map(({ element }) => element))
    this.#visibility = new IntersectionObserver(entries => {
      for (const { target, isIntersecting } of entries) {
        const cell = this.cells.find(({ element }) => element === target)
        if (cell) cell.isSeen = isIntersecting
      }
    })
    for (const { element } of this.cells) this.#visibility.observe(element)
    new ResizeObserver(() => this.#layOut()).observe(root)
    this.#layOut()
  }

  get isDrawn(): boolean {
    return this.cells.every(({ isDrawn }) => isDrawn)
  }

  /** What each map shows. */
  views(): readonly Pick<View, 'centerUm' | 'umPerPx'>[] {
    return this.cells.map(({ shown }) => shown)
  }

  /** Where the crosshair is, level-0 px. */
  get pixel(): PointUm | undefined {
    return this.#pointer && pixelOfStage(this.#store.pyramid, this.#pointer)
  }

  get view(): View {
    return this.#camera.view
  }

  /** Draw all maps. @param styles of all channels, in their order. */
  show(styles: readonly CellStyle[], colours: PictureColours): void {
    for (const cell of this.cells)
      cell.show(
        cell.channels.map(channel => styles[channel] as CellStyle),
        colours,
      )
  }

  setSlice(slice: Slice): void {
    for (const cell of this.cells) cell.setSlice(slice)
    this.point(this.#pointer)
  }

  /** All of every map. */
  fit(atOnce = false): void {
    const view = this.#camera.fitting(areaOf(this.#store.pyramid), NO_INSETS)
    if (atOnce) this.#camera.view = view
    else this.#camera.flyTo(view)
  }

  zoomBy(factor: number): void {
    this.#camera.zoomBy(factor)
  }

  /** Pan by shares of a map. */
  panBy(x: number, y: number): void {
    const { frame } = this.#camera
    const { left, top } = frame.middle
    const stage = frame.toStage({ left: left + x * frame.width, top: top + y * frame.height })
    this.#camera.view = this.#camera.placing(stage, frame.middle)
  }

  /** Put the crosshair of all maps to a place of the stage. */
  point(stage: PointUm | undefined): void {
    this.#pointer = stage
    const { pyramid } = this.#store
    const { integer } = SAMPLE_TYPES[pyramid.sampleType]
    const pixel = stage && pixelOfStage(pyramid, stage)
    for (const cell of this.cells) {
      const { unit } = pyramid.channels[cell.channels[0] ?? 0] ?? {}
      cell.point(stage, pixel, value => `${formatSample(value, integer)}${sampleUnit(unit, integer)}`)
    }
    this.#listener.pointed(stage)
    clearTimeout(this.#readTimer)
    if (pixel) this.#readTimer = window.setTimeout(() => void this.#read(pixel), READ_AFTER_MS)
  }

  /** Read the samples of full resolution under the crosshair. */
  async #read({ x, y }: PointUm): Promise<void> {
    const { tileSize } = this.#store.pyramid
    const address = { level: 0, column: Math.floor(x / tileSize), row: Math.floor(y / tileSize) }
    const missing = this.cells
      .flatMap(({ planes }) => planes)
      .filter(plane => this.#store.has(plane, address) && !this.#store.peek(plane, address))
    if (missing.length === 0) return
    await Promise.allSettled(missing.map(plane => this.#store.load(plane, address)))
    this.point(this.#pointer)
  }

  #follow(): void {
    for (const cell of this.cells) cell.follow()
    if (this.#pointer) this.point(this.#pointer)
    this.#listener.moved(this.#camera.view.umPerPx)
  }

  /** The columns in which maps are largest; the centre stays. */
  #layOut(): void {
    const { clientWidth, clientHeight } = this.#root
    const { x0, y0, x1, y1 } = areaOf(this.#store.pyramid)
    const columns = columnsFor(this.cells.length, (x1 - x0) / (y1 - y0), clientWidth, clientHeight)
    this.#root.style.setProperty('--columns', `${columns}`)
    for (const cell of this.cells) cell.resize()
    const [first] = this.cells
    if (!first) return
    const { width, height } = first.size
    const before = this.#camera.frame
    this.#camera.resize(width, height)
    this.#camera.limit(limitsOf(this.#store.pyramid, { width, height }), true)
    if (!this.#isFitted) this.fit(true)
    // What was seen of a map is seen still, larger or smaller.
    else if (before.width > 1) {
      const umPerPx = (this.#camera.view.umPerPx * before.width) / width
      this.#camera.view = { ...this.#camera.view, umPerPx }
    }
    this.#isFitted = true
  }
}
