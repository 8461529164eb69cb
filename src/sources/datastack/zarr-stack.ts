import type { Rect } from '../../plane.js'
import type { ImageStack } from '../layered-reader.js'
import type { ZarrArray } from './zarr-array.js'

/** Which axis of an array is which. */
export interface StackAxes {
  /** Undefined of an array that is one image. */
  readonly image: number | undefined
  readonly row: number
  readonly column: number
}

/** The images of an array. */
export class ZarrStack implements ImageStack {
  readonly #array: ZarrArray
  readonly #axes: StackAxes

  constructor(array: ZarrArray, axes: StackAxes) {
    this.#array = array
    this.#axes = axes
  }

  async read(image: number | 'sum', rect: Rect, into: Float64Array): Promise<void> {
    const { shape, chunkShape } = this.#array
    const { image: imageAxis, row, column } = this.#axes
    const images = imageAxis === undefined ? 1 : shape[imageAxis]!
    const imageChunk = imageAxis === undefined ? 1 : chunkShape[imageAxis]!
    const wanted = image === 'sum' ? { start: 0, end: images } : { start: image, end: image + 1 }
    const [place, start, end] = [0, 0, 1].map(value => shape.map(() => value)) as [number[], number[], number[]]
    const select = (axis: number, piece: Piece): void => {
      place[axis] = piece.chunk
      start[axis] = piece.start - piece.first
      end[axis] = piece.end - piece.first
    }
    for (const rows of pieces(rect.y0, rect.y1, chunkShape[row]!)) {
      for (const columns of pieces(rect.x0, rect.x1, chunkShape[column]!)) {
        for (const depth of pieces(wanted.start, wanted.end, imageChunk)) {
          if (imageAxis !== undefined) select(imageAxis, depth)
          select(row, rows)
          select(column, columns)
          const { samples, strides, first } = await this.#array.readChunk(place, start, end)
          const depthStride = imageAxis === undefined ? 0 : strides[imageAxis]!
          const count = depth.end - depth.start
          for (let y = rows.start; y < rows.end; y++) {
            const line = (y - rows.first) * strides[row]! + (depth.start - depth.first) * depthStride - first
            let at = (y - rect.y0) * (rect.x1 - rect.x0) + columns.start - rect.x0
            for (let x = columns.start; x < columns.end; x++, at++) {
              let from = line + (x - columns.first) * strides[column]!
              let sum = 0
              for (let i = 0; i < count; i++, from += depthStride) sum += samples[from]!
              into[at]! += sum
            }
          }
        }
      }
    }
  }
}

/** A part of an axis that lies in one chunk. */
interface Piece {
  readonly chunk: number
  /** Where the chunk begins. */
  readonly first: number
  readonly start: number
  readonly end: number
}

function pieces(start: number, end: number, chunkEdge: number): Piece[] {
  const parts: Piece[] = []
  for (let chunk = Math.floor(start / chunkEdge); chunk * chunkEdge < end; chunk++) {
    const first = chunk * chunkEdge
    parts.push({ chunk, first, start: Math.max(start, first), end: Math.min(end, first + chunkEdge) })
  }
  return parts
}
