import type { FastifyInstance } from 'fastify'
import { readRootStamp } from '../../pyramid/root-stamp.js'
import { RequestRefusal } from '../http/request-refusal.js'
import type { Metrics } from '../metrics/metrics.js'
import { documented } from '../openapi/route-doc.js'
import type { PyramidRegistry } from '../pyramids/registry.js'

/**
 * Whether the process answers, whether it has what it serves, and what it is doing.
 *
 * @param hasOpenMetrics whether the figures may be read without the token on a private server.
 */
export function registerHealthRoutes(
  app: FastifyInstance,
  registry: PyramidRegistry,
  metrics: Metrics,
  { version, hasOpenMetrics }: { readonly version: string; readonly hasOpenMetrics: boolean },
): void {
  let isStopping = false
  app.addHook('preClose', async () => {
    isStopping = true
  })

  const healthDoc = documented({
    group: 'Server',
    summary: 'Whether the server answers at all',
    answers: { 200: 'It does; `program` is tilestage, and `version` its version.' },
    open: true,
  })
  app.get('/healthz', healthDoc, (_request, reply) =>
    reply.header('cache-control', 'no-store').send({ status: 'ok', program: 'tilestage', version }),
  )

  const readyDoc = documented({
    group: 'Server',
    summary: 'Whether the server has what it serves',
    answers: {
      200: 'The current pyramid can be read, or there is none.',
      503: 'It cannot be read, or the server is being stopped.',
    },
    open: true,
  })
  app.get('/readyz', readyDoc, async (_request, reply) => {
    if (isStopping) throw new RequestRefusal('NOT_READY', 'The server is being stopped.')
    const current = registry.list().find(({ pyramid }) => registry.isCurrent(pyramid))
    if (current && (await readRootStamp(current.pyramid.path)) === undefined) {
      throw new RequestRefusal('NOT_READY', 'The current pyramid cannot be read from its disk.')
    }
    return reply.header('cache-control', 'no-store').send({ status: 'ready' })
  })

  const metricsDoc = documented({
    group: 'Server',
    summary: 'What the server is doing, for Prometheus',
    answers: { 200: { description: 'Figures in the text format.', types: ['text/plain'] } },
    ...(hasOpenMetrics && { open: true }),
  })
  app.get('/metrics', metricsDoc, async (_request, reply) => {
    const { type, text } = await metrics.read()
    return reply.header('cache-control', 'no-store').type(type).send(text)
  })
}
