import { read } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { crc32 } from '@node-rs/crc32'
import { CorruptDataError, fromSystemError } from '../errors.js'
import { SAMPLE_TYPES, type SampleArray, type SampleType } from '../plane.js'
import { openFile } from '../sources/read-file.js'
import { SHARD_SIZE } from './mosaic-geometry.js'
import { decodeShardIndex, decodeTile, frameOfChunk, indexLength } from './shard-file.js'

const CHECKSUM_BLOCK = 2 ** 20

/** What tiles of a shard look like. */
export interface TileShape {
  /** Edge, px. */
  readonly tileSize: number
  readonly sampleType: SampleType
}

/** A shard's file, open for reading tiles. */
export class OpenShard {
  /** Of the whole file. */
  readonly bytes: number
  readonly #url: string
  readonly #file: FileHandle
  readonly #shape: TileShape
  /** Offset and length of each tile; the length is 0 where there is none. Hundreds of shards are open at a time. */
  readonly #index: Float64Array
  #users = 0
  #closing = false

  private constructor(url: string, file: FileHandle, bytes: number, shape: TileShape, index: Float64Array) {
    this.#url = url
    this.#file = file
    this.bytes = bytes
    this.#shape = shape
    this.#index = index
  }

  /**
   * @throws {NotFoundError | SourceUnavailableError} the file cannot be opened.
   * @throws {CorruptDataError} it is cut off, or its index is damaged.
   */
  static async open(url: string, shape: TileShape): Promise<OpenShard> {
    const { file, size } = await openFile(url)
    try {
      const { tileSize, sampleType } = shape
      const length = indexLength((SHARD_SIZE / tileSize) ** 2)
      if (size < length)
        throw new CorruptDataError(`${url} is cut off: ${size} bytes are too few for a shard.`, { url })
      const tileBytes = tileSize ** 2 * SAMPLE_TYPES[sampleType].bytes
      const ranges = decodeShardIndex(await readExactly(file, size - length, length, url), size, tileBytes, url)
      const index = Float64Array.from(ranges.flatMap(range => [range?.offset ?? 0, range?.length ?? 0]))
      return new OpenShard(url, file, size, shape, index)
    } catch (error) {
      await file.close()
      throw fromSystemError(error, url)
    }
  }

  /** Whether `close` was called: then another one must be opened. */
  get isClosed(): boolean {
    return this.#closing
  }

  /**
   * @param i the tile's place in the shard, row by row.
   * @returns its samples; undefined where the shard has no such tile.
   * @throws {CorruptDataError} the tile is damaged. @throws {SourceUnavailableError} it cannot be read.
   */
  async readTile(i: number): Promise<SampleArray | undefined> {
    const chunk = await this.#readRange(i)
    return chunk && decodeTile(chunk, this.#shape.sampleType, this.#shape.tileSize ** 2, this.#url)
  }

  /**
   * @returns the tile as it is stored, a Blosc frame; undefined where the shard has no such tile.
   * @throws as `readTile`.
   */
  async readFrame(i: number): Promise<Uint8Array | undefined> {
    const chunk = await this.#readRange(i)
    return chunk && frameOfChunk(chunk, this.#url)
  }

  /** `checksumOfShard` of the whole file. */
  checksum(): Promise<string> {
    return this.#use(async () => {
      let sum = 0
      for (let at = 0; at < this.bytes; at += CHECKSUM_BLOCK)
        sum = crc32(await readExactly(this.#file, at, Math.min(CHECKSUM_BLOCK, this.bytes - at), this.#url), sum)
      return sum.toString(16).padStart(8, '0')
    })
  }

  /** Reads under way are finished first. Calling it twice is fine. */
  async close(): Promise<void> {
    this.#closing = true
    if (this.#users === 0) await this.#file.close()
  }

  #readRange(i: number): Promise<Buffer | undefined> {
    return this.#use(async () => {
      const length = this.#index[2 * i + 1]
      return length === 0 ? undefined : readExactly(this.#file, this.#index[2 * i], length, this.#url)
    })
  }

  async #use<T>(work: () => Promise<T>): Promise<T> {
    this.#users++
    try {
      return await work()
    } finally {
      this.#users--
      if (this.#closing && this.#users === 0) await this.#file.close()
    }
  }
}

/** Read `length` bytes at `offset`; a file that ends early is an error, never zeros. */
async function readExactly(file: FileHandle, offset: number, length: number, url: string): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length)
  let done = 0
  while (done < length) {
    const bytesRead = await readSome(file.fd, buffer, done, offset + done, url)
    if (bytesRead === 0)
      throw new CorruptDataError(`${url} ends at byte ${offset + done} where ${length - done} more were expected.`, {
        url,
      })
    done += bytesRead
  }
  return buffer
}

/** One system call. `FileHandle.read` costs several promises more, which is felt at thousands of tiles a second. */
function readSome(fd: number, buffer: Buffer, filled: number, position: number, url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, buffer, filled, buffer.length - filled, position, (error, bytesRead) => {
      if (error) reject(fromSystemError(error, url))
      else resolve(bytesRead)
    })
  })
}
