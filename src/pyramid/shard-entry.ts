import { crc32 } from '@node-rs/crc32'
import type { Histogram } from './histogram.js'
import { MAX_MOSAIC_EDGE, SHARD_SIZE } from './mosaic-geometry.js'
import type { MosaicSelection } from './pyramid.js'
import { shardPath } from './pyramid-record.js'

/** Which shard of a pyramid. */
export interface ShardKey {
  readonly selection: MosaicSelection
  readonly level: number
  readonly row: number
  readonly column: number
}

/** What is known of a finished shard besides its samples. */
export interface ShardEntry extends ShardKey {
  /** 16 hex digits: of everything the shard's samples depend on. */
  readonly fingerprint: string
  /** Of the shard's file; 0 where none of its frames could be read, and there is no file. */
  readonly bytes: number
  /** `checksumOfShard` of the file: readers tell by it that entry and file belong together. */
  readonly crc32: string
  /** Samples clipped to the stored type (level 0 only, else 0). */
  readonly clipped: number
  /** Of its covered samples, as stored. */
  readonly histogram: Histogram
  /**
   * Level 0 only: rectangles of the frames that are in it, level-0 px of the mosaic, cut to the shard:
   * x0, y0, x1, y1, …
   */
  readonly covered?: readonly number[]
  /** Level 0 only: frames that touch it and could not be read. */
  readonly skipped?: readonly { readonly series: number; readonly frame: number; readonly reason: string }[]
  /**
   * Level 0 only: pairs of frames that overlap here, seven numbers each: series, frame, series, frame, pixels, mean
   * of the first, mean of the second, …
   */
  readonly overlaps?: readonly number[]
}

/** Numbers of one pair in `ShardEntry.overlaps`. */
const OVERLAP_NUMBERS = 7

const MAX_BINS = 65_536
/** A safe integer's 53 bits, 7 a byte. */
const MAX_COUNT_BYTES = 8
const MAX_LEVEL = 26
const MAX_PLANES = 65_536

/** A shard's name within its pyramid: equal for equal keys, and the path of its file. */
export function nameOfShard({ selection, level, row, column }: ShardKey): string {
  return shardPath(level, selection, row, column)
}

/**
 * The crc32 (that of zip, not crc32c) of a shard's file, 8 hex digits. Each tile in it is followed by its own crc32c,
 * and over such a pair another crc32c is the same whatever the tile: it would tell nothing.
 */
export function checksumOfShard(bytes: Uint8Array): string {
  return crc32(bytes).toString(16).padStart(8, '0')
}

/** The order of a settled journal: by time, channel, z, then level, row, column. */
export function compareShards(a: ShardKey, b: ShardKey): number {
  return (
    a.selection.timePoint - b.selection.timePoint ||
    a.selection.channel - b.selection.channel ||
    a.selection.zPlane - b.selection.zPlane ||
    a.level - b.level ||
    a.row - b.row ||
    a.column - b.column
  )
}

/** The entry as one line of JSON; equal entries give equal text. */
export function writeShardEntry(entry: ShardEntry): string {
  const { selection, level, row, column, fingerprint, bytes, crc32, clipped, histogram } = entry
  const { covered, skipped, overlaps } = entry
  const { counts, min, max, total, binStart, binWidth } = histogram
  return JSON.stringify({
    t: selection.timePoint,
    c: selection.channel,
    z: selection.zPlane,
    level,
    row,
    column,
    fingerprint,
    bytes,
    crc32,
    clipped,
    // JSON has no NaN: it is written as null.
    histogram: { min, max, total, binStart, binWidth, bins: counts.length, counts: packCounts(counts) },
    covered,
    skipped: skipped?.map(({ series, frame, reason }) => [series, frame, reason]),
    overlaps,
  })
}

/** @returns undefined where the text is no entry, or one whose numbers make no sense. */
export function readShardEntry(text: string): ShardEntry | undefined {
  let stored: StoredEntry | null
  try {
    stored = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof stored !== 'object' || stored === null || !isShard(stored)) return undefined
  const histogram = readHistogram(stored.histogram)
  if (!histogram) return undefined
  const { t, c, z, level, row, column, fingerprint, bytes, crc32, clipped, covered, skipped, overlaps } = stored
  if (!/^[0-9a-f]{16}$/.test(String(fingerprint)) || !/^[0-9a-f]{8}$/.test(String(crc32))) return undefined
  if (!isCount(bytes) || !isCount(clipped)) return undefined
  if (covered !== undefined && !areRectsInside(covered, row * SHARD_SIZE, column * SHARD_SIZE)) return undefined
  const isSkip = (skip: unknown): boolean =>
    Array.isArray(skip) && isCount(skip[0]) && isCount(skip[1]) && typeof skip[2] === 'string'
  if (skipped !== undefined && !(Array.isArray(skipped) && skipped.every(isSkip))) return undefined
  const numbers = overlaps === undefined ? undefined : readNumbers(overlaps)
  if (overlaps !== undefined && (numbers === undefined || numbers.length % OVERLAP_NUMBERS !== 0)) return undefined
  return {
    selection: { channel: c, zPlane: z, timePoint: t },
    level,
    row,
    column,
    fingerprint,
    bytes,
    crc32,
    clipped,
    histogram,
    ...(covered && { covered }),
    ...(skipped && { skipped: skipped.map(([series, frame, reason]) => ({ series, frame, reason })) }),
    ...(numbers && { overlaps: numbers }),
  }
}

