import type { Rect } from '../src/plane.js'
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

  /** The box around the first tiles, in reading order, that touch each other. Tiles of level 0. */
  get firstGroup(): Rect | undefined {
    const grid = this.#levels.get(0)
    const first = grid?.present.indexOf(1) ?? -1
    if (!grid || first < 0) return undefined
    const { columns, rows, present } = grid
    const box = { x0: columns, y0: rows, x1: 0, y1: 0 }
    const seen = new Uint8Array(present.length)
    const waiting = [first]
    seen[first] = 1
    for (let tile = waiting.pop(); tile !== undefined; tile = waiting.pop()) {
      const [column, row] = [tile % columns, Math.floor(tile / columns)]
      box.x0 = Math.min(box.x0, column)
      box.y0 = Math.min(box.y0, row)
      box.x1 = Math.max(box.x1, column + 1)
      box.y1 = Math.max(box.y1, row + 1)
      for (let y = Math.max(0, row - 1); y <= Math.min(rows - 1, row + 1); y++) {
        for (let x = Math.max(0, column - 1); x <= Math.min(columns - 1, column + 1); x++) {
          const neighbour = y * columns + x
          if (present[neighbour] !== 1 || seen[neighbour] === 1) continue
          seen[neighbour] = 1
          waiting.push(neighbour)
        }
      }
    }
    return box
  }
}
