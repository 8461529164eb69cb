import type { FastifyInstance } from 'fastify'
import type { EventStream } from '../events/event-stream.js'
import { documented } from '../openapi/route-doc.js'
import type { PyramidRegistry } from '../pyramids/registry.js'

/** Longer than any id of ours. */
const MAX_ID_LENGTH = 64

/** Events about the current pyramid, those that grow, and builds; a listener first gets the state as it is. */
export function registerEventRoute(app: FastifyInstance, registry: PyramidRegistry, events: EventStream): void {
  const doc = documented({
    group: 'Current',
    summary: 'What changes, as server-sent events',
    description:
      'Events are `source`, `refused`, `tiles`, `build`, a `beat` every 2 s, and `reset` where the `Last-Event-ID` of the request is not known any more.',
    answers: { 200: { description: 'A stream that stays open.', types: ['text/event-stream'] } },
  })
  app.get('/events', { ...doc, exposeHeadRoute: false }, (request, reply) => {
    const { refusal } = registry
    const refused = refusal ? [{ name: 'refused', data: refusal }] : []
    const lastId = request.headers['last-event-id']
    const known = typeof lastId === 'string' ? lastId.slice(0, MAX_ID_LENGTH) : undefined
    events.connect(reply, [{ name: 'source', data: registry.state }, ...refused], known)
  })
}
