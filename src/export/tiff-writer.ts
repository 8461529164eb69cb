import { type FileHandle, open } from 'node:fs/promises'
import { fromSystemError } from '../errors.js'
import { SAMPLE_TYPES, type SampleType, type Size } from '../plane.js'
import { tiffSampleFormat, toAscii } from '../render/ome-xml.js'

/** Where a piece of samples stands in the file. */
export interface TiffBlock {
  readonly at: number
  readonly bytes: number
}

/** An image of a TIFF whose samples are written already. */
export interface TiffImage extends Size {
  readonly sampleType: SampleType
  /** 3 is red, green and blue; 4 has opacity besides. */
  readonly samplesPerPixel: 1 | 3 | 4
  /** Tiles, row by row; undefined for strips of one row each. */
  readonly tile?: Size
  readonly blocks: readonly TiffBlock[]
  readonly isDeflated: boolean
  /** Whether rows of samples are written as differences; of integers only. */
  readonly isDifferenced: boolean
  readonly description?: string
  readonly software?: string
  readonly pixelSizeUm?: { readonly x: number; readonly y: number }
  /** The same picture, smaller each time. */
  readonly smaller?: readonly TiffImage[]
}

/** TIFF 6.0, section 2, and of BigTIFF the type of 64 bit. */
const TYPES = { ascii: [2, 1], short: [3, 2], long: [4, 4], rational: [5, 8], long8: [16, 8] } as const

interface Field {
  readonly tag: number
  readonly type: keyof typeof TYPES
  /** Of rationals, numerators and denominators in turn. */
  readonly values: readonly number[]
}

const UM_PER_CM = 10_000

/** Writes samples to a file as they come, and behind them all that says what they are. */
export class TiffWriter {
  readonly #file: FileHandle
  readonly #path: string
  readonly #isBig: boolean
  #end: number

  private constructor(file: FileHandle, path: string, isBig: boolean) {
    this.#file = file
    this.#path = path
    this.#isBig = isBig
    this.#end = isBig ? 16 : 8
  }

  /** @param isBig whether the file may get larger than 4 GiB: a BigTIFF, which not every program reads. */
  static async create(path: string, isBig: boolean): Promise<TiffWriter> {
    try {
      return new TiffWriter(await open(path, 'w'), path, isBig)
    } catch (error) {
      throw fromSystemError(error, path)
    }
  }