interface StoredEntry {
  readonly t: number
  readonly c: number
  readonly z: number
  readonly level: number
  readonly row: number
  readonly column: number
  readonly fingerprint: string
  readonly bytes: number
  readonly crc32: string
  readonly clipped: number
  readonly histogram: unknown
  readonly covered?: readonly number[]
  readonly skipped?: readonly (readonly [number, number, string])[]
  readonly overlaps?: unknown
}

function isCount(value: unknown, below = Number.MAX_SAFE_INTEGER): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < below
}

function isShard({ t, c, z, level, row, column }: StoredEntry): boolean {
  const edge = MAX_MOSAIC_EDGE / SHARD_SIZE
  return (
    [t, c, z].every(plane => isCount(plane, MAX_PLANES)) &&
    isCount(level, MAX_LEVEL + 1) &&
    isCount(row, edge) &&
    isCount(column, edge)
  )
}

/** Whether the list is rectangles that lie in the shard whose first pixel is (left, top). */
function areRectsInside(list: unknown, top: number, left: number): boolean {
  if (!Array.isArray(list) || list.length % 4 !== 0) return false
  for (let i = 0; i < list.length; i += 4) {
    const [x0, y0, x1, y1] = [list[i] - left, list[i + 1] - top, list[i + 2] - left, list[i + 3] - top]
    if (![x0, y0, x1, y1].every(edge => isCount(edge, SHARD_SIZE + 1)) || x0 >= x1 || y0 >= y1) return false
  }
  return true
}

/** @returns the numbers, null standing for NaN. */
function readNumbers(list: unknown): number[] | undefined {
  if (!Array.isArray(list) || !list.every(value => value === null || typeof value === 'number')) return undefined
  return list.map(value => value ?? Number.NaN)
}

function readHistogram(stored: unknown): Histogram | undefined {
  const { min, max, total, binStart, binWidth, bins, counts } = (stored ?? {}) as Record<string, unknown>
  const numbers = readNumbers([min, max, total, binStart, binWidth])
  if (numbers === undefined || !isCount(bins, MAX_BINS + 1) || typeof counts !== 'string') return undefined
  const [least, most, sum, start, width] = numbers
  if (!isCount(sum) || !Number.isFinite(start) || !(width > 0 && Number.isFinite(width))) return undefined
  if (sum > 0 && !(Number.isFinite(least) && Number.isFinite(most))) return undefined
  const unpacked = unpackCounts(counts, bins as number)
  return unpacked && { min: least, max: most, total: sum, binStart: start, binWidth: width, counts: unpacked }
}

/**
 * Counts as LEB128 (7 bits a byte, the lowest first; the high bit says that more follow), in base64. A count of 0 is
 * followed by how many more of them there are. No general compression: it saves a fifth and costs ten times as much.
 */
function packCounts(counts: readonly number[]): string {
  const bytes = Buffer.allocUnsafe(2 * MAX_COUNT_BYTES * counts.length)
  let length = 0
  const put = (value: number): void => {
    let rest = value
    while (rest >= 128) {
      bytes[length++] = (rest & 127) | 128
      rest = Math.floor(rest / 128)
    }
    bytes[length++] = rest
  }
  for (let bin = 0; bin < counts.length; bin++) {
    put(counts[bin])
    if (counts[bin] !== 0) continue
    const first = bin
    while (counts[bin + 1] === 0) bin++
    put(bin - first)
  }
  return bytes.toString('base64', 0, length)
}

/** @returns undefined where the text does not hold exactly so many counts. */
function unpackCounts(text: string, bins: number): number[] | undefined {
  const bytes = Buffer.from(text, 'base64')
  const counts = new Array<number>(bins).fill(0)
  let at = 0
  const take = (): number => {
    let value = 0
    let scale = 1
    while (bytes[at] >= 128) {
      value += (bytes[at++] & 127) * scale
      scale *= 128
    }
    // Beyond the end there is nothing: that makes NaN, which is no count.
    return value + bytes[at++] * scale
  }
  let bin = 0
  while (bin < bins) {
    const count = take()
    const more = count === 0 ? take() : 0
    if (!Number.isSafeInteger(count) || !(more < bins - bin)) return undefined
    counts[bin] = count
    bin += 1 + more
  }
  return at === bytes.length ? counts : undefined
}
