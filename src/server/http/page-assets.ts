import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { fromSystemError, NotFoundError } from '../../errors.js'

/** A file of the page, held in memory. */
export interface PageAsset {
  readonly url: string
  /** Media type. */
  readonly type: string
  readonly etag: string
  readonly bytes: Buffer
  readonly gzipped: Buffer
}

const FILES = [
  { url: '/', file: 'index.html', type: 'text/html; charset=utf-8' },
  { url: '/viewer.js', file: 'viewer.js', type: 'text/javascript; charset=utf-8' },
  { url: '/viewer.css', file: 'viewer.css', type: 'text/css; charset=utf-8' },
  { url: '/grid.html', file: 'grid.html', type: 'text/html; charset=utf-8' },
  { url: '/grid.js', file: 'grid.js', type: 'text/javascript; charset=utf-8' },
  { url: '/grid.css', file: 'grid.css', type: 'text/css; charset=utf-8' },
] as const

/** Three levels of a pyramid; browsers go by the type, not by the name. */
const FAVICON =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path fill="#7d8a99" d="M7 2h2v3H7z"/><path fill="#a3afbd" d="M5 6h6v3H5z"/><path fill="#d3dbe5" d="M2 10h12v4H2z"/></svg>'

/**
 * Read the viewer's files.
 *
 * @throws {NotFoundError} it was not built yet.
 */
export async function loadPageAssets(folder: string): Promise<PageAsset[]> {
  const assets = await Promise.all(
    FILES.map(async ({ url, file, type }) => {
      try {
        return await toAsset(url, type, await readFile(join(folder, file)))
      } catch (error) {
        const failure = fromSystemError(error, join(folder, file))
        if (!(failure instanceof NotFoundError)) throw failure
        throw new NotFoundError(`The viewer is not built: ${failure.url} does not exist; npm run build makes it.`, {
          url: failure.url,
          cause: error,
        })
      }
    }),
  )
  return [...assets, await toAsset('/favicon.ico', 'image/svg+xml', Buffer.from(FAVICON))]
}

/** Hash and compress a file once, so that sending it costs next to nothing. */
export async function toAsset(url: string, type: string, bytes: Buffer): Promise<PageAsset> {
  const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 16)
  return { url, type, etag: hash, bytes, gzipped: await promisify(gzip)(bytes, { level: 9 }) }
}