  /** Write samples, little endian and compressed already if they are to be. */
  async write(bytes: Uint8Array): Promise<TiffBlock> {
    const block = { at: this.#end, bytes: bytes.byteLength }
    // Everything begins at an even address.
    this.#end += bytes.byteLength + (bytes.byteLength % 2)
    await this.#writeAt(bytes, block.at)
    return block
  }

  /** Write what the images are, the first one first, and close the file. */
  async finish(images: readonly TiffImage[]): Promise<void> {
    const first = await this.#writeDirectories(images)
    const header = Buffer.alloc(this.#isBig ? 16 : 8)
    header.write('II', 'latin1')
    header.writeUInt16LE(this.#isBig ? 43 : 42, 2)
    if (this.#isBig) {
      header.writeUInt16LE(8, 4)
      header.writeBigUInt64LE(BigInt(first), 8)
    } else header.writeUInt32LE(first, 4)
    await this.#writeAt(header, 0)
    await this.close()
  }

  close(): Promise<void> {
    return this.#file.close()
  }

  /** Directories that lead from one to the next. @returns where the first one stands. */
  async #writeDirectories(images: readonly TiffImage[]): Promise<number> {
    let next = 0
    // From the last to the first: each has to say where the next one stands.
    for (const image of [...images].reverse()) {
      const smaller: number[] = []
      for (const level of image.smaller ?? []) smaller.push(await this.#writeDirectory(fieldsOf(level, true, []), 0))
      next = await this.#writeDirectory(fieldsOf(image, false, smaller), next)
    }
    return next
  }

  async #writeDirectory(fields: readonly Field[], next: number): Promise<number> {
    const word = this.#isBig ? 8 : 4
    const entryBytes = 4 + 2 * word
    const countBytes = this.#isBig ? 8 : 2
    const entries = Buffer.alloc(countBytes + entryBytes * fields.length + word)
    if (this.#isBig) entries.writeBigUInt64LE(BigInt(fields.length))
    else entries.writeUInt16LE(fields.length)
    const putWord = (value: number, at: number): void => {
      if (this.#isBig) entries.writeBigUInt64LE(BigInt(value), at)
      else entries.writeUInt32LE(value, at)
    }
    for (const [i, field] of fields.entries()) {
      const at = countBytes + entryBytes * i
      // Addresses have 64 bit only in a BigTIFF.
      const type = field.type === 'long8' && !this.#isBig ? 'long' : field.type
      const bytes = bytesOf(field.values, type)
      entries.writeUInt16LE(field.tag, at)
      entries.writeUInt16LE(TYPES[type][0], at + 2)
      putWord(bytes.length / TYPES[type][1], at + 4)
      if (bytes.length <= word) bytes.copy(entries, at + 4 + word)
      else putWord((await this.write(bytes)).at, at + 4 + word)
    }
    putWord(next, entries.length - word)
    return (await this.write(entries)).at
  }

  async #writeAt(bytes: Uint8Array, at: number): Promise<void> {
    try {
      for (let done = 0; done < bytes.byteLength; ) {
        done += (await this.#file.write(bytes, done, bytes.byteLength - done, at + done)).bytesWritten
      }
    } catch (error) {
      throw fromSystemError(error, this.#path)
    }
  }
}

function fieldsOf(image: TiffImage, isSmaller: boolean, smaller: readonly number[]): Field[] {
  const { width, height, sampleType, samplesPerPixel, tile, blocks, description, software, pixelSizeUm } = image
  const each = (value: number): number[] => Array.from({ length: samplesPerPixel }, () => value)
  const text = (tag: number, value: string | undefined): Field[] =>
    value === undefined ? [] : [{ tag, type: 'ascii', values: [...Buffer.from(`${toAscii(value)}\0`, 'latin1')] }]
  const short = (tag: number, ...values: number[]): Field => ({ tag, type: 'short', values })
  const long = (tag: number, ...values: number[]): Field => ({ tag, type: 'long', values })
  const perCm = (tag: number, um: number): Field => ({
    tag,
    type: 'rational',
    values: fraction(UM_PER_CM / um),
  })
  const offsets = blocks.map(({ at }) => at)
  const lengths = blocks.map(({ bytes }) => bytes)
  return [
    long(254, isSmaller ? 1 : 0),
    long(256, width),
    long(257, height),
    short(258, ...each(8 * SAMPLE_TYPES[sampleType].bytes)),
    short(259, image.isDeflated ? 8 : 1),
    short(262, samplesPerPixel === 1 ? 1 : 2),
    ...text(270, description),
    ...(tile ? [] : [{ tag: 273, type: 'long8', values: offsets } as const]),
    short(277, samplesPerPixel),
    ...(tile ? [] : [long(278, 1), long(279, ...lengths)]),
    ...(pixelSizeUm ? [perCm(282, pixelSizeUm.x), perCm(283, pixelSizeUm.y)] : []),
    short(284, 1),
    ...(pixelSizeUm ? [short(296, 3)] : []),
    ...text(305, software),
    ...(image.isDifferenced ? [short(317, 2)] : []),
    ...(tile ? [long(322, tile.width), long(323, tile.height)] : []),
    ...(tile ? [{ tag: 324, type: 'long8', values: offsets } as const, long(325, ...lengths)] : []),
    ...(smaller.length > 0 ? [{ tag: 330, type: 'long8', values: smaller } as const] : []),
    ...(samplesPerPixel === 4 ? [short(338, 2)] : []),
    short(339, ...each(tiffSampleFormat(sampleType))),
  ]
}

/** Numerator and denominator, to nine digits or as many as fit. */
function fraction(value: number): [number, number] {
  const denominator = 10 ** Math.max(0, Math.min(9, 9 - Math.ceil(Math.log10(value))))
  return [Math.min(2 ** 32 - 1, Math.round(value * denominator)), denominator]
}

function bytesOf(values: readonly number[], type: Field['type']): Buffer {
  switch (type) {
    case 'ascii':
      return Buffer.from(values)
    case 'short':
      return Buffer.from(Uint16Array.from(values).buffer)
    case 'long':
    case 'rational':
      return Buffer.from(Uint32Array.from(values).buffer)
    case 'long8':
      return Buffer.from(BigUint64Array.from(values, BigInt).buffer)
  }
}
