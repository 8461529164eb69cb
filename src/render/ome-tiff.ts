import { SAMPLE_TYPES, type SampleType, type Size } from '../plane.js'
import type { PictureRows } from '../pyramid/resample.js'
import { omeXml, tiffSampleFormat, toAscii } from './ome-xml.js'

/** Offsets are of 32 bits; the directories behind the samples need a little room. */
const MAX_TIFF_SAMPLE_BYTES = 2 ** 32 - 2 ** 24

/** Strips of about this many bytes let readers take a part of a picture without all of it. */
const STRIP_BYTES = 2 ** 18

const HEADER_BYTES = 8

interface Lengths {
  readonly x: number
  readonly y: number
}

/** One channel of a picture. */
export interface TiffChannel {
  readonly name: string
  /** The picture's rows, all of them and from the top. */
  readonly rows: AsyncIterable<PictureRows>
}

/** A picture whose samples are kept as they are. */
export interface TiffPicture extends Size {
  readonly name: string
  readonly sampleType: SampleType
  readonly channels: readonly TiffChannel[]
  /** Of a pixel of the picture. */
  readonly pixelSizeUm: Lengths
  /** Stage position of the centre of the first pixel, µm. */
  readonly positionUm: Lengths
  /** Where it comes from: kept as key and value. */
  readonly facts: Readonly<Record<string, string>>
  /** Name and version of the program. */
  readonly software: string
}

/**
 * Write an OME-TIFF: a page of 16 bit, float or whatever a channel has, samples untouched and not compressed. What is
 * not covered is 0, or NaN in floats; how many pixels that are is told per channel as the fact `uncovered`.
 *
 * The directories stand at the end, so that all goes out as it is read. At most `MAX_TIFF_SAMPLE_BYTES` of samples.
 */
export async function* writeOmeTiff(picture: TiffPicture): AsyncGenerator<Buffer, void, undefined> {
  const { channels, width, height, sampleType } = picture
  const pageBytes = width * height * SAMPLE_TYPES[sampleType].bytes
  const padding = (pageBytes * channels.length) % 2
  const directoryAt = HEADER_BYTES + pageBytes * channels.length + padding
  if (pageBytes * channels.length > MAX_TIFF_SAMPLE_BYTES) throw new RangeError(`${pageBytes} bytes a page in a TIFF`)
  // The first piece has samples in it: a picture that cannot be read fails before anything is sent.
  let before: Buffer | undefined = headerOf(directoryAt)
  const uncovered: number[] = []
  for (const { rows } of channels) {
    let missing = 0
    for await (const { plane, mask } of rows) {
      for (let i = 0; i < mask.length; i++) if (mask[i] === 0) missing++
      const bytes = Buffer.from(plane.samples.buffer, plane.samples.byteOffset, plane.samples.byteLength)
      yield before ? Buffer.concat([before, bytes]) : bytes
      before = undefined
    }
    uncovered.push(missing)
  }
  yield Buffer.concat([Buffer.alloc(padding), writeDirectories(picture, uncovered, directoryAt)])
}

function headerOf(directoryAt: number): Buffer<ArrayBufferLike> {
  const header = Buffer.alloc(HEADER_BYTES)
  header.write('II', 'latin1')
  header.writeUInt16LE(42, 2)
  header.writeUInt32LE(directoryAt, 4)
  return header
}

/** A directory for each channel, one behind the other, from `at` on in the file. */
function writeDirectories(picture: TiffPicture, uncovered: readonly number[], at: number): Buffer {
  const directories: Buffer[] = []
  let next = at
  picture.channels.forEach((_, i) => {
    const description = i === 0 ? describe(picture, uncovered) : undefined
    const directory = writeDirectory(fieldsOf(picture, i, description), next, i === picture.channels.length - 1)
    directories.push(directory)
    next += directory.length
  })
  return Buffer.concat(directories)
}

function describe(picture: TiffPicture, uncovered: readonly number[]): string {
  const channels = picture.channels.map(({ name }) => name)
  const facts = { ...picture.facts, uncovered: uncovered.join(',') }
  return omeXml({ ...picture, channels, zPlanes: 1, timePoints: 1, facts })
}

/** TIFF 6.0, section 2. */
type Field = { readonly tag: number } & (
  | { readonly type: 'ascii'; readonly text: string }
  | { readonly type: 'short' | 'long'; readonly values: readonly number[] }
  | { readonly type: 'rational'; readonly value: readonly [numerator: number, denominator: number] }
)

