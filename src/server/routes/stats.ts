import type { FastifyInstance } from 'fastify'
import { measureRegion, type RegionStatistics } from '../../pyramid/region-statistics.js'
import { clientSignal } from '../http/client-signal.js'
import { type PyramidRoute, readNumber, readSelection } from '../http/parameters.js'
import { pixelsOfLevel, RECTANGLE_DOCS, readLevel, readRectangle } from '../http/rectangle.js'
import { RequestRefusal } from '../http/request-refusal.js'
import { documented } from '../openapi/route-doc.js'
import type { PyramidRegistry } from '../pyramids/registry.js'
import type { WorkBudget } from '../work-budget.js'

/** Pixels that are looked at: 8,192 × 8,192, a second or two. */
const MAX_PIXELS = 2 ** 26

const QUANTILES = [0.01, 0.5, 0.99]

/** Numbers of a rectangle. @param budget pixels that are worked on at once. */
export function registerStatsRoute(app: FastifyInstance, registry: PyramidRegistry, budget: WorkBudget): void {
  app.get<PyramidRoute>(
    '/pyramids/:id/stats',
    {
      ...documented({
        group: 'Regions',
        summary: 'Statistics of a rectangle',
        description:
          'Of the covered pixels of one channel, in counts (dark subtracted): exact, percentiles included, at the level that is read. A pixel belongs to the rectangle if its centre does; what lies outside the mosaic does not count.',
        query: {
          ...RECTANGLE_DOCS,
          above: { type: 'number', description: 'Counts: tells how much of the area lies above.' },
          level: { type: 'integer', description: '0 is full resolution.', fallback: 0 },
          channel: { type: 'integer', description: 'The channel.', fallback: 0 },
          depth: { type: 'integer', description: 'The z-plane.', fallback: 0 },
          t: { type: 'integer', description: 'The time point.', fallback: 0 },
        },
        answers: {
          200: 'The numbers; null where nothing is covered.',
          404: 'The rectangle lies outside the mosaic.',
          413: 'The rectangle has too many pixels at that level.',
        },
        cost: 'work',
      }),
    },
    (request, reply) =>
      registry.use(request.params.id, async ({ pyramid }) => {
        const { query } = request
        const { geometry, pedestal } = pyramid
        const rect = readRectangle(query, geometry)
        const level = readLevel(query, geometry) ?? 0
        const selection = readSelection(query, pyramid)
        const above = readNumber(query, 'above')
        const region = pixelsOfLevel(geometry, level, rect)
        const pixels = (region.x1 - region.x0) * (region.y1 - region.y0)
        if (pixels > MAX_PIXELS) {
          const enough = level + Math.ceil(Math.log2(pixels / MAX_PIXELS) / 2)
          throw new RequestRefusal(
            'TOO_LARGE',
            `The rectangle has ${pixels} pixels at level ${level}, and ${MAX_PIXELS} can be measured; ask for level=${enough} or for less.`,
          )
        }
        const signal = clientSignal(reply)
        const question = {
          selection,
          level,
          region,
          quantiles: QUANTILES,
          threshold: above === undefined ? undefined : above + pedestal,
        }
        const found = await budget.run(pixels, signal, () => measureRegion(pyramid, question, { signal }))
        const pixelAreaUm2 = geometry.pixelSizeUm.x * geometry.pixelSizeUm.y * 4 ** level
        reply.header('cache-control', 'no-store')
        return {
          version: pyramid.version,
          channel: selection.channel,
          level,
          pixels: region,
          darkLevel: pedestal,
          ...describeCounts(found, pedestal),
          areaUm2: found.count * pixelAreaUm2,
          ...(above !== undefined && {
            above: {
              counts: above,
              count: found.above,
              areaUm2: found.above * pixelAreaUm2,
              fraction: found.count > 0 ? found.above / found.count : null,
            },
          }),
        }
      }),
  )
}

/** Stored values as counts. */
function describeCounts(
  { count, min, max, sum, mean, standardDeviation, quantiles }: RegionStatistics,
  pedestal: number,
): Record<string, number | null> {
  const counts = (stored: number | undefined): number | null => (stored === undefined ? null : stored - pedestal)
  const [p1, median, p99] = quantiles.map(counts)
  return {
    count,
    min: counts(min),
    max: counts(max),
    mean: counts(mean),
    sd: standardDeviation ?? null,
    median,
    p1,
    p99,
    sum: sum === undefined ? null : sum - count * pedestal,
  }
}
