import type { Flags } from '../config.js'
import { UsageError } from '../errors.js'
import { lengthUnitUm } from '../length-unit.js'
import { type Plane, SAMPLE_TYPES, type SampleType, type Size } from '../plane.js'
import type { Blend } from '../pyramid/blend.js'
import { type BuildSettings, DEFAULT_SETTINGS, type Join, TILE_SIZES } from '../pyramid/build-settings.js'
import { type AxisLetters, areAxisLetters } from '../sources/array-axes.js'
import { parseServers } from '../sources/cluster/data-server.js'
import { readCorrectionImage } from '../sources/correction-image.js'
import type { FrameSource } from '../sources/frame-source.js'
import { locateSeries, openLocations, openSources } from '../sources/open-source.js'
import type { SeriesLocation } from '../sources/series-location.js'
import { SeriesWatch } from '../sources/series-watch.js'
import type { SourceOptions } from '../sources/source-options.js'

export interface OpenedSeries {
  readonly sources: readonly FrameSource[]
  readonly join: Join
  readonly warnings: readonly string[]
}

/** Series that may be growing. The caller closes the watch. */
export interface FollowedSeries {
  readonly watch: SeriesWatch
  /**
   * How the watch's sources of the moment relate; to be asked again whenever they change.
   *
   * @throws {UsageError} a series that came belongs to no channel, or to two.
   */
  join(): Join
}

/**
 * Open the series that a `build` or `view` names, by position or by `--channel NAME=GLOB`, and say how they relate.
 * The caller closes them.
 */
export async function openNamedSeries(flags: Flags): Promise<OpenedSeries> {
  const { channels, join } = readNamedSeries(flags)
  const options = readSourceOptions(flags)
  if (channels.length > 0) return openChannels(flags.positionals, channels, options)
  return { ...(await openSources(flags.positionals, options)), join }
}

/** As `openNamedSeries`, for series that may be growing, and with those that are still to come. */
export async function followNamedSeries(flags: Flags): Promise<FollowedSeries> {
  const { channels, join } = readNamedSeries(flags)
  const groups = [flags.positionals, ...channels.map(({ pattern }) => [pattern])]
  const watch = await SeriesWatch.open(groups, readSourceOptions(flags))
  if (channels.length === 0) return { watch, join: () => join }
  const channelOf = ({ url }: FrameSource, position: number): string =>
    onlyChannel(url, new Set(watch.groupsOf(position).flatMap(group => channels[group - 1]?.name ?? [])))
  return { watch, join: () => ({ kind: 'channels', names: watch.sources.map(channelOf) }) }
}

/** @throws {UsageError} `--cluster` names no servers; a unit, a shape or axes that make no sense. */
export function readSourceOptions(flags: Flags): SourceOptions {
  const servers = flags.text('cluster')
  return {
    cluster: servers === undefined ? undefined : { servers: parseServers(servers) },
    unitUm: readUnit(flags),
    shape: readShape(flags),
    axes: readAxes(flags),
    table: flags.text('table'),
  }
}

function readUnit(flags: Flags): number | undefined {
  const unit = flags.text('unit')
  if (unit === undefined) return undefined
  const um = lengthUnitUm(unit)
  if (um === undefined) throw flags.wrong('unit', 'it is m, mm, um, nm, pm or angstrom')
  return um
}

function readShape(flags: Flags): Size | undefined {
  const text = flags.text('shape')
  if (text === undefined) return undefined
  const [, height, width] = /^(\d{1,6})[x×](\d{1,6})$/.exec(text) ?? []
  if (!(Number(height) > 0 && Number(width) > 0)) throw flags.wrong('shape', 'it is HEIGHTxWIDTH in px, e.g. 28x28')
  return { width: Number(width), height: Number(height) }
}

function readAxes(flags: Flags): AxisLetters | undefined {
  const letters = flags.text('axes')?.toLowerCase()
  if (letters !== undefined && !areAxisLetters(letters))
    throw flags.wrong('axes', 'it is y, x and any of c, z, t and n, each once, e.g. cyx')
  return letters
}

interface NamedSeries {
  readonly channels: readonly ChannelFlag[]
  /** Where there are no channels. */
  readonly join: Join
}

function readNamedSeries(flags: Flags): NamedSeries {
  const channels = flags.all('channel').map(parseChannel)
  const kinds = [channels.length > 0 && '--channel', flags.has('as') && '--as', flags.has('merge') && '--merge'].filter(
    Boolean,
  )
  if (kinds.length > 1)
    throw new UsageError(`${kinds.join(' and ')} exclude each other: they say how series over the same area relate.`)
  flags.oneOf('as', ['time'])
  if (flags.positionals.length + channels.length === 0)
    throw new UsageError('Name the series to build from, as paths or quoted globs.')
  return { channels, join: { kind: flags.has('as') ? 'time' : flags.has('merge') ? 'merge' : 'separate' } }
}

interface ChannelFlag {
  readonly name: string
  readonly pattern: string
}

function parseChannel(text: string): ChannelFlag {
  const at = text.indexOf('=')
  if (at < 1 || at === text.length - 1) throw new UsageError(`--channel ${text} is not possible; it is NAME=GLOB.`)
  return { name: text.slice(0, at), pattern: text.slice(at + 1) }
}

