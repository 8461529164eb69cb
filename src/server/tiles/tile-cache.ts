import type { ByteStore } from '../../pyramid/byte-store.js'
import { WorkBudget } from '../work-budget.js'
import { SharedWork } from './shared-work.js'

/** More pictures than this at once would only wait for the threads that draw them, and for the disk. */
const COMPUTATIONS_AT_ONCE = 16

/**
 * Encoded tiles by key; keys begin with `tile/`.
 *
 * Concurrent misses of a key share one computation; a failed one is forgotten, so the next request tries again; one
 * that nobody waits for any more is aborted.
 */
export class TileCache {
  readonly #store: ByteStore
  readonly #work = new SharedWork<Buffer>()
  readonly #budget = new WorkBudget(COMPUTATIONS_AT_ONCE, 1)

  /** @param store has the bound in bytes, and may keep other things as well. */
  constructor(store: ByteStore) {
    this.#store = store
  }

  /** How many tiles are being computed or wait for it. */
  get pending(): number {
    return this.#work.size
  }

  get(key: string): Buffer | undefined {
    return this.#store.get(key)
  }

  /** Forget the bytes of a key: they turned out not to be what it names. */
  delete(key: string): void {
    this.#store.delete(key)
  }

  /**
   * The bytes of a key, computed unless they are kept or on their way.
   *
   * @param signal this caller's; the computation goes on while others wait.
   * @throws what `compute` throws, or the signal's reason.
   */
  async getOrCompute(
    key: string,
    compute: (signal: AbortSignal) => Promise<Buffer>,
    signal: AbortSignal,
  ): Promise<Buffer> {
    return this.get(key) ?? this.#work.share(key, unwanted => this.#compute(key, compute, unwanted), signal)
  }

  async #compute(
    key: string,
    compute: (signal: AbortSignal) => Promise<Buffer>,
    unwanted: AbortSignal,
  ): Promise<Buffer> {
    const bytes = await this.#budget.run(1, unwanted, () => compute(unwanted))
    this.#store.set(key, bytes, bytes.byteLength)
    return bytes
  }
}
