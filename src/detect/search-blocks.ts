import { intersect, type Rect } from '../plane.js'
import { gridOf, type MosaicGeometry, tileRegion } from '../pyramid/mosaic-geometry.js'

/** A part of a level that is searched at once, and how many tiles it stands for. */
export interface SearchBlock {
  readonly rect: Rect
  readonly tiles: number
}

/**
 * Cut a region of a level into blocks, row by row from the top left; those that nothing is covered of are left out.
 *
 * @param runs of the tiles of the level, as `Coverage.tileRuns` gives them.
 * @param region px of the level. @param edge of a block, px.
 */
export function cutSearchBlocks(
  geometry: MosaicGeometry,
  level: number,
  runs: readonly number[],
  region: Rect,
  edge: number,
): SearchBlock[] {
  const { columns } = gridOf(geometry, level)
  const blockColumns = Math.ceil((region.x1 - region.x0) / edge)
  const tilesOf = new Map<number, number>()
  let place = 0
  runs.forEach((run, i) => {
    const end = place + run
    // Runs of empty and present tiles take turns.
    for (; i % 2 === 1 && place < end; place++) {
      const tile = tileRegion({ row: Math.floor(place / columns), column: place % columns }, geometry.tileSize)
      const { x0, y0, x1, y1 } = intersect(tile, region)
      if (x0 >= x1 || y0 >= y1) continue
      // A tile counts for the block of its first pixel, and is read for every block that it reaches into.
      const [left, top] = [Math.floor((x0 - region.x0) / edge), Math.floor((y0 - region.y0) / edge)]
      const [right, bottom] = [Math.floor((x1 - 1 - region.x0) / edge), Math.floor((y1 - 1 - region.y0) / edge)]
      for (let row = top; row <= bottom; row++) {
        for (let column = left; column <= right; column++) {
          const block = row * blockColumns + column
          tilesOf.set(block, (tilesOf.get(block) ?? 0) + (row === top && column === left ? 1 : 0))
        }
      }
    }
    place = end
  })
  return [...tilesOf]
    .sort(([a], [b]) => a - b)
    .map(([block, tiles]) => {
      const x0 = region.x0 + (block % blockColumns) * edge
      const y0 = region.y0 + Math.floor(block / blockColumns) * edge
      return { tiles, rect: intersect({ x0, y0, x1: x0 + edge, y1: y0 + edge }, region) }
    })
}
