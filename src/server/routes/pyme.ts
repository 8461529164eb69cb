import type { FastifyInstance } from 'fastify'
import { UsageError } from '../../errors.js'
import { isInGrid, type TileAddress } from '../../pyramid/mosaic-geometry.js'
import type { Pyramid } from '../../pyramid/pyramid.js'
import { clientSignal } from '../client-signal.js'
import { type Parameters, readNumber, requireInteger } from '../parameters.js'
import { readCoveredTile, tileVersionOf } from '../read-covered-tile.js'
import type { PyramidRegistry } from '../registry.js'
import { readFields } from '../request-fields.js'
import type { TileCache } from '../tile-cache.js'
import { encodeGreyPng, shadePymeTile } from '../tile-renderer.js'

/** PYME's viewer asks for the first channel; it knows no other. */
const SELECTION = { channel: 0, zPlane: 0, timePoint: 0 }

/** What PYME's handler takes for `vmin` and `vmax` that are not given: the sign that nothing was chosen. */
const UNCHOSEN = { min: 0, max: 255 }

/** `/get_tile` as PYME's viewer answers it, except that `vmin` and `vmax` have an effect. */
export function registerPymeRoutes(app: FastifyInstance, registry: PyramidRegistry, cache: TileCache): void {
  app.route<{ Querystring: Parameters; Body: unknown }>({
    method: ['GET', 'POST'],
    url: '/get_tile',
    handler: (request, reply) =>
      registry.use(undefined, async ({ pyramid }) => {
        const parameters = readFields(request)
        const address = {
          level: requireInteger(parameters, 'layer'),
          column: requireInteger(parameters, 'x'),
          row: requireInteger(parameters, 'y'),
        }
        const window = readWindow(parameters)
        const isThere = isInGrid(pyramid.geometry, address) && pyramid.coverage(SELECTION).hasTile(address)
        const version = isThere ? tileVersionOf(pyramid, SELECTION, address) : undefined
        if (isThere && version === undefined) pyramid.growth?.onWanted(SELECTION, address)
        const key =
          version === undefined ? `black/${pyramid.geometry.tileSize}` : tileKey(pyramid, version, address, window)
        const draw = (signal: AbortSignal): Promise<Buffer> =>
          version === undefined ? drawBlack(pyramid.geometry.tileSize) : drawTile(pyramid, address, window, signal)
        // The address says nothing of the pyramid, so nobody may keep what it leads to.
        reply.headers({ 'content-type': 'image/png', 'cache-control': 'no-store' })
        const bytes = cache.get(key) ?? (await cache.getOrCompute(key, draw, clientSignal(reply)))
        // More was built while it was read: the key does not name these bytes.
        if (version !== undefined && tileVersionOf(pyramid, SELECTION, address) !== version) cache.delete(key)
        return bytes
      }),
  })
}

type Window = { readonly min: number; readonly max: number }

/** Undefined where PYME's own square root is wanted. */
function readWindow(parameters: Parameters): Window | undefined {
  const min = readNumber(parameters, 'vmin') ?? UNCHOSEN.min
  const max = readNumber(parameters, 'vmax') ?? UNCHOSEN.max
  if (min === UNCHOSEN.min && max === UNCHOSEN.max) return undefined
  if (max > min) return { min, max }
  throw new UsageError(`vmax is ${max} and must be above vmin, which is ${min}.`)
}

function tileKey(
  { id }: Pyramid,
  version: string,
  { level, column, row }: TileAddress,
  window: Window | undefined,
): string {
  return `${id}.${version}/${level}.${column}.${row}/pyme ${window ? `${window.min},${window.max}` : ''}`
}

async function drawTile(
  pyramid: Pyramid,
  address: TileAddress,
  window: Window | undefined,
  signal: AbortSignal,
): Promise<Buffer> {
  const { tileSize } = pyramid.geometry
  const tile = await readCoveredTile(pyramid, SELECTION, address, signal)
  if (!tile) return drawBlack(tileSize)
  const grey = shadePymeTile(tile.plane, tile.mask, pyramid.pedestal, window)
  return encodeGreyPng({ grey, alpha: undefined }, tileSize)
}

function drawBlack(edge: number): Promise<Buffer> {
  return encodeGreyPng({ grey: new Uint8Array(edge * edge), alpha: undefined }, edge)
}
