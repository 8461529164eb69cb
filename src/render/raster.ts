import type { Size } from '../plane.js'
import { bytesOfColour, COLOUR_STEPS, COLOUR_TABLES } from './colour-maps.js'
import type { ShadedLayer } from './shade.js'

/** A picture that is drawn and not encoded yet. */
export interface Raster extends Size {
  /** Row-major, `channels` bytes a pixel: a grey value or the index of a colour, or red, green and blue. */
  readonly pixels: Uint8Array
  readonly channels: 1 | 3
  /** RGBA bytes of the 256 colours that indices stand for; undefined where pixels are grey or RGB. */
  readonly palette: Uint8Array | undefined
  /** One byte a pixel, 0 = transparent; undefined: none is. */
  readonly covered: Uint8Array | undefined
}

/** A layer and the RGBA bytes of the colours of its 256 steps. */
export interface ColouredLayer extends ShadedLayer {
  readonly colours: Uint8Array
}

/** One layer in its own colours. */
export function paint({ steps, covered, colours }: ColouredLayer, { width, height }: Size): Raster {
  const palette = colours === COLOUR_TABLES.grey ? undefined : colours
  return { width, height, pixels: steps, channels: 1, palette, covered }
}

/** The colours of all layers added up, each of red, green and blue up to 255. What any layer covers is covered. */
export function compose(layers: readonly ColouredLayer[], { width, height }: Size): Raster {
  const pixels = new Uint8ClampedArray(3 * width * height)
  const sums = new Uint32Array(width * height)
  for (let first = 0; first < layers.length; first += LAYERS_OF_A_SUM) {
    sums.fill(0)
    for (const layer of layers.slice(first, first + LAYERS_OF_A_SUM)) addColours(sums, layer)
    addSums(pixels, sums)
  }
  return {
    width,
    height,
    pixels: new Uint8Array(pixels.buffer),
    channels: 3,
    palette: undefined,
    covered: unite(layers.map(({ covered }) => covered)),
  }
}

/** Red, green and blue are added in one number, ten bits for each: room for the sum of four. */
const PART_BITS = 10
const PART_MASK = 2 ** PART_BITS - 1
const LAYERS_OF_A_SUM = 4

function addColours(sums: Uint32Array, { steps, covered, colours }: ColouredLayer): void {
  const packed = Uint32Array.from(
    { length: COLOUR_STEPS },
    (_, i) => colours[4 * i] | (colours[4 * i + 1] << PART_BITS) | (colours[4 * i + 2] << (2 * PART_BITS)),
  )
  if (covered) {
    for (let i = 0; i < steps.length; i++) if (covered[i] !== 0) sums[i] += packed[steps[i]]
  } else {
    for (let i = 0; i < steps.length; i++) sums[i] += packed[steps[i]]
  }
}

function addSums(pixels: Uint8ClampedArray, sums: Uint32Array): void {
  for (let i = 0, at = 0; i < sums.length; i++, at += 3) {
    const sum = sums[i]
    pixels[at] += sum & PART_MASK
    pixels[at + 1] += (sum >> PART_BITS) & PART_MASK
    pixels[at + 2] += sum >> (2 * PART_BITS)
  }
}

/** What any of the masks covers; undefined where one of them covers all. */
function unite(masks: readonly (Uint8Array | undefined)[]): Uint8Array | undefined {
  const [first, ...others] = masks
  const united = first?.slice()
  for (const mask of others) {
    if (!mask || !united) return undefined
    for (let i = 0; i < united.length; i++) united[i] |= mask[i]
  }
  return united
}

/** The same picture as red, green and blue. */
export function toRgb(raster: Raster): Raster {
  if (raster.channels === 3) return raster
  const { pixels: indices, palette = COLOUR_TABLES.grey } = raster
  const pixels = new Uint8Array(3 * indices.length)
  for (let i = 0, at = 0; i < indices.length; i++, at += 3) {
    const colour = 4 * indices[i]
    pixels[at] = palette[colour]
    pixels[at + 1] = palette[colour + 1]
    pixels[at + 2] = palette[colour + 2]
  }
  return { ...raster, pixels, channels: 3, palette: undefined }
}

/**
 * The same picture without transparency. Its pixels are written to.
 *
 * @param background six hex digits.
 */
export function onBackground(raster: Raster, background: string): Raster {
  const { covered } = raster
  if (!covered) return raster
  const colour = bytesOfColour(background)
  const isGrey = colour.every(part => part === colour[0])
  const opaque = isGrey && !raster.palette ? raster : toRgb(raster)
  fillUncovered(opaque, covered, colour)
  return { ...opaque, covered: undefined }
}

/** Write a colour, one byte a channel, to all pixels that are not covered. */
export function fillUncovered({ pixels, channels }: Raster, covered: Uint8Array, colour: Uint8Array): void {
  // Coverage is made of rectangles: a few long spans, which buffers find and fill many times as fast as a loop.
  const bytes = Buffer.from(pixels.buffer, pixels.byteOffset, pixels.length)
  const mask = Buffer.from(covered.buffer, covered.byteOffset, covered.length)
  for (let start = mask.indexOf(0); start >= 0; ) {
    const next = mask.indexOf(1, start)
    const end = next < 0 ? mask.length : next
    bytes.fill(colour, channels * start, channels * end)
    start = mask.indexOf(0, end)
  }
}

/** Pixels with one byte more each: 255 where they are covered, else 0. */
export function withAlpha(pixels: Uint8Array, channels: number, covered: Uint8Array): Uint8Array {
  const wider = new Uint8Array((channels + 1) * covered.length)
  for (let i = 0, from = 0, to = 0; i < covered.length; i++) {
    for (let channel = 0; channel < channels; channel++) wider[to++] = pixels[from++]
    wider[to++] = covered[i] === 0 ? 0 : 255
  }
  return wider
}
