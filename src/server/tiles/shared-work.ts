interface Pending<T> {
  readonly result: Promise<T>
  readonly controller: AbortController
  waiters: number
}

/** Work under way, by key: whoever asks for what is being worked out already waits for that. */
export class SharedWork<T> {
  readonly #pending = new Map<string, Pending<T>>()

  /** How many pieces are under way. */
  get size(): number {
    return this.#pending.size
  }

  /**
   * @param work is done unless it is under way. Its signal aborts when nobody waits for it any more.
   * @param signal this caller's; the work goes on while others wait.
   * @throws what `work` throws, or the signal's reason.
   */
  async share(key: string, work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted()
    const pending = this.#pending.get(key) ?? this.#start(key, work)
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
      pending.result.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave))
    })
  }

  #start(key: string, work: (signal: AbortSignal) => Promise<T>): Pending<T> {
    const controller = new AbortController()
    const pending = { result: work(controller.signal), controller, waiters: 0 }
    this.#pending.set(key, pending)
    const forget = (): void => this.#forget(key, pending)
    pending.result.then(forget, forget)
    return pending
  }

  /** A key whose work was aborted may be worked on again already. */
  #forget(key: string, pending: Pending<T>): void {
    if (this.#pending.get(key) === pending) this.#pending.delete(key)
  }
}
