import { createHash } from 'node:crypto'
import { hashOfJson } from '../hash-of-json.js'
import type { Plane } from '../plane.js'
import type { BuildSettings } from '../pyramid/build-settings.js'
import type { LocatedSeries } from '../pyramid/placement.js'
import { shortStamp } from '../pyramid/placement-table.js'
import type { PyramidRecord } from '../pyramid/pyramid-record.js'
import { absoluteUrl } from '../sources/absolute-url.js'
import type { KnownPyramid } from './build-output.js'

/** The settings without their planes, whose checksums stand for them, and without what is told of every series. */
export function describeSettings(settings: BuildSettings): Record<string, unknown> {
  const { dark, gain, illumination, join, ...plain } = settings
  const sum = (plane: Plane): string =>
    createHash('sha256').update(Buffer.from(plane.samples.buffer)).digest('hex').slice(0, 16)
  return {
    ...plain,
    join: { kind: join.kind },
    dark: typeof dark === 'object' ? `plane ${sum(dark)}` : dark,
    gain: gain && `plane ${sum(gain)}`,
    illumination: illumination && `plane ${sum(illumination)}`,
  }
}

/** Stands for the series and settings of a build: equal fingerprints give equal samples. */
export function fingerprintOf(sources: readonly LocatedSeries[], settings: BuildSettings): string {
  const series = sources.map(({ series: { name, fingerprint } }, i) => [name, fingerprint, channelOf(settings, i)])
  return hashOfJson([1, series, describeSettings(settings)])
}

/** Stands for the place of the series and the settings, whatever the series hold by now. */
export function fingerprintOfPlaces(sources: readonly LocatedSeries[], settings: BuildSettings): string {
  return hashOfJson([
    1,
    sources.map(({ url }, i) => [absoluteUrl(url), channelOf(settings, i)]),
    describeSettings(settings),
  ])
}

/** Stands for the settings that change a sample; where it lies is told by the pixels of its frames. */
export function fingerprintOfSettings(settings: BuildSettings): string {
  const { originUm: _, ...others } = describeSettings(settings)
  return hashOfJson(others)
}

function channelOf({ join }: BuildSettings, series: number): string | null {
  return join.kind === 'channels' ? join.names[series] : null
}

/**
 * Series in the order of a pyramid that knows some of them: the known ones as they stand there, then the new ones.
 *
 * @returns the settings, too, whose channels stand in the order of the series.
 */
export function orderAsRecorded<T extends LocatedSeries>(
  sources: readonly T[],
  settings: BuildSettings,
  record: PyramidRecord | undefined,
): { readonly sources: readonly T[]; readonly settings: BuildSettings } {
  if (!record) return { sources, settings }
  const places = new Map(record.series.map(({ url }, i) => [url, i]))
  const placeOf = (i: number): number => places.get(absoluteUrl(sources[i].url)) ?? places.size + i
  const order = [...sources.keys()].sort((a, b) => placeOf(a) - placeOf(b))
  const { join } = settings
  return {
    sources: order.map(i => sources[i]),
    settings:
      join.kind === 'channels' ? { ...settings, join: { ...join, names: order.map(i => join.names[i]) } } : settings,
  }
}

/**
 * Why a pyramid cannot be gone on with, in words that follow "a pyramid"; undefined where it can: the settings are the
 * same, its series are among those named, and no frame that a finished one shows changed.
 *
 * @param follows whether the series are still being acquired, so that their newest frames may change.
 */
export function objectionTo(
  { record, rows }: KnownPyramid,
  sources: readonly LocatedSeries[],
  settings: BuildSettings,
  follows: boolean,
): string | undefined {
  const recorded = plain(record.settings)
  const asked = plain(describeSettings(settings))
  const differs = [...new Set([...Object.keys(recorded), ...Object.keys(asked)])].find(
    name => JSON.stringify(recorded[name]) !== JSON.stringify(asked[name]),
  )
  if (differs !== undefined)
    return `of other settings (${differs}: ${show(recorded[differs])} there, ${show(asked[differs])} asked for)`
  const named = new Map(
    sources.map((source, i) => [absoluteUrl(source.url), { source, channel: channelOf(settings, i) }]),
  )
  const byNumber = record.series.map(({ url }) => named.get(url)?.source)
  const gone = record.series.find((_, i) => byNumber[i] === undefined)
  if (gone) return `of other series (${gone.url} is in it and was not named)`
  const moved = record.series.find(({ url, channel }) => named.get(url)?.channel !== channel)
  if (moved) return `in which ${moved.url} is of another channel`
  if (!record.complete || !rows || follows) return undefined
  const stamps = byNumber.map(source => new Map(source?.series.frames.map(frame => [frame.index, frame.stamp])))
  const changed = rows.find(({ series, frame, stamp, used }) => {
    const now = stamps[series].get(frame)
    // One that could not be read may have been mended.
    return used && (now === undefined || shortStamp(now) !== stamp)
  })
  return (
    changed &&
    `of frames that changed since (the first is frame ${changed.frame} of ${record.series[changed.series].url})`
  )
}

/** As it comes out of the file. */
function plain(settings: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return JSON.parse(JSON.stringify(settings)) as Record<string, unknown>
}

function show(value: unknown): string {
  if (value === undefined) return 'none'
  return typeof value === 'string' ? value : JSON.stringify(value)
}
