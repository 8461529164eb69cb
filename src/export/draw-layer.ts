import type { Size } from '../plane.js'
import { levelSize } from '../pyramid/mosaic-geometry.js'
import type { Pyramid } from '../pyramid/pyramid.js'
import { readScaled } from '../pyramid/read-scaled.js'
import type { PictureRows } from '../pyramid/resample.js'
import { drawLayers } from '../render/draw-picture.js'
import { loadSharp } from '../render/load-sharp.js'
import { DEFAULT_QUALITY } from '../render/picture.js'
import { onBackground, toRgb, withAlpha } from '../render/raster.js'
import { type StepStyle, stepStyleOf } from '../render/steps.js'
import type { PictureStyle } from '../server/tiles/picture-style.js'
import { type TiffBlock, TiffWriter } from './tiff-writer.js'

const BACKGROUND = '000000'

/** Files larger than this need 64-bit addresses. */
const MAX_CLASSIC_BYTES = 2 ** 32 - 2 ** 24

interface LayerDrawing {
  readonly pyramid: Pyramid
  /** Their colours add up. */
  readonly layers: PictureStyle['layers']
  /** Of which all pixels are drawn. */
  readonly level: number
  /** A JPEG is black where nothing was imaged, a PNG transparent. */
  readonly format: 'jpg' | 'png'
}

/**
 * Draw a layer of any size to a file, with a row of tiles in memory: encoders want to be asked for the rows of a file, so
 * they are drawn to one first.
 *
 * @param path of the picture; a file beside it is made and removed.
 */
export async function drawLayer(layer: LayerDrawing, path: string, signal: AbortSignal): Promise<void> {
  const { pyramid, level, format } = layer
  const rows = `${path}.rows.tif`
  await drawRows(layer, levelSize(pyramid.geometry, level), rows, signal)
  const sharp = await loadSharp()
  const image = sharp(rows, { limitInputPixels: false, sequentialRead: true })
  await (format === 'jpg' ? image.jpeg({ quality: DEFAULT_QUALITY }) : image.png({ compressionLevel: 6 })).toFile(path)
}

/** Draw to a TIFF that is not compressed. */
async function drawRows(
  { pyramid, layers, level, format }: LayerDrawing,
  size: Size,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  const { width, height } = size
  const samplesPerPixel = format === 'jpg' ? 3 : 4
  const rowBytes = width * samplesPerPixel
  const styles = layers.map(({ style }) => stepStyleOf(style))
  const rect = { x0: 0, y0: 0, x1: width * 2 ** level, y1: height * 2 ** level }
  const writer = await TiffWriter.create(path, rowBytes * height > MAX_CLASSIC_BYTES)
  try {
    const blocks: TiffBlock[] = []
    const planes = layers.map(({ selection }) => readScaled(pyramid, selection, level, rect, size, { signal }))
    for await (const bands of together(planes)) {
      const drawn = bands.map(({ plane: { samples }, mask }, i) => ({ samples, mask, style: styles[i] as StepStyle }))
      const { width, height } = bands[0].plane
      const raster = toRgb(drawLayers({ width, height, layers: drawn }))
      const covered = raster.covered ?? new Uint8Array(width * height).fill(1)
      const pixels =
        format === 'jpg' ? onBackground(raster, BACKGROUND).pixels : withAlpha(raster.pixels, raster.channels, covered)
      const { at } = await writer.write(pixels)
      for (let row = 0; row < height; row++) blocks.push({ at: at + row * rowBytes, bytes: rowBytes })
    }
    const plainImage = { isDeflated: false, isDifferenced: false, sampleType: 'uint8' } as const
    await writer.finish([{ ...size, ...plainImage, samplesPerPixel, blocks }])
  } catch (error) {
    await writer.close().catch(() => undefined)
    throw error
  }
}

/** The same rows of all planes of a mosaic, which are cut alike. */
async function* together(
  planes: readonly AsyncGenerator<PictureRows>[],
): AsyncGenerator<[PictureRows, ...PictureRows[]]> {
  for (;;) {
    const next = await Promise.all(planes.map(plane => plane.next()))
    if (next.some(({ done }) => done)) return
    yield next.map(({ value }) => value) as [PictureRows, ...PictureRows[]]
  }
}
