import { createHash } from 'node:crypto'
import { CorruptDataError, UnsupportedDataError } from '../errors.js'
import { type Rect, SAMPLE_TYPES, type SampleType, type Size } from '../plane.js'
import { channelColours } from '../render/channel-colours.js'
import { TILE_SIZES } from './build-settings.js'
import type { ContrastWindow } from './histogram.js'
import type { ItemsRecord } from './items.js'
import {
  countLevels,
  countTiles,
  levelSize,
  MAX_GRID_TILES,
  MAX_MOSAIC_EDGE,
  type MosaicGeometry,
  SHARD_SIZE,
} from './mosaic-geometry.js'
import type { Channel, PlaneAxes } from './pyramid.js'

/** What we keep under `attributes.tilestage` of the root `zarr.json`; docs/pyramid-format.md describes every field. */
export interface PyramidRecord {
  readonly formatVersion: 1
  readonly software: string
  /** UUID of the pyramid; kept when it is built anew in its place. */
  readonly id: string
  /** 8 hex digits; new when it is built anew, kept when it is gone on with or added to. */
  readonly revision: string
  readonly complete: boolean
  /** ISO 8601. */
  readonly created: string
  /** Of the series and settings it is built from. */
  readonly fingerprint: string
  readonly sampleType: SampleType
  readonly pedestal: number
  readonly originUm: { readonly x: number; readonly y: number }
  readonly pixelSizeUm: { readonly x: number; readonly y: number }
  readonly size: Size
  readonly tileSize: number
  readonly levelCount: number
  /** True where nobody knows how large a pixel is: everything in µm then is in pixels. */
  readonly isUncalibrated?: boolean
  readonly channels: readonly (Omit<Channel, 'color'> & { readonly color: string | null })[]
  readonly zPlanes: number
  readonly timePoints: number
  readonly axes?: PlaneAxes
  readonly wells: readonly ({ readonly name: string; readonly frames: number } & Rect)[]
  readonly series: readonly SeriesRecord[]
  /** Where it shows the images of a stack side by side. */
  readonly items?: ItemsRecord
  /** The settings of the build, as the command line names them. */
  readonly settings: Readonly<Record<string, unknown>>
  readonly frames: {
    readonly used: number
    readonly skipped: number
    /** Of those skipped, how many were missing or out of reach: the next build tries them again. Absent where none. */
    readonly unavailable?: number
  }
  /** How many samples did not fit the stored type. */
  readonly clippedSamples: number
  readonly warnings: readonly string[]
  /** Wall time of the build, s. */
  readonly seconds: number
  /** Free pixels left of and above the first frames, where the pyramid was made for series that grow. */
  readonly marginPx: number
  /** Side files and the crc32c of their bytes, 8 hex digits. A pyramid that is not complete names its placement only. */
  readonly placement?: SideFile
  readonly histograms?: SideFile
  readonly report?: SideFile
}

export interface SeriesRecord extends Size {
  readonly name: string
  readonly url: string
  readonly fingerprint: string
  readonly frames: number
  readonly dataStartsAt: number
  /** Counts; null where `--dark` named a plane. */
  readonly darkLevel: number | null
  /** The channel that the build gave it; null where its frames have their own. */
  readonly channel: string | null
}

export interface SideFile {
  readonly path: string
  readonly crc32c: string
}

export const ROOT_FILE = 'zarr.json'
export const PLACEMENT_FILE = 'tilestage/placement.json'
export const HISTOGRAMS_FILE = 'tilestage/histograms.json'
export const ITEMS_FILE = 'tilestage/items.json'
export const REPORT_FILE = 'tilestage/report.json'

export function geometryOf(record: PyramidRecord): MosaicGeometry {
  const { originUm, pixelSizeUm, isUncalibrated, size, tileSize, levelCount } = record
  return { originUm, pixelSizeUm, ...(isUncalibrated && { isUncalibrated }), size, tileSize, levelCount }
}

export function channelsOf(record: PyramidRecord): Channel[] {
  return record.channels.map(channel => ({ ...channel, color: channel.color ?? undefined }))
}

/**
 * Changes whenever a sample may have changed; while the pyramid grows it stays, and shards have versions of their own.
 * Ends in the level count.
 */
export function versionOf(record: PyramidRecord): string {
  const { id, revision, complete, fingerprint, size, levelCount, placement } = record
  // The same series give other samples once a frame arrives that could not be read before.
  const finished = `${id} ${revision} ${fingerprint} ${placement?.crc32c}`
  return `${shortHash(complete ? finished : `${lineageOf(record)} ${size.width} ${size.height}`)}.${levelCount}`
}

