import { UsageError } from '../../errors.js'
import type { Rect, Size } from '../../plane.js'
import { MAX_EDGE, type PictureFormat } from '../../render/picture.js'
import { MAX_CROP_PIXELS } from '../crops/crop-plan.js'
import { quote } from '../http/parameters.js'
import { PICTURE_FORMATS } from '../tiles/wanted-tile.js'

/** Besides `default`, which is the look that was asked for. */
export const EXTRA_QUALITIES = ['color', 'gray', 'bitonal'] as const

export type Quality = 'default' | (typeof EXTRA_QUALITIES)[number]

/** Parts of an image's URL. */
export interface ImagePath {
  readonly region: string
  readonly size: string
  readonly rotation: string
  /** Quality and format. */
  readonly file: string
}

/** How large pictures are made. */
export interface SizeLimits {
  /** px, of width and height. */
  readonly edge: number
  readonly area: number
}

/** What is done to a picture in the end: first it is mirrored left to right, then turned clockwise. */
export interface Turn {
  readonly isMirrored: boolean
  readonly degrees: 0 | 90 | 180 | 270
}

/** An image as its URL names it. */
export interface WantedImage {
  /** Level-0 px, inside the mosaic. */
  readonly rect: Rect
  /** Before it is turned. */
  readonly size: Size
  readonly turn: Turn
  readonly quality: Quality
  readonly format: PictureFormat
}

/** @param channels that are read for one picture. */
export function sizeLimits(channels: number): SizeLimits {
  // In every format, since clients choose one of their own.
  const edge = Math.min(...Object.values(MAX_EDGE))
  return { edge, area: Math.floor(MAX_CROP_PIXELS / channels) }
}

/**
 * Read region, size, rotation, quality and format of the IIIF Image API 3.0, section 4.
 *
 * @param full the mosaic.
 * @throws {UsageError} one makes no sense, or the picture would be empty, too large, or enlarged without `^`.
 */
export function readImage(path: ImagePath, full: Size, limits: SizeLimits): WantedImage {
  const rect = readRegion(path.region, full)
  const size = readSize(path.size, { width: rect.x1 - rect.x0, height: rect.y1 - rect.y0 }, limits)
  return { rect, size, turn: readRotation(path.rotation), ...readFile(path.file) }
}

function readRegion(text: string, full: Size): Rect {
  const { x, y, width, height } = wantedRegion(text, full)
  const rect = { x0: x, y0: y, x1: Math.min(full.width, x + width), y1: Math.min(full.height, y + height) }
  if (rect.x0 < rect.x1 && rect.y0 < rect.y1) return rect
  throw new UsageError(`No pixel lies in the region ${quote(text)}; the image has ${full.width} × ${full.height} px.`)
}

function wantedRegion(text: string, full: Size): { x: number; y: number } & Size {
  if (text === 'full') return { x: 0, y: 0, ...full }
  if (text === 'square') {
    const edge = Math.min(full.width, full.height)
    const [x, y] = [Math.floor((full.width - edge) / 2), Math.floor((full.height - edge) / 2)]
    return { x, y, width: edge, height: edge }
  }
  if (/^\d{1,9}(,\d{1,9}){3}$/.test(text)) {
    const [x, y, width, height] = text.split(',').map(Number)
    return { x, y, width, height }
  }
  const [, list] = /^pct:(\d*\.?\d+(?:,\d*\.?\d+){3})$/.exec(text) ?? []
  if (list === undefined)
    throw new UsageError(`The region ${quote(text)} is none of full, square, x,y,w,h and pct:x,y,w,h.`)
  const [left, top, across, down] = list.split(',').map(Number)
  const along = (percent: number, length: number): number => Math.round((percent / 100) * length)
  const [x, y] = [along(left, full.width), along(top, full.height)]
  return { x, y, width: along(left + across, full.width) - x, height: along(top + down, full.height) - y }
}

function readSize(text: string, region: Size, limits: SizeLimits): Size {
  const mayEnlarge = text.startsWith('^')
  const size = wantedSize(mayEnlarge ? text.slice(1) : text, region, limits, mayEnlarge)
  if (!size) {
    throw new UsageError(
      `The size ${quote(text)} is none of max, w, and ,h and pct:n and w,h and !w,h, each with ^ in front where it may enlarge.`,
    )
  }
  const { width, height } = size
  if (width < 1 || height < 1) throw new UsageError(`The size ${quote(text)} leaves no pixel of the region.`)
  if (!mayEnlarge && (width > region.width || height > region.height)) {
    throw new UsageError(
      `The size ${quote(text)} enlarges the region of ${region.width} × ${region.height} px; put ^ in front of it.`,
    )
  }
  if (width <= limits.edge && height <= limits.edge && width * height <= limits.area) return size
  throw new UsageError(
    `The image would be ${width} × ${height} px; up to ${limits.edge} along an edge and ${limits.area} in all are made.`,
  )
}

/** @returns undefined where the text is no size. */
function wantedSize(text: string, region: Size, limits: SizeLimits, mayEnlarge: boolean): Size | undefined {
  const { width: across, height: down } = region
  const most = Math.min(limits.edge / Math.max(across, down), Math.sqrt(limits.area / (across * down)))
  // What the limits say is rounded down: the nearest pixel may be one too many.
  const scaled = (scale: number): Size =>
    scale < most
      ? { width: Math.round(across * scale), height: Math.round(down * scale) }
      : { width: Math.max(1, Math.floor(across * most)), height: Math.max(1, Math.floor(down * most)) }
  if (text === 'max') return scaled(mayEnlarge ? most : Math.min(1, most))
  const [, percent] = /^pct:(\d*\.?\d+)$/.exec(text) ?? []
  if (percent !== undefined) {
    const share = Number(percent) / 100
    return { width: Math.round(across * share), height: Math.round(down * share) }
  }
  const [, confined, w, h] = /^(!?)(\d{0,9}),(\d{0,9})$/.exec(text) ?? ['', '', '', '']
  if (w !== '' && h !== '') {
    if (confined === '') return { width: Number(w), height: Number(h) }
    const fitting = Math.min(Number(w) / across, Number(h) / down)
    return scaled(mayEnlarge ? fitting : Math.min(1, fitting))
  }
  if (confined !== '') return undefined
  if (w !== '') return { width: Number(w), height: Math.round((down * Number(w)) / across) }
  if (h !== '') return { width: Math.round((across * Number(h)) / down), height: Number(h) }
  return undefined
}

function readRotation(text: string): Turn {
  const [, mirror, degrees] = /^(!?)(0|90|180|270)$/.exec(text) ?? []
  if (degrees !== undefined) return { isMirrored: mirror === '!', degrees: Number(degrees) as Turn['degrees'] }
  throw new UsageError(
    `The rotation ${quote(text)} is none of 0, 90, 180 and 270, each with ! in front to mirror first.`,
  )
}

function readFile(text: string): { quality: Quality; format: PictureFormat } {
  const [, name, extension] = /^(\w+)\.(\w+)$/.exec(text) ?? []
  const quality = (['default', ...EXTRA_QUALITIES] as const).find(known => known === name)
  const format = PICTURE_FORMATS.find(known => known === extension)
  if (quality !== undefined && format !== undefined) return { quality, format }
  throw new UsageError(
    `There is no ${quote(text)}; the quality is default, ${EXTRA_QUALITIES.join(', ')}, and the format ${PICTURE_FORMATS.join(', ')}.`,
  )
}
