import { CorruptDataError, LimitExceededError, UnsupportedDataError } from '../errors.js'
import { SAMPLE_TYPES, type SampleArray, type SampleType, samplesFromBytes } from '../plane.js'

/** numpy's own headers have 128 bytes; longer ones belong to structured arrays, which we refuse anyway. */
const MAX_HEADER_BYTES = 64 * 1024

const SAMPLE_TYPES_BY_CODE: ReadonlyMap<string, SampleType> = new Map([
  ['u1', 'uint8'],
  ['u2', 'uint16'],
  ['i2', 'int16'],
  ['u4', 'uint32'],
  ['i4', 'int32'],
  ['f4', 'float32'],
  ['f8', 'float64'],
])

/** A numpy array of two or three axes. */
export interface NpyArray {
  /** Length of each axis; rows before columns in a picture. */
  readonly shape: readonly number[]
  readonly sampleType: SampleType
  /** In C order: the last axis is contiguous. */
  readonly samples: SampleArray
}

/**
 * Read a `.npy` file of two or three axes, in either byte order, C or Fortran order.
 *
 * @param bytes the whole file. The samples may be returned as a view of it.
 * @param url where the bytes come from, for the messages.
 * @throws {CorruptDataError} not an npy file, or its length contradicts its header.
 * @throws {UnsupportedDataError} a type (objects above all) or a number of axes that we do not read.
 * @see numpy's "NPY format", versions 1.0 to 3.0
 */
export function readNpy(bytes: Uint8Array, url: string): NpyArray {
  const { header, dataOffset } = readHeader(bytes, url)
  const { sampleType, swapped } = readType(header, url)
  const shape = readShape(header, url)
  const fortranOrder = readOrder(header, url)
  const count = shape.reduce((product, length) => product * length, 1)
  const expectedBytes = count * SAMPLE_TYPES[sampleType].bytes
  const data = bytes.subarray(dataOffset)
  if (data.length !== expectedBytes) {
    throw new CorruptDataError(
      `${url} has ${data.length} bytes of samples; its header (${shape.join(' × ')} of ${sampleType}) means ${expectedBytes}.`,
      { url, byteOffset: dataOffset },
    )
  }
  const stored = samplesFromBytes(sampleType, swapped ? swapBytes(data, SAMPLE_TYPES[sampleType].bytes) : data)
  return { shape, sampleType, samples: fortranOrder ? reverseAxes(stored, shape) : stored }
}

/** The Python dictionary that describes the array, as text. */
function readHeader(bytes: Uint8Array, url: string): { header: string; dataOffset: number } {
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

function readType(header: string, url: string): { sampleType: SampleType; swapped: boolean } {
  const descr = /'descr'\s*:\s*(?:'([^']*)'|(\[))/.exec(header)
  if (descr === null) throw missingKey('descr', url)
  const possible = `${[...SAMPLE_TYPES_BY_CODE.keys()].join(', ')} can be read`
  if (descr[2] !== undefined)
    throw new UnsupportedDataError(`${url} holds records of several fields; ${possible}.`, { url })
  const [, order, code] = /^([<>|=]?)(.*)$/s.exec(descr[1]!)!
  if (code!.startsWith('O')) {
    throw new UnsupportedDataError(`${url} holds Python objects, which only Python may unpickle; ${possible}.`, { url })
  }
  const sampleType = SAMPLE_TYPES_BY_CODE.get(code!)
  if (sampleType === undefined)
    throw new UnsupportedDataError(`${url} holds samples of the type ${JSON.stringify(descr[1])}; ${possible}.`, {
      url,
    })
  return { sampleType, swapped: order === '>' }
}

function readShape(header: string, url: string): number[] {
  const axes = /'shape'\s*:\s*\(([\d,\s]*)\)/.exec(header)?.[1]
  if (axes === undefined) throw missingKey('shape', url)
  const shape = axes
    .split(',')
    .map(axis => axis.trim())
    .filter(axis => axis !== '')
    .map(Number)
  if (shape.length !== 2 && shape.length !== 3) {
    throw new UnsupportedDataError(`${url} has ${shape.length} axes (${axes}); arrays of 2 or 3 are read.`, { url })
  }
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

function swapBytes(bytes: Uint8Array, sampleBytes: number): Uint8Array {
  const swapped = new Uint8Array(bytes.length)
  for (let sample = 0; sample < bytes.length; sample += sampleBytes) {
    for (let i = 0; i < sampleBytes; i++) swapped[sample + i] = bytes[sample + sampleBytes - 1 - i]!
  }
  return swapped
}

/** From Fortran order (first axis contiguous) to C order; two axes are three with one plane. */
function reverseAxes(stored: SampleArray, shape: readonly number[]): SampleArray {
  const [depth, height, width] = shape.length === 2 ? [1, ...shape] : shape
  const samples = new (stored.constructor as new (length: number) => SampleArray)(stored.length)
  let target = 0
  for (let z = 0; z < depth!; z++) {
    for (let y = 0; y < height!; y++) {
      for (let x = 0; x < width!; x++) samples[target++] = stored[z + depth! * (y + height! * x)]!
    }
  }
  return samples
}
