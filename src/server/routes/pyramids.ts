import type { FastifyInstance } from 'fastify'
import { type Rect, unite } from '../../plane.js'
import type { FeedProgress } from '../../pyramid/build-feed.js'
import { gridOf } from '../../pyramid/mosaic-geometry.js'
import type { Pyramid } from '../../pyramid/pyramid.js'
import { type PyramidRoute, readSelection } from '../http/parameters.js'
import { documented } from '../openapi/route-doc.js'
import type { PyramidRegistry } from '../pyramids/registry.js'
import type { ServedPyramid } from '../pyramids/served-pyramid.js'

/** What there is to know of the open pyramids. The answers change with the pyramid and are asked for once a page. */
export function registerPyramidRoutes(app: FastifyInstance, registry: PyramidRegistry): void {
  const listDoc = documented({
    group: 'Pyramids',
    summary: 'The open pyramids',
    answers: { 200: '`pyramids`: id, name, version, size, whether each is current and complete, and its growth.' },
  })
  app.get('/pyramids', listDoc, (_request, reply) => {
    const pyramids = registry.list().map(served => describeBriefly(served, registry.isCurrent(served.pyramid)))
    reply.header('cache-control', 'no-store').send({ pyramids })
  })

  const infoDoc = documented({
    group: 'Pyramids',
    summary: 'All that a viewer needs to know of a pyramid',
    answers: { 200: 'Geometry in px and µm, channels with their automatic contrast, wells, frames, and its growth.' },
  })
  app.get<PyramidRoute>('/pyramids/:id', infoDoc, (request, reply) =>
    registry.use(request.params.id, served => {
      reply.header('cache-control', 'no-store')
      return describePyramid(served, registry.isCurrent(served.pyramid))
    }),
  )

  const coverageDoc = documented({
    group: 'Pyramids',
    summary: 'Which tiles there are',
    query: {
      channel: { type: 'integer', description: 'Index of the channel.', min: 0, fallback: 0 },
      depth: { type: 'integer', description: 'Index of the z-plane.', min: 0, fallback: 0 },
      t: { type: 'integer', description: 'Index of the time point.', min: 0, fallback: 0 },
    },
    answers: { 200: '`levels`: columns, rows, and lengths of runs of tiles that are not there and that are, in turn.' },
  })
  app.get<PyramidRoute>('/pyramids/:id/coverage', coverageDoc, (request, reply) =>
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
}

function describeBriefly(served: ServedPyramid, current: boolean): unknown {
  const { id, name, version, complete, format, geometry } = served.pyramid
  const { size, pixelSizeUm } = geometry
  return { id, name, version, current, complete, format, ...size, pixelSizeUm, growth: describeGrowth(served) }
}

async function describePyramid(served: ServedPyramid, current: boolean): Promise<unknown> {
  const { pyramid } = served
  const { geometry } = pyramid
  const channels = await Promise.all(
    pyramid.channels.map(async ({ name, color, unit, active }, i) => ({
      name,
      color: color ?? null,
      unit: unit ?? null,
      active: active ?? null,
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
    isUncalibrated: geometry.isUncalibrated ?? false,
    sampleType: pyramid.sampleType,
    darkLevel: pyramid.pedestal,
    channels,
    zPlanes: pyramid.zPlanes,
    timePoints: pyramid.timePoints,
    axes: { zPlane: pyramid.axes?.zPlane ?? null, timePoint: pyramid.axes?.timePoint ?? null },
    covered: coveredBox(pyramid) ?? null,
    wells: pyramid.wells.map(({ name, rect, frames }) => ({ name, ...rect, frames })),
    items: describeItems(pyramid),
    frames: pyramid.frames ?? null,
    growth: describeGrowth(served),
  }
}

/** Where the images of a stack lie, and what its table tells of them; null where there is no stack. */
function describeItems({ items }: Pyramid): unknown {
  if (!items) return null
  const { table, ...grid } = items.record
  return { ...grid, fields: table?.columns ?? [] }
}

/** Null of a pyramid that is complete. */
function describeGrowth({ pyramid, progress }: ServedPyramid): unknown {
  return pyramid.growth ? { plan: pyramid.growth.plan, ...describeProgress(progress) } : null
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
