import fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify'
import { NotFoundError } from '../errors.js'
import type { ReadMemory } from '../pyramid/read-memory.js'
import { RenderCrew } from '../render/render-crew.js'
import type { AccessPolicy } from './access/access-policy.js'
import { BasePath } from './access/base-path.js'
import { limitConnections, refuseConnection, TIMES } from './access/connection-limits.js'
import { guardRequests } from './access/guard.js'
import { UrlSigner } from './access/url-signer.js'
import { BuildQueue } from './builds/build-queue.js'
import { DetectionQueue } from './detections/detection-queue.js'
import type { DetectorCommand } from './detections/detector-command.js'
import { EventStream } from './events/event-stream.js'
import { drainOnClose } from './http/drain.js'
import { sendError } from './http/error-replies.js'
import { watchMethods } from './http/method-not-allowed.js'
import { loadPageAssets } from './http/page-assets.js'
import { acceptBodies } from './http/request-fields.js'
import { measure } from './metrics/measure.js'
import { Metrics } from './metrics/metrics.js'
import { describeRoutes } from './openapi/describe-routes.js'
import type { PyramidRegistry } from './pyramids/registry.js'
import { RoiStore } from './rois/roi-store.js'
import { registerBuildRoutes } from './routes/builds.js'
import { registerCropRoutes } from './routes/crop.js'
import { registerCurrentRoutes } from './routes/current.js'
import { registerDetectionRoutes } from './routes/detections.js'
import { registerDocsRoutes } from './routes/docs.js'
import { registerDeepZoomRoutes } from './routes/dzi.js'
import { registerEventRoute } from './routes/events.js'
import { registerHealthRoutes } from './routes/health.js'
import { registerEqualizationRoute, registerHistogramRoute } from './routes/histogram.js'
import { registerIiifRoutes } from './routes/iiif.js'
import { registerItemRoutes } from './routes/items.js'
import { registerPageRoutes } from './routes/page.js'
import { registerPlacementRoutes } from './routes/placement.js'
import { registerPymeRoutes } from './routes/pyme.js'
import { registerPymeRoiRoutes } from './routes/pyme-rois.js'
import { registerPyramidRoutes } from './routes/pyramids.js'
import { registerRoiRoutes } from './routes/rois.js'
import { registerSignatureRoute } from './routes/signatures.js'
import { registerStatsRoute } from './routes/stats.js'
import { registerTileJsonRoute } from './routes/tilejson.js'
import { registerTileRoutes } from './routes/tiles.js'
import { registerValueRoute } from './routes/value.js'
import { registerWellsRoute } from './routes/wells.js'
import { registerZarrRoutes } from './routes/zarr.js'
import { DecodedTiles } from './tiles/decoded-tiles.js'
import { TileCache } from './tiles/tile-cache.js'
import { WorkBudget } from './work-budget.js'

const WATCH_EVERY_MS = 250

/** Pixels of crops and statistics under way at once: those of one large crop, or of four small ones. */
const REGION_PIXELS = 2 ** 26
const LEAST_REGION_PIXELS = 2 ** 24

export interface AppOptions {
  /** The app closes it when it is closed itself. */
  readonly registry: PyramidRegistry
  readonly logger: FastifyBaseLogger
  readonly policy: AccessPolicy
  /** Real paths of the folders whose pyramids may be set as source; with none, any may. */
  readonly roots: readonly string[]
  /** Real path of the folder below which clients may have pyramids built; without it none are. */
  readonly outputRoot?: string
  /** The one that its pyramids were opened with: encoded tiles are kept there as well. */
  readonly memory: ReadMemory
  /** Folder with index.html, viewer.js and viewer.css. */
  readonly assetsFolder: string
  /** Folder for what outlives the server, made when it is needed; without one, ROIs live in memory. */
  readonly stateFolder?: string
  /** Programs that find objects, besides the built-in detectors. */
  readonly detectors?: readonly DetectorCommand[]
  /** Version of tilestage, for /healthz. */
  readonly version: string
  /** Requests a second that one client may send; undefined for any number. */
  readonly requestsPerSecond?: number
  /** Prefix of all paths, with a slash at both ends; they are answered without it, too. */
  readonly basePath?: string
  /** Whether the proxy in front says who asks, and for which host. */
  readonly trustProxy?: boolean
}

/**
 * The HTTP server with all its routes, not listening yet.
 *
 * @throws {NotFoundError} the viewer is not built.
 */
