import type OlMap from 'ol/Map.js'
import type { Rect } from '../../src/plane.js'
import type { PlaneSelection, PointUm } from '../server/pyramid-api.js'
import type { TileStore } from '../tiles/tile-store.js'
import { Camera, type Insets } from './camera.js'
import { CanvasPictureLayer, CanvasPictureSource } from './canvas-picture.js'
import { type GestureListener, Gestures, type HandleHit, type PictureTool } from './gestures.js'
import { type Look, planesOf, type Slice } from './look.js'
import { type PictureColours, PictureLayer } from './picture-layer.js'
import { PyramidSource } from './pyramid-source.js'
import { pixelOfStage, stageRect } from './stage-geometry.js'
import { drawView, stageMap } from './stage-map.js'
import { texelKind } from './tile-texels.js'
import type { View, ViewFrame } from './view-frame.js'
import { limitsOf } from './view-limits.js'

export interface PictureListener extends GestureListener {
  /** The view changed, or a frame was drawn. */
  drawn(): void
  /** The view begins to move. */
  moving(): void
  /** Movement ended and every tile in view is drawn. */
  settled(): void
  /** Tiles of the present burst that are there, and that were asked for. */
  loading(loaded: number, wanted: number): void
}

const FADE_MS = 80

const calm = matchMedia('(prefers-reduced-motion: reduce)')

/** The map: one pyramid's samples in stage coordinates, and the view on them. */
export class Picture {
  readonly #map: OlMap
  readonly #target: HTMLElement
  readonly #camera = new Camera(() => this.#follow())
  readonly #gestures: Gestures
  readonly #listener: PictureListener
  readonly #insets: () => Insets
  #store: TileStore | undefined
  #look: Look = { channels: [], marksClipped: false, smooth: false }
  #slice: Slice = { zPlane: 0, timePoint: 0 }
  #source: PyramidSource | CanvasPictureSource | undefined
  #layer: PictureLayer | CanvasPictureLayer | undefined
  /** What was shown before, kept until the new layer is complete. */
  #outgoing: PictureLayer | CanvasPictureLayer | undefined
  #wanted = 0
  #loaded = 0
  #hiddenPx = 0
  /** Calls of `#prepare` under way: what is wanted is not drawn before they end. */
  #preparing = 0

