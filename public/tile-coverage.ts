import type { CoverageRuns, TileAddress } from './pyramid-api.js'

interface LevelCoverage {
  readonly columns: number
  readonly rows: number
  /** One byte a tile, row-major; 1 where the tile holds samples. */
  readonly present: Uint8Array
}

/** Which tiles hold samples: the others are neither asked for nor filled with stretched neighbours. */
export class TileCoverage {
  readonly #levels = new Map<number, LevelCoverage>()

  constructor(coverage: CoverageRuns) {
    for (const { level, columns, rows, runs } of coverage.levels) {
      const present = new Uint8Array(columns * rows)
      let position = 0
      runs.forEach((length, index) => {
        present.fill(index % 2, position, position + length)
        position += length
      })
      this.#levels.set(level, { columns, rows, present })
    }
  }

  has({ level, column, row }: TileAddress): boolean {
    const grid = this.#levels.get(level)
    if (!grid || column < 0 || row < 0 || column >= grid.columns || row >= grid.rows) return false
    return grid.present[row * grid.columns + column] === 1
  }
}
