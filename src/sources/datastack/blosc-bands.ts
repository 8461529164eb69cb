import { registry } from 'zarrita'
import { CorruptDataError } from '../../errors.js'

const HEADER_BYTES = 16
const FLAG_MEMCPY = 0x02
/** Decoded at once, where blocks are not larger. */
const BAND_BYTES = 4 * 2 ** 20

/** What decoding asks for and does not use. */
const ENCODER = { cname: 'lz4', clevel: 5, shuffle: 1, blocksize: 0 }
const NO_CHUNK = {} as never

/** Reads a part of a frame. */
type ReadPart = (offset: number, length: number) => Promise<Buffer>

/** Where a block begins in its frame, and where the one that is stored behind it. */
interface PackedBlock {
  readonly start: number
  readonly end: number
}

/**
 * A frame of Blosc that is unpacked in bands: it consists of blocks that are packed by themselves, and some of them make
 * a frame as well. A stack of maps is a single frame of a hundred megabytes.
 *
 * @see https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst
 */
export class BloscBands {
  /** Of all bands but the last. */
  readonly bandBytes: number
  readonly #header: Buffer
  readonly #bytes: number
  readonly #blockBytes: number
  /** Undefined of a frame that is not packed. */
  readonly #blocks: readonly PackedBlock[] | undefined
  readonly #read: ReadPart

  /** @param bytes that the frame holds. @param url for the messages. @throws {CorruptDataError} it is damaged. */
  static async open(bytes: number, read: ReadPart, url: string): Promise<BloscBands> {
    const header = await read(0, HEADER_BYTES)
    const blockBytes = header.readUInt32LE(8)
    const count = Math.ceil(bytes / blockBytes)
    if (header.readUInt32LE(4) !== bytes || blockBytes === 0 || blockBytes > bytes)
      throw new CorruptDataError(`${url} has a chunk packed by blosc that is not of ${bytes} bytes.`, { url })
    if (header[2]! & FLAG_MEMCPY) return new BloscBands(header, bytes, undefined, read)
    const table = await read(HEADER_BYTES, 4 * count)
    const starts = Array.from({ length: count }, (_, i) => table.readUInt32LE(4 * i))
    // Blocks lie in the order in which threads were done with them.
    const sorted = Float64Array.from([...starts, header.readUInt32LE(12)]).sort()
    const ends = new Map(Array.from(sorted, (start, i) => [start, sorted[i + 1] ?? start]))
    const blocks = starts.map(start => ({ start, end: ends.get(start)! }))
    return new BloscBands(header, bytes, blocks, read)
  }

  private constructor(header: Buffer, bytes: number, blocks: readonly PackedBlock[] | undefined, read: ReadPart) {
    this.#header = header
    this.#bytes = bytes
    this.#blockBytes = header.readUInt32LE(8)
    this.#blocks = blocks
    this.#read = read
    this.bandBytes = this.#blockBytes * Math.max(1, Math.floor(BAND_BYTES / this.#blockBytes))
  }

  /** The bytes of a band, unpacked. */
  async readBand(band: number): Promise<Uint8Array> {
    const from = band * this.bandBytes
    const bytes = Math.min(this.bandBytes, this.#bytes - from)
    if (!this.#blocks) return await this.#read(HEADER_BYTES + from, bytes)
    const first = from / this.#blockBytes
    const blocks = this.#blocks.slice(first, first + Math.ceil(bytes / this.#blockBytes))
    const head = Buffer.concat([this.#header, Buffer.alloc(4 * blocks.length)])
    const parts: Uint8Array[] = [head]
    let end = head.length
    for (const [i, block] of blocks.entries()) {
      head.writeUInt32LE(end, HEADER_BYTES + 4 * i)
      parts.push(await this.#read(block.start, block.end - block.start))
      end += block.end - block.start
    }
    head.writeUInt32LE(bytes, 4)
    head.writeUInt32LE(end, 12)
    const blosc = (await registry.get('blosc')!()).fromConfig(ENCODER, NO_CHUNK)
    return await blosc.decode(new Uint8Array(Buffer.concat(parts)))
  }
}
