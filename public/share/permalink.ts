import { COLOUR_MAP_NAMES, type ColourMapName, type Colours } from '../../src/render/colour-maps.js'
import { STRETCHED } from '../../src/render/style.js'
import { type Contrast, MAX_GAMMA, MIN_GAMMA } from '../contrast/contrast.js'
import type { ChannelState, ContrastState } from '../contrast/contrast-state.js'
import type { Levels, Slice } from '../picture/look.js'
import type { View } from '../picture/view-frame.js'
import type { PointUm } from '../server/pyramid-api.js'
import { type Measurement, OVERLAYS, type OverlayName, type ToolsState } from '../tools/tools-state.js'

/** What is seen: all that a link needs to show it again. A part that a link says nothing of is undefined. */
export interface SeenState {
  readonly id?: string | undefined
  readonly version?: string | undefined
  readonly view?: View | undefined
  readonly slice?: Slice | undefined
  readonly contrast?: LinkedContrast | undefined
  readonly tools?: ToolsState | undefined
  /** Undefined where it is as the width of the window has it. */
  readonly dockOpen?: boolean | undefined
}

/** Contrast as a link has it: channels by index, since a link that was cut may lack some. */
export interface LinkedContrast extends Omit<ContrastState, 'channels'> {
  readonly channels: ReadonlyMap<number, ChannelState>
}

/** A link that was read, and the names of its parts that mean nothing here. */
export interface ReadLink {
  readonly state: SeenState
  readonly broken: readonly string[]
}

/** Nothing here has more; a link that does was not written by this page. */
const MAX_LINK_LENGTH = 500_000
const MAX_PARTS = 2000
const MAX_INDEX = 10 ** 6
const MAX_POINTS = 1000
const MAX_NAME_LENGTH = 200
const MAX_POSITION_UM = 1e9
const UM_PER_PX = { min: 1e-6, max: 1e7 }
/** A float32 holds the difference of two such levels, too. */
const MAX_LEVEL = 1.7e38

const SHOWN_NAMES = 5
const SHOWN_LENGTH = 20

const POSITION_DECIMALS = 7
const ZOOM_DIGITS = 12
const DEFAULT_LAYERS: Readonly<Record<OverlayName, boolean>> = { outlines: false, points: true, measurements: true }

/**
 * What is seen as the part of a URL behind `#`, without the `#`: `id=…&v=…&x=10212.4&y=20240.1&um=0.26&c=0:48..512,magma`.
 * What is as it is at first is left out.
 */
export function writePermalink(state: SeenState): string {
  const { id, version, view, slice, contrast, tools, dockOpen } = state
  const parts: [string, string][] = []
  const add = (name: string, value: string | number | undefined): void => {
    if (value !== undefined) parts.push([name, String(value)])
  }
  add('id', id)
  add('v', version)
  if (view) {
    add('x', position(view.centerUm.x))
    add('y', position(view.centerUm.y))
    add('um', Number(view.umPerPx.toPrecision(ZOOM_DIGITS)))
    if (view.rotation !== 0) add('rot', position(view.rotation))
    if (view.yUp) add('up', 1)
  }
  if (slice?.zPlane) add('z', slice.zPlane)
  if (slice?.timePoint) add('t', slice.timePoint)
  if (contrast) {
    for (const [index, channel] of contrast.channels) add('c', `${index}:${writeChannel(channel)}`)
    for (const [index, { ofWells }] of contrast.channels)
      for (const [well, levels] of Object.entries(ofWells)) add('w', `${index}:${writeLevels(levels)}:${well}`)
    if (contrast.selected > 0) add('tab', contrast.selected)
    if (contrast.wells === 'own') add('wells', 'own')
    if (contrast.marksClipped) add('clip', 1)
    if (contrast.smooth) add('smooth', 1)
  }
  if (tools) {
    for (const { kind, points, name } of tools.measurements)
      add('m', `${kind}:${points.map(({ x, y }) => `${position(x)},${position(y)}`).join(';')}:${name}`)
    const visible = OVERLAYS.filter(layer => tools.visible[layer])
    if (OVERLAYS.some(layer => tools.visible[layer] !== DEFAULT_LAYERS[layer])) add('layers', visible.join() || 'none')
  }
  if (dockOpen !== undefined) add('dock', dockOpen ? 'open' : 'closed')
  return parts.map(([name, value]) => `${name}=${encode(value)}`).join('&')
}

