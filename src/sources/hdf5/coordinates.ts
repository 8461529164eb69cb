/** Coordinates that stand at even distances, as they would be without the limits of their type. */
export interface Grid {
  /** Of the smallest coordinate. */
  readonly origin: number
  /** From one to the next, above 0; 1 where there is only one, or all are the same. */
  readonly step: number
  /** Whether they fall. */
  readonly isReversed: boolean
  /** Whether distances differ by so much that the grid is only about right. */
  readonly isUneven: boolean
}

/** Relative rounding errors of the types that coordinates come in. */
const SINGLE = 2 ** -24
const DOUBLE = 2 ** -53
/** In steps. */
const MAX_ERROR = 0.25

/**
 * Fit a grid to coordinates. Distances are rounded to the shortest decimal that their type allows: five nanometres that
 * were stored as float32 are five nanometres, and images that were placed by them meet pixel by pixel.
 *
 * @param isSingle whether they were float32.
 */
export function fitGrid(coordinates: readonly number[], isSingle: boolean): Grid {
  const precision = isSingle ? SINGLE : DOUBLE
  const [first, last] = [coordinates[0]!, coordinates.at(-1)!]
  const steps = coordinates.length - 1
  const largest = Math.max(Math.abs(first), Math.abs(last))
  const mean = steps > 0 ? (last - first) / steps : 0
  const isOff = (coordinate: number, i: number): boolean =>
    !(Math.abs(coordinate - first - i * mean) <= MAX_ERROR * Math.abs(mean))
  const isUneven = coordinates.some(isOff)
  const step = isUneven ? medianStep(coordinates) : mean
  const lowest = coordinates.reduce((low, value) => Math.min(low, value), Number.POSITIVE_INFINITY)
  return {
    origin: shortest(lowest, Math.abs(lowest) * precision),
    step: Math.abs(shortest(step, (2 * precision * largest) / Math.max(1, steps))) || 1,
    isReversed: step < 0,
    isUneven: isUneven && steps > 0,
  }
}

/** A value as it was before it became float32, as far as one can tell. */
export function tidy(value: number, isSingle: boolean): number {
  return shortest(value, Math.abs(value) * (isSingle ? SINGLE : DOUBLE))
}

/** The decimal of the fewest digits that is no further from a value. */
function shortest(value: number, tolerance: number): number {
  for (let digits = 1; digits < 17; digits++) {
    const rounded = Number(value.toPrecision(digits))
    if (Math.abs(rounded - value) <= tolerance) return rounded
  }
  return value
}

function medianStep(coordinates: readonly number[]): number {
  const steps = coordinates.slice(1).map((coordinate, i) => coordinate - coordinates[i]!)
  return steps.sort((a, b) => a - b)[Math.floor(steps.length / 2)] ?? 0
}
