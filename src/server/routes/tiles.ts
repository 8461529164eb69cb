import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { ByteStore } from '../../pyramid/byte-store.js'
import { isKnown } from '../http/caching.js'
import { clientSignal } from '../http/client-signal.js'
import type { Parameters } from '../http/parameters.js'
import { PICTURE_PARAMETERS, VERSION_DOC } from '../openapi/picture-doc.js'
import { documented, type RouteDoc } from '../openapi/route-doc.js'
import type { PyramidRegistry } from '../pyramids/registry.js'
import type { ServedPyramid } from '../pyramids/served-pyramid.js'
import { answerTile, sendTile, TILE_TYPES, type TileAnswer } from '../tiles/answer-tile.js'
import type { Drawing } from '../tiles/drawing.js'
import { readWantedTile, type TilePath } from '../tiles/wanted-tile.js'

/** What a ready answer takes in memory besides its URL. */
const READY_BYTES = 600

interface TileRoute {
  readonly Params: TilePath
  readonly Querystring: Parameters
}

/** What a URL was found to mean: nobody need think about it again while the picture is kept. */
interface ReadyAnswer {
  readonly key: string
  readonly headers: TileAnswer['headers']
}

const DESCRIPTION =
  'z counts from the coarse end: 0 is one tile. A tile is always a whole square; outside the grid there is none (404). ' +
  'Where nothing was imaged, png and webp are transparent and jpg shows the background. With the `v` of the pyramid the ' +
  'answer may be kept for ever, without it there is an ETag; a `v` that was overwritten is gone (410).'

const TILE_DOC: RouteDoc = {
  group: 'Tiles',
  summary: 'One tile of a pyramid',
  description: `${DESCRIPTION} \`.bin\` are the samples themselves, little endian, row by row, followed by a byte for each (1 = covered) where not all are; \`.blosc\` is the chunk that they are stored in, made on the fly for pyramids that are stored otherwise or still grow. Both are 204 where nothing is covered.`,
  path: {
    file: { type: 'string', description: 'y and `.png`, `.jpg`, `.webp`, `.bin` or `.blosc`.', example: '0.png' },
  },
  query: { ...PICTURE_PARAMETERS, ...VERSION_DOC },
  answers: {
    200: { description: 'The tile.', types: [...new Set(Object.values(TILE_TYPES))] },
    204: 'Nothing is covered (`.bin`, `.blosc`).',
    304: 'The one that `If-None-Match` names.',
    410: 'The version was overwritten.',
  },
}

const CURRENT_TILE_DOC: RouteDoc = {
  group: 'Tiles',
  summary: 'One tile of what everybody looks at',
  description: DESCRIPTION,
  path: { file: { type: 'string', description: 'y and `.png`, `.jpg` or `.webp`.', example: '0.png' } },
  query: { ...PICTURE_PARAMETERS, ...VERSION_DOC },
  answers: { 200: { description: 'The tile.', types: [TILE_TYPES.png, TILE_TYPES.jpg, TILE_TYPES.webp] } },
}

/** XYZ tiles: of one pyramid as picture or samples, and of the current one as picture. */
export function registerTileRoutes(
  app: FastifyInstance,
  registry: PyramidRegistry,
  drawing: Drawing,
  store: ByteStore,
): void {
  const findReady = ({ params, url, headers: asked }: FastifyRequest<TileRoute>): TileAnswer | undefined => {
    const served = registry.atHand(params.id)
    const ready = served && store.get<ReadyAnswer>(readyKey(served, url))
    const bytes = ready && drawing.cache.get(ready.key)
    if (!bytes) return undefined
    const { headers } = ready
    return isKnown(asked, headers) ? { status: 304, headers } : { status: 200, headers, bytes }
  }

  const findOut = async (request: FastifyRequest<TileRoute>, reply: FastifyReply): Promise<void> => {
    const signal = clientSignal(reply)
    const answer = await registry.use(request.params.id, async served => {
      const wanted = await readWantedTile(request.params, request.query, served, signal)
      const answer = await answerTile(drawing, served, wanted, request, signal)
      if (answer.key !== undefined && !wanted.pyramid.growth) {
        const ready: ReadyAnswer = { key: answer.key, headers: answer.headers }
        store.set(readyKey(served, request.url), ready, READY_BYTES + request.url.length)
      }
      return answer
    })
    sendTile(reply, answer)
  }

  const handler = (request: FastifyRequest<TileRoute>, reply: FastifyReply): Promise<void> | undefined => {
    const ready = findReady(request)
    if (!ready) return findOut(request, reply)
    sendTile(reply, ready)
    // The reply itself is not returned: fastify would take it for a promise and wait for it.
    return undefined
  }

  // A logger for every request, with its number, would cost more than finding the tile; failures name their path.
  const childLoggerFactory = (logger: FastifyBaseLogger): FastifyBaseLogger => logger
  app.get('/pyramids/:id/tiles/:z/:x/:file', { ...documented(TILE_DOC), childLoggerFactory }, handler)
  app.get('/tiles/:z/:x/:file', { ...documented(CURRENT_TILE_DOC), childLoggerFactory }, handler)
}

/** Another version of a pyramid is another served one, where a URL may mean something else. */
function readyKey({ number }: ServedPyramid, url: string): string {
  return `ready ${number} ${url}`
}
