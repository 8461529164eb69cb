import { type Rect, SAMPLE_TYPES, type SampleArray, samplesFromBytes } from '../../src/plane.js'
import { hasSameTiles } from '../picture/stage-geometry.js'
import {
  ApiError,
  type PlaneSelection,
  type PyramidInfo,
  readCoverage,
  readTileBytes,
  type ShardVersion,
  type TileAddress,
} from '../server/pyramid-api.js'
import { TileCoverage } from './tile-coverage.js'

/** The samples of one tile, `tileSize²` of them, row-major. */
export interface SampleTile {
  readonly samples: SampleArray
  /** 1 where a sample is covered; undefined where all are. */
  readonly mask: Uint8Array | undefined
}

/** What the server said of a tile. */
export interface TileContent {
  /** The version that was asked for; what came is that or newer. */
  readonly version: string
  /** `undefined` where nothing is covered, or nothing built yet. */
  readonly tile: SampleTile | undefined
}

interface KeptTile extends TileContent {
  readonly plane: PlaneSelection
  readonly address: TileAddress
}

interface FailedTile {
  readonly plane: PlaneSelection
  readonly address: TileAddress
  readonly version: string
  readonly error: Error
}

interface LoadingTile {
  readonly version: string
  readonly content: Promise<TileContent>
}

const MAX_BYTES = 128 * 2 ** 20

/**
 * The tiles of one pyramid version: asked for once, kept while memory allows, and shared by picture, read-out,
 * histogram, thumbnails and overview. While the pyramid grows each tile has a version of its own: with a new one it
 * is asked for again, and until that is there, what is in memory is what there is to see.
 */
export class TileStore {
  /** Whether there were changes that nobody told; `replan` finds them. */
  hasGap = false
  readonly #coverages = new Map<string, TileCoverage>()
  readonly #kept = new Map<string, KeptTile>()
  /** By key; a repeated `load` tries again. */
  readonly #failed = new Map<string, FailedTile>()
  readonly #loading = new Map<string, LoadingTile>()
  /** Changes told while coverage was on the way, which may be older than they are. */
  readonly #early = new Set<ShardVersion[]>()
  readonly #closing = new AbortController()
  readonly #onFailure: (error: Error) => void
  #pyramid: PyramidInfo
  #bytes = 0

  /** @param onFailure told of every tile that could not be read. */
  constructor(pyramid: PyramidInfo, onFailure: (error: Error) => void) {
    this.#pyramid = pyramid
    this.#onFailure = onFailure
  }

  get pyramid(): PyramidInfo {
    return this.#pyramid
  }

