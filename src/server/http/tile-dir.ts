import { realpath } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { unescape as decodePercents } from 'node:querystring'
import { fromSystemError, UnsupportedDataError, UsageError } from '../../errors.js'
import { isInside } from '../../is-inside.js'
import { readRootStamp } from '../../pyramid/root-stamp.js'
import { quote } from './parameters.js'
import { RequestRefusal } from './request-refusal.js'

const MAX_PATH_LENGTH = 4096

/**
 * The real path that a client's `tile_dir` stands for. Nothing is created, and nothing outside the roots is told of:
 * not even whether it exists.
 *
 * @param tileDir a path on this machine; relative ones start at the server's working directory, as in PYME.
 * @param roots real paths; with none, every path may be named.
 * @throws {RequestRefusal} outside the roots, after links are followed. @throws {NotFoundError} no such path.
 */
export async function resolveTileDir(tileDir: string, roots: readonly string[]): Promise<string> {
  return resolveInRoots(tileDir, roots, 'tile_dir')
}

/**
 * The real path of something that a client names for reading.
 *
 * @param parameter that it is the value of, for the message.
 * @throws as `resolveTileDir`.
 */
export async function resolveInRoots(typed: string, roots: readonly string[], parameter: string): Promise<string> {
  if (typed.includes('\0') || typed.length > MAX_PATH_LENGTH) {
    throw new UsageError(`The parameter ${parameter} is no path: ${quote(typed)}.`)
  }
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(typed)) {
    throw new UnsupportedDataError(`${typed} is a URL; ${parameter} names what lies on the server's disk.`, {
      url: typed,
    })
  }
  const path = resolve(typed)
  const isAllowed = (candidate: string): boolean => roots.length === 0 || roots.some(root => isInside(candidate, root))
  const real = await realpath(path).catch((error: unknown) => fromSystemError(error, typed))
  if (!isAllowed(typeof real === 'string' ? real : await nearestFolder(path))) {
    throw new RequestRefusal('OUTSIDE_ROOTS', `${typed} lies outside the folders that this server may open (--root).`)
  }
  if (typeof real !== 'string') throw real
  return real
}

/**
 * The `tile_dir` that is meant by a URL which somebody may have typed with the path as it is, unencoded: then a `+` is
 * a plus and an `&` belongs to the path. What the URL says by the rules is taken where it is a pyramid. Else another
 * reading is, if it is the only one that is.
 *
 * @param tileDir as the rules have it.
 * @param query of the URL as it was sent.
 * @throws {UsageError} several other readings lead to pyramids.
 */
export async function meantTileDir(tileDir: string, query: string, roots: readonly string[]): Promise<string> {
  if (await findPyramid(tileDir, roots)) return tileDir
  const found = new Map<string, string>()
  for (const reading of otherReadings(query)) {
    const folder = await findPyramid(reading, roots)
    if (folder !== undefined && !found.has(folder)) found.set(folder, reading)
  }
  const meant = [...found.values()]
  if (meant.length <= 1) return meant[0] ?? tileDir
  throw new UsageError(
    `The parameter tile_dir could mean ${meant.map(path => JSON.stringify(path)).join(' or ')}; write a plus as %2B, an & as %26 and a space as %20.`,
  )
}

/** What `tile_dir` is if not all of the signs in it mean what they mean in a URL. A token behind it is none of it. */
function otherReadings(query: string): string[] {
  const raw = /(?:^|&)tile_dir=(.*)$/s.exec(query)?.[1]?.replace(/&token=.*$/s, '')
  if (raw === undefined) return []
  const [upToAnd] = raw.split('&', 1)
  return [upToAnd, raw, raw.replaceAll('+', ' ')].map(decodePercents)
}

/** The real path of a pyramid that may be opened; undefined where a reading leads to none. */
async function findPyramid(tileDir: string, roots: readonly string[]): Promise<string | undefined> {
  try {
    const folder = await resolveTileDir(tileDir, roots)
    return (await readRootStamp(folder)) === undefined ? undefined : folder
  } catch {
    // Why what was asked for is none is told by opening it.
    return undefined
  }
}

/** The real path of the closest part of `path` that exists. */
export async function nearestFolder(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch {
    return dirname(path) === path ? path : nearestFolder(dirname(path))
  }
}
