import { keepToken } from '../server/pyramid-api.js'
import { type ReadLink, readPermalink, type SeenState, writePermalink } from './permalink.js'

/** What is seen rests this long before the address tells it: browsers allow only so many changes a minute. */
const REST_MS = 300

/** Keeps the address of the page what leads back to what is seen, without entries in the history. */
export class AddressBar {
  readonly #seen: () => SeenState | undefined
  #timer: number | undefined

  /**
   * @param seen undefined while nothing is shown.
   * @param followed the address was changed by hand, or by going back.
   */
  constructor(seen: () => SeenState | undefined, followed: (link: ReadLink) => void) {
    this.#seen = seen
    addEventListener('hashchange', () => {
      keepToken()
      clearTimeout(this.#timer)
      followed(this.link)
    })
  }

  /** What the address says now. */
  get link(): ReadLink {
    return readPermalink(location.hash.slice(1))
  }

  /** The address of what is seen. */
  get href(): string {
    this.#write()
    return location.href
  }

  /** Something that is seen may have changed: called for every frame, so what the address is to say is found at rest. */
  update(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#write(), REST_MS)
  }

  #write(): void {
    clearTimeout(this.#timer)
    const state = this.#seen()
    const hash = state && `#${writePermalink(state)}`
    if (hash === undefined || hash === location.hash) return
    history.replaceState(history.state, '', location.pathname + location.search + hash)
  }
}
