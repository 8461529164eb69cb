import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { NotFoundError, UsageError } from '../../errors.js'
import type { ItemTable, PyramidItems } from '../../pyramid/items.js'
import type { Pyramid } from '../../pyramid/pyramid.js'
import { isPlainRgb } from '../../render/channel-colours.js'
import type { PictureFormat } from '../../render/picture.js'
import { type Parameters, type PyramidRoute, quote, readFlag, readInteger, readText } from '../http/parameters.js'
import { readPixel, UNITS_DOC } from '../http/rectangle.js'
import { VERSION_DOC } from '../openapi/picture-doc.js'
import { documented } from '../openapi/route-doc.js'
import type { PyramidRegistry } from '../pyramids/registry.js'
import { answerPicture, type CropTools, LOOK_DOCS } from './crop.js'
import { boxUm } from './wells.js'

const DEFAULT_LIMIT = 100
const MAX_LIMIT = 10_000

/** Every other parameter of a list names a field. */
const LIST_PARAMETERS = ['offset', 'limit', 'numbers', 'v', 'token', 'expires', 'signature']

const NO_ITEMS = 'The pyramid is no stack of images'

interface ItemRoute extends PyramidRoute {
  readonly Params: { readonly id: string; readonly item: string }
}

/** The images of a stack that lie side by side: each by its number, and what a table tells of them. */
export function registerItemRoutes(app: FastifyInstance, registry: PyramidRegistry, tools: CropTools): void {
  app.get<PyramidRoute>(
    '/pyramids/:id/items',
    {
      ...documented({
        group: 'Regions',
        summary: 'The images of a stack, and what is known of them',
        description:
          'Any field of its table may be given as a parameter: only images with that value are listed. `total` counts them, `count` counts all. `fields` tells what each field holds and, where it has up to 1,000 different values, how often each occurs among all images.',
        query: {
          offset: { type: 'integer', description: 'How many to pass over.', min: 0, fallback: 0 },
          limit: { type: 'integer', description: 'How many to list.', min: 1, max: MAX_LIMIT, fallback: DEFAULT_LIMIT },
          numbers: {
            type: 'boolean',
            description: '1 lists the numbers of all of them instead, and no rows.',
            fallback: '0',
          },
        },
        answers: { 200: 'A page of images: number and row of each.', 404: `${NO_ITEMS}.` },
        cost: 'work',
      }),
    },
    (request, reply) =>
      registry.use(request.params.id, async ({ pyramid }) => {
        const items = itemsOf(pyramid)
        const { query } = request
        const table = await items.table()
        const matching = match(items, table, query)
        const { count } = items.record
        const facts = { version: pyramid.version, count, total: matching.length, fields: table?.summaries ?? [] }
        reply.header('cache-control', 'no-store')
        if (readFlag(query, 'numbers')) return { ...facts, numbers: matching }
        const offset = readInteger(query, 'offset', { min: 0 }) ?? 0
        const limit = readInteger(query, 'limit', { min: 1, max: MAX_LIMIT }) ?? DEFAULT_LIMIT
        const page = matching.slice(offset, offset + limit)
        return { ...facts, offset, items: page.map(n => ({ n, row: table?.row(n) ?? null })) }
      }),
  )

  app.get<PyramidRoute>(
    '/pyramids/:id/item',
    {
      ...documented({
        group: 'Regions',
        summary: 'Which image of a stack is at a place',
        query: {
          x: { type: 'number', description: 'Position: µm, or level-0 px.', required: true },
          y: { type: 'number', description: 'The same along y.', required: true },
          ...UNITS_DOC,
        },
        answers: {
          200: 'Its number, its rectangle in level-0 px and in µm, and its row of the table.',
          404: `${NO_ITEMS}, or there is none at the place.`,
        },
      }),
    },
    (request, reply) =>
      registry.use(request.params.id, async ({ pyramid }) => {
        const items = itemsOf(pyramid)
        const pixel = readPixel(request.query, pyramid.geometry)
        const n = items.at(pixel)
        if (n === undefined)
          throw new NotFoundError(`There is no image at the pixel ${pixel.x}, ${pixel.y}; it lies behind the last one.`)
        reply.header('cache-control', 'no-store')
        return describeItem(pyramid, items, n)
      }),
  )

  app.get<ItemRoute>(
    '/pyramids/:id/items/:item',
    {
      exposeHeadRoute: false,
      ...documented({
        group: 'Regions',
        summary: 'One image of a stack, or what is known of it',
        description:
          'By its number: its rectangle in level-0 px and in µm, and its row of the table. With `.png`, `.jpg` or `.webp`: the picture, made as a crop is; enlarged, a pixel becomes a square. With `v` the picture may be kept for ever.',
        path: {
          item: {
            type: 'string',
            description: 'Its number, from 0, alone or with `.png`, `.jpg` or `.webp`.',
            example: '0.png',
          },
        },
        query: { ...LOOK_DOCS, ...VERSION_DOC },
        answers: {
          200: { description: 'The picture, or the row as JSON.', types: ['image/png', 'image/jpeg', 'image/webp'] },
          404: `${NO_ITEMS}, or it has fewer.`,
          413: 'The picture would be too large.',
        },
        cost: 'work',
      }),
    },
    (request, reply) => {
      const [, digits, format] = /^(\d{1,15})(?:\.(png|jpg|webp))?$/.exec(request.params.item) ?? []
      if (digits === undefined)
        throw new NotFoundError(`There is no image ${quote(request.params.item)}; they are numbered from 0.`)
      if (format) return answerItem(registry, tools, Number(digits), format as PictureFormat, request, reply)
      return registry.use(request.params.id, ({ pyramid }) => {
        const items = itemsOf(pyramid)
        reply.header('cache-control', 'no-store')
        return describeItem(pyramid, items, expectItem(items, Number(digits)))
      })
    },
  )
}

