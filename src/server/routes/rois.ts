import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { NotFoundError } from '../../errors.js'
import type { AccessPolicy } from '../access/access-policy.js'
import { requireRight } from '../access/require-right.js'
import { type Parameters, type PyramidRoute, quote, readFlag } from '../http/parameters.js'
import { readFields } from '../http/request-fields.js'
import { RequestRefusal } from '../http/request-refusal.js'
import { documented, type ParameterDocs } from '../openapi/route-doc.js'
import type { PyramidRegistry } from '../pyramids/registry.js'
import { readRoi, readRois } from '../rois/read-roi.js'
import type { Roi, RoiShape } from '../rois/roi.js'
import { formatRoiCsv, parseRoiCsv } from '../rois/roi-csv.js'
import { addRois, moveRoi, type RoiList, removeRoi, replaceRois } from '../rois/roi-list.js'
import type { RoiStore } from '../rois/roi-store.js'

/** A full list with ids and short names. */
const MAX_BODY_BYTES = 8 * 2 ** 20

const SHAPE: ParameterDocs = {
  x: { type: 'number', description: 'Stage µm; of a rectangle, the side of the smallest x.', required: true },
  y: { type: 'number', description: 'Stage µm; of a rectangle, the side of the smallest y.', required: true },
  w: { type: 'number', description: 'Width of a rectangle, µm.' },
  h: { type: 'number', description: 'Height of a rectangle, µm.' },
  name: { type: 'string', description: 'Up to 100 characters.' },
}

const CHANGED = 'The ROIs that were made or changed, and the revision and length of the list.'

const ROI_PATH: ParameterDocs = { roi: { type: 'integer', description: 'Id of a ROI.' } }

interface RoiRoute extends PyramidRoute {
  readonly Params: { readonly id: string; readonly roi: string }
}

/** The list of ROIs of each pyramid: points and rectangles in stage µm. */
export function registerRoiRoutes(
  app: FastifyInstance,
  registry: PyramidRegistry,
  rois: RoiStore,
  policy: AccessPolicy,
): void {
  const url = '/pyramids/:id/rois'

  app.get<PyramidRoute>(
    url,
    {
      ...documented({
        group: 'ROIs',
        summary: 'The ROIs of a pyramid',
        description: 'CSV with `Accept: text/csv`, or below `/rois.csv`. The ETag is for `If-Match` of a change.',
        answers: {
          200: { description: '`{ revision, count, rois }`, or CSV.', types: ['application/json', 'text/csv'] },
        },
      }),
    },
    (request, reply) =>
      registry.use(request.params.id, async ({ pyramid }) => {
        const list = await rois.read(pyramid.id)
        reply.header('vary', 'Origin, Accept')
        return prefersCsv(request) ? sendCsv(reply, list) : sendList(reply, list, list.rois)
      }),
  )

  app.get<PyramidRoute>(
    `${url}.csv`,
    {
      ...documented({
        group: 'ROIs',
        summary: 'The ROIs as a table',
        answers: { 200: { description: 'Columns x_um, y_um, w_um, h_um, name.', types: ['text/csv'] } },
      }),
    },
    (request, reply) =>
      registry.use(request.params.id, async ({ pyramid }) => sendCsv(reply, await rois.read(pyramid.id))),
  )

  app.post<PyramidRoute>(
    url,
    {
      bodyLimit: MAX_BODY_BYTES,
      ...documented({
        group: 'ROIs',
        summary: 'Add ROIs, or replace all of them',
        description:
          'One ROI as a form or JSON object, or many: a JSON list of objects or of `[x, y]` pairs, or CSV whose first line names the columns.',
        query: { replace: { type: 'boolean', description: '1: all ROIs there are give way.', fallback: 0 } },
        body: { fields: SHAPE, types: { 'text/csv': 'Columns x_um (or x), y_um (or y), w_um, h_um, name.' } },
        answers: { 201: CHANGED },
        cost: 'change',
      }),
    },
    (request, reply) => {
      const fields = isOneRoi(request.body) ? readFields(request) : request.query
      requireRight(request, fields, policy)
      return registry.use(request.params.id, async ({ pyramid }) => {
        const replaces = readFlag(request.query, 'replace') ?? false
        const shapes = readBody(request.body, fields)
        const list = await rois.change(pyramid.id, before => {
          expectRevision(request, before)
          return replaces ? replaceRois(before, shapes) : addRois(before, shapes)
        })
        reply.code(201)
        // New ones stand at the end.
        return sendList(reply, list, list.rois.slice(list.rois.length - shapes.length))
      })
    },
  )

  app.delete<PyramidRoute>(
    url,
    { ...documented({ group: 'ROIs', summary: 'Remove all ROIs', answers: { 200: CHANGED }, cost: 'change' }) },
    (request, reply) => {
      requireRight(request, request.query, policy)
      return registry.use(request.params.id, async ({ pyramid }) => {
        const list = await rois.change(pyramid.id, before => {
          expectRevision(request, before)
          return before.rois.length === 0 ? before : replaceRois(before, [])
        })
        return sendList(reply, list, [])
      })
    },
  )

  app.delete<RoiRoute>(
    `${url}/:roi`,
    {
      ...documented({
        group: 'ROIs',
        summary: 'Remove a ROI',
        path: ROI_PATH,
        answers: { 200: CHANGED },
        cost: 'change',
      }),
    },
    (request, reply) => {
      requireRight(request, request.query, policy)
      return changeOne(request, reply, removeRoi)
    },
  )

  for (const method of ['PUT', 'PATCH'] as const) {
    app.route<RoiRoute>({
      method,
      url: `${url}/:roi`,
      ...documented({
        group: 'ROIs',
        summary: method === 'PUT' ? 'Give a ROI another place, size and name' : 'Change a part of a ROI',
        description: method === 'PATCH' ? 'What is not given stays; `null` (in JSON) takes a name or size away.' : '',
        path: ROI_PATH,
        body: { fields: SHAPE },
        answers: { 200: CHANGED },
        cost: 'change',
      }),
      handler: (request, reply) => {
        requireRight(request, readFields(request), policy)
        const fields = { ...request.query, ...(request.body as object | undefined) }
        return changeOne(request, reply, (list, id) =>
          moveRoi(list, id, roi => readRoi(method === 'PATCH' ? { ...roi, ...fields } : fields, 'The ROI')),
        )
      },
    })
  }

  function changeOne(
    request: FastifyRequest<RoiRoute>,
    reply: FastifyReply,
    change: (list: RoiList, id: number) => RoiList,
  ): Promise<unknown> {
    const id = /^\d{1,15}$/.test(request.params.roi) ? Number(request.params.roi) : Number.NaN
    return registry.use(request.params.id, async ({ pyramid }) => {
      const list = await rois.change(pyramid.id, before => {
        expectRevision(request, before)
        const after = change(before, id)
        if (after === before) throw new NotFoundError(`There is no ROI ${quote(request.params.roi)}.`)
        return after
      })
      return sendList(
        reply,
        list,
        list.rois.filter(roi => roi.id === id),
      )
    })
  }
}

