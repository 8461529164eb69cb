import type { Kernels } from '../kernels/kernels.js'
import { allocateSamples, type Plane, SAMPLE_TYPES, type SampleArray } from '../plane.js'
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
      const above = 2 * y * width + 2 * x
      const below = above + width
      const to = y * halfWidth + x
      const covered = mask[above] + mask[above + 1] + mask[below] + mask[below + 1]
      // Most blocks of integers are covered as a whole: no test per sample, and the rounding is exact in integers.
      if (integer && covered === 4) {
        const sum = samples[above] + samples[above + 1] + samples[below] + samples[below + 1]
        const quarter = Math.floor(sum / 4)
        const rest = sum - 4 * quarter
        out[to] = rest > 2 || (rest === 2 && quarter % 2 !== 0) ? quarter + 1 : quarter
      } else if (covered > 0) out[to] = meanOfBlock(samples, mask, above, below, integer, absentAs)
      else if (!integer) out[to] = Number.NaN
    }
  }
  return { width: halfWidth, height: halfHeight, sampleType, samples: out }
}

/**
 * Halve a square tile into a part of a larger plane; as `reducePlane`.
 *
 * @param mask undefined where all of the tile is covered. @param to where its first sample goes. @param stride of the rows there.
 */
export function reduceInto(
  kernels: Kernels,
  tile: Plane,
  mask: Uint8Array | undefined,
  absentAs: number | undefined,
  target: SampleArray,
  to: number,
  stride: number,
): void {
  const edge = tile.width
  const sameMemory = tile.samples.buffer === target.buffer
  if (tile.samples instanceof Uint16Array && target instanceof Uint16Array && sameMemory) {
    kernels.reduce(tile.samples, edge, mask, absentAs, target, to, stride)
    return
  }
  const half = reducePlane(tile, mask ?? new Uint8Array(edge * edge).fill(1), absentAs)
  for (let line = 0; line < half.height; line++)
    target.set(half.samples.subarray(line * half.width, (line + 1) * half.width), to + line * stride)
}

function meanOfBlock(
  samples: SampleArray,
  mask: Uint8Array,
  above: number,
  below: number,
  integer: boolean,
  absentAs: number | undefined,
): number {
  let sum = 0
  let count = 0
  for (const i of [above, above + 1, below, below + 1]) {
    if (mask[i] === 0 || Number.isNaN(samples[i])) continue
    sum += samples[i]
    count++
  }
  if (count === 0) return Number.NaN
  if (absentAs !== undefined) {
    sum += (4 - count) * absentAs
    count = 4
  }
  return integer ? roundHalfEven(sum / count) : sum / count
}