/** Read what `writePermalink` wrote, or something that was typed, cut or made up: what has no meaning is left out. */
export function readPermalink(hash: string): ReadLink {
  if (hash.length > MAX_LINK_LENGTH) return { state: {}, broken: ['all of it'] }
  const fields = [...new URLSearchParams(hash)]
  const reader = new FieldReader(fields.slice(0, MAX_PARTS))
  // A link of this page has a version and channels; what it does not say is as at first. Of others that is unknown.
  const isWhole = reader.has('v') && reader.has('c')
  const view = readView(reader)
  const slice = readSlice(reader, isWhole)
  const contrast = readContrast(reader)
  const tools = readTools(reader, isWhole)
  const state: SeenState = {
    id: reader.take('id', readName),
    version: reader.take('v', readName),
    view,
    slice,
    contrast,
    tools,
    dockOpen: reader.take('dock', text => readChoice(text, 'open', 'closed')),
  }
  const unread = fields.length > MAX_PARTS ? ['all that follows'] : []
  return { state, broken: [...reader.broken(), ...unread] }
}

/** The channels of a state as a link has them. */
export function seenChannels({ channels }: ContrastState): LinkedContrast['channels'] {
  return new Map(channels.entries())
}

/** What a link says of contrast, for all channels of a pyramid: those that it does not name are not seen. */
export function contrastOfLink(linked: LinkedContrast, { channels }: ContrastState): ContrastState {
  return { ...linked, channels: channels.map((own, i) => linked.channels.get(i) ?? { ...own, visible: false }) }
}

/** Some names of parts that were broken, for a sentence. */
export function brokenNames(broken: readonly string[]): string {
  const shown = broken.slice(0, SHOWN_NAMES).map(name => name.slice(0, SHOWN_LENGTH))
  return [...shown, ...(broken.length > SHOWN_NAMES ? ['…'] : [])].join(', ')
}

/** Fields of a link, each to be taken once. */
class FieldReader {
  readonly #fields: readonly (readonly [string, string])[]
  readonly #taken = new Set<string>()
  readonly #broken = new Set<string>()

  constructor(fields: readonly (readonly [string, string])[]) {
    this.#fields = fields
  }

  has(name: string): boolean {
    return this.#fields.some(([field]) => field === name)
  }

  /** The first field of that name. */
  take<T>(name: string, read: (text: string) => T | undefined): T | undefined {
    return this.takeAll(name, read)[0]
  }

  /** All fields of that name that have a meaning. */
  takeAll<T>(name: string, read: (text: string) => T | undefined): T[] {
    this.#taken.add(name)
    return this.#fields.flatMap(([field, text]) => {
      if (field !== name) return []
      const value = read(text)
      if (value === undefined) this.#broken.add(name)
      return value === undefined ? [] : [value]
    })
  }

  /** Names of the fields that nobody took, or that made no sense. */
  broken(): string[] {
    const unknown = this.#fields.map(([name]) => name).filter(name => !this.#taken.has(name))
    return [...this.#broken, ...new Set(unknown)]
  }
}

function readView(reader: FieldReader): View | undefined {
  const x = reader.take('x', readPosition)
  const y = reader.take('y', readPosition)
  const umPerPx = reader.take('um', text => numberIn(text, UM_PER_PX.min, UM_PER_PX.max))
  const rotation = reader.take('rot', text => numberIn(text, 0, 360)) ?? 0
  const yUp = reader.take('up', readFlag) ?? false
  if (x === undefined || y === undefined || umPerPx === undefined) return undefined
  return { centerUm: { x, y }, umPerPx, rotation: rotation % 360, yUp }
}

