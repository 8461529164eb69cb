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
  const positions = new Map(frames.map(({ series, index }, position) => [`${series}/${index}`, position]))
  const covered = channels.map(() => 0)
  const skipped = new Map<number, string>()
  const pairs = new Map<number, { pixels: number; sumA: number; sumB: number }>()
  let clipped = 0
  for await (const entry of entries) {
    histograms[entry.selection.channel][entry.level].merge(entry.histogram)
    clipped += entry.clipped
    if (entry.level === 0) covered[entry.selection.channel] += entry.histogram.total
    for (const { series, frame, reason } of entry.skipped ?? []) {
      const position = positions.get(`${series}/${frame}`)
      if (position !== undefined) skipped.set(position, reason)
    }
    const overlaps = entry.overlaps ?? []
    for (let i = 0; i < overlaps.length; i += 7) {
      const a = positions.get(`${overlaps[i]}/${overlaps[i + 1]}`)
      const b = positions.get(`${overlaps[i + 2]}/${overlaps[i + 3]}`)
      if (a === undefined || b === undefined) continue
      const pixels = overlaps[i + 4]
      const key = a * frames.length + b
      const pair = pairs.get(key) ?? { pixels: 0, sumA: 0, sumB: 0 }
      pair.pixels += pixels
      pair.sumA += pixels * overlaps[i + 5]
      pair.sumB += pixels * overlaps[i + 6]
      pairs.set(key, pair)
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

function describeOverlaps(
  { frames, darkLevels }: Placement,
  pairs: ReadonlyMap<number, { readonly pixels: number; readonly sumA: number; readonly sumB: number }>,
): ReportDocument['overlaps'] {
  const empty = (): number[] => []
  const columns = {
    ...{ seriesA: empty(), frameA: empty(), seriesB: empty(), frameB: empty() },
    ...{ pixels: empty(), meanA: empty(), meanB: empty() },
  }
  const mismatches: number[] = []
  for (const [key, { pixels, sumA, sumB }] of [...pairs].sort(([a], [b]) => a - b)) {
    const a = frames[Math.floor(key / frames.length)]
    const b = frames[key % frames.length]
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
