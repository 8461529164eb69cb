import type { Rect, Size } from '../plane.js'

/** How stage micrometres map to mosaic pixels, and mosaic pixels to tiles. Plain data. */
export interface MosaicGeometry {
  /** Stage position of the centre of mosaic pixel (0, 0), µm. */
  readonly originUm: { readonly x: number; readonly y: number }
  readonly pixelSizeUm: { readonly x: number; readonly y: number }
  /** True where nobody knows how large a pixel is: pixels then stand for µm everywhere. */
  readonly isUncalibrated?: boolean
  /** Whole mosaic at level 0, px. */
  readonly size: Size
  /** Edge of a tile in px, the same at every level. */
  readonly tileSize: number
  /** Level 0 is full resolution; the last level fits in one tile. */
  readonly levelCount: number
}

/** Address of a tile inside one selection; `level` 0 is full resolution, column and row count from the top left. */
export interface TileAddress {
  readonly level: number
  readonly column: number
  readonly row: number
}

/** Pixels along the edge of a shard, at every level and for every tile size. */
export const SHARD_SIZE = 2048

/** Largest mosaic edge in px that we plan for: beyond it positions are surely wrong (metres read as micrometres). */
export const MAX_MOSAIC_EDGE = 2 ** 26

/** Places in the level-0 grid, empty ones included: answers about coverage name each of them. A plate has 10 million at most. */
export const MAX_GRID_TILES = 2 ** 26

/** Places for tiles in the grid of level 0, empty ones included. */
export function countTiles({ width, height }: Size, tileSize: number): number {
  return Math.ceil(width / tileSize) * Math.ceil(height / tileSize)
}

/** Number of levels until the whole mosaic is one tile. */
export function countLevels(size: Size, tileSize: number): number {
  let levels = 1
  while (Math.ceil(Math.max(size.width, size.height) / 2 ** (levels - 1)) > tileSize) levels++
  return levels
}

/** Size of the array of one level, px: the mosaic halved and rounded up `level` times. */
export function levelSize(geometry: MosaicGeometry, level: number): Size {
  const scale = 2 ** level
  return { width: Math.ceil(geometry.size.width / scale), height: Math.ceil(geometry.size.height / scale) }
}

/** Columns and rows of tiles (or, with `SHARD_SIZE`, of shards) of one level. */
export function gridOf(
  geometry: MosaicGeometry,
  level: number,
  edge = geometry.tileSize,
): { columns: number; rows: number } {
  const { width, height } = levelSize(geometry, level)
  return { columns: Math.ceil(width / edge), rows: Math.ceil(height / edge) }
}

/** The pixels of its level that a tile of `edge` px takes, or, with `SHARD_SIZE`, a shard. */
export function tileRegion({ row, column }: Pick<TileAddress, 'row' | 'column'>, edge: number): Rect {
  const [x0, y0] = [column * edge, row * edge]
  return { x0, y0, x1: x0 + edge, y1: y0 + edge }
}

/** Whether the address lies in the grid of its level. */
export function isInGrid(geometry: MosaicGeometry, { level, column, row }: TileAddress): boolean {
  if (![level, column, row].every(Number.isInteger) || level < 0 || level >= geometry.levelCount) return false
  const { columns, rows } = gridOf(geometry, level)
  return column >= 0 && row >= 0 && column < columns && row < rows
}

/** Round to the nearest integer, halves to the even one (as numpy, and as stored samples are rounded). */
export function roundHalfEven(value: number): number {
  const rounded = Math.round(value)
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded
}
