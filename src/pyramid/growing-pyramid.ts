import { createHash } from 'node:crypto'
import { realpath } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import {
  CorruptDataError,
  fromSystemError,
  NotFoundError,
  SourceUnavailableError,
  UnsupportedDataError,
} from '../errors.js'
import { type Plane, type Rect, SAMPLE_TYPES, type SampleType } from '../plane.js'
import { THUMBNAIL_EDGE, THUMBNAIL_LEVEL, type Thumbnail } from './build-feed.js'
import { BuiltShards, maskOfRects, type StoredShard } from './built-shards.js'
import type { ByteStore } from './byte-store.js'
import type { Coverage } from './coverage.js'
import type { Histogram } from './histogram.js'
import { PyramidItems } from './items.js'
import { JournalFollower } from './journal-follower.js'
import type { LineRange } from './journal-lines.js'
import { isInGrid, type MosaicGeometry, SHARD_SIZE, type TileAddress, tileRegion } from './mosaic-geometry.js'
import { OpenShard } from './open-shard.js'
import type { OpenShards } from './open-shards.js'
import type { PlacementRow, PlacementTable } from './placement-table.js'
import { PlaneCoverages } from './plane-coverages.js'
import type {
  Channel,
  CoveredTile,
  Growth,
  GrowthChange,
  MosaicSelection,
  PlaneAxes,
  Pyramid,
  Well,
} from './pyramid.js'
import { channelsOf, geometryOf, lineageOf, type PyramidRecord, versionOf } from './pyramid-record.js'
import { extentOf, openTilestagePyramid, readPlacement, readRecord } from './pyramid-store.js'
import { ReadMemory } from './read-memory.js'
import { readRootStamp } from './root-stamp.js'
import { RunningHistograms } from './running-histograms.js'
import { nameOfShard, type ShardEntry } from './shard-entry.js'
import { largestShard } from './shard-file.js'
import { blankCanvas, canvasOf, halveCanvas, pasteSquare, type TileCanvas, tileOf } from './tile-canvas.js'

/** Between the two files of a new plan there is a moment when they do not fit together. */
const PLAN_TRIES = 20
const PLAN_WAIT_MS = 10

/** So there is between a shard's file and its line in the journal. */
const SHARD_TRIES = 8
const SHARD_WAIT_MS = 40

/**
 * Open a pyramid that is being built, or whose build was stopped: what there is of it is shown. If it is complete by
 * now, it is opened as such.
 *
 * @param memory shared with other pyramids that are open.
 * @throws {UnsupportedDataError} no pyramid of ours, or one that has no plan yet.
 * @throws {CorruptDataError} damaged metadata or plan.
 */
export async function openGrowingPyramid(directory: string, memory = new ReadMemory()): Promise<Pyramid> {
  const path = await realpath(directory).catch(error => Promise.reject(fromSystemError(error, directory)))
  const plan = await readPlan(path, undefined)
  if (!plan) throw new UnsupportedDataError(`${directory} is not a tilestage pyramid.`, { url: directory })
  const { stamp, record, coverages } = plan
  if (record.complete) return openTilestagePyramid(path, memory)
  if (!coverages) {
    throw new UnsupportedDataError(
      `${directory} is a pyramid whose build was not finished and left no plan; run the same build command again.`,
      { url: directory },
    )
  }
  const pyramid = new GrowingPyramid(path, stamp, record, coverages, memory)
  await pyramid.look()
  return pyramid
}

/** What is going to be built. */
interface PlanOfBuild {
  /** Of the root that the record is from. */
  readonly stamp: string
  readonly record: PyramidRecord
  /** Undefined where the record says of no plan, or that it is done. */
  readonly coverages: PlaneCoverages | undefined
}

/**
 * Read the newest plan: again where it is being replaced just now, as its two files do not fit together then.
 *
 * @param known stamp of the plan that is known already.
 * @returns undefined where that is still the one, or where there is none.
 * @throws {CorruptDataError} damaged metadata or plan.
 */
