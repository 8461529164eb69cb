import { CorruptDataError, LimitExceededError, UnsupportedDataError } from '../../errors.js'
import { type SampleArray, type SampleType, samplesFromBytes } from '../../plane.js'
import { floatsFromHalves } from './half-floats.js'

/** numpy's own headers have 128 bytes; longer ones belong to structured arrays, which we refuse anyway. */
export const MAX_HEADER_BYTES = 64 * 1024

/** How numpy stores a sample, and what it becomes. */
interface StoredType {
  readonly bytes: number
  readonly sampleType: SampleType
  /** From little-endian bytes; left out where they are the samples. */
  readonly decode?: (bytes: Uint8Array) => SampleArray
}

const STORED_TYPES: ReadonlyMap<string, StoredType> = new Map<string, StoredType>([
  ['b1', { bytes: 1, sampleType: 'uint8' }],
  ['u1', { bytes: 1, sampleType: 'uint8' }],
  ['i1', { bytes: 1, sampleType: 'int16', decode: bytes => Int16Array.from(new Int8Array(sliceOf(bytes))) }],
  ['u2', { bytes: 2, sampleType: 'uint16' }],
  ['i2', { bytes: 2, sampleType: 'int16' }],
  ['f2', { bytes: 2, sampleType: 'float32', decode: bytes => floatsFromHalves(new Uint16Array(sliceOf(bytes))) }],
  ['u4', { bytes: 4, sampleType: 'uint32' }],
  ['i4', { bytes: 4, sampleType: 'int32' }],
  ['f4', { bytes: 4, sampleType: 'float32' }],
  ['u8', { bytes: 8, sampleType: 'float64', decode: bytes => floatsFromWholes(new Uint32Array(sliceOf(bytes))) }],
  ['i8', { bytes: 8, sampleType: 'float64', decode: bytes => floatsFromWholes(new Int32Array(sliceOf(bytes))) }],
  ['f8', { bytes: 8, sampleType: 'float64' }],
])

/** How the samples of a numpy array are stored; plain data. */
export interface NpyType {
  /** As numpy spells it, e.g. `u2`. */
  readonly code: string
  readonly isBigEndian: boolean
  /** Of a stored sample. */
  readonly bytes: number
  /** What samples become when they are read. */
  readonly sampleType: SampleType
}

/** What the header of a numpy array says. */
export interface NpyHeader {
  readonly type: NpyType
  /** Length of each axis. */
  readonly shape: readonly number[]
  /** Whether the first axis is contiguous, and not the last. */
  readonly isFortranOrder: boolean
  /** Where the samples begin. */
  readonly dataOffset: number
}

/**
 * Read the header of a numpy array.
 *
 * @param bytes the beginning of the file, at least `MAX_HEADER_BYTES` + 12 of it where it is that long.
 * @param url where the bytes come from, for the messages.
 * @throws {CorruptDataError} not an npy file, damaged, or empty. @throws {UnsupportedDataError} a type that we do not
 *   read, objects above all. @throws {LimitExceededError} a header that is too long.
 * @see numpy's "NPY format", versions 1.0 to 3.0
 */
export function readNpyHeader(bytes: Uint8Array, url: string): NpyHeader {
  const { header, dataOffset } = readText(bytes, url)
  return {
    type: readType(header, url),
    shape: readShape(header, url),
    isFortranOrder: readOrder(header, url),
    dataOffset,
  }
}

/** How many samples an array of that shape has. */
export function countSamples(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1)
}

/**
 * Samples from their bytes.
 *
 * @param bytes may be overwritten, and the samples may be a view of them.
 */
export function decodeSamples({ code, isBigEndian, sampleType }: NpyType, bytes: Uint8Array): SampleArray {
  const stored = STORED_TYPES.get(code)
  if (!stored) throw new RangeError(`no type ${code}`)
  if (isBigEndian) swapBytes(bytes, stored.bytes)
  return stored.decode?.(bytes) ?? samplesFromBytes(sampleType, bytes)
}

