import type { FileHandle } from 'node:fs/promises'
import type { Rect } from '../../plane.js'
import type { ImageStack } from '../layered-reader.js'
import { NUMBER_ARRAYS } from '../number-arrays.js'
import { readAt } from '../read-at.js'
import { readUnchanged } from '../unchanged-file.js'
import { RAW_SAMPLES, type RawHeader } from './raw-header.js'

/** Read at once; a spectrum of the most channels is no longer. */
const PIECE_BYTES = 8 * 2 ** 20

/** The images of the channels of a `.raw` file. */
export class RawStack implements ImageStack {
  readonly #path: string
  readonly #stamp: string
  readonly #header: RawHeader

  /** @param stamp of the version of the file that is read. */
  constructor(path: string, stamp: string, header: RawHeader) {
    this.#path = path
    this.#stamp = stamp
    this.#header = header
  }

  read(image: number | 'sum', rect: Rect, into: Float64Array): Promise<void> {
    const { depth, isByVector } = this.#header
    const [first, end] = image === 'sum' ? [0, depth] : [image, image + 1]
    return readUnchanged(this.#path, this.#stamp, async file => {
      if (isByVector) await this.#addVectors(file, rect, first, end, into)
      else for (let channel = first; channel < end; channel++) await this.#addImage(file, rect, channel, into)
    })
  }

  async #addVectors(file: FileHandle, rect: Rect, first: number, end: number, into: Float64Array): Promise<void> {
    const { width, depth, sample } = this.#header
    const pixels = Math.max(1, Math.floor(PIECE_BYTES / (depth * RAW_SAMPLES[sample].bytes)))
    let at = 0
    for (let y = rect.y0; y < rect.y1; y++) {
      for (let x = rect.x0; x < rect.x1; x += pixels) {
        const count = Math.min(pixels, rect.x1 - x)
        const spectra = await this.#readSamples(file, (y * width + x) * depth, count * depth)
        for (let pixel = 0; pixel < count; pixel++, at++) {
          let sum = 0
          for (let i = pixel * depth + first; i < pixel * depth + end; i++) sum += Number(spectra[i]!)
          into[at]! += sum
        }
      }
    }
  }

  /** Whole rows are read: these are few long reads where there are many images. */
  async #addImage(file: FileHandle, rect: Rect, channel: number, into: Float64Array): Promise<void> {
    const { width, height, sample } = this.#header
    const rows = Math.max(1, Math.floor(PIECE_BYTES / (width * RAW_SAMPLES[sample].bytes)))
    let at = 0
    for (let y = rect.y0; y < rect.y1; y += rows) {
      const count = Math.min(rows, rect.y1 - y)
      const samples = await this.#readSamples(file, (channel * height + y) * width, count * width)
      for (let row = 0; row < count; row++) {
        const start = row * width
        for (let i = start + rect.x0; i < start + rect.x1; i++) into[at++]! += Number(samples[i]!)
      }
    }
  }

  /** @param first number of the first sample in the file. */
  async #readSamples(file: FileHandle, first: number, count: number): Promise<ArrayLike<number | bigint>> {
    const { offset, sample, isBigEndian } = this.#header
    const { bytes } = RAW_SAMPLES[sample]
    const buffer = await readAt(file, offset + first * bytes, count * bytes, this.#path)
    if (isBigEndian && bytes === 2) buffer.swap16()
    if (isBigEndian && bytes === 4) buffer.swap32()
    if (isBigEndian && bytes === 8) buffer.swap64()
    return new NUMBER_ARRAYS[sample](buffer.buffer as ArrayBuffer, buffer.byteOffset, count)
  }
}
