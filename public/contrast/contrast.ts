import { COLOUR_STEPS } from '../../src/render/colour-maps.js'
import { type LayerStyle, STRETCHED } from '../../src/render/style.js'
import type { Window } from '../server/pyramid-api.js'

/** How stored values of one channel become colours: as on the server, but nothing that needs a histogram. */
export interface Contrast extends Omit<LayerStyle, 'stretch' | 'rounding' | 'histogram'> {
  readonly stretch: keyof typeof STRETCHED
}

export const MIN_GAMMA = 0.2
export const MAX_GAMMA = 5

/** Automatic windows of integers are at least this wide, so that an empty field does not become noise at full contrast. */
const MIN_AUTOMATIC_COUNTS = 16

/** Black and white at least one count (float: a millionth of their size) apart, gamma within its limits. */
export function validContrast(contrast: Contrast, integer: boolean): Contrast {
  const black = integer ? Math.round(contrast.black) : contrast.black
  const white = integer ? Math.round(contrast.white) : contrast.white
  const narrowest = integer ? 1 : Math.max(Math.abs(black), Math.abs(white), 1e-30) * 1e-6
  const gamma = Math.min(MAX_GAMMA, Math.max(MIN_GAMMA, contrast.gamma))
  return { ...contrast, black, white: Math.max(white, black + narrowest), gamma }
}

/** An automatic window, widened where it would show nothing but noise. */
export function automaticWindow(window: Window, integer: boolean): Window {
  return integer ? { black: window.black, white: Math.max(window.white, window.black + MIN_AUTOMATIC_COUNTS) } : window
}

/** Brightness 0 … 1 of a stored value, before the colours. */
export function brightness(value: number, { black, white, stretch, gamma }: Contrast): number {
  return STRETCHED[stretch](Math.min(1, Math.max(0, (value - black) / (white - black)))) ** gamma
}

/** Index into the colour table for a brightness. */
export function colourStep(shown: number, inverted: boolean): number {
  return Math.floor((inverted ? 1 - shown : shown) * (COLOUR_STEPS - 1) + 0.5)
}
