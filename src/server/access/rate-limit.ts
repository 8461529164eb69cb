import { isIPv6 } from 'node:net'
import { LRUCache } from 'lru-cache'

/** Clients that are kept in mind; whoever was not heard of for longest is forgotten first. */
const MAX_CLIENTS = 10_000

export interface Rate {
  /** Requests that are granted in the long run. */
  readonly perSecond: number
  /** Requests that are granted at once after a pause. */
  readonly burst: number
}

interface Account {
  left: number
  /** When `left` was right, ms of `performance.now()`. */
  atMs: number
}

/** How much each client may ask for: an account that fills by the second up to `burst`, and that requests are taken from. */
export class RateLimit {
  readonly #accounts = new LRUCache<string, Account>({ max: MAX_CLIENTS })
  readonly #rate: Rate

  constructor(rate: Rate) {
    this.#rate = rate
  }

  /** Take one. @returns seconds to wait where nothing is left; 0 where it is granted. */
  take(address: string): number {
    const account = this.#account(address)
    if (account.left < 1) return this.#secondsUntilOne(account)
    account.left--
    return 0
  }

  /** What `take` would return, but nothing is taken. */
  secondsToWait(address: string): number {
    const account = this.#account(address)
    return account.left < 1 ? this.#secondsUntilOne(account) : 0
  }

  #account(address: string): Account {
    const { perSecond, burst } = this.#rate
    const client = clientOf(address)
    const nowMs = performance.now()
    const known = this.#accounts.get(client)
    if (known) {
      known.left = Math.min(burst, known.left + ((nowMs - known.atMs) / 1000) * perSecond)
      known.atMs = nowMs
      return known
    }
    const fresh = { left: burst, atMs: nowMs }
    this.#accounts.set(client, fresh)
    return fresh
  }

  #secondsUntilOne({ left }: Account): number {
    return (1 - left) / this.#rate.perSecond
  }
}

/** Whom an address stands for: of IPv6, everybody has a network of 2⁶⁴. IPv4 may come in IPv6's clothes. */
export function clientOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (mapped) return mapped[1]
  if (!isIPv6(address)) return address
  const [head, tail] = address.split('%')[0].split('::')
  const groups = head === '' ? [] : head.split(':')
  if (tail === undefined) return groups.slice(0, 4).join(':')
  const end = tail === '' ? [] : tail.split(':')
  const zeros = Array(Math.max(0, 8 - groups.length - end.length)).fill('0')
  return [...groups, ...zeros, ...end].slice(0, 4).join(':')
}