  constructor(target: HTMLElement, insets: () => Insets, listener: PictureListener) {
    this.#target = target
    this.#listener = listener
    this.#insets = insets
    this.#map = stageMap(target)
    this.#map.on('postrender', () => listener.drawn())
    this.#map.on('movestart', () => listener.moving())
    this.#map.on('rendercomplete', () => {
      this.#retireOutgoing()
      if (!this.#camera.isFlying && this.#preparing === 0) listener.settled()
    })
    this.#gestures = new Gestures(target, this.#camera, listener)
    this.resize()
  }

  /** Whether pictures are drawn with WebGL: contrast is then shown at once. */
  static readonly hasWebGl = document.createElement('canvas').getContext('webgl') !== null

  /**
   * Draw another pyramid, or another version of the same.
   *
   * @param keepView leave centre and µm per px as they are; the old picture stays until the new one is complete.
   * @returns once its tiles are asked for. @throws what `TileStore.prepare` throws: the planes that are known are drawn.
   */
  async show(store: TileStore, slice: Slice, look: Look, colours: PictureColours, keepView: boolean): Promise<void> {
    this.#retireOutgoing()
    this.#store = store
    this.#look = look
    this.#slice = slice
    this.#source = undefined
    if (!keepView) this.#removeLayer()
    this.#limitView(keepView)
    try {
      await this.#prepare(store)
    } finally {
      if (store === this.#store) this.#addLayer(store, colours)
    }
  }

  #addLayer(store: TileStore, colours: PictureColours): void {
    const previous = this.#layer
    const draw = Picture.hasWebGl ? withWebGl : withCanvas
    const { source, layer } = draw(store, planesOf(this.#look, this.#slice), this.#look, colours)
    source.on('tileloadstart', () => this.#count(1, 0))
    source.on(['tileloadend', 'tileloaderror'], () => this.#count(0, 1))
    this.#source = source
    this.#layer = layer
    this.#map.addLayer(layer)
    if (previous) {
      layer.setOpacity(0)
      this.#outgoing = previous
    }
  }

  /** Show nothing. */
  clear(): void {
    this.#retireOutgoing()
    this.#removeLayer()
    this.#source = undefined
    this.#store = undefined
  }

  /**
   * Other contrast and colours are drawn at once; other channels when their tiles are there.
   *
   * @returns once their tiles are asked for. @throws what `TileStore.prepare` throws: what is drawn stays.
   */
  async setLook(look: Look): Promise<void> {
    this.#look = look
    this.#layer?.setLook(look)
    await this.#select()
  }

  /** The page has other colours. */
  setColours(colours: PictureColours): void {
    this.#layer?.setColours(colours)
  }

  /** As `setLook`: what is drawn stays until the tiles of the slice are there. */
  async setSlice(slice: Slice): Promise<void> {
    this.#slice = slice
    await this.#select()
  }

  async #select(): Promise<void> {
    const store = this.#store
    if (!store) return
    await this.#prepare(store)
    if (store === this.#store) this.#source?.select(planesOf(this.#look, this.#slice))
    this.#map.render()
  }

  /** Learn which tiles there are of what is to be shown, which may change meanwhile. */
  async #prepare(store: TileStore): Promise<void> {
    const wanted = (): PlaneSelection[] => planesOf(this.#look, this.#slice)
    this.#preparing++
    try {
      for (let planes: PlaneSelection[] = []; store === this.#store && !isSame(planes, wanted()); ) {
        planes = wanted()
        await Promise.all(planes.map(plane => store.prepare(plane)))
      }
    } finally {
      this.#preparing--
    }
  }

  /** @returns once everything that is asked for now is drawn. */
  drawn(): Promise<void> {
    return new Promise(resolve => {
      this.#map.once('rendercomplete', () => resolve())
      this.#map.render()
    })
  }

  /** Ask again for tiles that could not be read. */
  retry(): void {
    this.#source?.reload()
  }

  /** Tiles of a growing pyramid have newer versions: draw those of them that are in view. */
  update(): void {
    this.#source?.update()
  }

  /** Stage µm per screen px. */
  get umPerPx(): number {
    return this.#camera.view.umPerPx
  }

  /** The level that is drawn at this magnification. */
  get level(): number {
    const grid = this.#source?.getTileGrid()
    if (!grid || !this.#source || !this.#store) return 0
    return this.#store.pyramid.levelCount - 1 - grid.getZForResolution(this.umPerPx, this.#source.zDirection)
  }

  /** Where stage and screen meet now; undefined while nothing is shown. */
  get frame(): ViewFrame | undefined {
    return this.#store && this.#map.getSize() && this.#camera.frame
  }

  get view(): View {
    return this.#camera.view
  }

  /** Look so at once, as far as the pyramid's limits allow. */
  set view(view: View) {
    this.#camera.view = view
  }

  /** The box around what is seen, in level-0 pixels. */
  get visibleRect(): Rect | undefined {
    return this.#store && this.frame?.visibleRect(this.#store.pyramid)
  }

  /** In level-0 pixels. */
  get center(): PointUm | undefined {
    return this.#store && pixelOfStage(this.#store.pyramid, this.view.centerUm)
  }

  /** Fly to a rectangle of level-0 pixels; `at once` for the first look. */
  fit(rect: Rect, atOnce = false): void {
    if (!this.#store) return
    const view = this.#camera.fitting(stageRect(this.#store.pyramid, rect), this.#insets())
    if (atOnce) this.#camera.view = view
    else this.#camera.flyTo(view)
  }

  zoomBy(factor: number): void {
    this.#camera.zoomBy(factor)
  }

  /** One screen pixel per sample. */
  zoomToSamples(): void {
    if (this.#store) this.#camera.flyTo({ ...this.#camera.destination, umPerPx: this.#store.pyramid.pixelSizeUm.x })
  }

  panBy(xPx: number, yPx: number): void {
    const { frame } = this.#camera
    const { left, top } = frame.middle
    this.view = this.#camera.placing(frame.toStage({ left: left + xPx, top: top + yPx }), frame.middle)
  }

  /** Pan by shares of the view. */
  panByViews(x: number, y: number): void {
    const { width, height } = this.#camera.frame
    this.panBy(x * width, y * height)
  }

  /** Put a stage position into the centre. */
  centerOn(centerUm: PointUm): void {
    this.view = { ...this.view, centerUm }
  }

  flyTo(centerUm: PointUm): void {
    this.#camera.flyTo({ ...this.#camera.destination, centerUm })
  }

  /** Turn the picture around its centre, to so many degrees clockwise. */
  turnTo(rotation: number): void {
    this.#camera.flyTo({ ...this.#camera.destination, rotation })
  }

  turnBy(degrees: number): void {
    this.turnTo(this.#camera.destination.rotation + degrees)
  }

  /** Let stage y run up or down the screen. */
  mirror(yUp: boolean): void {
    this.view = { ...this.#camera.destination, yUp }
  }

  /** What pointers do on the picture; without a tool a drag pans. */
  setTool(tool: PictureTool | undefined): void {
    this.#gestures.setTool(tool)
  }

  addHandles(hit: HandleHit): void {
    this.#gestures.addHandles(hit)
  }

  /** Two fingers turn the picture, as well as they zoom it. */
  turnByFingers(on: boolean): void {
    this.#gestures.turnsByFingers = on
  }

  /** The lowest `px` of the picture are hidden: its centre is that of the rest, and nothing moves. */
  hideBottom(px: number): void {
    const { left } = this.#camera.frame.middle
    const [width = 1, height = 1] = this.#map.getSize() ?? []
    this.#hiddenPx = px
    this.#camera.resize(width, height - px, this.#camera.frame.toStage({ left, top: (height - px) / 2 }))
  }

  /** The element changed its size. */
  resize(): void {
    this.#map.updateSize()
    const [width = 1, height = 1] = this.#map.getSize() ?? []
    this.#camera.resize(width, height - this.#hiddenPx)
  }

  /** OpenLayers cannot mirror, so its canvases are. */
  #follow(): void {
    drawView(this.#map, this.#camera.frame)
    this.#target.classList.toggle('y-up', this.#camera.view.yUp)
    // The first frame of a flight may not differ from the last one before.
    if (this.#camera.isFlying) this.#listener.moving()
  }

  /** The centre stays over the pyramid's frames, or where frames may yet come. */
  #limitView(keep: boolean): void {
    if (!this.#store) return
    // What is looked at stays in reach, and where it is.
    const limits = limitsOf(this.#store.pyramid, this.#camera.frame, keep ? this.view.centerUm : undefined)
    this.#camera.limit(limits, keep)
  }

  #count(wanted: number, loaded: number): void {
    if (this.#wanted === this.#loaded) {
      this.#wanted = 0
      this.#loaded = 0
    }
    this.#wanted += wanted
    this.#loaded = Math.min(this.#wanted, this.#loaded + loaded)
    this.#listener.loading(this.#loaded, this.#wanted)
  }

  #retireOutgoing(): void {
    if (!this.#outgoing) return
    this.#remove(this.#outgoing)
    this.#outgoing = undefined
    this.#layer?.setOpacity(1)
  }

  #removeLayer(): void {
    if (this.#layer) this.#remove(this.#layer)
    this.#layer = undefined
  }

  #remove(layer: PictureLayer | CanvasPictureLayer): void {
    this.#map.removeLayer(layer)
    // Frees the WebGL context; a browser allows only few.
    layer.dispose()
  }
}

function withWebGl(store: TileStore, planes: readonly PlaneSelection[], look: Look, colours: PictureColours) {
  const source = new PyramidSource(store, planes, calm.matches ? 0 : FADE_MS)
  return { source, layer: new PictureLayer(source, texelKind(store.pyramid.sampleType), look, colours) }
}

function withCanvas(store: TileStore, planes: readonly PlaneSelection[], look: Look, colours: PictureColours) {
  const source = new CanvasPictureSource(store, planes, look, colours)
  return { source, layer: new CanvasPictureLayer({ source }) }
}

function isSame(a: readonly PlaneSelection[], b: readonly PlaneSelection[]): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
