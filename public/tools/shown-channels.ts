import { isHexColour } from '../../src/render/colour-maps.js'
import type { Look, Slice } from '../picture/look.js'
import type { PyramidInfo } from '../server/pyramid-api.js'
import type { TileStore } from '../tiles/tile-store.js'

/** A channel that is seen, as it is named and drawn in plots and read-outs. */
export interface ShownChannelFacts {
  readonly channel: number
  readonly name: string
  /** Of its samples; null of counts and of what has none. */
  readonly unit: string | null
  /** On a dark ground. */
  readonly colour: string
}

/** What the tools measure: the planes of the pyramid that are looked at. */
export interface ShownPlanes {
  readonly store: TileStore
  readonly slice: Slice
  readonly channels: readonly ShownChannelFacts[]
  /** Changes of the samples since the page was opened, of a pyramid that grows. */
  readonly growths: number
}

/** Channels of a look in its order; a channel with a colour map is white. */
export function factsOfChannels({ channels }: PyramidInfo, look: Look): readonly ShownChannelFacts[] {
  return look.channels.map(({ channel, contrast: { colours } }) => ({
    channel,
    name: channels[channel]?.name ?? '',
    unit: channels[channel]?.unit ?? null,
    colour: isHexColour(colours) ? colours : '#ffffff',
  }))
}
