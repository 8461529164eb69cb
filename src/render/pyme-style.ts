import type { LayerStyle } from './style.js'

/** The largest count that PYME shows without wrapping around; here all above it is white. */
const WHITE_COUNTS = 255 ** 2

/**
 * Grey as PYME's viewer draws it: the square root of counts − dark, cut to a whole number. Nothing is transparent there:
 * draw it on a black background.
 *
 * @param pedestal the stored value that stands for dark.
 * @param window counts − dark that are shown black and white, linearly, instead of the square root.
 */
export function pymeStyle(pedestal: number, window?: { readonly min: number; readonly max: number }): LayerStyle {
  const common = { gamma: 1, colours: 'grey', inverted: false } as const
  if (window) return { ...common, black: pedestal + window.min, white: pedestal + window.max, stretch: 'linear' }
  return { ...common, black: pedestal, white: pedestal + WHITE_COUNTS, stretch: 'sqrt', rounding: 'down' }
}
