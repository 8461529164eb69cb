import type { Histogram } from '../pyramid/histogram.js'
import type { Colours } from './colour-maps.js'

/**
 * How brightness grows from black to white. With t = (value − black) / (white − black), cut to 0 … 1, the brightness is
 *
 * - `linear`: t
 * - `sqrt`: √t, dim structures lifted
 * - `log`: ln(1 + 1000·t) / ln(1001), dim ones lifted far
 * - `equalize`: the share of the layer's covered samples between black and white that are at or below the value, so
 *   that each brightness is as frequent as any other. Where the histogram has bins wider than a value, samples count as
 *   if they lay in the middle of theirs, and linearly between; where it counts no sample between black and white, it is t.
 */
export type Stretch = 'linear' | 'sqrt' | 'log' | 'equalize'

export const STRETCHES: readonly Stretch[] = ['linear', 'sqrt', 'log', 'equalize']

/** Of the logarithmic stretch: astropy's, so that pictures compare. */
export const LOG_SCALE = 1000

/** Brightness 0 … 1 before gamma, by the place t = 0 … 1 between black and white; `equalize` needs a histogram too. */
export const STRETCHED: Readonly<Record<Exclude<Stretch, 'equalize'>, (t: number) => number>> = {
  linear: t => t,
  sqrt: Math.sqrt,
  log: t => Math.log1p(LOG_SCALE * t) / Math.log1p(LOG_SCALE),
}

/**
 * How stored values of one channel become colours: the same mapping for a whole layer, so neighbouring tiles agree.
 *
 * The stretch gives the brightness 0 … 1, which is taken to the power of gamma, turned around where inverted, and
 * rounded to one of 256 steps, the darkest of which shows the first colour.
 */
export interface LayerStyle {
  /** Stored values; white is above black. */
  readonly black: number
  readonly white: number
  /** Above 0. */
  readonly gamma: number
  readonly stretch: Stretch
  readonly colours: Colours
  readonly inverted: boolean
  /** How a brightness between two steps is rounded; to the nearest where undefined. */
  readonly rounding?: 'down'
  /** Of the whole layer, for `equalize`. Keep the same object from picture to picture: it is prepared once. */
  readonly histogram?: Histogram
}
