import { allocateSamples, type Rect, type SampleArray } from '../plane.js'
import type { MosaicSelection, Pyramid } from './pyramid.js'
import { RankSearch } from './rank-search.js'
import { partsOfRegion } from './read-region.js'

/** What is known of the covered samples of a region. Stored values; all but `count` are undefined where there is none. */
export interface RegionStatistics {
  /** Covered samples that are not NaN. */
  readonly count: number
  readonly min: number | undefined
  readonly max: number | undefined
  readonly sum: number | undefined
  readonly mean: number | undefined
  /** Standard deviation of the samples themselves: divided by `count`. */
  readonly standardDeviation: number | undefined
  /** The quantiles that were asked for, in their order; between two samples, linearly. Exact for every sample type. */
  readonly quantiles: readonly (number | undefined)[]
  /** How many lie above the threshold. */
  readonly above: number
}

interface StatisticsQuestion {
  readonly selection: MosaicSelection
  readonly level: number
  /** Px of the level. */
  readonly region: Rect
  /** Each from 0 to 1. */
  readonly quantiles: readonly number[]
  /** Stored value. */
  readonly threshold?: number
}

/**
 * Statistics of a region of any size. It is read tile by tile and never held as a whole: once for samples of 8 and 16
 * bits, and once more for every further 16 bits, since the order of larger samples is found 16 bits at a time.
 *
 * @throws as `readRegion`.
 */
export async function measureRegion(
  pyramid: Pyramid,
  { selection, level, region, quantiles, threshold = Infinity }: StatisticsQuestion,
  options: { readonly signal?: AbortSignal } = {},
): Promise<RegionStatistics> {
  const moments = new Moments()
  const search = new RankSearch(pyramid.sampleType)
  let above = 0
  for await (const samples of coveredSamples(pyramid, selection, level, region, options)) {
    moments.add(samples)
    search.add(samples)
    for (let i = 0; i < samples.length; i++) if (samples[i] > threshold) above++
  }
  const { count } = moments
  if (count === 0) return { ...moments.finish(), quantiles: quantiles.map(() => undefined), above }
  const places = quantiles.map(q => q * (count - 1))
  const ranks = [...new Set(places.flatMap(place => [Math.floor(place), Math.ceil(place)]))]
  while (search.endPass(ranks))
    for await (const samples of coveredSamples(pyramid, selection, level, region, options)) search.add(samples)
  const valueAt = (place: number): number => {
    const below = search.valueAt(Math.floor(place))
    const share = place - Math.floor(place)
    return share === 0 ? below : below + (search.valueAt(Math.ceil(place)) - below) * share
  }
  return { ...moments.finish(), quantiles: places.map(valueAt), above }
}

/** The covered samples of a region that are not NaN, tile by tile. */
export async function* coveredSamples(...region: Parameters<typeof partsOfRegion>): AsyncGenerator<SampleArray> {
  for await (const { tile, x0, y0, rect } of partsOfRegion(...region)) {
    const { plane, mask } = tile
    const kept = allocateSamples(plane.sampleType, (rect.x1 - rect.x0) * (rect.y1 - rect.y0))
    let count = 0
    for (let y = rect.y0; y < rect.y1; y++) {
      const line = (y - y0) * plane.width - x0
      for (let i = line + rect.x0; i < line + rect.x1; i++) {
        if ((mask !== undefined && mask[i] === 0) || Number.isNaN(plane.samples[i])) continue
        kept[count++] = plane.samples[i]
      }
    }
    yield kept.subarray(0, count)
  }
}

/** Count, extremes, sum and spread of samples that come bit by bit, without loss where there are very many. */
class Moments {
  count = 0
  #min = Infinity
  #max = -Infinity
  #sum = 0
  #mean = 0
  /** Sum of the squared distances from the mean. */
  #spread = 0

  add(samples: SampleArray): void {
    const count = samples.length
    if (count === 0) return
    let sum = 0
    for (let i = 0; i < count; i++) {
      const value = samples[i]
      sum += value
      if (value < this.#min) this.#min = value
      if (value > this.#max) this.#max = value
    }
    const mean = sum / count
    let spread = 0
    for (let i = 0; i < count; i++) spread += (samples[i] - mean) ** 2
    // Chan, Golub and LeVeque (1979): how the spreads of two sets add up.
    const both = this.count + count
    const distance = mean - this.#mean
    this.#spread += spread + (distance * distance * this.count * count) / both
    this.#mean += (distance * count) / both
    this.#sum += sum
    this.count = both
  }

  finish(): Omit<RegionStatistics, 'quantiles' | 'above'> {
    const { count } = this
    if (count === 0)
      return { count, min: undefined, max: undefined, sum: undefined, mean: undefined, standardDeviation: undefined }
    return {
      count,
      min: this.#min,
      max: this.#max,
      sum: this.#sum,
      mean: this.#sum / count,
      standardDeviation: Math.sqrt(this.#spread / count),
    }
  }
}
