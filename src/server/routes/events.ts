import type { FastifyInstance } from 'fastify'
import type { EventStream } from '../event-stream.js'
import type { PyramidRegistry } from '../registry.js'

/** Events about the current pyramid and those that grow; a listener first gets the state as it is. */
export function registerEventRoute(app: FastifyInstance, registry: PyramidRegistry, events: EventStream): void {
  app.get('/events', { exposeHeadRoute: false }, (_request, reply) => {
    const { refusal } = registry
    const refused = refusal ? [{ name: 'refused', data: refusal }] : []
    events.connect(reply, [{ name: 'source', data: registry.state }, ...refused])
  })
}
