import { builtModule } from '../../built-module.js'
import { CorruptDataError, LimitExceededError } from '../../errors.js'
import { hashOfJson } from '../../hash-of-json.js'
import { commonSampleType, type SampleType, type Size } from '../../plane.js'
import type { Frame, FrameSeries, FrameSource, PlaneAxis, StagePosition } from '../frame-source.js'
import { countBlocks, cutBlocks, MAX_BLOCKS, NO_CAMERA, UNCALIBRATED } from '../image-blocks.js'
import { ReaderSource } from '../reader-source.js'
import { type ArrayImages, ArrayReader, type ArrayReaderData } from './array-reader.js'
import {
  type ArrayView,
  blockSize,
  boxOf,
  countPlanes,
  imageSize,
  isInBands,
  MAX_KEPT_BYTES,
  slabAround,
} from './array-view.js'
import type { Hdf5Type } from './hdf5-messages.js'
import { isRounded, type SampleField, storedType } from './sample-field.js'

/** Compiled, wherever this file runs: a worker thread cannot load TypeScript. */
const READER_MODULE = builtModule('sources/hdf5/array-reader.js').href
/** A thread with h5wasm and its heap, as measured. */
const THREAD_BYTES = 80 * 2 ** 20

/** The images of one field of a dataset, and where they lie. */
export interface LayerImages {
  readonly view: ArrayView
  /** Of the dataset. */
  readonly type: Hdf5Type
  readonly field: SampleField
  /** Where the centre of the first pixel lies; µm, or pixels where nothing is known of lengths. */
  readonly origin: StagePosition
  /** The first of its time points. */
  readonly timePoint: number
}

/** What is shown as one channel. */
export interface Layer {
  readonly name: string
  readonly unit?: string
  readonly color?: string
  /** Left out where nothing is said: then the first layer is shown. */
  readonly isActive?: boolean
  readonly images: readonly LayerImages[]
}

/** What an HDF5 file shows. */
export interface ArrayContent {
  /** For people: `h5USID`, `NeXus data`, `HDF5 array`. */
  readonly format: string
  readonly layers: readonly Layer[]
  /** Undefined where nothing is known of lengths. */
  readonly pixelSizeUm: { readonly x: number; readonly y: number } | undefined
  readonly zPlanes: number
  readonly timePoints: number
  readonly axes: NonNullable<FrameSeries['axes']>
  readonly problems: readonly string[]
  readonly metadata: Readonly<Record<string, unknown>>
}

/** As they are read and placed. */
interface PlacedImages extends LayerImages {
  readonly read: ArrayImages
  readonly channel: number
  /** How many of each the image is seen at. */
  readonly planes: { readonly z: number; readonly t: number }
}

/** How a source is named. */
export interface ArrayName {
  readonly path: string
  /** As the user typed it. */
  readonly url: string
  readonly name: string
}

/**
 * Make a source of the images in an HDF5 file.
 *
 * @param version the file's stamp from before it was read.
 * @throws {LimitExceededError} more blocks than are listed. @throws {CorruptDataError} lengths that no number holds.
 */
export function assembleArrays(
  { path, url, name }: ArrayName,
  version: string,
  content: ArrayContent,
  complete = true,
): FrameSource {
  const { format, layers, pixelSizeUm, zPlanes, timePoints, axes, metadata } = content
  expectPlaces(content, path)
  const placed = placeImages(content, path)
  const images = placed.map(({ read }) => read)
  const sampleType = commonSampleType(placed.map(sampleTypeOf))
  const data: ArrayReaderData = { path, sampleType, images }
  const fingerprint = hashOfJson([version, data, content])
  const frameSize = {
    width: Math.max(...images.map(({ block }) => block.width)),
    height: Math.max(...images.map(({ block }) => block.height)),
  }
  const pixelSize = pixelSizeUm ?? UNCALIBRATED.pixelSizeUm
  const series: FrameSeries = {
    name,
    frames: placed.flatMap(one => listFrames(one, pixelSize, frameSize, fingerprint)),
    ...NO_CAMERA,
    ...{ frameSize, sampleType },
    ...(pixelSizeUm ? { pixelSizeUm } : UNCALIBRATED),
    channels: layers.map(({ name, unit, color, isActive }, i) => ({
      name,
      ...(unit ? { unit } : {}),
      ...(color ? { color } : {}),
      ...(layers.length > 1 ? { active: isActive ?? i === 0 } : {}),
    })),
    ...{ zPlanes, timePoints, axes, complete, metadata, fingerprint },
    problems: [...content.problems, ...describeRounding(layers)],
  }
  const heldBytes = THREAD_BYTES + Math.max(MAX_KEPT_BYTES, ...images.map(slabBytes))
  return new ReaderSource(url, format, series, {
    reader: new ArrayReader(data),
    description: {
      module: READER_MODULE,
      data,
      heldBytes,
      isDecodedInRows: images.some(({ view }) => isInBands(view)),
    },
  })
}

