import type { PictureTool, ToolEvent } from '../picture/gestures.js'
import type { ScreenPoint } from '../picture/view-frame.js'
import type { PointUm } from '../server/pyramid-api.js'
import { snapDirection } from './measurement-geometry.js'
import type { MeasurementList } from './measurement-list.js'

/** Clicks and corners nearer than this are the same, px. */
const SAME_PX = 12

/**
 * Two clicks, or a drag, measure a length; a third click makes it an area, and further ones add corners. Shift keeps
 * to multiples of 15°.
 */
export class MeasureTool implements PictureTool {
  readonly cursor = 'crosshair'
  readonly #list: MeasurementList
  readonly #toScreen: (point: PointUm) => ScreenPoint | undefined
  readonly #onDraft: () => void
  /** Where the first click, or the drag, began. */
  #start: PointUm | undefined
  /** What the clicks are adding to. */
  #growingId: number | undefined
  #pointer: PointUm | undefined
  #pressed: PointUm | undefined
  #dragged = false

  /** @param onDraft what is being drawn has changed. */
  constructor(list: MeasurementList, toScreen: (point: PointUm) => ScreenPoint | undefined, onDraft: () => void) {
    this.#list = list
    this.#toScreen = toScreen
    this.#onDraft = onDraft
  }

  /** Whether the next click goes on with what was begun. */
  get isDrawing(): boolean {
    return this.#corners.length > 0
  }

  /** The corners so far, with the pointer as the next one; a length that is measured is drawn as it is. */
  get draft(): readonly PointUm[] {
    const corners = this.#corners
    const isOpen = corners.length === 1 || corners.length > 2
    return isOpen && this.#pointer ? [...corners, this.#pointer] : []
  }

  down(event: ToolEvent): boolean {
    this.#pressed = event.stage
    return true
  }

  drag(event: ToolEvent): void {
    if (!this.#dragged) {
      this.finish()
      this.#start = this.#pressed
      this.#dragged = true
    }
    this.#pointer = this.#placed(event)
    this.#onDraft()
  }

  up(event: ToolEvent): void {
    const [start] = this.#corners
    const end = this.#placed(event)
    this.finish()
    if (start) this.#list.add('length', [start, end])
  }

  click(event: ToolEvent): void {
    const corner = this.#placed(event)
    const corners = this.#corners
    const last = corners.at(-1)
    if (!last) {
      this.#start = corner
    } else if (corners.length > 2 && this.#isSame(event, corners[0] as PointUm)) {
      this.finish()
      return
    } else if (this.#isSame(event, last)) {
      return
    } else if (this.#growingId === undefined) {
      this.#growingId = this.#list.add('length', [last, corner])
    } else {
      this.#list.addCorner(this.#growingId, corner)
    }
    this.#pointer = corner
    this.#onDraft()
  }

  doubleClick(): void {
    if (this.#growingId !== undefined) this.finish()
  }

  move(event: ToolEvent): void {
    if (!this.isDrawing) return
    this.#pointer = this.#placed(event)
    this.#onDraft()
  }

  leave(): void {
    if (this.#dragged) this.finish()
    this.#pointer = undefined
    this.#onDraft()
  }

  /** What is measured so far stays; the next click begins anew. */
  finish(): void {
    this.#start = undefined
    this.#growingId = undefined
    this.#pointer = undefined
    this.#dragged = false
    this.#onDraft()
  }

  get #corners(): readonly PointUm[] {
    // Undo may have taken away what the clicks were adding to.
    const growing = this.#list.get(this.#growingId)
    if (growing) return growing.points
    return this.#start ? [this.#start] : []
  }

  #placed({ stage, shift }: ToolEvent): PointUm {
    const last = this.#corners.at(-1)
    return shift && last ? snapDirection(last, stage) : stage
  }

  #isSame({ screen }: ToolEvent, point: PointUm): boolean {
    const other = this.#toScreen(point)
    return other !== undefined && Math.hypot(other.left - screen.left, other.top - screen.top) < SAME_PX
  }
}
