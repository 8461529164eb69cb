import { type FileHandle, open, readFile, realpath, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { crc32c } from '@node-rs/crc32'
import { LRUCache } from 'lru-cache'
import { CorruptDataError, fromSystemError, LimitExceededError, systemCode, UnsupportedDataError } from '../errors.js'
import type { Plane, SampleType } from '../plane.js'
import { type Coverage, FrameCoverage } from './coverage.js'
import type { Histogram } from './histogram.js'
import { isInGrid, type MosaicGeometry, SHARD_SIZE, type TileAddress } from './mosaic-geometry.js'
import { type PlacementRow, readPlacementTable } from './placement-table.js'
import type { Channel, MosaicSelection, Pyramid, Well } from './pyramid.js'
import {
  geometryOf,
  HISTOGRAMS_FILE,
  PLACEMENT_FILE,
  type PyramidRecord,
  parseRecord,
  ROOT_FILE,
  shardPath,
  versionOf,
} from './pyramid-record.js'
import { type ChunkRange, decodeShardIndex, decodeTile, indexLength } from './shard-file.js'

/** Largest metadata or side file that is read, bytes: a placement table of a million frames is below it. */
const MAX_SIDE_FILE = 512 * 2 ** 20

/** Shards kept open per pyramid. */
const OPEN_SHARDS = 64

interface OpenShard {
  readonly handle: FileHandle
  readonly index: readonly (ChunkRange | undefined)[]
}

/**
 * Our record in a folder, complete or not.
 * @returns undefined where the folder holds no pyramid of ours.
 */
export async function readRecord(directory: string): Promise<PyramidRecord | undefined> {
  const path = join(directory, ROOT_FILE)
  let text: string
  try {
    text = await readBounded(path)
  } catch (error) {
    if (systemCode((error as Error).cause) === 'ENOENT' || systemCode((error as Error).cause) === 'ENOTDIR')
      return undefined
    throw error
  }
  return parseRecord(parseJson(text, path), path)
}

/**
 * Open a pyramid that `tilestage build` wrote.
 *
 * @throws {UnsupportedDataError} no pyramid of ours, or one that was never finished.
 * @throws {CorruptDataError} damaged metadata or side files.
 */
export async function openTilestagePyramid(directory: string): Promise<Pyramid> {
  const path = await realpath(directory).catch(error => Promise.reject(fromSystemError(error, directory)))
  const record = await readRecord(path)
  if (!record) throw new UnsupportedDataError(`${directory} is not a tilestage pyramid.`, { url: directory })
  if (!record.complete || !record.placement || !record.histograms) {
    throw new UnsupportedDataError(
      `${directory} is a pyramid whose build was not finished; run the same build command again.`,
      { url: directory },
    )
  }
  const placement = readPlacementTable(
    await readSideFile(path, PLACEMENT_FILE, record.placement.crc32c),
    record,
    join(path, PLACEMENT_FILE),
  )
  const histograms = JSON.parse(await readSideFile(path, HISTOGRAMS_FILE, record.histograms.crc32c)) as StoredHistograms
  return new TilestagePyramid(path, record, placement, histograms)
}

export interface SkippedFrame {
  readonly series: string
  readonly frame: number
  readonly reason: string
}

/** The frames that a finished pyramid left out, and why. */
export async function readSkippedFrames(directory: string, record: PyramidRecord): Promise<SkippedFrame[]> {
  if (!record.placement || record.frames.skipped === 0) return []
  const text = await readSideFile(directory, PLACEMENT_FILE, record.placement.crc32c)
  const rows = readPlacementTable(text, record, join(directory, PLACEMENT_FILE))
  return rows
    .filter(row => !row.used)
    .map(({ series, frame, reason }) => ({ series: record.series[series].name, frame, reason: reason ?? 'unknown' }))
}

/** `channels[channel].levels[level]`, as in the side file. */
export interface StoredHistograms {
  readonly channels: readonly { readonly levels: readonly Histogram[] }[]
}

class TilestagePyramid implements Pyramid {
  readonly id: string
  readonly name: string
  readonly path: string
  readonly format = 'tilestage'
  readonly version: string
  readonly complete: boolean
  readonly geometry: MosaicGeometry
  readonly sampleType: SampleType
  readonly pedestal: number
  readonly channels: readonly Channel[]
  readonly zPlanes: number
  readonly timePoints: number
  readonly wells: readonly Well[]
  readonly frames: { readonly used: number; readonly skipped: number }
  readonly #placement: readonly PlacementRow[]
  readonly #histograms: StoredHistograms
  readonly #coverage = new Map<string, Coverage>()
  readonly #shards: LRUCache<string, OpenShard>

  constructor(path: string, record: PyramidRecord, placement: readonly PlacementRow[], histograms: StoredHistograms) {
    this.id = record.id
    this.name = basename(path)
    this.path = path
    this.version = versionOf(record)
    this.complete = record.complete
    this.geometry = geometryOf(record)
    this.sampleType = record.sampleType
    this.pedestal = record.pedestal
    this.channels = record.channels.map(({ name, color }) => ({ name, color: color ?? undefined }))
    this.zPlanes = record.zPlanes
    this.timePoints = record.timePoints
    this.wells = record.wells.map(({ name, frames, x0, y0, x1, y1 }) => ({ name, frames, rect: { x0, y0, x1, y1 } }))
    this.frames = record.frames
    this.#placement = placement
    this.#histograms = histograms
    this.#shards = new LRUCache({
      max: OPEN_SHARDS,
      fetchMethod: shard => this.#openShard(shard),
      dispose: ({ handle }) => void handle.close(),
    })
  }

  coverage(selection: MosaicSelection): Coverage {
    const { channel, zPlane, timePoint } = selection
    const inside = (value: number, count: number): boolean => Number.isInteger(value) && value >= 0 && value < count
    if (
      !inside(channel, this.channels.length) ||
      !inside(zPlane, this.zPlanes) ||
      !inside(timePoint, this.timePoints)
    ) {
      throw new RangeError(`${this.name} has no plane with channel ${channel}, z ${zPlane}, time ${timePoint}.`)
    }
    const key = `${channel},${zPlane},${timePoint}`
    let coverage = this.#coverage.get(key)
    if (!coverage) {
      const rows = this.#placement.filter(
        ({ used, selection: s }) => used && s.channel === channel && s.zPlane === zPlane && s.timePoint === timePoint,
      )
      coverage = new FrameCoverage(
        this.geometry,
        rows.map(({ rect }) => rect),
      )
      this.#coverage.set(key, coverage)
    }
    return coverage
  }

  async histogram(channel: number): Promise<Histogram> {
    const levels = this.#histograms.channels[channel]?.levels
    if (!levels) throw new RangeError(`${this.name} has no channel ${channel}.`)
    return levels[0]
  }

  async readTile(
    selection: MosaicSelection,
    address: TileAddress,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<Plane | undefined> {
    const { tileSize } = this.geometry
    if (!isInGrid(this.geometry, address)) {
      throw new RangeError(
        `${this.name} has no tile at level ${address.level}, column ${address.column}, row ${address.row}.`,
      )
    }
    if (!this.coverage(selection).hasTile(address)) return undefined
    signal?.throwIfAborted()
    const across = SHARD_SIZE / tileSize
    const shardRow = Math.floor(address.row / across)
    const shardColumn = Math.floor(address.column / across)
    const shard = shardPath(address.level, selection, shardRow, shardColumn)
    const url = join(this.path, shard)
    const opened = await this.#shards.forceFetch(shard)
    const range = opened.index[(address.row - shardRow * across) * across + address.column - shardColumn * across]
    if (!range) {
      throw new CorruptDataError(
        `${url} lacks a tile that the placement table says must be there; the pyramid is damaged.`,
        { url },
      )
    }
    signal?.throwIfAborted()
    const samples = decodeTile(
      await readExactly(opened.handle, range.offset, range.length, url),
      this.sampleType,
      tileSize * tileSize,
      url,
    )
    return { width: tileSize, height: tileSize, sampleType: this.sampleType, samples }
  }

  async #openShard(shard: string): Promise<OpenShard> {
    const url = join(this.path, shard)
    let handle: FileHandle
    try {
      handle = await open(url)
    } catch (error) {
      if (systemCode(error) === 'ENOENT') {
        throw new CorruptDataError(`${url} is missing although frames lie there; the pyramid is damaged.`, {
          url,
          cause: error,
        })
      }
      throw fromSystemError(error, url)
    }
    try {
      const { size } = await handle.stat()
      const length = indexLength((SHARD_SIZE / this.geometry.tileSize) ** 2)
      if (size < length)
        throw new CorruptDataError(`${url} is cut off: ${size} bytes are too few for a shard.`, { url })
      return { handle, index: decodeShardIndex(await readExactly(handle, size - length, length, url), size, url) }
    } catch (error) {
      await handle.close()
      throw fromSystemError(error, url)
    }
  }

  async close(): Promise<void> {
    this.#shards.clear()
  }
}

