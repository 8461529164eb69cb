import type { FileHandle } from 'node:fs/promises'
import { CorruptDataError, fromSystemError } from '../errors.js'

/**
 * Read a part of an open file.
 *
 * @param length how many bytes; up to the end where undefined. @param path for the messages.
 * @returns exactly that many bytes.
 * @throws {CorruptDataError} the file ends before. @throws {SourceUnavailableError} it cannot be read.
 */
export async function readAt(
  file: FileHandle,
  offset: number,
  length: number | undefined,
  path: string,
): Promise<Buffer> {
  try {
    const wanted = length ?? (await file.stat()).size - offset
    const bytes = Buffer.allocUnsafeSlow(Math.max(0, wanted))
    let filled = 0
    while (filled < bytes.length) {
      const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, offset + filled)
      if (bytesRead === 0) {
        const message = `${path} ends after ${offset + filled} bytes; ${offset + bytes.length} are expected.`
        throw new CorruptDataError(message, { url: path, byteOffset: offset + filled })
      }
      filled += bytesRead
    }
    return bytes
  } catch (error) {
    throw fromSystemError(error, path)
  }
}
