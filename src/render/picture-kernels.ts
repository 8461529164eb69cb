import { compileKernels, createKernels } from '../kernels/wasm.js'
import {
  codeLengths,
  codesOf,
  END_OF_BLOCK,
  LENGTH_OF_MATCH,
  MATCH_OF_RUN,
  SYMBOLS,
  writeBlockHeader,
} from './deflate-codes.js'
import { MAX_EDGE } from './picture.js'

const MAX_ROW_BYTES = 4 * MAX_EDGE.png
/** Filtered bytes that share their codes: a tile, or some rows of a larger picture, and the widest row in any case. */
const BLOCK_BYTES = MAX_ROW_BYTES + 1
const SAMPLE_VALUES = 2 ** 16
/** Three bytes a symbol are more than enough, and so are a thousand for what surrounds them. */
const OUT_BYTES = 3 * (BLOCK_BYTES + 1) + 1000
/** Of what is allocated below, with its padding. Memory that no picture needs is never touched. */
const ARENA_BYTES = 2 ** 22

/** What begins a zlib stream: the method, and how hard it tried. */
const ZLIB_HEADER = [0x78, 0x01]

/** The loops over pixels as machine code, for the thread that draws. Pictures go through its memory in parts. */
export class PictureKernels {
  readonly #kernels = createKernels(compileKernels(), ARENA_BYTES)
  readonly #table = this.#kernels.allocate(SAMPLE_VALUES)
  readonly #pixels = this.#kernels.allocate(BLOCK_BYTES + MAX_ROW_BYTES)
  readonly #filtered = this.#kernels.allocate(BLOCK_BYTES)
  readonly #symbols = this.#allocate16(BLOCK_BYTES + 1)
  readonly #matchOfRun = this.#allocate16(MATCH_OF_RUN.length)
  readonly #lengthOfMatch = this.#allocate16(SYMBOLS)
  readonly #counts = this.#allocate32(SYMBOLS)
  readonly #codes = this.#allocate32(SYMBOLS)
  readonly #out = this.#kernels.allocate(OUT_BYTES)
  /** Which table `#table` is a copy of. */
  #loaded: Uint8Array | undefined

  constructor() {
    this.#matchOfRun.set(MATCH_OF_RUN)
    this.#lengthOfMatch.set(LENGTH_OF_MATCH)
  }

  /** The entry of a table (of length 65,536) for each sample. A table is not to be changed once it was used. */
  lookUp(samples: Uint16Array, table: Uint8Array, target: Uint8Array): void {
    if (this.#loaded !== table) this.#table.set(table)
    this.#loaded = table
    const part = this.#filtered.length
    for (let start = 0; start < samples.length; start += part) {
      const length = Math.min(part, samples.length - start)
      this.#symbols.set(samples.subarray(start, start + length))
      const found = this.#filtered.subarray(0, length)
      this.#kernels.lookUp(this.#symbols.subarray(0, length), this.#table, found)
      target.set(found, start)
    }
  }

  /**
   * The rows of a PNG, filtered and compressed: a zlib stream, in parts.
   *
   * @param pixels whole rows, each as wide as `MAX_EDGE` allows, of four bytes a pixel, at most.
   * @param pixelBytes of one pixel.
   */
  *compressRows(pixels: Uint8Array, rowBytes: number, pixelBytes: number): Generator<Uint8Array> {
    const height = pixels.length / rowBytes
    const rowsAtOnce = Math.floor(BLOCK_BYTES / (rowBytes + 1))
    const out = this.#out
    out.set(ZLIB_HEADER)
    let bit = 8 * ZLIB_HEADER.length
    let checksum = 1
    for (let row = 0; row < height; row += rowsAtOnce) {
      const end = Math.min(height, row + rowsAtOnce)
      const filtered = this.#filter(pixels, rowBytes, pixelBytes, row, end)
      checksum = this.#kernels.adler32(filtered, checksum)
      bit = this.#writeBlock(filtered, bit, end === height)
      if (end < height) {
        yield out.slice(0, bit >> 3)
        out[0] = out[bit >> 3]
        bit &= 7
      }
    }
    const length = Math.ceil(bit / 8)
    out.set([checksum >> 24, checksum >> 16, checksum >> 8, checksum], length)
    yield out.slice(0, length + 4)
  }

  #filter(pixels: Uint8Array, rowBytes: number, pixelBytes: number, start: number, end: number): Uint8Array {
    const above = this.#pixels.subarray(0, rowBytes)
    if (start === 0) above.fill(0)
    else above.set(pixels.subarray((start - 1) * rowBytes, start * rowBytes))
    this.#pixels.set(pixels.subarray(start * rowBytes, end * rowBytes), rowBytes)
    const filtered = this.#filtered.subarray(0, (end - start) * (rowBytes + 1))
    const withAbove = this.#pixels.subarray(0, (end - start + 1) * rowBytes)
    this.#kernels.filterAverage(withAbove, rowBytes, pixelBytes, filtered)
    return filtered
  }

  /** @returns the bit behind the block. */
  #writeBlock(bytes: Uint8Array, start: number, isLast: boolean): number {
    const counts = this.#counts.fill(0)
    const symbols = this.#symbols
    const count = this.#kernels.findSymbols(bytes, this.#matchOfRun, this.#lengthOfMatch, symbols, counts)
    symbols[count] = END_OF_BLOCK
    counts[END_OF_BLOCK] = 1
    const lengths = codeLengths(counts)
    this.#codes.set(codesOf(lengths))
    const bit = writeBlockHeader(this.#out, start, lengths, isLast)
    return this.#kernels.writeCodes(symbols.subarray(0, count + 1), this.#codes, this.#out, bit)
  }

  #allocate16(length: number): Uint16Array {
    const { buffer, byteOffset } = this.#kernels.allocate(2 * length)
    return new Uint16Array(buffer, byteOffset, length)
  }

  #allocate32(length: number): Uint32Array {
    const { buffer, byteOffset } = this.#kernels.allocate(4 * length)
    return new Uint32Array(buffer, byteOffset, length)
  }
}

let kernels: PictureKernels | undefined

/** Those of this thread. */
export function pictureKernels(): PictureKernels {
  kernels ??= new PictureKernels()
  return kernels
}
