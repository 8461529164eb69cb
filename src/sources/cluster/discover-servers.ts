import { isIPv4, isIPv6 } from 'node:net'
import type { Bonjour, Service } from 'bonjour-service'
import { SourceUnavailableError } from '../../errors.js'
import type { DataServer } from './data-server.js'
import type { Patience } from './patience.js'

/** Servers that were found are taken as they are for so long: a plate is named by several globs. */
const KNOWN_MS = 60_000
/** Whoever answers is believed; no cluster has as many. */
const MAX_SERVERS = 256

export interface Discovery {
  readonly servers: readonly DataServer[]
  /** How long they were listened for. */
  readonly waitedMs: number
}

/** Finds the data servers that announce themselves, of whatever cluster. */
export type DiscoverServers = (patience: Patience) => Promise<Discovery>

/** A service as it announces itself. */
export type Announcement = Pick<Service, 'name' | 'port' | 'host' | 'addresses' | 'referer'>

/** Hears announcements until the function that it returns is called. */
export type Listen = (heard: (service: Announcement) => void, failed: (cause: unknown) => void) => () => void

let known: { readonly discovery: Promise<Discovery>; readonly until: number } | undefined

/**
 * Ask the local network for data servers (mDNS, `_pyme-http._tcp`), as PYME does. PYME's other way, a registry in the
 * temporary folder of one machine, is not read: there `--cluster` names them.
 *
 * @throws {SourceUnavailableError} the network cannot be asked.
 */
export const discoverServers: DiscoverServers = patience => {
  const now = performance.now()
  if (known && now < known.until) return known.discovery
  // Most commands never ask the network, and its library takes a tenth of a second to load.
  const discovery = import('bonjour-service').then(({ Bonjour }) => collectServers(patience, listenWith(Bonjour)))
  const asked = { discovery, until: now + KNOWN_MS }
  known = asked
  const forget = (): void => {
    if (known === asked) known = undefined
  }
  // Nobody found may mean that the cluster is just being started.
  discovery.then(({ servers }) => servers.length > 0 || forget(), forget)
  return discovery
}

function listenWith(Library: typeof Bonjour): Listen {
  return (heard, failed) => {
    const bonjour = new Library({}, failed)
    const browser = bonjour.find({ type: 'pyme-http' }, heard)
    return () => {
      browser.stop()
      bonjour.destroy()
    }
  }
}

/**
 * Collect the servers that announce themselves. They do so within a second or not at all; those that are late are waited
 * for as long as others still come.
 *
 * @throws as `discoverServers`.
 */
export function collectServers({ discoverMs, discoverQuietMs }: Patience, listen: Listen): Promise<Discovery> {
  return new Promise((resolve, reject) => {
    const found = new Map<string, DataServer>()
    const startedAt = performance.now()
    let quiet: NodeJS.Timeout | undefined
    const longest = setTimeout(finish, discoverMs)
    const stop = listen(service => {
      const host = hostOf(service)
      if (host === undefined || found.size === MAX_SERVERS) return
      found.set(service.name, { host, port: service.port, service: service.name })
      clearTimeout(quiet)
      quiet = setTimeout(finish, discoverQuietMs)
    }, finish)
    function finish(cause?: unknown): void {
      clearTimeout(quiet)
      clearTimeout(longest)
      stop()
      if (cause === undefined) resolve({ servers: [...found.values()], waitedMs: performance.now() - startedAt })
      else reject(cannotAsk(cause))
    }
  })
}

function cannotAsk(cause: unknown): SourceUnavailableError {
  const why = cause instanceof Error ? cause.message : String(cause)
  const message = `The network cannot be asked for data servers (${why}); name them with --cluster HOST:PORT.`
  return new SourceUnavailableError(message, { cause })
}

/** An address rather than a name: names that end in .local are known to few resolvers. Undefined for what is neither. */
function hostOf({ addresses, referer, host }: Announcement): string | undefined {
  const address = addresses?.find(each => isIPv4(each)) ?? referer?.address ?? host
  if (isIPv6(address)) return `[${address}]`
  return /^[\p{L}\p{N}._-]+$/u.test(address) ? address : undefined
}
