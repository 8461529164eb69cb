import type { SampleType } from '../plane.js'

/** What is known of a channel: its name, and six hex digits where the metadata names a colour. */
export interface NamedChannel {
  readonly name: string
  readonly color?: string | null | undefined
  /** Whether it is seen at first. */
  readonly active?: boolean | null | undefined
}

type HexColour = `#${string}`

/**
 * Colours by the number of channels. Those of two, three and four are as far apart as can be for normal and for
 * colour-blind sight at once; more than four begin with the same four.
 */
const ONE: readonly HexColour[] = ['#ffffff']
const TWO: readonly HexColour[] = ['#3d9bff', '#ff9a1f']
const THREE: readonly HexColour[] = ['#3d8bff', '#f0561d', '#f5ea6b']
const MANY: readonly HexColour[] = [
  '#ffb040',
  '#d84040',
  '#80d8ff',
  '#4080d8',
  '#7bd88f',
  '#d67bff',
  '#f5ea6b',
  '#ffffff',
]
const RGB: readonly HexColour[] = ['#ff0000', '#00ff00', '#0000ff']

/** Whether the channels are the red, green and blue of one picture, which their names tell. */
function isRgb(channels: readonly NamedChannel[]): boolean {
  const names = channels.map(({ name }) => name.trim().toLowerCase()).join()
  return names === 'red,green,blue' || names === 'r,g,b'
}

/** Whether the channels are maps to be looked at one by one: only the first is seen at first. */
export function showsOneAtATime(channels: readonly NamedChannel[]): boolean {
  return channels.length > 1 && channels.every(({ active }, i) => active === (i === 0))
}

/** Whether samples of these channels are shown as they are, 0 to 255. */
export function isPlainRgb(channels: readonly NamedChannel[], sampleType: SampleType): boolean {
  return sampleType === 'uint8' && isRgb(channels)
}

/** The brightest colour of every channel where several are shown: the metadata's, otherwise a usual one. */
export function channelColours(channels: readonly NamedChannel[]): HexColour[] {
  const usual = isRgb(channels)
    ? RGB
    : showsOneAtATime(channels)
      ? ONE
      : ([ONE, TWO, THREE][channels.length - 1] ?? MANY)
  return channels.map(
    ({ color }, i): HexColour =>
      color && /^[0-9a-f]{6}$/i.test(color) ? `#${color.toLowerCase()}` : (usual[i % usual.length] as HexColour),
  )
}
