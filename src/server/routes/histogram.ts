import type { FastifyInstance } from 'fastify'
import type { Rect } from '../../plane.js'
import { automaticWindow, coarsen, HistogramBuilder } from '../../pyramid/histogram.js'
import type { MosaicGeometry } from '../../pyramid/mosaic-geometry.js'
import { partsOfRegion } from '../../pyramid/read-region.js'
import { clientSignal } from '../http/client-signal.js'
import { type PyramidRoute, readIndex, readInteger, readSelection } from '../http/parameters.js'
import { OPTIONAL_RECTANGLE_DOCS, pixelsOfLevel, readOptionalRectangle } from '../http/rectangle.js'
import { documented } from '../openapi/route-doc.js'
import type { PyramidRegistry } from '../pyramids/registry.js'
import type { WorkBudget } from '../work-budget.js'

const DEFAULT_BINS = 512
const MAX_BINS = 65_536

/** A rectangle is counted at the finest level where it has no more pixels: enough for its contrast, and quick. */
const MAX_PIXELS = 2 ** 22

/** How often values occur. @param budget pixels that are worked on at once. */
export function registerHistogramRoute(app: FastifyInstance, registry: PyramidRegistry, budget: WorkBudget): void {
  app.get<PyramidRoute>(
    '/pyramids/:id/histogram',
    {
      ...documented({
        group: 'Regions',
        summary: 'How often each value occurs',
        description:
          'Of stored values: bin i counts those from binStart + i · binWidth on. Without a rectangle it is that of all planes of the channel, known from the build. That of a rectangle is counted in one plane, at the finest level where it has at most 4 million pixels, which is told as `level`. `window` is the automatic contrast of what was counted.',
        query: {
          channel: { type: 'integer', description: 'The channel.', fallback: 0 },
          bins: { type: 'integer', description: 'At most this many.', min: 1, max: MAX_BINS, fallback: DEFAULT_BINS },
          ...OPTIONAL_RECTANGLE_DOCS,
          depth: { type: 'integer', description: 'The z-plane of the rectangle.', fallback: 0 },
          t: { type: 'integer', description: 'The time point of the rectangle.', fallback: 0 },
        },
        answers: { 200: 'The histogram.', 404: 'The rectangle lies outside the mosaic.' },
      }),
    },
    (request, reply) =>
      registry.use(request.params.id, async served => {
        const { query } = request
        const { pyramid } = served
        const { sampleType, geometry } = pyramid
        const channel = readIndex(query, 'channel', pyramid.channels.length)
        const bins = readInteger(query, 'bins', { min: 1, max: MAX_BINS }) ?? DEFAULT_BINS
        const rect = readOptionalRectangle(query, geometry)
        reply.header('cache-control', 'no-store')
        if (!rect) {
          const histogram = coarsen(await pyramid.histogram(channel), bins)
          return { channel, sampleType, ...histogram, window: await served.window(channel) }
        }
        const selection = readSelection(query, pyramid)
        const { level, region } = quickRegion(geometry, rect)
        const signal = clientSignal(reply)
        const builder = new HistogramBuilder(sampleType)
        await budget.run(MAX_PIXELS, signal, async () => {
          for await (const { tile, x0, y0, rect: part } of partsOfRegion(pyramid, selection, level, region, { signal }))
            for (let y = part.y0; y < part.y1; y++) {
              const line = (y - y0) * tile.plane.width - x0
              const run = [line + part.x0, line + part.x1] as const
              builder.add(tile.plane.samples.subarray(...run), tile.mask?.subarray(...run))
            }
        })
        const histogram = builder.finish()
        const window = automaticWindow(histogram, sampleType)
        return { channel, sampleType, ...coarsen(histogram, bins), window, level, pixels: region }
      }),
  )
}

/** What a channel is equalized by. */
export function registerEqualizationRoute(app: FastifyInstance, registry: PyramidRegistry): void {
  app.get<PyramidRoute>(
    '/pyramids/:id/equalization',
    documented({
      group: 'Regions',
      summary: 'The histogram that a channel is equalized by',
      description:
        'Of 8- and 16-bit integers one bin a value; of other samples 256 bins from the smallest to the largest, as scikit-image counts them: once, from the finest level at which all planes together have at most 67 million pixels.',
      query: { channel: { type: 'integer', description: 'The channel.', fallback: 0 } },
      answers: { 200: 'The histogram, as `/histogram` gives it.' },
      cost: 'work',
    }),
    (request, reply) =>
      registry.use(request.params.id, async served => {
        const channel = readIndex(request.query, 'channel', served.pyramid.channels.length)
        reply.header('cache-control', 'no-store')
        const equalization = await served.equalization(channel, clientSignal(reply))
        return { channel, sampleType: served.pyramid.sampleType, ...equalization }
      }),
  )
}

/** The finest level at which a rectangle is quickly read, and its pixels there. */
function quickRegion(geometry: MosaicGeometry, rect: Rect): { readonly level: number; readonly region: Rect } {
  for (let level = 0; ; level++) {
    const region = pixelsOfLevel(geometry, level, rect)
    const pixels = (region.x1 - region.x0) * (region.y1 - region.y0)
    if (pixels <= MAX_PIXELS || level === geometry.levelCount - 1) return { level, region }
  }
}
