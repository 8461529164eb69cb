import { stageOfPixel } from '../picture/stage-geometry.js'
import { TileCoverage } from '../tiles/tile-coverage.js'
import { decodeTile } from '../tiles/tile-store.js'
import type { ValueReply } from './measure-api.js'
import {
  ApiError,
  type PlaneSelection,
  type PointUm,
  type PyramidInfo,
  readCoverage,
  readTileBytes,
} from './pyramid-api.js'

/**
 * What is stored at a place, from the tiles of full resolution; which frames it comes from is not told.
 *
 * @throws {ApiError} 404 outside of the mosaic.
 */
export async function valueOfTiles(
  pyramid: PyramidInfo,
  slice: Omit<PlaneSelection, 'channel'>,
  place: PointUm,
  signal = new AbortController().signal,
): Promise<ValueReply> {
  const pixel = { x: Math.floor(place.x), y: Math.floor(place.y) }
  const { x, y } = pixel
  const { width, height, wells, darkLevel } = pyramid
  if (x < 0 || y < 0 || x >= width || y >= height) throw new ApiError(404, 'That place lies outside of the mosaic.')
  const well = wells.find(({ x0, y0, x1, y1 }) => x >= x0 && x < x1 && y >= y0 && y < y1)
  const channels = await Promise.all(
    pyramid.channels.map(async ({ name }, channel) => {
      const stored = await storedValue(pyramid, { ...slice, channel }, pixel, signal)
      const counts = stored === null ? null : stored - darkLevel
      return { channel, name, covered: stored !== null, stored, counts, frames: null }
    }),
  )
  return { pixel, centreUm: stageOfPixel(pyramid, { x: x + 0.5, y: y + 0.5 }), well: well?.name ?? null, channels }
}

async function storedValue(
  pyramid: PyramidInfo,
  plane: PlaneSelection,
  { x, y }: PointUm,
  signal: AbortSignal,
): Promise<number | null> {
  const { tileSize } = pyramid
  const address = { level: 0, column: Math.floor(x / tileSize), row: Math.floor(y / tileSize) }
  const coverage = new TileCoverage(await readCoverage(pyramid.id, plane), tileSize)
  const isThere = coverage.has(address)
  const bytes = isThere ? await readTileBytes(pyramid, plane, address, pyramid.version, signal) : undefined
  const tile = bytes && decodeTile(pyramid, bytes)
  const index = (y - address.row * tileSize) * tileSize + (x - address.column * tileSize)
  const value = tile?.mask?.[index] === 0 ? undefined : tile?.samples[index]
  return value === undefined || Number.isNaN(value) ? null : value
}
