import { SAMPLE_TYPES, type SampleArray, type SampleType } from '../plane.js'

/**
 * How often each value occurs among covered samples.
 *
 * For 8- and 16-bit integers `binWidth` is 1 and bin i counts the value `binStart + i` exactly; for the other types
 * bin i counts [binStart + i·binWidth, binStart + (i+1)·binWidth).
 */
export interface Histogram {
  /** Smallest and largest sample seen; NaN where none was. */
  readonly min: number
  readonly max: number
  readonly total: number
  readonly binStart: number
  readonly binWidth: number
  readonly counts: readonly number[]
}

/** Black and white level, in stored values. */
export interface ContrastWindow {
  readonly black: number
  readonly white: number
}

const FLOAT_BINS = 4096

/** Collects samples of one type into a histogram. NaN and infinite samples are left out. */
export class HistogramBuilder {
  readonly #exact: boolean
  readonly #lowest: number
  readonly #counts: Float64Array
  #total = 0
  #min = Infinity
  #max = -Infinity
  #binStart = 0
  #binWidth = 0

  constructor(type: SampleType) {
    const { bytes, min } = SAMPLE_TYPES[type]
    this.#exact = bytes <= 2
    this.#lowest = this.#exact ? min : 0
    this.#counts = new Float64Array(this.#exact ? 2 ** (8 * bytes) : FLOAT_BINS)
  }

  /** @param mask one byte a sample, 1 = covered; undefined takes all. */
  add(samples: SampleArray, mask?: Uint8Array): void {
    if (this.#exact) this.#addExact(samples, mask)
    else this.#addBinned(samples, mask)
  }

  #addExact(samples: SampleArray, mask: Uint8Array | undefined): void {
    const counts = this.#counts
    const lowest = this.#lowest
    let total = 0
    for (let i = 0; i < samples.length; i++) {
      if (mask !== undefined && mask[i] === 0) continue
      counts[samples[i] - lowest]++
      total++
    }
    this.#total += total
  }

