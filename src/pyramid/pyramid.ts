import type { Plane, Rect, SampleType } from '../plane.js'
import type { FrameSeries } from '../sources/frame-source.js'
import type { Thumbnail } from './build-feed.js'
import type { Coverage } from './coverage.js'
import type { Histogram } from './histogram.js'
import type { PyramidItems } from './items.js'
import type { MosaicGeometry, TileAddress } from './mosaic-geometry.js'
import type { PlacementRow, PlacementTable } from './placement-table.js'
import type { ShardEntry, ShardKey } from './shard-entry.js'

/** Which plane of a pyramid: 0-based channel, z-plane and time point. */
export interface MosaicSelection {
  readonly channel: number
  readonly zPlane: number
  readonly timePoint: number
}

export interface Channel {
  readonly name: string
  /** Six hex digits without `#`, where the metadata names a colour. */
  readonly color: string | undefined
  /** Of its samples, e.g. `V`; left out of camera counts and of what has none. */
  readonly unit?: string
  /** Whether viewers show it at first; left out where nobody said. */
  readonly active?: boolean
}

/** What the planes along z and time stand for, where that is not depth and time. */
export type PlaneAxes = NonNullable<FrameSeries['axes']>

/** A well and the box around its frames, level-0 px. */
export interface Well {
  readonly name: string
  readonly rect: Rect
  readonly frames: number
}

/** A tile and which of its pixels are covered. */
export interface CoveredTile {
  readonly plane: Plane
  /** One byte a sample, row-major, 1 = covered; undefined where all of the tile is. */
  readonly mask: Uint8Array | undefined
}

/** A shard and the version of what it shows: another version, other samples or another coverage. */
export interface ShardVersion extends ShardKey {
  readonly version: string
}

/** What happened to a growing pyramid since it was last told. */
export interface GrowthChange {
  readonly plan: number
  /** Shards that show something else now, each once; those above them included. */
  readonly shards: readonly ShardVersion[]
}

/**
 * A pyramid while it is being built, by this process or another. What is read at any moment is final samples or not
 * covered; nothing between.
 */
export interface Growth {
  /** Counts changes of what is planned. */
  readonly plan: number
  /** True when this is not the pyramid's newest state any more: it is complete, or begun anew. Open it again then. */
  readonly hasEnded: boolean
  /** Told of every change, as soon as a look finds it. */
  onChange: (change: GrowthChange) => void
  /** Told of tiles that somebody wants and of which nothing is built. */
  onWanted: (selection: MosaicSelection, address: TileAddress) => void
  /** Versions of the shards that have something to show: by level, then by `ROW/COLUMN`. */
  shardVersions(selection: MosaicSelection): readonly ReadonlyMap<string, string>[]
  /** The version of the shard that a tile lies in; undefined where nothing of it is built. */
  tileVersion(selection: MosaicSelection, address: TileAddress): string | undefined
  /**
   * Read a tile as it is now. Its samples are those of `tileVersion` if that is the same before and after.
   *
   * @returns undefined where nothing is built yet.
   * @throws as `Pyramid.readTile`.
   */
  readCoveredTile(
    selection: MosaicSelection,
    address: TileAddress,
    options?: { readonly signal?: AbortSignal },
  ): Promise<CoveredTile | undefined>
  /**
   * Look at the folder now, whoever builds there.
   * @throws {SourceUnavailableError} it cannot be read just now. @throws {CorruptDataError} a plan that makes no sense.
   */
  look(): Promise<void>
  /** Take the thumbnail of a level-0 shard, so that coarse tiles cost no reading. */
  offerThumbnail(entry: ShardEntry, thumbnail: Thumbnail): void
}

/** A pyramid opened for reading, whoever wrote it. */
export interface Pyramid {
  /** Stable: the UUID of our metadata, for others a hash of the real path. Who opens copies tells them apart by it. */
  id: string
  /** The folder's name. */
  readonly name: string
  /** Real path of the folder. */
  readonly path: string
  /** The format, for people: `tilestage` or `PYME pyramid`. */
  readonly format: string
  /** Changes whenever a sample may have changed; ends in the level count, since z counts from the coarse end. */
  readonly version: string
  /** Pyramids of one lineage have the same lattice: what was at an address is there still, or more of it. */
  readonly lineage?: string
  /** Whether the builder finished it. */
  readonly complete: boolean
  /** What there is besides while it grows; complete pyramids have none. */
  readonly growth?: Growth
  readonly geometry: MosaicGeometry
  readonly sampleType: SampleType
  /** The stored value that stands for "dark": stored − pedestal = counts − dark. 0 for signed and float samples. */
  readonly pedestal: number
  readonly channels: readonly Channel[]
  readonly zPlanes: number
  readonly timePoints: number
  readonly axes?: PlaneAxes | undefined
  readonly wells: readonly Well[]
  /** The images of a stack that lie side by side in it. */
  readonly items?: PyramidItems | undefined
  /** How many frames lie in it and how many were left out; undefined where the format does not tell. */
  readonly frames: { readonly used: number; readonly skipped: number } | undefined

  /** Where every frame lies; of a growing pyramid, as planned. Undefined where the format does not tell. */
  readonly placement: PlacementTable | undefined

  /** Of a growing pyramid: what is planned. @throws {RangeError} no such plane. */
  coverage(selection: MosaicSelection): Coverage

  /**
   * The used frames that touch a region (px of the level), in the order in which they are blended; undefined where the
   * format does not tell. @throws {RangeError} no such plane.
   */
  framesAt(selection: MosaicSelection, level: number, region: Rect): PlacementRow[] | undefined

  /** Histogram of the covered samples of a channel over all its planes, at full resolution where that is known. */
  histogram(channel: number): Promise<Histogram>

  /**
   * Read one tile.
   *
   * @returns always a whole tile of `tileSize` × `tileSize` (zeros or NaN where not covered); `undefined` where
   *   nothing is covered.
   * @throws {CorruptDataError} a tile that must be there is missing or damaged; never an empty tile instead.
   * @throws {RangeError} an address outside the grid.
   */
  readTile(
    selection: MosaicSelection,
    address: TileAddress,
    options?: { readonly signal?: AbortSignal },
  ): Promise<Plane | undefined>

  /**
   * Read one tile as it is stored: a Blosc frame, its checksum verified. Only pyramids have it that are stored so.
   *
   * @returns undefined where nothing is covered.
   * @throws as `readTile`.
   */
  readFrame?(
    selection: MosaicSelection,
    address: TileAddress,
    options?: { readonly signal?: AbortSignal },
  ): Promise<Uint8Array | undefined>

  /** Free open files; calling it twice is fine. */
  close(): Promise<void>
}
