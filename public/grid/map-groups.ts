import type { ChannelInfo } from '../server/pyramid-api.js'

/** What one map of a grid shows: a channel, or the red, green and blue of a photo. */
export interface MapGroup {
  readonly title: string
  readonly channels: readonly number[]
}

const RGB = ['ff0000', '00ff00', '0000ff']

/** The maps of a pyramid's channels, in their order; a photo among them is one map. */
export function groupsOf(channels: readonly ChannelInfo[]): MapGroup[] {
  const groups: MapGroup[] = []
  for (let i = 0; i < channels.length; i++) {
    const isPhoto = RGB.every((colour, k) => channels[i + k]?.color?.toLowerCase() === colour)
    const { name } = channels[i] as ChannelInfo
    if (!isPhoto) groups.push({ title: name, channels: [i] })
    else {
      groups.push({ title: name.replace(/\W*(red|r)$/i, '') || 'Photo', channels: [i, i + 1, i + 2] })
      i += 2
    }
  }
  return groups
}
