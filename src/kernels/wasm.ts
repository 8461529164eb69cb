import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { builtModule } from '../built-module.js'
import { fromSystemError } from '../errors.js'
import type { Kernels } from './kernels.js'

/** Beside this file's folder when it is compiled, and found from its source as well. */
const MODULE = builtModule('kernels.wasm')

const PAGE_BYTES = 2 ** 16
/** Loads of sixteen bytes may begin on the last one of the arena. */
const READABLE_BEHIND = 16
/** Records that a call may hand over, of four numbers each: see kernels/memory-map.ts. */
const MAX_RECORDS = 1024
const RECORD_NUMBERS = 4
/** Positions in a stream are counted in bits, in 32 of them. */
const MAX_STREAM_BYTES = 2 ** 28
const MAX_TILE_SAMPLES = 2 ** 20
/** c-blosc takes shorter planes to be one stream, whatever the frame says. */
const MIN_TILE_SAMPLES = 128
const SAMPLE_VALUES = 2 ** 16
/** Of a deflate block: symbols, and lengths of runs that a match may have, 0 included. */
const DEFLATE_SYMBOLS = 286
const RUN_LENGTHS = 259

/** What kernels/index.ts exports; arrays are passed as addresses. */
interface Exports {
  readonly memory: WebAssembly.Memory
  readonly ARENA: WebAssembly.Global
  readonly RECORDS: WebAssembly.Global
  decodeHuffman(count: number): void
  copy(target: number, targetStride: number, source: number, stride: number, width: number, height: number): void
  average(target: number, stride: number, width: number, height: number, count: number): void
  sum(samples: number, stride: number, width: number, height: number): number
  reduce(
    samples: number,
    edge: number,
    mask: number,
    countsAbsent: number,
    absentAs: number,
    target: number,
    stride: number,
  ): void
  histogram(samples: number, length: number, mask: number, counts: number): void
  encodeTile(samples: number, length: number, frame: number): number
  unpackLz4(source: number, length: number, target: number, capacity: number): number
  unshuffle(planes: number, count: number, size: number, target: number): void
  lookUp(samples: number, length: number, table: number, target: number): void
  filterAverage(pixels: number, rowBytes: number, pixelBytes: number, rows: number, target: number): void
  findSymbols(
    bytes: number,
    length: number,
    symbols: number,
    counts: number,
    matchOfRun: number,
    lengthOfMatch: number,
  ): number
  writeCodes(symbols: number, count: number, codes: number, out: number, bit: number): number
  adler32(bytes: number, length: number, sum: number): number
}

/**
 * Read and compile the kernels. A process does it once and hands the module to its workers.
 *
 * @throws {NotFoundError} the program is not built.
 */
export function compileKernels(): WebAssembly.Module {
  const path = fileURLToPath(MODULE)
  try {
    return new WebAssembly.Module(readFileSync(path))
  } catch (error) {
    throw fromSystemError(error, path)
  }
}

/**
 * Kernels with memory of their own. They belong to one thread.
 *
 * @param arenaBytes all that `allocate` can hand out. Memory that was not handed out and written to costs nothing.
 * @throws {RangeError} there is no memory of this size.
 */
