import { allocateSamples, type Plane, type Size } from '../plane.js'
import type { ImageOrientation } from './build-settings.js'

/** Whether a rotation exchanges the axes. */
export function exchangesAxes({ rotate }: ImageOrientation): boolean {
  return rotate === 90 || rotate === 270
}

/** Width and height after the rotation. */
export function orientedSize({ width, height }: Size, orientation: ImageOrientation): Size {
  return exchangesAxes(orientation) ? { width: height, height: width } : { width, height }
}

/** Mirror and rotate a plane: flips first, then the rotation, clockwise. The plane itself is returned if nothing turns. */
export function orientPlane(plane: Plane, orientation: ImageOrientation): Plane {
  const { flipX, flipY, rotate } = orientation
  if (!flipX && !flipY && rotate === 0) return plane
  const { width, height, sampleType, samples } = plane
  const out = orientedSize(plane, orientation)
  const result = allocateSamples(sampleType, samples.length)
  for (let y = 0; y < out.height; y++) {
    for (let x = 0; x < out.width; x++) {
      // Where the sample at (x, y) stood before the rotation, then before the flips.
      let fromX = rotate === 90 ? y : rotate === 180 ? width - 1 - x : rotate === 270 ? width - 1 - y : x
      let fromY = rotate === 90 ? height - 1 - x : rotate === 180 ? height - 1 - y : rotate === 270 ? x : y
      if (flipX) fromX = width - 1 - fromX
      if (flipY) fromY = height - 1 - fromY
      result[y * out.width + x] = samples[fromY * width + fromX]
    }
  }
  return { ...out, sampleType, samples: result }
}
