import { join } from 'node:path'
import { CorruptDataError } from '../errors.js'
import { type PyramidRecord, REPORT_FILE } from './pyramid-record.js'
import { parseJson, readSideFile } from './side-file.js'

/** How bright two overlapping frames are where they overlap, a pair an entry; means in counts above dark. */
export interface OverlapColumns {
  readonly seriesA: readonly number[]
  readonly frameA: readonly number[]
  readonly seriesB: readonly number[]
  readonly frameB: readonly number[]
  /** Pixels compared. */
  readonly pixels: readonly number[]
  readonly meanA: readonly number[]
  readonly meanB: readonly number[]
}

/** What a build has to say beside the picture. */
export interface ReportDocument {
  readonly formatVersion: 1
  /** Share of the mosaic's pixels that a frame covers, 0 … 1, per channel (all its planes together). */
  readonly coverage: readonly number[]
  /** Of the last run: frames that went in, bytes of their samples, and the time it took. */
  readonly throughput: { readonly frames: number; readonly sampleBytes: number; readonly seconds: number }
  readonly overlaps: {
    readonly pairs: number
    /** |mean A − mean B| / mean of both, over the pairs; null where there are none. */
    readonly medianMismatch: number | null
    readonly worstMismatch: number | null
    readonly columns: OverlapColumns
  }
}

/** A pair of frames whose brightness differs. */
export interface Mismatch {
  readonly series: readonly [number, number]
  readonly frames: readonly [number, number]
  readonly mismatch: number
}

/** Difference of two means over their mean: 0.02 is 2 %. */
export function mismatchOf(meanA: number, meanB: number): number {
  return Math.abs(meanA - meanB) / (Math.abs(meanA + meanB) / 2)
}

/** The pairs that differ most, the worst first. */
export function worstPairs({ columns }: ReportDocument['overlaps'], count: number): Mismatch[] {
  return columns.meanA
    .map(
      (meanA, i): Mismatch => ({
        series: [columns.seriesA[i], columns.seriesB[i]],
        frames: [columns.frameA[i], columns.frameB[i]],
        mismatch: mismatchOf(meanA, columns.meanB[i]),
      }),
    )
    .filter(({ mismatch }) => Number.isFinite(mismatch))
    .sort((a, b) => b.mismatch - a.mismatch)
    .slice(0, count)
}

/**
 * The report of a finished pyramid.
 *
 * @returns undefined where it has none. @throws {CorruptDataError} it is damaged.
 */
export async function readReport(directory: string, record: PyramidRecord): Promise<ReportDocument | undefined> {
  if (!record.report) return undefined
  const url = join(directory, REPORT_FILE)
  const report = parseJson(await readSideFile(url, record.report), url) as Partial<ReportDocument> | null
  const lists = Object.values(report?.overlaps?.columns ?? {}) as unknown[]
  const isWhole = lists.length === 7 && lists.every(list => Array.isArray(list) && list.every(Number.isFinite))
  if (isWhole && Array.isArray(report?.coverage) && Number.isFinite(report.throughput?.seconds))
    return report as ReportDocument
  throw new CorruptDataError(`${url} is damaged: it is no report of a build.`, { url })
}
