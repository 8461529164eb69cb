import { CorruptDataError } from '../errors.js'
import { encodeBlosc } from '../pyramid/blosc.js'
import { roundHalfEven } from '../pyramid/mosaic-geometry.js'
import { decodeHuffman } from '../sources/pyme/huffman.js'
import { greyOf, type Kernels } from './kernels.js'

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

    shade(samples, black, white, gamma, target) {
      for (let i = 0; i < samples.length; i++) target[i] = greyOf(samples[i], black, white, gamma)
    },
  }
}
