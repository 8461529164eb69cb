import type { SampleArray, Size } from '../plane.js'
import { coloursOf } from './colour-maps.js'
import { loadSharp } from './load-sharp.js'
import type { PictureJob } from './picture.js'
import { DEFAULT_QUALITY } from './picture.js'
import { encodePng } from './png.js'
import { type ColouredLayer, compose, onBackground, paint, type Raster, toRgb, withAlpha } from './raster.js'
import { shade } from './shade.js'
import { joinSideBySide } from './side-by-side.js'
import type { StepStyle } from './steps.js'
import { writeNames } from './write-names.js'

const DEFAULT_BACKGROUND = '000000'
/** More than the least takes up to three times as long, and saves a tenth of the bytes. */
const WEBP_EFFORT = 0

/** A picture to draw as a thread gets it. */
export interface ThreadPicture extends Omit<PictureJob, 'layers'> {
  readonly layers: readonly {
    readonly samples: SampleArray
    readonly mask: Uint8Array | undefined
    readonly style: StepStyle
  }[]
}

/**
 * Shade and encode a picture.
 *
 * @returns bytes with a buffer of their own.
 */
export async function drawPicture(picture: ThreadPicture): Promise<Uint8Array<ArrayBuffer>> {
  const { format, quality = DEFAULT_QUALITY, background = format === 'jpg' ? DEFAULT_BACKGROUND : undefined } = picture
  const drawn = drawLayers(picture)
  const plain = background === undefined ? drawn : onBackground(drawn, background)
  const { names, gap } = picture.sideBySide ?? {}
  const raster = names && gap !== undefined ? await writeNames(plain, names, picture, gap) : plain
  return format === 'png' ? encodePng(raster) : encodeLossy(raster, format, quality)
}

/** Shade a picture. */
export function drawLayers({
  width,
  height,
  layers,
  sideBySide,
}: Pick<ThreadPicture, 'width' | 'height' | 'layers' | 'sideBySide'>): Raster {
  const coloured = layers.map(
    ({ samples, mask, style }): ColouredLayer => ({
      ...shade(samples, mask, style),
      colours: coloursOf(style.colours),
    }),
  )
  const size: Size = { width, height }
  if (sideBySide)
    return joinSideBySide(
      coloured.map(layer => paint(layer, size)),
      sideBySide.gap,
    )
  return coloured.length === 1 ? paint(coloured[0], size) : compose(coloured, size)
}

async function encodeLossy(raster: Raster, format: 'jpg' | 'webp', quality: number): Promise<Uint8Array<ArrayBuffer>> {
  const direct = raster.palette ? toRgb(raster) : raster
  const { width, height, pixels, channels, covered } = direct
  const sharp = await loadSharp()
  const image = covered
    ? sharp(withAlpha(pixels, channels, covered), { raw: { width, height, channels: channels === 1 ? 2 : 4 } })
    : sharp(pixels, { raw: { width, height, channels } })
  // Without the colour space sharp writes grey as RGB: twice the work, three times the pixels.
  if (channels === 1) image.toColourspace('b-w')
  const encoded = await (format === 'jpg'
    ? image.jpeg({ quality })
    : image.webp({ quality, effort: WEBP_EFFORT })
  ).toBuffer()
  return new Uint8Array(encoded)
}