function answerItem(
  registry: PyramidRegistry,
  tools: CropTools,
  n: number,
  format: PictureFormat,
  request: FastifyRequest<PyramidRoute>,
  reply: FastifyReply,
): Promise<Buffer | null> {
  return answerPicture(registry, tools, format, request, reply, ({ pyramid }) => {
    const items = itemsOf(pyramid)
    const { x0, y0, x1, y1 } = items.rect(expectItem(items, n))
    const { query } = request
    const isColour = isPlainRgb(pyramid.channels, pyramid.sampleType)
    return {
      ...{ x: `${x0}`, y: `${y0}`, w: `${x1 - x0}`, h: `${y1 - y0}`, units: 'px', level: undefined },
      ...(isColour && query.channel === undefined && query.layers === undefined && { channel: '0,1,2' }),
    }
  })
}

/** @throws {NotFoundError} it is no stack of images. */
function itemsOf({ items, name }: Pyramid): PyramidItems {
  if (items) return items
  throw new NotFoundError(`${name} is no stack of images that are numbered; crops show any rectangle of it.`)
}

function expectItem({ record: { count } }: PyramidItems, n: number): number {
  if (n < count) return n
  throw new NotFoundError(`There is no image ${n}; 0 to ${count - 1} exist.`)
}

async function describeItem({ geometry }: Pyramid, items: PyramidItems, n: number): Promise<unknown> {
  const rect = items.rect(n)
  return { n, rect, boxUm: boxUm(geometry, rect), row: (await items.table())?.row(n) ?? null }
}

/**
 * Numbers of the images that have the values that are asked for.
 *
 * @throws {UsageError} there is no such field.
 */
function match({ record: { count } }: PyramidItems, table: ItemTable | undefined, query: Parameters): number[] {
  const wanted = Object.keys(query)
    .filter(name => !LIST_PARAMETERS.includes(name))
    .map(name => {
      const values = table?.column(name)
      if (!values) throw noField(name, table)
      return { values, text: readText(query, name) }
    })
  const numbers: number[] = []
  for (let n = 0; n < count; n++) if (wanted.every(({ values, text }) => String(values[n]) === text)) numbers.push(n)
  return numbers
}

function noField(name: string, table: ItemTable | undefined): UsageError {
  const possible = table ? `the fields are ${table.names.join(', ')}` : 'there is no table of its images'
  return new UsageError(`There is no field ${quote(name)}; ${possible}.`)
}
