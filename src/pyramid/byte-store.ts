import { LRUCache } from 'lru-cache'

/** What an entry costs besides its bytes: key, links and object headers, roughly. */
const ENTRY_OVERHEAD_BYTES = 400

/** Values by key, bounded in bytes all together: those longest unused go first. */
export class ByteStore {
  readonly #values: LRUCache<string, object>
  /** Times that something was asked for and there, and was not. */
  hits = 0
  misses = 0

  /** @param maxBytes 0 keeps nothing. */
  constructor(maxBytes: number) {
    this.#values = new LRUCache({ maxSize: Math.max(1, Math.floor(maxBytes)) })
  }

  /** Bytes of all that is kept, with what keeping it costs. */
  get bytes(): number {
    return this.#values.calculatedSize
  }

  /** How many values are kept. */
  get size(): number {
    return this.#values.size
  }

  /** Who set a key knows what is kept there: keys of different kinds of values begin differently. */
  get<T extends object>(key: string): T | undefined {
    const value = this.#values.get(key) as T | undefined
    if (value) this.hits++
    else this.misses++
    return value
  }

  /** @param bytes what the value takes. One that is larger than the bound is not kept. */
  set(key: string, value: object, bytes: number): void {
    this.#values.set(key, value, { size: bytes + ENTRY_OVERHEAD_BYTES })
  }

  delete(key: string): void {
    this.#values.delete(key)
  }
}
