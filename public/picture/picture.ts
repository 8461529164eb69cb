import { easeOut } from 'ol/easing.js'
import { extendCoordinate } from 'ol/extent.js'
import DoubleClickZoom from 'ol/interaction/DoubleClickZoom.js'
import DragPan from 'ol/interaction/DragPan.js'
import DragZoom from 'ol/interaction/DragZoom.js'
import PinchZoom from 'ol/interaction/PinchZoom.js'
import OlMap from 'ol/Map.js'
import View from 'ol/View.js'
import type { Rect } from '../../src/plane.js'
import type { PlaneSelection, PointUm } from '../server/pyramid-api.js'
import type { TileStore } from '../tiles/tile-store.js'
import { type Look, planesOf, type Slice } from './look.js'
import { type PictureColours, PictureLayer } from './picture-layer.js'
import { PyramidSource, STAGE_PROJECTION } from './pyramid-source.js'
import { coveredRect, extentOfRect, pixelFromMap } from './stage-geometry.js'
import { texelKind } from './tile-texels.js'
import { ViewFrame } from './view-frame.js'

/** Free space in px to leave around what is fitted, for what floats over the picture. */
export interface Insets {
  readonly top: number
  readonly right: number
  readonly bottom: number
  readonly left: number
}

export interface PictureListener {
  /** The view changed, or a frame was drawn. */
  drawn(): void
  /** The view begins to move. */
  moving(): void
  /** Movement ended and every tile in view is drawn. */
  settled(): void
  /** Tiles of the present burst that are there, and that were asked for. */
  loading(loaded: number, wanted: number): void
  /** Level-0 pixel under the pointer; `undefined` once it left. */
  pointed(pixel: PointUm | undefined): void
}

const FLIGHT_MS = 250
const FADE_MS = 80
const MAX_PX_PER_SAMPLE = 32
const WHEEL_FACTOR_PER_UNIT = 1.0015
const LINE_UNITS = 16

const calm = matchMedia('(prefers-reduced-motion: reduce)')

/** The map: one pyramid's samples in stage coordinates, and the view on them. */
export class Picture {
  readonly #map: OlMap
  readonly #listener: PictureListener
  readonly #insets: () => Insets
  #store: TileStore | undefined
  #look: Look = { channels: [], marksClipped: false, smooth: false }
  #slice: Slice = { zPlane: 0, timePoint: 0 }
  #source: PyramidSource | undefined
  #layer: PictureLayer | undefined
  /** What was shown before, kept until the new layer is complete. */
  #outgoing: PictureLayer | undefined
  #wanted = 0
  #loaded = 0
  #hiddenPx = 0
  /** µm per px at the end of the zoom under way. */
  #flightTo = 1

