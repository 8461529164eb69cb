import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { MosaicGeometry } from '../../pyramid/mosaic-geometry.js'
import type { PictureFormat } from '../../render/picture.js'
import { clientSignal } from '../http/client-signal.js'
import { type PyramidRoute, readText } from '../http/parameters.js'
import { PICTURE_PARAMETERS } from '../openapi/picture-doc.js'
import { documented } from '../openapi/route-doc.js'
import type { PyramidRegistry } from '../pyramids/registry.js'
import type { ServedPyramid } from '../pyramids/served-pyramid.js'
import { readPictureStyle } from '../tiles/picture-style.js'
import { PICTURE_FORMATS, readPictureFormat } from '../tiles/wanted-tile.js'

/** Web maps end where the square of their projection does. */
const MAX_LATITUDE = (360 / Math.PI) * Math.atan(Math.exp(Math.PI)) - 90

/**
 * TileJSON 3.0.0 for map libraries.
 *
 * The tiles' address in it is absolute: libraries resolve a relative one against their page, which lies elsewhere. It has
 * the host that was asked, and what the proxy in front says of it under `--trust-proxy`. A prefix that a proxy cuts off is
 * nothing that a request tells, so it is that of `--base-path`.
 *
 * @param basePath with a slash at both ends.
 */
export function registerTileJsonRoute(app: FastifyInstance, registry: PyramidRegistry, basePath = '/'): void {
  app.get<PyramidRoute>(
    '/pyramids/:id/tilejson.json',
    {
      ...documented({
        group: 'Tiles',
        summary: 'TileJSON 3.0.0 for map libraries',
        description:
          'Parameters of the look are taken over into the address of the tiles. `bounds` place the mosaic at the upper left of the Web Mercator square, whose side at maxzoom is 2^maxzoom tiles; what is true on the stage stands in `tilestage`.',
        query: {
          format: { type: 'string', description: 'Of the tiles.', values: PICTURE_FORMATS, fallback: 'png' },
          ...PICTURE_PARAMETERS,
        },
        answers: { 200: 'The description.' },
      }),
    },
    (request, reply) =>
      registry.use(request.params.id, async served => {
        const format = readPictureFormat(request.query)
        // A look that makes no sense is told here, not by every tile.
        await readPictureStyle(request.query, served, clientSignal(reply))
        reply.header('cache-control', 'no-store')
        return describeTiles(served, tileTemplate(request, served, format, basePath))
      }),
  )
}

/** The address of all tiles, with the look of this request; `{z}`, `{x}` and `{y}` are left for the library to fill in. */
function tileTemplate(
  { protocol, host, query }: FastifyRequest<PyramidRoute>,
  { pyramid }: ServedPyramid,
  format: PictureFormat,
  basePath: string,
): string {
  const look = new URLSearchParams()
  for (const name of Object.keys(PICTURE_PARAMETERS)) {
    const value = readText(query, name)
    if (value !== undefined) look.set(name, value)
  }
  // The tiles of a growing pyramid have versions of their own.
  if (!pyramid.growth) look.set('v', pyramid.version)
  const search = look.size > 0 ? `?${look}` : ''
  return `${protocol}://${host}${basePath}pyramids/${pyramid.id}/tiles/{z}/{x}/{y}.${format}${search}`
}

function describeTiles({ pyramid }: ServedPyramid, template: string): unknown {
  const { geometry } = pyramid
  const maxZoom = geometry.levelCount - 1
  const bounds = boundsOf(geometry)
  const [west, south, east, north] = bounds
  return {
    tilejson: '3.0.0',
    name: pyramid.name,
    scheme: 'xyz',
    tiles: [template],
    minzoom: 0,
    maxzoom: maxZoom,
    bounds,
    center: [(west + east) / 2, (south + north) / 2, 0],
    tilestage: {
      id: pyramid.id,
      version: pyramid.version,
      complete: pyramid.complete,
      tileSize: geometry.tileSize,
      ...geometry.size,
      originUm: geometry.originUm,
      pixelSizeUm: geometry.pixelSizeUm,
      channels: pyramid.channels.map(({ name }) => name),
      zPlanes: pyramid.zPlanes,
      timePoints: pyramid.timePoints,
    },
  }
}

/** Where the mosaic lies in degrees when its tiles are taken for those of a world map: west, south, east, north. */
function boundsOf({ size, tileSize, levelCount }: MosaicGeometry): [number, number, number, number] {
  const worldPx = tileSize * 2 ** (levelCount - 1)
  const south = Math.PI * (1 - (2 * size.height) / worldPx)
  return [-180, (360 / Math.PI) * Math.atan(Math.exp(south)) - 90, (360 * size.width) / worldPx - 180, MAX_LATITUDE]
}
