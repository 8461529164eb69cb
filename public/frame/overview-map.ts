import type { Rect } from '../../src/plane.js'
import { element } from '../parts/element.js'
import type { Look, Slice } from '../picture/look.js'
import { coveredRect, rectAt } from '../picture/stage-geometry.js'
import type { PointUm } from '../server/pyramid-api.js'
import { paintRegion, type RegionPicture, readRegion } from '../tiles/region-picture.js'
import type { TileStore } from '../tiles/tile-store.js'

/** Below this share of hidden region the overview has nothing to add. */
const HIDDEN_SHARE = 0.02

/**
 * A small picture of where one is: the well that the view lies in, or everything once the view is wider than a well.
 * Click or drag moves the view.
 */
export class OverviewMap {
  readonly #root: HTMLElement
  readonly #canvas: HTMLCanvasElement
  readonly #frame: HTMLElement
  readonly #pictures = new Map<Rect, Promise<RegionPicture | undefined>>()
  #store: TileStore | undefined
  #slice: Slice | undefined
  #look: Look | undefined
  /** Everything that is covered; one object, since regions are keys. */
  #whole: Rect = { x0: 0, y0: 0, x1: 0, y1: 0 }
  #region: Rect | undefined
  /** Where the view is by now; a picture may arrive later. */
  #visible: Rect = this.#whole
  #picture: RegionPicture | undefined

  /** @param onMove a position in level-0 pixels was pointed at. */
  constructor(root: HTMLElement, onMove: (pixel: PointUm) => void) {
    this.#root = root
    this.#canvas = element(root, 'canvas', HTMLCanvasElement)
    this.#frame = element(root, '.frame', HTMLElement)
    const move = (event: PointerEvent): void => {
      const box = this.#canvas.getBoundingClientRect()
      const region = this.#region
      if (!region || !root.hasPointerCapture(event.pointerId)) return
      onMove({
        x: region.x0 + ((event.clientX - box.left) / box.width) * (region.x1 - region.x0),
        y: region.y0 + ((event.clientY - box.top) / box.height) * (region.y1 - region.y0),
      })
    }
    root.addEventListener('pointerdown', event => {
      event.preventDefault()
      root.setPointerCapture(event.pointerId)
      move(event)
    })
    root.addEventListener('pointermove', move)
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

  /** Follow the view, in level-0 pixels. @returns once the picture for it is there. */
  async update(visible: Rect): Promise<void> {
    if (!this.#store) return
    this.#visible = visible
    const region = this.#regionFor(visible, this.#store)
    if (region !== this.#region) {
      this.#region = region
      await this.#load(region, this.#store)
    }
    this.#place(this.#visible)
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
    const longer = Math.max(region.x1 - region.x0, region.y1 - region.y0)
    this.#canvas.style.width = `${(100 * (region.x1 - region.x0)) / longer}%`
    this.#canvas.style.height = `${(100 * (region.y1 - region.y0)) / longer}%`
    this.#paint()
  }

  #paint(): void {
    if (!this.#picture || !this.#look || !this.#store) return
    paintRegion(this.#canvas, this.#picture, this.#look, this.#store.pyramid.wells)
  }

  #place(visible: Rect): void {
    const region = this.#region
    if (!region || !this.#picture) return
    const width = region.x1 - region.x0
    const height = region.y1 - region.y0
    const share = (value: number): number => Math.min(1, Math.max(0, value))
    const left = share((visible.x0 - region.x0) / width)
    const right = share((visible.x1 - region.x0) / width)
    const top = share((visible.y0 - region.y0) / height)
    const bottom = share((visible.y1 - region.y0) / height)
    const seen = (right - left) * (bottom - top)
    this.#root.classList.toggle('off', seen > 1 - HIDDEN_SHARE)
    const canvas = this.#canvas
    this.#frame.style.left = `${canvas.offsetLeft + left * canvas.clientWidth}px`
    this.#frame.style.top = `${canvas.offsetTop + top * canvas.clientHeight}px`
    this.#frame.style.width = `${(right - left) * canvas.clientWidth}px`
    this.#frame.style.height = `${(bottom - top) * canvas.clientHeight}px`
  }
}
