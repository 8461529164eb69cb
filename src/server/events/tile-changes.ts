import type { Growth, GrowthChange, ShardVersion } from '../../pyramid/pyramid.js'
import { nameOfShard } from '../../pyramid/shard-entry.js'

/**
 * A change is told at once, those of the next moment together: a fast builder finishes hundreds of shards a second, and
 * a slow one's frames shall not wait.
 */
const COLLECT_MS = 200

/** What changed in a growing pyramid, as pages are told of it. */
export interface TilesEvent {
  readonly id: string
  readonly plan: number
  readonly shards: readonly {
    readonly channel: number
    readonly depth: number
    readonly t: number
    readonly level: number
    readonly row: number
    readonly column: number
    readonly version: string
  }[]
}

/** Tells what changes in one growing pyramid a few times a second, each shard once. */
export class TileChanges {
  readonly #id: string
  readonly #tell: (event: TilesEvent) => void
  readonly #shards = new Map<string, ShardVersion>()
  /** Of the newest change that was not told yet. */
  #plan: number | undefined
  /** Runs while changes are collected. */
  #timer: NodeJS.Timeout | undefined

  /** @param id of the pyramid. */
  constructor(id: string, growth: Growth, tell: (event: TilesEvent) => void) {
    this.#id = id
    this.#tell = tell
    growth.onChange = change => this.#collect(change)
  }

  /** Tell at once what was collected. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#plan === undefined) return
    const shards = [...this.#shards.values()].map(({ selection, level, row, column, version }) => ({
      channel: selection.channel,
      depth: selection.zPlane,
      t: selection.timePoint,
      level,
      row,
      column,
      version,
    }))
    const event = { id: this.#id, plan: this.#plan, shards }
    this.#shards.clear()
    this.#plan = undefined
    this.#tell(event)
  }

  #collect({ plan, shards }: GrowthChange): void {
    this.#plan = plan
    for (const shard of shards) this.#shards.set(nameOfShard(shard), shard)
    if (this.#timer === undefined) this.#tellAndCollect()
  }

  #tellAndCollect(): void {
    if (this.#plan === undefined) return
    this.flush()
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#tellAndCollect()
    }, COLLECT_MS).unref()
  }
}
