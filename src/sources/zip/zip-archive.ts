import type { FileHandle } from 'node:fs/promises'
import { promisify } from 'node:util'
import { inflateRaw } from 'node:zlib'
import { crc32 } from '@node-rs/crc32'
import { CorruptDataError, LimitExceededError } from '../../errors.js'
import { readAt } from '../read-at.js'
import { readUnchanged } from '../unchanged-file.js'
import { readZipDirectory, type ZipEntry } from './zip-directory.js'

const LOCAL_SIGNATURE = 0x04034b50
const LOCAL_BYTES = 30
/** Read at once for a checksum. */
const PIECE_BYTES = 4 * 2 ** 20

const unpack = promisify(inflateRaw)

/** Reads the entries of one version of a ZIP archive, each with its checksum. */
export class ZipArchive {
  readonly #path: string
  readonly #stamp: string
  readonly #checked = new Map<string, Promise<void>>()
  #entries: Promise<ReadonlyMap<string, ZipEntry>> | undefined

  /** @param stamp of the version that is read, as `examineFile` tells it. */
  constructor(path: string, stamp: string) {
    this.#path = path
    this.#stamp = stamp
  }

  /** @throws as `readZipDirectory`. */
  entries(): Promise<ReadonlyMap<string, ZipEntry>> {
    if (this.#entries) return this.#entries
    const entries = readUnchanged(this.#path, this.#stamp, (file, size) => readZipDirectory(file, size, this.#path))
    this.#entries = entries
    entries.catch(() => {
      if (this.#entries === entries) this.#entries = undefined
    })
    return entries
  }

  /**
   * Read an entry.
   *
   * @param maxBytes a longer one is refused, before memory is taken.
   * @returns undefined where there is none of that name.
   * @throws {LimitExceededError} it is longer. @throws {CorruptDataError} it is not what its directory says, or the file
   *   has changed.
   */
  async read(name: string, maxBytes: number): Promise<Uint8Array | undefined> {
    const entry = (await this.entries()).get(name)
    if (!entry) return undefined
    const url = `${this.#path}: ${name}`
    const { packedBytes, bytes, isDeflated } = entry
    if (Math.max(bytes, packedBytes) > maxBytes)
      throw new LimitExceededError(`${url} has ${Math.max(bytes, packedBytes)} bytes; up to ${maxBytes} are read.`, {
        url,
      })
    const packed = await readUnchanged(this.#path, this.#stamp, async (file, size) =>
      readAt(file, await this.#startOf(file, size, entry, url), packedBytes, this.#path),
    )
    const content = isDeflated ? await inflate(packed, bytes, url) : packed
    if (content.length !== bytes || crc32(content) !== entry.crc32) throw damaged(url, 'its checksum is another one')
    return content
  }

  /**
   * Read a part of an entry that is stored as it is. The first time, all of it is looked through for its checksum.
   *
   * @throws {CorruptDataError} it is not what its directory says, it is shorter, or the file has changed.
   */
  async readPart(name: string, entry: ZipEntry, offset: number, length: number): Promise<Buffer> {
    const url = `${this.#path}: ${name}`
    if (offset + length > entry.bytes) throw damaged(url, 'it is shorter than what is in it')
    return await readUnchanged(this.#path, this.#stamp, async (file, size) => {
      const start = await this.#startOf(file, size, entry, url)
      await this.#check(file, start, entry, name, url)
      return await readAt(file, start + offset, length, this.#path)
    })
  }

  #check(
    file: FileHandle,
    start: number,
    { bytes, crc32: expected }: ZipEntry,
    name: string,
    url: string,
  ): Promise<void> {
    const checked = this.#checked.get(name)
    if (checked) return checked
    const checking = (async () => {
      let sum = 0
      for (let at = 0; at < bytes; at += PIECE_BYTES)
        sum = crc32(await readAt(file, start + at, Math.min(PIECE_BYTES, bytes - at), this.#path), sum)
      if (sum !== expected) throw damaged(url, 'its checksum is another one')
    })()
    this.#checked.set(name, checking)
    checking.catch(() => this.#checked.delete(name))
    return checking
  }

  /** Where the bytes of an entry begin. */
  async #startOf(file: FileHandle, size: number, { offset, packedBytes }: ZipEntry, url: string): Promise<number> {
    const header = await readAt(file, offset, LOCAL_BYTES, this.#path)
    if (header.readUInt32LE(0) !== LOCAL_SIGNATURE) throw damaged(url, 'it is not where the directory has it')
    const start = offset + LOCAL_BYTES + header.readUInt16LE(26) + header.readUInt16LE(28)
    if (start + packedBytes > size) throw damaged(url, 'it reaches beyond the end of the file')
    return start
  }
}

async function inflate(packed: Buffer, bytes: number, url: string): Promise<Buffer> {
  try {
    // One byte more, so that zlib can tell an end from a bomb; and none at all is no limit to it.
    return await unpack(packed, { maxOutputLength: bytes + 1 })
  } catch (cause) {
    throw damaged(url, 'it cannot be unpacked to the length that the directory has', cause)
  }
}

function damaged(url: string, what: string, cause?: unknown): CorruptDataError {
  return new CorruptDataError(`${url} is damaged: ${what}.`, { url, cause })
}
