import type { Contrast } from '../contrast/contrast.js'
import type { PlaneSelection } from '../server/pyramid-api.js'

/** Which z-plane and time point are looked at; 0-based. */
export type Slice = Omit<PlaneSelection, 'channel'>

/** Channels that are drawn at once. */
export const MAX_SHOWN_CHANNELS = 4

/** What a well may have of its own. */
export type Levels = Pick<Contrast, 'black' | 'white' | 'gamma'>

/** A channel that is seen, and how. */
export interface ShownChannel {
  readonly channel: number
  readonly contrast: Contrast
  /** Levels of wells that have their own, by their place in `PyramidInfo.wells`. */
  readonly ofWells?: ReadonlyMap<number, Levels>
}

/** How the samples of a pyramid are drawn. */
export interface Look {
  /** Up to `MAX_SHOWN_CHANNELS`; the colours of several add up, as the server adds them. */
  readonly channels: readonly ShownChannel[]
  /** Mark samples below black and above white. */
  readonly marksClipped: boolean
  /** Interpolate between samples where they are enlarged; else each is a rectangle. */
  readonly smooth: boolean
}

/** The planes of a slice that a look shows. */
export function planesOf({ channels }: Pick<Look, 'channels'>, slice: Slice): PlaneSelection[] {
  return channels.map(({ channel }) => ({ ...slice, channel }))
}
