import type { Rect } from '../../src/plane.js'
import { element } from '../parts/element.js'
import type { Look, Slice } from '../picture/look.js'
import { coveredRect, pixelOfStage, rectAt, stageOfPixel } from '../picture/stage-geometry.js'
import type { ScreenPoint, ViewFrame } from '../picture/view-frame.js'
import type { PointUm, PyramidInfo } from '../server/pyramid-api.js'
import { paintRegion, type RegionPicture, readRegion } from '../tiles/region-picture.js'
import type { TileStore } from '../tiles/tile-store.js'

/** As long as no more than this share of the region's sides is hidden, the overview has nothing to add. */
const HIDDEN_SHARE = 0.01
/** The frame of a view that would be smaller is shown so large, px. */
const MIN_FRAME_PX = 5

/**
 * A small picture of where one is: the well that the view lies in, or everything once the view is wider than a well.
 * It is mirrored as the picture is, but never turned: the frame in it is. Click or drag moves the view.
 */
export class OverviewMap {
  readonly #root: HTMLElement
  readonly #canvas: HTMLCanvasElement
  readonly #frame: SVGSVGElement
  readonly #outlines: readonly SVGPolygonElement[]
  readonly #pictures = new Map<Rect, Promise<RegionPicture | undefined>>()
  #store: TileStore | undefined
  #slice: Slice | undefined
  #look: Look | undefined
  /** Everything that is covered; one object, since regions are keys. */
  #whole: Rect = { x0: 0, y0: 0, x1: 0, y1: 0 }
  #region: Rect | undefined
  /** The view by now; a picture may arrive later. */
  #view: ViewFrame | undefined
  #picture: RegionPicture | undefined
  /** The region stays as long as one drags in it. */
  #isDragged = false

