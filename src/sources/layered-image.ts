import { LimitExceededError } from '../errors.js'
import { hashOfJson } from '../hash-of-json.js'
import { commonSampleType, type Rect, SAMPLE_TYPES, type SampleType, type Size } from '../plane.js'
import type { Frame, FrameSeries, PlaneAxis, SeriesChannel, StagePosition } from './frame-source.js'
import {
  countBlocks,
  cutBlocks,
  type ImageBlock,
  largestOf,
  MAX_BLOCKS,
  NO_CAMERA,
  UNCALIBRATED,
} from './image-blocks.js'

/** Which of the images of a stack are shown: one by its number, each along the z axis, or all of them added up. */
export type ShownImages = number | 'each' | 'sum'

/** Images of one file that lie over each other, each with pixels of its own size. */
export interface ImageLayer extends SeriesChannel {
  /** Which of the file's stacks of images it is of, and which of them. */
  readonly stack: number
  readonly images: ShownImages
  /** Of an image as it is stored, px. */
  readonly size: Size
  /** Where it lies on the grid that all layers share, pixels of that grid. */
  readonly place: Rect
  /** Size of its blocks at most, pixels of that grid. */
  readonly block: Size
}

/** Where an image lies and how large its pixels are. */
export interface ImageScale {
  readonly pixelSizeUm: { readonly x: number; readonly y: number }
  /** Of the centre of the first pixel. */
  readonly originUm: { readonly x: number; readonly y: number }
}

/** What a file holds, as its reader has found it. */
export interface LayeredImage {
  readonly name: string
  /** What its stamps change with. */
  readonly stamp: string
  readonly layers: readonly ImageLayer[]
  readonly sampleType: SampleType
  readonly zPlanes: number
  readonly zAxis?: PlaneAxis
  /** Left out where nothing is known of lengths. */
  readonly scale?: ImageScale
  readonly problems: readonly string[]
  readonly metadata: Readonly<Record<string, unknown>>
}

/** A block of a layer. */
export interface LayerBlock {
  readonly channel: number
  readonly block: ImageBlock
}

/** Blocks are of about this size, px. */
const BLOCK_EDGE = 1024
const MAX_BLOCK_EDGE = 2048

/**
 * Edge of the blocks that an image is cut into.
 *
 * @param chunkEdge of what is decoded at once, px.
 * @returns a whole number of chunks, where they are not too large.
 */
export function blockEdge(chunkEdge: number): number {
  return chunkEdge > MAX_BLOCK_EDGE ? BLOCK_EDGE : chunkEdge * Math.max(1, Math.round(BLOCK_EDGE / chunkEdge))
}

/** What each z-plane consists of, in the order of the frames' numbers. A layer with one image has it in every plane. */
export function layerBlocks(layers: readonly Pick<ImageLayer, 'place' | 'block'>[]): LayerBlock[] {
  return layers.flatMap(({ place, block }, channel) =>
    cutBlocks(sizeOf(place), block).map(block => ({ channel, block })),
  )
}

function sizeOf({ x0, y0, x1, y1 }: Rect): Size {
  return { width: x1 - x0, height: y1 - y0 }
}

/**
 * The series of the layers of a file: a frame for each block of each plane.
 *
 * @param url of the file, for the message.
 * @throws {LimitExceededError} more frames than are listed.
 */
