import type { Size } from '../plane.js'

/** Kernels reach this many standard deviations. */
const REACH_SIGMAS = 4

/** Float samples, row-major. */
export interface FloatImage extends Size {
  readonly samples: Float32Array
}

/** Standard deviation along x and along y, px. */
export interface Sigma {
  readonly x: number
  readonly y: number
}

/** Pixels around a place that a blur takes into account. */
export function reachOf({ x, y }: Sigma): number {
  return Math.ceil(REACH_SIGMAS * Math.max(x, y))
}

/** The image convolved with a Gaussian; what lies beyond its edges is taken to be like them. */
export function blur(image: FloatImage, sigma: Sigma): FloatImage {
  const { width, height } = image
  const rows = new Float32Array(width * height)
  blurRows(image.samples, rows, width, height, halfGaussian(sigma.x))
  const samples = new Float32Array(width * height)
  blurColumns(rows, samples, width, height, halfGaussian(sigma.y))
  return { width, height, samples }
}

function blurRows(from: Float32Array, to: Float32Array, width: number, height: number, kernel: Float64Array): void {
  const reach = kernel.length - 1
  const line = new Float32Array(width + 2 * reach)
  for (let y = 0; y < height; y++) {
    const start = y * width
    line.set(from.subarray(start, start + width), reach)
    line.fill(from[start], 0, reach)
    line.fill(from[start + width - 1], reach + width)
    for (let x = 0; x < width; x++) to[start + x] = kernel[0] * line[reach + x]
    for (let k = 1; k <= reach; k++) addPair(to, start, line, reach - k, reach + k, width, kernel[k])
  }
}

function blurColumns(from: Float32Array, to: Float32Array, width: number, height: number, kernel: Float64Array): void {
  for (let y = 0; y < height; y++) {
    const start = y * width
    for (let x = 0; x < width; x++) to[start + x] = kernel[0] * from[start + x]
    for (let k = 1; k < kernel.length; k++) {
      const above = Math.max(0, y - k) * width
      const below = Math.min(height - 1, y + k) * width
      addPair(to, start, from, above, below, width, kernel[k])
    }
  }
}

/** Add two pieces of lines, weighted, to a third one. */
function addPair(
  to: Float32Array,
  start: number,
  from: Float32Array,
  first: number,
  second: number,
  width: number,
  weight: number,
): void {
  for (let x = 0; x < width; x++) to[start + x] += weight * (from[first + x] + from[second + x])
}

/** The middle of a Gaussian and its values on one side; with those of the other side, they add up to 1. */
function halfGaussian(sigma: number): Float64Array {
  const reach = Math.ceil(REACH_SIGMAS * sigma)
  const half = Float64Array.from({ length: reach + 1 }, (_, x) => Math.exp(-(x * x) / (2 * sigma * sigma)))
  const total = half.reduce((sum, value) => sum + 2 * value, -half[0])
  return half.map(value => value / total)
}
