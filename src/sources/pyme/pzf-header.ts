import { CorruptDataError, LimitExceededError, UnsupportedDataError } from '../../errors.js'
import { SAMPLE_TYPES, type SampleType } from '../../plane.js'

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
