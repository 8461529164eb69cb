import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { MosaicGeometry } from '../../pyramid/mosaic-geometry.js'
import type { MosaicSelection, Pyramid } from '../../pyramid/pyramid.js'
import { readScaled, sourcePixels } from '../../pyramid/read-scaled.js'
import type { PictureRows } from '../../pyramid/resample.js'
import { writeNpy } from '../../render/npy-file.js'
import { writeOmeTiff } from '../../render/ome-tiff.js'
import { MEDIA_TYPES, type PictureFormat, type PictureLayer } from '../../render/picture.js'
import type { RenderCrew } from '../../render/render-crew.js'
import { sideBySideSize } from '../../render/side-by-side.js'
import { planLayers, readLayerNames, useAll } from '../crops/crop-layers.js'
import {
  type CropFormat,
  type CropPlan,
  checkCropSize,
  checkSourcePixels,
  describePadding,
  planCrop,
} from '../crops/crop-plan.js'
import { readLayers, readPicture } from '../crops/read-picture.js'
import { cachingOf, freshnessOf, isKnown, NOT_KEPT } from '../http/caching.js'
import { clientSignal } from '../http/client-signal.js'
import {
  type Parameters,
  type PyramidRoute,
  readFlag,
  readIndexes,
  readInteger,
  readSelection,
  readText,
} from '../http/parameters.js'
import { RECTANGLE_DOCS } from '../http/rectangle.js'
import { PICTURE_PARAMETERS } from '../openapi/picture-doc.js'
import { documented, type ParameterDocs } from '../openapi/route-doc.js'
import type { PyramidRegistry } from '../pyramids/registry.js'
import type { ServedPyramid } from '../pyramids/served-pyramid.js'
import type { DecodedTiles } from '../tiles/decoded-tiles.js'
import type { Drawing } from '../tiles/drawing.js'
import { readPictureStyle } from '../tiles/picture-style.js'
import type { WorkBudget } from '../work-budget.js'

/** Part of every ETag; to be raised when the same samples give other bytes. */
const ENCODING_VERSION = 2

/**
 * A crop of so few pixels, with those that are read for it, is made as a tile is: at once with others, from tiles that are
 * kept, and kept itself. That is sixteen tiles.
 */
const MAX_SMALL_PIXELS = 2 ** 20

const DEFAULT_GAP = 10
const MAX_GAP = 1000

/** What crops are made with. */
export interface CropTools {
  /** What tiles are made with, and small crops. */
  readonly drawing: Drawing
  /** For larger ones, so that they keep neither tiles nor small crops waiting. */
  readonly crew: RenderCrew
  /** Their pixels that are worked on at once. */
  readonly budget: WorkBudget
  /** Name and version of the program, for files that tell what wrote them. */
  readonly software: string
}

const SIZE_DOCS: ParameterDocs = {
  ...RECTANGLE_DOCS,
  width: { type: 'integer', description: 'Of the picture, px; alone it keeps the aspect.', min: 1 },
  height: { type: 'integer', description: 'Likewise.', min: 1 },
  level: { type: 'integer', description: 'Instead: the pixels of this level as they are stored; 0 is the finest.' },
}

const CHANNELS_DOCS: ParameterDocs = {
  channel: { type: 'integer', list: true, description: 'In the order of the answer; all where it is not given.' },
  depth: PICTURE_PARAMETERS.depth,
  t: PICTURE_PARAMETERS.t,
}

const TIFF_DOCS: ParameterDocs = { ...SIZE_DOCS, ...CHANNELS_DOCS }

const NPY_DOCS: ParameterDocs = {
  ...RECTANGLE_DOCS,
  level: { type: 'integer', description: 'Whose pixels to take; 0 is the finest.', fallback: 0 },
  ...CHANNELS_DOCS,
}

