import { formatArea, formatLength, formatSquare } from '../parts/number-format.js'
import type { ScreenPoint, ViewFrame } from '../picture/view-frame.js'
import type { PointUm } from '../server/pyramid-api.js'
import { areaUm2, boxOf, lengthUm } from './measurement-geometry.js'
import { handlesOf } from './measurement-handles.js'
import { type Context, drawChip, drawHandle, pathThrough, strokeOnPicture } from './overlay-style.js'
import type { Measurement } from './tools-state.js'

/** The number of a measurement, as beside it on the picture. */
export function mainNumber({ kind, points }: Pick<Measurement, 'kind' | 'points'>): string {
  if (kind === 'length') return formatLength(lengthUm(points))
  if (kind === 'area') return formatSquare(areaUm2(points))
  const { w, h } = boxOf(points)
  return formatArea(w, h)
}

/**
 * A measurement with its number.
 *
 * @param frame whose px are those of the context. @param scale of lines and text; 1 as on the page.
 * @param hold whether it has handles, and whether they are those of the selected one.
 */
export function drawMeasurement(
  context: Context,
  frame: ViewFrame,
  measurement: Pick<Measurement, 'kind' | 'points'>,
  scale: number,
  hold: 'none' | 'handles' | 'selected' = 'none',
): void {
  const corners = handlesOf(measurement).map(point => frame.toScreen(point))
  strokeOnPicture(context, pathThrough(corners, measurement.kind !== 'length'), scale)
  if (hold !== 'none') for (const corner of corners) drawHandle(context, corner, scale, hold === 'selected')
  drawChip(context, mainNumber(measurement), chipPlace(measurement.kind, corners, scale), scale)
}

/** What is being drawn: corners so far, and where the next one would be. */
export function drawDraft(context: Context, frame: ViewFrame, points: readonly PointUm[], isRegion: boolean): void {
  if (isRegion) {
    drawMeasurement(context, frame, { kind: 'region', points }, 1)
  } else {
    drawMeasurement(context, frame, { kind: points.length > 2 ? 'area' : 'length', points }, 1, 'handles')
  }
}

/** Beside the middle of a line; in the middle of an area; above a region, whose inside is looked at. */
function chipPlace(kind: Measurement['kind'], corners: readonly ScreenPoint[], scale: number): ScreenPoint {
  const left = mean(corners.map(corner => corner.left))
  if (kind === 'area') return { left, top: mean(corners.map(corner => corner.top)) }
  if (kind === 'region') return { left, top: Math.min(...corners.map(corner => corner.top)) - 18 * scale }
  const [from, to] = corners as [ScreenPoint, ScreenPoint]
  const [dx, dy] = [to.left - from.left, to.top - from.top]
  const length = Math.hypot(dx, dy) || 1
  // Further out where the line is steep, since the chip is wider than high.
  const away = (18 + 22 * Math.abs(dy / length)) * scale * (dx < 0 ? -1 : 1)
  return { left: left + (dy / length) * away, top: (from.top + to.top) / 2 - (dx / length) * away }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
