import { type Stats, statSync } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, posix, resolve, sep } from 'node:path'
import { glob } from 'tinyglobby'
import { fromSystemError, NotFoundError, systemCode, UnsupportedDataError } from '../errors.js'
import { naturalOrder } from '../natural-order.js'
import type { NamedFile } from './file-format.js'
import { formatOf, listFormats } from './file-formats.js'
import { mapConcurrently } from './map-concurrently.js'
import { MAX_METADATA_BYTES, parseMetadata } from './pyme/metadata.js'
import { PcsFolder } from './pyme/pcs-folder.js'
import { openPcsSeries } from './pyme/pcs-series.js'
import { PcsWatch } from './pyme/pcs-watch.js'
import { FINAL_METADATA, frameNumberOf, METADATA } from './pyme/series-files.js'
import { readFileBytes } from './read-file.js'
import type { FoundSeries, PlaceOfMore, SeriesLocation } from './series-location.js'
import type { SourceOptions } from './source-options.js'

/** Enough to keep a disk busy. */
const CONCURRENT_FOLDERS = 4

export const GLOB_CHARACTERS = /[*?[\]{}()!]/
const PCS_NAME = /\.pcs[/\\]*$/i

/** Whether a path is a folder or a file that we read as a series: by its name, or by what it holds. */
export async function isSeries(path: string): Promise<boolean> {
  const format = formatOf(path)
  if (format && (await isFile(path))) return await format.isSeries(path)
  // A series may have thousands of names, which are listed when it is opened.
  if (PCS_NAME.test(path)) return await isFolder(path)
  const names = (await listFolder(path)) ?? []
  const described = names.includes(METADATA) || names.includes(FINAL_METADATA)
  return described && names.some(name => frameNumberOf(name) !== undefined)
}

/**
 * Find series by path, by the folder that they lie in, or by glob.
 *
 * @param typed what exists under its literal name is never taken as a glob. The matches of a glob are sorted naturally:
 *   `well_A2` before `well_A10`.
 * @throws {NotFoundError} a path that is no glob does not exist.
 * @throws {SourceUnavailableError} a folder cannot be looked at.
 */
export async function findOnDisk(typed: string, options: SourceOptions): Promise<FoundSeries> {
  const pattern = typed.startsWith('~/') ? join(homedir(), typed.slice(2)) : typed
  const inside = await splitInside(pattern)
  if (inside === undefined && !(await exists(pattern))) return await matchSeries(pattern, options)
  // Why a file that is named is no series is told by opening it.
  if (inside !== undefined || (formatOf(pattern) && (await isFile(pattern))) || (await isSeries(pattern))) {
    return { locations: [await locateSeries(pattern, options)], warnings: [], missing: undefined, more: undefined }
  }
  const names = (await listFolder(pattern)) ?? []
  const isPlace = (await isFolder(pattern)) && !names.includes('zarr.json') && !names.includes(METADATA)
  const series: string[] = []
  const others: string[] = []
  for (const name of isPlace ? names.filter(hasSeriesName).sort(naturalOrder) : []) {
    const path = join(pattern, name)
    if (PCS_NAME.test(name) || (await isSeries(path))) series.push(path)
    else others.push(path)
  }
  return {
    locations: await locateAll(series, options),
    warnings: [],
    missing: series.length === 0 ? await notASeries(pattern) : undefined,
    // A file that holds no series yet may become one.
    more: isPlace ? placeOfMore([pattern, ...others]) : undefined,
  }
}

function locateAll(paths: readonly string[], options: SourceOptions): Promise<SeriesLocation[]> {
  return mapConcurrently(paths, CONCURRENT_FOLDERS, path => locateSeries(path, options))
}

/** @param url path of what `isSeries`, or of something inside of a file. */
async function locateSeries(url: string, options: SourceOptions): Promise<SeriesLocation> {
  const { path, inside } = (await splitInside(url)) ?? { path: url, inside: undefined }
  const real = await realpath(path).catch(error => {
    throw fromSystemError(error, path)
  })
  const format = formatOf(path)
  const identity = inside === undefined ? real : `${real}#${inside}`
  if (format && (await isFile(path))) return format.locate({ path, inside, url, identity }, options)
  return {
    url: path,
    identity,
    open: () => openPcsSeries(path),
    follow: isFresh => new PcsWatch(new PcsFolder(path), isFresh),
  }
}

/** The file and what is named inside of it: `file.h5#/path/inside`. Undefined where a name is no more than a path. */
export async function splitInside(name: string): Promise<Pick<NamedFile, 'path' | 'inside'> | undefined> {
  if (!name.includes('#', 1) || (await exists(name))) return undefined
  // Names of files and of what is in them may have the sign in them, too.
  for (let at = name.indexOf('#', 1); at > 0; at = name.indexOf('#', at + 1)) {
    const path = name.slice(0, at)
    if (formatOf(path) && (await isFile(path))) return { path, inside: name.slice(at + 1) }
  }
  return undefined
}

/** Tells by their times when something was put into folders or taken out. */
function placeOfMore(folders: readonly string[]): PlaceOfMore {
  return { stamp: () => folders.map(path => `${path} ${stampFolder(path)}`).join('\n') }
}

/** Empty where there is no such folder. */
function stampFolder(path: string): string {
  try {
    const stats = statSync(path, { throwIfNoEntry: false })
    return stats ? `${stats.ino} ${stats.mtimeMs}` : ''
  } catch {
    // Why it cannot be looked at is said by the next search.
    return ''
  }
}