/** How a picture looks, and how large it is. */
export const LOOK_DOCS: ParameterDocs = {
  width: SIZE_DOCS.width,
  height: SIZE_DOCS.height,
  ...PICTURE_PARAMETERS,
  layers: {
    type: 'string',
    list: true,
    description:
      'Instead of channel: layers side by side, each the number of a channel, the id of another open pyramid, or id:channel. Lists of a style then have a value for each.',
  },
  gap: { type: 'integer', description: 'Between layers, px.', min: 0, max: MAX_GAP, fallback: DEFAULT_GAP },
  labels: { type: 'boolean', description: '1 writes its name into each layer.', fallback: '0' },
}

const PICTURE_DOCS: ParameterDocs = { ...SIZE_DOCS, ...LOOK_DOCS }

/** Any rectangle at any size: as a picture, or as a TIFF or an array that keeps the samples. */
export function registerCropRoutes(app: FastifyInstance, registry: PyramidRegistry, tools: CropTools): void {
  for (const [format, type] of Object.entries(MEDIA_TYPES)) {
    app.get<PyramidRoute>(
      `/pyramids/:id/crop.${format}`,
      {
        exposeHeadRoute: false,
        ...documented({
          group: 'Regions',
          summary: `A rectangle as ${format}`,
          description:
            'Made from the coarsest level that has as many pixels. Shrunk, a pixel is the mean of the covered area; enlarged, the nearest pixel. What was not imaged is not drawn. Without a size it is that of level 0, at most 2,048 px.',
          query: PICTURE_DOCS,
          answers: {
            200: { description: 'The picture.', types: [type] },
            404: 'The rectangle lies outside the mosaic, or there is no such plane.',
            413: 'It would be too large.',
          },
          cost: 'work',
        }),
      },
      (request, reply) => answerPicture(registry, tools, format as PictureFormat, request, reply),
    )
  }
  app.get<PyramidRoute>(
    '/pyramids/:id/crop.tif',
    {
      exposeHeadRoute: false,
      ...documented({
        group: 'Regions',
        summary: 'A rectangle with its samples as they are stored',
        description:
          'An OME-TIFF, not compressed, with a page for each channel, its pixel size and the stage position of its first pixel. Without a size it has the pixels of level 0. What was not imaged is 0, or NaN in floats; the metadata count it.',
        query: TIFF_DOCS,
        answers: {
          200: { description: 'The file.', types: ['image/tiff'] },
          404: 'The rectangle lies outside the mosaic, or there is no such plane.',
          413: 'It would be too large.',
        },
        cost: 'work',
      }),
    },
    (request, reply) => answerSamples(registry, tools, TIFF, request, reply),
  )
  app.get<PyramidRoute>(
    '/pyramids/:id/crop.npy',
    {
      exposeHeadRoute: false,
      ...documented({
        group: 'Regions',
        summary: 'A rectangle as an array for numpy',
        description:
          'The stored samples of one level, of shape (channels, height, width) and in C order. What was not imaged is 0, or NaN in floats.',
        query: NPY_DOCS,
        answers: {
          200: { description: 'The file.', types: ['application/octet-stream'] },
          404: 'The rectangle lies outside the mosaic, or there is no such plane.',
          413: 'It would be too large.',
        },
        cost: 'work',
      }),
    },
    (request, reply) => answerSamples(registry, tools, NPY, request, reply),
  )
}

/**
 * Draw a rectangle of a pyramid, with the headers that say how long it may be kept.
 *
 * @param parametersOf what else is asked for, beside the query: where the rectangle is not named by its place.
 * @returns null where the client has it already; the reply is a 304 then.
 */
export async function answerPicture(
  registry: PyramidRegistry,
  tools: CropTools,
  format: PictureFormat,
  request: FastifyRequest<PyramidRoute>,
  reply: FastifyReply,
  parametersOf: (served: ServedPyramid) => Parameters = () => ({}),
): Promise<Buffer | null> {
  const names = readLayerNames(request.query)
  const ids = new Set(names?.flatMap(({ id }) => id ?? []))
  return registry.use(request.params.id, served =>
    useAll(registry, [...ids], async others => {
      const query = { ...request.query, ...parametersOf(served) }
      const plan = planCrop(query, served.pyramid.geometry, format)
      declarePadding(reply, plan, served.pyramid)
      const signal = clientSignal(reply)
      const drawing = names
        ? await planPanels(names, query, served, others, plan, format, signal)
        : await planPicture(query, served, plan, format, signal)
      const all = [served, ...others.values()]
      const name = nameOf(`${drawing.key}/${format}`)
      if (isKeptByClient(name, all, request, reply)) return null
      const isGrowing = all.some(({ pyramid }) => pyramid.growth)
      const bytes = await drawWith(tools, drawing, isGrowing ? undefined : name, signal)
      reply.type(MEDIA_TYPES[format])
      reply.header('content-disposition', dispositionOf('inline', served.pyramid, plan, format))
      return bytes
    }),
  )
}

