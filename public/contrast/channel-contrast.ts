import { SAMPLE_TYPES } from '../../src/plane.js'
import { channelColours, isPlainRgb, showsOneAtATime } from '../../src/render/channel-colours.js'
import { type Levels, MAX_SHOWN_CHANNELS } from '../picture/look.js'
import type { PyramidInfo, Well, Window } from '../server/pyramid-api.js'
import { automaticLevels, type Contrast, validContrast } from './contrast.js'
import type { ChannelState } from './contrast-state.js'
import type { SampleHistogram } from './sample-histogram.js'

/** One channel of the pyramid that is shown: its contrast, and what that follows. */
export interface ChannelContrast {
  readonly name: string
  /** Of its samples; null of counts and of what has none. */
  readonly unit: string | null
  visible: boolean
  contrast: Contrast
  /** Nobody has set black, white or gamma: they follow the window. */
  isAutomatic: boolean
  /** What the server found for the whole channel. */
  window: Window
  histogram: SampleHistogram | undefined
  /** Whether the histogram is of the pyramid's samples as they are. */
  isCounted: boolean
  /** Levels that were set by hand for single wells, by name. */
  ofWells: Map<string, Levels>
}

/** The range of signed samples lies around 0 where its smaller side is at least this share of the larger. */
const AROUND_ZERO = 0.25

/** How the channels of a pyramid look by themselves. */
export function firstContrasts({ channels, sampleType }: PyramidInfo): ChannelContrast[] {
  const ownColours = channelColours(channels)
  const isSeveral = channels.length > 1
  const { integer } = SAMPLE_TYPES[sampleType]
  const isOneAtATime = showsOneAtATime(channels)
  return channels.map(({ name, unit = null, active, window }, i) => {
    const colours =
      isSeveral && !isOneAtATime ? (ownColours[i] as `#${string}`) : isAroundZero(window) ? 'blue-red' : 'grey'
    return {
      name,
      unit,
      visible: active ?? i < MAX_SHOWN_CHANNELS,
      contrast: {
        ...(isPlainRgb(channels, sampleType) ? { ...window, gamma: 1 } : automaticLevels(window, colours, integer)),
        stretch: 'linear',
        colours,
        inverted: false,
      },
      isAutomatic: true,
      window,
      histogram: undefined,
      isCounted: false,
      ofWells: new Map(),
    }
  })
}

/**
 * Carry over what was chosen for the channels of an earlier pyramid.
 *
 * @param earlier channels of samples of the same kind: the one of the same name counts, or the one in the same place
 * where they have no name in common.
 * @param isSamePyramid another version of it: what is automatic stays so.
 * @returns whether every channel has found its own.
 */
export function keepContrasts(
  channels: readonly ChannelContrast[],
  earlier: readonly ChannelContrast[],
  isSamePyramid: boolean,
): boolean {
  const byName = channels.map(({ name }) => earlier.find(other => other.name === name))
  const hasNames = byName.some(found => found !== undefined)
  const isUnnamed = !hasNames && earlier.length === channels.length
  const sources = isUnnamed ? earlier : byName
  for (const [i, channel] of channels.entries()) {
    const old = sources[i]
    if (!old) {
      channel.visible &&= !hasNames
      continue
    }
    const { stretch, colours, inverted } = old.contrast
    channel.visible = old.visible
    channel.isAutomatic = old.isAutomatic && isSamePyramid
    channel.contrast = channel.isAutomatic ? { ...channel.contrast, stretch, colours, inverted } : old.contrast
    channel.ofWells = old.ofWells
    if (isSamePyramid) channel.histogram = old.histogram
  }
  return sources.length > 0 && sources.every(found => found !== undefined)
}

/** The only channel of a plate keeps its colours when another plate comes. */
export function keepColours(
  channels: readonly ChannelContrast[],
  earlier: readonly ChannelContrast[],
  integer: boolean,
): void {
  const [now] = channels
  const [old] = earlier
  if (!now || !old || channels.length > 1 || earlier.length > 1) return
  const { stretch, colours, inverted } = old.contrast
  now.contrast = { ...automaticLevels(now.window, colours, integer), stretch, colours, inverted }
}

/** Choose what was chosen elsewhere; what does not fit the channels or the wells is left out. */
export function restoreContrasts(
  channels: readonly ChannelContrast[],
  states: readonly ChannelState[],
  wells: readonly Well[],
  integer: boolean,
): void {
  let visible = 0
  for (const [i, channel] of channels.entries()) {
    const state = states[i]
    channel.visible = (state?.visible ?? channel.visible) && ++visible <= MAX_SHOWN_CHANNELS
    if (!state) continue
    channel.isAutomatic = state.automatic
    channel.contrast = validContrast(state.contrast, integer)
    channel.ofWells = new Map(
      Object.entries(state.ofWells)
        .filter(([name]) => wells.some(well => well.name === name))
        .map(([name, levels]) => [name, validContrast(levels, integer)]),
    )
  }
  const [first] = channels
  if (first && visible === 0) first.visible = true
}

function isAroundZero({ black, white }: Window): boolean {
  return black < 0 && white > 0 && Math.min(-black, white) >= AROUND_ZERO * Math.max(-black, white)
}
