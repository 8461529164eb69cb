import type { SampleArray } from '../plane.js'
import { COLOUR_STEPS } from './colour-maps.js'
import { type CumulativeHistogram, cumulate, samplesUpTo } from './cumulative-histogram.js'
import { type LayerStyle, STRETCHED } from './style.js'

/** A style as a thread gets it. */
export type StepStyle = Omit<LayerStyle, 'histogram'> & { readonly cumulative?: CumulativeHistogram }

/** A style with its histogram prepared. */
export function stepStyleOf({ histogram, ...style }: LayerStyle): StepStyle {
  return histogram ? { ...style, cumulative: cumulate(histogram) } : style
}

const LAST_STEP = COLOUR_STEPS - 1
/** Added before a fraction is cut off. Roots of whole numbers may come out a little too small. */
const ROUNDING = { nearest: 0.5, down: 1e-9 }

/** Between black and white, where a step cannot be looked up for each value. */
const CELLS = 2 ** 13
const SEVERAL_STEPS = -1

/**
 * The step, 0 … 255, that a style gives to a stored value.
 *
 * @param exact whether the style's histogram counts each value for itself.
 */
function stepOf(style: StepStyle, exact: boolean): (value: number) => number {
  const { black, white, gamma, inverted, rounding = 'nearest' } = style
  const range = white - black
  const stretch = stretchOf(style, exact)
  const added = ROUNDING[rounding]
  return value => {
    const t = Math.min(1, Math.max(0, (value - black) / range))
    const shown = stretch(t, value) ** gamma
    return Math.floor((inverted ? 1 - shown : shown) * LAST_STEP + added)
  }
}

/** Brightness before gamma, by the place between black and white and by the value itself. */
function stretchOf(
  { black, white, stretch, cumulative }: StepStyle,
  exact: boolean,
): (t: number, value: number) => number {
  if (stretch !== 'equalize') return STRETCHED[stretch]
  if (!cumulative) throw new TypeError('a style that equalizes needs a histogram')
  // Black itself is between black and white.
  const below = samplesUpTo(cumulative, exact ? Math.ceil(black) - 1 : black, exact)
  const between = samplesUpTo(cumulative, white, exact) - below
  if (between === 0) return STRETCHED.linear
  return (_t, value) => Math.min(1, Math.max(0, (samplesUpTo(cumulative, value, exact) - below) / between))
}

/** The step of every value of an 8- or 16-bit type, by the bits of the value as an unsigned number. */
export function stepTable(style: StepStyle, samples: FewValues): Uint8Array {
  const size = 2 ** (8 * samples.BYTES_PER_ELEMENT)
  const lowest = samples instanceof Int16Array ? -size / 2 : 0
  const { black, white } = style
  const step = stepOf(style, true)
  const table = new Uint8Array(size)
  const [darkest, brightest] = [step(-Infinity), step(Infinity)]
  for (let value = lowest; value < lowest + size; value++) {
    table[value & (size - 1)] = value < black ? darkest : value >= white ? brightest : step(value)
  }
  return table
}

/**
 * For samples that have too many values for a table. The way from black to white is cut into cells: in most of them all
 * values have the same step, which is told; in the others it has to be computed.
 */
export function stepCells(style: StepStyle): Int16Array {
  const { black, white } = style
  const step = stepOf(style, false)
  // A little wider, since values at the border of a cell may be rounded into the next one.
  const at = (cell: number): number => step(black + (white - black) * (cell / CELLS))
  return Int16Array.from({ length: CELLS + 1 }, (_, cell) =>
    at(cell - 0.01) === at(cell + 1.01) ? at(cell) : SEVERAL_STEPS,
  )
}

/** Steps of samples by the cells of a style. */
export function computeSteps(samples: SampleArray, style: StepStyle, cells: Int16Array, steps: Uint8Array): void {
  const { black, white } = style
  const step = stepOf(style, false)
  const cellsPerValue = CELLS / (white - black)
  for (let i = 0; i < samples.length; i++) {
    const value = samples[i]
    const cell = cells[Math.min(CELLS, Math.max(0, (value - black) * cellsPerValue)) | 0]
    steps[i] = cell === SEVERAL_STEPS ? step(value) : cell
  }
}

/** Samples of which a table can have all values. */
export type FewValues = Uint8Array | Uint16Array | Int16Array

/** Whether a step can be looked up for each sample. */
export function hasFewValues(samples: SampleArray): samples is FewValues {
  return samples.BYTES_PER_ELEMENT <= 2
}
