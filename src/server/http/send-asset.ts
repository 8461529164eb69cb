import type { FastifyReply, FastifyRequest } from 'fastify'
import { matchesEtag } from './etag.js'
import type { PageAsset } from './page-assets.js'

/** Send a file that is held in memory, compressed for those who take it. */
export function sendAsset(
  { headers }: FastifyRequest,
  reply: FastifyReply,
  { type, etag, bytes, gzipped }: PageAsset,
  contentSecurityPolicy: string,
): FastifyReply {
  const takesGzip = /\bgzip\b/.test(String(headers['accept-encoding'] ?? ''))
  // The same file in another encoding is other bytes.
  const tag = takesGzip ? `"${etag}-gzip"` : `"${etag}"`
  reply.headers({
    'cache-control': 'no-cache',
    etag: tag,
    vary: 'Origin, Accept-Encoding',
    'content-security-policy': contentSecurityPolicy,
  })
  if (matchesEtag(headers['if-none-match'], tag)) return reply.code(304).send()
  if (takesGzip) reply.header('content-encoding', 'gzip')
  return reply.type(type).send(takesGzip ? gzipped : bytes)
}
