import type { FileHandle } from 'node:fs/promises'
import { CorruptDataError, LimitExceededError, UnsupportedDataError } from '../../errors.js'
import { readAt } from '../read-at.js'

/** One file in a ZIP archive. */
export interface ZipEntry {
  /** Where its local header begins, bytes. */
  readonly offset: number
  /** As stored, and unpacked. */
  readonly packedBytes: number
  readonly bytes: number
  readonly isDeflated: boolean
  readonly crc32: number
}

/** Of a scan with a million chunks, names included. */
const MAX_ENTRIES = 2 ** 20
const MAX_DIRECTORY_BYTES = 256 * 2 ** 20

const END_SIGNATURE = 0x06054b50
const END_BYTES = 22
const MAX_COMMENT_BYTES = 0xffff
const LOCATOR_64_SIGNATURE = 0x07064b50
const LOCATOR_64_BYTES = 20
const END_64_SIGNATURE = 0x06064b50
const END_64_BYTES = 56
const ENTRY_SIGNATURE = 0x02014b50
const ENTRY_BYTES = 46
const EXTRA_64 = 0x0001
/** Stands for a number that the ZIP64 fields hold. */
const IN_64 = 0xffffffff
const COUNT_IN_64 = 0xffff

const ENCRYPTED = 0x0001
const STORED = 0
const DEFLATED = 8

/** The directory of an archive as the end of its file describes it. */
interface DirectoryPlace {
  readonly entries: number
  readonly offset: number
  readonly bytes: number
}

/**
 * List a ZIP archive, ZIP64 or not, whatever its size: only its directory is read.
 *
 * @param path of the file, for the messages.
 * @returns by name; of entries of one name the last, which is how archives are appended to.
 * @throws {UnsupportedDataError} no ZIP archive, one in several parts, encrypted, or packed by anything but deflate.
 * @throws {CorruptDataError} it contradicts itself. @throws {LimitExceededError} the directory is too long.
 */
export async function readZipDirectory(
  file: FileHandle,
  size: number,
  path: string,
): Promise<ReadonlyMap<string, ZipEntry>> {
  const place = await findDirectory(file, size, path)
  if (place.entries > MAX_ENTRIES || place.bytes > MAX_DIRECTORY_BYTES) {
    throw new LimitExceededError(
      `${path} lists ${place.entries} entries in ${place.bytes} bytes; up to ${MAX_ENTRIES} in ${MAX_DIRECTORY_BYTES} are read.`,
      { url: path },
    )
  }
  if (place.offset + place.bytes > size) throw damaged(path, 'its directory reaches beyond its end')
  const directory = await readAt(file, place.offset, place.bytes, path)
  const entries = new Map<string, ZipEntry>()
  let at = 0
  for (let i = 0; i < place.entries; i++) {
    if (at + ENTRY_BYTES > directory.length || directory.readUInt32LE(at) !== ENTRY_SIGNATURE)
      throw damaged(path, `entry ${i + 1} of ${place.entries} is not where its directory has it`)
    const nameEnd = at + ENTRY_BYTES + directory.readUInt16LE(at + 28)
    const extraEnd = nameEnd + directory.readUInt16LE(at + 30)
    const next = extraEnd + directory.readUInt16LE(at + 32)
    if (next > directory.length) throw damaged(path, 'its directory is cut off')
    const name = directory.toString('utf8', at + ENTRY_BYTES, nameEnd)
    const entry = readEntry(directory, at, directory.subarray(nameEnd, extraEnd), `${path}: ${name}`)
    if (entry.offset + entry.packedBytes > size) throw damaged(path, `${name} reaches beyond its end`)
    entries.set(name, entry)
    at = next
  }
  return entries
}

