import type { FastifyRequest } from 'fastify'
import type { Freshness, ServedPyramid } from '../pyramids/served-pyramid.js'
import { matchesEtag } from './etag.js'
import { RequestRefusal } from './request-refusal.js'

export type CachingHeaders = Readonly<Record<string, string>>

/** Of what no version names. */
export const NOT_KEPT: CachingHeaders = { 'cache-control': 'no-store' }

/**
 * What the version in a URL is worth.
 *
 * @param asked the `v` of the URL. @param current of what is served there.
 * @throws {RequestRefusal} the version is of a pyramid that was overwritten.
 */
export function freshnessOf(
  served: ServedPyramid,
  asked: string | undefined,
  current: string | undefined,
): Exclude<Freshness, 'gone'> {
  const freshness = served.freshness(asked, current)
  if (freshness !== 'gone') return freshness
  throw new RequestRefusal('GONE', `This version of ${served.pyramid.name} was overwritten; ask for its new version.`)
}

/** Cache headers by what the `v` of the URL is worth. */
export function cachingOf(freshness: Freshness, etag: string): CachingHeaders {
  if (freshness === 'exact') return { 'cache-control': 'public, max-age=31536000, immutable', etag }
  if (freshness === 'unversioned') return { 'cache-control': 'no-cache', etag }
  return NOT_KEPT
}

/** Whether whoever asks has it already. */
export function isKnown(asked: FastifyRequest['headers'], { etag }: CachingHeaders): boolean {
  return etag !== undefined && matchesEtag(asked['if-none-match'], etag)
}
