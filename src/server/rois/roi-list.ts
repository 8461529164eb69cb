import { LimitExceededError } from '../../errors.js'
import { centreOf, MAX_ROIS, type Roi, type RoiShape } from './roi.js'

/** The ROIs of one pyramid at one moment; changes make another list. */
export interface RoiList {
  /** Counts changes. */
  readonly revision: number
  readonly nextId: number
  readonly rois: readonly Roi[]
}

export const EMPTY_LIST: RoiList = { revision: 0, nextId: 1, rois: [] }

/**
 * Put new ROIs at the end of a list.
 *
 * @throws {LimitExceededError} there would be too many.
 */
export function addRois(list: RoiList, shapes: readonly RoiShape[]): RoiList {
  const made = shapes.map((shape, i) => ({ ...shape, id: list.nextId + i }))
  return changed(list, [...list.rois, ...made], list.nextId + made.length)
}

/**
 * Put others in the place of all ROIs. Those that bring the id of one that is in the list keep it: a page sends back
 * what it was given.
 *
 * @throws {LimitExceededError} they are too many.
 */
export function replaceRois(list: RoiList, shapes: readonly (RoiShape & { readonly id?: number })[]): RoiList {
  const kept = new Set(list.rois.map(({ id }) => id))
  let { nextId } = list
  const rois = shapes.map(shape => {
    // An id that was sent twice is kept once.
    const id = shape.id !== undefined && kept.delete(shape.id) ? shape.id : nextId++
    return { ...shape, id }
  })
  return changed(list, rois, nextId)
}

/** Remove one ROI; the same list where it is not in it. */
export function removeRoi(list: RoiList, id: number): RoiList {
  const rois = list.rois.filter(roi => roi.id !== id)
  return rois.length === list.rois.length ? list : changed(list, rois)
}

/** Give one ROI another place, size or name; the same list where it is not in it. */
export function moveRoi(list: RoiList, id: number, move: (roi: Roi) => RoiShape): RoiList {
  if (!list.rois.some(roi => roi.id === id)) return list
  return changed(
    list,
    list.rois.map(roi => (roi.id === id ? { ...move(roi), id } : roi)),
  )
}

/** Remove the ROI whose centre is nearest to a point, if it lies closer than the radius; else add the point. µm. */
export function toggleRoi(list: RoiList, x: number, y: number, radius: number): RoiList {
  let nearest: Roi | undefined
  let least = radius
  for (const roi of list.rois) {
    const [cx, cy] = centreOf(roi)
    const distance = Math.hypot(cx - x, cy - y)
    if (distance >= least) continue
    nearest = roi
    least = distance
  }
  return nearest ? removeRoi(list, nearest.id) : addRois(list, [{ x, y }])
}

function changed(list: RoiList, rois: readonly Roi[], nextId = list.nextId): RoiList {
  if (rois.length > MAX_ROIS) {
    throw new LimitExceededError(`There would be ${rois.length} ROIs; a list holds up to ${MAX_ROIS}.`)
  }
  return { revision: list.revision + 1, nextId, rois }
}
