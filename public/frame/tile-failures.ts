import { formatCount } from '../parts/number-format.js'
import { ApiError } from '../server/pyramid-api.js'
import type { TileStore } from '../tiles/tile-store.js'
import type { Notices } from './notices.js'

/** Says how many tiles are hatched and why, and offers to read them again. */
export class TileFailures {
  readonly #notices: Notices
  readonly #retry: () => void

  constructor(notices: Notices, retry: () => void) {
    this.#notices = notices
    this.#retry = retry
  }

  show(store: TileStore): void {
    // A server that does not answer is told by the connection; its tiles are read again when it is back.
    const refused = store.failures.filter(error => error instanceof ApiError)
    if (refused.length === 0) {
      this.#notices.dismiss('damage')
      return
    }
    const damaged = refused.some(error => error instanceof ApiError && error.status === 422)
    const reason = damaged ? ' (checksum)' : ''
    const are = refused.length === 1 ? 'It is' : 'They are'
    this.#notices.show({
      kind: 'damage',
      icon: 'warning',
      text: `${formatCount(refused.length, 'tile')} could not be read${reason}. ${are} hatched.`,
      action: { label: 'Retry', run: this.#retry },
      stays: true,
      urgent: true,
    })
  }
}