/** The Python dictionary that describes the array, as text. */
function readText(bytes: Uint8Array, url: string): { header: string; dataOffset: number } {
  const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]
  if (magic.some((byte, i) => bytes[i] !== byte)) {
    throw new CorruptDataError(`${url} is not an npy file: it does not begin with \\x93NUMPY.`, { url, byteOffset: 0 })
  }
  const version = bytes[6] ?? 0
  if (version < 1 || version > 3) {
    throw new UnsupportedDataError(`${url} has the npy version ${version}; 1, 2 and 3 can be read.`, {
      url,
      byteOffset: 6,
    })
  }
  const headerOffset = version === 1 ? 10 : 12
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const truncated = () =>
    new CorruptDataError(`${url} is truncated: it ends within its header.`, { url, byteOffset: bytes.length })
  if (bytes.length < headerOffset) throw truncated()
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true)
  if (length > MAX_HEADER_BYTES) {
    throw new LimitExceededError(`${url} has a header of ${length} bytes; up to ${MAX_HEADER_BYTES} are read.`, {
      url,
      byteOffset: 8,
    })
  }
  const dataOffset = headerOffset + length
  if (bytes.length < dataOffset) throw truncated()
  return { header: new TextDecoder('utf-8').decode(bytes.subarray(headerOffset, dataOffset)), dataOffset }
}

function readType(header: string, url: string): NpyType {
  const descr = /'descr'\s*:\s*(?:'([^']*)'|(\[))/.exec(header)
  if (descr === null) throw missingKey('descr', url)
  const possible = `${[...STORED_TYPES.keys()].join(', ')} can be read`
  if (descr[2] !== undefined)
    throw new UnsupportedDataError(`${url} holds records of several fields; ${possible}.`, { url })
  const [, order, code = ''] = /^([<>|=]?)(.*)$/s.exec(descr[1]!) ?? []
  if (code.startsWith('O')) {
    throw new UnsupportedDataError(`${url} holds Python objects, which only Python may unpickle; ${possible}.`, { url })
  }
  const stored = STORED_TYPES.get(code)
  if (stored === undefined)
    throw new UnsupportedDataError(`${url} holds samples of the type ${JSON.stringify(descr[1])}; ${possible}.`, {
      url,
    })
  return { code, isBigEndian: order === '>', bytes: stored.bytes, sampleType: stored.sampleType }
}

function readShape(header: string, url: string): number[] {
  const axes = /'shape'\s*:\s*\(([\d,\s]*)\)/.exec(header)?.[1]
  if (axes === undefined) throw missingKey('shape', url)
  const shape = axes
    .split(',')
    .map(axis => axis.trim())
    .filter(axis => axis !== '')
    .map(Number)
  if (shape.includes(0)) throw new CorruptDataError(`${url} is empty: its axes are ${shape.join(' × ')} long.`, { url })
  return shape
}

function readOrder(header: string, url: string): boolean {
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(header)?.[1]
  if (order === undefined) throw missingKey('fortran_order', url)
  return order === 'True'
}

function missingKey(key: string, url: string): CorruptDataError {
  return new CorruptDataError(`${url} is damaged: its npy header has no valid ${key}.`, { url })
}

function swapBytes(bytes: Uint8Array, sampleBytes: number): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (sampleBytes === 2) buffer.swap16()
  else if (sampleBytes === 4) buffer.swap32()
  else if (sampleBytes === 8) buffer.swap64()
}

/** Aligned, and nobody else's. */
function sliceOf(bytes: Uint8Array): ArrayBuffer {
  // Not `slice`: that of a Buffer is no copy.
  return new Uint8Array(bytes).buffer
}

/** Whole numbers of 64 bits as their nearest floats, from their lower and upper halves. */
function floatsFromWholes(halves: Uint32Array | Int32Array): Float64Array {
  return Float64Array.from(
    { length: halves.length / 2 },
    (_, i) => halves[2 * i + 1]! * 2 ** 32 + (halves[2 * i]! >>> 0),
  )
}
