import type { BoxUm } from '../server/measure-api.js'
import type { PointUm } from '../server/pyramid-api.js'

const SNAP = Math.PI / 12

const distanceUm = (a: PointUm, b: PointUm): number => Math.hypot(b.x - a.x, b.y - a.y)

/** Length of the way through all points, µm. */
export function lengthUm(points: readonly PointUm[]): number {
  return points.slice(1).reduce((sum, point, i) => sum + distanceUm(points[i] as PointUm, point), 0)
}

/** Length of the way through all points and back to the first, µm. */
export function perimeterUm(points: readonly PointUm[]): number {
  return lengthUm([...points, ...points.slice(0, 1)])
}

/** Area within a polygon, µm². Where its sides cross, what lies on the other side counts as less. */
export function areaUm2(points: readonly PointUm[]): number {
  // From the first corner, since far from the origin the products would lose their last digits.
  const origin = points[0] ?? { x: 0, y: 0 }
  const doubled = points.reduce((sum, { x, y }, i) => {
    const next = points[(i + 1) % points.length] as PointUm
    return sum + (x - origin.x) * (next.y - origin.y) - (next.x - origin.x) * (y - origin.y)
  }, 0)
  return Math.abs(doubled) / 2
}

/** The point as far from `from` as `to` is, in the nearest direction that is a multiple of 15° to the stage's axes. */
export function snapDirection(from: PointUm, to: PointUm): PointUm {
  const angle = Math.round(Math.atan2(to.y - from.y, to.x - from.x) / SNAP) * SNAP
  const length = distanceUm(from, to)
  return { x: from.x + length * Math.cos(angle), y: from.y + length * Math.sin(angle) }
}

/** The box around points. */
export function boxOf(points: readonly PointUm[]): BoxUm {
  const xs = points.map(({ x }) => x)
  const ys = points.map(({ y }) => y)
  const [x, y] = [Math.min(...xs), Math.min(...ys)]
  return { x, y, w: Math.max(...xs) - x, h: Math.max(...ys) - y }
}

/** Corners of a box in turn, from the one with the smallest x and y. */
export function cornersOf({ x, y, w, h }: BoxUm): readonly PointUm[] {
  return [
    { x, y },
    { x: x + w, y },
    { x: x + w, y: y + h },
    { x, y: y + h },
  ]
}
