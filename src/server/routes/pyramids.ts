import type { FastifyInstance } from 'fastify'
import { type Rect, unite } from '../../plane.js'
import type { FeedProgress } from '../../pyramid/build-feed.js'
import { coarsen } from '../../pyramid/histogram.js'
import { gridOf } from '../../pyramid/mosaic-geometry.js'
import type { Pyramid } from '../../pyramid/pyramid.js'
import { type Parameters, readIndex, readInteger, readSelection } from '../parameters.js'
import type { PyramidRegistry } from '../registry.js'
import type { ServedPyramid } from '../served-pyramid.js'

const DEFAULT_BINS = 512
const MAX_BINS = 65_536

interface PyramidRoute {
  readonly Params: { readonly id: string }
  readonly Querystring: Parameters
}

/** What there is to know of the open pyramids. The answers change with the pyramid and are asked for once a page. */
export function registerPyramidRoutes(app: FastifyInstance, registry: PyramidRegistry): void {
  app.get('/pyramids', (_request, reply) => {
    const pyramids = registry.list().map(({ pyramid }) => ({
      id: pyramid.id,
      name: pyramid.name,
      version: pyramid.version,
      current: registry.isCurrent(pyramid),
      complete: pyramid.complete,
      format: pyramid.format,
      ...pyramid.geometry.size,
      pixelSizeUm: pyramid.geometry.pixelSizeUm,
    }))
    reply.header('cache-control', 'no-store').send({ pyramids })
  })

  app.get<PyramidRoute>('/pyramids/:id', (request, reply) =>
    registry.use(request.params.id, served => {
      reply.header('cache-control', 'no-store')
      return describePyramid(served, registry.isCurrent(served.pyramid))
    }),
  )

  app.get<PyramidRoute>('/pyramids/:id/coverage', (request, reply) =>
    registry.use(request.params.id, async ({ pyramid }) => {
      const selection = readSelection(request.query, pyramid)
      const coverage = pyramid.coverage(selection)
      const versions = pyramid.growth?.shardVersions(selection)
      const levels = Array.from({ length: pyramid.geometry.levelCount }, (_, level) => ({
        level,
        ...gridOf(pyramid.geometry, level),
        runs: coverage.tileRuns(level),
        ...(versions && { shards: Object.fromEntries(versions[level]) }),
      }))
      reply.header('cache-control', 'no-store')
      return { version: pyramid.version, ...(pyramid.growth && { plan: pyramid.growth.plan }), levels }
    }),
  )

  app.get<PyramidRoute>('/pyramids/:id/histogram', (request, reply) =>
    registry.use(request.params.id, async served => {
      const { pyramid } = served
      const channel = readIndex(request.query, 'channel', pyramid.channels.length)
      const bins = readInteger(request.query, 'bins', { min: 1, max: MAX_BINS }) ?? DEFAULT_BINS
      const histogram = coarsen(await pyramid.histogram(channel), bins)
      reply.header('cache-control', 'no-store')
      return { channel, sampleType: pyramid.sampleType, ...histogram, window: await served.window(channel) }
    }),
  )
}

async function describePyramid(served: ServedPyramid, current: boolean): Promise<unknown> {
  const { pyramid } = served
  const { geometry } = pyramid
  const channels = await Promise.all(
    pyramid.channels.map(async ({ name, color }, i) => ({
      name,
      color: color ?? null,
      window: await served.window(i),
    })),
  )
  return {
    id: pyramid.id,
    name: pyramid.name,
    version: pyramid.version,
    current,
    complete: pyramid.complete,
    format: pyramid.format,
    ...geometry.size,
    tileSize: geometry.tileSize,
    levelCount: geometry.levelCount,
    originUm: geometry.originUm,
    pixelSizeUm: geometry.pixelSizeUm,
    sampleType: pyramid.sampleType,
    darkLevel: pyramid.pedestal,
    channels,
    zPlanes: pyramid.zPlanes,
    timePoints: pyramid.timePoints,
    covered: coveredBox(pyramid) ?? null,
    wells: pyramid.wells.map(({ name, rect, frames }) => ({ name, ...rect, frames })),
    frames: pyramid.frames ?? null,
    growth: pyramid.growth ? { plan: pyramid.growth.plan, ...describeProgress(served.progress) } : null,
  }
}

/** Null where nothing is known of the builder: it may be another process, or have stopped. */
function describeProgress(progress: FeedProgress | undefined): Record<keyof FeedProgress, number | null> {
  return {
    framesDone: progress?.framesDone ?? null,
    framesTotal: progress?.framesTotal ?? null,
    secondsLeft: progress?.secondsLeft ?? null,
  }
}

/** Box around what any channel covers, level-0 px. */
function coveredBox(pyramid: Pyramid): Rect | undefined {
  return pyramid.channels
    .map((_, channel) => pyramid.coverage({ channel, zPlane: 0, timePoint: 0 }).bounds)
    .filter(box => box !== undefined)
    .reduce<Rect | undefined>(unite, undefined)
}
