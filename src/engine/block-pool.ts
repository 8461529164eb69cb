import { SHARD_SIZE } from '../pyramid/mosaic-geometry.js'

/**
 * Memory for shards that are reduced to half their edge, on their way from the worker that made them to the one that
 * makes their parent. It is shared by all threads and used again and again: nothing is copied, nothing is collected.
 */
export class BlockPool {
  readonly #bytes: number
  readonly #most: number
  #made = 0
  readonly #free: SharedArrayBuffer[] = []
  /** Blocks that wait for their parents, by `keyOfBlock`, the oldest first. */
  readonly #waiting = new Map<string, SharedArrayBuffer>()
  /** Blocks whose parents are made, and may be made again as the series grows; the oldest first. */
  readonly #used = new Map<string, SharedArrayBuffer>()

  /** @param sampleBytes of one sample. @param bytes of all blocks together. */
  constructor(sampleBytes: number, bytes: number) {
    this.#bytes = (SHARD_SIZE / 2) ** 2 * sampleBytes
    this.#most = Math.floor(bytes / this.#bytes)
  }

  /** How many blocks there may be. */
  get most(): number {
    return this.#most
  }

  /** A block to be written. The oldest is given up where there is no other: its parent reads it back from its file. */
  take(): SharedArrayBuffer | undefined {
    const free = this.#free.pop()
    if (free) return free
    if (this.#made < this.#most) {
      this.#made++
      return new SharedArrayBuffer(this.#bytes)
    }
    const [oldest] = this.#used.size > 0 ? this.#used.keys() : this.#waiting.keys()
    return oldest === undefined ? undefined : this.takeOf(oldest)
  }

  /** The block of a shard, if it is kept; whoever has it says what becomes of it. */
  takeOf(key: string): SharedArrayBuffer | undefined {
    const block = this.#waiting.get(key) ?? this.#used.get(key)
    this.#waiting.delete(key)
    this.#used.delete(key)
    return block
  }

  /** The block of a shard is written and waits for the parent. */
  keep(key: string, block: SharedArrayBuffer | undefined): void {
    this.free(this.takeOf(key))
    if (block) this.#waiting.set(key, block)
  }

  /** The parent is made. The block is kept for the next time, as long as there is room. */
  keepUsed(key: string, block: SharedArrayBuffer): void {
    this.free(this.takeOf(key))
    this.#used.set(key, block)
  }

  free(block: SharedArrayBuffer | undefined): void {
    if (block) this.#free.push(block)
  }
}

/** @param fingerprint of what the shard's file holds. */
export function keyOfBlock(name: string, fingerprint: string): string {
  return `${name} ${fingerprint}`
}
