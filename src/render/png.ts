import { crc32 } from 'node:zlib'
import type { Size } from '../plane.js'
import { COLOUR_STEPS } from './colour-maps.js'
import { pictureKernels } from './picture-kernels.js'
import { fillUncovered, type Raster, toRgb, withAlpha } from './raster.js'

/*
 * Lossless pictures of a microscope, small and soon made.
 *
 * Every row is stored as the differences from the mean of the pixels to the left and above (PNG's filter "Average"): the
 * noise of two neighbours is less in their mean, so that such pictures come out smaller than with any other filter, or
 * with none. What is left does not repeat. Looking for repetitions, as zlib does, would take most of the time and find next
 * to nothing, so there are only codes by how often each byte occurs, and runs where nothing was imaged.
 */

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)

const COLOUR_TYPES = { grey: 0, rgb: 2, palette: 3, greyAlpha: 4, rgbAlpha: 6 } as const
const BIT_DEPTH = 8

interface PngChunk {
  readonly type: 'IHDR' | 'PLTE' | 'tRNS' | 'IDAT' | 'IEND'
  readonly content: Uint8Array
}

/**
 * Encode a picture as PNG, 8 bits a channel. What is transparent is named by a value or a colour that occurs nowhere else,
 * where there is one, so that it takes no further channel. The raster's pixels may be written to.
 *
 * @returns bytes with a buffer of their own.
 */
export function encodePng(raster: Raster): Uint8Array<ArrayBuffer> {
  const { covered } = raster
  if (!covered) return writePng(raster, colourTypeOf(raster), raster.pixels, paletteChunks(raster))
  const unused = unusedColour(raster)
  if (unused) {
    fillUncovered(raster, covered, unused)
    const transparency = { type: 'tRNS', content: transparencyOf(raster, unused) } as const
    return writePng(raster, colourTypeOf(raster), raster.pixels, [...paletteChunks(raster), transparency])
  }
  const direct = raster.palette ? toRgb(raster) : raster
  const type = direct.channels === 1 ? COLOUR_TYPES.greyAlpha : COLOUR_TYPES.rgbAlpha
  return writePng(direct, type, withAlpha(direct.pixels, direct.channels, covered), [])
}

function colourTypeOf({ channels, palette }: Raster): number {
  if (palette) return COLOUR_TYPES.palette
  return channels === 1 ? COLOUR_TYPES.grey : COLOUR_TYPES.rgb
}

function paletteChunks({ palette }: Raster): PngChunk[] {
  if (!palette) return []
  const content = new Uint8Array(3 * COLOUR_STEPS)
  for (let i = 0; i < content.length; i++) content[i] = palette[4 * Math.floor(i / 3) + (i % 3)]
  return [{ type: 'PLTE', content }]
}

/** What names a transparent colour: 16 bits a channel, or the alpha of each entry of the palette up to it. */
function transparencyOf({ palette }: Raster, colour: Uint8Array): Uint8Array {
  if (!palette) return Uint8Array.from({ length: 2 * colour.length }, (_, i) => (i % 2 === 0 ? 0 : colour[(i - 1) / 2]))
  const [index] = colour
  return new Uint8Array(index + 1).fill(255, 0, index)
}

/** A colour that no pixel has, one byte a channel: all of a value that no byte has. */
function unusedColour({ pixels, channels }: Raster): Uint8Array | undefined {
  // A buffer searches many times as fast as a loop, and most values are found at once.
  const bytes = Buffer.from(pixels.buffer, pixels.byteOffset, pixels.length)
  for (let value = 0; value < 256; value++) if (!bytes.includes(value)) return new Uint8Array(channels).fill(value)
  return undefined
}

function writePng(
  { width, height }: Size,
  colourType: number,
  pixels: Uint8Array,
  chunks: PngChunk[],
): Uint8Array<ArrayBuffer> {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([BIT_DEPTH, colourType], 8)
  const rowBytes = pixels.length / height
  const compressed = [...pictureKernels().compressRows(pixels, rowBytes, rowBytes / width)]
  return joinChunks([
    { type: 'IHDR', content: header },
    ...chunks,
    ...compressed.map(content => ({ type: 'IDAT', content }) as const),
    { type: 'IEND', content: new Uint8Array() },
  ])
}

function joinChunks(chunks: readonly PngChunk[]): Uint8Array<ArrayBuffer> {
  const length = chunks.reduce((sum, { content }) => sum + 12 + content.length, SIGNATURE.length)
  const png = new Uint8Array(length)
  const view = new DataView(png.buffer)
  png.set(SIGNATURE)
  let at = SIGNATURE.length
  for (const { type, content } of chunks) {
    view.setUint32(at, content.length)
    for (let i = 0; i < 4; i++) png[at + 4 + i] = type.charCodeAt(i)
    png.set(content, at + 8)
    const end = at + 8 + content.length
    view.setUint32(end, crc32(png.subarray(at + 4, end)))
    at = end + 4
  }
  return png
}
