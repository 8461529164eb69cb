import type { Levels } from '../picture/look.js'
import type { Contrast } from './contrast.js'

/** What was chosen for one channel. */
export interface ChannelState {
  readonly visible: boolean
  /** Black, white and gamma follow the data: nobody has set them. */
  readonly automatic: boolean
  /** Shared by all wells that have nothing of their own. */
  readonly contrast: Contrast
  /** Levels that were set by hand for single wells, by name of well; the others have theirs from their histograms. */
  readonly ofWells: Readonly<Record<string, Levels>>
}

/** Everything that was chosen of contrast and colours: plain data, for a link. */
export interface ContrastState {
  /** In the order of the pyramid. */
  readonly channels: readonly ChannelState[]
  /** Index of the channel whose tab is open. */
  readonly selected: number
  readonly wells: 'same' | 'own'
  readonly marksClipped: boolean
  readonly smooth: boolean
}
