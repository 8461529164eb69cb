import type { Histogram } from '../pyramid/histogram.js'

/** How many samples lie at or below a value, ready to be asked; in memory that all threads see. */
export interface CumulativeHistogram {
  /** No two of this process share it. */
  readonly id: number
  readonly binStart: number
  readonly binWidth: number
  /** `sums[i]` samples lie in the first i bins; one longer than there are bins. */
  readonly sums: Float64Array
}

let made = 0
const known = new WeakMap<Histogram, CumulativeHistogram>()

/** Of the same histogram always the same. */
export function cumulate(histogram: Histogram): CumulativeHistogram {
  const found = known.get(histogram)
  if (found) return found
  const { binStart, binWidth, counts } = histogram
  const sums = new Float64Array(new SharedArrayBuffer(Float64Array.BYTES_PER_ELEMENT * (counts.length + 1)))
  for (let i = 0; i < counts.length; i++) sums[i + 1] = sums[i] + counts[i]
  const cumulative = { id: made++, binStart, binWidth, sums }
  known.set(histogram, cumulative)
  return cumulative
}

/**
 * How many samples lie at or below a value.
 *
 * @param exact whether each bin counts one value; else its samples count as evenly spread.
 */
export function samplesUpTo({ binStart, binWidth, sums }: CumulativeHistogram, value: number, exact: boolean): number {
  const last = sums.length - 1
  const place = Math.min(last, Math.max(0, (value - binStart) / binWidth))
  const bin = Math.floor(place)
  if (exact) return sums[value < binStart ? 0 : Math.min(last, bin + 1)]
  return bin === last ? sums[last] : sums[bin] + (place - bin) * (sums[bin + 1] - sums[bin])
}
