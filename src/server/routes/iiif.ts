import type { FastifyInstance, FastifyRequest } from 'fastify'
import { cachingOf, freshnessOf, isKnown, NOT_KEPT } from '../http/caching.js'
import { clientSignal } from '../http/client-signal.js'
import { type Parameters, type PyramidRoute, readText } from '../http/parameters.js'
import { drawImage, isDrawnDirectly, planImage, styleOfQuality } from '../interop/draw-image.js'
import { tileOfRegion } from '../interop/halved-tile.js'
import { type Identifier, readIdentifier, writeIdentifier } from '../interop/iiif-identifier.js'
import { type ImagePath, readImage, sizeLimits, type WantedImage } from '../interop/iiif-image.js'
import { describeImage, INFO_CONTEXT } from '../interop/iiif-info.js'
import { PICTURE_PARAMETERS, VERSION_DOC } from '../openapi/picture-doc.js'
import { documented, type ParameterDocs } from '../openapi/route-doc.js'
import type { PyramidRegistry } from '../pyramids/registry.js'
import type { ServedPyramid } from '../pyramids/served-pyramid.js'
import { answerTile, sendTile, TILE_TYPES, type TileAnswer } from '../tiles/answer-tile.js'
import type { Drawing } from '../tiles/drawing.js'
import { type PictureStyle, readPictureStyle } from '../tiles/picture-style.js'
import { PICTURE_FORMATS } from '../tiles/wanted-tile.js'
import type { CropTools } from './crop.js'

/** Part of every ETag; to be raised when the same samples give other bytes. */
const ENCODING_VERSION = 1

interface ImageRoute {
  readonly Params: { readonly id: string } & ImagePath
  readonly Querystring: Parameters
}

/** What images are made with: those that are tiles as tiles, and all others as crops. */
export interface ImageTools {
  readonly drawing: Drawing
  readonly crops: Pick<CropTools, 'crew' | 'budget'>
}

const IDENTIFIER_DOC: ParameterDocs = {
  id: {
    type: 'string',
    description:
      'Id of a pyramid; behind it, between semicolons, how it looks, as in `ID;channel=0,1;min=100`: the query of a picture in the path, where viewers leave it. Up to 100 characters.',
  },
}

/**
 * The IIIF Image API 3.0, level 2.
 *
 * The address in `info.json` is absolute, as in TileJSON.
 *
 * @param basePath with a slash at both ends.
 */
export function registerIiifRoutes(
  app: FastifyInstance,
  registry: PyramidRegistry,
  tools: ImageTools,
  basePath = '/',
): void {
  app.get<PyramidRoute>(
    '/iiif/3/:id',
    documented({
      group: 'Other viewers',
      summary: 'Leads to info.json',
      path: IDENTIFIER_DOC,
      answers: { 303: 'It does.' },
    }),
    async ({ params }, reply) => {
      const identifier = readIdentifier(params.id)
      await registry.use(identifier.id, async () => undefined)
      const location = `./${writeIdentifier(identifier)}/info.json`
      reply
        .code(303)
        .headers({ ...NOT_KEPT, location })
        .send()
    },
  )

  app.get<PyramidRoute>(
    '/iiif/3/:id/info.json',
    documented({
      group: 'Other viewers',
      summary: 'IIIF image information',
      description: 'Size, tiles and limits, as the IIIF Image API 3.0 has it.',
      path: IDENTIFIER_DOC,
      answers: { 200: { description: 'The information.', types: ['application/ld+json', 'application/json'] } },
    }),
    (request, reply) => {
      const identifier = readIdentifier(request.params.id)
      return registry.use(identifier.id, async served => {
        const { layers } = await readPictureStyle(identifier.look, served, clientSignal(reply))
        const id = `${request.protocol}://${request.host}${basePath}iiif/3/${writeIdentifier(identifier)}`
        reply.headers({ ...NOT_KEPT, vary: 'Origin, Accept', 'content-type': infoType(request.headers.accept) })
        const info = describeImage(id, served.pyramid.geometry, sizeLimits(layers.length))
        // As bytes: of a text fastify would add the charset to the type, which the standard does not have.
        return Buffer.from(JSON.stringify(info))
      })
    },
  )

  app.get<ImageRoute>(
    '/iiif/3/:id/:region/:size/:rotation/:file',
    {
      exposeHeadRoute: false,
      ...documented({
        group: 'Other viewers',
        summary: 'IIIF image',
        description:
          'Any region at any size, made as crops are. The tiles that `info.json` names are made and kept as other tiles.',
        path: {
          ...IDENTIFIER_DOC,
          region: { type: 'string', description: '`full`, `square`, `x,y,w,h` or `pct:x,y,w,h`.', example: 'full' },
          size: {
            type: 'string',
            description: '`max`, `w,`, `,h`, `pct:n`, `w,h` or `!w,h`; with `^` in front it may enlarge.',
            example: '!200,200',
          },
          rotation: { type: 'string', description: '0, 90, 180 or 270; `!` in front mirrors first.', example: '0' },
          file: {
            type: 'string',
            description: '`default`, `color`, `gray` or `bitonal`, and `.jpg`, `.png` or `.webp`.',
            example: 'default.jpg',
          },
        },
        query: { ...PICTURE_PARAMETERS, ...VERSION_DOC },
        answers: {
          200: { description: 'The image.', types: PICTURE_FORMATS.map(format => TILE_TYPES[format]) },
          304: 'The one that `If-None-Match` names.',
          410: 'The version was overwritten.',
          413: 'Too much would have to be read for it.',
        },
      }),
    },
    async (request, reply) => {
      const identifier = readIdentifier(request.params.id)
      const signal = clientSignal(reply)
      const answer = await registry.use(identifier.id, served =>
        answerImage(tools, served, identifier, request, signal),
      )
      sendTile(reply, answer)
    },
  )
}

