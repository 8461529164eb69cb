import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { RateLimit } from './rate-limit.js'

/** A person mistypes a token; who tries more is a program that guesses. */
const GUESSES = { perSecond: 10 / 60, burst: 10 }

/** Wrong tokens that are kept in mind. */
const MAX_KNOWN = 1000

/**
 * How often each client may still guess the token. The same wrong one again is no guess: a page that was left open since
 * the server had another token goes on asking, and shall not keep out those beside it who have the right one.
 */
export class WrongTokens {
  readonly #guesses = new RateLimit(GUESSES)
  readonly #known = new LRUCache<string, true>({ max: MAX_KNOWN })

  /** A client presented a wrong token. */
  add(address: string, token: string): void {
    const digest = createHash('sha256').update(token).digest('base64')
    if (this.#known.get(digest)) return
    this.#known.set(digest, true)
    this.#guesses.take(address)
  }

  /** @returns seconds until the client may present a token again; 0 where it may. */
  secondsToWait(address: string): number {
    return this.#guesses.secondsToWait(address)
  }
}
