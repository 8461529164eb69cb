import { CorruptDataError, LimitExceededError, UnsupportedDataError } from '../../errors.js'
import {
  allocateSamples,
  type Plane,
  SAMPLE_TYPES,
  type SampleArray,
  type SampleType,
  samplesFromBytes,
} from '../../plane.js'
import { decodeHuffman, minHuffmanBytes } from './huffman.js'

/** Bytes that are enough to read the header of any version. */
export const PZF_HEADER_BYTES = 64

/** Header length of versions 1 and 2, which have no `DataOffset`. */
const SHORT_HEADER_BYTES = 48

/** Far above any camera (a 100-megapixel one gives 200 MB), and still one allocation. */
const MAX_DECODED_BYTES = 2 ** 30

const SAMPLE_FORMATS: readonly SampleType[] = ['uint8', 'uint16', 'float32']
const COMPRESSIONS = ['none', 'huffman', 'huffman-chunks'] as const

/** What the first bytes of a PZF file say, checked. */
export interface PzfHeader {
  /** Pixels along x, y and z; none of them 0. */
  readonly width: number
  readonly height: number
  readonly depth: number
  readonly sampleType: SampleType
  readonly compression: (typeof COMPRESSIONS)[number]
  /** How square-root quantised bytes become counts: (byte × scale)² + offset. Undefined where samples are stored plainly. */
  readonly quantisation: { readonly offset: number; readonly scale: number } | undefined
  /** `C`: z fastest, then y, then x. `F`: x fastest, the usual raster. */
  readonly order: 'C' | 'F'
  /** Where the payload begins; it ends with the file. */
  readonly dataOffset: number
}

/** A decoded PZF file: `depth` planes one after the other, the sample at (z, y, x) at `(z * height + y) * width + x`. */
export interface PzfFrame extends Plane {
  readonly depth: number
}

/**
 * Read the header of a PZF file.
 *
 * @param bytes the start of the file, `PZF_HEADER_BYTES` of it or the whole file if that is shorter.
 * @param url where the bytes come from, for the messages.
 * @throws {CorruptDataError} not a PZF file, cut off, or fields that cannot be.
 * @throws {UnsupportedDataError} a version, sample format, compression or quantisation that we do not know.
 * @throws {LimitExceededError} a frame of more than 1 GiB.
 */
export function readPzfHeader(bytes: Uint8Array, url: string): PzfHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < SHORT_HEADER_BYTES) {
    throw new CorruptDataError(
      `${url} is truncated: it has ${bytes.length} bytes, and a PZF header needs ${SHORT_HEADER_BYTES}.`,
      { url, byteOffset: bytes.length },
    )
  }
  if (bytes[0] !== 0x42 || bytes[1] !== 0x44) {
    throw new CorruptDataError(`${url} is not a PZF file: it does not begin with the letters BD.`, {
      url,
      byteOffset: 0,
    })
  }
  const version = bytes[2]!
  if (version < 1 || version > 3) throw unknownField(url, 'version', version, '1, 2 and 3')
  if (version === 3 && bytes.length < PZF_HEADER_BYTES) {
    throw new CorruptDataError(
      `${url} is truncated: it has ${bytes.length} bytes, and its header needs ${PZF_HEADER_BYTES}.`,
      { url, byteOffset: bytes.length },
    )
  }
  const sampleType = SAMPLE_FORMATS[bytes[3]!]
  if (sampleType === undefined)
    throw unknownField(url, 'sample format', bytes[3]!, '0 (uint8), 1 (uint16) and 2 (float32)')
  const compression = COMPRESSIONS[bytes[4]!]
  if (compression === undefined)
    throw unknownField(url, 'compression', bytes[4]!, '0 (none), 1 (Huffman) and 2 (Huffman in chunks)')
  const width = view.getUint32(20, true)
  const height = view.getUint32(24, true)
  const depth = view.getUint32(28, true)
  if (width === 0 || height === 0 || depth === 0) {
    throw new CorruptDataError(`${url} is damaged: its header says ${width} × ${height} × ${depth} pixels.`, {
      url,
      byteOffset: 20,
    })
  }
  // At most 2⁹⁶ × 4: a float64 is not exact there, but far above the limit all the same.
  const decodedBytes = width * height * depth * SAMPLE_TYPES[sampleType].bytes
  if (decodedBytes > MAX_DECODED_BYTES) {
    throw new LimitExceededError(
      `${url} says that it holds ${width} × ${height} × ${depth} samples of ${sampleType}; up to 1 GiB is read.`,
      { url, byteOffset: 20 },
    )
  }
  const dataOffset = version === 3 ? view.getUint32(48, true) : SHORT_HEADER_BYTES
  if (version === 3 && dataOffset < PZF_HEADER_BYTES) {
    throw new CorruptDataError(`${url} is damaged: its samples begin at byte ${dataOffset}, within its header.`, {
      url,
      byteOffset: 48,
    })
  }
  return {
    width,
    height,
    depth,
    sampleType,
    compression,
    quantisation: readQuantisation(bytes, view, compression, url),
    order: version === 1 ? 'C' : readOrder(bytes[6]!, url),
    dataOffset,
  }
}

