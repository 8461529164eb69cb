import type { FastifyInstance } from 'fastify'
import { NotFoundError } from '../../errors.js'
import type { MosaicGeometry } from '../../pyramid/mosaic-geometry.js'
import { clientSignal } from '../http/client-signal.js'
import { type Parameters, type PyramidRoute, quote } from '../http/parameters.js'
import { type HalvedTile, halvedTile, lastHalving } from '../interop/halved-tile.js'
import { PICTURE_PARAMETERS, VERSION_DOC } from '../openapi/picture-doc.js'
import { documented } from '../openapi/route-doc.js'
import type { PyramidRegistry } from '../pyramids/registry.js'
import { answerTile, sendTile, TILE_TYPES } from '../tiles/answer-tile.js'
import type { Drawing } from '../tiles/drawing.js'
import { readPictureStyle } from '../tiles/picture-style.js'
import { PICTURE_FORMATS, readPictureFormat } from '../tiles/wanted-tile.js'

interface TileRoute {
  readonly Params: { readonly id: string; readonly level: string; readonly file: string }
  readonly Querystring: Parameters
}

/** Deep Zoom Images, for viewers that know nothing of us. */
export function registerDeepZoomRoutes(app: FastifyInstance, registry: PyramidRegistry, drawing: Drawing): void {
  app.get<PyramidRoute>(
    '/pyramids/:id.dzi',
    {
      ...documented({
        group: 'Other viewers',
        summary: 'Deep Zoom description',
        description:
          'OpenSeadragon appends the query of this address to those of the tiles: with it go `v` and all that says how a picture looks.',
        query: {
          format: { type: 'string', description: 'Of the tiles.', values: PICTURE_FORMATS, fallback: 'png' },
          ...PICTURE_PARAMETERS,
          ...VERSION_DOC,
        },
        answers: { 200: { description: 'The description.', types: ['application/xml'] } },
      }),
    },
    (request, reply) =>
      registry.use(request.params.id, async served => {
        const format = readPictureFormat(request.query)
        // A look that makes no sense is told here, not by every tile.
        await readPictureStyle(request.query, served, clientSignal(reply))
        reply.headers({ 'cache-control': 'no-store', 'content-type': 'application/xml; charset=utf-8' })
        return describe(served.pyramid.geometry, format)
      }),
  )

  app.get<TileRoute>(
    '/pyramids/:id([\\w-]+)_files/:level/:file',
    {
      ...documented({
        group: 'Other viewers',
        summary: 'Deep Zoom tile',
        description:
          'Level 0 is one pixel with everything in it, each further one has twice as many along each axis, rounded up. Tiles do not overlap; those at the right and lower edge have the size that remains. Otherwise as other tiles.',
        path: {
          level: { type: 'integer', description: 'Of the Deep Zoom Image.', min: 0, example: 0 },
          file: { type: 'string', description: 'Column, `_`, row and `.png`, `.jpg` or `.webp`.', example: '0_0.png' },
        },
        query: { ...PICTURE_PARAMETERS, ...VERSION_DOC },
        answers: {
          200: { description: 'The tile.', types: PICTURE_FORMATS.map(format => TILE_TYPES[format]) },
          304: 'The one that `If-None-Match` names.',
          410: 'The version was overwritten.',
        },
      }),
    },
    async (request, reply) => {
      const { params, query } = request
      const signal = clientSignal(reply)
      const answer = await registry.use(params.id, async served => {
        const { pyramid } = served
        const [column, row, format] = readTileFile(params.file)
        const place = readPlace(pyramid.geometry, params.level, column, row)
        const style = await readPictureStyle(query, served, signal)
        const selections = style.layers.map(({ selection }) => selection)
        return answerTile(drawing, served, { pyramid, ...place, format, selections, style }, request, signal)
      })
      sendTile(reply, answer)
    },
  )
}

function describe({ size, tileSize }: MosaicGeometry, format: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?>
<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" TileSize="${tileSize}" Overlap="0" Format="${format}">
  <Size Width="${size.width}" Height="${size.height}"/>
</Image>
`
}

function readTileFile(file: string): [column: number, row: number, format: (typeof PICTURE_FORMATS)[number]] {
  const [, column, row, extension] = /^(\d{1,9})_(\d{1,9})\.(\w+)$/.exec(file) ?? []
  const format = PICTURE_FORMATS.find(known => known === extension)
  if (format !== undefined) return [Number(column), Number(row), format]
  throw new NotFoundError(
    `There is no tile file ${quote(file)}; tiles here are COLUMN_ROW.${PICTURE_FORMATS.join(', .')}.`,
  )
}

/** Deep Zoom counts levels from the coarse end. */
function readPlace(geometry: MosaicGeometry, level: string, column: number, row: number): HalvedTile {
  const last = lastHalving(geometry.size)
  const isLevel = /^\d{1,9}$/.test(level) && Number(level) <= last
  const place = isLevel ? halvedTile(geometry, last - Number(level), column, row) : undefined
  if (place) return place
  throw new NotFoundError(`There is no tile ${quote(`${level}/${column}_${row}`)}; levels go from 0 to ${last}.`)
}
