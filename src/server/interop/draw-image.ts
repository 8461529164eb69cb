import type { Sharp } from 'sharp'
import type { Pyramid } from '../../pyramid/pyramid.js'
import { levelForSize, sourcePixels } from '../../pyramid/read-scaled.js'
import { loadSharp } from '../../render/load-sharp.js'
import { DEFAULT_QUALITY } from '../../render/picture.js'
import type { RenderCrew } from '../../render/render-crew.js'
import { type CropPlan, checkSourcePixels } from '../crops/crop-plan.js'
import { readLayers } from '../crops/read-picture.js'
import type { PictureStyle } from '../tiles/picture-style.js'
import type { Quality, Turn, WantedImage } from './iiif-image.js'

/** Where brightness, 0 … 255, becomes white. */
const BITONAL_THRESHOLD = 128

/** The style of a quality: in grey, the brightness of all channels adds up. */
export function styleOfQuality(style: PictureStyle, quality: Quality): PictureStyle {
  if (quality === 'default' || quality === 'color') return style
  const layers = style.layers.map(layer => ({ ...layer, style: { ...layer.style, colours: 'grey' as const } }))
  return { ...style, layers, key: `${style.key}/grey` }
}

/** Whether a drawn picture is what is wanted, with nothing done to it. */
export function isDrawnDirectly({ turn, quality }: WantedImage): boolean {
  return turn.degrees === 0 && !turn.isMirrored && quality !== 'bitonal'
}

/** @param channels that are read for it. @throws {RequestRefusal} too much must be read for it. */
export function planImage({ geometry }: Pyramid, { rect, size }: WantedImage, channels: number): CropPlan {
  const level = levelForSize(geometry, rect, size)
  checkSourcePixels(channels * sourcePixels(geometry, level, rect))
  return { rect, size, level }
}

/** Draw an image, then turn it. */
export async function drawImage(
  crew: RenderCrew,
  pyramid: Pyramid,
  plan: CropPlan,
  { layers, background, quality }: PictureStyle,
  wanted: WantedImage,
  signal: AbortSignal,
): Promise<Buffer> {
  const drawn = await readLayers(pyramid, layers, plan, signal)
  const { format } = wanted
  const picture = { ...plan.size, layers: drawn, isGivenAway: true }
  if (isDrawnDirectly(wanted)) return crew.render({ ...picture, format, quality, background }, signal)
  // Without alpha, what is not covered would show what a viewer likes.
  const opaque = background ?? (format === 'jpg' ? '000000' : undefined)
  const png = await crew.render({ ...picture, format: 'png', background: opaque }, signal)
  const sharp = await loadSharp()
  const image = turned(sharp(png), wanted.turn)
  if (wanted.quality === 'bitonal') image.threshold(BITONAL_THRESHOLD)
  if (format === 'png') return image.png().toBuffer()
  return image.toFormat(format === 'jpg' ? 'jpeg' : format, { quality: quality ?? DEFAULT_QUALITY }).toBuffer()
}

/** sharp mirrors before it turns, whatever it is told first. */
function turned(image: Sharp, { isMirrored, degrees }: Turn): Sharp {
  return image.flop(isMirrored).rotate(degrees)
}
