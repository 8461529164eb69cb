import { NotFoundError, UsageError } from '../../errors.js'
import type { Rect, Size } from '../../plane.js'
import type { MosaicGeometry } from '../../pyramid/mosaic-geometry.js'
import { levelForSize } from '../../pyramid/read-scaled.js'
import { MAX_EDGE, type PictureFormat } from '../../render/picture.js'
import { type Parameters, readInteger } from '../http/parameters.js'
import { readLevel, readRectangle } from '../http/rectangle.js'
import { RequestRefusal } from '../http/request-refusal.js'

export type CropFormat = PictureFormat | 'tif' | 'npy'

/** Pixels of a crop, those of all channels and layers together: 8,192 × 8,192. */
export const MAX_CROP_PIXELS = 2 ** 26

/** Pixels that a crop may be made from: more than four for each of its own come only of sides that shrink unequally. */
const MAX_SOURCE_PIXELS = 4 * MAX_CROP_PIXELS

/** Longest edge that each format can hold; a TIFF or an array could hold more, but nothing shows it. */
const LONGEST_EDGE: Readonly<Record<CropFormat, number>> = { ...MAX_EDGE, tif: 65_535, npy: 65_535 }

/** Longest edge of a picture of which no size was given. */
const DEFAULT_EDGE = 2048

/** What is shown, how large, and from which level. */
export interface CropPlan {
  /** Level-0 px. */
  readonly rect: Rect
  readonly size: Size
  readonly level: number
}

/**
 * Read `x`, `y`, `w`, `h` and `units`, and `width` and `height` or `level`.
 *
 * `level` takes the pixels of that level as they are stored. `width` and `height` give any size, one of them alone keeps
 * the aspect; the source is the coarsest level that has as many pixels. By itself a TIFF has the pixels of level 0, and
 * a picture as many of them as fit 2,048 px.
 *
 * @throws {UsageError | NotFoundError} wrong parameters.
 */
export function planCrop(query: Parameters, geometry: MosaicGeometry, format: CropFormat): CropPlan {
  const rect = readRectangle(query, geometry)
  const width = readInteger(query, 'width', { min: 1 })
  const height = readInteger(query, 'height', { min: 1 })
  const isSized = width !== undefined || height !== undefined
  const level = readLevel(query, geometry)
  if (level !== undefined && isSized)
    throw new UsageError('The parameter level names pixels as they are stored; width and height do not go with it.')
  const storedLevel = level ?? (format === 'tif' && !isSized ? 0 : undefined)
  if (storedLevel !== undefined) return storedPixels(rect, storedLevel)
  const size = sizeOf({ width: rect.x1 - rect.x0, height: rect.y1 - rect.y0 }, width, height)
  return { rect, size, level: levelForSize(geometry, rect, size) }
}

/** The pixels of a level whose centres lie in a rectangle, those beyond the mosaic included. */
function storedPixels(rect: Rect, level: number): CropPlan {
  const scale = 2 ** level
  const near = (edge: number): number => scale * Math.ceil(edge / scale - 0.5)
  const whole = { x0: near(rect.x0), y0: near(rect.y0), x1: near(rect.x1), y1: near(rect.y1) }
  const size = { width: (whole.x1 - whole.x0) / scale, height: (whole.y1 - whole.y0) / scale }
  if (size.width > 0 && size.height > 0) return { rect: whole, size, level }
  throw new NotFoundError(`No pixel of level ${level} has its centre in the rectangle; ask for a finer level.`)
}

/**
 * How much of the picture lies beyond the mosaic, px of the picture.
 *
 * @returns such as `left=0, top=12, right=0, bottom=0`; undefined where it lies in the mosaic altogether.
 */
export function describePadding({ rect, size }: CropPlan, { size: mosaic }: MosaicGeometry): string | undefined {
  const across = size.width / (rect.x1 - rect.x0)
  const down = size.height / (rect.y1 - rect.y0)
  const beyond = [
    -rect.x0 * across,
    -rect.y0 * down,
    (rect.x1 - mosaic.width) * across,
    (rect.y1 - mosaic.height) * down,
  ]
  if (beyond.every(length => length <= 0)) return undefined
  const [left, top, right, bottom] = beyond.map(length => Math.ceil(Math.max(0, length)))
  return `left=${left}, top=${top}, right=${right}, bottom=${bottom}`
}

/** The size of a picture whose full size is known. */
function sizeOf(full: Size, width: number | undefined, height: number | undefined): Size {
  const along = (length: number, share: number): number => Math.max(1, Math.round(length * share))
  if (width !== undefined) return { width, height: height ?? along(full.height, width / full.width) }
  if (height !== undefined) return { width: along(full.width, height / full.height), height }
  const share = Math.min(1, DEFAULT_EDGE / Math.max(full.width, full.height))
  return { width: along(full.width, share), height: along(full.height, share) }
}

/**
 * Refuse what is too large, before memory is taken.
 *
 * @param size of the whole picture. @param pixels of all its channels and layers together.
 * @throws {RequestRefusal} too many pixels, or an edge that the format cannot hold.
 */
export function checkCropSize({ width, height }: Size, pixels: number, format: CropFormat): void {
  const longest = LONGEST_EDGE[format]
  if (Math.max(width, height) > longest) {
    throw new RequestRefusal(
      'TOO_LARGE',
      `The crop would be ${width} × ${height} px, and a ${format} has up to ${longest} along an edge; give a smaller width or height, or a coarser level.`,
    )
  }
  if (pixels > MAX_CROP_PIXELS) {
    throw new RequestRefusal(
      'TOO_LARGE',
      `The crop would be ${width} × ${height} px, ${pixels} in all its channels and layers, and up to ${MAX_CROP_PIXELS} are made; give a smaller width or height, or a coarser level.`,
    )
  }
}

/**
 * Refuse what too much must be read for.
 *
 * @param pixels of all channels and layers together.
 * @throws {RequestRefusal} too many.
 */
export function checkSourcePixels(pixels: number): void {
  if (pixels <= MAX_SOURCE_PIXELS) return
  throw new RequestRefusal(
    'TOO_LARGE',
    `The crop would be made from ${pixels} px of all its channels and layers, and up to ${MAX_SOURCE_PIXELS} are read; keep its aspect nearer to that of the rectangle, or ask for less.`,
  )
}
