import type { FastifyInstance } from 'fastify'

/** Whether the process answers at all, and which version it is. */
export function registerHealthRoute(app: FastifyInstance, version: string): void {
  app.get('/healthz', (_request, reply) => reply.header('cache-control', 'no-store').send({ status: 'ok', version }))
}
