import { allocateSamples, type Plane, SAMPLE_TYPES, type SampleArray, type SampleType } from '../plane.js'

/** For every output pixel along an axis, which source pixels it is made of. */
export interface AxisTaps {
  /** Where the source pixels of each output pixel begin. */
  readonly first: Int32Array
  /** Where their weights begin; those of output pixel i end where those of i + 1 begin. */
  readonly start: Uint32Array
  readonly weights: Float64Array
}

/**
 * How one axis is resampled. Shrinking takes what share of each source pixel lies in the output pixel (area mean);
 * enlarging takes the one source pixel in which the output pixel's centre lies (nearest), so that no value is made up.
 *
 * @param from first edge of the output, in source pixels (pixel i reaches from i to i + 1).
 * @param step source pixels to an output pixel.
 * @param size output pixels.
 * @param first first source pixel that there is. @param end the one behind the last; others are left out.
 */
export function tapsOf(from: number, step: number, size: number, first: number, end: number): AxisTaps {
  const taps = { first: new Int32Array(size), start: new Uint32Array(size + 1) }
  const weights: number[] = []
  for (let i = 0; i < size; i++) {
    const low = snap(from + i * step)
    const high = snap(from + (i + 1) * step)
    const isShrunk = step > 1
    const [left, right] = isShrunk ? [Math.floor(low), Math.ceil(high)] : nearest(low, high)
    taps.first[i] = Math.min(end, Math.max(first, left))
    for (let k = taps.first[i]; k < Math.min(end, right); k++)
      weights.push(isShrunk ? Math.min(k + 1, high) - Math.max(k, low) : 1)
    taps.start[i + 1] = weights.length
  }
  return { ...taps, weights: Float64Array.from(weights) }
}

function nearest(low: number, high: number): [first: number, end: number] {
  const pixel = Math.floor(snap((low + high) / 2))
  return [pixel, pixel + 1]
}

/** An edge that lies on a pixel's edge but for rounding shall take nothing of the next pixel. */
function snap(edge: number): number {
  const whole = Math.round(edge)
  return Math.abs(edge - whole) < 1e-6 ? whole : edge
}

/** The source pixel behind the last of an output pixel's. */
export function endOfTaps({ first, start }: AxisTaps, i: number): number {
  return first[i] + start[i + 1] - start[i]
}

/** Consecutive rows of a picture, from row `y` on. */
export interface PictureRows {
  readonly y: number
  readonly plane: Plane
  /** One byte a sample, row-major, 1 = covered. */
  readonly mask: Uint8Array
}

/** What an output row has got so far. */
interface OpenRow {
  /** Σ w·v of every pixel. */
  readonly sums: Float64Array
  /** Σ w of the source rows that are covered as a whole: most are. */
  wholeWeight: number
  /** Σ w of every pixel over the other ones. */
  weights: Float64Array | undefined
}

/**
 * Makes a picture of another size from source rows, which are given one after the other. Means are over covered
 * samples that are not NaN; integers are rounded half to even. It keeps a row or two, whatever the sizes.
 */
export class RowResampler {
  readonly #columns: AxisTaps
  readonly #rows: AxisTaps
  readonly #sourceX0: number
  readonly #sampleType: SampleType
  /** Σ w of every pixel along a row that is covered as a whole. */
  readonly #fullWeights: Float64Array
  /** Σ w·v and Σ w of every pixel along the source row at hand. */
  readonly #rowSums: Float64Array
  readonly #rowWeights: Float64Array
  /** Output rows that were begun, by row. */
  readonly #open = new Map<number, OpenRow>()
  /** First output row that may still need source rows. */
  #next = 0

  /** @param sourceX0 the first source pixel of the rows that are given; the taps of the columns stay inside them. */
  constructor(columns: AxisTaps, rows: AxisTaps, sourceX0: number, sampleType: SampleType) {
    this.#columns = columns
    this.#rows = rows
    this.#sourceX0 = sourceX0
    this.#sampleType = sampleType
    const width = columns.first.length
    this.#fullWeights = new Float64Array(width)
    for (let i = 0; i < width; i++)
      for (let k = columns.start[i]; k < columns.start[i + 1]; k++) this.#fullWeights[i] += columns.weights[k]
    this.#rowSums = new Float64Array(width)
    this.#rowWeights = new Float64Array(width)
  }

