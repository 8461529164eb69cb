import { formatShort, THIN_SPACE } from '../parts/number-format.js'
import type { PyramidInfo } from '../server/pyramid-api.js'
import type { Slice } from './look.js'

const USUAL_NAMES: Readonly<Record<keyof Slice, string>> = { zPlane: 'z', timePoint: 'time' }

/** What the planes along an axis are called: `z`, `time`, or what was varied instead. */
export function nameOfAxis({ axes }: PyramidInfo, axis: keyof Slice): string {
  return axes?.[axis]?.name || USUAL_NAMES[axis]
}

/** What one plane stands for: `−1.5 V`, or `3 of 16` where nobody knows. */
export function nameOfPlane(pyramid: PyramidInfo, axis: keyof Slice, index: number): string {
  const { values = [], unit = '' } = pyramid.axes?.[axis] ?? {}
  const value = values[index]
  const count = axis === 'zPlane' ? pyramid.zPlanes : pyramid.timePoints
  if (value === undefined) return `${index + 1} of ${count}`
  const text = typeof value === 'number' ? formatShort(value) : value
  return unit ? `${text}${THIN_SPACE}${unit}` : text
}
