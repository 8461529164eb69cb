import { readdir, realpath, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, posix, resolve, sep } from 'node:path'
import { glob } from 'tinyglobby'
import { fromSystemError, NotFoundError, systemCode, UnsupportedDataError } from '../errors.js'
import type { FrameSource } from './frame-source.js'
import { mapConcurrently } from './map-concurrently.js'
import { MAX_METADATA_BYTES, parseMetadata } from './pyme/metadata.js'
import { openPcsSeries } from './pyme/pcs-series.js'
import { FINAL_METADATA, frameNumberOf, METADATA } from './pyme/series-files.js'
import { readFileBytes } from './read-file.js'

/** Listing a series is a few hundred small file operations; more at a time do not make a disk faster. */
const CONCURRENT_SERIES = 4

const GLOB_CHARACTERS = /[*?[\]{}()!]/
const PCS_NAME = /\.pcs[/\\]*$/i

const naturalOrder = new Intl.Collator('en', { numeric: true })

/**
 * Open series by path, by the folder that they lie in, or by glob.
 *
 * @param patterns in the order in which the series are to stand. What exists under its literal name is never taken as a
 *   glob. The matches of one glob are sorted naturally: `well_A2` before `well_A10`.
 * @returns the sources, each folder once, and a sentence for each thing that was left out.
 * @throws {NotFoundError} a path does not exist, or a glob matches no series.
 * @throws {UnsupportedDataError} a path exists and is no series. All other errors of the readers pass.
 *   Where one series cannot be opened, those already open are closed.
 */
export async function openSources(
  patterns: readonly string[],
): Promise<{ sources: FrameSource[]; warnings: string[] }> {
  const warnings: string[] = []
  const paths = new Map<string, string>()
  for (const pattern of patterns) {
    const found = await findSeries(pattern)
    warnings.push(...found.warnings)
    for (const path of found.paths) {
      const real = await realpath(path).catch(error => {
        throw fromSystemError(error, path)
      })
      if (paths.has(real)) warnings.push(`${path} is the same series as ${paths.get(real)} and is taken once.`)
      else paths.set(real, path)
    }
  }
  const opened: FrameSource[] = []
  try {
    const sources = await mapConcurrently([...paths.values()], CONCURRENT_SERIES, async path => {
      const source = await openPcsSeries(path)
      opened.push(source)
      return source
    })
    return { sources, warnings }
  } catch (error) {
    await Promise.allSettled(opened.map(source => source.close()))
    throw error
  }
}

/** Whether a path is a folder that we read as a series: by its name, or by what it holds. */
export async function isSeries(path: string): Promise<boolean> {
  const names = await listFolder(path)
  return names !== undefined && looksLikeSeries(path, names)
}

function looksLikeSeries(path: string, names: readonly string[]): boolean {
  if (PCS_NAME.test(path)) return true
  const described = names.includes(METADATA) || names.includes(FINAL_METADATA)
  return described && names.some(name => frameNumberOf(name) !== undefined)
}

async function findSeries(typed: string): Promise<{ paths: string[]; warnings: string[] }> {
  const pattern = typed.startsWith('~/') ? join(homedir(), typed.slice(2)) : typed
  if (await exists(pattern)) {
    const paths = (await isSeries(pattern)) ? [pattern] : await seriesInside(pattern)
    if (paths.length === 0) throw await notASeries(pattern)
    return { paths, warnings: [] }
  }
  return await matchSeries(pattern)
}

/** The `.pcs` series right in a folder, in natural order; none where the folder is a pyramid. */
async function seriesInside(path: string): Promise<string[]> {
  const names = (await listFolder(path)) ?? []
  if (names.includes('zarr.json') || names.includes(METADATA)) return []
  const series = names.filter(name => PCS_NAME.test(name)).sort(naturalOrder.compare)
  return series.map(name => join(path, name))
}

async function matchSeries(pattern: string): Promise<{ paths: string[]; warnings: string[] }> {
  const { folder, rest } = await splitGlob(pattern)
  if (!GLOB_CHARACTERS.test(rest)) {
    throw new NotFoundError(`${pattern} does not exist; ${await describeContent(folder)}.`, { url: pattern })
  }
  const folders = (await matchFolders(rest, folder)).sort(naturalOrder.compare)
  const verdicts = await mapConcurrently(folders, CONCURRENT_SERIES, isSeries)
  const paths = folders.filter((_, i) => verdicts[i])
  if (paths.length === 0) {
    const found = folders.length === 0 ? 'no folder' : `folders (${folders.slice(0, 3).join(', ')}), but no series`
    throw new NotFoundError(`${pattern} matches ${found}; ${await describeContent(folder)}.`, { url: pattern })
  }
  const others = folders.filter((_, i) => !verdicts[i])
  const warnings =
    others.length === 0 ? [] : [`${pattern} also matches what is no series and is left out: ${others.join(', ')}.`]
  return { paths, warnings }
}

async function matchFolders(pattern: string, cwd: string): Promise<string[]> {
  const bare = pattern.replace(/\/+$/, '')
  // tinyglobby never lists a link to a folder, but what lies in it: links to series are found by their metadata.
  const patterns = [bare, `${bare}/{${METADATA},${FINAL_METADATA}}`]
  const matches = await glob(patterns, { cwd, onlyFiles: false, expandDirectories: false })
  const folders = matches.flatMap(match => {
    if (match.endsWith('/')) return [match.slice(0, -1)]
    return [METADATA, FINAL_METADATA].includes(posix.basename(match)) ? [posix.dirname(match)] : []
  })
  return [...new Set(folders)].map(match => join(cwd, match))
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

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return false
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
    `${path} is ${found}; a series is a folder with frame00000.pzf, metadata.json and events.json.`,
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
  const series = names.filter(name => PCS_NAME.test(name)).sort(naturalOrder.compare)
  const found =
    series.length === 0 ? 'none of which is a .pcs series' : `${series.length} of them .pcs series such as ${series[0]}`
  return `${resolve(folder)} ${names.length === 0 ? 'is empty' : `holds ${countEntries(names)}, ${found}`}`
}

function countEntries(names: readonly string[]): string {
  return names.length === 1 ? '1 entry' : `${names.length} entries`
}
