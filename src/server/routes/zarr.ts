import type { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { SourceUnavailableError } from '../../errors.js'
import { readRootStamp } from '../../pyramid/root-stamp.js'
import { cachingOf, freshnessOf, isKnown } from '../http/caching.js'
import { type Parameters, readText } from '../http/parameters.js'
import { RequestRefusal } from '../http/request-refusal.js'
import { readByteRange } from '../interop/byte-range.js'
import { openZarrFile, type ZarrFile } from '../interop/zarr-file.js'
import { documented, type ParameterDocs, type RouteDoc } from '../openapi/route-doc.js'
import type { PyramidRegistry } from '../pyramids/registry.js'
import type { ServedPyramid } from '../pyramids/served-pyramid.js'

interface ZarrRoute {
  readonly Params: { readonly id: string; readonly '*': string }
  readonly Querystring: Parameters
}

interface ZarrAnswer {
  readonly status: 200 | 206 | 304
  readonly headers: Readonly<Record<string, string | number>>
  readonly body?: Readable
}

const KEY_DOC: ParameterDocs = {
  '*': { type: 'string', description: 'Key below the root of the OME-Zarr.', example: 'zarr.json' },
}

const ZARR_DOC: RouteDoc = {
  group: 'Other viewers',
  summary: 'The OME-Zarr itself',
  description:
    'The files as they lie on disk: `zarr.json`, `LEVEL/zarr.json`, and shards `LEVEL/c/t/c/z/row/column`; of a PYME pyramid there are none. A shard without a covered pixel has no file (404). `Range` may name one range, from both ends. The ETag is made from size and time of the file. While a pyramid grows, its coarse levels lag behind.',
  path: KEY_DOC,
  query: { v: { type: 'string', description: 'The version that `/pyramids/{id}` tells.' } },
  answers: {
    200: { description: 'The file.', types: ['application/json', 'application/octet-stream'] },
    206: { description: 'The range of it.', types: ['application/octet-stream'] },
    304: 'The one that `If-None-Match` names.',
    404: 'There is no such file.',
    410: 'The version was overwritten.',
    416: 'The file ends before the range begins.',
  },
}

const OPTIONS_DOC: RouteDoc = {
  group: 'Other viewers',
  summary: 'What may be asked of an OME-Zarr',
  path: KEY_DOC,
  answers: { 204: '`Allow` names the methods.' },
}

/** Files of an OME-Zarr, for programs that read such by themselves. */
export function registerZarrRoutes(app: FastifyInstance, registry: PyramidRegistry): void {
  const url = '/pyramids/:id/zarr/*'
  const answer = async (request: FastifyRequest<ZarrRoute>, reply: FastifyReply): Promise<FastifyReply> => {
    const { status, headers, body } = await registry.use(request.params.id, served =>
      answerFile(served, request, reply),
    )
    return reply.code(status).headers(headers).send(body)
  }
  // The HEAD that fastify makes of a GET would read the file to its end.
  app.get(url, { ...documented(ZARR_DOC), exposeHeadRoute: false }, answer)
  app.head(url, { ...documented(ZARR_DOC), schema: { hide: true } }, answer)
  app.options(url, documented(OPTIONS_DOC), (_request, reply) =>
    reply.code(204).header('allow', 'GET, HEAD, OPTIONS').send(),
  )
}

async function answerFile(
  served: ServedPyramid,
  { params, query, headers: asked, method }: FastifyRequest<ZarrRoute>,
  reply: FastifyReply,
): Promise<ZarrAnswer> {
  const { pyramid } = served
  const version = pyramid.growth ? undefined : pyramid.version
  const freshness = freshnessOf(served, readText(query, 'v'), version)
  const file = await openZarrFile(pyramid, params['*']).catch(async error => {
    // Readers take what is not there for empty: while another pyramid takes the folder's name, that would be wrong.
    await expectSameVersion(served, freshness)
    throw error
  })
  let body: Readable | undefined
  try {
    await expectSameVersion(served, freshness)
    const caching = cachingOf(freshness, file.etag)
    const common = { ...caching, 'accept-ranges': 'bytes', 'last-modified': file.modifiedAt.toUTCString() }
    if (isKnown(asked, caching)) return { status: 304, headers: common }
    const range = method === 'GET' && isRangeWanted(asked, file) ? readByteRange(asked.range, file.size) : 'whole'
    if (!range) {
      reply.header('content-range', `bytes */${file.size}`)
      throw new RequestRefusal(
        'RANGE_NOT_SATISFIABLE',
        `The file has ${file.size} bytes; the range begins behind them.`,
      )
    }
    const part = range === 'whole' ? { first: 0, end: file.size } : range
    const headers = { ...common, 'content-type': file.type, 'content-length': part.end - part.first }
    if (method === 'GET') body = file.stream(part)
    if (range === 'whole') return { status: 200, headers, body }
    const place = `bytes ${part.first}-${part.end - 1}/${file.size}`
    return { status: 206, headers: { ...headers, 'content-range': place }, body }
  } finally {
    if (!body) await file.close()
  }
}

/**
 * Looked at after the file was opened: then it cannot be of a later version than the one that was asked for.
 *
 * @throws {SourceUnavailableError} the root was written anew, or is not there just now.
 */
async function expectSameVersion(
  { pyramid: { path }, stamp }: ServedPyramid,
  freshness: ReturnType<typeof freshnessOf>,
): Promise<void> {
  const found = await readRootStamp(path)
  if (found !== undefined && (found === stamp || freshness !== 'exact')) return
  throw new SourceUnavailableError(`${path} was overwritten or taken away just now; ask again in a moment.`, {
    url: path,
  })
}

/** A client that has some of a file wants the rest of that one, or all of another. */
function isRangeWanted({ 'if-range': condition }: FastifyRequest['headers'], { etag }: ZarrFile): boolean {
  return condition === undefined || condition === etag
}
