import { close, fdatasync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { fromSystemError, SourceUnavailableError, systemCode } from '../errors.js'
import { makeFolder } from '../pyramid/make-folder.js'
import { temporaryPath } from './build-job.js'

const closeFile = promisify(close)
const syncFile = promisify(fdatasync)

/**
 * Write a shard under its temporary name. The bytes are taken before this returns; they are on the disk when the
 * promise resolves.
 *
 * @param directory the pyramid's folder, which is never made again once it is gone.
 * @throws {SourceUnavailableError} disk full, folder removed or not writable; nothing is left behind.
 */
export function writeShard(directory: string, path: string, bytes: Uint8Array): Promise<void> {
  const temporary = temporaryPath(path)
  try {
    return finish(writeAll(temporary, bytes), temporary, path)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') {
      rmSync(temporary, { force: true })
      return Promise.reject(fromSystemError(error, path))
    }
    // Its folder is missing, as that of the first shard of a row is; the bytes are needed by the next shard meanwhile.
    return makeFolderAndWrite(directory, path, bytes.slice())
  }
}

async function makeFolderAndWrite(directory: string, path: string, bytes: Uint8Array): Promise<void> {
  const temporary = temporaryPath(path)
  await stat(directory).catch(error => {
    throw systemCode(error) === 'ENOENT'
      ? new SourceUnavailableError(`${directory} was removed while it was being built.`, { url: directory })
      : fromSystemError(error, directory)
  })
  await makeFolder(dirname(path))
  try {
    await finish(writeAll(temporary, bytes), temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw fromSystemError(error, path)
  }
}

/** @returns the file, still open. */
function writeAll(path: string, bytes: Uint8Array): number {
  const file = openSync(path, 'w')
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done)
    return file
  } catch (error) {
    close(file)
    throw error
  }
}

/** A power cut must not keep the journal's line and lose the shard. */
async function finish(file: number, temporary: string, path: string): Promise<void> {
  try {
    await syncFile(file)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw fromSystemError(error, path)
  } finally {
    await closeFile(file)
  }
}

/** @throws {SourceUnavailableError | NotFoundError} the file of a finished shard cannot be read. */
export function readShard(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw fromSystemError(error, path)
  }
}
