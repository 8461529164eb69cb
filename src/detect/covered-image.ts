import type { FloatImage } from './blur.js'

/** An image and what of it is known. */
export interface CoveredImage extends FloatImage {
  /** One byte a sample, 1 = covered. */
  readonly covered: Uint8Array
}

/** The image at half the width and height, rounded up: means of what is covered of 2 × 2 samples, else of all four. */
export function halveImage(image: CoveredImage): CoveredImage {
  const half = halveCovered(image)
  const { samples, width, height } = image
  for (let y = 0, i = 0; y < half.height; y++) {
    for (let x = 0; x < half.width; x++, i++) {
      if (half.covered[i] !== 0) continue
      const [left, right] = [2 * x, Math.min(2 * x + 1, width - 1)]
      const [above, below] = [2 * y * width, Math.min(2 * y + 1, height - 1) * width]
      half.samples[i] =
        (samples[above + left] + samples[above + right] + samples[below + left] + samples[below + right]) / 4
    }
  }
  return half
}

/**
 * Give what is not covered the mean of what is covered around it, so that the edge of a mosaic is no edge to a filter:
 * each gap takes the value of the finest coarser image that has one there.
 *
 * @param image changed in place; values that are not covered do not count.
 */
export function fillUncovered(image: CoveredImage): void {
  const { samples, covered, width, height } = image
  if (samples.length <= 1 || !covered.includes(0)) return
  const half = halveCovered(image)
  fillUncovered(half)
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0, line = (y >> 1) * half.width; x < width; x++, i++) {
      if (covered[i] === 0) samples[i] = half.samples[line + (x >> 1)]
    }
  }
}

/** Means of what is covered of 2 × 2 samples; 0 where nothing is. */
function halveCovered({ samples, covered, width, height }: CoveredImage): CoveredImage {
  const half = { width: Math.ceil(width / 2), height: Math.ceil(height / 2) }
  const sums = new Float32Array(half.width * half.height)
  const counts = new Uint8Array(sums.length)
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0, line = (y >> 1) * half.width; x < width; x++, i++) {
      if (covered[i] === 0) continue
      sums[line + (x >> 1)] += samples[i]
      counts[line + (x >> 1)]++
    }
  }
  for (let i = 0; i < sums.length; i++) {
    if (counts[i] === 0) continue
    sums[i] /= counts[i]
    counts[i] = 1
  }
  return { ...half, samples: sums, covered: counts }
}
