import type { Hdf5Member, Hdf5Type } from './hdf5-messages.js'

/** One value a row; undefined where elements are of a type that is not decoded. */
export type Hdf5Column = readonly unknown[]

/**
 * Decode elements one by one: for attributes and tables, not for pixels.
 *
 * Integers become numbers, or bigints where a number cannot hold them; strings end at their first zero; enums of FALSE
 * and TRUE and nothing else become booleans, others numbers; compounds become objects, arrays flat arrays.
 *
 * @param count elements at the start of `bytes`, one after the other.
 * @returns undefined for references, opaque data, times, and pointers, which mean nothing outside of the file.
 */
export function decodeValues(type: Hdf5Type, bytes: Uint8Array, count: number): Hdf5Column | undefined {
  const decode = decoderOf(type)
  if (!decode) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Array.from({ length: count }, (_, i) => decode(view, i * type.bytes))
}

/**
 * Decode a table column by column.
 *
 * @param bytes whole rows, one after the other.
 * @returns the columns whose type is decoded, by name.
 */
export function decodeColumns(
  type: Extract<Hdf5Type, { kind: 'compound' }>,
  bytes: Uint8Array,
): Map<string, Hdf5Column> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const rows = Math.floor(bytes.length / type.bytes)
  const columns = new Map<string, Hdf5Column>()
  for (const member of type.members) {
    const decode = decoderOf(member.type)
    if (!decode) continue
    columns.set(
      member.name,
      Array.from({ length: rows }, (_, row) => decode(view, row * type.bytes + member.offset)),
    )
  }
  return columns
}

/** Text as files have it: UTF-8 by rule, Latin-1 where it is none; ends at the first zero. */
export function decodeText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  const text = end < 0 ? bytes : bytes.subarray(0, end)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(text)
  } catch {
    return Buffer.from(text).toString('latin1')
  }
}

/** Whether elements are, or hold, addresses of data elsewhere in memory. */
export function holdsPointers(type: Hdf5Type): boolean {
  switch (type.kind) {
    case 'rows':
      return true
    case 'string':
      return type.isVariable
    case 'compound':
      return type.members.some(member => holdsPointers(member.type))
    case 'array':
      return holdsPointers(type.element)
    default:
      return false
  }
}

/** Whether elements are rows of any length, and each of them plain. */
export function isRows(type: Hdf5Type): boolean {
  return type.kind === 'rows' ? !holdsPointers(type.element) : type.kind === 'string' && type.isVariable
}

/** The type in a word or two, for messages: `uint16`, `float64`, `compound`. */
export function nameType(type: Hdf5Type): string {
  if (type.kind === 'integer') return `${type.isSigned ? 'int' : 'uint'}${8 * type.bytes}`
  return type.kind === 'float' ? `float${8 * type.bytes}` : type.kind
}

export type Decoder = (view: DataView, offset: number) => unknown

/** How one element is decoded; undefined for what `decodeValues` does not decode. */
export function decoderOf(type: Hdf5Type): Decoder | undefined {
  switch (type.kind) {
    case 'integer':
    case 'bitfield':
      return integerDecoder(type.bytes, type.isSigned)
    case 'float':
      return floatDecoder(type.bytes)
    case 'string':
      if (type.isVariable) return undefined
      return (view, offset) => decodeText(new Uint8Array(view.buffer, view.byteOffset + offset, type.bytes))
    case 'enum':
      return enumDecoder(integerDecoder(type.bytes, type.isSigned), type.names)
    case 'compound':
      return compoundDecoder(type.members)
    case 'array':
      return arrayDecoder(type.element, type.shape)
    default:
      return undefined
  }
}

function integerDecoder(bytes: number, isSigned: boolean): Decoder | undefined {
  switch (bytes) {
    case 1:
      return (view, offset) => (isSigned ? view.getInt8(offset) : view.getUint8(offset))
    case 2:
      return (view, offset) => (isSigned ? view.getInt16(offset, true) : view.getUint16(offset, true))
    case 4:
      return (view, offset) => (isSigned ? view.getInt32(offset, true) : view.getUint32(offset, true))
    case 8:
      return (view, offset) => {
        const value = isSigned ? view.getBigInt64(offset, true) : view.getBigUint64(offset, true)
        return Number.isSafeInteger(Number(value)) ? Number(value) : value
      }
    default:
      return undefined
  }
}

function floatDecoder(bytes: number): Decoder | undefined {
  switch (bytes) {
    case 2:
      return (view, offset) => decodeFloat16(view.getUint16(offset, true))
    case 4:
      return (view, offset) => view.getFloat32(offset, true)
    case 8:
      return (view, offset) => view.getFloat64(offset, true)
    default:
      return undefined
  }
}

/** IEEE 754 binary16, which has no place in a DataView of Node 20. */
function decodeFloat16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

function enumDecoder(decode: Decoder | undefined, names: Readonly<Record<string, number>>): Decoder | undefined {
  const isBoolean = Object.keys(names).length === 2 && names.FALSE === 0 && names.TRUE === 1
  return isBoolean && decode ? (view, offset) => decode(view, offset) !== 0 : decode
}

function compoundDecoder(members: readonly Hdf5Member[]): Decoder {
  const decoders = members.map(({ name, offset, type }) => ({ name, offset, decode: decoderOf(type) }))
  return (view, start) =>
    Object.fromEntries(decoders.map(({ name, offset, decode }) => [name, decode?.(view, start + offset)]))
}

function arrayDecoder(element: Hdf5Type, shape: readonly number[]): Decoder | undefined {
  const decode = decoderOf(element)
  const length = shape.reduce((product, edge) => product * edge, 1)
  return decode && ((view, offset) => Array.from({ length }, (_, i) => decode(view, offset + i * element.bytes)))
}
