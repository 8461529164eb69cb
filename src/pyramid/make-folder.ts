import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fromSystemError, SourceUnavailableError, systemCode } from '../errors.js'

/**
 * Make a folder and those it lies in. Node's own `recursive` never returns below `/proc` and calls a read-only disk
 * "not found".
 *
 * @throws {SourceUnavailableError} it cannot be made; the message names the folder that failed.
 */
export async function makeFolder(path: string): Promise<void> {
  if (await makeOne(path)) return
  const parent = dirname(path)
  if (parent !== path) await makeFolder(parent)
  if (await makeOne(path)) return
  throw new SourceUnavailableError(`${path} cannot be made: ${parent} takes no folders.`, { url: path })
}

/** @returns whether the folder is there now; false where the one that it lies in is missing. */
async function makeOne(path: string): Promise<boolean> {
  try {
    await mkdir(path)
    return true
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return true
    if (systemCode(error) === 'ENOENT') return false
    throw fromSystemError(error, path)
  }
}