  /** Learn which tiles of a plane hold samples; before that, none does. */
  async prepare(plane: PlaneSelection): Promise<void> {
    if (!this.#coverages.has(planeKey(plane))) await this.#readCoverage(plane)
  }

  /**
   * Learn what has become of a growing pyramid: its plan has changed, or changes were missed.
   *
   * @param pyramid the same version, as it is now. @param planes those that are looked at.
   */
  async replan(pyramid: PyramidInfo, planes: readonly PlaneSelection[]): Promise<void> {
    const hadGap = this.hasGap
    this.hasGap = false
    try {
      await Promise.all(planes.map(plane => this.#readCoverage(plane)))
    } catch (error) {
      this.hasGap = hadGap
      throw error
    }
    this.#pyramid = pyramid
    // Those of other planes are read when they are looked at again.
    const looked = new Set(planes.map(planeKey))
    for (const key of this.#coverages.keys()) if (!looked.has(key)) this.#coverages.delete(key)
  }

  /** Shards of a growing pyramid have changed. */
  setVersions(shards: readonly ShardVersion[]): void {
    for (const early of this.#early) early.push(...shards)
    for (const shard of shards) this.#coverages.get(planeKeyOf(shard))?.setShardVersion(shard)
  }

  /** The plan that the coverage of a plane is of. */
  planOf(plane: PlaneSelection): number | undefined {
    return this.#coverages.get(planeKey(plane))?.plan
  }

  /**
   * Take over those tiles of an earlier version of this pyramid whose samples are the same: while it grows, their versions
   * tell. When it is complete, what the earlier store holds is final, if that was told of every change.
   */
  adopt(earlier: TileStore): void {
    const { complete } = this.#pyramid
    if (earlier.pyramid.complete || (complete && earlier.hasGap)) return
    if (!hasSameTiles(earlier.pyramid, this.#pyramid)) return
    for (const { plane, address, version, tile } of earlier.#kept.values()) {
      if (!tile || version !== earlier.versionOf(plane, address)) continue
      const now = this.versionOf(plane, address)
      const isSame = version === now && this.#coverages.get(planeKey(plane))?.isNamed(address)
      if (complete || isSame) this.#keep({ plane, address, version: now, tile })
    }
  }

  /** Whether a tile holds samples, or is going to. */
  has(plane: PlaneSelection, address: TileAddress): boolean {
    return this.#coverages.get(planeKey(plane))?.has(address) ?? false
  }

  /** Whether a tile that `has` may have something to show by now. */
  isBuilt(plane: PlaneSelection, address: TileAddress): boolean {
    return this.#pyramid.complete || this.#coverages.get(planeKey(plane))?.version(address) !== undefined
  }

  /** The newest version of a tile. Where nothing is built, that is the pyramid's. */
  versionOf(plane: PlaneSelection, address: TileAddress): string {
    const shard = this.#pyramid.complete ? undefined : this.#coverages.get(planeKey(plane))?.version(address)
    return shard ?? this.#pyramid.version
  }

  /** The box around the first tiles of a plane that touch each other, level-0 pixels. */
  firstGroup(plane: PlaneSelection): Rect | undefined {
    const group = this.#coverages.get(planeKey(plane))?.firstGroup
    const { tileSize } = this.#pyramid
    return (
      group && { x0: group.x0 * tileSize, y0: group.y0 * tileSize, x1: group.x1 * tileSize, y1: group.y1 * tileSize }
    )
  }

  /** Why tiles cannot be read as they are now; what became of an older version of them does not matter. */
  get failures(): readonly Error[] {
    return [...this.#failed.values()]
      .filter(({ plane, address, version }) => version === this.versionOf(plane, address))
      .map(({ error }) => error)
  }

  /** Whether a tile was asked for and could not be read. */
  hasFailed(plane: PlaneSelection, address: TileAddress): boolean {
    return this.#failed.get(keyOf(plane, address))?.version === this.versionOf(plane, address)
  }

  /** What is in memory of a tile, of whatever version. */
  peek(plane: PlaneSelection, address: TileAddress): TileContent | undefined {
    const key = keyOf(plane, address)
    const kept = this.#kept.get(key)
    if (kept) {
      // A Map keeps the order of insertion: the tile becomes the youngest.
      this.#kept.delete(key)
      this.#kept.set(key, kept)
    }
    return kept
  }

  /**
   * The newest version of a tile.
   *
   * @throws {ApiError} the server could not read the tile. @throws {TypeError} it did not answer.
   */
  load(plane: PlaneSelection, address: TileAddress): Promise<TileContent> {
    const version = this.versionOf(plane, address)
    if (!this.has(plane, address)) return Promise.resolve({ version, tile: undefined })
    const kept = this.peek(plane, address)
    if (kept?.version === version) return Promise.resolve(kept)
    const key = keyOf(plane, address)
    const loading = this.#loading.get(key)
    if (loading?.version === version) return loading.content
    // One request at a time for a tile: what an older one brings is shown until the newer one is answered.
    const again = (): Promise<TileContent> => this.load(plane, address)
    if (loading) return loading.content.then(again, again)
    const content = this.#read(key, plane, address, version)
    this.#loading.set(key, { version, content })
    return content
  }

  /** Stop what is under way; nothing is reported any more. */
  close(): void {
    this.#closing.abort()
  }

  async #readCoverage(plane: PlaneSelection): Promise<void> {
    const early: ShardVersion[] = []
    this.#early.add(early)
    try {
      const runs = await readCoverage(this.#pyramid.id, plane)
      const known = this.#coverages.get(planeKey(plane))
      if (known) known.read(runs)
      else this.#coverages.set(planeKey(plane), new TileCoverage(runs, this.#pyramid.tileSize))
    } finally {
      this.#early.delete(early)
    }
    this.setVersions(early)
  }

  async #read(key: string, plane: PlaneSelection, address: TileAddress, version: string): Promise<TileContent> {
    try {
      const bytes = await readTileBytes(this.#pyramid, plane, address, version, this.#closing.signal)
      this.#failed.delete(key)
      const content = { version, tile: bytes && decodeTile(this.#pyramid, bytes) }
      this.#keep({ plane, address, ...content })
      return content
    } catch (error) {
      if (!this.#closing.signal.aborted) {
        this.#failed.set(key, { plane, address, version, error: error as Error })
        this.#onFailure(error as Error)
      }
      throw error
    } finally {
      this.#loading.delete(key)
    }
  }

  #keep(tile: KeptTile): void {
    const key = keyOf(tile.plane, tile.address)
    this.#bytes += byteLength(tile) - byteLength(this.#kept.get(key))
    this.#kept.delete(key)
    this.#kept.set(key, tile)
    for (const [oldest, old] of this.#kept) {
      if (this.#bytes <= MAX_BYTES) break
      this.#kept.delete(oldest)
      this.#bytes -= byteLength(old)
    }
  }
}

function planeKey({ channel, timePoint, zPlane }: PlaneSelection): string {
  return `${channel}/${timePoint}/${zPlane}`
}

function planeKeyOf({ channel, t, depth }: ShardVersion): string {
  return planeKey({ channel, timePoint: t, zPlane: depth })
}

function keyOf(plane: PlaneSelection, { level, column, row }: TileAddress): string {
  return `${planeKey(plane)}/${level}/${column}/${row}`
}

function byteLength(content: TileContent | undefined): number {
  return (content?.tile?.samples.byteLength ?? 0) + (content?.tile?.mask?.byteLength ?? 0)
}

/** @throws {ApiError} they are not as many as belong to a tile. */
export function decodeTile({ sampleType, tileSize }: PyramidInfo, bytes: ArrayBuffer): SampleTile {
  const count = tileSize * tileSize
  const length = count * SAMPLE_TYPES[sampleType].bytes
  if (bytes.byteLength !== length && bytes.byteLength !== length + count) {
    throw new ApiError(502, `A tile came with ${bytes.byteLength} bytes; ${length} or ${length + count} belong there.`)
  }
  const samples = samplesFromBytes(sampleType, new Uint8Array(bytes, 0, length))
  return { samples, mask: bytes.byteLength > length ? new Uint8Array(bytes, length) : undefined }
}
