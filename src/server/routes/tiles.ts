import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { NotFoundError, UsageError } from '../../errors.js'
import { bytesOfSamples } from '../../plane.js'
import { isInGrid, type TileAddress } from '../../pyramid/mosaic-geometry.js'
import type { CoveredTile, MosaicSelection, Pyramid } from '../../pyramid/pyramid.js'
import { clientSignal } from '../client-signal.js'
import { matchesEtag } from '../etag.js'
import { type Parameters, quote, readNumber, readSelection, readText } from '../parameters.js'
import { readCoveredTile, tileVersionOf } from '../read-covered-tile.js'
import type { PyramidRegistry } from '../registry.js'
import { RequestRefusal } from '../request-refusal.js'
import type { Freshness, ServedPyramid } from '../served-pyramid.js'
import type { TileCache } from '../tile-cache.js'
import { encodeGreyPng, type GreyView, shadeTile } from '../tile-renderer.js'

/** Part of every ETag; to be raised when the same samples give other bytes. */
const ENCODING_VERSION = 1

const MIN_GAMMA = 0.01
const MAX_GAMMA = 100

/** Stands for a tile of a growing pyramid of which there is nothing yet. */
const NOT_BUILT = Buffer.alloc(0)

interface TileRoute {
  readonly Params: { readonly id?: string; readonly z: string; readonly x: string; readonly file: string }
  readonly Querystring: Parameters
}

/** XYZ tiles: of one pyramid as image or samples, and of the current one as image. */
export function registerTileRoutes(app: FastifyInstance, registry: PyramidRegistry, cache: TileCache): void {
  // Fastify sends what a handler returns; null is an empty body.
  const answer = (request: FastifyRequest<TileRoute>, reply: FastifyReply): Promise<Buffer | null> =>
    registry.use(request.params.id, served => encodeTile(served, request, reply))

  const encodeTile = async (
    served: ServedPyramid,
    { params, query, headers }: FastifyRequest<TileRoute>,
    reply: FastifyReply,
  ): Promise<Buffer | null> => {
    const { pyramid } = served
    const { address, extension } = parseTilePath(params, pyramid)
    const selection = readSelection(query, pyramid)
    const view = extension === 'png' ? await readView(query, served, selection.channel) : undefined
    const version = tileVersionOf(pyramid, selection, address)
    const isPlanned = pyramid.coverage(selection).hasTile(address)
    const key = tileKey(pyramid, version, selection, address, view)
    const etag = `"${ENCODING_VERSION}.${key}"`
    const freshness = freshnessOf(served, readText(query, 'v'), version)
    // What the automatic contrast of a growing pyramid gives is not named by a version.
    const isNamed = !pyramid.growth || (isPlanned && view?.isAutomatic !== true)
    setCaching(reply, isNamed ? freshness : 'other', etag)
    if (reply.hasHeader('etag') && matchesEtag(headers['if-none-match'], etag)) {
      reply.code(304)
      return null
    }
    const signal = clientSignal(reply)
    const nothing = (): Promise<Buffer> | null => {
      if (view) return emptyTile(cache, pyramid.geometry.tileSize, signal)
      reply.code(204).removeHeader('etag').removeHeader('content-type')
      return null
    }
    reply.header('content-type', view ? 'image/png' : 'application/octet-stream')
    if (!isPlanned) return nothing()
    if (version === undefined) {
      pyramid.growth?.onWanted(selection, address)
      setCaching(reply, 'other', etag)
      return nothing()
    }
    const bytes =
      cache.get(key) ??
      (await cache.getOrCompute(
        key,
        async computing => {
          const tile = await readCoveredTile(pyramid, selection, address, computing)
          if (!tile) return NOT_BUILT
          return view
            ? encodeGreyPng(shadeTile(tile.plane, tile.mask, view), pyramid.geometry.tileSize)
            : packTile(tile)
        },
        signal,
      ))
    if (tileVersionOf(pyramid, selection, address) !== version) {
      // More was built while it was read: the key does not name these bytes, and nobody shall keep them.
      cache.delete(key)
      setCaching(reply, 'other', etag)
    }
    if (bytes !== NOT_BUILT) return bytes
    setCaching(reply, 'other', etag)
    return nothing()
  }

  app.get<TileRoute>('/pyramids/:id/tiles/:z/:x/:file', answer)
  app.get<TileRoute>('/tiles/:z/:x/:file', answer)
}

