import { crc32c } from '@node-rs/crc32'
import { CorruptDataError } from '../errors.js'
import { readFileBytes } from '../sources/read-file.js'
import type { SideFile } from './pyramid-record.js'

/** Largest side file that is read: a placement table of a million frames has half of it. */
const MAX_SIDE_BYTES = 256 * 2 ** 20

/** @throws {CorruptDataError} its bytes are not those that the record names. */
export async function readSideFile(url: string, { crc32c: expected }: SideFile): Promise<string> {
  const bytes = await readBytes(url, MAX_SIDE_BYTES)
  if (checksumOf(bytes) !== expected) throw new CorruptDataError(`${url} is damaged: its checksum is wrong.`, { url })
  return bytes.toString()
}

/** The crc32c of bytes, or of a text's UTF-8 bytes, 8 hex digits. */
export function checksumOf(content: string | Buffer): string {
  return crc32c(content).toString(16).padStart(8, '0')
}

export async function readBytes(path: string, maxBytes: number): Promise<Buffer> {
  return Buffer.from((await readFileBytes(path, { maxBytes })).buffer)
}

export function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new CorruptDataError(`${path} is not valid JSON.`, { url: path, cause: error })
  }
}
