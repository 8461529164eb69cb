import type { Rect } from '../plane.js'
import type { MosaicSelection } from '../pyramid/pyramid.js'

export const BUILT_IN_DETECTORS = ['threshold', 'log'] as const

/**
 * `threshold`: connected samples above a threshold are an object. `log`: maxima of the Laplacian of Gaussian, for
 * round spots on any background.
 */
export type BuiltInDetector = (typeof BUILT_IN_DETECTORS)[number]

/** What is looked for, and where. Plain data: it goes to another thread. */
export interface DetectionSettings {
  readonly detector: BuiltInDetector
  readonly selection: MosaicSelection
  readonly level: number
  /** The part that is searched, px of the level. */
  readonly region: Rect
  /**
   * Counts above dark that an object exceeds (`threshold`), or counts that a spot stands out by (`log`: its response
   * normalised by scale, half the height of a Gaussian spot); found from the data where undefined.
   */
  readonly threshold: number | undefined
  /** Diameters of objects; for `threshold`, of a circle of the same area. */
  readonly sizeUm: { readonly min: number; readonly max: number }
}

export interface DetectionProgress {
  readonly tilesDone: number
  readonly tilesTotal: number
  readonly found: number
}

export interface Detected {
  /** Stage µm, x and y by turns. */
  readonly locationsUm: Float64Array
  /** The threshold that was used, counts. */
  readonly threshold: number
}

/** More are no objects but noise. */
export const MAX_FOUND = 100_000

/** Middles of found objects, px of the level: the centre of its pixel (0, 0) is 0, 0. */
export interface Found {
  readonly x: number
  readonly y: number
}
