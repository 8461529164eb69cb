import type { FastifyInstance } from 'fastify'
import type { MosaicSelection, Pyramid, Well } from '../../pyramid/pyramid.js'
import { readRegion } from '../../pyramid/read-region.js'
import { clientSignal } from '../http/client-signal.js'
import { type PyramidRoute, readIndexes, readSelection } from '../http/parameters.js'
import { centreUm, readLevel, readPixel, UNITS_DOC } from '../http/rectangle.js'
import { documented } from '../openapi/route-doc.js'
import type { PyramidRegistry } from '../pyramids/registry.js'

/** What is seen at a place, and where it comes from. */
export function registerValueRoute(app: FastifyInstance, registry: PyramidRegistry): void {
  app.get<PyramidRoute>(
    '/pyramids/:id/value',
    {
      ...documented({
        group: 'Regions',
        summary: 'The sample at a place',
        description:
          'Per channel: the sample as it is stored and in counts (dark subtracted), and the frames that it was blended from, in that order. Inside the mosaic, where nothing was imaged, `covered` is false.',
        query: {
          x: { type: 'number', description: 'Position: µm on the stage, or level-0 px.', required: true },
          y: { type: 'number', description: 'The same along y.', required: true },
          ...UNITS_DOC,
          channel: { type: 'integer', list: true, description: 'Which channels; all where it is not given.' },
          depth: { type: 'integer', description: 'The z-plane.', fallback: 0 },
          t: { type: 'integer', description: 'The time point.', fallback: 0 },
          level: { type: 'integer', description: '0 is full resolution.', fallback: 0 },
        },
        answers: { 200: 'The pixel and its samples.', 404: 'The place lies outside the mosaic.' },
      }),
    },
    (request, reply) =>
      registry.use(request.params.id, async ({ pyramid }) => {
        const { query } = request
        const { geometry } = pyramid
        const whole = readPixel(query, geometry)
        const level = readLevel(query, geometry) ?? 0
        const { zPlane, timePoint } = readSelection({ ...query, channel: undefined }, pyramid)
        const channels = readIndexes(query, 'channel', pyramid.channels.length)
        const pixel = { x: Math.floor(whole.x / 2 ** level), y: Math.floor(whole.y / 2 ** level) }
        const signal = clientSignal(reply)
        reply.header('cache-control', 'no-store')
        return {
          version: pyramid.version,
          level,
          pixel,
          centreUm: centreUm(geometry, level, pixel),
          pixelSizeUm: { x: geometry.pixelSizeUm.x * 2 ** level, y: geometry.pixelSizeUm.y * 2 ** level },
          well: wellAt(pyramid, whole)?.name ?? null,
          channels: await Promise.all(
            (channels ?? [...pyramid.channels.keys()]).map(channel =>
              readValue(pyramid, { channel, zPlane, timePoint }, level, pixel, signal),
            ),
          ),
        }
      }),
  )
}

async function readValue(
  pyramid: Pyramid,
  selection: MosaicSelection,
  level: number,
  { x, y }: { readonly x: number; readonly y: number },
  signal: AbortSignal,
): Promise<unknown> {
  const { channel } = selection
  const region = { x0: x, y0: y, x1: x + 1, y1: y + 1 }
  const { plane, mask } = await readRegion(pyramid, selection, level, region, { signal })
  const covered = mask === undefined
  const [stored] = plane.samples
  // A sample may be missing within a frame.
  const isKnown = covered && !Number.isNaN(stored)
  return {
    channel,
    name: pyramid.channels[channel].name,
    covered,
    stored: isKnown ? stored : null,
    counts: isKnown ? stored - pyramid.pedestal : null,
    frames:
      pyramid.framesAt(selection, level, region)?.map(({ seriesName, frame, positionUm, stageUm, well }) => ({
        series: seriesName,
        frame,
        positionUm: positionUm ?? null,
        stageUm: stageUm ?? null,
        well,
      })) ?? null,
  }
}

function wellAt({ wells }: Pyramid, { x, y }: { readonly x: number; readonly y: number }): Well | undefined {
  return wells.find(({ rect }) => x >= rect.x0 && y >= rect.y0 && x < rect.x1 && y < rect.y1)
}
