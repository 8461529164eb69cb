import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { NotFoundError } from '../../errors.js'
import type { AccessPolicy } from '../access/access-policy.js'
import { requireRight } from '../access/require-right.js'
import { ORDER_FLAGS } from '../builds/build-order.js'
import type { BuildQueue } from '../builds/build-queue.js'
import type { ServerBuild } from '../builds/server-build.js'
import { sendError } from '../http/error-replies.js'
import { type Parameters, quote, readFlag } from '../http/parameters.js'
import { readFields } from '../http/request-fields.js'
import { RequestRefusal } from '../http/request-refusal.js'
import { documented, type ParameterDoc, type ParameterDocs } from '../openapi/route-doc.js'

/** A list of two thousand paths. */
const MAX_BODY_BYTES = 256 * 1024

/** A request is answered by then, also where its series take longer to open, or the build to end. */
const START_WAIT_MS = 10_000
const END_WAIT_MS = 100_000

interface BuildRoute {
  readonly Params: { readonly n: string }
  readonly Querystring: Parameters
  readonly Body: unknown
}

const FLAG_DOCS: ParameterDocs = Object.fromEntries(
  ORDER_FLAGS.map(({ name, value, help, fallback }): [string, ParameterDoc] => [
    name,
    { type: value ? 'string' : 'boolean', description: `${help}.`, ...(fallback && { fallback }) },
  ]),
)

/** Pyramids that the server builds for its clients. @param builds undefined where no output root is configured. */
export function registerBuildRoutes(app: FastifyInstance, builds: BuildQueue | undefined, policy: AccessPolicy): void {
  const queue = (): BuildQueue => {
    if (builds) return builds
    throw new RequestRefusal(
      'NOT_CONFIGURED',
      'This server builds no pyramids; start it with --output-root DIR, the folder below which it may write them.',
    )
  }
  const find = (n: string): ServerBuild => {
    const build = /^\d{1,9}$/.test(n) ? queue().find(Number(n)) : undefined
    if (build) return build
    throw new NotFoundError(`There is no build ${quote(n)}; /builds lists those that the server remembers.`)
  }

  const orderDoc = documented({
    group: 'Builds',
    summary: 'Build a pyramid',
    description:
      'Answers when the series are open and the build has begun, or with the error that kept it from that; at once where other builds go first. Beside the fields below it takes the flags of `tilestage build` by their names.',
    body: {
      fields: {
        series: { type: 'string', description: 'Paths or globs of the series; several as a list.', required: true },
        output: { type: 'string', description: 'Folder of the pyramid, below --output-root.', required: true },
        show: { type: 'boolean', description: 'Whether everybody shall look at it, from its first tile on.' },
        wait: { type: 'boolean', description: 'True: answer when it has ended, or after 100 s. False: at once.' },
        ...FLAG_DOCS,
      },
    },
    answers: {
      200: 'With `wait`: it has ended; `state` says how.',
      202: 'It waits or runs; `Location` tells more.',
      409: 'Another build writes to the same folder.',
      429: 'Too many builds wait.',
      501: 'The server was started without --output-root.',
    },
    cost: 'change',
  })
  app.post<BuildRoute>('/builds', { ...orderDoc, bodyLimit: MAX_BODY_BYTES }, async (request, reply) => {
    const fields = readFields(request)
    requireRight(request, fields, policy)
    const waits = readFlag(fields, 'wait')
    const build = await queue().add(fields)
    reply.headers({ 'cache-control': 'no-store', location: `builds/${build.n}` })
    if (waits) await orTimeout(build.ended, END_WAIT_MS)
    else if (waits === undefined && build.state === 'running') await orTimeout(build.started, START_WAIT_MS)
    if (build.failure) return sendError(build.failure, request, reply, build.hidden)
    reply.code(build.isOver ? 200 : 202)
    return build.description
  })

  const listDoc = documented({
    group: 'Builds',
    summary: 'Builds that wait, run or are over',
    answers: { 200: '`builds`, each as by its number; the server remembers the last hundred.' },
  })
  app.get('/builds', listDoc, async (_request, reply) => {
    reply.header('cache-control', 'no-store')
    return {
      builds: queue()
        .list()
        .map(({ description }) => description),
    }
  })

  const path: ParameterDocs = { n: { type: 'integer', description: 'Number of the build.', example: 1 } }
  const readDoc = documented({
    group: 'Builds',
    summary: 'How far a build is',
    path,
    answers: { 200: '`state` is queued, running, done, failed or cancelled; `id` is that of the pyramid.' },
  })
  app.get<BuildRoute>('/builds/:n', readDoc, async ({ params }, reply) => {
    reply.header('cache-control', 'no-store')
    return find(params.n).description
  })

  const cancelDoc = documented({
    group: 'Builds',
    summary: 'Cancel a build, or forget one that is over',
    description: 'What was built stays on disk, and the same build goes on from there.',
    path,
    answers: { 202: 'It stops as soon as it can.', 204: 'It was over and is forgotten.' },
    cost: 'change',
  })
  app.delete<BuildRoute>('/builds/:n', cancelDoc, async (request, reply) => {
    requireRight(request, readFields(request), policy)
    const build = find(request.params.n)
    reply.header('cache-control', 'no-store')
    if (build.isOver) {
      queue().forget(build)
      return reply.code(204).send()
    }
    build.cancel()
    reply.code(202)
    return build.description
  })
}

/** As the promise, but no longer than a client shall wait. */
async function orTimeout(promise: Promise<void>, ms: number): Promise<void> {
  const waited = new AbortController()
  await Promise.race([promise, delay(ms, undefined, { signal: waited.signal }).catch(() => undefined)])
  waited.abort()
}
