import { UsageError } from '../../errors.js'
import { type Histogram, quantile } from '../../pyramid/histogram.js'
import type { MosaicSelection } from '../../pyramid/pyramid.js'
import { channelColours } from '../../render/channel-colours.js'
import { COLOUR_MAP_NAMES, type ColourMapName } from '../../render/colour-maps.js'
import { type LayerStyle, STRETCHES, type Stretch } from '../../render/style.js'
import {
  type Parameters,
  quote,
  readFlag,
  readIndex,
  readIndexes,
  readInteger,
  readNumber,
  readText,
} from '../http/parameters.js'
import type { ServedPyramid } from '../pyramids/served-pyramid.js'

/** What a URL says of how a picture looks. */
export interface PictureStyle {
  /** In the order of the URL. */
  readonly layers: readonly { readonly selection: MosaicSelection; readonly style: LayerStyle }[]
  /** The same for the same look of the same planes, another for another. */
  readonly key: string
  /** Whether it depends on the samples, and so on how much of a growing pyramid is built. */
  readonly isAutomatic: boolean
  /** Six hex digits. */
  readonly background: string | undefined
  /** 1 … 100. */
  readonly quality: number | undefined
}

const MIN_GAMMA = 0.01
const MAX_GAMMA = 100

/** Black or white as a URL gives it: a stored value, or the share of the channel's samples below it. */
type Level = number | { readonly share: number }

/** Each is a tile to read for every tile to draw; colours of more could not be told apart. */
const MAX_CHANNELS = 16

/**
 * Read `channel`, `depth`, `t`, `min`, `max`, `gamma`, `stretch`, `lut`, `invert`, `background` and `quality`. `channel`
 * may be a list, and with it all from `min` to `invert`, which then have a value for each channel or one for all.
 *
 * What is left out: the first channel, plane and time point; the automatic window of the channel; a linear stretch, gamma
 * 1, not inverted; grey for one channel, else the channel's own colour or a usual one.
 *
 * @param signal aborts when nobody waits for what is equalized any more: all of a channel may be read for it.
 * @throws {UsageError} a value that makes no sense, or a list of another length. @throws {NotFoundError} no such plane.
 */
export async function readPictureStyle(
  query: Parameters,
  served: ServedPyramid,
  signal?: AbortSignal,
): Promise<PictureStyle> {
  const { pyramid } = served
  const channels = readIndexes(query, 'channel', pyramid.channels.length) ?? [0]
  const count = channels.length
  if (count > MAX_CHANNELS)
    throw new UsageError(`The parameter channel lists ${count} channels; a picture shows up to ${MAX_CHANNELS}.`)
  const zPlane = readIndex(query, 'depth', pyramid.zPlanes)
  const timePoint = readIndex(query, 't', pyramid.timePoints)
  const blacks = readEach(query, 'min', count, readBlackOrWhite)
  const whites = readEach(query, 'max', count, readBlackOrWhite)
  const gammas = readEach(query, 'gamma', count, readGamma)
  const stretches = readEach(query, 'stretch', count, readStretch)
  const colours = readEach(query, 'lut', count, readColours)
  const inverted = readEach(query, 'invert', count, readFlag)
  const usualColours = channelColours(pyramid.channels)

  const layers = await Promise.all(
    channels.map(async (channel, i) => {
      const stretch = stretches[i] ?? 'linear'
      const histogram = stretch === 'equalize' ? await served.equalization(channel, signal) : undefined
      const style: LayerStyle = {
        ...(await windowOf(served, channel, blacks[i], whites[i], histogram)),
        gamma: gammas[i] ?? 1,
        stretch,
        colours: colours[i] ?? (count === 1 ? 'grey' : usualColours[channel]),
        inverted: inverted[i] ?? false,
        ...(histogram && { histogram }),
      }
      return { selection: { channel, zPlane, timePoint }, style }
    }),
  )
  const isAutomatic = channels.some(
    (_, i) => typeof blacks[i] !== 'number' || typeof whites[i] !== 'number' || stretches[i] === 'equalize',
  )
  const background = readBackground(query)
  const quality = readInteger(query, 'quality', { min: 1, max: 100 })
  const key = [...layers.map(keyOf), background ?? '', quality ?? ''].join('/')
  return { layers, key, isAutomatic, background, quality }
}

