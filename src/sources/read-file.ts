import { open } from 'node:fs/promises'
import { CorruptDataError, fromSystemError, LimitExceededError } from '../errors.js'

/**
 * Read a whole file, or its first bytes.
 *
 * @param options `maxBytes`: a longer file is refused before memory is taken. `headBytes`: read at most so many from
 *   the start, whatever the length. `signal`: gives up between system calls.
 * @returns exactly the bytes that are there; never memory that the file did not fill.
 * @throws {NotFoundError | SourceUnavailableError} the file cannot be read.
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
    const file = await open(path)
    try {
      const { size } = await file.stat()
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