async function matchSeries(pattern: string, options: SourceOptions): Promise<FoundSeries> {
  const { folder, rest } = await splitGlob(pattern)
  if (!GLOB_CHARACTERS.test(rest)) {
    throw new NotFoundError(`${pattern} does not exist; ${await describeContent(folder)}.`, { url: pattern })
  }
  const matches = (await matchPlaces(rest, folder)).sort(naturalOrder)
  const verdicts = await mapConcurrently(matches, CONCURRENT_FOLDERS, isSeries)
  const paths = matches.filter((_, i) => verdicts[i])
  const others = matches.filter((_, i) => !verdicts[i])
  const onTheWay = (await foldersOnTheWay(rest, folder)).filter(path => !paths.includes(path))
  // A folder that matches and holds no series yet may become one.
  const more = placeOfMore([...new Set([folder, ...onTheWay, ...others])])
  if (paths.length === 0) {
    const named = matches.slice(0, 3).join(', ')
    const found = matches.length === 0 ? 'no folder and no file that can be read' : `${named} and no series`
    const message = `${pattern} matches ${found}; ${await describeContent(folder)}.`
    return { locations: [], warnings: [], missing: new NotFoundError(message, { url: pattern }), more }
  }
  const warnings =
    others.length === 0 ? [] : [`${pattern} also matches what is no series and is left out: ${others.join(', ')}.`]
  return { locations: await locateAll(paths, options), warnings, missing: undefined, more }
}

/** The folders that a glob goes through: those that its first segments match. */
async function foldersOnTheWay(pattern: string, cwd: string): Promise<string[]> {
  const segments = pattern.replace(/\/+$/, '').split('/')
  // The slashes within braces part no segments.
  if (segments.length === 1 || /\{[^}]*\//.test(pattern)) return []
  const prefixes = segments.slice(1).map((_, i) => segments.slice(0, i + 1).join('/'))
  const matches = await glob(prefixes, { cwd, onlyDirectories: true, expandDirectories: false })
  return matches.map(match => join(cwd, match.replace(/\/+$/, '')))
}

/** The folders and HDF5 files that a pattern matches. */
async function matchPlaces(pattern: string, cwd: string): Promise<string[]> {
  const bare = pattern.replace(/\/+$/, '')
  // tinyglobby never lists a link to a folder, but what lies in it: links to series are found by their metadata.
  const patterns = [bare, `${bare}/{${METADATA},${FINAL_METADATA}}`]
  const matches = await glob(patterns, { cwd, onlyFiles: false, expandDirectories: false })
  const places = matches.flatMap(match => {
    if (match.endsWith('/')) return [match.slice(0, -1)]
    if (formatOf(match)) return [match]
    return [METADATA, FINAL_METADATA].includes(posix.basename(match)) ? [posix.dirname(match)] : []
  })
  return [...new Set(places)].map(match => join(cwd, match))
}

/** The folder that a glob starts from, which exists, and the part that is to be matched in it. */
async function splitGlob(pattern: string): Promise<{ folder: string; rest: string }> {
  const slashed = sep === '/' ? pattern : pattern.replaceAll(sep, '/')
  const segments = slashed.split('/')
  let folder = slashed.startsWith('/') ? '/' : '.'
  let used = 0
  // A folder that exists is taken by its name even where the name has a bracket in it.
  for (; used < segments.length - 1; used++) {
    const next = segments.slice(0, used + 1).join('/') || '/'
    if (!(await exists(next))) break
    folder = next
  }
  return { folder, rest: segments.slice(used).join('/') }
}

function hasSeriesName(name: string): boolean {
  return PCS_NAME.test(name) || formatOf(name)?.isFoundInFolders === true
}

async function isFile(path: string): Promise<boolean> {
  return (await examine(path))?.isFile() ?? false
}

async function exists(path: string): Promise<boolean> {
  return (await examine(path)) !== undefined
}

async function isFolder(path: string): Promise<boolean> {
  return (await examine(path))?.isDirectory() ?? false
}

async function examine(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path)
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined
    throw fromSystemError(error, path)
  }
}

/** The names in a folder; undefined where there is no such folder. */
async function listFolder(path: string): Promise<string[] | undefined> {
  try {
    return await readdir(path)
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined
    throw fromSystemError(error, path)
  }
}

async function notASeries(path: string): Promise<UnsupportedDataError> {
  const found = await describeNonSeries(path)
  return new UnsupportedDataError(
    `${path} is ${found}; a series is a folder with frame00000.pzf, metadata.json and events.json, or ${listFormats()}.`,
    { url: path },
  )
}

async function describeNonSeries(path: string): Promise<string> {
  const names = await listFolder(path)
  if (names === undefined) return 'a file'
  if (names.length === 0) return 'an empty folder'
  if (names.includes('zarr.json')) return 'an OME-Zarr pyramid, which tilestage serve shows'
  if (names.includes(METADATA) && (await isPymePyramid(path))) return 'a PYME pyramid, which tilestage serve shows'
  return `a folder of ${countEntries(names)} that has not both frames and metadata`
}

/** PYME's pyramids have a metadata.json too, with keys such as `Pyramid.TileSize` and nothing else. */
async function isPymePyramid(path: string): Promise<boolean> {
  const file = join(path, METADATA)
  const metadata = parseMetadata(await readFileBytes(file, { maxBytes: MAX_METADATA_BYTES }), file)
  return Object.keys(metadata).some(key => key.startsWith('Pyramid.'))
}

async function describeContent(folder: string): Promise<string> {
  const names = (await listFolder(folder)) ?? []
  const series = names.filter(hasSeriesName).sort(naturalOrder)
  const found =
    series.length === 0 ? 'none of which is a series' : `${series.length} of them series such as ${series[0]}`
  return `${resolve(folder)} ${names.length === 0 ? 'is empty' : `holds ${countEntries(names)}, ${found}`}`
}

function countEntries(names: readonly string[]): string {
  return names.length === 1 ? '1 entry' : `${names.length} entries`
}
