import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { CorruptDataError, fromSystemError, LimitExceededError, UnsupportedDataError } from '../errors.js'

/** Opening a pipe that nobody writes to would wait for ever, and hold one of Node's few threads. Windows has no such flag. */
const OPEN_AT_ONCE = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)

/**
 * Open a file for reading. Whoever calls closes it.
 *
 * @throws {NotFoundError | SourceUnavailableError} the file cannot be opened.
 * @throws {UnsupportedDataError} it is a folder, a pipe or a device.
 */
export async function openFile(path: string): Promise<{ readonly file: FileHandle; readonly size: number }> {
  let file: FileHandle | undefined
  try {
    file = await open(path, OPEN_AT_ONCE)
    const stats = await file.stat()
    if (stats.isFile()) return { file, size: stats.size }
    const found = stats.isDirectory() ? 'a folder' : 'a pipe or a device'
    throw new UnsupportedDataError(`${path} is ${found} where a file is expected.`, { url: path })
  } catch (error) {
    await file?.close()
    throw fromSystemError(error, path)
  }
}

/**
 * Read a whole file, or its first bytes.
 *
 * @param options `maxBytes`: a longer file is refused before memory is taken. `headBytes`: read at most so many from
 *   the start, whatever the length. `signal`: gives up between system calls.
 * @returns exactly the bytes that are there; never memory that the file did not fill.
 * @throws {NotFoundError | SourceUnavailableError} the file cannot be read.
 * @throws {UnsupportedDataError} it is a folder, a pipe or a device.
 * @throws {LimitExceededError} it is longer than `maxBytes`.
 * @throws {CorruptDataError} it became shorter while it was read.
 */
export async function readFileBytes(
  path: string,
  options: { readonly maxBytes: number; readonly headBytes?: number; readonly signal?: AbortSignal },
): Promise<Uint8Array> {
  const { maxBytes, headBytes = Infinity, signal } = options
  signal?.throwIfAborted()
  try {
    const { file, size } = await openFile(path)
    try {
      if (size > maxBytes && headBytes === Infinity) {
        throw new LimitExceededError(`${path} has ${size} bytes; up to ${maxBytes} are read.`, { url: path })
      }
      const bytes = new Uint8Array(Math.min(size, headBytes))
      let filled = 0
      while (filled < bytes.length) {
        signal?.throwIfAborted()
        const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, filled)
        if (bytesRead === 0) {
          throw new CorruptDataError(
            `${path} became shorter while it was read: ${filled} of ${bytes.length} bytes were there.`,
            {
              url: path,
              byteOffset: filled,
            },
          )
        }
        filled += bytesRead
      }
      signal?.throwIfAborted()
      return bytes
    } finally {
      await file.close()
    }
  } catch (error) {
    if (signal?.aborted) throw signal.reason
    throw fromSystemError(error, path)
  }
}
