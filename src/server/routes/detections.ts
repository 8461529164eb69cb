import type { FastifyInstance } from 'fastify'
import type { AccessPolicy } from '../access/access-policy.js'
import { requireRight } from '../access/require-right.js'
import type { DetectionQueue } from '../detections/detection-queue.js'
import { type DetectorConfig, listDetectors, readDetection } from '../detections/detection-request.js'
import { type PyramidRoute, requireInteger } from '../http/parameters.js'
import { readFields } from '../http/request-fields.js'
import { documented, type ParameterDocs } from '../openapi/route-doc.js'
import type { PyramidRegistry } from '../pyramids/registry.js'

const DETECTION_PATH: ParameterDocs = { n: { type: 'integer', description: 'Number of the detection.' } }

const STATUS =
  '`{ n, pyramid, detector, level, state, tilesDone, tilesTotal, found, threshold, message }`; the state is queued, running, done, failed or cancelled.'

interface DetectionRoute extends PyramidRoute {
  readonly Params: { readonly id: string; readonly n: string }
}

/** Detectors that are run on a pyramid; what they find becomes ROIs. */
export function registerDetectionRoutes(
  app: FastifyInstance,
  registry: PyramidRegistry,
  queue: DetectionQueue,
  policy: AccessPolicy,
  config: DetectorConfig,
): void {
  const url = '/pyramids/:id/detections'

  app.post<PyramidRoute>(
    url,
    {
      ...documented({
        group: 'Detections',
        summary: 'Run a detector',
        description: 'One runs at a time, others wait. What is found becomes ROIs that are named after the detector.',
        body: {
          fields: {
            detector: {
              type: 'string',
              description: '`threshold`, `log`, or the name of a configured command.',
              required: true,
            },
            level: { type: 'integer', description: 'Pyramid level; 0 is full resolution.', min: 0, fallback: 0 },
            channel: { type: 'integer', description: 'Channel.', min: 0, fallback: 0 },
            depth: { type: 'integer', description: 'Z-plane.', min: 0, fallback: 0 },
            t: { type: 'integer', description: 'Time point.', min: 0, fallback: 0 },
            threshold: { type: 'number', description: 'Counts; found from the data where it is not given.' },
            sizeUm: { type: 'string', description: 'Smallest and largest diameter, µm.', list: true },
            box: { type: 'string', description: 'x, y, w, h of the part that is searched, stage µm.', list: true },
            recipe: { type: 'string', description: 'Path that stands for {recipe} of a configured command.' },
            addRois: { type: 'boolean', description: '0: what is found is told with the status only.', fallback: 1 },
            replace: { type: 'boolean', description: '1: all ROIs there are give way.', fallback: 0 },
          },
        },
        answers: { 202: STATUS },
        cost: 'change',
      }),
    },
    (request, reply) => {
      const parameters = readFields({ query: request.query, body: joinLists(request.body) })
      requireRight(request, parameters, policy)
      return registry.use(request.params.id, async ({ pyramid }) => {
        const status = queue.add(await readDetection(parameters, pyramid, config))
        reply.code(202).headers({ 'cache-control': 'no-store', location: `detections/${status.n}` })
        return status
      })
    },
  )

  app.get<PyramidRoute>(
    url,
    {
      ...documented({
        group: 'Detections',
        summary: 'Detectors, and the detections of a pyramid',
        answers: { 200: `\`{ detectors, detections }\`: names, and of each detection ${STATUS}` },
      }),
    },
    (request, reply) =>
      registry.use(request.params.id, async ({ pyramid }) => {
        reply.header('cache-control', 'no-store')
        return { detectors: listDetectors(config.commands), detections: queue.list(pyramid.id) }
      }),
  )

  app.get<DetectionRoute>(
    `${url}/:n`,
    {
      ...documented({
        group: 'Detections',
        summary: 'How far a detection is',
        description: 'With `addRois=0`, `locations` has what was found.',
        path: DETECTION_PATH,
        answers: { 200: STATUS },
      }),
    },
    (request, reply) => {
      reply.header('cache-control', 'no-store')
      return queue.get(request.params.id, requireInteger(request.params, 'n'))
    },
  )

  app.delete<DetectionRoute>(
    `${url}/:n`,
    {
      ...documented({
        group: 'Detections',
        summary: 'Cancel a detection',
        description: 'One that has ended stays as it is.',
        path: DETECTION_PATH,
        answers: { 200: STATUS },
        cost: 'change',
      }),
    },
    (request, reply) => {
      requireRight(request, request.query, policy)
      reply.header('cache-control', 'no-store')
      return queue.cancel(request.params.id, requireInteger(request.params, 'n'))
    },
  )
}

/** Lists of JSON are what they would be in a form: `[2, 8]` is `2,8`. */
function joinLists(body: unknown): unknown {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return body
  return Object.fromEntries(
    Object.entries(body).map(([name, value]) => [name, Array.isArray(value) ? value.join(',') : value]),
  )
}
