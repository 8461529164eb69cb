import { LRUCache } from 'lru-cache'

/** Computations under way at once; more would wait for the disk and the image library's threads anyway. */
const COMPUTATIONS_AT_ONCE = 16

/** What an entry costs besides its bytes: key, links and object headers, roughly. */
const ENTRY_OVERHEAD_BYTES = 400

interface Pending {
  readonly bytes: Promise<Buffer>
  readonly controller: AbortController
  waiters: number
}

/**
 * Encoded tiles by key, bounded in bytes.
 *
 * Concurrent misses of a key share one computation; a failed one is forgotten, so the next request tries again; one
 * that nobody waits for any more is aborted.
 */
export class TileCache {
  readonly #tiles: LRUCache<string, Buffer>
  readonly #pending = new Map<string, Pending>()
  readonly #queue: (() => void)[] = []
  #running = 0

  /** @param maxBytes the bound on all entries together; 0 keeps nothing. */
  constructor(maxBytes: number) {
    this.#tiles = new LRUCache({
      maxSize: Math.max(1, maxBytes),
      sizeCalculation: bytes => bytes.byteLength + ENTRY_OVERHEAD_BYTES,
    })
  }

  get(key: string): Buffer | undefined {
    return this.#tiles.get(key)
  }

  /** Forget the bytes of a key: they turned out not to be what it names. */
  delete(key: string): void {
    this.#tiles.delete(key)
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
    signal.throwIfAborted()
    const kept = this.#tiles.get(key)
    if (kept) return kept
    const pending = this.#pending.get(key) ?? this.#start(key, compute)
    pending.waiters++
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        if (--pending.waiters === 0) {
          this.#forget(key, pending)
          pending.controller.abort(signal.reason)
        }
        reject(signal.reason)
      }
      signal.addEventListener('abort', leave, { once: true })
      pending.bytes.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave))
    })
  }

  #start(key: string, compute: (signal: AbortSignal) => Promise<Buffer>): Pending {
    const controller = new AbortController()
    const pending: Pending = { bytes: this.#inTurn(compute, controller.signal), controller, waiters: 0 }
    this.#pending.set(key, pending)
    pending.bytes.then(
      bytes => {
        this.#tiles.set(key, bytes)
        this.#forget(key, pending)
      },
      () => this.#forget(key, pending),
    )
    return pending
  }

  /** A key whose computation was aborted may be computed again already. */
  #forget(key: string, pending: Pending): void {
    if (this.#pending.get(key) === pending) this.#pending.delete(key)
  }

  async #inTurn(compute: (signal: AbortSignal) => Promise<Buffer>, signal: AbortSignal): Promise<Buffer> {
    if (this.#running < COMPUTATIONS_AT_ONCE) this.#running++
    else await new Promise<void>(resolve => this.#queue.push(resolve))
    try {
      signal.throwIfAborted()
      return await compute(signal)
    } finally {
      // The place is handed on, so that nobody who comes in between takes it as well.
      const next = this.#queue.shift()
      if (next) next()
      else this.#running--
    }
  }
}
