import sharp from 'sharp'
import type { Plane } from '../plane.js'

// A tile is one small image: libvips' own threads and its operation cache only cost there.
sharp.concurrency(1)
sharp.cache(false)

/** How samples become grey: `min` is black, `max` is white, in stored values. */
export interface GreyView {
  readonly min: number
  readonly max: number
  /** Shown is t^gamma, t being the place between black and white. */
  readonly gamma: number
}

/** 8-bit grey, row-major, and the alpha of each pixel where not all are opaque. */
export interface GreyTile {
  readonly grey: Uint8Array
  readonly alpha: Uint8Array | undefined
}

/**
 * Grey values of a tile.
 *
 * @param mask one byte a sample, 1 = covered; undefined: all are. What is not covered, and NaN, is transparent.
 */
export function shadeTile({ samples }: Plane, mask: Uint8Array | undefined, { min, max, gamma }: GreyView): GreyTile {
  const grey = new Uint8Array(samples.length)
  let alpha: Uint8Array | undefined
  const range = max - min
  for (let i = 0; i < samples.length; i++) {
    const value = samples[i]
    if ((mask !== undefined && mask[i] === 0) || Number.isNaN(value)) {
      alpha ??= new Uint8Array(samples.length).fill(255)
      alpha[i] = 0
    } else {
      const t = Math.min(1, Math.max(0, (value - min) / range))
      grey[i] = Math.round(255 * (gamma === 1 ? t : t ** gamma))
    }
  }
  return { grey, alpha }
}

/**
 * Grey values as PYME's viewer draws them: the square root of counts − dark, cut to a whole number. Nothing is
 * transparent there; what is not covered is black. Where PYME wraps around (above 65,535), white stays white.
 *
 * @param pedestal the stored value that stands for dark.
 * @param window counts − dark shown black and white, linearly, instead of the square root.
 */
export function shadePymeTile(
  { samples }: Plane,
  mask: Uint8Array | undefined,
  pedestal: number,
  window: { readonly min: number; readonly max: number } | undefined,
): Uint8Array {
  const grey = new Uint8Array(samples.length)
  for (let i = 0; i < samples.length; i++) {
    const counts = samples[i] - pedestal
    if ((mask !== undefined && mask[i] === 0) || Number.isNaN(counts)) continue
    grey[i] = window
      ? Math.round(255 * Math.min(1, Math.max(0, (counts - window.min) / (window.max - window.min))))
      : Math.min(255, Math.floor(Math.sqrt(Math.max(0, counts))))
  }
  return grey
}

/** Encode grey values as a PNG of `edge` × `edge` pixels, 8-bit grey, with alpha where there is one. */
export function encodeGreyPng({ grey, alpha }: GreyTile, edge: number): Promise<Buffer> {
  const channels = alpha ? 2 : 1
  const pixels = alpha ? interleave(grey, alpha) : grey
  // Without the colour space sharp writes grey as RGB: twice the work, three times the pixels.
  return sharp(pixels, { raw: { width: edge, height: edge, channels } })
    .toColourspace('b-w')
    .png({ compressionLevel: 3 })
    .toBuffer()
}

function interleave(grey: Uint8Array, alpha: Uint8Array): Uint8Array {
  const pixels = new Uint8Array(2 * grey.length)
  for (let i = 0; i < grey.length; i++) {
    pixels[2 * i] = grey[i]
    pixels[2 * i + 1] = alpha[i]
  }
  return pixels
}
