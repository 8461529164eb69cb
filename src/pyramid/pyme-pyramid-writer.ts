import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fromSystemError, UnsupportedDataError } from '../errors.js'
import { mapConcurrently } from '../sources/map-concurrently.js'
import { writeFileAtomically } from './atomic-file.js'
import { makeFolder } from './make-folder.js'
import { NEW_KEY_SCHEMA, NEW_NAMING } from './pyme-tile-files.js'
import { encodePymeTile } from './pyme-tile-formats.js'
import type { PymeTile } from './pyme-tile-plan.js'
import type { CoveredTile, Pyramid } from './pyramid.js'
import { readCoveredTile } from './read-covered-tile.js'
import { blankCanvas, canvasOf, halveCanvas, pasteSquare } from './tile-canvas.js'

/** Tiles on their way from the disk at once: enough for one to be read while another is written. */
const TILES_AT_ONCE = 4

/** A pyramid has one pixel size to PYME; axes that differ by less are taken for the same. */
const SAME_PIXEL_SIZE = 1e-5

/** Without it a folder is no pyramid. */
export const PYME_METADATA = 'metadata.json'

const PLANE = { channel: 0, zPlane: 0, timePoint: 0 }

/** What must be known of a pyramid to tell whether it can be one of PYME's. */
export interface PymeCandidate extends Pick<Pyramid, 'zPlanes' | 'timePoints'> {
  readonly geometry: Pick<Pyramid['geometry'], 'pixelSizeUm'>
  readonly channels: readonly unknown[]
}

/** @throws {UnsupportedDataError} the pyramid has more planes than one, or pixels that are no squares. */
export function refuseForPyme({ channels, zPlanes, timePoints, geometry }: PymeCandidate, url: string): void {
  const extent = [channels.length, zPlanes, timePoints]
  if (extent.some(length => length > 1)) {
    throw new UnsupportedDataError(
      `${url} would have ${extent.join(' × ')} planes (channels × z-planes × time points), and PYME's pyramids have one; build it as OME-Zarr, or each plane by itself.`,
      { url },
    )
  }
  const { x, y } = geometry.pixelSizeUm
  if (Math.abs(y / x - 1) > SAME_PIXEL_SIZE) {
    throw new UnsupportedDataError(
      `${url} would have pixels of ${x} × ${y} µm, and PYME's pyramids have square ones; build it as OME-Zarr.`,
      { url },
    )
  }
}

/**
 * Write tiles of a pyramid as PYME would have written them: uncompressed float32 counts above dark, 0 where nothing was
 * imaged.
 *
 * Tiles are left to the system to bring to the disk: waiting for each took as long as all the rest. What a power cut
 * takes of them soon after is missed when it is read, for their files are too short then.
 *
 * @param pyramid complete, of one plane.
 * @param folder is made; files of the same names are overwritten.
 * @param options `fades`: above the pyramid's own levels, what is not covered counts as 0, as PYME has it.
 * @returns the bytes of the files.
 * @throws {SourceUnavailableError} the disk is full or failing; the files so far stay. @throws as `Pyramid.readTile`.
 */
export async function writePymeTiles(
  pyramid: Pyramid,
  folder: string,
  tiles: readonly PymeTile[],
  { fades, signal }: { readonly fades: boolean; readonly signal?: AbortSignal },
): Promise<number> {
  const folders = new Set<string>()
  let bytes = 0
  await mapConcurrently(tiles, TILES_AT_ONCE, async address => {
    signal?.throwIfAborted()
    const file = await makePymeTile(pyramid, address, fades)
    const path = join(folder, pymeTileName(address))
    if (!folders.has(dirname(path))) await makeFolder(dirname(path))
    folders.add(dirname(path))
    try {
      writeFileSync(path, file)
    } catch (error) {
      throw fromSystemError(error, path)
    }
    bytes += file.length
  })
  return bytes
}

/** Where a tile lies in the folder of its pyramid. */
export function pymeTileName(address: PymeTile): string {
  return `${NEW_NAMING.nameOf(address)}.pzf`
}

/** The file of a tile. @param fades as for `writePymeTiles`. @throws as `Pyramid.readTile`. */
export async function makePymeTile(pyramid: Pyramid, address: PymeTile, fades: boolean): Promise<Uint8Array> {
  const { levelCount, tileSize } = pyramid.geometry
  const tile = address.isBlank
    ? undefined
    : await (address.level < levelCount
        ? readCoveredTile(pyramid, PLANE, address)
        : halvedTop(pyramid, address.level, fades))
  return encodePymeTile(tile?.plane.samples, tile?.mask, pyramid.pedestal, tileSize)
}

/** Write PYME's `metadata.json`. @param tiles all of the pyramid. @returns the bytes of the file. */
export async function writePymeMetadata(
  pyramid: Pick<Pyramid, 'geometry'>,
  folder: string,
  tiles: readonly PymeTile[],
): Promise<number> {
  const text = pymeMetadata(pyramid, tiles)
  await writeFileAtomically(join(folder, PYME_METADATA), text)
  return Buffer.byteLength(text)
}

/**
 * PYME's description of a pyramid: its keys in its order. Its numbers of tiles are the largest index, one less than there
 * are.
 *
 * @param tiles all of the pyramid.
 */
export function pymeMetadata({ geometry }: Pick<Pyramid, 'geometry'>, tiles: readonly PymeTile[]): string {
  const { originUm, pixelSizeUm, tileSize } = geometry
  let [depth, lastColumn, lastRow] = [0, 0, 0]
  for (const { level, column, row } of tiles) {
    depth = Math.max(depth, level)
    lastColumn = Math.max(lastColumn, column)
    lastRow = Math.max(lastRow, row)
  }
  const metadata = {
    'Pyramid.Backend': 'PZFTileIO',
    'Pyramid.Depth': depth,
    'Pyramid.KeySchema': NEW_KEY_SCHEMA,
    'Pyramid.NTilesX': lastColumn,
    'Pyramid.NTilesY': lastRow,
    'Pyramid.PixelSize': pixelSizeUm.x,
    'Pyramid.PixelsX': lastColumn * tileSize,
    'Pyramid.PixelsY': lastRow * tileSize,
    'Pyramid.TileSize': tileSize,
    'Pyramid.x0': originUm.x,
    'Pyramid.y0': originUm.y,
  }
  return JSON.stringify(metadata, null, 2)
}

/** The only tile of a level above the pyramid's own: the mosaic gets smaller in its corner. */
async function halvedTop(pyramid: Pyramid, level: number, fades: boolean): Promise<CoveredTile | undefined> {
  const { levelCount, tileSize } = pyramid.geometry
  const corner = { x: 0, y: 0 }
  const top = await readCoveredTile(pyramid, PLANE, { level: levelCount - 1, column: 0, row: 0 })
  if (!top) return undefined
  let canvas = canvasOf(top)
  for (let i = levelCount; i <= level; i++) {
    const whole = blankCanvas(pyramid.sampleType, tileSize)
    pasteSquare(halveCanvas(canvas, fades ? pyramid.pedestal : undefined), corner, whole, corner, tileSize / 2)
    canvas = whole
  }
  return canvas
}
