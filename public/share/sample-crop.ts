import { type Rect, SAMPLE_TYPES, type Size } from '../../src/plane.js'
import type { Slice } from '../picture/look.js'
import { type MosaicGeometry, stageOfPixel } from '../picture/stage-geometry.js'
import type { ViewFrame } from '../picture/view-frame.js'
import { cropUrl } from '../server/measure-api.js'
import { type PointUm, type PyramidInfo, rectQuery } from '../server/pyramid-api.js'

/** What the server makes: pixels of all channels together, and along an edge (docs/http-api.md, Crops). */
const MAX_CROP_PIXELS = 2 ** 26
const MAX_CROP_EDGE = 65_535

/** The samples below a view, as the server gives them. */
export interface SampleCrop extends Size {
  readonly level: number
  /** Level-0 pixels: whole pixels of the level. */
  readonly rect: Rect
  readonly channels: readonly number[]
  readonly slice: Slice
  /** Of all channels, without what a file has around them. */
  readonly bytes: number
}

/**
 * The box around a view at the finest level that the server makes of it, cut to the mosaic.
 *
 * @returns undefined where the view lies beside the mosaic, or no level is coarse enough.
 */
export function planSampleCrop(
  pyramid: PyramidInfo,
  frame: ViewFrame,
  channels: readonly number[],
  slice: Slice,
): SampleCrop | undefined {
  const seen = frame.visibleRect(pyramid)
  for (let level = 0; level < pyramid.levelCount; level++) {
    const scale = 2 ** level
    // Pixels belong to it whose centres do.
    const near = (edge: number, end: number): number =>
      Math.min(Math.ceil(end / scale), Math.max(0, Math.ceil(edge / scale - 0.5)))
    const whole = {
      x0: near(seen.x0, pyramid.width),
      y0: near(seen.y0, pyramid.height),
      x1: near(seen.x1, pyramid.width),
      y1: near(seen.y1, pyramid.height),
    }
    const [width, height] = [whole.x1 - whole.x0, whole.y1 - whole.y0]
    if (width <= 0 || height <= 0) return undefined
    const pixels = width * height * channels.length
    if (pixels > MAX_CROP_PIXELS || Math.max(width, height) > MAX_CROP_EDGE) continue
    const rect = { x0: whole.x0 * scale, y0: whole.y0 * scale, x1: whole.x1 * scale, y1: whole.y1 * scale }
    return { width, height, level, rect, channels, slice, bytes: pixels * SAMPLE_TYPES[pyramid.sampleType].bytes }
  }
  return undefined
}

/** Relative address of a crop. */
export function sampleCropUrl(pyramid: PyramidInfo, crop: SampleCrop, format: 'tif' | 'npy'): string {
  return cropUrl(pyramid, format, `${rectQuery(crop.rect)}&level=${crop.level}`, crop.channels, crop.slice)
}

/** Stage positions of the outer edges of a crop. */
export function cropExtentUm(
  geometry: MosaicGeometry,
  { rect }: SampleCrop,
): { readonly from: PointUm; readonly to: PointUm } {
  return {
    from: stageOfPixel(geometry, { x: rect.x0, y: rect.y0 }),
    to: stageOfPixel(geometry, { x: rect.x1, y: rect.y1 }),
  }
}