function unknownField(url: string, field: string, found: number, known: string): UnsupportedDataError {
  return new UnsupportedDataError(`${url} has the PZF ${field} ${found}; ${known} can be read.`, { url })
}

function readOrder(code: number, url: string): 'C' | 'F' {
  if (code === 0x43) return 'C'
  if (code === 0x46) return 'F'
  throw new CorruptDataError(`${url} is damaged: its axis order is the byte ${code}, neither C nor F.`, {
    url,
    byteOffset: 6,
  })
}

function readQuantisation(
  bytes: Uint8Array,
  view: DataView,
  compression: PzfHeader['compression'],
  url: string,
): PzfHeader['quantisation'] {
  const code = bytes[5]!
  if (code === 0) return undefined
  if (code !== 1) throw unknownField(url, 'quantisation', code, '0 (none) and 1 (square root)')
  if (compression !== 'huffman') {
    // PYME's writer then stores the samples unquantised under a header that says otherwise.
    throw new UnsupportedDataError(
      `${url} is quantised but not Huffman compressed, and what PYME stores then is ambiguous; write it unquantised.`,
      { url, byteOffset: 5 },
    )
  }
  const offset = view.getFloat32(40, true)
  const scale = view.getFloat32(44, true)
  if (!Number.isFinite(offset) || !Number.isFinite(scale)) {
    throw new CorruptDataError(`${url} is damaged: it is quantised with offset ${offset} and scale ${scale}.`, {
      url,
      byteOffset: 40,
    })
  }
  return { offset, scale }
}

/**
 * Decode one PZF file.
 *
 * PZF has x as its first axis; the planes returned have rows first. Quantised samples are restored in float32 arithmetic
 * and cut (not rounded) to the sample type, as PYME does. Where the result does not fit into the type, which is undefined
 * in C, it saturates: with a scale above 1 the byte of the brightest counts stands for slightly more than 65,535.
 *
 * PYME decodes an empty payload to zeros; here a payload that is too short or too long is an error.
 *
 * @param bytes a whole PZF file, header included. Uncompressed samples may be returned as a view of it.
 * @param url where the bytes come from, for the messages.
 * @throws {CorruptDataError} truncated, damaged or not a PZF file.
 * @throws {UnsupportedDataError} a variant of PZF that we do not know.
 * @throws {LimitExceededError} a frame of more than 1 GiB.
 */
export function decodePzf(bytes: Uint8Array, url: string): PzfFrame {
  const header = readPzfHeader(bytes, url)
  const { width, height, depth, sampleType, quantisation } = header
  const stored = decodePayload(bytes, header, url)
  const ordered = header.order === 'F' ? stored : reorder(stored, width, height, depth)
  const samples = quantisation === undefined ? ordered : restoreCounts(ordered, quantisation, sampleType)
  return { width, height, depth, sampleType, samples }
}

/** The samples as the file has them: in file order, and bytes where they are quantised. */
function decodePayload(bytes: Uint8Array, header: PzfHeader, url: string): SampleArray {
  const { dataOffset, compression } = header
  if (dataOffset > bytes.length) throw truncated(url, dataOffset, bytes.length)
  const payload = bytes.subarray(dataOffset)
  const storedType = header.quantisation === undefined ? header.sampleType : 'uint8'
  const storedBytes = header.width * header.height * header.depth * SAMPLE_TYPES[storedType].bytes
  switch (compression) {
    case 'none':
      if (payload.length < storedBytes) throw truncated(url, dataOffset + storedBytes, bytes.length)
      if (payload.length > storedBytes) {
        throw new CorruptDataError(
          `${url} is damaged: it has ${payload.length - storedBytes} more bytes than its samples need.`,
          { url, byteOffset: dataOffset + storedBytes },
        )
      }
      return samplesFromBytes(storedType, payload)
    case 'huffman': {
      const decoded = allocateDecoded(payload.length, storedBytes, bytes.length, url)
      decodeHuffman(payload, decoded, url)
      return samplesFromBytes(storedType, decoded)
    }
    case 'huffman-chunks':
      return samplesFromBytes(storedType, decodeChunks(payload, storedBytes, bytes.length, url))
  }
}

