import type { Rect, Size } from '../../plane.js'
import { levelSize, type MosaicGeometry } from '../../pyramid/mosaic-geometry.js'
import type { TileCut } from '../tiles/tile-cut.js'
import type { WantedPicture } from '../tiles/wanted-tile.js'

/**
 * A tile as other viewers see it: cut where the mosaic ends, and with levels that go on until all of it is one pixel.
 * Level 0 is full resolution, as everywhere here.
 */
export type HalvedTile = Pick<WantedPicture, 'address' | 'cut'>

/** The level at which the mosaic is one pixel. */
export function lastHalving({ width, height }: Size): number {
  let level = 0
  while (2 ** level < Math.max(width, height)) level++
  return level
}

/** @param level, column, row whole numbers, not below 0. @returns undefined outside the grid of the level. */
export function halvedTile(
  geometry: MosaicGeometry,
  level: number,
  column: number,
  row: number,
): HalvedTile | undefined {
  const { tileSize: edge, levelCount } = geometry
  const whole = levelSize(geometry, level)
  const width = Math.min(edge, whole.width - column * edge)
  const height = Math.min(edge, whole.height - row * edge)
  if (level > lastHalving(geometry.size) || width <= 0 || height <= 0) return undefined
  const stored = Math.min(level, levelCount - 1)
  const cut: TileCut = { width, height, shrink: 2 ** (level - stored) }
  const isWhole = width === edge && height === edge && cut.shrink === 1
  return { address: { level: stored, column, row }, cut: isWhole ? undefined : cut }
}

/** The tile that a level-0 rectangle is at some size; undefined where it is none. */
export function tileOfRegion(geometry: MosaicGeometry, rect: Rect, size: Size): HalvedTile | undefined {
  const { width, height } = geometry.size
  const last = lastHalving(geometry.size)
  for (let level = 0; level <= last; level++) {
    const span = geometry.tileSize * 2 ** level
    if (rect.x0 % span !== 0 || rect.y0 % span !== 0) return undefined
    if (rect.x1 !== Math.min(width, rect.x0 + span) || rect.y1 !== Math.min(height, rect.y0 + span)) continue
    const isSize =
      size.width === Math.ceil((rect.x1 - rect.x0) / 2 ** level) &&
      size.height === Math.ceil((rect.y1 - rect.y0) / 2 ** level)
    if (isSize) return halvedTile(geometry, level, rect.x0 / span, rect.y0 / span)
  }
  return undefined
}
