import { setTimeout } from 'node:timers/promises'
import { LimitExceededError, NotFoundError, SourceUnavailableError, TilestageError } from '../../errors.js'
import { type DataServer, nameServers } from './data-server.js'
import { type Body, httpGet, type Wanted } from './http-get.js'
import { type Entry, MAX_LISTING_BYTES, parseListing } from './listing.js'
import type { Patience } from './patience.js'
import { describeFailures, ServerFailure } from './server-failure.js'

/** A server that failed is asked last for so long. */
const SHUNNED_MS = 5000
/** One that failed in all rounds is asked once a file for so long, or a plate whose server died would take hours. */
const HOPELESS_MS = 30_000
/** Weight of the newest answer in what is known of a server's quickness. */
const NEWEST_WEIGHT = 0.2
/** Rounds in which a file is asked for that arrives whole and is damaged all the same. */
const ROUNDS_OF_DAMAGED = 2

/** What is known of a server, in this thread. */
interface Reputation {
  /** How long it takes to answer, ms; 0 before it did. */
  answerMs: number
  /** By `performance.now()`, as the next one. */
  shunnedUntil: number
  hopelessUntil: number
}

/** The data servers of one cluster, and how they behaved so far. */
export class DataServers {
  readonly all: readonly DataServer[]
  readonly patience: Patience
  readonly #reputations = new Map<DataServer, Reputation>()

  constructor(servers: readonly DataServer[], patience: Patience) {
    this.all = servers
    this.patience = patience
    for (const server of servers) this.#reputations.set(server, { answerMs: 0, shunnedUntil: 0, hopelessUntil: 0 })
  }

  /**
   * Ask one server, and again where that may help.
   *
   * @throws {ServerFailure} and the signal's reason.
   */
  async ask(server: DataServer, path: string, wanted: Wanted): Promise<Body> {
    for (let round = 1; ; round++) {
      try {
        return await this.askOnce(server, path, wanted)
      } catch (error) {
        if (!(error instanceof ServerFailure) || error.kind !== 'passing' || this.#isLast(round, [server])) throw error
        await this.#backOff(round, wanted.signal)
      }
    }
  }

  /** Ask one server once. @throws as `ask`. */
  async askOnce(server: DataServer, path: string, wanted: Wanted): Promise<Body> {
    const reputation = this.#reputations.get(server)!
    const startedAt = performance.now()
    try {
      const body = await httpGet(server, path, wanted, this.patience)
      const { answerMs } = reputation
      const took = performance.now() - startedAt
      reputation.answerMs = answerMs === 0 ? took : answerMs + NEWEST_WEIGHT * (took - answerMs)
      reputation.shunnedUntil = 0
      reputation.hopelessUntil = 0
      return body
    } catch (error) {
      if (error instanceof ServerFailure && error.kind === 'passing')
        reputation.shunnedUntil = performance.now() + SHUNNED_MS
      throw error
    }
  }

  /**
   * What a server has in a directory.
   *
   * @param path below the root; empty for the root itself.
   * @throws {ServerFailure} `absent` where there is no such directory.
   */
  async list(server: DataServer, path: string): Promise<ReadonlyMap<string, Entry>> {
    const { bytes } = await this.ask(server, path === '' ? '/' : `${escapePath(path)}/`, {
      maxBytes: MAX_LISTING_BYTES,
    })
    const entries = bytes && parseListing(bytes)
    if (entries) return entries
    throw new ServerFailure('lasting', server, 'answered with something that is no listing')
  }

  /**
   * Get a file from whichever server has it: those that list it, the quickest first, then the others. Servers that fail
   * are asked again, with growing pauses.
   *
   * @param path from the root. @param url what messages call the file.
   * @param holders the servers that list it.
   * @param use checks and converts what arrived; where it throws, other servers are asked for another copy.
   * @returns what `use` returned; undefined where the file is longer than `wanted.into`.
   * @throws {NotFoundError} no server has it. @throws {SourceUnavailableError} a server that may have it does not give it.
   * @throws {LimitExceededError} it is longer than `wanted.maxBytes`. @throws what `use` throws, and the signal's reason.
   */
  async getFile<T>(
    { path, url, holders }: { readonly path: string; readonly url: string; readonly holders: readonly DataServer[] },
    wanted: Wanted,
    use: (bytes: Uint8Array) => T,
  ): Promise<T | undefined> {
    const failures = new Map<DataServer, ServerFailure>()
    let damage: TilestageError | undefined
    for (let round = 1; ; round++) {
      const asked = this.#inOrder(holders).filter(server => mayHelp(failures.get(server)))
      for (const server of asked) {
        try {
          const { bytes } = await this.askOnce(server, escapePath(path), wanted)
          return bytes && use(bytes)
        } catch (error) {
          if (error instanceof ServerFailure) failures.set(server, error)
          else if (error instanceof TilestageError) damage = error
          else throw error
        }
      }
      const hopeful = asked.filter(server => mayHelp(failures.get(server)))
      const isEnough = damage ? round >= ROUNDS_OF_DAMAGED : this.#isLast(round, hopeful)
      if (hopeful.length === 0 || isEnough) throw damage ?? this.#describe(url, [...failures.values()])
      await this.#backOff(round, wanted.signal)
    }
  }

  /** Holders before others, those that lately failed last, the quicker before the slower. */
  #inOrder(holders: readonly DataServer[]): DataServer[] {
    const now = performance.now()
    const rank = (server: DataServer): number => {
      const { shunnedUntil, answerMs } = this.#reputations.get(server)!
      return (holders.includes(server) ? 0 : 2e9) + (now < shunnedUntil ? 1e9 : 0) + answerMs
    }
    return [...this.all].sort((a, b) => rank(a) - rank(b))
  }

  #isLast(round: number, servers: readonly DataServer[]): boolean {
    const now = performance.now()
    const reputations = servers.map(server => this.#reputations.get(server)!)
    if (round < this.patience.rounds) return reputations.every(({ hopelessUntil }) => now < hopelessUntil)
    for (const reputation of reputations) reputation.hopelessUntil = now + HOPELESS_MS
    return true
  }

  #backOff(round: number, signal: AbortSignal | undefined): Promise<void> {
    const longest = this.patience.backoffMs * 2 ** (round - 1)
    // Workers that failed together shall not come back together.
    return pause(longest * (0.5 + 0.5 * Math.random()), signal)
  }

  #describe(url: string, failures: readonly ServerFailure[]): TilestageError {
    if (failures.every(({ kind }) => kind === 'absent'))
      return new NotFoundError(`${url} does not exist on ${nameServers(this.all)}.`, { url })
    const failed = failures.filter(({ kind }) => kind !== 'absent')
    const absent = failures.filter(({ kind }) => kind === 'absent').map(({ server }) => server)
    const others =
      absent.length === 0 ? '' : `, ${nameServers(absent)} ${absent.length === 1 ? 'does' : 'do'} not have it`
    const reasons = describeFailures(failed) + others
    const cause = failed[0]
    if (failed.every(({ kind }) => kind === 'too-long'))
      return new LimitExceededError(`${url} is too long: ${reasons}.`, { url, cause })
    return new SourceUnavailableError(`${url} cannot be read: ${reasons}.`, { url, cause })
  }
}

function mayHelp(failure: ServerFailure | undefined): boolean {
  return failure === undefined || failure.kind === 'passing'
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await setTimeout(ms, undefined, { signal })
  } catch {
    throw signal?.reason
  }
}

/** A path as a request has it. */
export function escapePath(path: string): string {
  return `/${path.split('/').map(encodeURIComponent).join('/')}`
}
