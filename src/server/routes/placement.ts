import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { NotFoundError } from '../../errors.js'
import type { Rect } from '../../plane.js'
import { touches } from '../../plane.js'
import type { PlacementRow, PlacementTable } from '../../pyramid/placement-table.js'
import { csvField } from '../http/csv-field.js'
import { type PyramidRoute, readInteger, readText } from '../http/parameters.js'
import { OPTIONAL_RECTANGLE_DOCS, readOptionalRectangle } from '../http/rectangle.js'
import { documented } from '../openapi/route-doc.js'
import type { PyramidRegistry } from '../pyramids/registry.js'

const DEFAULT_LIMIT = 1000
const MAX_LIMIT = 10_000

/** Where the frames of a pyramid lie. */
export function registerPlacementRoutes(app: FastifyInstance, registry: PyramidRegistry): void {
  const query = {
    ...OPTIONAL_RECTANGLE_DOCS,
    series: { type: 'string', description: 'Only frames of the series of this name.' },
    well: { type: 'string', description: 'Only frames of this well.' },
    offset: { type: 'integer', description: 'How many frames to pass over.', min: 0, fallback: 0 },
    limit: { type: 'integer', description: 'How many to list.', min: 1, max: MAX_LIMIT, fallback: DEFAULT_LIMIT },
  } as const
  const answers = { 404: 'The pyramid does not tell, or the rectangle lies outside the mosaic.' }

  app.get<PyramidRoute>(
    '/pyramids/:id/placement',
    {
      ...documented({
        group: 'Regions',
        summary: 'Where the frames lie',
        description:
          'Frames in the order in which they are blended, those left out included; with a rectangle, those that touch it. `total` counts what the filters leave, `offset` and `limit` choose a page of it. PYME keeps no record of frames.',
        query,
        answers: { ...answers, 200: 'A page of frames.' },
      }),
    },
    (request, reply) =>
      listFrames(registry, request, reply, ({ version, total, offset, frames }) => ({
        version,
        total,
        offset,
        frames: frames.map(describeFrame),
      })),
  )

  app.get<PyramidRoute>(
    '/pyramids/:id/placement.csv',
    {
      ...documented({
        group: 'Regions',
        summary: 'Where the frames lie, as a table',
        description:
          'The same as `/placement`, a frame a line; the header `x-total-count` counts what the filters leave.',
        query,
        answers: { ...answers, 200: { description: 'A page of frames.', types: ['text/csv'] } },
      }),
    },
    (request, reply) =>
      listFrames(registry, request, reply, ({ total, frames }) => {
        reply.type('text/csv; charset=utf-8').header('x-total-count', String(total))
        return [CSV_COLUMNS.join(','), ...frames.map(csvLine), ''].join('\r\n')
      }),
  )
}

interface FramePage {
  readonly version: string
  readonly total: number
  readonly offset: number
  readonly frames: readonly PlacementRow[]
}

function listFrames(
  registry: PyramidRegistry,
  { params, query }: FastifyRequest<PyramidRoute>,
  reply: FastifyReply,
  answer: (page: FramePage) => unknown,
): Promise<unknown> {
  return registry.use(params.id, async ({ pyramid }) => {
    const { placement, version } = pyramid
    const filter = {
      rect: readOptionalRectangle(query, pyramid.geometry),
      series: readText(query, 'series'),
      well: readText(query, 'well'),
    }
    const offset = readInteger(query, 'offset', { min: 0 }) ?? 0
    const limit = readInteger(query, 'limit', { min: 1, max: MAX_LIMIT }) ?? DEFAULT_LIMIT
    if (!placement)
      throw new NotFoundError(`${pyramid.path} does not tell where its frames lie.`, { url: pyramid.path })
    const numbers = matching(placement, filter)
    const frames = numbers.slice(offset, offset + limit).map(i => placement.row(i))
    reply.header('cache-control', 'no-store')
    return answer({ version, total: numbers.length, offset, frames })
  })
}

interface FrameFilter {
  readonly rect: Rect | undefined
  readonly series: string | undefined
  readonly well: string | undefined
}

/** Rows of the frames that a filter leaves. */
function matching(placement: PlacementTable, { rect, series, well }: FrameFilter): number[] {
  const numbers: number[] = []
  for (let i = 0; i < placement.length; i++) {
    if (rect && !touches(placement.rect(i), rect)) continue
    if (series !== undefined && placement.seriesName(i) !== series) continue
    if (well !== undefined && placement.well(i) !== well) continue
    numbers.push(i)
  }
  return numbers
}

function describeFrame({ seriesName, frame, positionUm, stageUm, rect, selection, well, used, reason }: PlacementRow) {
  const { channel, zPlane, timePoint } = selection
  return {
    series: seriesName,
    frame,
    positionUm: positionUm ?? null,
    stageUm: stageUm ?? null,
    rect,
    channel,
    depth: zPlane,
    t: timePoint,
    well,
    used,
    reason: reason ?? null,
  }
}

const CSV_COLUMNS = [
  ...['series', 'frame', 'x_um', 'y_um', 'stage_x_um', 'stage_y_um', 'x0_px', 'y0_px', 'x1_px', 'y1_px'],
  ...['channel', 'depth', 't', 'well', 'used', 'reason'],
]

function csvLine({ seriesName, frame, positionUm, stageUm, rect, selection, ...row }: PlacementRow): string {
  const { channel, zPlane, timePoint } = selection
  return [
    ...[seriesName, frame, positionUm?.x, positionUm?.y, stageUm?.x, stageUm?.y, rect.x0, rect.y0, rect.x1, rect.y1],
    ...[channel, zPlane, timePoint, row.well, row.used ? 1 : 0, row.reason],
  ]
    .map(csvField)
    .join(',')
}
