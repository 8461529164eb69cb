import { allocateSamples, type Plane, SAMPLE_TYPES } from '../plane.js'
import { roundHalfEven } from './mosaic-geometry.js'

/**
 * Halve a plane: every sample of the result is the mean of its 2 × 2 covered samples, integers rounded half to even.
 *
 * @param plane stored samples; width and height are even.
 * @param mask one byte a sample, 1 = covered. NaN samples count as not covered.
 * @param absentAs what samples that are not covered count as; undefined leaves them out of the mean. (PYME counts them
 *   as nothing above dark, so its plates fade at their borders.)
 * @returns half the width and height; 0 or NaN where none of the four was covered.
 */
export function reducePlane(plane: Plane, mask: Uint8Array, absentAs?: number): Plane {
  const { width, height, sampleType, samples } = plane
  const { integer } = SAMPLE_TYPES[sampleType]
  const halfWidth = width / 2
  const halfHeight = height / 2
  const out = allocateSamples(sampleType, halfWidth * halfHeight)
  for (let y = 0; y < halfHeight; y++) {
    for (let x = 0; x < halfWidth; x++) {
      const first = 2 * y * width + 2 * x
      let sum = 0
      let count = 0
      for (let k = 0; k < 4; k++) {
        const i = first + (k >> 1) * width + (k & 1)
        const value = samples[i]
        if (mask[i] === 0 || Number.isNaN(value)) continue
        sum += value
        count++
      }
      if (count === 0) {
        if (!integer) out[y * halfWidth + x] = Number.NaN
        continue
      }
      if (absentAs !== undefined) {
        sum += (4 - count) * absentAs
        count = 4
      }
      const mean = sum / count
      out[y * halfWidth + x] = integer ? roundHalfEven(mean) : mean
    }
  }
  return { width: halfWidth, height: halfHeight, sampleType, samples: out }
}