/** A picture that can be made. */
interface PlannedDrawing {
  /** The same for the same bytes. */
  readonly key: string
  /** Of all that is held in memory. */
  readonly pixels: number
  /** Of all that is read. */
  readonly sourcePixels: number
  /** @param tiles that are kept, where it is to be made from them. */
  draw(crew: RenderCrew, signal: AbortSignal, tiles?: DecodedTiles): Promise<Buffer>
}

/** @param name of its bytes; undefined where there will be others soon. */
function drawWith(
  { drawing: { cache, tiles, crew: tileCrew }, crew, budget }: CropTools,
  { pixels, sourcePixels, draw }: PlannedDrawing,
  name: string | undefined,
  signal: AbortSignal,
): Promise<Buffer> {
  if (name !== undefined && pixels + sourcePixels <= MAX_SMALL_PIXELS)
    return cache.getOrCompute(`crop/${name}`, unwanted => draw(tileCrew, unwanted, tiles), signal)
  return budget.run(pixels, signal, () => draw(crew, signal))
}

/** One picture of one or several channels. */
async function planPicture(
  query: Parameters,
  served: ServedPyramid,
  plan: CropPlan,
  format: PictureFormat,
  signal: AbortSignal,
): Promise<PlannedDrawing> {
  const { pyramid } = served
  const { layers, key, background, quality } = await readPictureStyle(query, served, signal)
  const pixels = plan.size.width * plan.size.height * layers.length
  checkCropSize(plan.size, pixels, format)
  const read = layers.length * sourcePixels(pyramid.geometry, plan.level, plan.rect)
  checkSourcePixels(read)
  return {
    key: `${pyramid.id}.${pyramid.version}/${keyOfPlan(plan)}/${key}`,
    pixels,
    sourcePixels: read,
    async draw(crew, signal, tiles) {
      const drawn = await readLayers(pyramid, layers, plan, signal, tiles)
      return crew.render({ ...plan.size, layers: drawn, isGivenAway: true, format, quality, background }, signal)
    },
  }
}

/** Several layers side by side. */
async function planPanels(
  names: NonNullable<ReturnType<typeof readLayerNames>>,
  query: Parameters,
  served: ServedPyramid,
  others: ReadonlyMap<string, ServedPyramid>,
  plan: CropPlan,
  format: PictureFormat,
  signal: AbortSignal,
): Promise<PlannedDrawing> {
  const gap = readInteger(query, 'gap', { min: 0, max: MAX_GAP }) ?? DEFAULT_GAP
  const labels = readFlag(query, 'labels') ?? false
  const { background, quality } = await readPictureStyle(
    { background: query.background, quality: query.quality },
    served,
  )
  const layers = await planLayers(names, query, served, others, plan, signal)
  const whole = sideBySideSize(plan.size, layers.length, gap)
  const pixels = whole.width * whole.height
  checkCropSize(whole, pixels, format)
  let read = 0
  for (const { served, plan } of layers) read += sourcePixels(served.pyramid.geometry, plan.level, plan.rect)
  checkSourcePixels(read)
  const shown = layers.map(({ key, name }) => (labels ? [key, name] : [key]))
  return {
    key: JSON.stringify([keyOfPlan(plan), shown, gap, background, quality]),
    pixels,
    sourcePixels: read,
    async draw(crew, signal, tiles) {
      const drawn: PictureLayer[] = []
      for (const { served, selection, style, plan: there } of layers)
        drawn.push({ ...(await readPicture(served.pyramid, selection, there, signal, tiles)), style })
      const sideBySide = { gap, names: labels ? layers.map(({ name }) => name) : undefined }
      const picture = { ...plan.size, layers: drawn, sideBySide, isGivenAway: true, format, quality, background }
      return crew.render(picture, signal)
    },
  }
}

