import { realpath } from 'node:fs/promises'
import { basename, join } from 'node:path'
import {
  CorruptDataError,
  fromSystemError,
  NotFoundError,
  SourceUnavailableError,
  UnsupportedDataError,
} from '../errors.js'
import type { Plane, Rect, SampleType } from '../plane.js'
import type { Coverage } from './coverage.js'
import { type Histogram, isHistogram } from './histogram.js'
import { PyramidItems } from './items.js'
import { isInGrid, type MosaicGeometry, SHARD_SIZE, type TileAddress } from './mosaic-geometry.js'
import { OpenShard } from './open-shard.js'
import type { OpenShards } from './open-shards.js'
import { type PlacementRow, PlacementTable } from './placement-table.js'
import { PlaneCoverages, type PlaneExtent } from './plane-coverages.js'
import type { Channel, MosaicSelection, PlaneAxes, Pyramid, Well } from './pyramid.js'
import {
  channelsOf,
  geometryOf,
  HISTOGRAMS_FILE,
  lineageOf,
  PLACEMENT_FILE,
  type PyramidRecord,
  parseRecord,
  ROOT_FILE,
  type SideFile,
  shardPath,
  versionOf,
} from './pyramid-record.js'
import { ReadMemory } from './read-memory.js'
import { readRootStamp } from './root-stamp.js'
import { parseJson, readBytes, readSideFile } from './side-file.js'

/** Largest root file that is read: 40,000 series fit. A hostile one takes forty times its size when it is parsed. */
const MAX_ROOT_BYTES = 16 * 2 ** 20

/**
 * Our record in a folder, complete or not.
 * @returns undefined where the folder holds no pyramid of ours.
 */
export async function readRecord(directory: string): Promise<PyramidRecord | undefined> {
  const path = join(directory, ROOT_FILE)
  try {
    return parseRecord(parseJson((await readBytes(path, MAX_ROOT_BYTES)).toString(), path), path)
  } catch (error) {
    if (error instanceof NotFoundError) return undefined
    throw error
  }
}

/**
 * Open a pyramid that `tilestage build` wrote.
 *
 * @param memory shared with other pyramids that are open.
 * @throws {UnsupportedDataError} no pyramid of ours, or one that was never finished.
 * @throws {CorruptDataError} damaged metadata or side files.
 */
export async function openTilestagePyramid(directory: string, memory = new ReadMemory()): Promise<Pyramid> {
  const path = await realpath(directory).catch(error => Promise.reject(fromSystemError(error, directory)))
  const stamp = await readRootStamp(path)
  const record = await readRecord(path)
  if (!record) throw new UnsupportedDataError(`${directory} is not a tilestage pyramid.`, { url: directory })
  if (!record.complete || !record.placement || !record.histograms) {
    throw new UnsupportedDataError(
      `${directory} is a pyramid whose build was not finished; run the same build command again.`,
      { url: directory },
    )
  }
  return new TilestagePyramid(
    path,
    stamp,
    record,
    await readPlacement(path, record, record.placement),
    await readHistograms(path, record, record.histograms),
    memory.shards,
  )
}

/**
 * Which frame lies where.
 *
 * @param file as the record names it.
 * @throws {NotFoundError} there is no such file. @throws {CorruptDataError} it is not the record's, or damaged.
 */
export async function readPlacement(directory: string, record: PyramidRecord, file: SideFile): Promise<PlacementTable> {
  const url = join(directory, PLACEMENT_FILE)
  return PlacementTable.parse(parseJson(await readSideFile(url, file), url), record, url)
}

async function readHistograms(directory: string, record: PyramidRecord, file: SideFile): Promise<StoredHistograms> {
  const url = join(directory, HISTOGRAMS_FILE)
  const stored = parseJson(await readSideFile(url, file), url) as StoredHistograms | null
  const isWhole = (levels: unknown): boolean =>
    Array.isArray(levels) && levels.length === record.levelCount && levels.every(isHistogram)
  const channels: StoredHistograms['channels'] = Array.isArray(stored?.channels) ? stored.channels : []
  if (channels.length === record.channels.length && channels.every(channel => isWhole(channel?.levels)))
    return { channels }
  throw new CorruptDataError(`${url} is damaged: it has not a histogram of every channel and level.`, { url })
}

export function extentOf({ channels, zPlanes, timePoints }: PyramidRecord): PlaneExtent {
  return { channels: channels.length, zPlanes, timePoints }
}

export interface SkippedFrame {
  readonly series: string
  readonly frame: number
  readonly reason: string
}

/** The frames that a finished pyramid left out, and why. */
export async function readSkippedFrames(directory: string, record: PyramidRecord): Promise<SkippedFrame[]> {
  if (!record.placement || record.frames.skipped === 0) return []
  const placement = await readPlacement(directory, record, record.placement)
  return [...placement.rows()]
    .filter(row => !row.used)
    .map(({ seriesName, frame, reason }) => ({ series: seriesName, frame, reason: reason ?? 'unknown' }))
}

/** `channels[channel].levels[level]`, as in the side file. */
export interface StoredHistograms {
  readonly channels: readonly { readonly levels: readonly Histogram[] }[]
}

