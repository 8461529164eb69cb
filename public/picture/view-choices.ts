import type { Rect } from '../../src/plane.js'
import type { PlaneSelection, PointUm, PyramidInfo, Well } from '../server/pyramid-api.js'
import { coveredRect, extentOfRect, isSameArea, mapFromPixel, pixelFromMap, rectAt } from './stage-geometry.js'

/** Plates whose wells fill less than this of their area are first looked at one well at a time. */
const SPARSE_SHARE = 0.03
/** A view wider than this many wells is a view of the plate. */
const WELL_VIEW = 3

/**
 * What to show first: everything, or the first well of a plate that would be a few dots. Level-0 pixels.
 *
 * @param firstGroup the box around the first tiles that touch: stands for the first well where none is named.
 */
export function firstLook(pyramid: PyramidInfo, firstGroup: () => Rect | undefined): Rect {
  const area = ({ x0, y0, x1, y1 }: Rect): number => (x1 - x0) * (y1 - y0)
  const whole = coveredRect(pyramid)
  const [well] = pyramid.wells
  const first = well ?? firstGroup()
  const wells = well ? pyramid.wells : first ? [first] : []
  const inWells = wells.reduce((sum, each) => sum + area(each), 0)
  return first && inWells < SPARSE_SHARE * area(whole) ? first : whole
}

/** The well in the centre of a view. */
export function centralWell({ wells }: PyramidInfo, visible: Rect): Well | undefined {
  return rectAt(wells, (visible.x0 + visible.x1) / 2, (visible.y0 + visible.y1) / 2)
}

/** The well that a view is about: the one in its centre, unless the view takes in many. */
export function wellInView(pyramid: PyramidInfo, visible: Rect): Well | undefined {
  const well = centralWell(pyramid, visible)
  return well && visible.x1 - visible.x0 < WELL_VIEW * (well.x1 - well.x0) ? well : undefined
}

/**
 * Whether a view of one pyramid makes sense in another: they share their area, and what is looked at lies in both.
 *
 * @param center of the view, level-0 pixels of `before`.
 */
export function staysInPlace(before: PyramidInfo, center: PointUm, now: PyramidInfo): boolean {
  const areaOf = (pyramid: PyramidInfo) => extentOfRect(pyramid, coveredRect(pyramid))
  if (!isSameArea(areaOf(before), areaOf(now))) return false
  const inNow = pixelFromMap(now, mapFromPixel(before, center.x, center.y))
  return rectAt([coveredRect(now)], inNow.x, inNow.y) !== undefined
}

/** Whether a pyramid has that plane. */
export function hasPlane(pyramid: PyramidInfo, { channel, zPlane, timePoint }: PlaneSelection): boolean {
  return channel < pyramid.channels.length && zPlane < pyramid.zPlanes && timePoint < pyramid.timePoints
}
