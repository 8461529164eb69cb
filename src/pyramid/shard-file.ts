import { crc32c } from '@node-rs/crc32'
import { CorruptDataError } from '../errors.js'
import { bytesOfSamples, SAMPLE_TYPES, type SampleArray, type SampleType, samplesFromBytes } from '../plane.js'
import { decodeBlosc, encodeBlosc, largestFrame } from './blosc.js'

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

function checked(bytes: Uint8Array, url: string, what: string): Uint8Array {
  const body = bytes.subarray(0, bytes.length - CHECKSUM_BYTES)
  const stored = new DataView(bytes.buffer, bytes.byteOffset + body.length, CHECKSUM_BYTES).getUint32(0, true)
  if (crc32c(body) !== stored)
    throw new CorruptDataError(`${url}: the checksum of ${what} is wrong; the file is damaged.`, { url })
  return body
}

/** Bytes that a shard of `tiles` tiles of `tileBytes` bytes of samples needs at most. */
export function largestShard(tiles: number, tileBytes: number, typeSize: number): number {
  return tiles * (largestFrame(tileBytes, typeSize) + CHECKSUM_BYTES) + indexLength(tiles)
}

/** Writes the Blosc frame of a tile's samples at a place in `out`, and returns its length. */
export type EncodeTile = (samples: SampleArray, out: Uint8Array, at: number) => number

export const encodeTileFrame: EncodeTile = (samples, out, at) => {
  const frame = encodeBlosc(bytesOfSamples(samples), samples.BYTES_PER_ELEMENT)
  out.set(frame, at)
  return frame.length
}

/** Puts the bytes of one shard after another together, in the same memory. */
export class ShardEncoder {
  readonly #out: Uint8Array
  readonly #index: Buffer
  readonly #encodeTile: EncodeTile
  #length = 0

  /** @param out at least `largestShard` bytes. */
  constructor(tiles: number, out: Uint8Array, encodeTile: EncodeTile) {
    this.#out = out
    this.#index = Buffer.alloc(16 * tiles, 0xff)
    this.#encodeTile = encodeTile
  }

  /** @param i the tile's place in the shard, row by row; what is not added is absent. */
  add(i: number, samples: SampleArray): void {
    const start = this.#length
    this.#length += this.#encodeTile(samples, this.#out, start)
    this.#appendChecksum(start)
    this.#index.writeBigUInt64LE(BigInt(start), 16 * i)
    this.#index.writeBigUInt64LE(BigInt(this.#length - start), 16 * i + 8)
  }

  /** @returns the shard's bytes, which are overwritten by the next shard. */
  finish(): Uint8Array {
    const start = this.#length
    this.#out.set(this.#index, start)
    this.#length += this.#index.length
    this.#appendChecksum(start)
    const bytes = this.#out.subarray(0, this.#length)
    this.#length = 0
    this.#index.fill(0xff)
    return bytes
  }

  #appendChecksum(start: number): void {
    const { buffer, byteOffset } = this.#out
    const body = Buffer.from(buffer, byteOffset + start, this.#length - start)
    new DataView(buffer, byteOffset + this.#length, CHECKSUM_BYTES).setUint32(0, crc32c(body), true)
    this.#length += CHECKSUM_BYTES
  }
}

/** @param tiles one entry per tile of the shard, row by row; undefined where nothing is covered. */
export function encodeShard(tiles: readonly (SampleArray | undefined)[]): Uint8Array {
  const most = tiles.reduce(
    (sum, tile) => sum + (tile ? largestShard(1, tile.byteLength, tile.BYTES_PER_ELEMENT) : 0),
    0,
  )
  const encoder = new ShardEncoder(tiles.length, new Uint8Array(most + indexLength(tiles.length)), encodeTileFrame)
  tiles.forEach((tile, i) => {
    if (tile) encoder.add(i, tile)
  })
  return encoder.finish()
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
 * The Blosc frame of a tile.
 *
 * @param chunk the bytes of the tile's range.
 * @returns the same memory without the checksum. @throws {CorruptDataError} the checksum is wrong.
 */
export function frameOfChunk(chunk: Uint8Array, url: string): Uint8Array {
  return checked(chunk, url, 'a tile')
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
  return samplesFromBytes(type, decodeBlosc(frameOfChunk(chunk, url), samples * bytes, bytes, url))
}