/** @param extra the fields behind the entry's name, of which one has the numbers that are too large for it. */
function readEntry(directory: Buffer, at: number, extra: Buffer, url: string): ZipEntry {
  const method = directory.readUInt16LE(at + 10)
  if (directory.readUInt16LE(at + 8) & ENCRYPTED)
    throw new UnsupportedDataError(`${url} is encrypted; only plain entries are read.`, { url })
  if (method !== STORED && method !== DEFLATED)
    throw new UnsupportedDataError(`${url} is packed by method ${method}; stored and deflated entries are read.`, {
      url,
    })
  const wide = wideNumbers(extra)
  const [bytes, packedBytes, offset] = [24, 20, 42].map(place => {
    const value = directory.readUInt32LE(at + place)
    if (value !== IN_64) return value
    const found = wide.shift()
    if (found === undefined) throw damaged(url, 'its ZIP64 field is missing')
    return found
  })
  if (method === STORED && bytes !== packedBytes) throw damaged(url, 'it is stored and has two lengths')
  return { offset, packedBytes, bytes, isDeflated: method === DEFLATED, crc32: directory.readUInt32LE(at + 16) }
}

/** The 64-bit numbers of a ZIP64 field, in the order of the places that they stand for. */
function wideNumbers(extra: Buffer): number[] {
  const numbers: number[] = []
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== EXTRA_64) continue
    const end = Math.min(extra.length, at + 4 + extra.readUInt16LE(at + 2))
    for (let number = at + 4; number + 8 <= end; number += 8) numbers.push(Number(extra.readBigUInt64LE(number)))
  }
  return numbers
}

async function findDirectory(file: FileHandle, size: number, path: string): Promise<DirectoryPlace> {
  const tail = await readAt(file, Math.max(0, size - END_BYTES - MAX_COMMENT_BYTES), undefined, path)
  const end = findEnd(tail)
  if (end === undefined) {
    throw new UnsupportedDataError(
      `${path} is no ZIP archive, or its end is missing; .datastack and .npz files are ZIP archives.`,
      { url: path },
    )
  }
  const entries = tail.readUInt16LE(end + 10)
  const bytes = tail.readUInt32LE(end + 12)
  const offset = tail.readUInt32LE(end + 16)
  const parts = tail.readUInt16LE(end + 4)
  if (parts !== 0 && parts !== COUNT_IN_64)
    throw new UnsupportedDataError(`${path} is the last of several parts of a ZIP archive; only whole ones are read.`, {
      url: path,
    })
  if (entries !== COUNT_IN_64 && bytes !== IN_64 && offset !== IN_64) return { entries, offset, bytes }
  return (await findDirectory64(file, size - tail.length + end, path)) ?? { entries, offset, bytes }
}

/** @param end where the record of 32-bit numbers begins. @returns undefined where there is no other. */
async function findDirectory64(file: FileHandle, end: number, path: string): Promise<DirectoryPlace | undefined> {
  if (end < LOCATOR_64_BYTES) return undefined
  const locator = await readAt(file, end - LOCATOR_64_BYTES, LOCATOR_64_BYTES, path)
  if (locator.readUInt32LE(0) !== LOCATOR_64_SIGNATURE) return undefined
  const at = Number(locator.readBigUInt64LE(8))
  if (at + END_64_BYTES > end) throw damaged(path, 'its ZIP64 record is not where its end has it')
  const record = await readAt(file, at, END_64_BYTES, path)
  if (record.readUInt32LE(0) !== END_64_SIGNATURE) throw damaged(path, 'its ZIP64 record is not where its end has it')
  return {
    entries: Number(record.readBigUInt64LE(32)),
    bytes: Number(record.readBigUInt64LE(40)),
    offset: Number(record.readBigUInt64LE(48)),
  }
}

/** Where the last record of an archive begins in the end of its file: a comment may follow. */
function findEnd(tail: Buffer): number | undefined {
  for (let at = tail.length - END_BYTES; at >= 0; at--) {
    const isEnd = tail.readUInt32LE(at) === END_SIGNATURE
    if (isEnd && at + END_BYTES + tail.readUInt16LE(at + 20) === tail.length) return at
  }
  return undefined
}

function damaged(url: string, what: string): CorruptDataError {
  return new CorruptDataError(`${url} is a damaged ZIP archive: ${what}.`, { url })
}
