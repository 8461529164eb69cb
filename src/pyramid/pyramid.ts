import type { Plane, Rect, SampleType } from '../plane.js'
import type { Coverage } from './coverage.js'
import type { Histogram } from './histogram.js'
import type { MosaicGeometry, TileAddress } from './mosaic-geometry.js'

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
}

/** A well and the box around its frames, level-0 px. */
export interface Well {
  readonly name: string
  readonly rect: Rect
  readonly frames: number
}

/** A pyramid opened for reading, whoever wrote it. */
export interface Pyramid {
  /** Stable: the UUID of our metadata, for others a hash of the real path. */
  readonly id: string
  /** The folder's name. */
  readonly name: string
  /** Real path of the folder. */
  readonly path: string
  /** The format, for people: `tilestage` or `PYME pyramid`. */
  readonly format: string
  /** Changes whenever a sample may have changed; ends in the level count, since z counts from the coarse end. */
  readonly version: string
  /** Whether the builder finished it. */
  readonly complete: boolean
  readonly geometry: MosaicGeometry
  readonly sampleType: SampleType
  /** The stored value that stands for "dark": stored − pedestal = counts − dark. 0 for signed and float samples. */
  readonly pedestal: number
  readonly channels: readonly Channel[]
  readonly zPlanes: number
  readonly timePoints: number
  readonly wells: readonly Well[]
  /** How many frames lie in it and how many were left out; undefined where the format does not tell. */
  readonly frames: { readonly used: number; readonly skipped: number } | undefined

  /** @throws {RangeError} no such plane. */
  coverage(selection: MosaicSelection): Coverage

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

  /** Free open files; calling it twice is fine. */
  close(): Promise<void>
}
