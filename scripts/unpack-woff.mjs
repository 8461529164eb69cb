// A WOFF 1 font as the TrueType file that is packed in it: not everything that draws text reads WOFF.
import { inflateSync } from 'node:zlib'

const WOFF_HEADER = 44
const WOFF_ENTRY = 20
const SFNT_HEADER = 12
const SFNT_ENTRY = 16

/**
 * @param {Buffer} woff
 * @returns {Buffer}
 */
export function unpackWoff(woff) {
  const tables = woff.readUInt16BE(12)
  const directory = Buffer.alloc(SFNT_HEADER + SFNT_ENTRY * tables)
  const powers = Math.floor(Math.log2(tables))
  woff.copy(directory, 0, 4, 8)
  directory.writeUInt16BE(tables, 4)
  directory.writeUInt16BE(SFNT_ENTRY * 2 ** powers, 6)
  directory.writeUInt16BE(powers, 8)
  directory.writeUInt16BE(SFNT_ENTRY * (tables - 2 ** powers), 10)
  const parts = [directory]
  let at = directory.length
  for (let i = 0; i < tables; i++) {
    const packed = WOFF_HEADER + WOFF_ENTRY * i
    const [offset, packedLength, length, checksum] = [4, 8, 12, 16].map(field => woff.readUInt32BE(packed + field))
    const bytes = woff.subarray(offset, offset + packedLength)
    const entry = SFNT_HEADER + SFNT_ENTRY * i
    woff.copy(directory, entry, packed, packed + 4)
    directory.writeUInt32BE(checksum, entry + 4)
    directory.writeUInt32BE(at, entry + 8)
    directory.writeUInt32BE(length, entry + 12)
    const padding = Buffer.alloc((4 - (length % 4)) % 4)
    parts.push(packedLength < length ? inflateSync(bytes) : bytes, padding)
    at += length + padding.length
  }
  return Buffer.concat(parts)
}