/** Equal as long as shards that were made stay what they are: the lattice, the type, and the build they belong to. */
export function lineageOf(record: PyramidRecord): string {
  const { id, revision, originUm, pixelSizeUm, tileSize, sampleType, pedestal, settings } = record
  return shortHash(
    JSON.stringify([id, revision, originUm, pixelSizeUm, tileSize, sampleType, pedestal, settings.blend]),
  )
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8)
}

/** Path of a shard below the pyramid's folder: `level/c/t/channel/z/row/column`. */
export function shardPath(
  level: number,
  plane: { readonly timePoint: number; readonly channel: number; readonly zPlane: number },
  row: number,
  column: number,
): string {
  return `${level}/c/${plane.timePoint}/${plane.channel}/${plane.zPlane}/${row}/${column}`
}

const OME_VERSION = '0.5'

/** The root `zarr.json`: an OME-Zarr 0.5 multiscales group with our record beside it. */
export function rootDocument(record: PyramidRecord, name: string, windows: readonly ContrastWindow[]): unknown {
  const { pixelSizeUm, originUm, levelCount, channels, axes, sampleType } = record
  const length = record.isUncalibrated ? {} : { unit: 'micrometer' }
  const { integer, min, max } = SAMPLE_TYPES[sampleType]
  const colours = channelColours(channels)
  return {
    zarr_format: 3,
    node_type: 'group',
    attributes: {
      ome: {
        version: OME_VERSION,
        multiscales: [
          {
            name,
            type: 'mean of covered pixels',
            axes: [
              { name: 't', type: 'time' },
              { name: 'c', type: 'channel' },
              // OME-Zarr has no place for an axis of another kind beside the channels.
              { name: 'z', type: 'space', ...(axes?.zPlane ? {} : length) },
              { name: 'y', type: 'space', ...length },
              { name: 'x', type: 'space', ...length },
            ],
            datasets: Array.from({ length: levelCount }, (_, level) => {
              const scale = 2 ** level
              // OME places pixel centres: the centre of a coarse pixel lies between those of its children.
              const shift = (scale - 1) / 2
              return {
                path: String(level),
                coordinateTransformations: [
                  { type: 'scale', scale: [1, 1, 1, pixelSizeUm.y * scale, pixelSizeUm.x * scale] },
                  {
                    type: 'translation',
                    translation: [0, 0, 0, originUm.y + shift * pixelSizeUm.y, originUm.x + shift * pixelSizeUm.x],
                  },
                ],
              }
            }),
          },
        ],
        omero: {
          channels: channels.map((channel, i) => {
            const window = windows[i] ?? { black: 0, white: integer ? max : 1 }
            return {
              label: channel.name,
              color: colours[i]?.slice(1).toUpperCase(),
              active: channel.active ?? true,
              window: {
                min: integer ? min : Math.min(0, window.black),
                max: integer ? max : window.white,
                start: window.black,
                end: window.white,
              },
            }
          }),
        },
      },
      tilestage: record,
    },
  }
}

/** The `zarr.json` of the array of one level. */
export function levelDocument(record: PyramidRecord, level: number): unknown {
  const { sampleType, tileSize, timePoints, channels, zPlanes } = record
  const { width, height } = levelSize(geometryOf(record), level)
  const { bytes, integer } = SAMPLE_TYPES[sampleType]
  return {
    zarr_format: 3,
    node_type: 'array',
    shape: [timePoints, channels.length, zPlanes, height, width],
    data_type: sampleType,
    dimension_names: ['t', 'c', 'z', 'y', 'x'],
    chunk_grid: { name: 'regular', configuration: { chunk_shape: [1, 1, 1, SHARD_SIZE, SHARD_SIZE] } },
    chunk_key_encoding: { name: 'default', configuration: { separator: '/' } },
    fill_value: integer ? 0 : 'NaN',
    codecs: [
      {
        name: 'sharding_indexed',
        configuration: {
          chunk_shape: [1, 1, 1, tileSize, tileSize],
          codecs: [
            bytes === 1 ? { name: 'bytes' } : { name: 'bytes', configuration: { endian: 'little' } },
            {
              name: 'blosc',
              configuration: {
                cname: 'lz4',
                clevel: 5,
                shuffle: bytes === 1 ? 'noshuffle' : 'shuffle',
                typesize: bytes,
                blocksize: 0,
              },
            },
            { name: 'crc32c' },
          ],
          index_codecs: [{ name: 'bytes', configuration: { endian: 'little' } }, { name: 'crc32c' }],
          index_location: 'end',
        },
      },
    ],
    attributes: {},
  }
}

/** Planes a pyramid may have along each axis. */
const MAX_PLANES = 65_536

/**
 * The record in a root `zarr.json`.
 *
 * @returns undefined where the document is no tilestage pyramid (it may be another OME-Zarr).
 * @throws {UnsupportedDataError} made by a newer version. @throws {CorruptDataError} fields that contradict each other.
 */
