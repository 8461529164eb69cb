import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify'
import { NotFoundError } from '../errors.js'
import { type AccessPolicy, isHostAllowed, isLoopbackOrigin, requestedHost } from './access.js'
import { drainOnClose } from './drain.js'
import { sendError } from './error-replies.js'
import { EventStream } from './event-stream.js'
import { watchMethods } from './method-not-allowed.js'
import { loadPageAssets } from './page-assets.js'
import type { PyramidRegistry } from './registry.js'
import { acceptBodies } from './request-fields.js'
import { RequestRefusal } from './request-refusal.js'
import { registerCurrentRoutes, SET_TILE_SOURCE } from './routes/current.js'
import { registerEventRoute } from './routes/events.js'
import { registerHealthRoute } from './routes/health.js'
import { registerPageRoutes } from './routes/page.js'
import { registerPymeRoutes } from './routes/pyme.js'
import { registerPyramidRoutes } from './routes/pyramids.js'
import { registerTileRoutes } from './routes/tiles.js'
import { TileCache } from './tile-cache.js'

/** A client that takes longer to send a request has gone, or means ill. */
const REQUEST_TIMEOUT_MS = 30_000

const WATCH_EVERY_MS = 250

export interface AppOptions {
  /** The app closes it when it is closed itself. */
  readonly registry: PyramidRegistry
  readonly logger: FastifyBaseLogger
  readonly policy: AccessPolicy
  /** Real paths of the folders whose pyramids may be set as source; with none, any may. */
  readonly roots: readonly string[]
  /** Bound on encoded tiles in memory. */
  readonly cacheBytes: number
  /** Folder with index.html, viewer.js and viewer.css. */
  readonly assetsFolder: string
  /** Version of tilestage, for /healthz. */
  readonly version: string
}

/**
 * The HTTP server with all its routes, not listening yet.
 *
 * @throws {NotFoundError} the viewer is not built.
 */
export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const { registry, policy } = options
  const app: FastifyInstance = fastify({
    loggerInstance: options.logger,
    // A line for every tile would cost more than the tile; failures have lines of their own.
    logController: new LogController({ disableRequestLogging: true }),
    requestTimeout: REQUEST_TIMEOUT_MS,
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => sendError(error, request, reply),
  })
  const events = new EventStream()
  const cache = new TileCache(options.cacheBytes)

  drainOnClose(app)
  acceptBodies(app)
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-content-type-options', 'nosniff').header('referrer-policy', 'no-referrer')
    if (!isHostAllowed(requestedHost(request.raw.url ?? '', request.headers.host), policy)) {
      return done(
        new RequestRefusal(
          'HOST_NOT_ALLOWED',
          'This server is not known under that host name; allow it with --allowed-host.',
        ),
      )
    }
    allowReading(request, reply)
    done()
  })
  app.setErrorHandler((error, request, reply) => {
    // Whoever asked went away, and that is why the work was given up.
    if (reply.raw.destroyed) return reply.hijack()
    return sendError(
      error,
      request,
      reply,
      registry.list().map(({ pyramid }) => pyramid),
    )
  })
  app.setNotFoundHandler((request, reply) => sendError(new NotFoundError('There is nothing here.'), request, reply))

  const refuseOtherMethods = watchMethods(app)
  registerTileRoutes(app, registry, cache)
  registerPyramidRoutes(app, registry)
  registerCurrentRoutes(app, registry, policy, options.roots)
  registerPymeRoutes(app, registry, cache)
  registerEventRoute(app, registry, events)
  registerPageRoutes(app, await loadPageAssets(options.assetsFolder))
  registerHealthRoute(app, options.version)
  refuseOtherMethods()

  registry.events.on('source', state => events.send('source', state))
  registry.events.on('refused', refusal => events.send('refused', refusal))
  registry.events.on('tiles', changes => events.send('tiles', changes))
  registry.events.on('build', progress => events.send('build', progress))
  // Requests look themselves; without them, open pages shall hear of what grew or was overwritten all the same.
  const watch = setInterval(() => {
    if (events.listenerCount > 0) registry.checkDue().catch(error => app.log.error({ err: error }, 'check failed'))
  }, WATCH_EVERY_MS).unref()
  app.addHook('preClose', async () => {
    clearInterval(watch)
    events.close()
  })
  app.addHook('onClose', () => registry.close())
  return app
}

/** Pages of this machine may read what we answer, but not what comes of changing the source. */
function allowReading(request: FastifyRequest, reply: FastifyReply): void {
  reply.header('vary', 'Origin')
  const { origin } = request.headers
  const isReading = request.method === 'GET' || request.method === 'HEAD'
  if (origin === undefined || !isReading || request.routeOptions.url === SET_TILE_SOURCE || !isLoopbackOrigin(origin))
    return
  reply.header('access-control-allow-origin', origin).header('access-control-expose-headers', 'ETag')
}