  /**
   * @param y the source row; each larger than the one before.
   * @param mask undefined where all of the row is covered.
   */
  push(y: number, samples: SampleArray, mask: Uint8Array | undefined): void {
    const { first, start, weights } = this.#rows
    const height = first.length
    while (this.#next < height && endOfTaps(this.#rows, this.#next) <= y) this.#next++
    if (this.#next === height || first[this.#next] > y) return
    // Most of a sparse mosaic.
    if (mask !== undefined && !mask.includes(1)) return
    const isWhole = mask === undefined && SAMPLE_TYPES[this.#sampleType].integer
    if (isWhole) this.#sumWholeRow(samples)
    else this.#sumRow(samples, mask)
    let shared: OpenRow | undefined
    for (let row = this.#next; row < height && first[row] <= y; row++) {
      if (endOfTaps(this.#rows, row) <= y) continue
      // Enlarged, a source row is the whole of many output rows, which then are one object.
      const isShared = start[row + 1] - start[row] === 1 && weights[start[row]] === 1
      const open: OpenRow = (isShared ? shared : this.#open.get(row)) ?? this.#emptyRow()
      this.#open.set(row, open)
      if (!isShared || !shared) this.#accumulate(open, weights[start[row] + y - first[row]], isWhole)
      if (isShared) shared = open
    }
  }

  #emptyRow(): OpenRow {
    return { sums: new Float64Array(this.#rowSums.length), wholeWeight: 0, weights: undefined }
  }

  #sumWholeRow(samples: SampleArray): void {
    const { first, start, weights } = this.#columns
    const sums = this.#rowSums
    const x0 = this.#sourceX0
    for (let i = 0; i < sums.length; i++) {
      const end = start[i + 1]
      let sum = 0
      for (let k = start[i], at = first[i] - x0; k < end; k++, at++) sum += weights[k] * samples[at]
      sums[i] = sum
    }
  }

  #sumRow(samples: SampleArray, mask: Uint8Array | undefined): void {
    const { first, start, weights } = this.#columns
    for (let i = 0; i < first.length; i++) {
      let sum = 0
      let weightSum = 0
      for (let k = start[i], at = first[i] - this.#sourceX0; k < start[i + 1]; k++, at++) {
        const value = samples[at]
        if ((mask !== undefined && mask[at] === 0) || Number.isNaN(value)) continue
        sum += weights[k] * value
        weightSum += weights[k]
      }
      this.#rowSums[i] = sum
      this.#rowWeights[i] = weightSum
    }
  }

  /** Add the source row at hand. */
  #accumulate(open: OpenRow, weight: number, isWhole: boolean): void {
    const { sums } = open
    const rowSums = this.#rowSums
    for (let i = 0; i < sums.length; i++) sums[i] += weight * rowSums[i]
    if (isWhole) {
      open.wholeWeight += weight
      return
    }
    open.weights ??= new Float64Array(sums.length)
    const { weights } = open
    const rowWeights = this.#rowWeights
    for (let i = 0; i < weights.length; i++) weights[i] += weight * rowWeights[i]
  }

  /** Output rows `y` to `end`, of which all source rows were given; they are forgotten then. */
  take(y: number, end: number): PictureRows {
    const width = this.#rowSums.length
    const samples = allocateSamples(this.#sampleType, width * (end - y))
    const mask = new Uint8Array(samples.length)
    for (let row = y; row < end; row++) {
      const part = [(row - y) * width, (row - y + 1) * width] as const
      const open = this.#open.get(row)
      this.#open.delete(row)
      finishRow(open, this.#fullWeights, samples.subarray(...part), mask.subarray(...part), this.#sampleType)
    }
    return { y, plane: { width, height: end - y, sampleType: this.#sampleType, samples }, mask }
  }
}

/** Added to a number of less than 52 bits and taken off again, it leaves the nearest whole one, halves the even one. */
const ROUNDING = 1.5 * 2 ** 52

/** Means of a row; 0 or NaN where nothing is covered. */
function finishRow(
  open: OpenRow | undefined,
  fullWeights: Float64Array,
  samples: SampleArray,
  mask: Uint8Array,
  sampleType: SampleType,
): void {
  const { integer } = SAMPLE_TYPES[sampleType]
  if (!integer) samples.fill(Number.NaN)
  if (!open) return
  const { sums, wholeWeight, weights } = open
  for (let i = 0; i < sums.length; i++) {
    const weight = wholeWeight * fullWeights[i] + (weights === undefined ? 0 : weights[i])
    if (weight === 0) continue
    const mean = sums[i] / weight
    samples[i] = integer ? mean + ROUNDING - ROUNDING : mean
    mask[i] = 1
  }
}