/** The value of a parameter for each of `count` channels. */
function readEach<Value>(
  query: Parameters,
  name: string,
  count: number,
  readOne: (parameters: Parameters, name: string) => Value | undefined,
): readonly (Value | undefined)[] {
  const parts = readText(query, name)?.split(',') ?? []
  if (parts.length > 1 && parts.length !== count) {
    const channels = count === 1 ? 'there is 1 channel' : `there are ${count} channels`
    throw new UsageError(`The parameter ${name} lists ${parts.length} values, but ${channels} in the picture.`)
  }
  const values = parts.map(part => readOne({ [name]: part }, name))
  return Array.from({ length: count }, (_, i) => (values.length === 1 ? values[0] : values[i]))
}

async function windowOf(
  served: ServedPyramid,
  channel: number,
  asBlack: Level | undefined,
  asWhite: Level | undefined,
  equalized: Histogram | undefined,
): Promise<Pick<LayerStyle, 'black' | 'white'>> {
  // Equalized, even the darkest and brightest few samples are told apart.
  const whole = equalized && equalized.max > equalized.min && { black: equalized.min, white: equalized.max }
  const read = async (level: Level | undefined, side: 'black' | 'white'): Promise<number> => {
    if (level === undefined) return (whole || (await served.window(channel)))[side]
    return typeof level === 'number' ? level : quantile(await served.pyramid.histogram(channel), level.share)
  }
  return checkWindow(await read(asBlack, 'black'), await read(asWhite, 'white'))
}

function checkWindow(black: number, white: number): Pick<LayerStyle, 'black' | 'white'> {
  if (white > black) return { black, white }
  throw new UsageError(`max is ${white} and must be above min, which is ${black}.`)
}

/** A number, or a percentile of the channel such as `p99.9`. */
function readBlackOrWhite(query: Parameters, name: string): Level | undefined {
  const text = readText(query, name)
  if (!text?.startsWith('p')) return readNumber(query, name)
  // Not divided by 100, which would make 99.9 more than 0.999.
  const share = /^p\d{1,3}(\.\d{1,6})?$/.test(text) ? Number(`${text.slice(1)}e-2`) : Number.NaN
  if (share <= 1) return { share }
  throw new UsageError(
    `The parameter ${name} is ${quote(text)}; it must be a stored value, or a percentile from p0 to p100 such as p99.9.`,
  )
}

function readGamma(query: Parameters, name: string): number | undefined {
  return readNumber(query, name, { min: MIN_GAMMA, max: MAX_GAMMA })
}

function readStretch(query: Parameters, name: string): Stretch | undefined {
  const text = readText(query, name)
  const stretch = STRETCHES.find(known => known === text)
  if (stretch !== undefined || text === undefined) return stretch
  throw new UsageError(`The parameter ${name} is ${quote(text)}; it is one of ${STRETCHES.join(', ')}.`)
}

function readColours(query: Parameters, name: string): LayerStyle['colours'] | undefined {
  const text = readText(query, name)
  if (text === undefined) return undefined
  const map = COLOUR_MAP_NAMES.find((known): known is ColourMapName => known === text)
  if (map) return map
  const hex = hexOf(text)
  if (hex) return `#${hex}`
  throw new UsageError(
    `The parameter ${name} is ${quote(text)}; it is one of ${COLOUR_MAP_NAMES.join(', ')}, or six hex digits such as ff00ff.`,
  )
}

function readBackground(query: Parameters): string | undefined {
  const text = readText(query, 'background')
  const hex = text === undefined ? undefined : hexOf(text)
  if (hex !== undefined || text === undefined) return hex
  throw new UsageError(`The parameter background is ${quote(text)}; it is six hex digits such as ffffff.`)
}

/** Six hex digits, with or without `#` in front, as small letters. */
function hexOf(text: string): string | undefined {
  return /^#?([0-9a-f]{6})$/i.exec(text)?.[1].toLowerCase()
}

function keyOf({ selection, style }: PictureStyle['layers'][number]): string {
  const { channel, zPlane, timePoint } = selection
  const { black, white, gamma, stretch, colours, inverted, histogram } = style
  // While a pyramid grows its histogram does; once complete its version stands for it.
  const counted = histogram ? `${histogram.total}.${histogram.min}.${histogram.max}` : ''
  return [`${channel}.${zPlane}.${timePoint}`, black, white, gamma, `${stretch}${counted}`, colours, inverted].join()
}
