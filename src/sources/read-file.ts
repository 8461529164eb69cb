import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs'
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
    expectFile(stats, path)
    return { file, size: stats.size }
  } catch (error) {
    await file?.close()
    throw fromSystemError(error, path)
  }
}

function expectFile(stats: Stats, path: string): void {
  if (stats.isFile()) return
  const found = stats.isDirectory() ? 'a folder' : 'a pipe or a device'
  throw new UnsupportedDataError(`${path} is ${found} where a file is expected.`, { url: path })
}

function tooLong(path: string, size: number, maxBytes: number): LimitExceededError {
  return new LimitExceededError(`${path} has ${size} bytes; up to ${maxBytes} are read.`, { url: path })
}

function becameShorter(path: string, filled: number, size: number): CorruptDataError {
  return new CorruptDataError(`${path} became shorter while it was read: ${filled} of ${size} bytes were there.`, {
    url: path,
    byteOffset: filled,
  })
}

/**
 * Read a whole file.
 *
 * @param options `maxBytes`: a longer file is refused before memory is taken. `signal`: gives up between system calls.
 * @returns exactly the bytes that are there; never memory that the file did not fill.
 * @throws {NotFoundError | SourceUnavailableError} the file cannot be read.
 * @throws {UnsupportedDataError} it is a folder, a pipe or a device.
 * @throws {LimitExceededError} it is longer than `maxBytes`.
 * @throws {CorruptDataError} it became shorter while it was read.
 */
export async function readFileBytes(
  path: string,
  options: { readonly maxBytes: number; readonly signal?: AbortSignal },
): Promise<Uint8Array> {
  const { maxBytes, signal } = options
  signal?.throwIfAborted()
  try {
    const { file, size } = await openFile(path)
    try {
      if (size > maxBytes) throw tooLong(path, size, maxBytes)
      const bytes = new Uint8Array(size)
      let filled = 0
      while (filled < size) {
        signal?.throwIfAborted()
        const { bytesRead } = await file.read(bytes, filled, size - filled, filled)
        if (bytesRead === 0) throw becameShorter(path, filled, size)
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

/**
 * Read a whole file into memory that is there already, blocking the thread: for workers, where it costs half of what
 * a promise does.
 *
 * @param into its first bytes are overwritten, the others stay.
 * @returns how many bytes the file has; undefined, and nothing is read, where it has more than `into`.
 * @throws as `readFileBytes`.
 */
export function readFileInto(path: string, into: Uint8Array): number | undefined {
  return withFile(path, (file, size) => {
    if (size > into.length) return undefined
    fill(into.subarray(0, size), file, path)
    return size
  })
}

/**
 * Read a whole small file, blocking the thread: where a plate has hundreds of them, promises cost several times as much.
 *
 * @param maxBytes a longer file is refused.
 * @throws as `readFileBytes`.
 */
export function readSmallFile(path: string, maxBytes: number): Uint8Array {
  return withFile(path, (file, size) => {
    if (size > maxBytes) throw tooLong(path, size, maxBytes)
    const bytes = new Uint8Array(size)
    fill(bytes, file, path)
    return bytes
  })
}

/**
 * Read the first bytes of a file, or all of a shorter one, blocking the thread.
 *
 * @throws as `readFileBytes`.
 */
export function readFileHead(path: string, headBytes: number): Uint8Array {
  return withFile(path, (file, size) => {
    const head = new Uint8Array(Math.min(size, headBytes))
    fill(head, file, path)
    return head
  })
}

function withFile<T>(path: string, read: (file: number, size: number) => T): T {
  let file: number | undefined
  try {
    file = openSync(path, OPEN_AT_ONCE)
    const stats = fstatSync(file)
    expectFile(stats, path)
    return read(file, stats.size)
  } catch (error) {
    throw fromSystemError(error, path)
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

function fill(bytes: Uint8Array, file: number, path: string): void {
  let filled = 0
  while (filled < bytes.length) {
    const bytesRead = readSync(file, bytes, filled, bytes.length - filled, filled)
    if (bytesRead === 0) throw becameShorter(path, filled, bytes.length)
    filled += bytesRead
  }
}