async function readPlan(path: string, known: string | undefined): Promise<PlanOfBuild | undefined> {
  for (let tries = 1; ; tries++) {
    const stamp = await readRootStamp(path)
    if (stamp === undefined || stamp === known) return undefined
    const record = await readRecord(path)
    if (!record) return undefined
    try {
      const { placement, complete } = record
      if (!placement || complete) return { stamp, record, coverages: undefined }
      const table = await readPlacement(path, record, placement)
      return { stamp, record, coverages: new PlaneCoverages(geometryOf(record), extentOf(record), table) }
    } catch (error) {
      const mayPass = error instanceof CorruptDataError || error instanceof NotFoundError
      if (!mayPass || tries === PLAN_TRIES) throw error
      await delay(PLAN_WAIT_MS)
    }
  }
}

/** A shard's file is not what the journal says, or not there: perhaps it was replaced, and the line will follow. */
class ShardMismatch extends Error {
  constructor(
    readonly shard: StoredShard,
    readonly reason: Error,
  ) {
    super(reason.message)
  }
}

interface Composed {
  /** `BuiltShards.tileStamp` of a tile, the checksum of a thumbnail's shard. */
  readonly of: number | string
  readonly tile: CoveredTile
}

/** Counts growing pyramids that were opened. */
let pyramidsOpened = 0

class GrowingPyramid implements Pyramid, Growth {
  id: string
  readonly path: string
  readonly name: string
  readonly format = 'tilestage'
  readonly version: string
  readonly lineage: string
  readonly complete = false
  readonly geometry: MosaicGeometry
  onChange: (change: GrowthChange) => void = () => undefined
  onWanted: (selection: MosaicSelection, address: TileAddress) => void = () => undefined
  items: PyramidItems | undefined
  /** Of the newest plan. */
  #record: PyramidRecord
  #stamp: string
  #coverages: PlaneCoverages
  #plan = 1
  #hasEnded = false
  readonly #built: BuiltShards
  readonly #histograms: RunningHistograms
  readonly #follower: JournalFollower
  /** What a sample that is not covered counts as when it is reduced; undefined leaves it out. */
  readonly #absentAs: number | undefined
  readonly #shards: OpenShards
  /** Tiles and thumbnails that were put together, under keys that begin with `#keys`. */
  readonly #store: ByteStore
  readonly #keys = `composed ${++pyramidsOpened}`
  /** Shards whose file stayed wrong: they are not waited for again. */
  readonly #damaged = new WeakSet<StoredShard>()
  /** The last look that was begun or waits its turn. */
  #lastLook: Promise<void> = Promise.resolve()
  #waitingLook: Promise<void> | undefined

  constructor(
    path: string,
    stamp: string,
    record: PyramidRecord,
    coverages: PlaneCoverages,
    { shards, store }: ReadMemory,
  ) {
    this.#shards = shards
    this.#store = store
    const { id, sampleType, pedestal, settings } = record
    this.id = id
    this.path = path
    this.name = basename(path)
    this.version = versionOf(record)
    this.lineage = lineageOf(record)
    this.geometry = geometryOf(record)
    this.#record = record
    this.items = record.items && new PyramidItems(path, record.items)
    this.#stamp = stamp
    this.#coverages = coverages
    this.#built = new BuiltShards(this.geometry, extentOf(record), this.lineage)
    this.#histograms = new RunningHistograms(sampleType, record.channels.length)
    this.#follower = new JournalFollower(path)
    this.#absentAs = settings.blend === 'pyme' ? (SAMPLE_TYPES[sampleType].integer ? pedestal : 0) : undefined
  }

  get growth(): Growth {
    return this
  }

  get sampleType(): SampleType {
    return this.#record.sampleType
  }

  get pedestal(): number {
    return this.#record.pedestal
  }

