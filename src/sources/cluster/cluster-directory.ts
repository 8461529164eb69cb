import { setTimeout } from 'node:timers/promises'
import { NotFoundError, SourceUnavailableError } from '../../errors.js'
import { type ClusterPath, clusterUrl } from './cluster-url.js'
import { type DataServer, nameServers } from './data-server.js'
import { type DataServers, escapePath } from './data-servers.js'
import type { Wanted } from './http-get.js'
import type { Entry } from './listing.js'
import { describeFailures, ServerFailure } from './server-failure.js'

/** One directory of a cluster: what its servers have in it taken together, and the files themselves. */
export class ClusterDirectory {
  /** Below the cluster's root. */
  readonly path: string
  /** For messages. */
  readonly url: string
  /** The union of the listings; sizes are those of the server that has most of a file. */
  entries: ReadonlyMap<string, Entry> = new Map()
  readonly #servers: DataServers
  /** By server; kept while it does not answer, as PYME's files do not change once they are written. */
  readonly #listings = new Map<DataServer, ReadonlyMap<string, Entry>>()
  /** By server: why it did not answer when it was last asked for a listing. */
  readonly #failures = new Map<DataServer, ServerFailure>()
  /** By server: while it is asked for one. */
  readonly #asking = new Map<DataServer, Promise<void>>()

  constructor(servers: DataServers, place: ClusterPath) {
    this.#servers = servers
    this.path = place.path
    this.url = clusterUrl(place)
  }

  /** Whether any server ever had such a directory. */
  get exists(): boolean {
    return this.#listings.size > 0
  }

  /** Servers that did not answer when they were last asked for a listing, with the reason. */
  get failures(): readonly ServerFailure[] {
    return this.#servers.all.flatMap(server => this.#failures.get(server) ?? [])
  }

  urlOf(name: string): string {
    return `${this.url}/${name}`
  }

  /**
   * Ask every server what it has.
   *
   * @param longestMs to wait for them; what those say who are later is there at the next call.
   * @throws {SourceUnavailableError} none of them answers.
   */
  async list(longestMs?: number): Promise<void> {
    const asked = Promise.all(this.#servers.all.map(server => this.#asking.get(server) ?? this.#ask(server)))
    await (longestMs === undefined ? asked : Promise.race([asked, setTimeout(longestMs)]))
    if (this.#failures.size === this.#servers.all.length) throw nobodyAnswers(this.url, this.failures)
    this.entries = unite([...this.#listings.values()])
  }

  #ask(server: DataServer): Promise<void> {
    const asking = this.#listOn(server).finally(() => this.#asking.delete(server))
    this.#asking.set(server, asking)
    return asking
  }

  async #listOn(server: DataServer): Promise<void> {
    try {
      this.#listings.set(server, await this.#servers.list(server, this.path))
      this.#failures.delete(server)
    } catch (error) {
      if (!(error instanceof ServerFailure)) throw error
      if (error.kind === 'absent') {
        this.#listings.delete(server)
        this.#failures.delete(server)
      } else this.#failures.set(server, error)
    }
  }

  /**
   * Ask for files that no server lists: a listing may be half a minute old.
   *
   * @returns the sizes of those that are there; undefined where a server does not tell it.
   */
  async findUnlisted(names: readonly string[]): Promise<Map<string, number | undefined>> {
    const found = new Map<string, number | undefined>()
    const ask = async (name: string, server: DataServer): Promise<void> => {
      try {
        const path = escapePath(`${this.path}/${name}`)
        const { length } = await this.#servers.ask(server, path, { maxBytes: 0, lengthOnly: true })
        // Of two copies the longer, as in listings.
        if ((length ?? 0) >= (found.get(name) ?? 0)) found.set(name, length)
      } catch (error) {
        if (!(error instanceof ServerFailure)) throw error
      }
    }
    const answering = this.#servers.all.filter(server => !this.#failures.has(server))
    await Promise.all(names.flatMap(name => answering.map(server => ask(name, server))))
    return found
  }

  /** Why it is not there: no server has it, or those that may have it do not answer. */
  doesNotExist(): NotFoundError | SourceUnavailableError {
    if (this.failures.length > 0) return nobodyAnswers(this.url, this.failures)
    return new NotFoundError(`${this.url} does not exist on ${nameServers(this.#servers.all)}.`, { url: this.url })
  }

  /** Get a file. @throws as `DataServers.getFile`. */
  getFile<T>(name: string, wanted: Wanted, use: (bytes: Uint8Array) => T): Promise<T | undefined> {
    const holders = this.#servers.all.filter(server => this.#listings.get(server)?.has(name))
    return this.#servers.getFile({ path: `${this.path}/${name}`, url: this.urlOf(name), holders }, wanted, use)
  }
}

function unite(listings: readonly ReadonlyMap<string, Entry>[]): ReadonlyMap<string, Entry> {
  if (listings.length === 1) return listings[0]!
  const union = new Map<string, Entry>()
  for (const entries of listings) {
    for (const [name, entry] of entries) {
      const known = union.get(name)
      if (!known) union.set(name, entry)
      else {
        union.set(name, {
          isFolder: known.isFolder || entry.isFolder,
          isSeries: known.isSeries || entry.isSeries,
          size: Math.max(known.size, entry.size),
        })
      }
    }
  }
  return union
}

function nobodyAnswers(url: string, failures: readonly ServerFailure[]): SourceUnavailableError {
  const message = `${url} cannot be looked at: ${describeFailures(failures)}.`
  return new SourceUnavailableError(message, { url, cause: failures[0] })
}
