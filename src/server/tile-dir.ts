import { realpath } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { fromSystemError, UnsupportedDataError, UsageError } from '../errors.js'
import { isInside } from './access.js'
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
  if (tileDir.includes('\0') || tileDir.length > MAX_PATH_LENGTH) {
    throw new UsageError(`The parameter tile_dir is no path: ${quote(tileDir)}.`)
  }
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(tileDir)) {
    throw new UnsupportedDataError(`${tileDir} is a URL; tile_dir names a folder on the server's disk.`, {
      url: tileDir,
    })
  }
  const path = resolve(tileDir)
  const isAllowed = (candidate: string): boolean => roots.length === 0 || roots.some(root => isInside(candidate, root))
  const real = await realpath(path).catch((error: unknown) => fromSystemError(error, tileDir))
  if (!isAllowed(typeof real === 'string' ? real : await nearestFolder(path))) {
    throw new RequestRefusal('OUTSIDE_ROOTS', `${tileDir} lies outside the folders that this server may open (--root).`)
  }
  if (typeof real !== 'string') throw real
  return real
}

/** The real path of the closest part of `path` that exists. */
async function nearestFolder(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch {
    return dirname(path) === path ? path : nearestFolder(dirname(path))
  }
}