function readSlice(reader: FieldReader, isWhole: boolean): Slice | undefined {
  const zPlane = reader.take('z', text => indexBelow(text, MAX_INDEX))
  const timePoint = reader.take('t', text => indexBelow(text, MAX_INDEX))
  if (!isWhole && zPlane === undefined && timePoint === undefined) return undefined
  return { zPlane: zPlane ?? 0, timePoint: timePoint ?? 0 }
}

function readContrast(reader: FieldReader): LinkedContrast | undefined {
  const channels = new Map(reader.takeAll('c', readChannel))
  for (const { channel, well, levels } of reader.takeAll('w', readWellLevels)) {
    const state = channels.get(channel)
    if (state) channels.set(channel, { ...state, ofWells: withWell(state.ofWells, well, levels) })
  }
  const contrast = {
    channels,
    selected: reader.take('tab', text => indexBelow(text, MAX_INDEX)) ?? 0,
    wells: reader.take('wells', text => (text === 'own' ? text : undefined)) ?? 'same',
    marksClipped: reader.take('clip', readFlag) ?? false,
    smooth: reader.take('smooth', readFlag) ?? false,
  } as const
  return channels.size > 0 ? contrast : undefined
}

function readTools(reader: FieldReader, isWhole: boolean): ToolsState | undefined {
  const measurements = reader.takeAll('m', readMeasurement)
  const layers = reader.take('layers', readLayers)
  if (!isWhole && measurements.length === 0 && !layers) return undefined
  return { measurements, visible: layers ?? DEFAULT_LAYERS }
}

/** `48..512,g0.8,log,magma,inverted,auto,off` */
function writeChannel({ visible, automatic, contrast }: ChannelState): string {
  const { stretch, colours, inverted } = contrast
  return [
    writeLevels(contrast),
    stretch === 'linear' ? '' : stretch,
    colours === 'grey' ? '' : colours.replace('#', ''),
    inverted ? 'inverted' : '',
    automatic ? 'auto' : '',
    visible ? '' : 'off',
  ]
    .filter(Boolean)
    .join()
}

function readChannel(text: string): [number, ChannelState] | undefined {
  const [, index = '', body = ''] = /^(\d+):(.*)$/s.exec(text) ?? []
  const channel = indexBelow(index, MAX_INDEX)
  const [levelsText = '', ...words] = body.split(',')
  const hasGamma = words[0]?.startsWith('g') && words[0] !== 'grey'
  const levels = readLevels(hasGamma ? `${levelsText},${words.shift()}` : levelsText)
  if (channel === undefined || !levels) return undefined
  const contrast: { -readonly [K in keyof Contrast]: Contrast[K] } = {
    ...levels,
    stretch: 'linear',
    colours: 'grey',
    inverted: false,
  }
  const state = { visible: true, automatic: false }
  for (const word of words) {
    const colours = readColours(word)
    if (Object.hasOwn(STRETCHED, word)) contrast.stretch = word as Contrast['stretch']
    else if (colours) contrast.colours = colours
    else if (word === 'inverted') contrast.inverted = true
    else if (word === 'auto') state.automatic = true
    else if (word === 'off') state.visible = false
    else return undefined
  }
  return [channel, { ...state, contrast, ofWells: {} }]
}

function readColours(word: string): Colours | undefined {
  if (COLOUR_MAP_NAMES.includes(word as ColourMapName)) return word as ColourMapName
  return /^[0-9a-f]{6}$/i.test(word) ? `#${word.toLowerCase()}` : undefined
}

/** `48..512`, and `,g0.8` where gamma is not 1. */
function writeLevels({ black, white, gamma }: Levels): string {
  return `${plain(black)}..${plain(white)}${gamma === 1 ? '' : `,g${plain(gamma)}`}`
}

