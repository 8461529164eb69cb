import { uncompressSync } from 'lz4-napi'
import { CorruptDataError } from '../errors.js'
import { encodeBlosc } from '../pyramid/blosc.js'
import { roundHalfEven } from '../pyramid/mosaic-geometry.js'
import { decodeHuffman } from '../sources/pyme/huffman.js'
import type { Kernels } from './kernels.js'

/** As in kernels/deflate.ts. */
const STRIDE = 16
const SHORTEST_MATCH = 3
const LONGEST_MATCH = 258

/** The kernels in plain TypeScript: what the machine code is tested against, and what it is timed against. */
export function createReferenceKernels(): Kernels {
  return {
    allocate: bytes => new Uint8Array(bytes),

    decodeHuffman: (inputs, outputs) =>
      inputs.map((input, i) => {
        try {
          decodeHuffman(input, outputs[i], 'a stream')
          return true
        } catch (error) {
          if (error instanceof CorruptDataError) return false
          throw error
        }
      }),

    copy(target, targetOffset, targetStride, samples, offset, stride, width, height) {
      for (let y = 0; y < height; y++) {
        const from = offset + y * stride
        target.set(samples.subarray(from, from + width), targetOffset + y * targetStride)
      }
    },

    average(target, targetOffset, targetStride, width, height, frames) {
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          let weights = 0
          let sum = 0
          for (const { samples, offset, stride, weightsX, offsetX, weightsY, offsetY } of frames) {
            const weight = weightsX[offsetX + x] * weightsY[offsetY + y]
            weights += weight
            sum += weight * samples[offset + y * stride + x]
          }
          target[targetOffset + y * targetStride + x] = roundHalfEven(sum / weights)
        }
      }
    },

    sum(samples, offset, stride, width, height) {
      let total = 0
      for (let y = 0; y < height; y++) {
        const row = offset + y * stride
        for (let x = row; x < row + width; x++) total += samples[x]
      }
      return total
    },

    reduce(samples, edge, mask, absentAs, target, targetOffset, targetStride) {
      for (let y = 0; y < edge / 2; y++) {
        for (let x = 0; x < edge / 2; x++) {
          const first = 2 * y * edge + 2 * x
          const block = [first, first + 1, first + edge, first + edge + 1]
          const covered = mask === undefined ? block : block.filter(i => mask[i] !== 0)
          const sum = covered.reduce((total, i) => total + samples[i], 0)
          let mean = 0
          if (covered.length > 0) {
            mean = absentAs === undefined ? sum / covered.length : (sum + (4 - covered.length) * absentAs) / 4
          }
          target[targetOffset + y * targetStride + x] = roundHalfEven(mean)
        }
      }
    },

    histogram(samples, mask, counts) {
      for (let i = 0; i < samples.length; i++) if (mask === undefined || mask[i] !== 0) counts[samples[i]]++
    },

    encodeTile(samples, out, at) {
      const frame = encodeBlosc(new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength), 2)
      out.set(frame, at)
      return frame.length
    },

    unpackLz4(packed, target) {
      const withLength = Buffer.alloc(4 + packed.length)
      withLength.writeUInt32LE(target.length)
      withLength.set(packed, 4)
      try {
        const bytes = uncompressSync(withLength)
        target.set(bytes)
        return bytes.length === target.length
      } catch {
        return false
      }
    },

    unshuffle(planes, size, target) {
      const samples = planes.length / size
      for (let i = 0; i < samples; i++)
        for (let plane = 0; plane < size; plane++) target[i * size + plane] = planes[plane * samples + i]
    },

    lookUp(samples, table, target) {
      for (let i = 0; i < samples.length; i++) target[i] = table[samples[i]]
    },

    filterAverage(pixels, rowBytes, pixelBytes, target) {
      const rows = pixels.length / rowBytes - 1
      for (let y = 0; y < rows; y++) {
        target[y * (rowBytes + 1)] = 3
        for (let x = 0; x < rowBytes; x++) {
          const at = (y + 1) * rowBytes + x
          const left = x < pixelBytes ? 0 : pixels[at - pixelBytes]
          target[y * (rowBytes + 1) + 1 + x] = pixels[at] - Math.floor((left + pixels[at - rowBytes]) / 2)
        }
      }
    },

    findSymbols(bytes, matchOfRun, lengthOfMatch, symbols, counts) {
      const found: number[] = []
      for (let at = 0; at < bytes.length; ) {
        let runEnd = at
        while (at > 0 && runEnd < bytes.length && bytes[runEnd] === bytes[at - 1]) runEnd++
        while (runEnd - at >= (found.at(-1) === bytes[at - 1] ? STRIDE : SHORTEST_MATCH)) {
          const match = matchOfRun[Math.min(LONGEST_MATCH, runEnd - at)]
          found.push(match)
          at += lengthOfMatch[match]
        }
        const stop = Math.min(bytes.length, at + STRIDE)
        for (; at < stop; at++) found.push(bytes[at])
      }
      symbols.set(found)
      for (const symbol of found) counts[symbol]++
      return found.length
    },

    writeCodes(symbols, codes, out, bit) {
      let at = bit
      for (const symbol of symbols) {
        for (let i = 0; i < (codes[symbol] & 255); i++, at++) {
          const mask = 1 << (at % 8)
          out[at >> 3] = (out[at >> 3] & ~mask) | ((codes[symbol] >> (8 + i)) & 1 ? mask : 0)
        }
      }
      return at
    },

    adler32(bytes, sum) {
      let [low, high] = [sum % 65536, Math.floor(sum / 65536)]
      for (const byte of bytes) {
        low = (low + byte) % 65521
        high = (high + low) % 65521
      }
      return high * 65536 + low
    },
  }
}