export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const { registry, policy, basePath } = options
  const below = basePath === undefined || basePath === '/' ? undefined : new BasePath(basePath)
  const app: FastifyInstance = fastify({
    loggerInstance: options.logger,
    // A line for every tile would cost more than the tile; failures have lines of their own.
    logController: new LogController({ disableRequestLogging: true }),
    ...TIMES,
    return503OnClosing: false,
    // One proxy: what came in before it wrote down is what anybody may have sent.
    trustProxy: options.trustProxy === true && ((_address: string, hop: number) => hop === 0),
    ...(below && { rewriteUrl: below.cutOff }),
    clientErrorHandler: refuseConnection,
    frameworkErrors: (error, request, reply) => sendError(error, request, reply),
  })
  const events = new EventStream()
  const { roots, outputRoot } = options
  const builds =
    outputRoot === undefined
      ? undefined
      : new BuildQueue(
          { roots, outputRoot },
          { registry, log: options.logger, onChange: event => events.send('build', event) },
        )
  const rois = new RoiStore(options.stateFolder, options.logger)
  const detections = new DetectionQueue(rois, options.logger)
  const detectors = { commands: options.detectors ?? [], roots: options.roots }
  const { store } = options.memory
  const drawing = { cache: new TileCache(store), tiles: new DecodedTiles(store), crew: new RenderCrew() }

  // Of their own: a large crop takes its thread for seconds, and tiles cannot wait for that.
  const cropCrew = new RenderCrew(1)
  const budget = new WorkBudget(REGION_PIXELS, LEAST_REGION_PIXELS)

  const metrics = new Metrics()
  const signer = policy.token === undefined ? undefined : new UrlSigner(policy.token)

  limitConnections(app)
  drainOnClose(app)
  acceptBodies(app)
  guardRequests(app, policy, options.requestsPerSecond, signer)
  app.setErrorHandler((error, request, reply) => {
    // Whoever asked went away, and that is why the work was given up. A reply hears of it later than its socket.
    if (reply.raw.destroyed || request.socket.destroyed) return reply.hijack()
    return sendError(
      error,
      request,
      reply,
      registry.list().map(({ pyramid }) => pyramid),
    )
  })
  app.setNotFoundHandler((request, reply) => {
    metrics.countOther(404)
    return sendError(new NotFoundError('There is nothing here.'), request, reply)
  })

  await describeRoutes(app, options.version)
  const refuseOtherMethods = watchMethods(app)
  metrics.countAnswers(app)
  below?.serve(app)
  registerTileRoutes(app, registry, drawing, store)
  registerTileJsonRoute(app, registry, basePath)
  registerPyramidRoutes(app, registry)
  registerHistogramRoute(app, registry, budget)
  registerEqualizationRoute(app, registry)
  registerValueRoute(app, registry)
  registerStatsRoute(app, registry, budget)
  registerPlacementRoutes(app, registry)
  registerWellsRoute(app, registry)
  const crops = { drawing, crew: cropCrew, budget, software: `tilestage ${options.version}` }
  registerCropRoutes(app, registry, crops)
  registerItemRoutes(app, registry, crops)
  registerDeepZoomRoutes(app, registry, drawing)
  registerIiifRoutes(app, registry, { drawing, crops }, basePath)
  registerZarrRoutes(app, registry)
  registerCurrentRoutes(app, registry, policy, options.roots)
  registerPymeRoutes(app, registry, drawing)
  registerRoiRoutes(app, registry, rois, policy)
  registerDetectionRoutes(app, registry, detections, policy, detectors)
  registerPymeRoiRoutes(app, registry, rois, detections, policy, detectors)
  registerBuildRoutes(app, builds, policy)
  registerEventRoute(app, registry, events)
  registerPageRoutes(app, await loadPageAssets(options.assetsFolder))
  registerHealthRoutes(app, registry, metrics, { version: options.version, hasOpenMetrics: policy.loopback })
  registerSignatureRoute(app, policy, signer)
  registerDocsRoutes(app)
  refuseOtherMethods()

  measure(metrics, { registry, events, memory: options.memory, drawing, cropCrew, builds, detections })

  registry.events.on('source', state => events.send('source', state))
  registry.events.on('refused', refusal => events.send('refused', refusal))
  registry.events.on('tiles', changes => events.send('tiles', changes))
  registry.events.on('build', progress => events.send('build', progress))
  rois.events.on('rois', change => events.send('rois', change))
  detections.events.on('detection', status => events.send('detection', status))
  // Requests look themselves; without them, open pages shall hear of what grew or was overwritten all the same.
  const watch = setInterval(() => {
    if (events.listenerCount > 0) registry.checkDue().catch(error => app.log.error({ err: error }, 'check failed'))
  }, WATCH_EVERY_MS).unref()
  app.addHook('preClose', async () => {
    clearInterval(watch)
    events.close()
    await builds?.close()
    await detections.close()
  })
  app.addHook('onClose', async () => {
    await registry.close()
    await Promise.all([drawing.crew.close(), cropCrew.close()])
  })
  return app
}