  constructor(target: HTMLElement, insets: () => Insets, listener: PictureListener) {
    this.#listener = listener
    this.#insets = insets
    this.#map = new OlMap({
      target,
      controls: [],
      interactions: [new DragPan(), new PinchZoom(), new DoubleClickZoom({ duration: flightMs() }), new DragZoom()],
      moveTolerance: 3,
      view: new View({ projection: STAGE_PROJECTION, center: [0, 0], resolution: 1 }),
    })
    this.#map.on('postrender', () => listener.drawn())
    this.#map.on('movestart', () => listener.moving())
    this.#map.on('rendercomplete', () => {
      this.#retireOutgoing()
      listener.settled()
    })
    target.addEventListener('wheel', event => this.#onWheel(event), { passive: false })
    target.addEventListener('pointermove', event => {
      if (event.pointerType === 'mouse') listener.pointed(this.#pixelAt(this.#map.getEventPixel(event)))
    })
    target.addEventListener('pointerleave', () => listener.pointed(undefined))
  }

  /** Whether WebGL works here; without it nothing can be drawn. */
  static isSupported(): boolean {
    return document.createElement('canvas').getContext('webgl') !== null
  }

  /**
   * Draw another pyramid, or another version of the same.
   *
   * @param keepView leave centre and µm per px as they are; the old picture stays until the new one is complete.
   */
  show(store: TileStore, slice: Slice, look: Look, colours: PictureColours, keepView: boolean): void {
    this.#retireOutgoing()
    const source = new PyramidSource(store, planesOf(look, slice)[0] as PlaneSelection, calm.matches ? 0 : FADE_MS)
    const layer = new PictureLayer(source, texelKind(store.pyramid.sampleType), look, colours)
    source.on('tileloadstart', () => this.#count(1, 0))
    source.on(['tileloadend', 'tileloaderror'], () => this.#count(0, 1))
    const previous = this.#layer
    this.#store = store
    this.#look = look
    this.#slice = slice
    this.#source = source
    this.#layer = layer
    this.#map.addLayer(layer)
    if (previous && keepView) {
      layer.setOpacity(0)
      this.#outgoing = previous
    } else if (previous) {
      this.#remove(previous)
    }
    this.#constrainView(keepView)
  }

  /** Show nothing. */
  clear(): void {
    this.#retireOutgoing()
    if (this.#layer) this.#remove(this.#layer)
    this.#layer = undefined
    this.#source = undefined
    this.#store = undefined
  }

  /** Other contrast and colours are drawn at once; other channels when their tiles are there. */
  setLook(look: Look): void {
    this.#look = look
    this.#layer?.setLook(look)
    this.#select()
  }

  /** What is drawn stays until the tiles of the slice are there. */
  setSlice(slice: Slice): void {
    this.#slice = slice
    this.#select()
  }

  #select(): void {
    const [plane] = planesOf(this.#look, this.#slice)
    if (plane) this.#source?.select(plane)
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
    return this.#map.getView().getResolution() ?? 1
  }

  get widthPx(): number {
    return this.#map.getSize()?.[0] ?? 0
  }

  /** The level that is drawn at this magnification. */
  get level(): number {
    const grid = this.#source?.getTileGrid()
    if (!grid || !this.#source || !this.#store) return 0
    return this.#store.pyramid.levelCount - 1 - grid.getZForResolution(this.umPerPx, this.#source.zDirection)
  }

  /** Where stage and screen meet now; undefined while nothing is shown. */
  get frame(): ViewFrame | undefined {
    const size = this.#map.getSize()
    const center = this.#map.getView().getCenter()
    if (!this.#store || !size || !center) return undefined
    const centerUm = { x: center[0] as number, y: -(center[1] as number) }
    const view = { centerUm, umPerPx: this.umPerPx, rotation: 0, yUp: false }
    return new ViewFrame(view, size[0] as number, (size[1] as number) - this.#hiddenPx)
  }

  /** The box around what is seen, in level-0 pixels. */
  get visibleRect(): Rect | undefined {
    return this.#store && this.frame?.visibleRect(this.#store.pyramid)
  }

  get center(): PointUm | undefined {
    const center = this.#map.getView().getCenter()
    return this.#store && center ? pixelFromMap(this.#store.pyramid, center) : undefined
  }

  /** Fly to a rectangle of level-0 pixels; `at once` for the first look. */
  fit(rect: Rect, atOnce = false): void {
    if (!this.#store) return
    const { top, right, bottom, left } = this.#insets()
    this.#map.getView().cancelAnimations()
    this.#map.getView().fit(extentOfRect(this.#store.pyramid, rect), {
      padding: [top, right, bottom, left],
      duration: atOnce ? 0 : flightMs(),
      easing: easeOut,
    })
  }

  zoomBy(factor: number): void {
    // A second step during a flight goes on from where the first one leads.
    const from = this.#map.getView().getAnimating() ? this.#flightTo : this.umPerPx
    this.#zoomTo(from / factor)
  }

  /** One screen pixel per sample. */
  zoomToSamples(): void {
    if (this.#store) this.#zoomTo(this.#store.pyramid.pixelSizeUm.x)
  }

  panBy(xPx: number, yPx: number): void {
    const view = this.#map.getView()
    const center = view.getCenter()
    if (!center) return
    view.setCenter(
      view.getConstrainedCenter([
        (center[0] as number) + xPx * this.umPerPx,
        (center[1] as number) - yPx * this.umPerPx,
      ]) as number[],
    )
  }

  /** Pan by shares of the view. */
  panByViews(x: number, y: number): void {
    const [width = 0, height = 0] = this.#map.getSize() ?? []
    this.panBy(x * width, y * height)
  }

  /** Put a position on the map into the centre. */
  centerOn(position: readonly [number, number]): void {
    const view = this.#map.getView()
    view.cancelAnimations()
    view.setCenter(view.getConstrainedCenter([...position]) as number[])
  }

  /** The lowest `px` of the picture are hidden: its centre is that of the rest, and nothing moves. */
  hideBottom(px: number): void {
    this.#hiddenPx = px
    this.#map.getView().padding = [0, 0, px, 0]
  }

  /** The element changed its size. */
  resize(): void {
    this.#map.updateSize()
  }

  #zoomTo(umPerPx: number): void {
    const view = this.#map.getView()
    this.#flightTo = view.getConstrainedResolution(umPerPx) ?? umPerPx
    view.cancelAnimations()
    view.animate({ resolution: this.#flightTo, duration: flightMs(), easing: easeOut })
  }

  #onWheel(event: WheelEvent): void {
    event.preventDefault()
    const view = this.#map.getView()
    const units = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * LINE_UNITS : event.deltaY
    // A pinch on a trackpad arrives as a wheel with Ctrl and small steps.
    const factor = WHEEL_FACTOR_PER_UNIT ** (event.ctrlKey ? units * 6 : units)
    view.cancelAnimations()
    view.adjustResolution(factor, this.#map.getCoordinateFromPixel(this.#map.getEventPixel(event)))
  }

  #pixelAt(screen: readonly number[]): PointUm | undefined {
    const coordinate = this.#map.getCoordinateFromPixel(screen as number[])
    return coordinate && this.#store ? pixelFromMap(this.#store.pyramid, coordinate) : undefined
  }

  /**
   * A new view whose limits are those of the pyramid: the centre stays over its frames, or where frames may yet come.
   */
  #constrainView(keep: boolean): void {
    if (!this.#store) return
    const { pyramid } = this.#store
    const old = this.#map.getView()
    const whole = { x0: 0, y0: 0, x1: pyramid.width, y1: pyramid.height }
    const extent = extentOfRect(pyramid, pyramid.complete ? coveredRect(pyramid) : whole)
    const [width = 1, height = 1] = this.#map.getSize() ?? []
    const widest = Math.max((extent[2] - extent[0]) / width, (extent[3] - extent[1]) / height)
    const kept = keep ? old.getCenter() : undefined
    // What is looked at stays in reach, and where it is.
    if (kept) extendCoordinate(extent, kept)
    this.#map.setView(
      new View({
        projection: STAGE_PROJECTION,
        center: kept ?? [(extent[0] + extent[2]) / 2, (extent[1] + extent[3]) / 2],
        resolution: (keep && old.getResolution()) || widest,
        minResolution: pyramid.pixelSizeUm.x / MAX_PX_PER_SAMPLE,
        maxResolution: Math.max(2 * widest, pyramid.pixelSizeUm.x),
        extent,
        constrainOnlyCenter: true,
        padding: [0, 0, this.#hiddenPx, 0],
        smoothExtentConstraint: false,
        smoothResolutionConstraint: false,
        enableRotation: false,
      }),
    )
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

  #remove(layer: PictureLayer): void {
    this.#map.removeLayer(layer)
    // Frees the WebGL context; a browser allows only few.
    layer.dispose()
  }
}

function flightMs(): number {
  return calm.matches ? 0 : FLIGHT_MS
}
