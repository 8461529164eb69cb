import { statSync } from 'node:fs'
import { fromSystemError, UnsupportedDataError } from '../../errors.js'

/** Coarse clocks of file systems give two changes one time: nothing of a file that changed so lately is remembered. */
const SETTLED_AFTER_MS = 2000

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
      throw new UnsupportedDataError(`${path} is ${found} where an HDF5 file is expected.`, { url: path })
    }
    const { dev, ino, size, mtimeMs } = stats
    return {
      stamp: `${dev} ${ino} ${size} ${mtimeMs}`,
      modifiedMs: mtimeMs,
      isSettled: Date.now() - mtimeMs >= SETTLED_AFTER_MS,
    }
  } catch (error) {
    throw fromSystemError(error, path)
  }
}
