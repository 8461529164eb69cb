import type { Rect } from '../../src/plane.js'
import { type MosaicGeometry, stageOfPixel } from '../picture/stage-geometry.js'
import type { ViewFrame } from '../picture/view-frame.js'
import type { FrameRow } from '../server/measure-api.js'
import { type Context, strokeOnPicture } from './overlay-style.js'

const SKIPPED_DASH_PX = [6, 5]

/**
 * Outlines of frames; those that were skipped are dashed.
 *
 * @param frame whose px are those of the context. @param scale of lines; 1 as on the page. @param warn colour of what was skipped.
 */
export function drawOutlines(
  context: Context,
  frame: ViewFrame,
  geometry: MosaicGeometry,
  frames: readonly FrameRow[],
  scale: number,
  warn: string,
): void {
  const used = frames.filter(row => row.used)
  const skipped = frames.filter(row => !row.used)
  strokeOnPicture(context, outlinesOf(frame, geometry, used), scale, '#fff', 1)
  context.setLineDash(SKIPPED_DASH_PX.map(px => px * scale))
  strokeOnPicture(context, outlinesOf(frame, geometry, skipped), scale, warn)
  context.setLineDash([])
}

/** The frame under the pointer. */
export function drawStrongOutline(context: Context, frame: ViewFrame, geometry: MosaicGeometry, row: FrameRow): void {
  strokeOnPicture(context, outlinesOf(frame, geometry, [row]), 1, '#fff', 3)
}

function outlinesOf(frame: ViewFrame, geometry: MosaicGeometry, frames: readonly FrameRow[]): Path2D {
  const path = new Path2D()
  for (const { rect } of withoutRepeats(frames)) {
    cornersOfRect(rect).forEach((corner, i) => {
      const { left, top } = frame.toScreen(stageOfPixel(geometry, corner))
      if (i === 0) path.moveTo(left, top)
      else path.lineTo(left, top)
    })
    path.closePath()
  }
  return path
}

/** Channels that were imaged at the same place are one outline. */
function withoutRepeats(frames: readonly FrameRow[]): Iterable<FrameRow> {
  return new Map(frames.map(frame => [`${frame.rect.x0},${frame.rect.y0}`, frame])).values()
}

function cornersOfRect({ x0, y0, x1, y1 }: Rect) {
  return [
    { x: x0, y: y0 },
    { x: x1, y: y0 },
    { x: x1, y: y1 },
    { x: x0, y: y1 },
  ]
}