function readLevels(text: string): Levels | undefined {
  const [, low = '', high = '', power = '1'] = /^(.+?)\.\.(.+?)(?:,g(.+))?$/s.exec(text) ?? []
  const black = numberIn(low, -MAX_LEVEL, MAX_LEVEL)
  const white = numberIn(high, -MAX_LEVEL, MAX_LEVEL)
  const gamma = numberIn(power, MIN_GAMMA, MAX_GAMMA)
  if (black === undefined || white === undefined || gamma === undefined || !(black < white)) return undefined
  return { black, white, gamma }
}

/** `0:48..512:A1`: channel, levels, and the name of the well. */
function readWellLevels(text: string): { channel: number; well: string; levels: Levels } | undefined {
  const [, index = '', body = '', name = ''] = /^(\d+):([^:]*):(.*)$/s.exec(text) ?? []
  const channel = indexBelow(index, MAX_INDEX)
  const levels = readLevels(body)
  const well = readName(name)
  return channel === undefined || !levels || well === undefined ? undefined : { channel, well, levels }
}

/** A record may not be told its prototype by a link. */
function withWell(ofWells: ChannelState['ofWells'], well: string, levels: Levels): ChannelState['ofWells'] {
  return Object.fromEntries([...Object.entries(ofWells), [well, levels]])
}

const MEASUREMENT_POINTS: Readonly<Record<Measurement['kind'], (count: number) => boolean>> = {
  length: count => count === 2,
  area: count => count >= 3 && count <= MAX_POINTS,
  region: count => count === 2,
}

/** `length:10.5,20;30,40:name`, all in µm. */
function readMeasurement(text: string): Measurement | undefined {
  const [, kind = '', body = '', name = ''] = /^(length|area|region):([^:]*):(.*)$/s.exec(text) ?? []
  const points = body.split(';').map(readPoint)
  const isKnown = Object.hasOwn(MEASUREMENT_POINTS, kind) && name.length <= MAX_NAME_LENGTH
  if (!isKnown || !MEASUREMENT_POINTS[kind as Measurement['kind']](points.length)) return undefined
  if (points.includes(undefined)) return undefined
  return { kind: kind as Measurement['kind'], points: points as PointUm[], name }
}

function readPoint(text: string): PointUm | undefined {
  const [x, y, ...more] = text.split(',').map(readPosition)
  return x === undefined || y === undefined || more.length > 0 ? undefined : { x, y }
}

function readLayers(text: string): ToolsState['visible'] | undefined {
  const names = text === 'none' ? [] : text.split(',')
  if (!names.every(name => OVERLAYS.includes(name as OverlayName))) return undefined
  const isVisible = (layer: OverlayName): boolean => names.includes(layer)
  return { outlines: isVisible('outlines'), points: isVisible('points'), measurements: isVisible('measurements') }
}

const readChoice = (text: string, yes: string, no: string): boolean | undefined =>
  text === yes || (text === no ? false : undefined)

const readFlag = (text: string): boolean | undefined => readChoice(text, '1', '0')

const readName = (text: string): string | undefined =>
  text !== '' && text.length <= MAX_NAME_LENGTH ? text : undefined

const readPosition = (text: string): number | undefined => numberIn(text, -MAX_POSITION_UM, MAX_POSITION_UM)

function indexBelow(text: string, end: number): number | undefined {
  return /^\d{1,7}$/.test(text) && Number(text) < end ? Number(text) : undefined
}

function numberIn(text: string, min: number, max: number): number | undefined {
  if (!/^-?\d+(\.\d+)?(e-?\d{1,3})?$/i.test(text)) return undefined
  const value = Number(text)
  return value >= min && value <= max ? value : undefined
}

/** Exact, and without the plus that would be a space in a URL. */
const plain = (value: number): string => String(value).replace('e+', 'e')

const position = (um: number): string => plain(Number(um.toFixed(POSITION_DECIMALS)))

/** What stands for itself in a fragment stays legible. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/%(3A|2C|3B|2F|40)/g, escaped => decodeURIComponent(escaped))
}
