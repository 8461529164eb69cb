import type { NamedChannel } from './channel-colours.js'

/** What is seen as one picture: a channel, or the red, green and blue of a photo. */
export interface ChannelGroup {
  readonly title: string
  /** One, or three. */
  readonly channels: readonly number[]
}

const PHOTO = [
  { color: 'ff0000', ending: /(^|[\W_]+)(red|r)$/i },
  { color: '00ff00', ending: /(^|[\W_]+)(green|g)$/i },
  { color: '0000ff', ending: /(^|[\W_]+)(blue|b)$/i },
]

/** The channels in their order; three that name and colour call the red, green and blue of one photo are together. */
export function groupsOf(channels: readonly NamedChannel[]): ChannelGroup[] {
  const groups: ChannelGroup[] = []
  for (let i = 0; i < channels.length; ) {
    const photo = photoAt(channels, i)
    const title = photo ?? (channels[i] as NamedChannel).name
    const count = photo === undefined ? 1 : PHOTO.length
    groups.push({ title, channels: Array.from({ length: count }, (_, k) => i + k) })
    i += count
  }
  return groups
}

/** The title of the photo that begins with a channel. */
function photoAt(channels: readonly NamedChannel[], first: number): string | undefined {
  const stems = PHOTO.map(({ color, ending }, k) => {
    const channel = channels[first + k]
    const end = channel?.color?.toLowerCase() === color ? channel.name.search(ending) : -1
    return end < 0 ? undefined : channel?.name.slice(0, end)
  })
  if (stems.some(stem => stem === undefined || stem !== stems[0])) return undefined
  const title = stems[0] || 'Photo'
  const isTaken = channels.some(({ name }) => name.toLowerCase() === title.toLowerCase())
  return isTaken ? undefined : title
}