function fieldsOf(picture: TiffPicture, page: number, description: string | undefined): Field[] {
  const { width, height, sampleType, pixelSizeUm, positionUm } = picture
  const { bytes } = SAMPLE_TYPES[sampleType]
  const rowsPerStrip = Math.min(height, Math.max(1, Math.floor(STRIP_BYTES / (width * bytes))))
  const strips = Math.ceil(height / rowsPerStrip)
  const stripBytes = rowsPerStrip * width * bytes
  const pageBytes = width * height * bytes
  const start = HEADER_BYTES + page * pageBytes
  const UM_PER_CM = 10_000
  const short = (tag: number, value: number): Field => ({ tag, type: 'short', values: [value] })
  const long = (tag: number, ...values: number[]): Field => ({ tag, type: 'long', values })
  const rational = (tag: number, value: number): Field[] => {
    const fraction = toFraction(value)
    return fraction ? [{ tag, type: 'rational', value: fraction }] : []
  }
  return [
    long(254, 0),
    long(256, width),
    long(257, height),
    short(258, 8 * bytes),
    short(259, 1),
    short(262, 1),
    ...(description === undefined ? [] : [{ tag: 270, type: 'ascii', text: description } as const]),
    long(273, ...Array.from({ length: strips }, (_, i) => start + i * stripBytes)),
    short(277, 1),
    long(278, rowsPerStrip),
    long(279, ...Array.from({ length: strips }, (_, i) => Math.min(stripBytes, pageBytes - i * stripBytes))),
    // Pixels per centimetre, and where the left and upper edges lie, where that is not negative.
    ...rational(282, UM_PER_CM / pixelSizeUm.x),
    ...rational(283, UM_PER_CM / pixelSizeUm.y),
    short(284, 1),
    ...rational(286, (positionUm.x - pixelSizeUm.x / 2) / UM_PER_CM),
    ...rational(287, (positionUm.y - pixelSizeUm.y / 2) / UM_PER_CM),
    short(296, 3),
    { tag: 305, type: 'ascii', text: toAscii(picture.software) },
    short(339, tiffSampleFormat(sampleType)),
  ]
}

/** The fraction of two 32-bit numbers that is a value to nine digits or more; undefined where there is none. */
function toFraction(value: number): readonly [number, number] | undefined {
  const largest = 2 ** 32 - 1
  if (!(value >= 0 && value <= largest)) return undefined
  const digits = value < 1 ? 9 : Math.floor(Math.log10(largest / value))
  const denominator = 10 ** Math.min(9, digits)
  return [Math.round(value * denominator), denominator]
}

const FIELD_TYPES = { ascii: 2, short: 3, long: 4, rational: 5 } as const
const ENTRY_BYTES = 12

/** @param at where the directory begins in the file; values that do not fit an entry stand behind it. */
function writeDirectory(fields: readonly Field[], at: number, isLast: boolean): Buffer {
  const entries = Buffer.alloc(2 + ENTRY_BYTES * fields.length + 4)
  const values: Buffer[] = []
  let valuesAt = at + entries.length
  entries.writeUInt16LE(fields.length, 0)
  fields.forEach((field, i) => {
    const entry = 2 + ENTRY_BYTES * i
    const bytes = bytesOfField(field)
    entries.writeUInt16LE(field.tag, entry)
    entries.writeUInt16LE(FIELD_TYPES[field.type], entry + 2)
    entries.writeUInt32LE(countOf(field), entry + 4)
    if (bytes.length <= 4) bytes.copy(entries, entry + 8)
    else {
      entries.writeUInt32LE(valuesAt, entry + 8)
      // Everything begins at an even address.
      const padded = Buffer.concat([bytes, Buffer.alloc(bytes.length % 2)])
      values.push(padded)
      valuesAt += padded.length
    }
  })
  entries.writeUInt32LE(isLast ? 0 : valuesAt, entries.length - 4)
  return Buffer.concat([entries, ...values])
}

function countOf(field: Field): number {
  if (field.type === 'ascii') return field.text.length + 1
  return field.type === 'rational' ? 1 : field.values.length
}

function bytesOfField(field: Field): Buffer {
  switch (field.type) {
    case 'ascii':
      return Buffer.from(`${field.text}\0`, 'latin1')
    case 'short':
      return Buffer.from(Uint16Array.from(field.values).buffer)
    case 'long':
      return Buffer.from(Uint32Array.from(field.values).buffer)
    case 'rational':
      return Buffer.from(Uint32Array.from(field.value).buffer)
  }
}
