import { sep } from 'node:path'
import { LRUCache } from 'lru-cache'
import { expectInside } from '../sources/expect-inside.js'
import type { OpenShard } from './open-shard.js'

interface Opening {
  readonly version: object
  readonly shard: Promise<OpenShard>
}

/**
 * Shards that are kept open, of however many pyramids: no more files at a time than `maxFiles`, and those that are
 * read just now.
 */
export class OpenShards {
  readonly #openings: LRUCache<string, Opening>
  readonly #roots: readonly string[]

  /** @param roots folders that files must lie in, after links are followed; with none, they may lie anywhere. */
  constructor(maxFiles: number, roots: readonly string[] = []) {
    this.#roots = roots
    this.#openings = new LRUCache({
      max: maxFiles,
      // Of a shard that never opened nothing is left.
      dispose: ({ shard }) => void shard.then(opened => opened.close()).catch(() => undefined),
    })
  }

  /** How many are open. */
  get size(): number {
    return this.#openings.size
  }

  /**
   * Read from a shard, which is opened if it is not open yet. A failure is not kept: the next reader tries again.
   *
   * @param version tells a file from the one that lay there before: another object, another file.
   */
  async read<T>(
    url: string,
    version: object,
    open: () => Promise<OpenShard>,
    read: (shard: OpenShard) => Promise<T>,
  ): Promise<T> {
    let shard = await this.#open(url, version, open)
    // Others may have pushed it out meanwhile.
    while (shard.isClosed) shard = await this.#open(url, version, open)
    return read(shard)
  }

  /** Close what is open below a folder; reads under way are finished first. */
  closeBelow(folder: string): void {
    for (const url of this.#openings.keys()) if (url.startsWith(folder + sep)) this.#openings.delete(url)
  }

  #open(url: string, version: object, open: () => Promise<OpenShard>): Promise<OpenShard> {
    const known = this.#openings.get(url)
    if (known?.version === version) return known.shard
    const opening = { version, shard: expectInside(url, this.#roots).then(open) }
    this.#openings.set(url, opening)
    opening.shard.catch(() => {
      if (this.#openings.peek(url) === opening) this.#openings.delete(url)
    })
    return opening.shard
  }
}
