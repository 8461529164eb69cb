import type { Size } from '../../plane.js'
import type { ImageBlock } from '../image-blocks.js'
import type { Slab } from './slab-pieces.js'

/** One dimension of the images in a dataset. Several may share an axis of the dataset, as positions of a scan do. */
export interface ViewDimension {
  /** Of the dataset. */
  readonly axis: number
  /** Elements along the axis from one step of this dimension to the next. */
  readonly stride: number
  readonly length: number
  /** Whether it is stored from its end to its beginning. */
  readonly isReversed?: boolean
}

/** Images in a dataset: which of its elements are rows, columns and planes. */
export interface ArrayView {
  readonly dataset: string
  /** Of the dataset. */
  readonly shape: readonly number[]
  /** Edges of its chunks; those of a dataset in one piece are 1, but along the last axis if planes lie along it. */
  readonly chunks: readonly number[]
  readonly elementBytes: number
  readonly y: ViewDimension
  readonly x: ViewDimension
  /** Dimensions beside x and y, the fastest first. */
  readonly planes: readonly ViewDimension[]
  /** Along each axis, where the first sample of the first plane lies; left out: at 0. */
  readonly start?: readonly number[]
  /** Where rows of a dataset are not in the order of their indices, or missing: the dataset that has the indices. */
  readonly scattered?: ScatteredRows
}

/** How rows along axis 0 of a dataset are found by their indices. */
export interface ScatteredRows {
  /** A dataset of shape [rows, columns]. */
  readonly indices: string
  /** For each of its columns: the elements of a full axis from one step to the next; 0 where it does not matter. */
  readonly strides: readonly number[]
  /** For each of its columns: the index that stands at each step. */
  readonly steps: readonly (readonly number[])[]
  /** Rows that a full axis has. */
  readonly length: number
}

/** Of decoded slabs in a thread, whatever the number of files that it reads. */
export const MAX_KEPT_BYTES = 48 * 2 ** 20
/** Decoded at once and kept: a build has threads that each do so. */
const MAX_SLAB_BYTES = 32 * 2 ** 20
/** About the edge of a block where chunks do not say otherwise, px. */
const BLOCK_EDGE = 1024
const LARGEST_BLOCK_EDGE = 2048
const SMALLEST_BLOCK_EDGE = 16
/** Edge of what a build makes at a time, px. */
const SHARD_EDGE = 2048
/** Up to so many chunks are blocks of their own, so that a damaged one costs no more than itself. */
const MAX_SINGLE_CHUNKS = 1024

export function imageSize({ x, y }: ArrayView): Size {
  return { width: x.length, height: y.length }
}

export function countPlanes({ planes }: ArrayView): number {
  return planes.reduce((product, { length }) => product * length, 1)
}

/** Largest block of the images: whole chunks where that is possible, for HDF5 decodes nothing less. */
export function blockSize(view: ArrayView): Size {
  const size = imageSize(view)
  const chunk = { width: chunkEdge(view, view.x), height: chunkEdge(view, view.y) }
  const inImage = Math.ceil(size.width / chunk.width) * Math.ceil(size.height / chunk.height)
  const areSingle = inImage * countPlanes(view) <= MAX_SINGLE_CHUNKS
  const edge = (chunkEdge: number, imageEdge: number): number => {
    const isSingle = areSingle && chunkEdge >= SMALLEST_BLOCK_EDGE && chunkEdge <= LARGEST_BLOCK_EDGE
    const wanted = isSingle ? chunkEdge : Math.max(1, Math.floor(BLOCK_EDGE / chunkEdge)) * chunkEdge
    return Math.min(imageEdge, wanted > LARGEST_BLOCK_EDGE ? BLOCK_EDGE : wanted)
  }
  return { width: edge(chunk.width, size.width), height: edge(chunk.height, size.height) }
}

/** Steps of a dimension that a chunk holds. */
function chunkEdge({ chunks, x, y }: ArrayView, { axis, stride, length }: ViewDimension): number {
  // Where rows and columns lie along one axis, chunks are no rectangles.
  if (x.axis === y.axis) return 1
  return Math.max(1, Math.min(length, Math.floor((chunks[axis] ?? 1) / stride)))
}

/** Whether chunks are bands of rows, which many blocks lie side by side in. */
export function isInBands(view: ArrayView): boolean {
  return chunkEdge(view, view.x) > SHARD_EDGE && chunkEdge(view, view.y) < SHARD_EDGE
}

/**
 * Edge along an axis of what is kept of a chunk. Bands are cut, so that all that the blocks side by side in a part of them
 * touch may be kept until the next rows come: a band is then decoded once for each part, instead of for each block.
 */
