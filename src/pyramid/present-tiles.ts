import type { Coverage } from './coverage.js'
import { gridOf, type MosaicGeometry, type TileAddress } from './mosaic-geometry.js'

/** Addresses of the tiles of a level that hold a covered pixel, row by row. */
export function presentTiles(coverage: Coverage, geometry: MosaicGeometry, level: number): TileAddress[] {
  const { columns } = gridOf(geometry, level)
  const addresses: TileAddress[] = []
  let place = 0
  coverage.tileRuns(level).forEach((run, i) => {
    for (const end = place + run; place < end; place++) {
      if (i % 2 === 1) addresses.push({ level, column: place % columns, row: Math.floor(place / columns) })
    }
  })
  return addresses
}
