/** Texts that a browser keeps. Where it lets a page keep nothing, as in a frame of another site, they last as long as the page. */
export class Kept {
  readonly #storage: Storage | undefined
  readonly #values = new Map<string, string>()

  constructor(storage: () => Storage) {
    try {
      this.#storage = storage()
    } catch {
      this.#storage = undefined
    }
  }

  get(name: string): string | undefined {
    return this.#values.get(name) ?? this.#storage?.getItem(name) ?? undefined
  }

  set(name: string, text: string): void {
    this.#values.set(name, text)
    try {
      this.#storage?.setItem(name, text)
    } catch {
      // It is full.
    }
  }

  remove(name: string): void {
    this.#values.delete(name)
    this.#storage?.removeItem(name)
  }
}

/** For this browser. */
export const keptByBrowser = new Kept(() => localStorage)
/** For this tab. */
export const keptByTab = new Kept(() => sessionStorage)
