import { type Rect, rectAtLevel } from '../../src/plane.js'
import type { SampleBlock } from '../contrast/sample-histogram.js'
import { intersect } from '../picture/stage-geometry.js'
import type { PlaneSelection, PointUm } from '../server/pyramid-api.js'
import type { TileStore } from './tile-store.js'

/** The samples of one level inside a rectangle of level-0 pixels, as far as they are in memory. */
export function samplesInView(store: TileStore, plane: PlaneSelection, level: number, visible: Rect): SampleBlock[] {
  const { tileSize } = store.pyramid
  const wanted = rectAtLevel(visible, level)
  const blocks: SampleBlock[] = []
  forEachTile(store, plane, level, wanted, (column, row) => {
    const tile = store.peek(plane, { level, column, row })?.tile
    const x = column * tileSize
    const y = row * tileSize
    const part = intersect(wanted, { x0: x, y0: y, x1: x + tileSize, y1: y + tileSize })
    if (!tile || !part) return
    blocks.push({ ...tile, stride: tileSize, x0: part.x0 - x, y0: part.y0 - y, x1: part.x1 - x, y1: part.y1 - y })
  })
  return blocks
}

/** Visit the tiles that hold samples in a rectangle of pixels of their level. */
export function forEachTile(
  store: TileStore,
  plane: PlaneSelection,
  level: number,
  rect: Rect,
  visit: (column: number, row: number) => void,
): void {
  const { tileSize, width, height } = store.pyramid
  const inside = intersect(rect, rectAtLevel({ x0: 0, y0: 0, x1: width, y1: height }, level))
  if (!inside) return
  for (let row = Math.floor(inside.y0 / tileSize); row * tileSize < inside.y1; row++) {
    for (let column = Math.floor(inside.x0 / tileSize); column * tileSize < inside.x1; column++) {
      if (store.has(plane, { level, column, row })) visit(column, row)
    }
  }
}

/**
 * The sample drawn at a position; `uncovered` where no frame lies, `not built` where one may lie of which nothing is
 * built yet, `unknown` while its tile is on the way, `unreadable` where it is hatched.
 */
export type SampleAt = { readonly value: number } | 'uncovered' | 'not built' | 'unknown' | 'unreadable'

/** @param pixel position in level-0 pixels. */
export function sampleAt(store: TileStore, plane: PlaneSelection, level: number, pixel: PointUm): SampleAt {
  const { tileSize } = store.pyramid
  const x = Math.floor(pixel.x / 2 ** level)
  const y = Math.floor(pixel.y / 2 ** level)
  const address = { level, column: Math.floor(x / tileSize), row: Math.floor(y / tileSize) }
  if (!store.has(plane, address)) return 'uncovered'
  const content = store.peek(plane, address)
  if (!content) return store.hasFailed(plane, address) ? 'unreadable' : 'unknown'
  const index = (y - address.row * tileSize) * tileSize + (x - address.column * tileSize)
  const value = content.tile?.mask?.[index] === 0 ? undefined : content.tile?.samples[index]
  if (value !== undefined && !Number.isNaN(value)) return { value }
  return store.pyramid.complete ? 'uncovered' : 'not built'
}
