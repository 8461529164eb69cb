import type { Spot } from './spot-finder.js'

/** Cells of a grid are so many radii wide: few to look at, with few spots in each. */
const CELL_RADII = 4

/** Rows of a grid: more than a level has. */
const KEY_ROWS = 2 ** 26

/** Spots of about the same radius, by where they lie. */
class SpotGrid {
  readonly #cell: number
  readonly #cells = new Map<number, Spot[]>()

  /** @param most the largest radius in it. */
  constructor(readonly most: number) {
    this.#cell = CELL_RADII * most
  }

  add(spot: Spot): void {
    const key = this.#key(Math.floor(spot.x / this.#cell), Math.floor(spot.y / this.#cell))
    const cell = this.#cells.get(key)
    if (cell) cell.push(spot)
    else this.#cells.set(key, [spot])
  }

  /** Whether the middle of a spot lies in one of these, or the middle of one of these in it. */
  overlaps({ x, y, radius }: Spot): boolean {
    const reach = Math.max(radius, this.most)
    for (let row = Math.floor((y - reach) / this.#cell); row * this.#cell <= y + reach; row++) {
      for (let column = Math.floor((x - reach) / this.#cell); column * this.#cell <= x + reach; column++) {
        for (const other of this.#cells.get(this.#key(column, row)) ?? []) {
          if (Math.hypot(other.x - x, other.y - y) < Math.max(radius, other.radius)) return true
        }
      }
    }
    return false
  }

  #key(column: number, row: number): number {
    return column * KEY_ROWS + row
  }
}

/**
 * Of spots that lie in each other, keep the one that stands out most: an object answers at several sizes, and a bright
 * one has noise in it.
 */
export function thinOut(spots: readonly Spot[]): Spot[] {
  const grids = new Map<number, SpotGrid>()
  return [...spots]
    .sort((a, b) => b.response - a.response)
    .filter(spot => {
      for (const grid of grids.values()) if (grid.overlaps(spot)) return false
      const most = 2 ** Math.ceil(Math.log2(spot.radius))
      const grid = grids.get(most) ?? new SpotGrid(most)
      grids.set(most, grid)
      grid.add(spot)
      return true
    })
}
