import type { FastifyInstance } from 'fastify'
import { UsageError } from '../../errors.js'
import { type AccessPolicy, judgeStateChange, presentedToken } from '../access.js'
import { describeError, sendError } from '../error-replies.js'
import { formOrQuery } from '../form-body.js'
import { type Parameters, readText } from '../parameters.js'
import type { PyramidRegistry } from '../registry.js'
import { RequestRefusal } from '../request-refusal.js'
import { resolveTileDir } from '../tile-dir.js'

export const SET_TILE_SOURCE = '/set_tile_source'

/** What everybody looks at, and PYME's request to change it. */
export function registerCurrentRoutes(
  app: FastifyInstance,
  registry: PyramidRegistry,
  policy: AccessPolicy,
  roots: readonly string[],
): void {
  app.get('/current', async (_request, reply) => {
    // For pages that cannot listen, this is the only question.
    await registry.checkDue()
    reply.header('cache-control', 'no-store')
    return { ...registry.state, refused: registry.refusal ?? null }
  })

  app.route<{ Querystring: Parameters; Body: Parameters | undefined }>({
    method: ['GET', 'POST'],
    url: SET_TILE_SOURCE,
    // A HEAD is a question, and this URL is an order.
    exposeHeadRoute: false,
    handler: async (request, reply) => {
      const parameters = formOrQuery(request)
      requireRight(request.headers, parameters, policy)
      const tileDir = readText(parameters, 'tile_dir')
      if (tileDir === undefined) throw new UsageError('The parameter tile_dir is missing.')
      let folder = tileDir
      try {
        folder = await resolveTileDir(tileDir, roots)
        await registry.setCurrent(folder)
      } catch (error) {
        // Where a link leads to is not the client's business: it reads the path that it sent.
        const hidden = [{ path: folder, name: tileDir }]
        registry.refuse(tileDir, describeError(error, hidden).message)
        return sendError(error, request, reply, hidden)
      }
      reply.code(303)
      reply.headers({ location: './', 'cache-control': 'no-store', 'content-type': 'text/html; charset=utf-8' })
      return '<!doctype html><title>tilestage</title><a href="./">The viewer shows it now.</a>'
    },
  })
}

function requireRight(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  parameters: Parameters,
  policy: AccessPolicy,
): void {
  const header = (name: string): string | undefined => {
    const value = headers[name]
    return Array.isArray(value) ? value.join(', ') : value
  }
  const from = {
    host: header('host'),
    secFetchSite: header('sec-fetch-site'),
    origin: header('origin'),
    referer: header('referer'),
  }
  switch (judgeStateChange(from, presentedToken(headers, parameters), policy)) {
    case 'token needed':
      throw new RequestRefusal(
        'TOKEN_NEEDED',
        'Changing the source needs the token that the server printed when it started.',
      )
    case 'cross-site':
      throw new RequestRefusal(
        'CROSS_SITE',
        "A page of another site may not change the source; give the server's token if it shall.",
      )
    case 'pass':
  }
}
