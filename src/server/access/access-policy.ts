import { createHash, timingSafeEqual } from 'node:crypto'
import { isIP } from 'node:net'
import type { WrongTokens } from './wrong-tokens.js'

/** Who may do what; fixed when the server starts. */
export interface AccessPolicy {
  /** Whether only this machine reaches the server: it listens on loopback, and no proxy passes others on. */
  readonly loopback: boolean
  /** Undefined: none was set (loopback only). */
  readonly token: string | undefined
  /** Whether reading needs the token, too. */
  readonly isPrivate: boolean
  /** Origins whose pages may read, besides those of this machine; `*` for every one. */
  readonly corsOrigins: readonly string[]
  /** Further host names under which the server may be asked; `*` allows every name. */
  readonly allowedHosts: readonly string[]
  /** What this machine calls itself. */
  readonly machineName: string
  /** How often each client may still guess. */
  readonly wrongTokens: WrongTokens
}

/** The headers that decide about a state change; undefined where the request has none. */
export interface RequestOrigin {
  readonly host: string | undefined
  readonly secFetchSite: string | undefined
  readonly origin: string | undefined
  readonly referer: string | undefined
}

/**
 * Whether a Host header may name this server: an IP literal, `localhost`, `*.localhost`, this machine's name or an
 * allowed host, at any port. Anything else could be a foreign name that was pointed at us (DNS rebinding).
 */
export function isHostAllowed(hostHeader: string | undefined, policy: AccessPolicy): boolean {
  const name = hostName(hostHeader)
  if (name === undefined) return false
  if (isIP(name) !== 0 || isLocalhostName(name)) return true
  if (name === policy.machineName.toLowerCase()) return true
  return policy.allowedHosts.some(allowed => allowed === '*' || hostName(allowed) === name)
}

/** The host that a request names: an absolute request target goes before the Host header (RFC 9112, section 3.2.2). */
export function requestedHost(target: string, hostHeader: string | undefined): string | undefined {
  return target.startsWith('/') || target === '*' ? hostHeader : parseUrl(target)?.host
}

/** Whether an address to listen on is reachable from this machine only. */
export function isLoopbackAddress(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[|\]$/g, '')
  return isLocalhostName(name) || name === '::1' || (isIP(name) === 4 && name.startsWith('127.'))
}

/** Whether a page of this `Origin` was served from this machine, and so may read from us. */
export function isLoopbackOrigin(origin: string | undefined): boolean {
  if (origin === undefined || !/^https?:\/\//.test(origin)) return false
  const url = parseUrl(origin)
  return url !== undefined && isLoopbackAddress(url.hostname)
}

/** Whether pages of this `Origin` may read what we answer. */
export function mayOriginRead(origin: string | undefined, { corsOrigins }: AccessPolicy): boolean {
  if (origin === undefined) return false
  return isLoopbackOrigin(origin) || corsOrigins.includes(origin.toLowerCase()) || corsOrigins.includes('*')
}

/**
 * Whether a request may change what everybody sees. A valid token passes; without one nothing does on an address that
 * others reach; on loopback browsers must come from our own page, and programs, which send none of the headers, pass.
 */
export function judgeStateChange(
  from: RequestOrigin,
  presentedToken: string | undefined,
  policy: AccessPolicy,
): 'pass' | 'token needed' | 'cross-site' {
  if (isTokenValid(presentedToken, policy.token)) return 'pass'
  if (!policy.loopback) return 'token needed'
  const { secFetchSite, origin, referer, host } = from
  if (secFetchSite !== undefined)
    return secFetchSite === 'same-origin' || secFetchSite === 'none' ? 'pass' : 'cross-site'
  const page = origin ?? referer
  return page === undefined || isSameHost(page, host) ? 'pass' : 'cross-site'
}

/** The token of a request: `X-Tilestage-Token`, then `Authorization: Bearer`, then `?token=`. */
export function presentedToken(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  query: Readonly<Record<string, unknown>>,
): string | undefined {
  const own = headers['x-tilestage-token']
  if (typeof own === 'string') return own
  const bearer = /^Bearer +(\S+)$/i.exec(String(headers.authorization ?? ''))
  if (bearer) return bearer[1]
  return typeof query.token === 'string' ? query.token : undefined
}

/** Compare in constant time; hashes make the lengths equal. */
export function isTokenValid(presented: string | undefined, expected: string | undefined): boolean {
  if (presented === undefined || expected === undefined || expected === '') return false
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(presented), digest(expected))
}

/** The name in a Host header, lower case, without port, brackets and the dot of the root; undefined if malformed. */
function hostName(header: string | undefined): string | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::\d{0,5})?$/i.exec(header ?? '')
  return (match?.[1] ?? match?.[2])?.toLowerCase().replace(/\.$/, '')
}

function isLocalhostName(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost')
}

/** Whether the URL of a page has the host and port of our Host header; a default port may be left out. */
function isSameHost(page: string, hostHeader: string | undefined): boolean {
  const pageUrl = parseUrl(page)
  if (pageUrl === undefined || pageUrl.host === '') return false
  return pageUrl.host === parseUrl(`${pageUrl.protocol}//${hostHeader}`)?.host
}

function parseUrl(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined
}
