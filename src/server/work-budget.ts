/**
 * Lets so much work go on at once and no more, in the order in which it was asked for. Work that takes more than all of
 * it waits until it is alone.
 */
export class WorkBudget {
  readonly #size: number
  readonly #least: number
  #free: number
  readonly #waiting: { readonly cost: number; readonly begin: () => void }[] = []

  /**
   * @param size in any unit, e.g. pixels, or pieces of work. @param least what the smallest piece of work takes of it, so that there are
   *   never many.
   */
  constructor(size: number, least: number) {
    this.#size = size
    this.#least = least
    this.#free = size
  }

  /**
   * Do work when there is room for it.
   * @throws what the work throws, or the signal's reason if it is aborted before it begins.
   */
  async run<T>(cost: number, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const taken = Math.min(Math.max(cost, this.#least), this.#size)
    signal.throwIfAborted()
    if (this.#waiting.length === 0 && taken <= this.#free) this.#free -= taken
    else await this.#wait(taken, signal)
    try {
      return await work()
    } finally {
      this.#free += taken
      this.#admit()
    }
  }

  #wait(cost: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(entry), 1)
        reject(signal.reason)
        // Those behind may be small enough.
        this.#admit()
      }
      const begin = (): void => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      const entry = { cost, begin }
      signal.addEventListener('abort', leave, { once: true })
      this.#waiting.push(entry)
    })
  }

  #admit(): void {
    for (let next = this.#waiting[0]; next && next.cost <= this.#free; next = this.#waiting[0]) {
      this.#waiting.shift()
      this.#free -= next.cost
      next.begin()
    }
  }
}
