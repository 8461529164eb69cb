import type { Colours } from '../../src/render/colour-maps.js'
import { cumulate } from '../../src/render/cumulative-histogram.js'
import type { StepStyle } from '../../src/render/steps.js'
import type { Stretch } from '../../src/render/style.js'
import type { ChannelInfo, HistogramReply } from '../server/pyramid-api.js'

/** How a map of a grid is drawn. */
export type CellStyle = StepStyle

/** What is chosen for all maps of a grid at once. */
export interface GridStyle {
  readonly colours: Colours
  readonly stretch: Stretch
}

/** Black and white that somebody set for one map. */
export interface CellLevels {
  readonly black: number
  readonly white: number
}

/**
 * The style of one map: levels of its own, colours and stretch as all have them.
 *
 * @param levels undefined for the automatic ones: with `equalize`, the whole range of the channel.
 * @param equalization the channel's 256-bin histogram; needed for `equalize`.
 */
export function styleOf(
  { window }: ChannelInfo,
  { colours, stretch }: GridStyle,
  levels: CellLevels | undefined,
  equalization: HistogramReply | undefined,
): CellStyle {
  const isEqualized = stretch === 'equalize' && equalization !== undefined
  const whole = isEqualized ? { black: equalization.min, white: equalization.max } : window
  const { black, white } = levels ?? whole
  return {
    black,
    white: white > black ? white : black + 1,
    gamma: 1,
    inverted: false,
    colours,
    stretch: stretch === 'equalize' && !isEqualized ? 'linear' : stretch,
    ...(isEqualized && { cumulative: cumulate(equalization) }),
  }
}

/** Of the red, green or blue of a photo: as it is where it has 8 bits. */
export function styleOfPhoto({ window, color }: ChannelInfo): CellStyle {
  const levels = window.white <= 255 ? { black: 0, white: 255 } : window
  const plain = { gamma: 1, inverted: false, stretch: 'linear' } as const
  return { ...levels, ...plain, colours: `#${color ?? 'ffffff'}` }
}
