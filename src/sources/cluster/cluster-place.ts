import type { PlaceOfMore } from '../series-location.js'

/** Looks at a place now and then, while others go on: servers that do not answer hold nobody up. */
export class ClusterPlace implements PlaceOfMore {
  #paths: string
  #lookedAt = performance.now()
  #isLooking = false
  readonly #look: () => Promise<readonly string[]>
  readonly #everyMs: number

  /** @param paths that are there now. @param look finds those that are there later, however long it takes. */
  constructor(paths: readonly string[], look: () => Promise<readonly string[]>, everyMs: number) {
    this.#paths = stampOf(paths)
    this.#look = look
    this.#everyMs = everyMs
  }

  stamp(): string {
    if (!this.#isLooking && performance.now() - this.#lookedAt >= this.#everyMs) void this.#lookAgain()
    return this.#paths
  }

  async #lookAgain(): Promise<void> {
    this.#isLooking = true
    try {
      this.#paths = stampOf(await this.#look())
    } catch {
      // What is wrong is told by those who read the series that are known.
    } finally {
      this.#lookedAt = performance.now()
      this.#isLooking = false
    }
  }
}

function stampOf(paths: readonly string[]): string {
  return paths.join('\n')
}