/** Read `length` bytes at `offset`; a file that ends early is an error, never zeros. */
async function readExactly(handle: FileHandle, offset: number, length: number, url: string): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length)
  let done = 0
  while (done < length) {
    const { bytesRead } = await handle
      .read(buffer, done, length - done, offset + done)
      .catch(error => Promise.reject(fromSystemError(error, url)))
    if (bytesRead === 0)
      throw new CorruptDataError(`${url} ends at byte ${offset + done} where ${length - done} more were expected.`, {
        url,
      })
    done += bytesRead
  }
  return buffer
}

async function readSideFile(directory: string, name: string, expected: string): Promise<string> {
  const url = join(directory, name)
  const text = await readBounded(url)
  if (checksumOf(text) !== expected) throw new CorruptDataError(`${url} is damaged: its checksum is wrong.`, { url })
  return text
}

/** The crc32c of a text's UTF-8 bytes, 8 hex digits. */
export function checksumOf(text: string): string {
  return crc32c(Buffer.from(text)).toString(16).padStart(8, '0')
}

async function readBounded(path: string): Promise<string> {
  try {
    const { size } = await stat(path)
    if (size > MAX_SIDE_FILE)
      throw new LimitExceededError(`${path} has ${size} bytes; at most ${MAX_SIDE_FILE} are read.`, { url: path })
    return await readFile(path, 'utf8')
  } catch (error) {
    throw fromSystemError(error, path)
  }
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new CorruptDataError(`${path} is not valid JSON.`, { url: path, cause: error })
  }
}
