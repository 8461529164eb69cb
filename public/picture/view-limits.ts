import type { Rect } from '../../src/plane.js'
import type { PointUm, PyramidInfo } from '../server/pyramid-api.js'
import { fittingUmPerPx, type ViewLimits } from './camera.js'
import { coveredRect, stageRect } from './stage-geometry.js'

const MAX_PX_PER_SAMPLE = 32

/** The part of the stage that can be looked at: the pyramid's frames, or where frames may yet come. */
export function areaOf(pyramid: PyramidInfo): Rect {
  const whole = { x0: 0, y0: 0, x1: pyramid.width, y1: pyramid.height }
  return stageRect(pyramid, pyramid.complete ? coveredRect(pyramid) : whole)
}

/**
 * How far a view of a pyramid may go.
 *
 * @param size of what is seen, px. @param kept stays in reach as well; stage µm.
 */
export function limitsOf(
  pyramid: PyramidInfo,
  { width, height }: { readonly width: number; readonly height: number },
  kept?: PointUm,
): ViewLimits {
  const area = areaOf(pyramid)
  const fitting = (rotation: number): number =>
    fittingUmPerPx(area.x1 - area.x0, area.y1 - area.y0, rotation, width, height)
  return {
    minUmPerPx: pyramid.pixelSizeUm.x / MAX_PX_PER_SAMPLE,
    maxUmPerPx: Math.max(2 * fitting(0), 2 * fitting(90), pyramid.pixelSizeUm.x),
    areaUm: kept ? including(area, kept) : area,
  }
}

function including({ x0, y0, x1, y1 }: Rect, { x, y }: PointUm): Rect {
  return { x0: Math.min(x0, x), y0: Math.min(y0, y), x1: Math.max(x1, x), y1: Math.max(y1, y) }
}
