import { element } from '../parts/element.js'
import type { FeedState } from '../server/event-feed.js'
import type { Notices } from './notices.js'

const WORDS: Readonly<Record<FeedState, string>> = {
  checking: 'Checking',
  live: 'Live',
  polling: 'Checking',
  lost: 'Offline',
}

/** Says in the top bar, and where it matters in a notice, whether the page hears of changes. */
export class Connection {
  readonly #root: HTMLElement
  readonly #word: HTMLElement
  readonly #notices: Notices
  readonly #tryNow: () => void
  /** The last state that was an answer. */
  #told: FeedState = 'checking'
  #state: FeedState = 'checking'
  #isBuilding = false
  /** Whether the server is there and does not let this page read. */
  #isRefused = false
  #countdown: number | undefined

  constructor(root: HTMLElement, notices: Notices, tryNow: () => void) {
    this.#root = root
    this.#word = element(root, '.word', HTMLElement)
    this.#notices = notices
    this.#tryNow = tryNow
  }

  show(state: FeedState, retryAtMs = 0, refusal?: string): void {
    clearInterval(this.#countdown)
    this.#state = state
    this.#isRefused = refusal !== undefined
    this.#showState()
    // A new attempt is no answer yet: what was told stays until there is one.
    if (state === 'checking') return
    if (state === 'lost') this.#tellLost(retryAtMs, refusal)
    else this.#notices.dismiss('lost')
    if (state === 'polling' && this.#told !== 'polling') {
      const text = 'Live updates are blocked by a proxy; checking every 2 s.'
      this.#notices.show({ kind: 'polling', icon: 'warning', text })
    }
    if (state === 'live') this.#notices.dismiss('polling')
    this.#told = state
  }

  /** Whether the pyramid that is shown is being built. */
  setBuilding(isBuilding: boolean): void {
    this.#isBuilding = isBuilding
    this.#showState()
  }

  #showState(): void {
    const isBuilding = this.#isBuilding && this.#state === 'live'
    this.#root.dataset.state = isBuilding ? 'building' : this.#state
    this.#word.textContent = isBuilding ? 'Building' : this.#isRefused ? 'No access' : WORDS[this.#state]
  }

  #tellLost(retryAtMs: number, refusal: string | undefined): void {
    const text = (): string => {
      const seconds = Math.max(0, Math.ceil((retryAtMs - performance.now()) / 1000))
      return refusal === undefined
        ? `Server not reachable. What is loaded stays usable; trying again in ${seconds} s.`
        : `${refusal} Trying again in ${seconds} s.`
    }
    const action = { label: 'Try now', run: this.#tryNow, keepsNotice: true }
    // Told once: who closed the notice need not close it after every attempt.
    if (this.#told !== 'lost') this.#notices.show({ kind: 'lost', icon: 'warning', text: text(), action, stays: true })
    else this.#notices.rephrase('lost', { text: text() })
    this.#countdown = setInterval(() => this.#notices.rephrase('lost', { text: text() }), 1000)
  }
}
