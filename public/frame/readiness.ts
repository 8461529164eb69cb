/** Tells the outside, by `data-ready` on the root element, that everything asked for is drawn. */
export class Readiness {
  #pending = 0
  #drawn = false

  /** Something is about to be drawn. */
  unsettle(): void {
    this.#drawn = false
    this.#show()
  }

  /** The picture is complete. */
  settle(): void {
    this.#drawn = true
    this.#show()
  }

  /** Not ready before this is done, whatever comes of it. */
  async track(work: Promise<unknown>): Promise<void> {
    this.#pending++
    this.#show()
    try {
      await work
    } finally {
      this.#pending--
      this.#show()
    }
  }

  #show(): void {
    const { dataset } = document.documentElement
    if (this.#drawn && this.#pending === 0) dataset.ready = '1'
    else delete dataset.ready
  }
}