class TilestagePyramid implements Pyramid {
  id: string
  readonly name: string
  readonly path: string
  readonly format = 'tilestage'
  readonly version: string
  readonly lineage: string
  readonly complete: boolean
  readonly geometry: MosaicGeometry
  readonly sampleType: SampleType
  readonly pedestal: number
  readonly channels: readonly Channel[]
  readonly zPlanes: number
  readonly timePoints: number
  readonly axes?: PlaneAxes
  readonly wells: readonly Well[]
  readonly items: PyramidItems | undefined
  readonly frames: { readonly used: number; readonly skipped: number }
  /** Of the root file, taken before it was read. */
  #stamp: string | undefined
  readonly #coverages: PlaneCoverages
  readonly #histograms: StoredHistograms
  readonly #shards: OpenShards

  constructor(
    path: string,
    stamp: string | undefined,
    record: PyramidRecord,
    placement: PlacementTable,
    histograms: StoredHistograms,
    shards: OpenShards,
  ) {
    this.id = record.id
    this.name = basename(path)
    this.path = path
    this.version = versionOf(record)
    this.lineage = lineageOf(record)
    this.complete = record.complete
    this.geometry = geometryOf(record)
    this.sampleType = record.sampleType
    this.pedestal = record.pedestal
    this.channels = channelsOf(record)
    this.zPlanes = record.zPlanes
    this.timePoints = record.timePoints
    if (record.axes) this.axes = record.axes
    this.wells = record.wells.map(({ name, frames, x0, y0, x1, y1 }) => ({ name, frames, rect: { x0, y0, x1, y1 } }))
    this.items = record.items && new PyramidItems(path, record.items)
    this.frames = record.frames
    this.#stamp = stamp
    this.#coverages = new PlaneCoverages(this.geometry, extentOf(record), placement)
    this.#histograms = histograms
    this.#shards = shards
  }

  get placement(): PlacementTable {
    return this.#coverages.placement
  }

  coverage(selection: MosaicSelection): Coverage {
    return this.#coverages.of(selection)
  }

  framesAt(selection: MosaicSelection, level: number, region: Rect): PlacementRow[] {
    return this.#coverages.framesAt(selection, level, region)
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
    const samples = await this.#read(selection, address, signal, (shard, i) => shard.readTile(i))
    return samples && { width: tileSize, height: tileSize, sampleType: this.sampleType, samples }
  }

  readFrame(
    selection: MosaicSelection,
    address: TileAddress,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<Uint8Array | undefined> {
    return this.#read(selection, address, signal, (shard, i) => shard.readFrame(i))
  }

  /** Read something of a tile, `i` being its place in its shard. @returns undefined where nothing is covered. */
  async #read<T>(
    selection: MosaicSelection,
    address: TileAddress,
    signal: AbortSignal | undefined,
    read: (shard: OpenShard, i: number) => Promise<T | undefined>,
  ): Promise<T | undefined> {
    if (!isInGrid(this.geometry, address)) {
      throw new RangeError(
        `${this.name} has no tile at level ${address.level}, column ${address.column}, row ${address.row}.`,
      )
    }
    if (!this.coverage(selection).hasTile(address)) return undefined
    signal?.throwIfAborted()
    const across = SHARD_SIZE / this.geometry.tileSize
    const shardRow = Math.floor(address.row / across)
    const shardColumn = Math.floor(address.column / across)
    const url = join(this.path, shardPath(address.level, selection, shardRow, shardColumn))
    const i = (address.row - shardRow * across) * across + address.column - shardColumn * across
    const found = await this.#shards.read(
      url,
      this,
      () => this.#openShard(url),
      shard => {
        signal?.throwIfAborted()
        return read(shard, i)
      },
    )
    if (found !== undefined) return found
    throw new CorruptDataError(
      `${url} lacks a tile that the placement table says must be there; the pyramid is damaged.`,
      { url },
    )
  }

  async #openShard(url: string): Promise<OpenShard> {
    const opened = await OpenShard.open(url, { tileSize: this.geometry.tileSize, sampleType: this.sampleType }).catch(
      async error => {
        await this.#expectSameFolder()
        if (!(error instanceof NotFoundError)) throw error
        throw new CorruptDataError(`${url} is missing although frames lie there; the pyramid is damaged.`, {
          url,
          cause: error,
        })
      },
    )
    try {
      // Looked at after the shard was opened: then the shard cannot be of a later pyramid.
      await this.#expectSameFolder()
      return opened
    } catch (error) {
      await opened.close()
      throw error
    }
  }

  /** @throws {SourceUnavailableError} another pyramid took the folder's name: its shards are not ours. */
  async #expectSameFolder(): Promise<void> {
    const stamp = await readRootStamp(this.path)
    if (stamp === this.#stamp) return
    const record = await readRecord(this.path).catch(() => undefined)
    if (record === undefined || versionOf(record) !== this.version) {
      throw new SourceUnavailableError(
        `${this.path} was overwritten or taken away while it was open; ask again in a moment.`,
        { url: this.path },
      )
    }
    // The same pyramid still: its root file was only touched.
    this.#stamp = stamp
  }

  async close(): Promise<void> {
    this.#shards.closeBelow(this.path)
  }
}
