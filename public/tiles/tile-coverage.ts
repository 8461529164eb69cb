import type { Rect } from '../../src/plane.js'
import { SHARD_SIZE } from '../../src/pyramid/mosaic-geometry.js'
import type { CoverageRuns, ShardVersion, TileAddress } from '../server/pyramid-api.js'

interface LevelCoverage {
  readonly columns: number
  readonly rows: number
  /** One byte a tile, row-major; 1 where the tile holds samples. */
  readonly present: Uint8Array
}

/**
 * Which tiles hold samples: the others are neither asked for nor filled with stretched neighbours. Those of a growing
 * pyramid are going to hold some; versions tell what there is of them by now.
 */
export class TileCoverage {
  readonly #levels = new Map<number, LevelCoverage>()
  readonly #tileSize: number
  /** Versions of the shards of level 0, by row/column. */
  readonly #shards = new Map<string, string>()
  /**
   * Of tiles that lie over several shards of level 0, by level/row/column: the version that changed last. A coarse tile
   * is the mean of what lies below it, so this tells its changes more closely than the version of its own shard, which
   * may be that of half a plate.
   */
  readonly #coarse = new Map<string, string>()
  #plan: number | undefined

  constructor(coverage: CoverageRuns, tileSize: number) {
    this.#tileSize = tileSize
    this.read(coverage)
  }

  /** Take over a newer answer for the same plane of the same pyramid version. */
  read(coverage: CoverageRuns): void {
    this.#plan = coverage.plan
    for (const { level, columns, rows, runs } of coverage.levels) {
      const present = new Uint8Array(columns * rows)
      let position = 0
      runs.forEach((length, index) => {
        present.fill(index % 2, position, position + length)
        position += length
      })
      this.#levels.set(level, { columns, rows, present })
    }
    const shards = coverage.levels.find(({ level }) => level === 0)?.shards ?? {}
    for (const [place, version] of Object.entries(shards)) {
      const [row = 0, column = 0] = place.split('/').map(Number)
      this.setShardVersion({ level: 0, row, column, version })
    }
  }

  /** Of a growing pyramid: the plan that this is of. */
  get plan(): number | undefined {
    return this.#plan
  }

  /** Whether the version of a tile names its samples for good: that of a coarse one only tells their changes. */
  isNamed({ level }: TileAddress): boolean {
    return this.#tileSize * 2 ** level <= SHARD_SIZE
  }

  /** Changes whenever a sample of the tile may have changed; `undefined` where nothing of it is built. */
  version(address: TileAddress): string | undefined {
    const { level, column, row } = address
    if (!this.isNamed(address)) return this.#coarse.get(`${level}/${row}/${column}`)
    const side = this.#tileSize * 2 ** level
    const shardOf = (tile: number): number => Math.floor((tile * side) / SHARD_SIZE)
    return this.#shards.get(`${shardOf(row)}/${shardOf(column)}`)
  }

  setShardVersion({ level, row, column, version }: Pick<ShardVersion, 'level' | 'row' | 'column' | 'version'>): void {
    if (level > 0 || this.#shards.get(`${row}/${column}`) === version) return
    this.#shards.set(`${row}/${column}`, version)
    for (const coarser of this.#levels.keys()) {
      const shards = (this.#tileSize * 2 ** coarser) / SHARD_SIZE
      if (shards <= 1) continue
      this.#coarse.set(`${coarser}/${Math.floor(row / shards)}/${Math.floor(column / shards)}`, version)
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