/** A crop that keeps the samples. */
interface SampleCrop {
  readonly pyramid: Pyramid
  readonly plan: CropPlan
  readonly selection: Omit<MosaicSelection, 'channel'>
  readonly channels: readonly number[]
  /** All rows of a channel, from the top. */
  rowsOf(channel: number): AsyncIterable<PictureRows>
}

/** A file that keeps the samples. */
interface SampleFile {
  readonly format: 'tif' | 'npy'
  readonly type: string
  plan(query: Parameters, geometry: MosaicGeometry): CropPlan
  write(crop: SampleCrop, software: string): AsyncGenerator<Buffer, void, undefined>
}

const TIFF: SampleFile = {
  format: 'tif',
  type: 'image/tiff',
  plan: (query, geometry) => planCrop(query, geometry, 'tif'),
  write: ({ pyramid, plan, selection, channels, rowsOf }, software) =>
    writeOmeTiff({
      ...plan.size,
      name: pyramid.name,
      sampleType: pyramid.sampleType,
      channels: channels.map(channel => ({ name: pyramid.channels[channel].name, rows: rowsOf(channel) })),
      pixelSizeUm: pixelSizeOf(pyramid, plan),
      positionUm: firstCentreUm(pyramid, plan),
      facts: {
        pyramid: pyramid.id,
        version: pyramid.version,
        level: String(plan.level),
        rectangle: [plan.rect.x0, plan.rect.y0, plan.rect.x1, plan.rect.y1].join(),
        darkLevel: String(pyramid.pedestal),
        depth: String(selection.zPlane),
        t: String(selection.timePoint),
      },
      software,
    }),
}

const NPY: SampleFile = {
  format: 'npy',
  type: 'application/octet-stream',
  plan: (query, geometry) => planCrop({ ...query, level: query.level ?? '0' }, geometry, 'npy'),
  write: ({ pyramid, plan, channels, rowsOf }) =>
    writeNpy({ ...plan.size, sampleType: pyramid.sampleType, channels: channels.map(rowsOf) }),
}

async function answerSamples(
  registry: PyramidRegistry,
  { budget, software }: CropTools,
  file: SampleFile,
  request: FastifyRequest<PyramidRoute>,
  reply: FastifyReply,
): Promise<FastifyReply | null> {
  const { query, params } = request
  return registry.use(params.id, async served => {
    const { pyramid } = served
    const plan = file.plan(query, pyramid.geometry)
    declarePadding(reply, plan, pyramid)
    const { level, rect, size } = plan
    const selection = readSelection({ ...query, channel: undefined }, pyramid)
    const channels = readIndexes(query, 'channel', pyramid.channels.length) ?? [...pyramid.channels.keys()]
    const pixels = size.width * size.height * channels.length
    checkCropSize(size, pixels, file.format)
    checkSourcePixels(channels.length * sourcePixels(pyramid.geometry, level, rect))
    const { zPlane, timePoint } = selection
    const key = [pyramid.id, pyramid.version, keyOfPlan(plan), channels, zPlane, timePoint, file.format].join('/')
    if (isKeptByClient(nameOf(key), [served], request, reply)) return null
    const signal = clientSignal(reply)
    const rowsOf = (channel: number): AsyncIterable<PictureRows> =>
      readScaled(pyramid, { ...selection, channel }, level, rect, size, { signal })
    const pieces = file.write({ pyramid, plan, selection, channels, rowsOf }, software)
    // What fails before the first piece is there is answered as an error.
    const next = () => budget.run(0, signal, () => pieces.next())
    const first = await next()
    const stream = Readable.from(allPieces(first, next), { objectMode: false })
    reply.header('content-disposition', dispositionOf('attachment', pyramid, plan, file.format))
    reply.type(file.type).send(stream)
    // The pyramid stays open until all is sent. A failure now cuts the answer off, which the client notices.
    await finished(stream).catch(() => pieces.return())
    return reply
  })
}

