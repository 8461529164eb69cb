import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import type { FastifyInstance } from 'fastify'
import { type PageAsset, toAsset } from '../http/page-assets.js'
import { sendAsset } from '../http/send-asset.js'
import { documented } from '../openapi/route-doc.js'

/** Only our own files, and the pictures in the style sheet; the page sets styles. */
const CONTENT_SECURITY_POLICY =
  "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; form-action 'self'"

/** Every URL is relative, so that the page works below any path prefix. */
const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tilestage: HTTP</title>
<link rel="icon" href="favicon.ico">
<link rel="stylesheet" href="docs/swagger-ui.css">
<style>body { margin: 0 }</style>
<div id="docs"></div>
<script src="docs/swagger-ui.js"></script>
<script src="docs/start.js"></script>
`

/** `url` is resolved against the page's. */
const START = "SwaggerUIBundle({ url: 'openapi.json', dom_id: '#docs', defaultModelsExpandDepth: -1 })\n"

const FILES = [
  { url: '/docs', type: 'text/html; charset=utf-8', read: async () => Buffer.from(PAGE) },
  { url: '/docs/start.js', type: 'text/javascript; charset=utf-8', read: async () => Buffer.from(START) },
  { url: '/docs/swagger-ui.js', type: 'text/javascript; charset=utf-8', read: readPackaged('swagger-ui-bundle.js') },
  { url: '/docs/swagger-ui.css', type: 'text/css; charset=utf-8', read: readPackaged('swagger-ui.css') },
]

/** The OpenAPI document, and a page to browse it and to try things out. Both tell nothing of the data. */
export function registerDocsRoutes(app: FastifyInstance): void {
  const openapi = documented({
    group: 'Server',
    summary: 'What the server answers, as OpenAPI 3.0',
    answers: { 200: { description: 'The document.', types: ['application/json'] } },
    open: true,
  })
  app.get('/openapi.json', openapi, (_request, reply) => reply.header('cache-control', 'no-cache').send(app.swagger()))

  for (const { url, type, read } of FILES) {
    // Two megabytes that most servers are never asked for.
    let asset: Promise<PageAsset> | undefined
    const doc = documented({
      group: 'Server',
      summary: url === '/docs' ? 'A page that shows the OpenAPI document' : 'A file of that page',
      answers: { 200: { description: 'The file.', types: [type] }, 304: 'Unchanged.' },
      open: true,
    })
    app.get(url, doc, async (request, reply) => {
      asset ??= read().then(bytes => toAsset(url, type, bytes))
      asset.catch(() => {
        asset = undefined
      })
      return sendAsset(request, reply, await asset, CONTENT_SECURITY_POLICY)
    })
  }
}

function readPackaged(file: string): () => Promise<Buffer> {
  return () => readFile(createRequire(import.meta.url).resolve(`@fastify/swagger-ui/static/${file}`))
}
