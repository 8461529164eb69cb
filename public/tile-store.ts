import { type Rect, SAMPLE_TYPES, type SampleArray, samplesFromBytes } from '../src/plane.js'
import {
  ApiError,
  type PlaneSelection,
  type PyramidInfo,
  readCoverage,
  readTileBytes,
  type TileAddress,
} from './pyramid-api.js'
import { TileCoverage } from './tile-coverage.js'

/** The samples of one tile, `tileSize²` of them, row-major. */
export interface SampleTile {
  readonly samples: SampleArray
  /** 1 where a sample is covered; undefined where all are. */
  readonly mask: Uint8Array | undefined
}

const MAX_BYTES = 128 * 2 ** 20

/**
 * The tiles of one pyramid version: asked for once, kept while memory allows, and shared by picture, read-out,
 * histogram, thumbnails and overview.
 */
export class TileStore {
  readonly pyramid: PyramidInfo
  /** Why tiles could not be read, by key; a repeated `load` tries again. */
  readonly failures = new Map<string, Error>()
  readonly #coverages = new Map<string, TileCoverage>()
  readonly #tiles = new Map<string, SampleTile>()
  readonly #loading = new Map<string, Promise<SampleTile | undefined>>()
  readonly #closing = new AbortController()
  readonly #onFailure: (error: Error) => void
  #bytes = 0

  /** @param onFailure told of every tile that could not be read. */
  constructor(pyramid: PyramidInfo, onFailure: (error: Error) => void) {
    this.pyramid = pyramid
    this.#onFailure = onFailure
  }

  /** Learn which tiles of a plane hold samples; before that, none does. */
  async prepare(plane: PlaneSelection): Promise<void> {
    const key = planeKey(plane)
    if (this.#coverages.has(key)) return
    this.#coverages.set(key, new TileCoverage(await readCoverage(this.pyramid.id, plane)))
  }

  /** Whether a tile holds samples. */
  has(plane: PlaneSelection, address: TileAddress): boolean {
    return this.#coverages.get(planeKey(plane))?.has(address) ?? false
  }

  /** The box around the first tiles of a plane that touch each other, level-0 pixels. */
  firstGroup(plane: PlaneSelection): Rect | undefined {
    const group = this.#coverages.get(planeKey(plane))?.firstGroup
    const { tileSize } = this.pyramid
    return (
      group && { x0: group.x0 * tileSize, y0: group.y0 * tileSize, x1: group.x1 * tileSize, y1: group.y1 * tileSize }
    )
  }

  /** Whether a tile was asked for and could not be read. */
  hasFailed(plane: PlaneSelection, address: TileAddress): boolean {
    return this.failures.has(keyOf(plane, address))
  }

  /** A tile if it is in memory. */
  peek(plane: PlaneSelection, address: TileAddress): SampleTile | undefined {
    const key = keyOf(plane, address)
    const tile = this.#tiles.get(key)
    if (tile) {
      // A Map keeps the order of insertion: the tile becomes the youngest.
      this.#tiles.delete(key)
      this.#tiles.set(key, tile)
    }
    return tile
  }

  /**
   * @returns `undefined` where nothing is covered.
   * @throws {ApiError} the server could not read the tile. @throws {TypeError} it did not answer.
   */
  load(plane: PlaneSelection, address: TileAddress): Promise<SampleTile | undefined> {
    if (!this.has(plane, address)) return Promise.resolve(undefined)
    const known = this.peek(plane, address)
    if (known) return Promise.resolve(known)
    const key = keyOf(plane, address)
    const started = this.#loading.get(key) ?? this.#read(key, plane, address)
    this.#loading.set(key, started)
    return started
  }

  /** Stop what is under way; nothing is reported any more. */
  close(): void {
    this.#closing.abort()
  }

  async #read(key: string, plane: PlaneSelection, address: TileAddress): Promise<SampleTile | undefined> {
    try {
      const bytes = await readTileBytes(this.pyramid, plane, address, this.#closing.signal)
      this.failures.delete(key)
      if (!bytes) return undefined
      const tile = decodeTile(this.pyramid, bytes)
      this.#keep(key, tile)
      return tile
    } catch (error) {
      if (!this.#closing.signal.aborted) {
        this.failures.set(key, error as Error)
        this.#onFailure(error as Error)
      }
      throw error
    } finally {
      this.#loading.delete(key)
    }
  }

  #keep(key: string, tile: SampleTile): void {
    this.#tiles.set(key, tile)
    this.#bytes += byteLength(tile)
    for (const [oldest, old] of this.#tiles) {
      if (this.#bytes <= MAX_BYTES) break
      this.#tiles.delete(oldest)
      this.#bytes -= byteLength(old)
    }
  }
}

function planeKey({ channel, timePoint, zPlane }: PlaneSelection): string {
  return `${channel}/${timePoint}/${zPlane}`
}

function keyOf(plane: PlaneSelection, { level, column, row }: TileAddress): string {
  return `${planeKey(plane)}/${level}/${column}/${row}`
}

function byteLength({ samples, mask }: SampleTile): number {
  return samples.byteLength + (mask?.byteLength ?? 0)
}

function decodeTile({ sampleType, tileSize }: PyramidInfo, bytes: ArrayBuffer): SampleTile {
  const count = tileSize * tileSize
  const length = count * SAMPLE_TYPES[sampleType].bytes
  if (bytes.byteLength !== length && bytes.byteLength !== length + count) {
    throw new ApiError(502, `A tile came with ${bytes.byteLength} bytes; ${length} or ${length + count} belong there.`)
  }
  const samples = samplesFromBytes(sampleType, new Uint8Array(bytes, 0, length))
  return { samples, mask: bytes.byteLength > length ? new Uint8Array(bytes, length) : undefined }
}
