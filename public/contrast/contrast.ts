import { COLOUR_STEPS, type Colours } from '../../src/render/colour-maps.js'
import { type LayerStyle, STRETCHED } from '../../src/render/style.js'
import { formatFloat, formatNumber } from '../parts/number-format.js'
import type { Levels } from '../picture/look.js'
import type { Window } from '../server/pyramid-api.js'

/** How stored values of one channel become colours: as on the server, but nothing that needs a histogram. */
export interface Contrast extends Omit<LayerStyle, 'stretch' | 'rounding' | 'histogram'> {
  readonly stretch: keyof typeof STRETCHED
}

/** What marks samples below black and above white, where they are marked. */
export const CLIPPED = { below: '#2f6bff', above: '#ff3b30' } as const

export const MIN_GAMMA = 0.2
export const MAX_GAMMA = 5

/** Automatic windows of integers are at least this wide, so that an empty field does not become noise at full contrast. */
const MIN_AUTOMATIC_COUNTS = 16

/** Of floating-point samples four digits are shown, or as many more as it takes to tell levels apart. */
const FLOAT_DIGITS = 4
const MAX_FLOAT_DIGITS = 15

/** Black and white at least one count (float: a millionth of their size) apart, gamma within its limits. */
export function validContrast<L extends Levels>(levels: L, integer: boolean): L {
  const black = integer ? Math.round(levels.black) : levels.black
  const white = integer ? Math.round(levels.white) : levels.white
  const narrowest = integer ? 1 : Math.max(Math.abs(black), Math.abs(white), 1e-30) * 1e-6
  const gamma = Math.min(MAX_GAMMA, Math.max(MIN_GAMMA, levels.gamma))
  return { ...levels, black, white: Math.max(white, black + narrowest), gamma }
}

/**
 * Levels for a window that was found in the data: widened where it would show nothing but noise, and centred on 0 for
 * colours that have their grey there.
 */
export function automaticLevels({ black, white }: Window, colours: Colours, integer: boolean): Levels {
  if (isCentred(colours) && black < 0 && white > 0) {
    const reach = Math.max(-black, white)
    return { black: -reach, white: reach, gamma: 1 }
  }
  return { black, white: integer ? Math.max(white, black + MIN_AUTOMATIC_COUNTS) : white, gamma: 1 }
}

/** The window that takes in all of some. */
export function windowAround(windows: readonly Window[]): Window {
  return {
    black: Math.min(...windows.map(({ black }) => black)),
    white: Math.max(...windows.map(({ white }) => white)),
  }
}

/** Whether a map has its neutral colour in the middle, as signed samples need it. */
function isCentred(colours: Colours): boolean {
  return colours === 'blue-red'
}

/** Brightness 0 … 1 of a stored value, before the colours. */
export function brightness(value: number, { black, white, stretch, gamma }: Contrast): number {
  return STRETCHED[stretch](Math.min(1, Math.max(0, (value - black) / (white - black)))) ** gamma
}

/** Index into the colour table for a brightness. */
export function colourStep(shown: number, inverted: boolean): number {
  return Math.floor((inverted ? 1 - shown : shown) * (COLOUR_STEPS - 1) + 0.5)
}

/** A level, with as many digits as it takes to tell it from the other end of its window. */
export function formatLevel(value: number, { black, white }: Window, integer: boolean): string {
  if (integer) return formatNumber(value)
  const size = Math.max(Math.abs(black), Math.abs(white))
  const digits = FLOAT_DIGITS - 1 + Math.ceil(Math.log10(size / (white - black)))
  return formatFloat(value, Math.min(MAX_FLOAT_DIGITS, Math.max(FLOAT_DIGITS, digits)))
}