export function parseRecord(document: unknown, url: string): PyramidRecord | undefined {
  const record = (document as { attributes?: { tilestage?: PyramidRecord } } | null)?.attributes?.tilestage
  if (typeof record !== 'object' || record === null) return undefined
  if (record.formatVersion !== 1) {
    throw new UnsupportedDataError(
      `${url} has format version ${String(record.formatVersion)}; this tilestage reads version 1.`,
      { url },
    )
  }
  const wrong = (field: string): CorruptDataError =>
    new CorruptDataError(`${url} is damaged: its field tilestage.${field} makes no sense.`, { url })
  const whole = (value: unknown, least: number, most: number): boolean =>
    Number.isInteger(value) && (value as number) >= least && (value as number) <= most
  const finite = (value: unknown): boolean => typeof value === 'number' && Number.isFinite(value)
  const { size, originUm, pixelSizeUm } = record
  if (!Object.hasOwn(SAMPLE_TYPES, record.sampleType)) throw wrong('sampleType')
  if (!finite(record.pedestal)) throw wrong('pedestal')
  if (!finite(originUm?.x) || !finite(originUm.y)) throw wrong('originUm')
  if (!(pixelSizeUm?.x > 0 && pixelSizeUm.y > 0 && finite(pixelSizeUm.x) && finite(pixelSizeUm.y)))
    throw wrong('pixelSizeUm')
  if (!whole(size?.width, 1, MAX_MOSAIC_EDGE) || !whole(size.height, 1, MAX_MOSAIC_EDGE)) throw wrong('size')
  if (!TILE_SIZES.includes(record.tileSize)) throw wrong('tileSize')
  if (countTiles(size, record.tileSize) > MAX_GRID_TILES) throw wrong('size')
  if (record.levelCount !== countLevels(size, record.tileSize)) throw wrong('levelCount')
  if (!Array.isArray(record.channels) || !whole(record.channels.length, 1, MAX_PLANES)) throw wrong('channels')
  const isText = (value: unknown): boolean => value === undefined || typeof value === 'string'
  if (!record.channels.every(channel => typeof channel?.name === 'string' && isText(channel.unit)))
    throw wrong('channels')
  const { zPlane, timePoint } = record.axes ?? {}
  for (const axis of [zPlane, timePoint]) {
    const isRight =
      axis === undefined || (typeof axis.name === 'string' && isText(axis.unit) && Array.isArray(axis.values))
    if (!isRight) throw wrong('axes')
  }
  for (const field of ['zPlanes', 'timePoints'] as const) if (!whole(record[field], 1, MAX_PLANES)) throw wrong(field)
  for (const field of ['id', 'revision', 'fingerprint'] as const) {
    if (typeof record[field] !== 'string' || !/^[\w-]{1,64}$/.test(record[field])) throw wrong(field)
  }
  const isIn = (box: Rect): boolean =>
    whole(box.x0, 0, box.x1) &&
    whole(box.y0, 0, box.y1) &&
    whole(box.x1, 1, size.width) &&
    whole(box.y1, 1, size.height)
  const listOf = <T>(list: readonly T[], isRight: (entry: T) => boolean): boolean =>
    Array.isArray(list) && list.every(entry => typeof entry === 'object' && entry !== null && isRight(entry))
  if (!listOf(record.wells, well => typeof well.name === 'string' && isIn(well))) throw wrong('wells')
  if (
    !listOf(record.series, ({ width, height }) => whole(width, 1, MAX_MOSAIC_EDGE) && whole(height, 1, MAX_MOSAIC_EDGE))
  )
    throw wrong('series')
  if (record.items !== undefined && !areItems(record.items, size)) throw wrong('items')
  const { used, skipped, unavailable = 0 } = record.frames ?? {}
  if (!whole(used, 0, Number.MAX_SAFE_INTEGER) || !whole(skipped, 0, Number.MAX_SAFE_INTEGER)) throw wrong('frames')
  if (!whole(unavailable, 0, skipped)) throw wrong('frames')
  for (const field of ['placement', 'histograms'] as const) {
    if (record.complete && typeof record[field]?.crc32c !== 'string') throw wrong(field)
  }
  if (typeof record.complete !== 'boolean') throw wrong('complete')
  return record
}

/** Whether all images lie inside of the mosaic. */
function areItems({ count, width, height, columns, x, y, table }: ItemsRecord, size: Size): boolean {
  const areWhole = [count, width, height, columns].every(value => Number.isInteger(value) && value > 0)
  const isPlaced = Number.isInteger(x) && Number.isInteger(y) && x >= 0 && y >= 0
  const fits = x + columns * width <= size.width && y + Math.ceil(count / columns) * height <= size.height
  const isTable = table === undefined || (typeof table.crc32c === 'string' && Array.isArray(table.columns))
  return areWhole && isPlaced && fits && columns <= count && isTable
}
