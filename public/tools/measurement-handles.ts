import type { PictureTool, ToolEvent } from '../picture/gestures.js'
import type { ScreenPoint } from '../picture/view-frame.js'
import type { PointUm } from '../server/pyramid-api.js'
import { boxOf, cornersOf, snapDirection } from './measurement-geometry.js'
import type { ListedMeasurement, MeasurementList } from './measurement-list.js'

const HANDLE_PX = 12
const LINE_PX = 6

type ToScreen = (point: PointUm) => ScreenPoint | undefined

/** Where a measurement can be taken hold of: the ends of a length, the corners of an area, all four of a region. */
export function handlesOf({ kind, points }: Pick<ListedMeasurement, 'kind' | 'points'>): readonly PointUm[] {
  return kind === 'region' ? cornersOf(boxOf(points)) : points
}

/** What to do with a measurement under the pointer: drag its handle, or select it by its line. The newest wins. */
export function measurementAt(
  list: MeasurementList,
  toScreen: ToScreen,
  { screen }: ToolEvent,
): PictureTool | undefined {
  const newestFirst = [...list.items].reverse()
  for (const item of newestFirst) {
    const corners = onScreen(item, toScreen)
    const index = corners.findIndex(
      corner => Math.hypot(corner.left - screen.left, corner.top - screen.top) < HANDLE_PX,
    )
    if (index >= 0) return new HandleDrag(list, item, index)
  }
  const hit = newestFirst.find(item => isOnLine(onScreen(item, toScreen), item.kind !== 'length', screen))
  return hit && { cursor: 'pointer', click: () => list.select(hit.id) }
}

function onScreen(item: ListedMeasurement, toScreen: ToScreen): ScreenPoint[] {
  return handlesOf(item)
    .map(toScreen)
    .filter(point => point !== undefined)
}

function isOnLine(corners: readonly ScreenPoint[], closed: boolean, at: ScreenPoint): boolean {
  return corners.some((from, i) => {
    const to = corners[(i + 1) % corners.length]
    return to !== undefined && (closed || i + 1 < corners.length) && distanceToLine(from, to, at) < LINE_PX
  })
}

function distanceToLine(from: ScreenPoint, to: ScreenPoint, at: ScreenPoint): number {
  const [dx, dy] = [to.left - from.left, to.top - from.top]
  const along = ((at.left - from.left) * dx + (at.top - from.top) * dy) / (dx * dx + dy * dy || 1)
  const share = Math.min(1, Math.max(0, along))
  return Math.hypot(at.left - from.left - share * dx, at.top - from.top - share * dy)
}

/** Moves one handle of a measurement; a corner of a region against the opposite one. */
class HandleDrag implements PictureTool {
  readonly cursor = 'move'
  readonly #list: MeasurementList
  readonly #before: ListedMeasurement
  readonly #index: number
  #moved = false

  constructor(list: MeasurementList, item: ListedMeasurement, index: number) {
    this.#list = list
    this.#before = item
    this.#index = index
  }

  down(): boolean {
    this.#list.select(this.#before.id)
    return true
  }

  drag(event: ToolEvent): void {
    if (!this.#moved) this.#list.remember()
    this.#moved = true
    this.#list.change(this.#before.id, { points: this.#pointsAt(event) })
  }

  click(): void {
    this.#list.select(this.#before.id)
  }

  /** The drag is dropped. */
  leave(): void {
    if (this.#moved) this.#list.change(this.#before.id, { points: this.#before.points })
  }

  #pointsAt({ stage, shift }: ToolEvent): readonly PointUm[] {
    const { kind, points } = this.#before
    const handles = handlesOf(this.#before)
    if (kind === 'region') return [handles[(this.#index + 2) % 4] as PointUm, stage]
    const neighbour = points[this.#index === 0 ? 1 : this.#index - 1] as PointUm
    return points.with(this.#index, shift ? snapDirection(neighbour, stage) : stage)
  }
}