export function describeLayers(
  { layers, stamp, zPlanes, zAxis, scale, ...image }: LayeredImage,
  url: string,
): FrameSeries {
  const count = zPlanes * layers.reduce((sum, { place, block }) => sum + countBlocks(sizeOf(place), block), 0)
  if (count > MAX_BLOCKS)
    throw new LimitExceededError(`${url}: its images come in ${count} blocks; up to ${MAX_BLOCKS} are read.`, { url })
  const blocks = layerBlocks(layers)
  const { pixelSizeUm, originUm } = scale ?? { pixelSizeUm: UNCALIBRATED.pixelSizeUm, originUm: { x: 0, y: 0 } }
  const stageAt = (x: number, y: number): StagePosition => ({
    xUm: originUm.x + x * pixelSizeUm.x,
    yUm: originUm.y + y * pixelSizeUm.y,
  })
  const frameSize = largestOf(blocks.map(({ block }) => block))
  const frames = Array.from({ length: zPlanes * blocks.length }, (_, index): Frame => {
    const { channel, block } = blocks[index % blocks.length]!
    const { x, y, width, height } = block
    const { x0, y0 } = layers[channel]!.place
    return {
      ...{ index, channel, zPlane: Math.floor(index / blocks.length), timePoint: 0 },
      position: stageAt(x0 + x, y0 + y),
      stagePosition: stageAt(x0, y0),
      offsetPx: { x, y },
      ...((width !== frameSize.width || height !== frameSize.height) && { size: { width, height } }),
      stamp: `${stamp} ${index}`,
    }
  })
  return {
    ...image,
    ...{ frames, frameSize, zPlanes },
    ...NO_CAMERA,
    ...(scale ? { pixelSizeUm } : UNCALIBRATED),
    complete: true,
    channels: layers.map(({ name, unit, color, active }) => ({
      name,
      ...(unit !== undefined && { unit }),
      ...(color !== undefined && { color }),
      ...(active !== undefined && { active }),
    })),
    ...(zAxis && { axes: { zPlane: zAxis } }),
    fingerprint: hashOfJson([stamp, layers, zPlanes, zAxis, scale]),
  }
}

/** More planes would each be read from all of the file, and nobody turns through them. */
const MAX_SPECTRUM_PLANES = 256

/** A spectrum in each pixel. */
export interface SpectrumImage {
  /** Which of the file's stacks. */
  readonly stack: number
  readonly size: Size
  readonly place: Rect
  readonly block: Size
  readonly sampleType: SampleType
  readonly channels: number
  /** Undefined where it is not known, or not for each channel. */
  readonly energiesKeV: readonly number[] | undefined
}

/** How spectra are shown: their sums, and where they have few channels, each of those as a z-plane; one as an image. */
export function spectrumLayers(
  spectrum: SpectrumImage,
): Pick<LayeredImage, 'sampleType' | 'zPlanes' | 'zAxis' | 'problems'> & { readonly layers: readonly ImageLayer[] } {
  const { sampleType, channels, energiesKeV, ...where } = spectrum
  const ofSums = sumType(sampleType, channels)
  if (channels === 1) return { layers: [{ ...where, name: 'Counts', images: 0 }], sampleType, zPlanes: 1, problems: [] }
  const sum: ImageLayer = { ...where, name: 'Sum', active: true, images: 'sum' }
  if (channels > MAX_SPECTRUM_PLANES) {
    const problem = `Its ${channels} channels are shown as their sum; up to ${MAX_SPECTRUM_PLANES} are shown one by one.`
    return { layers: [sum], sampleType: ofSums, zPlanes: 1, problems: [problem] }
  }
  const counts: ImageLayer = { ...where, name: 'Counts', active: false, images: 'each' }
  return {
    layers: [sum, counts],
    sampleType: commonSampleType([ofSums, sampleType]),
    zPlanes: channels,
    zAxis: energiesKeV
      ? { name: 'Energy', unit: 'keV', values: energiesKeV }
      : { name: 'Spectrum channel', unit: '', values: [] },
    problems: [],
  }
}

/** Holds sums of integers exactly, up to 2⁵³; sums of float32 are rounded to it. */
function sumType(type: SampleType, count: number): SampleType {
  const { integer, min, max } = SAMPLE_TYPES[type]
  if (!integer) return type
  const holds = (other: SampleType): boolean =>
    SAMPLE_TYPES[other].min <= count * min && SAMPLE_TYPES[other].max >= count * max
  return (['uint32', 'int32'] as const).find(holds) ?? 'float64'
}
