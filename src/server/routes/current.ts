import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { UsageError } from '../../errors.js'
import type { AccessPolicy } from '../access/access-policy.js'
import { requireRight } from '../access/require-right.js'
import { describeError, sendError } from '../http/error-replies.js'
import { type Parameters, readText, requireText } from '../http/parameters.js'
import { readFields } from '../http/request-fields.js'
import { meantTileDir, resolveTileDir } from '../http/tile-dir.js'
import { documented } from '../openapi/route-doc.js'
import type { CurrentState, PyramidRegistry, Refusal } from '../pyramids/registry.js'

interface ChangeRoute {
  readonly Querystring: Parameters
  readonly Body: unknown
}

const TILE_DIR = {
  type: 'string',
  description: "Folder of the pyramid on the server's disk.",
  example: '/ssd/plate_08',
} as const

/** What everybody looks at, and how it is changed: our way, and PYME's. */
export function registerCurrentRoutes(
  app: FastifyInstance,
  registry: PyramidRegistry,
  policy: AccessPolicy,
  roots: readonly string[],
): void {
  const describeCurrent = (): CurrentState & { readonly refused: Refusal | null } => ({
    ...registry.state,
    refused: registry.refusal ?? null,
  })

  /** Show a folder to everybody; open pages hear of it also where that fails, for whoever asked may not look. */
  const show = async (
    request: FastifyRequest<ChangeRoute>,
    reply: FastifyReply,
    tileDir: string,
    answer: () => unknown,
  ): Promise<unknown> => {
    const turn = registry.takeTurn()
    let name = tileDir
    let folder = tileDir
    try {
      name = await meantTileDir(tileDir, request.url.slice(request.url.indexOf('?') + 1), roots)
      folder = await resolveTileDir(name, roots)
      await registry.setCurrent(folder, turn)
    } catch (error) {
      // Where a link leads to is not the client's business: it reads the path that it sent.
      const hidden = [{ path: folder, name }]
      registry.refuse(name, describeError(error, hidden).message)
      return sendError(error, request, reply, hidden)
    }
    return answer()
  }

  const readDoc = documented({
    group: 'Current',
    summary: 'What everybody looks at',
    answers: { 200: '`current` (or null), a `revision` that grows with every change of it, and the last refusal.' },
  })
  app.get('/current', readDoc, async (_request, reply) => {
    // For pages that cannot listen, this is the only question.
    await registry.checkDue()
    reply.header('cache-control', 'no-store')
    return describeCurrent()
  })

  const changeDoc = documented({
    group: 'Current',
    summary: 'Show another pyramid to everybody',
    body: {
      description: 'One of the two.',
      fields: { tile_dir: TILE_DIR, id: { type: 'string', description: 'Id of a pyramid that is open already.' } },
    },
    answers: { 200: 'What everybody looks at now, as from GET.' },
    cost: 'change',
  })
  app.put<ChangeRoute>('/current', changeDoc, async (request, reply) => {
    const parameters = readFields(request)
    requireRight(request, parameters, policy)
    reply.header('cache-control', 'no-store')
    const [tileDir, id] = [readText(parameters, 'tile_dir'), readText(parameters, 'id')]
    if (tileDir !== undefined && id === undefined) return show(request, reply, tileDir, describeCurrent)
    if (tileDir !== undefined || id === undefined) {
      throw new UsageError('Give either tile_dir, a folder, or id, of a pyramid that /pyramids lists.')
    }
    registry.showOpen(id)
    return describeCurrent()
  })

  const pymeDoc = documented({
    group: 'Current',
    summary: 'Show another pyramid to everybody, as PYME asks for it',
    body: { fields: { tile_dir: { ...TILE_DIR, required: true } } },
    answers: { 303: 'It is shown; leads to the viewer.' },
    cost: 'change',
  })
  app.route<ChangeRoute>({
    ...pymeDoc,
    method: ['GET', 'POST'],
    url: '/set_tile_source',
    // A HEAD is a question, and this URL is an order.
    exposeHeadRoute: false,
    handler: async (request, reply) => {
      const parameters = readFields(request)
      requireRight(request, parameters, policy)
      return show(request, reply, requireText(parameters, 'tile_dir'), () => {
        reply.code(303)
        reply.headers({ location: './', 'cache-control': 'no-store', 'content-type': 'text/html; charset=utf-8' })
        return '<!doctype html><title>tilestage</title><a href="./">The viewer shows it now.</a>'
      })
    },
  })
}
