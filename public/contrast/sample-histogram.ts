import type { Rect, SampleArray } from '../../src/plane.js'
import type { HistogramReply } from '../server/pyramid-api.js'

/** Counts over equal bins, of samples that are numbers; bin i covers `start + i · binWidth` up to the next. */
export interface SampleHistogram {
  readonly start: number
  readonly binWidth: number
  readonly counts: ArrayLike<number>
  readonly total: number
  /** The largest sample. */
  readonly max: number
}

/** A rectangle of the samples of a tile; without a mask all of them are covered. */
export interface SampleBlock extends Rect {
  readonly samples: SampleArray
  readonly mask: Uint8Array | undefined
  /** Samples in a row of the tile. */
  readonly stride: number
}

/** @returns `undefined` where the server counted nothing. */
export function histogramOf({ binStart, binWidth, counts, max }: HistogramReply): SampleHistogram | undefined {
  const total = counts.reduce((sum, count) => sum + count, 0)
  return total > 0 ? { start: binStart, binWidth, counts, total, max } : undefined
}

const FINE_BINS = 4096
const MAX_EXACT_BINS = 65536

function forEachCovered(block: SampleBlock, visit: (value: number) => void): void {
  const { samples, mask, stride } = block
  for (let y = block.y0; y < block.y1; y++) {
    const end = y * stride + block.x1
    for (let index = y * stride + block.x0; index < end; index++) {
      const value = samples[index] as number
      if ((!mask || mask[index]) && Number.isFinite(value)) visit(value)
    }
  }
}

/**
 * The histogram of the covered samples of all blocks: a bin a value where integers span at most 65,536 of them,
 * 4,096 bins between smallest and largest otherwise.
 *
 * @returns `undefined` where nothing is covered.
 */
export function countSamples(blocks: readonly SampleBlock[], integer: boolean): SampleHistogram | undefined {
  let min = Infinity
  let max = -Infinity
  let total = 0
  for (const block of blocks) {
    forEachCovered(block, value => {
      if (value < min) min = value
      if (value > max) max = value
      total++
    })
  }
  if (total === 0) return undefined
  const exact = integer && max - min < MAX_EXACT_BINS
  const binWidth = exact ? 1 : (max - min) / FINE_BINS || 1
  const counts = new Uint32Array(exact ? max - min + 1 : FINE_BINS)
  const last = counts.length - 1
  for (const block of blocks) {
    forEachCovered(block, value => {
      const bin = Math.min(last, Math.floor((value - min) / binWidth))
      counts[bin] = (counts[bin] as number) + 1
    })
  }
  return { start: min, binWidth, counts, total, max }
}

/** The value that a share (0 … 1) of the samples does not exceed, to the accuracy of the bins. */
export function percentile({ start, binWidth, counts, total }: SampleHistogram, share: number): number {
  let sum = 0
  for (let bin = 0; bin < counts.length; bin++) {
    sum += counts[bin] as number
    if (sum > 0 && sum >= share * total) return start + bin * binWidth
  }
  return start + (counts.length - 1) * binWidth
}

/** The share of samples (0 … 1) whose bin starts below `value`. */
export function shareBelow({ start, binWidth, counts, total }: SampleHistogram, value: number): number {
  const end = Math.min(counts.length, Math.max(0, Math.ceil((value - start) / binWidth)))
  let sum = 0
  for (let bin = 0; bin < end; bin++) sum += counts[bin] as number
  return sum / total
}

/** Spread the counts over `columns` equal steps from `from` to `to`, each bin evenly over the steps it touches. */
export function resample(histogram: SampleHistogram, from: number, to: number, columns: number): Float64Array {
  const { start, binWidth, counts } = histogram
  const out = new Float64Array(columns)
  const step = (to - from) / columns
  for (let bin = 0; bin < counts.length; bin++) {
    const count = counts[bin] as number
    if (count === 0) continue
    const low = (start + bin * binWidth - from) / step
    const high = low + binWidth / step
    const last = Math.min(columns - 1, Math.ceil(high) - 1)
    for (let column = Math.max(0, Math.floor(low)); column <= last; column++) {
      const overlap = Math.min(high, column + 1) - Math.max(low, column)
      out[column] = (out[column] as number) + (count * overlap) / (high - low)
    }
  }
  return out
}
