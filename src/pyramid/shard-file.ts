import { crc32c } from '@node-rs/crc32'
import { CorruptDataError } from '../errors.js'
import { bytesOfSamples, SAMPLE_TYPES, type SampleArray, type SampleType, samplesFromBytes } from '../plane.js'
import { decodeBlosc, encodeBlosc } from './blosc.js'

/**
 * The bytes of one shard: tiles one after the other (each a Blosc frame and its crc32c), then the index — for every
 * tile of the shard, row by row, its offset and length as u64, both 2⁶⁴−1 for an absent one — and the index's crc32c.
 * That is Zarr v3's `sharding_indexed` with the index at the end.
 */
const ABSENT = 0xffff_ffff_ffff_ffffn
const CHECKSUM_BYTES = 4

/** Bytes of the index at the end of a shard of `tiles` tiles, checksum included. */
export function indexLength(tiles: number): number {
  return 16 * tiles + CHECKSUM_BYTES
}

function withChecksum(bytes: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(bytes.length + CHECKSUM_BYTES)
  out.set(bytes)
  out.writeUInt32LE(crc32c(bytes), bytes.length)
  return out
}

function checked(bytes: Uint8Array, url: string, what: string): Uint8Array {
  const body = bytes.subarray(0, bytes.length - CHECKSUM_BYTES)
  const stored = new DataView(bytes.buffer, bytes.byteOffset + body.length, CHECKSUM_BYTES).getUint32(0, true)
  if (crc32c(body) !== stored)
    throw new CorruptDataError(`${url}: the checksum of ${what} is wrong; the file is damaged.`, { url })
  return body
}

/** @param tiles one entry per tile of the shard, row by row; undefined where nothing is covered. */
export function encodeShard(tiles: readonly (SampleArray | undefined)[]): Buffer {
  const index = Buffer.alloc(16 * tiles.length)
  const parts: Buffer[] = []
  let offset = 0
  tiles.forEach((tile, i) => {
    const chunk = tile && withChecksum(encodeBlosc(bytesOfSamples(tile), tile.BYTES_PER_ELEMENT))
    index.writeBigUInt64LE(chunk ? BigInt(offset) : ABSENT, 16 * i)
    index.writeBigUInt64LE(chunk ? BigInt(chunk.length) : ABSENT, 16 * i + 8)
    if (!chunk) return
    parts.push(chunk)
    offset += chunk.length
  })
  return Buffer.concat([...parts, withChecksum(index)])
}

export interface ChunkRange {
  readonly offset: number
  readonly length: number
}

/**
 * Read the index of a shard.
 *
 * @param bytes the last `indexLength(tiles)` bytes of the file.
 * @param shardLength length of the whole file; no chunk may reach into the index.
 * @param tileBytes of the samples of a tile; no chunk needs twice as many, whoever compressed it.
 * @throws {CorruptDataError} wrong checksum, or ranges that fit neither the file nor a tile.
 */
export function decodeShardIndex(
  bytes: Uint8Array,
  shardLength: number,
  tileBytes: number,
  url: string,
): (ChunkRange | undefined)[] {
  const body = checked(bytes, url, 'its index')
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  return Array.from({ length: body.length / 16 }, (_, i) => {
    const [start, size] = [view.getBigUint64(16 * i, true), view.getBigUint64(16 * i + 8, true)]
    if (start === ABSENT && size === ABSENT) return undefined
    const range = { offset: Number(start), length: Number(size) }
    if (range.length <= CHECKSUM_BYTES || range.offset + range.length > shardLength - bytes.length) {
      throw new CorruptDataError(`${url}: the index places tile ${i} outside the file.`, { url })
    }
    if (range.length > 2 * tileBytes) {
      throw new CorruptDataError(
        `${url}: the index gives tile ${i} ${range.length} bytes; its samples have ${tileBytes}.`,
        {
          url,
        },
      )
    }
    return range
  })
}

/**
 * Decode one tile of a shard.
 *
 * @param chunk the bytes of the tile's range, checksum included.
 * @param samples how many samples the tile holds.
 * @throws {CorruptDataError} wrong checksum or a frame that does not fit.
 */
export function decodeTile(chunk: Uint8Array, type: SampleType, samples: number, url: string): SampleArray {
  const { bytes } = SAMPLE_TYPES[type]
  return samplesFromBytes(type, decodeBlosc(checked(chunk, url, 'a tile'), samples * bytes, bytes, url))
}
