import type { Coverage } from './coverage.js'
import { isInGrid, type MosaicGeometry, type TileAddress } from './mosaic-geometry.js'
import { presentTiles } from './present-tiles.js'

/** A tile of a PYME pyramid. */
export interface PymeTile extends TileAddress {
  /** Whether nothing was imaged in it, and PYME makes it all the same. */
  readonly isBlank: boolean
}

/**
 * The tiles that PYME's rules make of a mosaic, the finest level first.
 *
 * To PYME a frame of pixels x0 … x1 − 1 touches the tiles ⌊x0/T⌋ … ⌊x1/T⌋: where it ends on the border of a tile, the
 * next one is made too, of zeros, also beyond the mosaic. Above level 0 there is a tile wherever there is one below.
 * There are levels until one is a single tile, and two at least. (PYME stops at a single tile wherever it lies; here it
 * must be the first one, so that the levels above are those of the whole mosaic.)
 */
export function planPymeTiles(coverage: Coverage, geometry: MosaicGeometry): PymeTile[] {
  const tiles: PymeTile[] = []
  let blank: readonly TileAddress[] = blankTiles(coverage, geometry)
  for (let level = 0; ; level++) {
    const imaged =
      level < geometry.levelCount ? presentTiles(coverage, geometry, level) : [{ level, column: 0, row: 0 }]
    for (const address of imaged) tiles.push({ ...address, isBlank: false })
    for (const address of blank) tiles.push({ ...address, isBlank: true })
    const [{ column, row }] = imaged
    if (level > 0 && imaged.length === 1 && blank.length === 0 && column === 0 && row === 0) return tiles
    blank = blankParents(blank, coverage, geometry)
  }
}

/** The tiles of level 0 right of, below and diagonally below frames that end on their border. */
function blankTiles(coverage: Coverage, geometry: MosaicGeometry): TileAddress[] {
  const { tileSize } = geometry
  const last = tileSize - 1
  const found = new Map<string, TileAddress>()
  for (const { column, row } of presentTiles(coverage, geometry, 0)) {
    const next = [
      { level: 0, column: column + 1, row },
      { level: 0, column, row: row + 1 },
      { level: 0, column: column + 1, row: row + 1 },
    ]
    if (next.every(address => isImaged(address, coverage, geometry))) continue
    const mask = coverage.tileMask({ level: 0, column, row })
    const reaches = (x: number, y: number): boolean => mask === undefined || mask[y * tileSize + x] === 1
    const along = Array.from({ length: tileSize }, (_, i) => i)
    const isTouched = [along.some(y => reaches(last, y)), along.some(x => reaches(x, last)), reaches(last, last)]
    next.forEach((address, i) => {
      if (isTouched[i] && !isImaged(address, coverage, geometry)) found.set(keyOf(address), address)
    })
  }
  return [...found.values()]
}

function blankParents(
  tiles: readonly TileAddress[],
  coverage: Coverage,
  geometry: MosaicGeometry,
): readonly TileAddress[] {
  const parents = tiles.map(({ level, column, row }) => ({ level: level + 1, column: column >> 1, row: row >> 1 }))
  const blank = parents.filter(address => !isImaged(address, coverage, geometry))
  return [...new Map(blank.map(address => [keyOf(address), address])).values()]
}

function isImaged(address: TileAddress, coverage: Coverage, geometry: MosaicGeometry): boolean {
  // Above the mosaic's own levels there is its first tile, and nothing else.
  if (address.level >= geometry.levelCount) return address.column === 0 && address.row === 0
  return isInGrid(geometry, address) && coverage.hasTile(address)
}

function keyOf({ column, row }: TileAddress): string {
  return `${column},${row}`
}
