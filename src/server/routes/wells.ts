import type { FastifyInstance } from 'fastify'
import type { Rect } from '../../plane.js'
import type { MosaicGeometry } from '../../pyramid/mosaic-geometry.js'
import type { PyramidRoute } from '../http/parameters.js'
import { documented } from '../openapi/route-doc.js'
import type { PyramidRegistry } from '../pyramids/registry.js'

/** The wells of a plate. */
export function registerWellsRoute(app: FastifyInstance, registry: PyramidRegistry): void {
  app.get<PyramidRoute>(
    '/pyramids/:id/wells',
    {
      ...documented({
        group: 'Regions',
        summary: 'The wells of a plate',
        description:
          'The box around the frames of each well, in level-0 pixels and in µm. The µm box can be asked for as x, y, w and h.',
        answers: { 200: 'A list, empty where no wells are known.' },
      }),
    },
    (request, reply) =>
      registry.use(request.params.id, async ({ pyramid }) => {
        reply.header('cache-control', 'no-store')
        const wells = pyramid.wells.map(({ name, rect, frames }) => ({
          name,
          rect,
          boxUm: boxUm(pyramid.geometry, rect),
          frames,
        }))
        return { version: pyramid.version, wells }
      }),
  )
}

/** A rectangle as requests name it: its first pixel's centre, and its size, µm. */
export function boxUm({ originUm, pixelSizeUm }: MosaicGeometry, { x0, y0, x1, y1 }: Rect): Record<string, number> {
  return {
    x: originUm.x + x0 * pixelSizeUm.x,
    y: originUm.y + y0 * pixelSizeUm.y,
    w: (x1 - x0) * pixelSizeUm.x,
    h: (y1 - y0) * pixelSizeUm.y,
  }
}
