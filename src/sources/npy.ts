import { CorruptDataError, UnsupportedDataError } from '../errors.js'
import type { SampleArray, SampleType } from '../plane.js'
import { countSamples, decodeSamples, readNpyHeader } from './numpy/npy-header.js'

/** A numpy array of two or three axes. */
export interface NpyArray {
  /** Length of each axis; rows before columns in a picture. */
  readonly shape: readonly number[]
  readonly sampleType: SampleType
  /** In C order: the last axis is contiguous. */
  readonly samples: SampleArray
}

/**
 * Read a whole `.npy` file of two or three axes, in either byte order, C or Fortran order.
 *
 * @param bytes the whole file. The samples may be returned as a view of it.
 * @param url where the bytes come from, for the messages.
 * @throws as `readNpyHeader`. @throws {CorruptDataError} its length contradicts its header.
 * @throws {UnsupportedDataError} a number of axes that we do not read.
 */
export function readNpy(bytes: Uint8Array, url: string): NpyArray {
  const { type, shape, isFortranOrder, dataOffset } = readNpyHeader(bytes, url)
  if (shape.length !== 2 && shape.length !== 3) {
    throw new UnsupportedDataError(
      `${url} has ${shape.length} axes (${shape.join(' × ')}); arrays of 2 or 3 are read.`,
      {
        url,
      },
    )
  }
  const expectedBytes = countSamples(shape) * type.bytes
  const data = bytes.subarray(dataOffset)
  if (data.length !== expectedBytes) {
    throw new CorruptDataError(
      `${url} has ${data.length} bytes of samples; its header (${shape.join(' × ')} of ${type.code}) means ${expectedBytes}.`,
      { url, byteOffset: dataOffset },
    )
  }
  const stored = decodeSamples(type, type.isBigEndian ? new Uint8Array(data) : data)
  return { shape, sampleType: type.sampleType, samples: isFortranOrder ? reverseAxes(stored, shape) : stored }
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