/** z counts from the coarse end, and is turned into a level here. What is no number, or outside the grid, is a 404. */
function parseTilePath(
  { id, z, x, file }: TileRoute['Params'],
  { geometry }: Pyramid,
): { readonly address: TileAddress; readonly extension: string } {
  const [y, extension] = splitOnce(file)
  // The current pyramid's samples could be of any type from one request to the next.
  const possible = id === undefined ? ['png'] : ['png', 'bin']
  if (!possible.includes(extension)) {
    throw new NotFoundError(`There is no tile file ${quote(file)}; tiles here end in .${possible.join(' or .')}.`)
  }
  if (![z, x, y].every(part => /^\d{1,9}$/.test(part))) {
    throw new NotFoundError(`There is no tile ${quote(`${z}/${x}/${y}`)}; z, x and y are whole numbers.`)
  }
  const address = { level: geometry.levelCount - 1 - Number(z), column: Number(x), row: Number(y) }
  if (isInGrid(geometry, address)) return { address, extension }
  throw new NotFoundError(`There is no tile ${z}/${x}/${y}; z goes from 0 to ${geometry.levelCount - 1}.`)
}

function splitOnce(file: string): [string, string] {
  const dot = file.indexOf('.')
  return dot < 0 ? [file, ''] : [file.slice(0, dot), file.slice(dot + 1)]
}

/** Black, white and gamma of the URL; what is not given comes from the automatic contrast of the channel. */
async function readView(
  query: Parameters,
  served: ServedPyramid,
  channel: number,
): Promise<GreyView & { readonly isAutomatic: boolean }> {
  const black = readNumber(query, 'min')
  const white = readNumber(query, 'max')
  const gamma = readNumber(query, 'gamma', { min: MIN_GAMMA, max: MAX_GAMMA }) ?? 1
  const automatic = black === undefined || white === undefined ? await served.window(channel) : undefined
  const min = black ?? automatic?.black ?? 0
  const max = white ?? automatic?.white ?? 1
  if (max > min) return { min, max, gamma, isAutomatic: automatic !== undefined }
  throw new UsageError(`max is ${max} and must be above min, which is ${min}.`)
}

/** Names the bytes of a tile exactly: what it is of, which version, where, and how it is shown. */
function tileKey(
  { id }: Pyramid,
  version: string | undefined,
  { channel, zPlane, timePoint }: MosaicSelection,
  { level, column, row }: TileAddress,
  view: GreyView | undefined,
): string {
  const shown = view ? `${view.min},${view.max},${view.gamma}` : 'bin'
  return `${id}.${version}/${channel}.${zPlane}.${timePoint}/${level}.${column}.${row}/${shown}`
}

/** @throws {RequestRefusal} the version is of a pyramid that was overwritten. */
function freshnessOf(served: ServedPyramid, asked: string | undefined, current: string | undefined): Freshness {
  const freshness = served.freshness(asked, current)
  if (freshness !== 'gone') return freshness
  throw new RequestRefusal('GONE', `This version of ${served.pyramid.name} was overwritten; ask for its new version.`)
}

/** Cache headers by what the `v` of the URL is worth. */
function setCaching(reply: FastifyReply, freshness: Freshness, etag: string): void {
  // Of a first try, whose pyramid was overwritten.
  reply.removeHeader('etag')
  if (freshness === 'exact') reply.header('cache-control', 'public, max-age=31536000, immutable').header('etag', etag)
  else if (freshness === 'unversioned') reply.header('cache-control', 'no-cache').header('etag', etag)
  else reply.header('cache-control', 'no-store')
}

/** The samples, little endian, and behind them the mask where the tile is partly covered. */
function packTile({ plane, mask }: CoveredTile): Buffer {
  const samples = bytesOfSamples(plane.samples)
  return Buffer.concat(mask ? [samples, mask] : [samples])
}

/** A wholly transparent tile. */
function emptyTile(cache: TileCache, edge: number, signal: AbortSignal): Promise<Buffer> {
  const draw = (): Promise<Buffer> =>
    encodeGreyPng({ grey: new Uint8Array(edge * edge), alpha: new Uint8Array(edge * edge) }, edge)
  return cache.getOrCompute(`transparent/${edge}`, draw, signal)
}
