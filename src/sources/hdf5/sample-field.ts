import { SAMPLE_ARRAYS, type SampleArray, type SampleType, type Size, samplesIn } from '../../plane.js'
import type { Walk } from './array-view.js'
import type { Hdf5Type } from './hdf5-messages.js'
import { decoderOf, nameType } from './hdf5-values.js'

/** What of an element is a sample. */
export interface SampleField {
  readonly type: Hdf5Type
  /** Bytes from the start of the element. */
  readonly offset: number
  /** Of the imaginary part, where the sample is the magnitude of a complex number. */
  readonly imaginaryOffset?: number
}

/** A field that is shown as a layer. */
export interface NamedField extends SampleField {
  /** Empty where an element is nothing but the sample. */
  readonly name: string
  readonly unit?: string
}

/**
 * The fields of an element that can be shown: itself where it is a number; magnitude, real and imaginary part of a complex
 * one; and those of a compound.
 */
export function fieldsOf(type: Hdf5Type): NamedField[] {
  if (type.kind !== 'compound') return storedType({ type, offset: 0 }) ? [{ type, offset: 0, name: '' }] : []
  const [real, imaginary] = type.members
  if (type.members.length === 2 && real?.name === 'r' && imaginary?.name === 'i') {
    if (!storedType(real) || !storedType(imaginary)) return []
    return [
      { type: real.type, offset: real.offset, imaginaryOffset: imaginary.offset, name: 'magnitude' },
      { type: real.type, offset: real.offset, name: 'real' },
      { type: imaginary.type, offset: imaginary.offset, name: 'imaginary' },
    ]
  }
  return type.members
    .filter(member => storedType(member))
    .map(({ name, ...member }) => ({ ...member, ...splitUnit(name) }))
}

/** The smallest type of a pyramid that holds the samples; undefined where they are no numbers. */
export function storedType({ type, imaginaryOffset }: SampleField): SampleType | undefined {
  if (type.kind === 'float') {
    const isSingle = type.bytes === 2 || type.bytes === 4
    return isSingle ? 'float32' : type.bytes === 8 ? 'float64' : undefined
  }
  if (type.kind !== 'integer' && type.kind !== 'bitfield' && type.kind !== 'enum') return undefined
  if (imaginaryOffset !== undefined) return type.bytes > 2 ? 'float64' : 'float32'
  // The enum of two values that h5py and others write for booleans is signed.
  const isBoolean = type.kind === 'enum' && type.bytes === 1 && Object.values(type.names).every(value => value >= 0)
  if (type.bytes === 1) return type.isSigned && !isBoolean ? 'int16' : 'uint8'
  if (type.bytes === 2) return type.isSigned ? 'int16' : 'uint16'
  if (type.bytes === 4) return type.isSigned ? 'int32' : 'uint32'
  return type.bytes === 8 ? 'float64' : undefined
}

/** Whether samples may lose something when they are stored. */
export function isRounded({ type }: SampleField): boolean {
  return type.kind !== 'float' && type.bytes === 8
}

/** What elements of these types may be seen through as they lie. */
const NATIVE = { ...SAMPLE_ARRAYS, int8: Int8Array }

/**
 * Take the samples of a block out of elements.
 *
 * @param bytes whole elements, one after the other. @param walk from sample to sample, in elements.
 * @param into memory for the samples; new memory where it is left out.
 */
export function takeSamples(
  bytes: Uint8Array,
  elementBytes: number,
  field: SampleField,
  walk: Walk,
  { width, height }: Size,
  sampleType: SampleType,
  into?: Uint8Array,
): SampleArray {
  const samples = samplesIn(sampleType, width * height, into)
  const read = elementReader(bytes, elementBytes, field)
  const { first, xStep, yStep } = walk
  let sample = 0
  if (typeof read === 'function') {
    for (let y = 0; y < height; y++)
      for (let x = 0, at = first + y * yStep; x < width; x++, at += xStep) samples[sample++] = read(at)
    return samples
  }
  for (let y = 0; y < height; y++) {
    const start = first + y * yStep
    if (xStep === 1) {
      samples.set(read.subarray(start, start + width), sample)
      sample += width
    } else for (let x = 0, at = start; x < width; x++, at += xStep) samples[sample++] = read[at]!
  }
  return samples
}

/** As `takeSamples`, from elements that lie anywhere. @param elements one a sample; −1 where there is none. */
export function takeScattered(
  bytes: Uint8Array,
  elementBytes: number,
  field: SampleField,
  elements: Int32Array,
  sampleType: SampleType,
  into?: Uint8Array,
): SampleArray {
  const samples = samplesIn(sampleType, elements.length, into)
  const read = elementReader(bytes, elementBytes, field)
  const valueAt = typeof read === 'function' ? read : (element: number): number => read[element]!
  for (let i = 0; i < elements.length; i++) samples[i] = elements[i]! < 0 ? Number.NaN : valueAt(elements[i]!)
  return samples
}

type NativeArray = InstanceType<(typeof NATIVE)[keyof typeof NATIVE]>

/** An array with one entry an element where elements are plain numbers, else a function of the element's place. */
function elementReader(
  bytes: Uint8Array,
  elementBytes: number,
  { type, offset, imaginaryOffset }: SampleField,
): NativeArray | ((element: number) => number) {
  const Native = NATIVE[nameType(type) as keyof typeof NATIVE]
  const isPlain = Native && elementBytes === type.bytes && bytes.byteOffset % type.bytes === 0
  if (isPlain) return new Native(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength / type.bytes)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const decode = decoderOf(type)!
  if (imaginaryOffset === undefined) return element => Number(decode(view, element * elementBytes + offset))
  return element => {
    const start = element * elementBytes
    return Math.hypot(Number(decode(view, start + offset)), Number(decode(view, start + imaginaryOffset)))
  }
}

/** `Amplitude [V]` is the amplitude in volts. */
function splitUnit(text: string): { name: string; unit?: string } {
  const [, name, unit] = /^(.*\S)\s*[[(]([^\])]*)[\])]\s*$/.exec(text) ?? []
  return name !== undefined && unit ? { name, unit } : { name: text }
}
