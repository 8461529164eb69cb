import type { FileHandle } from 'node:fs/promises'
import { CorruptDataError } from '../errors.js'
import { examineFile } from './file-version.js'
import { openFile } from './read-file.js'

/**
 * Read from a file that is as it was when it was opened first: never from another one that has its name by now, and
 * never a mixture.
 *
 * @param stamp of the version that is meant, as `examineFile` tells it.
 * @throws {CorruptDataError} it has changed. @throws as `openFile` and `work`.
 */
export async function readUnchanged<Result>(
  path: string,
  stamp: string,
  work: (file: FileHandle, size: number) => Promise<Result>,
): Promise<Result> {
  const expectSame = (): void => {
    if (examineFile(path).stamp === stamp) return
    throw new CorruptDataError(`${path} has changed since it was opened; open it again.`, { url: path })
  }
  const { file, size } = await openFile(path)
  try {
    expectSame()
    const result = await work(file, size)
    expectSame()
    return result
  } finally {
    await file.close()
  }
}
