import type { Histogram } from '../pyramid/histogram.js'

/** How many samples lie at or below a value, ready to be asked; in memory that all threads see, where there are any. */
export interface CumulativeHistogram {
  /** No two of this process share it. */
  readonly id: number
  readonly binStart: number
  readonly binWidth: number
  /** `sums[i]` samples lie in the first i bins; one longer than there are bins. */
  readonly sums: Float64Array
}

let made = 0
const known = new WeakMap<object, CumulativeHistogram>()
/** Pages have none. */
const SharedBuffer = typeof SharedArrayBuffer === 'undefined' ? ArrayBuffer : SharedArrayBuffer

/** Of the same histogram always the same. */
export function cumulate(histogram: Pick<Histogram, 'binStart' | 'binWidth' | 'counts'>): CumulativeHistogram {
  const found = known.get(histogram)
  if (found) return found
  const { binStart, binWidth, counts } = histogram
  const sums = new Float64Array(new SharedBuffer(Float64Array.BYTES_PER_ELEMENT * (counts.length + 1)))
  for (let i = 0; i < counts.length; i++) sums[i + 1] = sums[i] + counts[i]
  const cumulative = { id: made++, binStart, binWidth, sums }
  known.set(histogram, cumulative)
  return cumulative
}

/**
 * How many samples lie at or below a value.
 *
 * @param exact whether each bin counts one value; else its samples count as a whole at the middle of the bin, and linearly
 *   between middles: so does scikit-image's `equalize_hist`.
 */
export function samplesUpTo({ binStart, binWidth, sums }: CumulativeHistogram, value: number, exact: boolean): number {
  const last = sums.length - 1
  const bins = (value - binStart) / binWidth
  if (exact) return sums[value < binStart ? 0 : Math.min(last, Math.floor(Math.max(0, bins)) + 1)]
  // Before the first middle and behind the last one it stays what it is there.
  const place = Math.min(last, Math.max(1, bins + 0.5))
  const bin = Math.floor(place)
  return bin === last ? sums[last] : sums[bin] + (place - bin) * (sums[bin + 1] - sums[bin])
}
