import type { FastifyInstance } from 'fastify'
import { UsageError } from '../../errors.js'
import { isInGrid, type TileAddress } from '../../pyramid/mosaic-geometry.js'
import type { MosaicSelection, Pyramid } from '../../pyramid/pyramid.js'
import { tileVersionOf } from '../../pyramid/read-covered-tile.js'
import type { PictureLayer } from '../../render/picture.js'
import { pymeStyle } from '../../render/pyme-style.js'
import { clientSignal } from '../http/client-signal.js'
import { type Parameters, readNumber, requireInteger } from '../http/parameters.js'
import { readFields } from '../http/request-fields.js'
import { documented, type ParameterDocs } from '../openapi/route-doc.js'
import type { PyramidRegistry } from '../pyramids/registry.js'
import type { Drawing } from '../tiles/drawing.js'

/** PYME's viewer asks for the first channel; it knows no other. */
const SELECTION: MosaicSelection = { channel: 0, zPlane: 0, timePoint: 0 }

/** What PYME's handler takes for `vmin` and `vmax` that are not given: the sign that nothing was chosen. */
const UNCHOSEN = { min: 0, max: 255 }

/** Nothing is transparent in PYME's tiles. */
const BACKGROUND = '000000'

const PARAMETERS: ParameterDocs = {
  layer: { type: 'integer', description: 'The level; 0 is full resolution.', required: true, example: 0 },
  x: { type: 'integer', description: 'The column of the tile.', required: true, example: 0 },
  y: { type: 'integer', description: 'The row of the tile.', required: true, example: 0 },
  vmin: { type: 'number', description: 'Counts − dark shown black.', fallback: UNCHOSEN.min },
  vmax: { type: 'number', description: 'Counts − dark shown white.', fallback: UNCHOSEN.max },
}

/** `/get_tile` as PYME's viewer answers it, except that `vmin` and `vmax` have an effect. */
export function registerPymeRoutes(app: FastifyInstance, registry: PyramidRegistry, drawing: Drawing): void {
  const { cache } = drawing
  app.route<{ Querystring: Parameters; Body: unknown }>({
    method: ['GET', 'POST'],
    url: '/get_tile',
    ...documented({
      group: 'Tiles',
      summary: "One tile as PYME's viewer draws it",
      description:
        'The first channel of what everybody looks at. Without vmin and vmax, or with 0 and 255, grey is the square root of counts − dark, cut to a whole number; else it is linear between them. Black where there is nothing.',
      query: PARAMETERS,
      body: { fields: PARAMETERS },
      answers: { 200: { description: 'The tile.', types: ['image/png'] } },
    }),
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
          version === undefined ? `tile/black/${pyramid.geometry.tileSize}` : tileKey(pyramid, version, address, window)
        const draw = async (unwanted: AbortSignal): Promise<Buffer> => {
          const tile =
            version === undefined ? undefined : await drawing.tiles.read(pyramid, SELECTION, address, unwanted)
          const samples = tile?.plane.samples ?? new Uint8Array(pyramid.geometry.tileSize ** 2)
          const mask = tile ? tile.mask : new Uint8Array(samples.length)
          return drawGrey(drawing, pyramid, { samples, mask, style: pymeStyle(pyramid.pedestal, window) }, unwanted)
        }
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
  return `tile/${id}.${version}/${level}.${column}.${row}/pyme ${window ? `${window.min},${window.max}` : ''}`
}

function drawGrey(
  { crew }: Drawing,
  { geometry: { tileSize: edge } }: Pyramid,
  layer: PictureLayer,
  unwanted: AbortSignal,
): Promise<Buffer> {
  return crew.render({ width: edge, height: edge, layers: [layer], format: 'png', background: BACKGROUND }, unwanted)
}