/** Who opens the address in a browser wants to see the text; the standard wants JSON-LD for all who do not say. */
function infoType(accept = '*/*'): string {
  const isPlain = /\b(application\/json|text\/html)\b/.test(accept) && !accept.includes('application/ld+json')
  return isPlain ? 'application/json' : `application/ld+json;profile="${INFO_CONTEXT}"`
}

async function answerImage(
  { drawing, crops }: ImageTools,
  served: ServedPyramid,
  { look }: Identifier,
  request: FastifyRequest<ImageRoute>,
  signal: AbortSignal,
): Promise<TileAnswer> {
  const { pyramid } = served
  const query = { ...request.query, ...look }
  const asked = { query, headers: request.headers }
  const chosen = await readPictureStyle(query, served, signal)
  const wanted = readImage(request.params, pyramid.geometry.size, sizeLimits(chosen.layers.length))
  const style = styleOfQuality(chosen, wanted.quality)
  const { format } = wanted
  const tile = isDrawnDirectly(wanted) ? tileOfRegion(pyramid.geometry, wanted.rect, wanted.size) : undefined
  if (tile) {
    const selections = style.layers.map(({ selection }) => selection)
    return answerTile(drawing, served, { pyramid, ...tile, format, selections, style }, asked, signal)
  }
  const plan = planImage(pyramid, wanted, style.layers.length)
  const freshness = freshnessOf(served, readText(query, 'v'), pyramid.growth ? undefined : pyramid.version)
  // What there is of a growing pyramid has no version.
  const headers = pyramid.growth ? NOT_KEPT : cachingOf(freshness, etagOf(served, wanted, style))
  if (isKnown(request.headers, headers)) return { status: 304, headers }
  const pixels = plan.size.width * plan.size.height * style.layers.length
  const bytes = await crops.budget.run(pixels, signal, () =>
    drawImage(crops.crew, pyramid, plan, style, wanted, signal),
  )
  return { status: 200, headers: { ...headers, 'content-type': TILE_TYPES[format] }, bytes }
}

function etagOf({ pyramid }: ServedPyramid, wanted: WantedImage, style: PictureStyle): string {
  const { rect, size, turn, quality, format } = wanted
  const place = [rect.x0, rect.y0, rect.x1, rect.y1, size.width, size.height].join('.')
  const shown = [turn.isMirrored ? '!' : '', turn.degrees, '.', quality, '.', format].join('')
  return `"${ENCODING_VERSION}.iiif/${pyramid.id}.${pyramid.version}/${place}/${shown}/${style.key}"`
}
