import { statSync } from 'node:fs'
import { LRUCache } from 'lru-cache'
import { fromSystemError, UnsupportedDataError } from '../errors.js'

/** Coarse clocks of file systems give two changes one time: nothing of a file that changed so lately is remembered. */
const SETTLED_AFTER_MS = 2000
/** Files whose versions are remembered, in a thread. */
const MAX_SEEN = 1000

/** By path: since when a file has been as it is, by our own clock. That of its disk may be days ahead. */
const seen = new LRUCache<string, { readonly stamp: string; readonly at: number }>({ max: MAX_SEEN })

/** One version of a file, as far as it can be told without reading it. */
export interface FileVersion {
  /** Which file, its size and its time of change; compared for equality only, for clocks jump. */
  readonly stamp: string
  /** Unix ms. */
  readonly modifiedMs: number
  /** Whether another version would have another stamp. */
  readonly isSettled: boolean
}

/**
 * Look at a file.
 *
 * @throws {NotFoundError | SourceUnavailableError} it is not there or cannot be looked at. @throws {UnsupportedDataError} no file.
 */
export function examineFile(path: string): FileVersion {
  try {
    const stats = statSync(path)
    if (!stats.isFile()) {
      const found = stats.isDirectory() ? 'a folder' : 'a pipe or a device'
      throw new UnsupportedDataError(`${path} is ${found} where a file is expected.`, { url: path })
    }
    const { dev, ino, size, mtimeMs } = stats
    const stamp = `${dev} ${ino} ${size} ${mtimeMs}`
    const now = performance.now()
    const known = seen.get(path)
    if (known?.stamp !== stamp) seen.set(path, { stamp, at: now })
    const isOld = Date.now() - mtimeMs >= SETTLED_AFTER_MS
    const isKnown = known?.stamp === stamp && now - known.at >= SETTLED_AFTER_MS
    return { stamp, modifiedMs: mtimeMs, isSettled: isOld || isKnown }
  } catch (error) {
    throw fromSystemError(error, path)
  }
}
