import { realpath } from 'node:fs/promises'
import { fromSystemError, UnsupportedDataError } from '../errors.js'
import { isInside } from '../is-inside.js'

/**
 * Make sure that a file of a pyramid is no link to a place outside of some folders. Whoever may write below them could
 * put a link there to what the server may read and they may not.
 *
 * @param path below the real path of the pyramid.
 * @param folders real paths; with none, every place is fine.
 * @throws {UnsupportedDataError} it leads out. @throws {NotFoundError | SourceUnavailableError} it leads nowhere.
 */
export async function expectInside(path: string, folders: readonly string[]): Promise<void> {
  if (folders.length === 0) return
  const real = await realpath(path).catch(error => Promise.reject(fromSystemError(error, path)))
  if (real === path || folders.some(folder => isInside(real, folder))) return
  throw new UnsupportedDataError(`${path} is a link that leads out of the folders that may be opened.`, { url: path })
}