export function createKernels(module: WebAssembly.Module, arenaBytes: number): Kernels {
  const exports = new WebAssembly.Instance(module).exports as unknown as Exports
  const arenaStart: number = exports.ARENA.value
  const arenaEnd = arenaStart + arenaBytes
  const missing = arenaEnd + READABLE_BEHIND - exports.memory.buffer.byteLength
  exports.memory.grow(Math.max(0, Math.ceil(missing / PAGE_BYTES)))
  const { buffer } = exports.memory
  const records = new Uint32Array(buffer, exports.RECORDS.value, MAX_RECORDS * RECORD_NUMBERS)
  let free = arenaStart

  /** The address of an array. */
  const addressOf = (array: Uint8Array | Uint16Array | Uint32Array): number => {
    if (array.buffer !== buffer) throw new TypeError('an array for the kernels must lie in memory that they allocated')
    return array.byteOffset
  }

  /** The address of a rectangle of samples. */
  const placeOf = (samples: Uint16Array, offset: number, stride: number, width: number, height: number): number => {
    const last = offset + (height - 1) * stride + width
    if (!(offset >= 0 && width >= 0 && height >= 0 && stride >= width && last <= samples.length))
      throw new RangeError(
        `${width} × ${height} samples from ${offset} on, ${stride} a row, leave an array of ${samples.length}`,
      )
    return addressOf(samples) + 2 * offset
  }

  /** The address of a mask, 0 for none. */
  const maskOf = (mask: Uint8Array | undefined, length: number): number => {
    if (mask === undefined) return 0
    expectLength('a mask', mask.length, length)
    return addressOf(mask)
  }

  return {
    allocate(bytes) {
      const start = Math.ceil(free / 16) * 16
      if (!(bytes >= 0) || start + bytes > arenaEnd)
        throw new RangeError(
          `${bytes} bytes do not fit the ${arenaEnd - free} that are left of ${arenaBytes} for the kernels`,
        )
      free = start + bytes
      return new Uint8Array(buffer, start, bytes)
    },

    decodeHuffman(inputs, outputs) {
      expectLength('the outputs', outputs.length, inputs.length)
      const decoded: boolean[] = []
      for (let start = 0; start < inputs.length; start += MAX_RECORDS) {
        const count = Math.min(MAX_RECORDS, inputs.length - start)
        for (let i = 0; i < count; i++) {
          const input = inputs[start + i]
          const output = outputs[start + i]
          if (input.length >= MAX_STREAM_BYTES) throw new RangeError(`a stream of ${input.length} bytes`)
          records.set([addressOf(input), input.length, addressOf(output), output.length], RECORD_NUMBERS * i)
        }
        exports.decodeHuffman(count)
        for (let i = 0; i < count; i++) decoded.push(records[RECORD_NUMBERS * i] === 1)
      }
      return decoded
    },

    copy(target, targetOffset, targetStride, samples, offset, stride, width, height) {
      const to = placeOf(target, targetOffset, targetStride, width, height)
      const from = placeOf(samples, offset, stride, width, height)
      exports.copy(to, 2 * targetStride, from, 2 * stride, 2 * width, height)
    },

    average(target, targetOffset, targetStride, width, height, frames) {
      if (frames.length === 0 || frames.length > MAX_RECORDS) throw new RangeError(`a mean of ${frames.length} frames`)
      const to = placeOf(target, targetOffset, targetStride, width, height)
      let record = 0
      for (const { samples, offset, stride, weightsX, offsetX, weightsY, offsetY } of frames) {
        records[record++] = placeOf(samples, offset, stride, width, height)
        records[record++] = 2 * stride
        records[record++] = placeOf(weightsX, offsetX, width, width, 1)
        records[record++] = placeOf(weightsY, offsetY, height, height, 1)
      }
      exports.average(to, 2 * targetStride, width, height, frames.length)
    },

    sum(samples, offset, stride, width, height) {
      return exports.sum(placeOf(samples, offset, stride, width, height), 2 * stride, width, height)
    },

    reduce(samples, edge, mask, absentAs, target, targetOffset, targetStride) {
      if (edge % 2 !== 0) throw new RangeError(`a tile of ${edge} pixels cannot be halved`)
      const from = placeOf(samples, 0, edge, edge, edge)
      const to = placeOf(target, targetOffset, targetStride, edge / 2, edge / 2)
      const countsAbsent = absentAs === undefined ? 0 : 1
      exports.reduce(from, edge, maskOf(mask, edge * edge), countsAbsent, absentAs ?? 0, to, 2 * targetStride)
    },

    histogram(samples, mask, counts) {
      expectLength('counts', counts.length, SAMPLE_VALUES)
      exports.histogram(addressOf(samples), samples.length, maskOf(mask, samples.length), addressOf(counts))
    },

    encodeTile(samples, out, at) {
      if (samples.length < MIN_TILE_SAMPLES || samples.length > MAX_TILE_SAMPLES)
        throw new RangeError(`a tile of ${samples.length} samples`)
      if (at < 0 || at + 28 + 2 * samples.length > out.length)
        throw new RangeError(`a tile of ${samples.length} samples may not fit ${out.length - at} bytes`)
      return exports.encodeTile(addressOf(samples), samples.length, addressOf(out) + at)
    },

    unpackLz4(packed, target) {
      return exports.unpackLz4(addressOf(packed), packed.length, addressOf(target), target.length) !== 0
    },

    unshuffle(planes, size, target) {
      expectLength('the target', target.length, planes.length)
      if (planes.length % size !== 0) throw new RangeError(`${planes.length} bytes for samples of ${size}`)
      exports.unshuffle(addressOf(planes), planes.length / size, size, addressOf(target))
    },

    lookUp(samples, table, target) {
      expectLength('the table', table.length, SAMPLE_VALUES)
      expectLength('the target', target.length, samples.length)
      exports.lookUp(addressOf(samples), samples.length, addressOf(table), addressOf(target))
    },

    filterAverage(pixels, rowBytes, pixelBytes, target) {
      const rows = pixels.length / rowBytes - 1
      if (!(Number.isInteger(rows) && rows >= 0 && pixelBytes <= rowBytes))
        throw new RangeError(`${pixels.length} bytes of pixels in rows of ${rowBytes}`)
      expectLength('the target', target.length, rows * (rowBytes + 1))
      exports.filterAverage(addressOf(pixels) + rowBytes, rowBytes, pixelBytes, rows, addressOf(target))
    },

    findSymbols(bytes, matchOfRun, lengthOfMatch, symbols, counts) {
      expectLength('matches of runs', matchOfRun.length, RUN_LENGTHS)
      expectLength('lengths of matches', lengthOfMatch.length, DEFLATE_SYMBOLS)
      expectLength('counts', counts.length, DEFLATE_SYMBOLS)
      if (symbols.length < bytes.length)
        throw new RangeError(`${bytes.length} symbols do not fit an array of ${symbols.length}`)
      return exports.findSymbols(
        addressOf(bytes),
        bytes.length,
        addressOf(symbols),
        addressOf(counts),
        addressOf(matchOfRun),
        addressOf(lengthOfMatch),
      )
    },

    writeCodes(symbols, codes, out, bit) {
      expectLength('codes', codes.length, DEFLATE_SYMBOLS)
      if (bit < 0 || bit / 8 + 3 * symbols.length + 8 > out.length)
        throw new RangeError(`${symbols.length} codes may not fit ${out.length} bytes from bit ${bit} on`)
      return exports.writeCodes(addressOf(symbols), symbols.length, addressOf(codes), addressOf(out), bit)
    },

    adler32(bytes, sum) {
      return exports.adler32(addressOf(bytes), bytes.length, sum) >>> 0
    },
  }
}

function expectLength(what: string, length: number, expected: number): void {
  if (length !== expected) throw new RangeError(`${what} of length ${length} where ${expected} is expected`)
}
