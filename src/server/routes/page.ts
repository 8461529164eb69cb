import type { FastifyInstance } from 'fastify'
import type { PageAsset } from '../http/page-assets.js'
import { sendAsset } from '../http/send-asset.js'
import { documented } from '../openapi/route-doc.js'

/**
 * Only our own scripts run and only this server is asked. The map library draws from blobs and sets styles. Any site
 * may show the page in a frame: notebooks do.
 */
export const CONTENT_SECURITY_POLICY =
  "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'"

const PAGES: ReadonlyMap<string, string> = new Map([
  ['/', 'The viewer'],
  ['/grid.html', 'All channels of a pyramid side by side'],
])

/** The pages and their files. */
export function registerPageRoutes(app: FastifyInstance, assets: readonly PageAsset[]): void {
  for (const asset of assets) {
    const { url, type } = asset
    const doc = documented({
      group: 'Page',
      summary: PAGES.get(url) ?? 'A file of the page',
      query: PAGES.has(url)
        ? { pyramid: { type: 'string', description: 'Id of the pyramid to show, whatever is current.' } }
        : {},
      answers: { 200: { description: 'The file.', types: [type] }, 304: 'Unchanged.' },
      open: true,
    })
    app.get(url, doc, (request, reply) => sendAsset(request, reply, asset, CONTENT_SECURITY_POLICY))
  }
}
