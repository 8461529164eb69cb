import type { Rect } from '../../src/plane.js'
import { isExported } from './exported-page.js'
import { valueOfTiles } from './exported-value.js'
import {
  type HistogramReply,
  type PlaneSelection,
  type PointUm,
  type PyramidInfo,
  planeQuery,
  pyramidUrl,
  readJson,
  rectQuery,
} from './pyramid-api.js'

/** A rectangle on the stage, µm. */
export interface BoxUm {
  readonly x: number
  readonly y: number
  readonly w: number
  readonly h: number
}

/** Of the covered samples of a rectangle, in counts above dark; null where nothing is covered. */
export interface RegionStatistics {
  readonly level: number
  readonly darkLevel: number
  readonly count: number
  readonly areaUm2: number
  readonly mean: number | null
  readonly sd: number | null
  readonly median: number | null
  readonly min: number | null
  readonly max: number | null
  readonly sum: number | null
}

/** A frame as the server lists it. */
export interface FrameRow {
  readonly series: string
  readonly frame: number
  readonly stageUm: PointUm | null
  /** Level-0 px. */
  readonly rect: Rect
  readonly channel: number
  readonly depth: number
  readonly t: number
  readonly used: boolean
  /** Why it was left out. */
  readonly reason: string | null
}

/** What is stored at a place, and where it comes from. */
export interface ValueReply {
  readonly pixel: PointUm
  readonly centreUm: PointUm
  readonly well: string | null
  readonly channels: readonly {
    readonly channel: number
    readonly name: string
    readonly covered: boolean
    readonly stored: number | null
    readonly counts: number | null
    /** Null where the pyramid keeps no record of frames. */
    readonly frames: readonly Pick<FrameRow, 'series' | 'frame' | 'stageUm'>[] | null
  }[]
}

/** What the server measures at most at once, samples. */
const MAX_SAMPLES = 2 ** 26
const REGION_BINS = 256

export const boxQuery = ({ x, y, w, h }: BoxUm): string => `x=${x}&y=${y}&w=${w}&h=${h}`

/**
 * Statistics of a rectangle: of level 0, or where that is too much of the finest level that can be measured.
 *
 * @throws {ApiError} 404 where the rectangle lies outside of the mosaic.
 */
export function readStatistics(pyramid: PyramidInfo, plane: PlaneSelection, box: BoxUm): Promise<RegionStatistics> {
  const samples = Math.ceil(box.w / pyramid.pixelSizeUm.x + 1) * Math.ceil(box.h / pyramid.pixelSizeUm.y + 1)
  const needed = Math.ceil(Math.log2(samples / MAX_SAMPLES) / 2)
  const level = Math.min(pyramid.levelCount - 1, Math.max(0, needed))
  return readJson(`${pyramidUrl(pyramid.id)}/stats?${boxQuery(box)}&level=${level}&${planeQuery(plane)}`)
}

/** How often stored values occur in a rectangle. */
export function readRegionHistogram(
  pyramid: PyramidInfo,
  plane: PlaneSelection,
  box: BoxUm,
): Promise<HistogramReply & { readonly level: number }> {
  return readJson(`${pyramidUrl(pyramid.id)}/histogram?${boxQuery(box)}&bins=${REGION_BINS}&${planeQuery(plane)}`)
}

/** Where the stored values of a rectangle are to be had. @param rectangle as a query: `boxQuery` or `rectQuery`. */
export function cropUrl(
  { id, version }: PyramidInfo,
  format: 'tif' | 'npy',
  rectangle: string,
  channels: readonly number[],
  { zPlane, timePoint }: Omit<PlaneSelection, 'channel'>,
): string {
  const planes = `channel=${channels.join()}&depth=${zPlane}&t=${timePoint}`
  return `${pyramidUrl(id)}/crop.${format}?${rectangle}&${planes}&v=${encodeURIComponent(version)}`
}

/** @param pixel of level 0. @throws {ApiError} 404 outside of the mosaic. */
export function readValue(
  pyramid: PyramidInfo,
  { zPlane, timePoint }: Omit<PlaneSelection, 'channel'>,
  pixel: PointUm,
  signal?: AbortSignal,
): Promise<ValueReply> {
  if (isExported) return valueOfTiles(pyramid, { zPlane, timePoint }, pixel, signal)
  const place = `x=${Math.floor(pixel.x)}&y=${Math.floor(pixel.y)}&units=px`
  return readJson(`${pyramidUrl(pyramid.id)}/value?${place}&depth=${zPlane}&t=${timePoint}`, signal)
}

/**
 * Frames of a pyramid, used and skipped.
 *
 * @param rect level-0 px: those that touch it; undefined means all. @param limit at most so many of the `total`.
 * @throws {ApiError} 404 where the pyramid keeps no record, or the rectangle lies outside of the mosaic.
 */
export function readPlacement(
  pyramid: PyramidInfo,
  rect: Rect | undefined,
  limit: number,
): Promise<{ readonly total: number; readonly frames: readonly FrameRow[] }> {
  const place = rect && `${rectQuery(rect)}&`
  return readJson(`${pyramidUrl(pyramid.id)}/placement?${place ?? ''}limit=${limit}`)
}