/** Open the series of every channel; a series that is also named by position is the same one. */
async function openChannels(
  positionals: readonly string[],
  channels: readonly ChannelFlag[],
  options: SourceOptions,
): Promise<OpenedSeries> {
  const located = new Map<string, { readonly location: SeriesLocation; readonly names: Set<string> }>()
  const warnings: string[] = []
  const add = async (patterns: readonly string[], name: string | undefined): Promise<void> => {
    const found = await locateSeries(patterns, options)
    warnings.push(...found.warnings)
    for (const location of found.locations) {
      const { names } = located.get(location.identity) ?? { names: new Set() }
      if (name !== undefined) names.add(name)
      if (!located.has(location.identity)) located.set(location.identity, { location, names })
    }
  }
  if (positionals.length > 0) await add(positionals, undefined)
  for (const { name, pattern } of channels) await add([pattern], name)
  const series = [...located.values()]
  const names = series.map(({ location, names }) => onlyChannel(location.url, names))
  const sources = await openLocations(series.map(({ location }) => location))
  return { sources, warnings, join: { kind: 'channels', names } }
}

function onlyChannel(url: string, names: ReadonlySet<string>): string {
  const [name, other] = names
  if (name === undefined) throw new UsageError(`${url} belongs to no --channel; give every series one.`)
  if (other === undefined) return name
  throw new UsageError(`${url} is given to the channels ${name} and ${other}; a series has one.`)
}

/** What a pyramid is written as. */
export function readFormat(flags: Flags): 'ome-zarr' | 'pyme' {
  const format = flags.oneOf('format', ['ome-zarr', 'pyme']) ?? 'ome-zarr'
  if (format === 'pyme' && flags.has('dtype') && flags.text('dtype') !== 'float32')
    throw flags.wrong('dtype', 'the tiles of a PYME pyramid are float32')
  return format
}

/** @throws {UsageError} a flag whose value makes no sense. */
export async function readBuildSettings(flags: Flags, join: Join): Promise<BuildSettings> {
  const blend = flags.oneOf<Blend>('blend', ['feather', 'mean', 'last', 'pyme']) ?? DEFAULT_SETTINGS.blend
  const rotate = flags.oneOf('rotate-image', ['90', '180', '270'])
  const flips = flags.all('flip-image').flatMap(text => text.split(','))
  const wrongFlip = flips.find(axis => axis !== 'x' && axis !== 'y')
  if (wrongFlip !== undefined) throw new UsageError(`--flip-image ${wrongFlip} is not possible; it is x or y.`)
  const tileSize = flags.oneOf('tile-size', TILE_SIZES.map(String))
  return {
    blend,
    sampleType: flags.oneOf('dtype', Object.keys(SAMPLE_TYPES) as SampleType[]),
    tileSize: tileSize === undefined ? DEFAULT_SETTINGS.tileSize : Number(tileSize),
    originUm: readOrigin(flags),
    pixelSizeUm: readPixelSize(flags),
    orientation: {
      flipX: flips.includes('x'),
      flipY: flips.includes('y'),
      rotate: (Number(rotate) || 0) as 0 | 90 | 180 | 270,
    },
    stageSign: readStageSign(flags.text('stage-sign')),
    join,
    dark: await readDark(flags.text('dark')),
    gain: await readImage(flags.text('gain')),
    illumination: await readImage(flags.text('illumination')),
  }
}

function readOrigin(flags: Flags): BuildSettings['originUm'] {
  if (!flags.has('origin')) return undefined
  const numbers = flags.numbers('origin')
  if (numbers?.length !== 2) throw flags.wrong('origin', 'it is X,Y in µm')
  return { x: numbers[0], y: numbers[1] }
}

function readPixelSize(flags: Flags): BuildSettings['pixelSizeUm'] {
  if (!flags.has('pixel-size')) return undefined
  const numbers = flags.numbers('pixel-size')
  if (!numbers || numbers.length > 2 || !numbers.every(size => size > 0))
    throw flags.wrong('pixel-size', 'it is a size above 0 in µm, or two of them as X,Y')
  return { x: numbers[0], y: numbers[numbers.length - 1] }
}

function readStageSign(text: string | undefined): BuildSettings['stageSign'] {
  const sign: { x: 1 | -1; y: 1 | -1 } = { x: 1, y: 1 }
  for (const part of text?.split(',') ?? []) {
    const match = /^([xy])=([+-]?1)$/.exec(part.trim())
    if (!match) throw new UsageError(`--stage-sign ${text} is not possible; it is x=-1, y=-1 or x=-1,y=-1.`)
    sign[match[1] as 'x' | 'y'] = Number(match[2]) as 1 | -1
  }
  return sign
}

async function readDark(text: string | undefined): Promise<number | Plane | undefined> {
  if (text === undefined) return undefined
  const level = Number(text)
  return Number.isFinite(level) ? level : readCorrectionImage(text)
}

async function readImage(path: string | undefined): Promise<Plane | undefined> {
  return path === undefined ? undefined : readCorrectionImage(path)
}
