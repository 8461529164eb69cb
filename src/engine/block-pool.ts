import { SAMPLE_TYPES, type SampleType } from '../plane.js'
import { SHARD_SIZE } from '../pyramid/mosaic-geometry.js'
import type { ShardNode } from './shard-tree.js'

/**
 * Memory for shards that are reduced to half their edge, on their way from the worker that made them to the one that
 * makes their parent. It is shared by all threads and used again and again: nothing is copied, nothing is collected.
 */
export class BlockPool {
  readonly #bytes: number
  #most = 0
  #made = 0
  readonly #free: SharedArrayBuffer[] = []
  /** Blocks that wait for their parents, the oldest first. */
  readonly #waiting = new Map<ShardNode, SharedArrayBuffer>()

  constructor(sampleType: SampleType) {
    this.#bytes = (SHARD_SIZE / 2) ** 2 * SAMPLE_TYPES[sampleType].bytes
  }

  /** @param bytes of all blocks together. */
  bound(bytes: number): void {
    this.#most = Math.floor(bytes / this.#bytes)
  }

  /** A block to be written. The oldest that waits is given up where there is no other: its parent reads it back from its file. */
  take(): SharedArrayBuffer | undefined {
    const free = this.#free.pop()
    if (free) return free
    if (this.#made < this.#most) {
      this.#made++
      return new SharedArrayBuffer(this.#bytes)
    }
    const [oldest] = this.#waiting.keys()
    return oldest && this.takeOf(oldest)
  }

  /** The block of a node, if it is kept; whoever has it frees it. */
  takeOf(node: ShardNode): SharedArrayBuffer | undefined {
    const block = this.#waiting.get(node)
    this.#waiting.delete(node)
    return block
  }

  /** The block of a node is written and waits for the parent. */
  keep(node: ShardNode, block: SharedArrayBuffer | undefined): void {
    this.free(this.takeOf(node))
    if (block) this.#waiting.set(node, block)
  }

  free(block: SharedArrayBuffer | string | undefined): void {
    if (block instanceof SharedArrayBuffer) this.#free.push(block)
  }
}
