import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'

/** Answers that take longer than this to read are cut off. */
const DRAIN_MS = 10_000

/**
 * Let the server close as soon as the requests under way are answered. By itself it would wait for connections that
 * browsers open ahead of need and never use, and for busy ones to be idle for as long as an idle one is kept.
 */
export function drainOnClose(app: FastifyInstance): void {
  const unused = new Set<Socket>()
  app.server.on('connection', (socket: Socket) => {
    unused.add(socket)
    socket.once('close', () => unused.delete(socket))
  })
  app.server.on('request', ({ socket }) => unused.delete(socket))
  let deadline: NodeJS.Timeout | undefined
  app.addHook('preClose', async () => {
    app.server.keepAliveTimeout = 1
    for (const socket of unused) socket.destroy()
    deadline = setTimeout(() => app.server.closeAllConnections(), DRAIN_MS)
  })
  app.addHook('onClose', async () => clearTimeout(deadline))
}
