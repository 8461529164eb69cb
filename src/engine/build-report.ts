import { HistogramBuilder } from '../pyramid/histogram.js'
import type { Placement } from '../pyramid/placement.js'
import type { StoredHistograms } from '../pyramid/pyramid-store.js'
import { mismatchOf, type ReportDocument } from '../pyramid/report-file.js'
import type { ShardEntry } from '../pyramid/shard-journal.js'

export interface BuildSummary {
  readonly histograms: StoredHistograms
  /** Why frames were left out, by position in the placement. */
  readonly skipped: ReadonlyMap<number, string>
  readonly clipped: number
  readonly report: ReportDocument
}

/** Put together what the journal says of every shard. */
export async function summarise(
  placement: Placement,
  entries: AsyncIterable<ShardEntry>,
  throughput: ReportDocument['throughput'],
): Promise<BuildSummary> {
  const { geometry, sampleType, channels, frames, zPlanes, timePoints } = placement
  const histograms = channels.map(() =>
    Array.from({ length: geometry.levelCount }, () => new HistogramBuilder(sampleType)),
  )
  const positions = positionsOf(frames)
  const covered = channels.map(() => 0)
  const skipped = new Map<number, string>()
  const pairs = new PairSums()
  let clipped = 0
  for await (const entry of entries) {
    histograms[entry.selection.channel][entry.level].merge(entry.histogram)
    clipped += entry.clipped
    if (entry.level === 0) covered[entry.selection.channel] += entry.histogram.total
    for (const { series, frame, reason } of entry.skipped ?? []) {
      const position = positions.get(series)?.get(frame)
      if (position !== undefined) skipped.set(position, reason)
    }
    const overlaps = entry.overlaps ?? []
    for (let i = 0; i < overlaps.length; i += 7) {
      const a = positions.get(overlaps[i])?.get(overlaps[i + 1])
      const b = positions.get(overlaps[i + 2])?.get(overlaps[i + 3])
      if (a === undefined || b === undefined) continue
      const pixels = overlaps[i + 4]
      pairs.add(a, b, pixels, pixels * overlaps[i + 5], pixels * overlaps[i + 6])
    }
  }
  const planePixels = geometry.size.width * geometry.size.height * zPlanes * timePoints
  return {
    histograms: { channels: histograms.map(levels => ({ levels: levels.map(builder => builder.finish()) })) },
    skipped: new Map([...skipped].sort(([a], [b]) => a - b)),
    clipped,
    report: {
      formatVersion: 1,
      coverage: covered.map(pixels => pixels / planePixels),
      throughput,
      overlaps: describeOverlaps(placement, pairs),
    },
  }
}

/** Positions in the placement, by series and frame number. */
function positionsOf(frames: Placement['frames']): ReadonlyMap<number, ReadonlyMap<number, number>> {
  const positions = new Map<number, Map<number, number>>()
  frames.forEach(({ series, index }, position) => {
    const ofSeries = positions.get(series) ?? new Map<number, number>()
    positions.set(series, ofSeries.set(index, position))
  })
  return positions
}

/** Sums over the parts of overlaps that lie in different shards, a row each: a large plate has a million. */
class PairSums {
  #rows = new Float64Array(5 * 1024)
  #count = 0

  add(a: number, b: number, pixels: number, sumA: number, sumB: number): void {
    if (5 * (this.#count + 1) > this.#rows.length) {
      const rows = new Float64Array(2 * this.#rows.length)
      rows.set(this.#rows)
      this.#rows = rows
    }
    this.#rows.set([a, b, pixels, sumA, sumB], 5 * this.#count++)
  }

  /** The pairs by their positions, each once. */
  *merged(): Generator<{ a: number; b: number; pixels: number; sumA: number; sumB: number }> {
    const rows = this.#rows
    const order = Uint32Array.from({ length: this.#count }, (_, i) => 5 * i)
    order.sort((i, j) => rows[i] - rows[j] || rows[i + 1] - rows[j + 1] || i - j)
    for (let k = 0; k < order.length; ) {
      const [a, b] = rows.subarray(order[k], order[k] + 2)
      const pair = { a, b, pixels: 0, sumA: 0, sumB: 0 }
      for (; k < order.length && rows[order[k]] === a && rows[order[k] + 1] === b; k++) {
        pair.pixels += rows[order[k] + 2]
        pair.sumA += rows[order[k] + 3]
        pair.sumB += rows[order[k] + 4]
      }
      yield pair
    }
  }
}

function describeOverlaps({ frames, darkLevels }: Placement, pairs: PairSums): ReportDocument['overlaps'] {
  const empty = (): number[] => []
  const columns = {
    ...{ seriesA: empty(), frameA: empty(), seriesB: empty(), frameB: empty() },
    ...{ pixels: empty(), meanA: empty(), meanB: empty() },
  }
  const mismatches: number[] = []
  for (const { a: first, b: second, pixels, sumA, sumB } of pairs.merged()) {
    const [a, b] = [frames[first], frames[second]]
    const meanA = sumA / pixels - darkOf(darkLevels[a.series])
    const meanB = sumB / pixels - darkOf(darkLevels[b.series])
    columns.seriesA.push(a.series)
    columns.frameA.push(a.index)
    columns.seriesB.push(b.series)
    columns.frameB.push(b.index)
    columns.pixels.push(pixels)
    columns.meanA.push(round(meanA))
    columns.meanB.push(round(meanB))
    const mismatch = mismatchOf(meanA, meanB)
    if (Number.isFinite(mismatch)) mismatches.push(mismatch)
  }
  mismatches.sort((a, b) => a - b)
  return {
    pairs: columns.pixels.length,
    medianMismatch: mismatches[Math.floor(mismatches.length / 2)] ?? null,
    worstMismatch: mismatches.at(-1) ?? null,
    columns,
  }
}

/** A dark image is taken off pixel by pixel, and not here. */
function darkOf(level: number): number {
  return Number.isNaN(level) ? 0 : level
}

function round(mean: number): number {
  return Number(mean.toPrecision(7))
}
