import type { FastifyInstance } from 'fastify'
import { matchesEtag } from '../etag.js'
import type { PageAsset } from '../page-assets.js'

/**
 * Only our own scripts run and only this server is asked. The map library draws from blobs and sets styles. Any site
 * may show the page in a frame: notebooks do.
 */
const CONTENT_SECURITY_POLICY =
  "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'"

/** The viewer. */
export function registerPageRoutes(app: FastifyInstance, assets: readonly PageAsset[]): void {
  for (const { url, type, etag, bytes, gzipped } of assets) {
    app.get(url, (request, reply) => {
      const takesGzip = /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''))
      // The same file in another encoding is other bytes.
      const tag = takesGzip ? `"${etag}-gzip"` : `"${etag}"`
      reply.headers({
        'cache-control': 'no-cache',
        etag: tag,
        vary: 'Origin, Accept-Encoding',
        'content-security-policy': CONTENT_SECURITY_POLICY,
      })
      if (matchesEtag(request.headers['if-none-match'], tag)) return reply.code(304).send()
      if (takesGzip) reply.header('content-encoding', 'gzip')
      return reply.type(type).send(takesGzip ? gzipped : bytes)
    })
  }
}
