import type { FastifyInstance } from 'fastify'
import { RequestRefusal } from './request-refusal.js'

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']

/**
 * Collect the routes that are registered from now on.
 *
 * @returns a function to be called after the last route: it answers every other method of their URLs with 405.
 */
export function watchMethods(app: FastifyInstance): () => void {
  const methodsOf = new Map<string, Set<string>>()
  let isDone = false
  app.addHook('onRoute', ({ url, method }) => {
    if (isDone) return
    const known = methodsOf.get(url) ?? new Set<string>()
    for (const name of [method].flat()) known.add(name)
    methodsOf.set(url, known)
  })
  return () => {
    isDone = true
    for (const [url, known] of methodsOf) {
      const allowed = [...known].join(', ')
      app.route({
        method: METHODS.filter(method => !known.has(method)),
        url,
        exposeHeadRoute: false,
        schema: { hide: true },
        // Before the body is read: it could be of any kind.
        onRequest: async (request, reply) => {
          reply.header('allow', allowed)
          throw new RequestRefusal('METHOD_NOT_ALLOWED', `${request.method} is not answered here; ${allowed} are.`)
        },
        handler: () => undefined,
      })
    }
  }
}
