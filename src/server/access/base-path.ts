import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { UsageError } from '../../errors.js'
import { documented } from '../openapi/route-doc.js'

/**
 * @returns the prefix with a slash at both ends.
 * @throws {UsageError} it is no path that could stand in a URL as it is.
 */
export function readBasePath(text: string): string {
  const inner = text.replace(/^\/+|\/+$/g, '')
  const path = inner === '' ? '/' : `/${inner}/`
  const isPlain = /^\/([A-Za-z0-9._~@-]+\/)*$/.test(path) && !/\/\.{1,2}\//.test(path)
  if (isPlain) return path
  throw new UsageError(`--base-path ${text} is not possible; it is a path such as /tiles/.`)
}

/**
 * Answers below a path prefix as at the root, whether a proxy cuts the prefix off or not. `/tiles/…` may be both: where
 * the prefix is that and what follows is the beginning of no route, it is a tile's URL whose prefix was cut off.
 */
export class BasePath {
  readonly #prefix: string
  /** First parts of all routes. */
  readonly #beginnings = new Set<string>()

  /** @param prefix with a slash at both ends, and something between them. */
  constructor(prefix: string) {
    this.#prefix = prefix
  }

  /** The URL without the prefix; for fastify's `rewriteUrl`. */
  readonly cutOff = ({ url = '/' }: IncomingMessage): string => {
    if (!url.startsWith(this.#prefix)) return url
    const rest = url.slice(this.#prefix.length)
    return this.#beginnings.has(rest.split(/[/?]/, 1)[0]) ? `/${rest}` : url
  }

  /** Learn the routes that are registered from now on, and lead the prefix without its last slash to the viewer. */
  serve(app: FastifyInstance): void {
    app.addHook('onRoute', ({ url }) => void this.#beginnings.add(url.split('/')[1]))
    const withoutSlash = this.#prefix.slice(0, -1)
    const location = `.${withoutSlash.slice(withoutSlash.lastIndexOf('/'))}/`
    const doc = documented({ group: 'Page', summary: 'Leads to the viewer', answers: { 308: 'It does.' }, open: true })
    app.get(withoutSlash, { ...doc, schema: { hide: true } }, (_request, reply) =>
      reply.code(308).headers({ location, 'cache-control': 'no-store' }).send(),
    )
  }
}