  /** @param onMove a stage position was pointed at. */
  constructor(root: HTMLElement, onMove: (place: PointUm) => void) {
    this.#root = root
    this.#canvas = element(root, 'canvas', HTMLCanvasElement)
    this.#frame = element(root, '.frame', SVGSVGElement)
    this.#outlines = [...this.#frame.querySelectorAll('polygon')]
    const move = (event: PointerEvent): void => {
      const place = this.#placeAt(event)
      if (place && root.hasPointerCapture(event.pointerId)) onMove(place)
    }
    root.addEventListener('pointerdown', event => {
      event.preventDefault()
      root.setPointerCapture(event.pointerId)
      this.#isDragged = true
      move(event)
    })
    root.addEventListener('pointermove', move)
    root.addEventListener('lostpointercapture', () => {
      this.#isDragged = false
      if (this.#view) void this.update(this.#view)
    })
  }

  show(store: TileStore, slice: Slice, look: Look): void {
    this.#store = store
    this.#slice = slice
    this.#look = look
    this.#pictures.clear()
    this.#whole = coveredRect(store.pyramid)
    this.#region = undefined
    this.#picture = undefined
  }

  /** Paint anew; other channels have to be shown anew. */
  setLook(look: Look): void {
    this.#look = look
    this.#paint()
  }

  hide(): void {
    this.#root.classList.add('off')
  }

  /** Follow the view. @returns once the picture for it is there. */
  async update(view: ViewFrame): Promise<void> {
    if (!this.#store) return
    this.#view = view
    const region = this.#regionFor(view.visibleRect(this.#store.pyramid), this.#store)
    if (region !== this.#region && !this.#isDragged) {
      this.#region = region
      await this.#load(region, this.#store)
    }
    this.#place()
  }

  #regionFor(visible: Rect, { pyramid }: TileStore): Rect {
    const well = rectAt(pyramid.wells, (visible.x0 + visible.x1) / 2, (visible.y0 + visible.y1) / 2)
    const fits =
      well && visible.x1 - visible.x0 < 2 * (well.x1 - well.x0) && visible.y1 - visible.y0 < 2 * (well.y1 - well.y0)
    return fits ? well : this.#whole
  }

  async #load(region: Rect, store: TileStore): Promise<void> {
    const look = this.#look
    if (!this.#slice || !look) return
    const longerPx = Math.max(this.#root.clientWidth, this.#root.clientHeight) * devicePixelRatio
    const loading =
      this.#pictures.get(region) ??
      // Tiles that cannot be read are reported by the store.
      readRegion(
        store,
        this.#slice,
        look.channels.map(({ channel }) => channel),
        region,
        longerPx,
      ).catch(() => undefined)
    this.#pictures.set(region, loading)
    const picture = await loading
    if (!picture || this.#region !== region) return
    this.#picture = picture
    const { x, y } = store.pyramid.pixelSizeUm
    const [width, height] = [(region.x1 - region.x0) * x, (region.y1 - region.y0) * y]
    this.#canvas.style.width = `${(100 * width) / Math.max(width, height)}%`
    this.#canvas.style.height = `${(100 * height) / Math.max(width, height)}%`
    this.#paint()
  }

  #paint(): void {
    if (!this.#picture || !this.#look || !this.#store) return
    paintRegion(this.#canvas, this.#picture, this.#look, this.#store.pyramid.wells)
  }

  #place(): void {
    const region = this.#region
    const view = this.#view
    if (!region || !view || !this.#picture || !this.#store) return
    const { pyramid } = this.#store
    this.#root.classList.toggle('off', isAllSeen(region, pyramid, view))
    this.#canvas.classList.toggle('y-up', view.yUp)
    const { clientWidth, clientHeight } = this.#canvas
    this.#frame.style.width = `${clientWidth}px`
    this.#frame.style.height = `${clientHeight}px`
    const corners = view.corners.map(corner => {
      const { x, y } = pixelOfStage(pyramid, corner)
      const down = (y - region.y0) / (region.y1 - region.y0)
      return {
        left: ((x - region.x0) / (region.x1 - region.x0)) * clientWidth,
        top: (view.yUp ? 1 - down : down) * clientHeight,
      }
    })
    // Without a size, as in the picture alone, there is no polygon.
    if (clientWidth === 0) return
    const points = atLeast(MIN_FRAME_PX, clipped(corners, clientWidth, clientHeight))
    for (const outline of this.#outlines) outline.setAttribute('points', points)
  }

  /** The stage position under a pointer, or the nearest one of the region. */
  #placeAt({ clientX, clientY }: PointerEvent): PointUm | undefined {
    const region = this.#region
    if (!region || !this.#store) return undefined
    const box = this.#canvas.getBoundingClientRect()
    const share = (value: number): number => Math.min(1, Math.max(0, value))
    const right = share((clientX - box.left) / box.width)
    const down = share((clientY - box.top) / box.height)
    return stageOfPixel(this.#store.pyramid, {
      x: region.x0 + right * (region.x1 - region.x0),
      y: region.y0 + (this.#view?.yUp ? 1 - down : down) * (region.y1 - region.y0),
    })
  }
}

function isAllSeen({ x0, y0, x1, y1 }: Rect, pyramid: PyramidInfo, view: ViewFrame): boolean {
  const [x, y] = [(x1 - x0) * HIDDEN_SHARE, (y1 - y0) * HIDDEN_SHARE]
  const corners = [
    { x: x0 + x, y: y0 + y },
    { x: x1 - x, y: y0 + y },
    { x: x1 - x, y: y1 - y },
    { x: x0 + x, y: y1 - y },
  ]
  return corners
    .map(corner => view.toScreen(stageOfPixel(pyramid, corner)))
    .every(({ left, top }) => left >= 0 && top >= 0 && left <= view.width && top <= view.height)
}

/** The part of a convex polygon that lies in the box from 0 to `width` and `height`. */
function clipped(corners: readonly ScreenPoint[], width: number, height: number): readonly ScreenPoint[] {
  // How far inside of each side a point lies; what is outside has less than 0.
  const sides: readonly ((point: ScreenPoint) => number)[] = [
    ({ left }) => left,
    ({ left }) => width - left,
    ({ top }) => top,
    ({ top }) => height - top,
  ]
  return sides.reduce<readonly ScreenPoint[]>(
    (points, inside) =>
      points.flatMap((point, i) => {
        const next = points[(i + 1) % points.length] as ScreenPoint
        const [here, there] = [inside(point), inside(next)]
        const kept = here >= 0 ? [point] : []
        if (here >= 0 === there >= 0) return kept
        const share = here / (here - there)
        const left = point.left + (next.left - point.left) * share
        return [...kept, { left, top: point.top + (next.top - point.top) * share }]
      }),
    corners,
  )
}

/** The points of a polygon, enlarged around its middle where it would be too small to see. */
function atLeast(px: number, corners: readonly ScreenPoint[]): string {
  const span = (values: readonly number[]): number => Math.max(...values) - Math.min(...values)
  const size = Math.max(span(corners.map(({ left }) => left)), span(corners.map(({ top }) => top)))
  const scale = Math.max(1, px / size)
  const middle = {
    left: corners.reduce((sum, { left }) => sum + left, 0) / corners.length,
    top: corners.reduce((sum, { top }) => sum + top, 0) / corners.length,
  }
  return corners
    .map(({ left, top }) => [middle.left + (left - middle.left) * scale, middle.top + (top - middle.top) * scale])
    .map(point => point.map(value => value.toFixed(2)).join())
    .join(' ')
}