/** Whether a body is a form, or a JSON object of one ROI; a list of them has no fields. */
function isOneRoi(body: unknown): boolean {
  return !(typeof body === 'string' || Array.isArray(body) || Array.isArray((body as { rois?: unknown } | null)?.rois))
}

function readBody(body: unknown, fields: Parameters): (RoiShape & { readonly id?: number })[] {
  if (typeof body === 'string') return parseRoiCsv(body)
  return isOneRoi(body) ? [readRoi(fields, 'The ROI')] : readRois(body)
}

/** Whoever names a list that they saw changes that one or nothing. */
function expectRevision({ headers }: FastifyRequest, list: RoiList): void {
  const wanted = headers['if-match']
  if (wanted === undefined || wanted.trim() === '*' || wanted.split(',').some(tag => tag.trim() === etagOf(list)))
    return
  throw new RequestRefusal(
    'CHANGED_MEANWHILE',
    `The ROIs were changed meanwhile; they are at revision ${list.revision}.`,
  )
}

function etagOf({ revision }: RoiList): string {
  return `"${revision}"`
}

function sendList(reply: FastifyReply, list: RoiList, shown: readonly Roi[]): unknown {
  reply.headers({ 'cache-control': 'no-store', etag: etagOf(list) })
  return { revision: list.revision, count: list.rois.length, rois: shown }
}

function sendCsv(reply: FastifyReply, list: RoiList): string {
  reply.headers({
    'cache-control': 'no-store',
    etag: etagOf(list),
    'content-type': 'text/csv; charset=utf-8; header=present',
    'content-disposition': 'inline; filename="rois.csv"',
  })
  return formatRoiCsv(list.rois)
}

/** Browsers and most programs take anything, and get JSON. */
function prefersCsv({ headers }: FastifyRequest): boolean {
  return /\btext\/csv\b/.test(headers.accept ?? '') && !/\bapplication\/json\b/.test(headers.accept ?? '')
}
