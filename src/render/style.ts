import type { Histogram } from '../pyramid/histogram.js'
import type { ColourMapName } from './colour-maps.js'

/**
 * How brightness grows from black to white. With t = (value − black) / (white − black), cut to 0 … 1, the brightness is
 *
 * - `linear`: t
 * - `sqrt`: √t, dim structures lifted
 * - `log`: ln(1 + 1000·t) / ln(1001), dim ones lifted far
 * - `equalize`: the share of the layer's covered samples between black and white that are at or below the value, so
 *   that each brightness is as frequent as any other. Where the histogram has bins wider than a value, samples count as
 *   evenly spread in theirs; where it counts no sample between black and white, it is t.
 */
export type Stretch = 'linear' | 'sqrt' | 'log' | 'equalize'

export const STRETCHES: readonly Stretch[] = ['linear', 'sqrt', 'log', 'equalize']

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
  /** A map by its name, or the brightest colour of one that begins with black: `#` and six hex digits. */
  readonly colours: ColourMapName | `#${string}`
  readonly inverted: boolean
  /** How a brightness between two steps is rounded; to the nearest where undefined. */
  readonly rounding?: 'down'
  /** Of the whole layer, for `equalize`. Keep the same object from picture to picture: it is prepared once. */
  readonly histogram?: Histogram
}
