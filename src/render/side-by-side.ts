import type { Size } from '../plane.js'
import { type Raster, toRgb } from './raster.js'

/** Size of `count` pictures beside each other, px. */
export function sideBySideSize({ width, height }: Size, count: number, gap: number): Size {
  return { width: count * width + (count - 1) * gap, height }
}

/**
 * Put pictures of one size beside each other, in their order from the left.
 *
 * @param gap between two of them, px; nothing covers it.
 */
export function joinSideBySide(rasters: readonly Raster[], gap: number): Raster {
  const [{ palette }] = rasters
  const isAlike = rasters.every(raster => raster.channels === 1 && raster.palette === palette)
  const parts = isAlike ? rasters : rasters.map(toRgb)
  const [{ channels, width, height }] = parts
  const whole = sideBySideSize({ width, height }, parts.length, gap)
  const pixels = new Uint8Array(channels * whole.width * height)
  const covered = new Uint8Array(whole.width * height)
  for (const [i, part] of parts.entries()) {
    for (let y = 0; y < height; y++) {
      const [from, to] = [y * width, y * whole.width + i * (width + gap)]
      pixels.set(part.pixels.subarray(channels * from, channels * (from + width)), channels * to)
      if (part.covered) covered.set(part.covered.subarray(from, from + width), to)
      else covered.fill(1, to, to + width)
    }
  }
  const isWhole = gap === 0 && parts.every(part => !part.covered)
  return { ...whole, channels, pixels, palette: isAlike ? palette : undefined, covered: isWhole ? undefined : covered }
}