function keptEdge(view: ArrayView, axis: number): number {
  const { shape, chunks, elementBytes, x } = view
  const whole = Math.min(chunks[axis]!, shape[axis]!)
  if (axis !== x.axis || !isInBands(view)) return chunks[axis]!
  const planes = chunks.reduce((product, edge, i) => (i === axis || i === view.y.axis ? product : product * edge), 1)
  const room = Math.max(1, Math.floor(MAX_KEPT_BYTES / (SHARD_EDGE * elementBytes * planes)))
  const parts = Math.ceil(whole / room)
  return parts === 1 ? whole : Math.min(whole, SHARD_EDGE * Math.ceil(whole / parts / SHARD_EDGE))
}

/** Where each of the plane's dimensions stands; planes count with the first dimension fastest. */
export function planeSteps({ planes }: ArrayView, plane: number): number[] {
  let left = plane
  return planes.map(({ length }) => {
    const step = left % length
    left = (left - step) / length
    return step
  })
}

/** How to walk through the elements of a slab. */
export interface Walk {
  /** Of the block's first sample, in elements of the slab. */
  readonly first: number
  /** From one sample to the next, and from one row to the next. */
  readonly xStep: number
  readonly yStep: number
}

/** The elements that a block of a plane touches: half-open along each axis of the dataset, were its rows all in order. */
export function boxOf(view: ArrayView, block: ImageBlock, plane: number): { from: number[]; to: number[] } {
  const from = view.shape.map((_, axis) => view.start?.[axis] ?? 0)
  const to = from.map(start => start + 1)
  const touch = ({ axis, stride, length, isReversed }: ViewDimension, begin: number, end: number): void => {
    const [low, high] = isReversed ? [length - end, length - begin] : [begin, end]
    from[axis]! += low * stride
    to[axis]! += (high - 1) * stride
  }
  touch(view.y, block.y, block.y + block.height)
  touch(view.x, block.x, block.x + block.width)
  for (const [i, step] of planeSteps(view, plane).entries()) touch(view.planes[i]!, step, step + 1)
  return { from, to }
}

/**
 * What is decoded for a block: widened to whole chunks as far as memory goes, so that the blocks and planes that share
 * them need no further look.
 *
 * @param box as `boxOf`.
 */
export function slabAround(
  view: ArrayView,
  box: { readonly from: readonly number[]; readonly to: readonly number[] },
): Slab {
  const { shape, chunks, elementBytes } = view
  const [from, to] = [[...box.from], [...box.to]]
  const count = (): number[] => shape.map((_, axis) => to[axis]! - from[axis]!)
  const chunkBytes = chunks.reduce((product, edge) => product * edge, elementBytes)
  const maxBytes = Math.max(MAX_SLAB_BYTES, chunkBytes)
  for (const axis of shape.keys()) {
    const stepBytes = count().reduce((product, edge, i) => (i === axis ? product : product * edge), elementBytes)
    const most = Math.floor(maxBytes / stepBytes)
    const edge = keptEdge(view, axis)
    if (edge <= 1) continue
    let start = Math.floor(from[axis]! / edge) * edge
    let end = Math.min(shape[axis]!, Math.ceil(to[axis]! / edge) * edge)
    // Of planes that are decoded together as many as there is room for; of rows and columns all or none.
    if (end - start > most && to[axis]! - from[axis]! === 1) {
      start += Math.floor((from[axis]! - start) / most) * most
      end = Math.min(end, start + most)
    }
    if (end - start > most) continue
    from[axis] = start
    to[axis] = end
  }
  return { offset: from, count: count() }
}

/** How the samples of a block lie in a slab that holds them. */
export function walkThrough(view: ArrayView, block: ImageBlock, plane: number, { offset, count }: Slab): Walk {
  const sizes = count.map((_, axis) => count.slice(axis + 1).reduce((product, edge) => product * edge, 1))
  const at = ({ axis, stride, length, isReversed }: ViewDimension, step: number): number =>
    (isReversed ? length - 1 - step : step) * stride * sizes[axis]!
  const begin = offset.reduce((sum, start, axis) => sum + (start - (view.start?.[axis] ?? 0)) * sizes[axis]!, 0)
  const planes = planeSteps(view, plane).reduce((sum, step, i) => sum + at(view.planes[i]!, step), 0)
  const stepOf = (dimension: ViewDimension): number => at(dimension, 1) - at(dimension, 0)
  return {
    first: planes + at(view.y, block.y) + at(view.x, block.x) - begin,
    xStep: stepOf(view.x),
    yStep: stepOf(view.y),
  }
}
