import { createHash } from 'node:crypto'
import { readdir, realpath, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import {
  CorruptDataError,
  fromSystemError,
  LimitExceededError,
  NotFoundError,
  SourceUnavailableError,
  UnsupportedDataError,
} from '../errors.js'
import type { Plane, SampleArray, SampleType, Size } from '../plane.js'
import { expectInside } from '../sources/expect-inside.js'
import { parsePythonJson } from '../sources/pyme/python-json.js'
import { readFileBytes } from '../sources/read-file.js'
import { type Coverage, FrameCoverage } from './coverage.js'
import { type Histogram, HistogramBuilder } from './histogram.js'
import {
  countLevels,
  isInGrid,
  MAX_GRID_TILES,
  MAX_MOSAIC_EDGE,
  type MosaicGeometry,
  type TileAddress,
} from './mosaic-geometry.js'
import { presentTiles } from './present-tiles.js'
import { listTiles, rectsOfTiles, type TileListing, tileNaming } from './pyme-tile-files.js'
import { PYME_TILE_FORMATS, type PymeTileFormat } from './pyme-tile-formats.js'
import type { Channel, MosaicSelection, Pyramid } from './pyramid.js'

const METADATA_FILE = 'metadata.json'

/** PYME writes eleven short keys. */
const MAX_METADATA_BYTES = 2 ** 20

const MIN_TILE_SIZE = 16
const MAX_TILE_SIZE = 2048

/** Levels of a single tile above the one that would do; more folders with numbers for names are none of PYME's. */
const MAX_SURPLUS_LEVELS = 8

/** Tiles looked at for a histogram: enough for the contrast, and read in a fraction of a second. */
const HISTOGRAM_TILES = 64

/** Whether the text of a `metadata.json` is that of a PYME pyramid (a PYME series has a file of the same name). */
export function isPymePyramidMetadata(metadata: unknown): metadata is Readonly<Record<string, unknown>> {
  return typeof metadata === 'object' && metadata !== null && 'Pyramid.TileSize' in metadata
}

/**
 * Open a pyramid that PYME wrote, in place.
 *
 * PYME's `PixelsX`, `PixelsY` and `Depth` are not used: they are one tile short, so extent and levels come from the
 * tiles on disk. Covered is what a level-0 tile covers, at every level.
 *
 * @param roots folders that tiles must lie in, after links are followed; with none, they may lie anywhere.
 * @throws {NotFoundError} no such folder, or no `metadata.json` in it.
 * @throws {UnsupportedDataError} other tiles than `.pzf` or `.npy`, or names that PYME does not give.
 * @throws {CorruptDataError} metadata that cannot be, no tiles, or a missing level.
 */
export async function openPymePyramid(path: string, roots: readonly string[] = []): Promise<Pyramid> {
  const folder = await realFolder(path)
  const metadataFile = join(folder, METADATA_FILE)
  // Before it is read: what is written meanwhile shall count as another version.
  const writtenAt = await modificationTime(metadataFile)
  const bytes = await readFileBytes(metadataFile, { maxBytes: MAX_METADATA_BYTES })
  const metadata = parsePythonJson(bytes, metadataFile)
  if (!isPymePyramidMetadata(metadata)) {
    throw new UnsupportedDataError(`${metadataFile} has no Pyramid.TileSize, so ${folder} is not a PYME pyramid.`, {
      url: folder,
    })
  }
  const naming = tileNaming(metadata['Pyramid.KeySchema'], metadataFile)
  const tileSize = readTileSize(metadata, metadataFile)
  const pixelSizeUm = readFinite(metadata, 'Pyramid.PixelSize', metadataFile)
  if (pixelSizeUm <= 0) {
    throw new CorruptDataError(`${metadataFile} says Pyramid.PixelSize ${pixelSizeUm}; it must be above 0.`, {
      url: metadataFile,
    })
  }
  const listing = await listTiles(folder, naming)
  const { extension } = listing
  const format = PYME_TILE_FORMATS.get(extension ?? '')
  if (extension === undefined || !format)
    throw new CorruptDataError(`${folder} has the metadata of a PYME pyramid and no tiles.`, { url: folder })
  const size = tiledSize(folder, listing, tileSize)
  const geometry: MosaicGeometry = {
    originUm: {
      x: readFinite(metadata, 'Pyramid.x0', metadataFile),
      y: readFinite(metadata, 'Pyramid.y0', metadataFile),
    },
    pixelSizeUm: { x: pixelSizeUm, y: pixelSizeUm },
    size,
    tileSize,
    levelCount: await countLevelsOnDisk(folder, countLevels(size, tileSize)),
  }
  const version = createHash('sha256').update(bytes).update(writtenAt).update(listing.fingerprint)
  const tiles = { format, fileOf: (address: TileAddress) => join(folder, `${naming.nameOf(address)}${extension}`) }
  return new PymePyramid(folder, geometry, tiles, listing, version.digest('hex').slice(0, 8), writtenAt, roots)
}

async function realFolder(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (error) {
    throw fromSystemError(error, path)
  }
}

async function modificationTime(file: string): Promise<string> {
  try {
    return String((await stat(file)).mtimeMs)
  } catch (error) {
    throw fromSystemError(error, file)
  }
}

function readTileSize(metadata: Readonly<Record<string, unknown>>, url: string): number {
  const tileSize = readFinite(metadata, 'Pyramid.TileSize', url)
  // PYME joins halves of tiles, so an odd size cannot be; the bounds keep a hostile file from taking memory.
  if (Number.isInteger(tileSize) && tileSize % 2 === 0 && tileSize >= MIN_TILE_SIZE && tileSize <= MAX_TILE_SIZE)
    return tileSize
  throw new UnsupportedDataError(
    `${url} says Pyramid.TileSize ${tileSize}; even sizes from ${MIN_TILE_SIZE} to ${MAX_TILE_SIZE} are read.`,
    { url },
  )
}

function readFinite(metadata: Readonly<Record<string, unknown>>, key: string, url: string): number {
  const value = metadata[key]
  if (typeof value === 'number' && Number.isFinite(value)) return value
  throw new CorruptDataError(`${url} says ${key} ${JSON.stringify(value) ?? 'nothing'}; a finite number is needed.`, {
    url,
  })
}

/** Extent of the tiles that exist, px, the empty places between them included. */
function tiledSize(folder: string, { rowsByColumn }: TileListing, tileSize: number): Size {
  let [columns, rows] = [0, 0]
  for (const [column, rowsThere] of rowsByColumn) {
    columns = Math.max(columns, column + 1)
    rows = Math.max(rows, rowsThere[rowsThere.length - 1] + 1)
  }
  const [width, height] = [columns * tileSize, rows * tileSize]
  if (Math.max(width, height) > MAX_MOSAIC_EDGE || columns * rows > MAX_GRID_TILES) {
    throw new LimitExceededError(
      `${folder} spans ${columns} × ${rows} tiles; up to ${MAX_GRID_TILES} of them and ${MAX_MOSAIC_EDGE} px along an edge are served.`,
      { url: folder },
    )
  }
  return { width, height }
}

/** How many levels lie on disk, as far as they are counted; PYME makes two where a single tile needs only one. */
async function countLevelsOnDisk(folder: string, neededLevels: number): Promise<number> {
  const names = new Set(await readdir(folder))
  let levels = 0
  while (levels < neededLevels + MAX_SURPLUS_LEVELS && names.has(String(levels))) levels++
  if (levels >= neededLevels) return levels
  throw new CorruptDataError(
    `${folder} has no level ${levels}, and its tiles need levels 0 to ${neededLevels - 1}: PYME did not finish it.`,
    { url: folder },
  )
}

/** How the tiles are stored, and where. */
interface TileFiles {
  readonly format: PymeTileFormat
  readonly fileOf: (address: TileAddress) => string
}

class PymePyramid implements Pyramid {
  id: string
  readonly name: string
  readonly format = 'PYME pyramid'
  readonly version: string
  readonly complete = true
  readonly sampleType: SampleType
  readonly pedestal = 0
  readonly channels: readonly Channel[] = [{ name: 'Channel 1', color: undefined }]
  readonly zPlanes = 1
  readonly timePoints = 1
  readonly wells = []
  readonly frames = undefined
  readonly placement = undefined
  readonly #tiles: TileFiles
  readonly #roots: readonly string[]
  /** When the metadata was. */
  readonly #writtenAt: string
  readonly #coverage: FrameCoverage
  #histogram: Promise<Histogram> | undefined

  constructor(
    readonly path: string,
    readonly geometry: MosaicGeometry,
    tiles: TileFiles,
    listing: TileListing,
    contentHash: string,
    writtenAt: string,
    roots: readonly string[],
  ) {
    this.#roots = roots
    this.#writtenAt = writtenAt
    this.id = createHash('sha256').update(path).digest('hex').slice(0, 32)
    this.name = basename(path)
    this.version = `${contentHash}.${geometry.levelCount}`
    this.sampleType = tiles.format.sampleType
    this.#tiles = tiles
    this.#coverage = new FrameCoverage(geometry, rectsOfTiles(listing, geometry.tileSize))
  }

  coverage(selection: MosaicSelection): Coverage {
    checkSelection(selection)
    return this.#coverage
  }

  /** PYME keeps no record of them. */
  framesAt(): undefined {
    return undefined
  }

  /** From the finest level of at most 64 tiles; PYME's exact zeros (nothing imaged there) are left out. */
  histogram(channel: number): Promise<Histogram> {
    checkSelection({ channel, zPlane: 0, timePoint: 0 })
    this.#histogram ??= this.#countSamples().catch(error => {
      this.#histogram = undefined
      throw error
    })
    return this.#histogram
  }

  async #countSamples(): Promise<Histogram> {
    const builder = new HistogramBuilder(this.sampleType)
    let failure: { readonly error: unknown } | undefined
    let readable = 0
    // One after the other: float bins depend on the order, and the same pyramid shall always show the same.
    for (const address of this.#histogramTiles()) {
      try {
        const samples = await this.#readSamples(address)
        builder.add(samples, this.#nonZeroMask(address, samples))
        readable++
      } catch (error) {
        // One damaged tile says nothing about the contrast of the others; it is reported where it is asked for.
        if (!(error instanceof CorruptDataError)) throw error
        failure ??= { error }
      }
    }
    if (failure !== undefined && readable === 0) throw failure.error
    return builder.finish()
  }

  #histogramTiles(): TileAddress[] {
    for (let level = 0; ; level++) {
      const tiles = presentTiles(this.#coverage, this.geometry, level)
      if (tiles.length <= HISTOGRAM_TILES) return tiles
    }
  }

  #nonZeroMask(address: TileAddress, samples: SampleArray): Uint8Array {
    const mask = this.#coverage.tileMask(address) ?? new Uint8Array(samples.length).fill(1)
    for (let i = 0; i < samples.length; i++) if (samples[i] === 0) mask[i] = 0
    return mask
  }

  async readTile(
    selection: MosaicSelection,
    address: TileAddress,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<Plane | undefined> {
    checkSelection(selection)
    if (!isInGrid(this.geometry, address)) {
      throw new RangeError(`no tile ${address.column}, ${address.row} at level ${address.level}`)
    }
    if (!this.#coverage.hasTile(address)) return undefined
    const { tileSize } = this.geometry
    const samples = await this.#readSamples(address, options.signal)
    return { width: tileSize, height: tileSize, sampleType: this.sampleType, samples }
  }

  async #readSamples(address: TileAddress, signal?: AbortSignal): Promise<SampleArray> {
    const { tileSize } = this.geometry
    const url = this.#tiles.fileOf(address)
    return this.#tiles.format.decode(await this.#readTileFile(url, signal), tileSize, url)
  }

  async #readTileFile(url: string, signal?: AbortSignal): Promise<Uint8Array> {
    let bytes: Uint8Array
    try {
      await expectInside(url, this.#roots)
      bytes = await readFileBytes(url, { maxBytes: this.#tiles.format.maxBytes(this.geometry.tileSize), signal })
    } catch (error) {
      await this.#expectSameVersion()
      if (!(error instanceof NotFoundError)) throw error
      throw new CorruptDataError(`${url} is missing, and there are full-resolution tiles that it must show.`, {
        url,
        cause: error,
      })
    }
    // Looked at after the tile was read: then the tile cannot be of a later pyramid.
    await this.#expectSameVersion()
    return bytes
  }

  /** @throws {SourceUnavailableError} the metadata was written anew, and the tiles may have been. */
  async #expectSameVersion(): Promise<void> {
    const writtenAt = await modificationTime(join(this.path, METADATA_FILE)).catch(() => undefined)
    if (writtenAt === this.#writtenAt) return
    throw new SourceUnavailableError(
      `${this.path} was overwritten or taken away while it was open; ask again in a moment.`,
      { url: this.path },
    )
  }

  async close(): Promise<void> {}
}

function checkSelection({ channel, zPlane, timePoint }: MosaicSelection): void {
  if (channel !== 0 || zPlane !== 0 || timePoint !== 0) {
    throw new RangeError(`a PYME pyramid has no channel ${channel}, z-plane ${zPlane}, time point ${timePoint}`)
  }
}