  get channels(): readonly Channel[] {
    return channelsOf(this.#record)
  }

  get zPlanes(): number {
    return this.#record.zPlanes
  }

  get timePoints(): number {
    return this.#record.timePoints
  }

  get axes(): PlaneAxes | undefined {
    return this.#record.axes
  }

  get wells(): readonly Well[] {
    return this.#record.wells.map(({ name, frames, x0, y0, x1, y1 }) => ({ name, frames, rect: { x0, y0, x1, y1 } }))
  }

  get frames(): { readonly used: number; readonly skipped: number } {
    return this.#record.frames
  }

  get plan(): number {
    return this.#plan
  }

  get hasEnded(): boolean {
    return this.#hasEnded
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
    return this.#histograms.histogram(channel)
  }

  shardVersions(selection: MosaicSelection): readonly ReadonlyMap<string, string>[] {
    return this.#built.versions(selection)
  }

  tileVersion(selection: MosaicSelection, address: TileAddress): string | undefined {
    return this.#built.tileVersion(selection, address)
  }

  async readTile(
    selection: MosaicSelection,
    address: TileAddress,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<Plane | undefined> {
    return (await this.readCoveredTile(selection, address, options))?.plane
  }

  async readCoveredTile(
    selection: MosaicSelection,
    address: TileAddress,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<CoveredTile | undefined> {
    if (!isInGrid(this.geometry, address)) {
      throw new RangeError(
        `${this.name} has no tile at level ${address.level}, column ${address.column}, row ${address.row}.`,
      )
    }
    const isPlanned = this.coverage(selection).hasTile(address)
    const tile = await this.#readTile(selection, address, signal)
    if (!tile && isPlanned) this.onWanted(selection, address)
    return tile
  }

  offerThumbnail(entry: ShardEntry, { samples, mask }: Thumbnail): void {
    const plane = { width: THUMBNAIL_EDGE, height: THUMBNAIL_EDGE, sampleType: this.sampleType, samples }
    this.#keep(`thumbnail ${nameOfShard(entry)}`, { of: entry.crc32, tile: { plane, mask } })
  }

  /** Looks that are asked for while one waits its turn are that one: it begins after they were asked for. */
  look(): Promise<void> {
    if (!this.#waitingLook) {
      const look = this.#lastLook.then(() => {
        this.#waitingLook = undefined
        return this.#lookNow()
      })
      this.#waitingLook = look
      this.#lastLook = look.catch(() => undefined)
    }
    return this.#waitingLook
  }

  async close(): Promise<void> {
    this.#hasEnded = true
    this.#shards.closeBelow(this.path)
    await this.#lastLook
    await this.#follower.close()
  }

  async #lookNow(): Promise<void> {
    if (this.#hasEnded) return
    // The root first: when it says that the pyramid is complete, the journal is too.
    const plan = await readPlan(this.path, this.#stamp)
    const planBefore = this.#plan
    await this.#followJournal()
    if (plan && versionOf(plan.record) !== this.version) this.#hasEnded = true
    else if (plan?.coverages) {
      this.#coverages = plan.coverages
      this.#record = plan.record
      this.items = plan.record.items && new PyramidItems(this.path, plan.record.items)
      this.#stamp = plan.stamp
      this.#plan++
    }
    const { shards, hasLost } = this.#built.takeChanges()
    // Of a shard that is gone there is no version to tell, so everybody shall read the coverage again.
    if (hasLost) this.#plan++
    if (shards.length > 0 || this.#plan !== planBefore) this.onChange({ plan: this.#plan, shards })
  }

  async #followJournal(): Promise<void> {
    const replaced: LineRange[] = []
    let restartedAt: number | undefined
    await this.#follower.look({
      onRestart: () => {
        restartedAt = this.#built.mark
        replaced.length = 0
        this.#histograms.restart()
      },
      onEntry: (entry, range, text) => {
        this.#built.add(entry, createHash('sha256').update(text).digest('hex').slice(0, 12))
        const before = this.#histograms.add(entry, range)
        if (before) replaced.push(before)
      },
    })
    for (const range of replaced) {
      const entry = await this.#follower.reread(range)
      if (entry) this.#histograms.remove(entry)
    }
    if (restartedAt !== undefined) this.#built.removeBefore(restartedAt)
  }