/** One plane axis for each dimension, joined where there are more than two. */
export function joinAxes(
  dimensions: readonly PlaneAxis[],
  lengths: readonly number[],
): NonNullable<FrameSeries['axes']> {
  const [zPlane, ...others] = dimensions
  if (others.length < 2) return { ...(zPlane && { zPlane }), ...(others[0] && { timePoint: others[0] }) }
  const count = lengths.slice(1).reduce((product, length) => product * length, 1)
  const values = Array.from({ length: count }, (_, i) => {
    let left = i
    const texts = others.map(({ name, unit, values }, k) => {
      const step = left % lengths[k + 1]!
      left = (left - step) / lengths[k + 1]!
      return `${name} ${values[step] ?? step}${unit ? ` ${unit}` : ''}`
    })
    return texts.reverse().join(', ')
  })
  return {
    ...(zPlane && { zPlane }),
    timePoint: {
      name: others
        .map(({ name }) => name)
        .reverse()
        .join(', '),
      unit: '',
      values,
    },
  }
}

function sampleTypeOf({ view, field }: LayerImages): SampleType {
  const stored = storedType(field)!
  // Points that a scan did not reach are NaN.
  return view.scattered && view.scattered.length > view.shape[0]! ? commonSampleType([stored, 'float32']) : stored
}

/** Where the planes of an image stand: those of one without axes of its own are seen at every plane. */
function planesOf(
  { images }: Layer,
  { view }: LayerImages,
  { zPlanes, timePoints }: ArrayContent,
): { z: number; t: number } {
  const planes = countPlanes(view)
  const z = planes === 1 ? zPlanes : view.planes[0]!.length
  const isStill = images.every(({ view, timePoint }) => countPlanes(view) === 1 && timePoint === 0)
  return { z, t: isStill ? timePoints : planes === 1 ? 1 : planes / z }
}

function expectPlaces({ layers, pixelSizeUm }: ArrayContent, path: string): void {
  const { x, y } = pixelSizeUm ?? { x: 1, y: 1 }
  const origins = layers.flatMap(({ images }) => images.flatMap(({ origin }) => [origin.xUm, origin.yUm]))
  if (x > 0 && y > 0 && [x, y, ...origins].every(Number.isFinite)) return
  throw new CorruptDataError(
    `${path} has pixels of ${x} × ${y} µm from ${origins.slice(0, 2).join(', ')} µm on, which is no place for an image.`,
    { url: path },
  )
}

function placeImages(content: ArrayContent, path: string): PlacedImages[] {
  const placed: PlacedImages[] = []
  let firstFrame = 0
  for (const [channel, layer] of content.layers.entries()) {
    for (const one of layer.images) {
      const { view, type, field } = one
      const block = blockSize(view)
      const blocks = countBlocks(imageSize(view), block)
      const planes = planesOf(layer, one, content)
      const frames = blocks * planes.z * planes.t
      const isRepeated = countPlanes(view) === 1
      placed.push({ ...one, channel, planes, read: { view, type, field, block, firstFrame, frames, isRepeated } })
      firstFrame += frames
      if (firstFrame > MAX_BLOCKS) {
        throw new LimitExceededError(
          `${path}: the images up to ${view.dataset} come in more than ${MAX_BLOCKS} blocks; no more are read.`,
          { url: path },
        )
      }
    }
  }
  return placed
}

/** The blocks of an image, in the order in which they are numbered. */
function listFrames(
  { read, origin, timePoint, channel, planes }: PlacedImages,
  { x, y }: { readonly x: number; readonly y: number },
  frameSize: Size,
  fingerprint: string,
): Frame[] {
  const blocks = cutBlocks(imageSize(read.view), read.block)
  return Array.from({ length: read.frames }, (_, i) => {
    const { x: left, y: top, width, height } = blocks[i % blocks.length]!
    const plane = Math.floor(i / blocks.length)
    const isWhole = width === frameSize.width && height === frameSize.height
    const index = read.firstFrame + i
    return {
      index,
      position: { xUm: origin.xUm + left * x, yUm: origin.yUm + top * y },
      stagePosition: origin,
      channel,
      zPlane: plane % planes.z,
      timePoint: timePoint + Math.floor(plane / planes.z),
      ...(isWhole ? {} : { size: { width, height } }),
      offsetPx: { x: left, y: top },
      stamp: `${fingerprint} ${index}`,
    }
  })
}

/** What is decoded for the first block. */
function slabBytes({ view, block }: ArrayImages): number {
  const { count } = slabAround(view, boxOf(view, { x: 0, y: 0, ...block }, 0))
  return count.reduce((product, edge) => product * edge, view.elementBytes)
}

function describeRounding(layers: readonly Layer[]): string[] {
  const rounded = layers.filter(({ images }) => images.some(({ field }) => isRounded(field)))
  if (rounded.length === 0) return []
  return [
    `Integers of 64 bits become float64, which holds them exactly up to 2^53: ${rounded.map(({ name }) => name).join(', ')}.`,
  ]
}
