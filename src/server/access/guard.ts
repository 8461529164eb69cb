import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Parameters } from '../http/parameters.js'
import { RequestRefusal } from '../http/request-refusal.js'
import type { RouteCost } from '../openapi/route-doc.js'
import {
  type AccessPolicy,
  isHostAllowed,
  isTokenValid,
  mayOriginRead,
  presentedToken,
  requestedHost,
} from './access-policy.js'
import { type Rate, RateLimit } from './rate-limit.js'
import type { UrlSigner } from './url-signer.js'

/** What one client may ask for where others than this machine can reach the server. */
const RATES: Readonly<Record<Exclude<RouteCost, 'little'>, Rate>> = {
  // A pointer that sweeps over a chart asks for some fifty crops a second.
  work: { perSecond: 60, burst: 200 },
  change: { perSecond: 10, burst: 100 },
}

/** Headers that a page of another origin may send, and see. */
const HEADERS_TAKEN = 'Authorization, X-Tilestage-Token, Range, If-Range, If-None-Match, Last-Event-ID'
const HEADERS_SHOWN = 'ETag, Content-Length, Content-Range, Accept-Ranges, Retry-After, X-Tilestage-Padding'

const PREFLIGHT_LASTS_S = 600

/**
 * Look at every request before anything else does: the host that it asks, how many its client sent, whether a page of
 * another origin may read the answer, and, on a private server, whether it may be read at all.
 *
 * @param perSecond requests of any kind that one client may send; undefined for any number.
 * @param signer of URLs that may be read without a token; undefined where there is no token.
 */
export function guardRequests(
  app: FastifyInstance,
  policy: AccessPolicy,
  perSecond: number | undefined,
  signer: UrlSigner | undefined,
): void {
  const limits = policy.loopback ? undefined : { work: new RateLimit(RATES.work), change: new RateLimit(RATES.change) }
  const limitOfAll = perSecond === undefined ? undefined : new RateLimit({ perSecond, burst: 2 * perSecond })

  const looksCloser = limits !== undefined || policy.isPrivate

  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-content-type-options', 'nosniff').header('referrer-policy', 'no-referrer')
    try {
      expectKnownHost(request, policy)
      if (limitOfAll) expectGranted(limitOfAll.take(request.ip))
      // Asked for where it matters only: fastify puts the options together anew each time.
      const doc = looksCloser || request.headers.origin !== undefined ? request.routeOptions.config?.doc : undefined
      if (answerOtherOrigins(request, reply, doc?.cost ?? 'little', policy)) return
      if (policy.isPrivate && doc?.open !== true)
        expectReader(request, policy, doc?.cost === 'change' ? undefined : signer)
      if (limits && doc?.cost && doc.cost !== 'little') expectGranted(limits[doc.cost].take(request.ip))
      done()
    } catch (error) {
      done(error as Error)
    }
  })
  if (policy.isPrivate) keepFromSharedCaches(app)
}

/** A cache that many share, of a proxy in front, would hand on to others what one of them had the token for. */
function keepFromSharedCaches(app: FastifyInstance): void {
  app.addHook('onSend', (_request, reply, payload, done) => {
    const caching = reply.getHeader('cache-control')
    if (typeof caching === 'string') reply.header('cache-control', caching.replace('public', 'private'))
    done(null, payload)
  })
}

function expectKnownHost(request: FastifyRequest, policy: AccessPolicy): void {
  if (isHostAllowed(requestedHost(request.raw.url ?? '', request.host), policy)) return
  throw new RequestRefusal(
    'HOST_NOT_ALLOWED',
    'This server is not known under that host name; allow it with --allowed-host.',
  )
}

function expectGranted(secondsToWait: number): void {
  if (secondsToWait === 0) return
  const retryAfterS = Math.ceil(secondsToWait)
  throw new RequestRefusal('TOO_MANY_REQUESTS', `These are too many requests; wait ${retryAfterS} s.`, retryAfterS)
}

/**
 * Pages that may read are told so, also ahead of a request with headers of its own; what comes of a change is no
 * page's of another origin to read.
 *
 * @returns whether that was the answer.
 */
function answerOtherOrigins(
  { method, headers }: FastifyRequest,
  reply: FastifyReply,
  cost: RouteCost,
  policy: AccessPolicy,
): boolean {
  reply.header('vary', 'Origin')
  const { origin } = headers
  if (origin === undefined) return false
  const isPreflight = method === 'OPTIONS'
  const wanted = isPreflight ? headers['access-control-request-method'] : method
  const isReading = (wanted === 'GET' || wanted === 'HEAD') && cost !== 'change'
  if (!isReading || !mayOriginRead(origin, policy)) return false
  reply.header('access-control-allow-origin', origin).header('access-control-expose-headers', HEADERS_SHOWN)
  if (!isPreflight) return false
  reply.code(204).headers({
    'access-control-allow-methods': 'GET, HEAD',
    'access-control-allow-headers': HEADERS_TAKEN,
    'access-control-max-age': String(PREFLIGHT_LASTS_S),
  })
  reply.send()
  return true
}

/** @throws {RequestRefusal} neither the token nor a signature. */
function expectReader(request: FastifyRequest, policy: AccessPolicy, signer: UrlSigner | undefined): void {
  const { headers, query, url, ip, method } = request
  const presented = presentedToken(headers, query as Parameters)
  if (presented !== undefined) expectFewWrongTokens(ip, policy)
  if (isTokenValid(presented, policy.token)) return
  const isReading = method === 'GET' || method === 'HEAD'
  if (isReading && signer?.isSigned(url, Date.now() / 1000)) return
  if (presented !== undefined) policy.wrongTokens.add(ip, presented)
  throw new RequestRefusal(
    'TOKEN_NEEDED',
    presented === undefined
      ? 'This server is private: open the address with #token=… that it printed when it started, or send the token.'
      : 'The token is not valid: open the address with #token=… that the server printed when it started, or send that one.',
  )
}

/** @throws {RequestRefusal} this client guessed too often; whether it is right now is not looked at. */
export function expectFewWrongTokens(address: string, { wrongTokens }: AccessPolicy): void {
  expectGranted(wrongTokens.secondsToWait(address))
}
