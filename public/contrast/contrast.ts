import { COLOUR_STEPS, COLOUR_TABLES, type ColourMapName } from '../../src/render/colour-maps.js'
import type { Window } from '../server/pyramid-api.js'

/** How stored values become colours. */
export interface Contrast extends Window {
  /** Shown brightness = t^gamma, where t runs from 0 at black to 1 at white. */
  readonly gamma: number
  readonly map: ColourMapName
  readonly inverted: boolean
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

/** Brightness 0 … 1 of a stored value, before the colour map. */
export function brightness(value: number, { black, white, gamma }: Contrast): number {
  return Math.min(1, Math.max(0, (value - black) / (white - black))) ** gamma
}

/** Index into the colour table for a brightness. */
export function colourStep(shown: number, inverted: boolean): number {
  return Math.floor((inverted ? 1 - shown : shown) * (COLOUR_STEPS - 1) + 0.5)
}

/** The colour table as little-endian RGBA words, for painting into `ImageData`. */
export function colourWords(map: ColourMapName): Uint32Array {
  return new Uint32Array(COLOUR_TABLES[map].buffer)
}
