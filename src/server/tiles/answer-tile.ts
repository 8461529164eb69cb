import type { FastifyReply, FastifyRequest } from 'fastify'
import { tileVersionOf } from '../../pyramid/read-covered-tile.js'
import { MEDIA_TYPES } from '../../render/picture.js'
import { cachingOf, freshnessOf, isKnown, NOT_KEPT } from '../http/caching.js'
import { type Parameters, readText } from '../http/parameters.js'
import type { ServedPyramid } from '../pyramids/served-pyramid.js'
import type { Drawing } from './drawing.js'
import { drawEmptyTile, emptyKey, makeTile, NOT_BUILT } from './make-tile.js'
import { keyOf, versionOf, type WantedTile } from './wanted-tile.js'

/** Part of every ETag; to be raised when the same samples give other bytes. */
const ENCODING_VERSION = 2

export const TILE_TYPES = {
  ...MEDIA_TYPES,
  bin: 'application/octet-stream',
  blosc: 'application/octet-stream',
} as const

/** What a request is answered with. */
export interface TileAnswer {
  readonly status: 200 | 204 | 304
  readonly headers: Readonly<Record<string, string>>
  readonly bytes?: Buffer
  /** Names the bytes of a picture. */
  readonly key?: string
}

/** What decides about an answer besides the tile: the `v` of the query, and what the client has. */
interface AskedTile {
  readonly query: Parameters
  readonly headers: FastifyRequest['headers']
}

export function sendTile(reply: FastifyReply, { status, headers, bytes }: TileAnswer): void {
  reply.code(status).headers(headers).send(bytes)
}

/**
 * Find out what a tile is answered with: its picture or samples, that there are none, or that the client has them.
 *
 * @throws {RequestRefusal} the `v` of the query was overwritten. @throws as `makeTile`.
 */
export async function answerTile(
  drawing: Drawing,
  served: ServedPyramid,
  wanted: WantedTile,
  { query, headers: asked }: AskedTile,
  signal: AbortSignal,
): Promise<TileAnswer> {
  const { pyramid, address, format, selections, style } = wanted
  const version = versionOf(wanted)
  const key = keyOf(wanted, version)
  const planned = selections.filter(selection => pyramid.coverage(selection).hasTile(address))
  const freshness = freshnessOf(served, readText(query, 'v'), version)
  // What the automatic contrast of a growing pyramid gives is not named by a version.
  const isNamed = !pyramid.growth || (planned.length > 0 && style?.isAutomatic !== true)
  const headers = isNamed ? cachingOf(freshness, `"${ENCODING_VERSION}.${key}"`) : NOT_KEPT
  if (isKnown(asked, headers)) return { status: 304, headers }
  if (planned.length === 0) return answerEmpty(drawing, wanted, headers, signal)
  const missing = planned.filter(selection => tileVersionOf(pyramid, selection, address) === undefined)
  for (const selection of missing) pyramid.growth?.onWanted(selection, address)
  const bytes = missing.length < planned.length ? await makeTile(drawing, wanted, key, signal) : NOT_BUILT
  if (bytes === NOT_BUILT) return answerEmpty(drawing, wanted, NOT_KEPT, signal)
  const type = { 'content-type': TILE_TYPES[format] }
  if (versionOf(wanted) === version)
    return { status: 200, headers: { ...type, ...headers }, bytes, ...(style && { key }) }
  // More was built while it was read: the key does not name these bytes, and nobody shall keep them.
  drawing.cache.delete(key)
  return { status: 200, headers: { ...type, ...NOT_KEPT }, bytes }
}

async function answerEmpty(
  drawing: Drawing,
  wanted: WantedTile,
  caching: TileAnswer['headers'],
  signal: AbortSignal,
): Promise<TileAnswer> {
  if (!wanted.style) {
    const { etag, ...headers } = caching
    return { status: 204, headers }
  }
  const bytes = await drawEmptyTile(drawing, wanted, signal)
  const key = emptyKey(wanted)
  return { status: 200, headers: { 'content-type': TILE_TYPES[wanted.format], ...caching }, bytes, key }
}