  async #readTile(
    selection: MosaicSelection,
    address: TileAddress,
    signal: AbortSignal | undefined,
  ): Promise<CoveredTile | undefined> {
    return this.#tryAgain(signal, async () => {
      const source = this.#built.find(selection, address)
      if (!source) return undefined
      if (source.kind === 'composed') return this.#compose(selection, address, signal)
      return this.#readStored(source.shard, address, source.mask)
    })
  }

  /** Read a tile from a shard's file, which is what the journal says of it or nothing. */
  async #readStored(shard: StoredShard, address: TileAddress, mask: Uint8Array | undefined): Promise<CoveredTile> {
    const { tileSize } = this.geometry
    const across = SHARD_SIZE / tileSize
    const url = join(this.path, shard.name)
    const i = (address.row % across) * across + (address.column % across)
    const samples = await this.#shards.read(
      url,
      shard,
      () => this.#openShard(shard),
      opened => opened.readTile(i),
    )
    if (samples) return { plane: { width: tileSize, height: tileSize, sampleType: this.sampleType, samples }, mask }
    throw new CorruptDataError(`${url} lacks a tile that its frames cover; the pyramid is damaged.`, { url })
  }

  /** Put a coarse tile together from what lies below it. */
  async #compose(
    selection: MosaicSelection,
    address: TileAddress,
    signal: AbortSignal | undefined,
  ): Promise<CoveredTile | undefined> {
    const { channel, zPlane, timePoint } = selection
    const key = `${timePoint}/${channel}/${zPlane}/${address.level}/${address.row}/${address.column}`
    const stamp = this.#built.tileStamp(selection, address)
    const known = this.#kept(key)
    if (known?.of === stamp) return known.tile
    const canvas =
      address.level === THUMBNAIL_LEVEL
        ? await this.#joinThumbnails(selection, address, signal)
        : await this.#reduceChildren(selection, address, signal)
    const tile = tileOf(canvas)
    if (tile && this.#built.tileStamp(selection, address) === stamp) this.#keep(key, { of: stamp, tile })
    return tile
  }

  /** One child after the other: a walk from the top to level 0 holds a few tiles of each level and no more. */
  async #reduceChildren(
    selection: MosaicSelection,
    { level, row, column }: TileAddress,
    signal: AbortSignal | undefined,
  ): Promise<TileCanvas> {
    const { tileSize } = this.geometry
    const canvas = blankCanvas(this.sampleType, 2 * tileSize)
    for (const [y, x] of [
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
    ]) {
      const child = { level: level - 1, row: 2 * row + y, column: 2 * column + x }
      signal?.throwIfAborted()
      const tile = isInGrid(this.geometry, child) && (await this.#readTile(selection, child, signal))
      if (tile) pasteSquare(tile, { x: 0, y: 0 }, canvas, { x: x * tileSize, y: y * tileSize }, tileSize)
    }
    return halveCanvas(canvas, this.#absentAs)
  }

  async #joinThumbnails(
    selection: MosaicSelection,
    address: TileAddress,
    signal: AbortSignal | undefined,
  ): Promise<TileCanvas> {
    const { tileSize } = this.geometry
    const canvas = blankCanvas(this.sampleType, tileSize)
    const edge = Math.min(tileSize, THUMBNAIL_EDGE)
    for (let y = 0; y < tileSize; y += edge) {
      for (let x = 0; x < tileSize; x += edge) {
        const [top, left] = [address.row * tileSize + y, address.column * tileSize + x]
        const [row, column] = [Math.floor(top / THUMBNAIL_EDGE), Math.floor(left / THUMBNAIL_EDGE)]
        const thumbnail = await this.#tryAgain(signal, async () => {
          const leaf = this.#built.leafAt(selection, row, column)
          return leaf && this.#thumbnail(leaf, signal)
        })
        const from = { x: left % THUMBNAIL_EDGE, y: top % THUMBNAIL_EDGE }
        if (thumbnail) pasteSquare(thumbnail, from, canvas, { x, y }, edge)
      }
    }
    return canvas
  }

  /** A leaf reduced to level 3: what was offered, or worked out from its file. */
  async #thumbnail(leaf: StoredShard, signal: AbortSignal | undefined): Promise<CoveredTile | undefined> {
    const key = `thumbnail ${leaf.name}`
    const known = this.#kept(key)
    if (known?.of === leaf.crc32) return known.tile
    const { tileSize } = this.geometry
    const across = SHARD_SIZE / tileSize
    const edge = tileSize / 2 ** THUMBNAIL_LEVEL
    const canvas = blankCanvas(this.sampleType, THUMBNAIL_EDGE)
    for (let i = 0; i < across * across; i++) {
      const [y, x] = [Math.floor(i / across), i % across]
      const address = { level: 0, row: leaf.row * across + y, column: leaf.column * across + x }
      const covered = maskOfRects(tileRegion(address, tileSize), leaf.rects)
      if (!covered) continue
      signal?.throwIfAborted()
      let part = canvasOf(await this.#readStored(leaf, address, covered.mask))
      for (let level = 0; level < THUMBNAIL_LEVEL; level++) part = halveCanvas(part, this.#absentAs)
      pasteSquare(part, { x: 0, y: 0 }, canvas, { x: x * edge, y: y * edge }, edge)
    }
    const tile = tileOf(canvas)
    if (tile) this.#keep(key, { of: leaf.crc32, tile })
    return tile
  }

  #kept(key: string): Composed | undefined {
    return this.#store.get(`${this.#keys} ${key}`)
  }

  #keep(key: string, composed: Composed): void {
    const { plane, mask } = composed.tile
    this.#store.set(`${this.#keys} ${key}`, composed, plane.samples.byteLength + (mask?.byteLength ?? 0))
  }

  /** Do something that reads shards; when one is not what the journal said, look what became of it and do it again. */
  async #tryAgain<T>(signal: AbortSignal | undefined, attempt: () => Promise<T>): Promise<T> {
    for (let tries = 0; ; ) {
      try {
        return await attempt()
      } catch (error) {
        if (!(error instanceof ShardMismatch)) throw error
        signal?.throwIfAborted()
        await this.look()
        if (this.#hasEnded || (await readRootStamp(this.path)) === undefined) {
          throw new SourceUnavailableError(
            `${this.path} was overwritten, finished or taken away while it was read; ask again in a moment.`,
            { url: this.path, cause: error.reason },
          )
        }
        if (!this.#built.holds(error.shard)) continue
        if (++tries === SHARD_TRIES || this.#damaged.has(error.shard)) {
          this.#damaged.add(error.shard)
          throw error.reason
        }
        await delay(SHARD_WAIT_MS, undefined, { signal })
      }
    }
  }

  /** @throws {ShardMismatch} the file is another than the journal tells of. */
  async #openShard(shard: StoredShard): Promise<OpenShard> {
    const { tileSize } = this.geometry
    const url = join(this.path, shard.name)
    const mismatch = (what: string, cause?: unknown): ShardMismatch =>
      new ShardMismatch(shard, new CorruptDataError(`${url} ${what}; the pyramid is damaged.`, { url, cause }))
    const opened = await OpenShard.open(url, { tileSize, sampleType: this.sampleType }).catch(error => {
      if (error instanceof NotFoundError) throw mismatch('is missing although the journal tells of it', error)
      throw error instanceof CorruptDataError ? new ShardMismatch(shard, error) : error
    })
    try {
      const { bytes } = SAMPLE_TYPES[this.sampleType]
      const most = largestShard((SHARD_SIZE / tileSize) ** 2, tileSize * tileSize * bytes, bytes)
      if (opened.bytes !== shard.bytes || opened.bytes > most)
        throw mismatch(`has ${opened.bytes} bytes where the journal tells of ${shard.bytes}`)
      if ((await opened.checksum()) !== shard.crc32) throw mismatch('is not the file that the journal tells of')
      return opened
    } catch (error) {
      await opened.close()
      throw error
    }
  }
}
