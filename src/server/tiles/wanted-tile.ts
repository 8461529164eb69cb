import { NotFoundError, UsageError } from '../../errors.js'
import { isInGrid, type TileAddress } from '../../pyramid/mosaic-geometry.js'
import type { MosaicSelection, Pyramid } from '../../pyramid/pyramid.js'
import { tileVersionOf } from '../../pyramid/read-covered-tile.js'
import type { PictureFormat } from '../../render/picture.js'
import { type Parameters, quote, readSelection, readText } from '../http/parameters.js'
import type { ServedPyramid } from '../pyramids/served-pyramid.js'
import { type PictureStyle, readPictureStyle } from './picture-style.js'
import type { TileCut } from './tile-cut.js'

export const PICTURE_FORMATS: readonly PictureFormat[] = ['png', 'jpg', 'webp']

/** The samples themselves, and the chunk that they are stored in. */
export const SAMPLE_FORMATS = ['bin', 'blosc'] as const

/** Parts of a tile's URL; without an id it is of the current pyramid. */
export interface TilePath {
  readonly id?: string
  readonly z: string
  readonly x: string
  /** `y` and the format. */
  readonly file: string
}

interface TilePlace {
  readonly pyramid: Pyramid
  readonly address: TileAddress
  /** The planes that it shows, or the one whose samples it is. */
  readonly selections: readonly MosaicSelection[]
}

export interface WantedPicture extends TilePlace {
  readonly format: PictureFormat
  readonly style: PictureStyle
  /** What is shown of the tile, where that is not all of it. */
  readonly cut?: TileCut
}

export interface WantedSamples extends TilePlace {
  readonly format: (typeof SAMPLE_FORMATS)[number]
  readonly style?: undefined
  readonly cut?: undefined
}

/** What a request asks for. */
export type WantedTile = WantedPicture | WantedSamples

/**
 * Find out what a URL means.
 *
 * @throws {NotFoundError} no such format, or a tile outside the grid. @throws {UsageError} a parameter makes no sense.
 */
export async function readWantedTile(
  path: TilePath,
  query: Parameters,
  served: ServedPyramid,
  signal: AbortSignal,
): Promise<WantedTile> {
  const { pyramid } = served
  const [y, extension] = splitOnce(path.file)
  const format = PICTURE_FORMATS.find(known => known === extension)
  // The current pyramid's samples could be of any type from one request to the next.
  const sampleFormat = path.id === undefined ? undefined : SAMPLE_FORMATS.find(known => known === extension)
  if (format !== undefined) {
    const address = readAddress(pyramid, path.z, path.x, y)
    const style = await readPictureStyle(query, served, signal)
    return { pyramid, address, format, selections: style.layers.map(({ selection }) => selection), style }
  }
  if (sampleFormat !== undefined) {
    const address = readAddress(pyramid, path.z, path.x, y)
    return { pyramid, address, format: sampleFormat, selections: [readSelection(query, pyramid)] }
  }
  const possible = path.id === undefined ? PICTURE_FORMATS : [...PICTURE_FORMATS, ...SAMPLE_FORMATS]
  throw new NotFoundError(`There is no tile file ${quote(path.file)}; tiles here end in .${possible.join(', .')}.`)
}

/** The `format` of tiles that a description names; png where it is not given. @throws {UsageError} there is no such. */
export function readPictureFormat(query: Parameters): PictureFormat {
  const text = readText(query, 'format') ?? 'png'
  const format = PICTURE_FORMATS.find(known => known === text)
  if (format !== undefined) return format
  throw new UsageError(`The parameter format is ${quote(text)}; it is one of ${PICTURE_FORMATS.join(', ')}.`)
}

/** z counts from the coarse end, and is turned into a level here. What is no number, or outside the grid, is a 404. */
function readAddress({ geometry }: Pyramid, z: string, x: string, y: string): TileAddress {
  if (![z, x, y].every(part => /^\d{1,9}$/.test(part))) {
    throw new NotFoundError(`There is no tile ${quote(`${z}/${x}/${y}`)}; z, x and y are whole numbers.`)
  }
  const address = { level: geometry.levelCount - 1 - Number(z), column: Number(x), row: Number(y) }
  if (isInGrid(geometry, address)) return address
  throw new NotFoundError(`There is no tile ${z}/${x}/${y}; z goes from 0 to ${geometry.levelCount - 1}.`)
}

function splitOnce(file: string): [string, string] {
  const dot = file.indexOf('.')
  return dot < 0 ? [file, ''] : [file.slice(0, dot), file.slice(dot + 1)]
}

/**
 * The version of all that a tile shows: the pyramid's, or, while it grows, those of its shards, which differ from channel
 * to channel. Undefined while nothing is built.
 */
export function versionOf({ pyramid, selections, address }: WantedTile): string | undefined {
  const versions = new Set(selections.map(selection => tileVersionOf(pyramid, selection, address)))
  if (versions.size === 1) return [...versions][0]
  return selections.map(selection => tileVersionOf(pyramid, selection, address) ?? '').join('+')
}

/** Names the bytes of a tile exactly: what it is of, which version, where, and how it is shown. */
export function keyOf(
  { pyramid, address, selections, format, style, cut }: WantedTile,
  version: string | undefined,
): string {
  const { level, column, row } = address
  const [{ channel, zPlane, timePoint }] = selections
  const look = style ? style.key : `${channel}.${zPlane}.${timePoint}`
  const part = cut ? `${cut.width}x${cut.height}.${cut.shrink}/` : ''
  return `tile/${pyramid.id}.${version}/${level}.${column}.${row}/${part}${format}/${look}`
}
