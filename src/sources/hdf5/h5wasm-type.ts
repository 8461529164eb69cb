import type { Metadata } from 'h5wasm/node'
import type { Hdf5Type } from './hdf5-messages.js'
import { holdsPointers } from './hdf5-values.js'

/** The numbers that HDF5 gives to classes of types, in its own order. */
const CLASSES = [
  'integer',
  'float',
  'time',
  'string',
  'bitfield',
  'opaque',
  'compound',
  'reference',
  'enum',
  'rows',
  'array',
] as const

const INTEGER = CLASSES.indexOf('integer')
const FLOAT = CLASSES.indexOf('float')

/** Types nest; a file may not decide how deep. */
const MAX_NESTING = 16

/** A type as h5wasm describes it, in our words; `opaque` where its bytes are all that can be said. */
export function typeOf(metadata: Metadata, depth = 0): Hdf5Type {
  const kind = CLASSES[metadata.type]
  const bytes = metadata.size
  const opaque: Hdf5Type = { kind: 'opaque', bytes }
  if (kind === undefined || depth > MAX_NESTING) return opaque
  const inner = (part: Metadata): Hdf5Type => typeOf(part, depth + 1)
  switch (kind) {
    case 'integer':
    case 'bitfield':
      return { kind, bytes, isSigned: metadata.signed }
    case 'string':
      return { kind, bytes, isAscii: metadata.cset === 0, isVariable: metadata.vlen }
    case 'enum':
      return { kind, bytes, isSigned: metadata.signed, names: metadata.enum_type?.members ?? {} }
    case 'compound': {
      const parts = metadata.compound_type?.members ?? []
      const members = parts.map(part => ({ name: part.name, offset: part.offset, type: inner(part) }))
      const type: Hdf5Type = { kind, bytes, members }
      // Those of one byte order are delivered little endian, mixtures as they are.
      return mixesByteOrders(parts) && !holdsPointers(type) ? opaque : type
    }
    case 'array': {
      const { array_type: element } = metadata
      return element ? { kind, bytes, shape: element.shape ?? [], element: inner(element) } : opaque
    }
    case 'reference':
      return { kind, bytes, isRegion: metadata.ref_type === 'region' }
    case 'rows':
      return metadata.vlen_type ? { kind, bytes, element: inner(metadata.vlen_type) } : opaque
    default:
      return { kind, bytes }
  }
}

function mixesByteOrders(members: readonly Metadata[]): boolean {
  const ordered = members.filter(({ type, size }) => size > 1 && (type === INTEGER || type === FLOAT))
  return new Set(ordered.map(({ littleEndian }) => littleEndian)).size > 1
}
