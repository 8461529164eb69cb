import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fromSystemError } from '../errors.js'
import { makeFolder } from './make-folder.js'

/**
 * Write a whole file, its folder made if need be, under a temporary name, then rename it: readers see the old file or
 * the new one, never a part, also after a power cut.
 *
 * @throws {SourceUnavailableError} the disk is full, read-only or failing; nothing is left behind.
 */
export async function writeFileAtomically(path: string, bytes: Uint8Array | string): Promise<void> {
  // What a build that was killed left is overwritten by the next one: only one at a time writes to a folder.
  const temporary = `${path}.tmp`
  try {
    await makeFolder(dirname(path))
    const file = await open(temporary, 'w')
    try {
      await file.writeFile(bytes)
      // A power cut must not keep the completion marker and lose a shard.
      await file.datasync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined)
    throw fromSystemError(error, path)
  }
}
