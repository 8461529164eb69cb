import type { FastifyInstance } from 'fastify'
import { UsageError } from '../../errors.js'
import type { AccessPolicy } from '../access.js'
import { describeError, sendError } from '../error-replies.js'
import { type Parameters, readText } from '../parameters.js'
import type { PyramidRegistry } from '../registry.js'
import { readFields } from '../request-fields.js'
import { requireRight } from '../require-right.js'
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

  app.route<{ Querystring: Parameters; Body: unknown }>({
    method: ['GET', 'POST'],
    url: SET_TILE_SOURCE,
    // A HEAD is a question, and this URL is an order.
    exposeHeadRoute: false,
    handler: async (request, reply) => {
      const parameters = readFields(request)
      requireRight(request, parameters, policy)
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