/** Room for decoded Huffman codes, which take at least a bit a byte: no header can ask for more than 8 times its file. */
function allocateDecoded(payloadBytes: number, decodedBytes: number, fileBytes: number, url: string): Uint8Array {
  const needed = fileBytes - payloadBytes + minHuffmanBytes(decodedBytes)
  if (needed > fileBytes) throw truncated(url, needed, fileBytes)
  return new Uint8Array(decodedBytes)
}

function truncated(url: string, neededBytes: number, foundBytes: number): CorruptDataError {
  return new CorruptDataError(
    `${url} is truncated: it has ${foundBytes} bytes, and what its header promises needs at least ${neededBytes}.`,
    { url, byteOffset: foundBytes },
  )
}

/** The number of chunks (u16), then for each its compressed and its decoded length (u32) and a Huffman stream. */
function decodeChunks(payload: Uint8Array, decodedBytes: number, fileBytes: number, url: string): Uint8Array {
  const payloadOffset = fileBytes - payload.length
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  const decoded = allocateDecoded(payload.length, decodedBytes, fileBytes, url)
  let read = 2
  let written = 0
  const chunks = view.getUint16(0, true)
  for (let chunk = 0; chunk < chunks; chunk++) {
    if (read + 8 > payload.length) throw truncated(url, payloadOffset + read + 8, fileBytes)
    const compressedLength = view.getUint32(read, true)
    const rawLength = view.getUint32(read + 4, true)
    read += 8
    if (read + compressedLength > payload.length)
      throw truncated(url, payloadOffset + read + compressedLength, fileBytes)
    if (rawLength === 0 || written + rawLength > decodedBytes) {
      throw new CorruptDataError(
        `${url} is damaged: its chunk ${chunk} holds ${rawLength} bytes where ${decodedBytes - written} are left.`,
        { url, byteOffset: payloadOffset + read },
      )
    }
    decodeHuffman(payload.subarray(read, read + compressedLength), decoded.subarray(written, written + rawLength), url)
    read += compressedLength
    written += rawLength
  }
  if (written !== decodedBytes || read !== payload.length) {
    throw new CorruptDataError(
      `${url} is damaged: its ${chunks} chunks hold ${written} of ${decodedBytes} bytes, ${payload.length - read} bytes follow.`,
      { url, byteOffset: payloadOffset + read },
    )
  }
  return decoded
}

/** From `[x][y][z]` to `[z][y][x]`, in blocks of 32 × 32 so that both sides stay in the cache. */
function reorder(stored: SampleArray, width: number, height: number, depth: number): SampleArray {
  const ordered = new (stored.constructor as new (length: number) => SampleArray)(stored.length)
  const block = 32
  const step = height * depth
  for (let z = 0; z < depth; z++) {
    for (let y0 = 0; y0 < height; y0 += block) {
      const y1 = Math.min(y0 + block, height)
      for (let x0 = 0; x0 < width; x0 += block) {
        const x1 = Math.min(x0 + block, width)
        for (let y = y0; y < y1; y++) {
          const row = (z * height + y) * width
          let from = (x0 * height + y) * depth + z
          for (let x = x0; x < x1; x++, from += step) ordered[row + x] = stored[from]!
        }
      }
    }
  }
  return ordered
}

function restoreCounts(
  quantised: SampleArray,
  { offset, scale }: { offset: number; scale: number },
  sampleType: SampleType,
): SampleArray {
  const { integer, min, max } = SAMPLE_TYPES[sampleType]
  const counts = allocateSamples(sampleType, 256)
  for (let byte = 0; byte < 256; byte++) {
    const root = Math.fround(byte * scale)
    const count = Math.fround(Math.fround(root * root) + offset)
    counts[byte] = integer ? Math.trunc(Math.min(Math.max(count, min), max)) : count
  }
  const restored = allocateSamples(sampleType, quantised.length)
  for (let i = 0; i < quantised.length; i++) restored[i] = counts[quantised[i]!]!
  return restored
}