  #addBinned(samples: SampleArray, mask: Uint8Array | undefined): void {
    let [low, high] = [Infinity, -Infinity]
    for (let i = 0; i < samples.length; i++) {
      const value = samples[i]
      if ((mask !== undefined && mask[i] === 0) || !Number.isFinite(value)) continue
      if (value < low) low = value
      if (value > high) high = value
    }
    if (low > high) return
    this.#widen(low, high)
    const scale = this.#binWidth > 0 ? 1 / this.#binWidth : 0
    for (let i = 0; i < samples.length; i++) {
      const value = samples[i]
      if ((mask !== undefined && mask[i] === 0) || !Number.isFinite(value)) continue
      this.#counts[Math.min(FLOAT_BINS - 1, Math.floor((value - this.#binStart) * scale))]++
      this.#total++
    }
  }

  /** Add what was counted elsewhere; bins of other places count at their centres. */
  merge({ min, max, total, binStart, binWidth, counts }: Histogram): void {
    if (total === 0) return
    if (this.#exact) {
      for (let i = 0; i < counts.length; i++) this.#counts[binStart - this.#lowest + i] += counts[i]
      this.#total += total
      return
    }
    this.#widen(min, max)
    const scale = this.#binWidth > 0 ? 1 / this.#binWidth : 0
    for (let i = 0; i < counts.length; i++) {
      const centre = Math.min(max, binStart + (i + 0.5) * binWidth)
      this.#counts[Math.min(FLOAT_BINS - 1, Math.floor((centre - this.#binStart) * scale))] += counts[i]
    }
    this.#total += total
  }

  /** Make the bins reach over [low, high]; what was counted moves to the new bin of its old bin's centre. */
  #widen(low: number, high: number): void {
    if (low >= this.#min && high <= this.#max) return
    const counts = this.#counts
    const [oldStart, oldWidth] = [this.#binStart, this.#binWidth]
    this.#min = Math.min(this.#min, low)
    this.#max = Math.max(this.#max, high)
    this.#binStart = this.#min
    this.#binWidth = (this.#max - this.#min) / FLOAT_BINS
    if (this.#total === 0 || this.#binWidth === 0) return
    const old = counts.slice()
    counts.fill(0)
    for (let i = 0; i < FLOAT_BINS; i++) {
      if (old[i] === 0) continue
      const centre = oldStart + (i + 0.5) * oldWidth
      counts[Math.min(FLOAT_BINS - 1, Math.floor((centre - this.#binStart) / this.#binWidth))] += old[i]
    }
  }

  /** The histogram so far, without empty bins at its ends. */
  finish(): Histogram {
    const counts = this.#counts
    if (this.#total === 0) return { min: NaN, max: NaN, total: 0, binStart: 0, binWidth: 1, counts: [] }
    if (!this.#exact) {
      const flat = this.#binWidth === 0
      return {
        min: this.#min,
        max: this.#max,
        total: this.#total,
        binStart: this.#binStart,
        binWidth: flat ? 1 : this.#binWidth,
        counts: flat ? [this.#total] : Array.from(counts),
      }
    }
    return histogramOfCounts(counts, this.#lowest)
  }
}

/** The histogram of 8- and 16-bit integers of which `counts[i]` have the value `lowest + i`. */
export function histogramOfCounts(counts: Float64Array | Uint32Array, lowest: number): Histogram {
  // Called for every shard: a callback for each of 65,536 counts would show.
  let [first, last] = [0, counts.length - 1]
  while (first <= last && counts[first] === 0) first++
  if (first > last) return { min: NaN, max: NaN, total: 0, binStart: 0, binWidth: 1, counts: [] }
  while (counts[last] === 0) last--
  const kept = Array.from(counts.subarray(first, last + 1))
  return {
    min: first + lowest,
    max: last + lowest,
    total: kept.reduce((sum, count) => sum + count, 0),
    binStart: first + lowest,
    binWidth: 1,
    counts: kept,
  }
}

/** Whether a value read from a file is a histogram that can be used. An empty one has no `min` and `max`. */
export function isHistogram(value: unknown): value is Histogram {
  const { min, max, total, binStart, binWidth, counts } = (value ?? {}) as Partial<Histogram>
  const finite = (...numbers: unknown[]): boolean => numbers.every(Number.isFinite)
  return (
    finite(total, binStart, binWidth) &&
    Number(binWidth) > 0 &&
    (total === 0 || finite(min, max)) &&
    Array.isArray(counts) &&
    counts.every(count => Number.isFinite(count) && count >= 0)
  )
}

/** The value below or at which the share `q` (0 … 1) of the samples lies. */
export function quantile(histogram: Histogram, q: number): number {
  const { counts, binStart, binWidth, total, min, max } = histogram
  const wanted = q * total
  let sum = 0
  for (let i = 0; i < counts.length; i++) {
    const count = counts[i]
    if (count > 0 && sum + count >= wanted) {
      if (isExact(histogram)) return binStart + i
      return Math.min(max, Math.max(min, binStart + (i + (wanted - sum) / count) * binWidth))
    }
    sum += count
  }
  return max
}

/** Whether each bin stands for one integer. */
function isExact({ binWidth, binStart, counts, max }: Histogram): boolean {
  return binWidth === 1 && Number.isInteger(binStart) && binStart + counts.length - 1 === max
}

/** Least distance of black and white level of integer samples, counts. */
const LEAST_WINDOW = 16

/**
 * The contrast at first sight: black at the 0.1th, white at the 99.9th percentile of the covered samples; integers at
 * least 16 counts apart.
 */
export function automaticWindow(histogram: Histogram, type: SampleType): ContrastWindow {
  const { integer, min: lowest, max: highest } = SAMPLE_TYPES[type]
  if (histogram.total === 0) return { black: 0, white: integer ? Math.min(highest, 255) : 1 }
  const black = quantile(histogram, 0.001)
  const white = quantile(histogram, 0.999)
  if (integer) {
    if (white - black >= LEAST_WINDOW) return { black: Math.floor(black), white: Math.ceil(white) }
    const end = Math.min(highest, Math.floor(black) + LEAST_WINDOW)
    return { black: Math.max(lowest, end - LEAST_WINDOW), white: end }
  }
  return white > black ? { black, white } : { black, white: black + Math.max(1e-6, Math.abs(black) * 1e-6) }
}

/** The same histogram in at most `bins` bins, for drawing; integer bins stay whole numbers wide. */
export function coarsen(histogram: Histogram, bins: number): Histogram {
  const { counts, binWidth } = histogram
  const merged = Math.max(1, Math.ceil(counts.length / bins))
  if (merged === 1) return histogram
  const sums = new Array<number>(Math.ceil(counts.length / merged)).fill(0)
  counts.forEach((count, i) => {
    sums[Math.floor(i / merged)] += count
  })
  return { ...histogram, binWidth: binWidth * merged, counts: sums }
}
