import type { SampleArray, Size } from '../plane.js'
import type { LayerStyle } from './style.js'

export type PictureFormat = 'png' | 'jpg' | 'webp'

export const MEDIA_TYPES: Readonly<Record<PictureFormat, string>> = {
  png: 'image/png',
  jpg: 'image/jpeg',
  webp: 'image/webp',
}

/** Of `jpg` and `webp`, where none is asked for. */
export const DEFAULT_QUALITY = 85

/** The widest and highest picture of each format, px: as far as its encoder goes. */
export const MAX_EDGE: Readonly<Record<PictureFormat, number>> = { png: 65_535, jpg: 65_500, webp: 16_383 }

/** One channel of a picture. */
export interface PictureLayer {
  /** Row-major, of the size of the picture. */
  readonly samples: SampleArray
  /** One byte a sample, 1 = covered; undefined: all are. What is not covered, and NaN, is not drawn. */
  readonly mask: Uint8Array | undefined
  readonly style: LayerStyle
}

/** Pictures of one size beside each other. */
export interface SideBySide {
  /** Between two of them, px. */
  readonly gap: number
  /** Written into the upper left corner of each; undefined: nothing is. */
  readonly names: readonly string[] | undefined
}

/**
 * A picture to draw. The colours of several layers add up, or each layer is a picture of this size for itself
 * (`sideBySide`); what no layer covers is transparent.
 */
export interface PictureJob extends Size {
  /** At least one. */
  readonly layers: readonly PictureLayer[]
  readonly sideBySide?: SideBySide
  readonly format: PictureFormat
  /** 1 … 100, of `jpg` and `webp`. */
  readonly quality?: number
  /** Six hex digits: drawn where no layer covers, which makes the picture opaque. `jpg` always has one, black by itself. */
  readonly background?: string
  /** Samples and masks, each with a buffer of its own, are not needed any more: they are taken, which spares a copy. */
  readonly isGivenAway?: boolean
}