async function* allPieces<T>(
  first: IteratorResult<T, void>,
  next: () => Promise<IteratorResult<T, void>>,
): AsyncGenerator<T, void, undefined> {
  for (let piece = first; !piece.done; piece = await next()) yield piece.value
}

/** Tell a client how much of what it gets lies beyond the mosaic. */
function declarePadding(reply: FastifyReply, plan: CropPlan, { geometry }: Pyramid): void {
  const padding = describePadding(plan, geometry)
  if (padding === undefined) reply.removeHeader('x-tilestage-padding')
  else reply.header('x-tilestage-padding', padding)
}

/**
 * Set the headers that say how long an answer may be kept.
 *
 * @param name of the bytes. @param all pyramids that show in it, the one in the path first.
 * @returns whether the client has these bytes already; the reply is a 304 then.
 */
function isKeptByClient(
  name: string,
  all: readonly ServedPyramid[],
  request: FastifyRequest<PyramidRoute>,
  reply: FastifyReply,
): boolean {
  const [served, ...others] = all
  const { version, growth } = served.pyramid
  const freshness = freshnessOf(served, readText(request.query, 'v'), growth ? undefined : version)
  const etag = `"${name}"`
  // What there is of a growing pyramid has no version, and that in the URL says nothing of other pyramids.
  const isGrowing = all.some(({ pyramid }) => pyramid.growth)
  const isOwn = others.length === 0
  const caching = isGrowing ? NOT_KEPT : cachingOf(isOwn || freshness === 'other' ? freshness : 'unversioned', etag)
  // Of a first try, whose pyramid was overwritten.
  reply.removeHeader('etag').headers(caching)
  if (!isKnown(request.headers, caching)) return false
  reply.code(304)
  return true
}

/** A short name of bytes. @param key the same for the same ones. */
function nameOf(key: string): string {
  return createHash('sha256').update(`${ENCODING_VERSION} ${key}`).digest('base64url').slice(0, 22)
}

function keyOfPlan({ rect, size, level }: CropPlan): string {
  return `${rect.x0}.${rect.y0}.${rect.x1}.${rect.y1}/${size.width}x${size.height}/${level}`
}

/** Of a pixel of the crop, µm. */
function pixelSizeOf({ geometry: { pixelSizeUm } }: Pyramid, { rect, size }: CropPlan): { x: number; y: number } {
  return {
    x: ((rect.x1 - rect.x0) / size.width) * pixelSizeUm.x,
    y: ((rect.y1 - rect.y0) / size.height) * pixelSizeUm.y,
  }
}

/** Stage position of the centre of the crop's first pixel, µm. */
function firstCentreUm({ geometry: { originUm, pixelSizeUm } }: Pyramid, plan: CropPlan): { x: number; y: number } {
  const { rect, size } = plan
  const along = (edge: number, end: number, count: number): number => edge - 0.5 + (end - edge) / count / 2
  return {
    x: originUm.x + along(rect.x0, rect.x1, size.width) * pixelSizeUm.x,
    y: originUm.y + along(rect.y0, rect.y1, size.height) * pixelSizeUm.y,
  }
}

/** A name for a file that says where it is from, such as `plate_07_x1234.5_y678.9_um.tif`. */
function dispositionOf(kind: 'inline' | 'attachment', pyramid: Pyramid, plan: CropPlan, format: CropFormat): string {
  const { x, y } = firstCentreUm(pyramid, plan)
  const name = `${pyramid.name}_x${+x.toFixed(3)}_y${+y.toFixed(3)}_um.${format}`
  const plain = name.replace(/[^\w.+-]/g, '_')
  const full = plain === name ? '' : `; filename*=UTF-8''${percentEncode(name)}`
  return `${kind}; filename="${plain}"${full}`
}

/** RFC 8187: fewer characters may stand for themselves than in a URL. */
function percentEncode(text: string): string {
  const byNumber = (character: string): string => `%${character.charCodeAt(0).toString(16).toUpperCase()}`
  return encodeURIComponent(text).replace(/['()*!]/g, byNumber)
}
