import { writeZip, type ZipContent } from './write-zip.js'

/** A zarr array (v2), of which the sample at some place is `value(place)`. */
export interface ArrayContent {
  readonly name: string
  readonly shape: readonly number[]
  /** As numpy spells it; `<f4` where left out. */
  readonly dtype?: keyof typeof WRITERS
  readonly chunks?: readonly number[]
  readonly order?: 'C' | 'F'
  readonly value: (place: readonly number[]) => number
}

const WRITERS = {
  '<f4': [4, (bytes: Buffer, value: number, at: number) => bytes.writeFloatLE(value, at)],
  '>f4': [4, (bytes: Buffer, value: number, at: number) => bytes.writeFloatBE(value, at)],
  '<f8': [8, (bytes: Buffer, value: number, at: number) => bytes.writeDoubleLE(value, at)],
  '<i8': [8, (bytes: Buffer, value: number, at: number) => bytes.writeBigInt64LE(BigInt(value), at)],
  '<u2': [2, (bytes: Buffer, value: number, at: number) => bytes.writeUInt16LE(value, at)],
  '|i1': [1, (bytes: Buffer, value: number, at: number) => bytes.writeInt8(value, at)],
  '|u1': [1, (bytes: Buffer, value: number, at: number) => bytes.writeUInt8(value, at)],
  '|b1': [1, (bytes: Buffer, value: number, at: number) => bytes.writeUInt8(value, at)],
} as const

/** Every place of an array, the last axis fastest. */
function* placesOf(shape: readonly number[]): Generator<number[]> {
  const count = shape.reduce((all, edge) => all * edge, 1)
  for (let i = 0; i < count; i++) {
    let rest = i
    yield [...shape]
      .reverse()
      .map(edge => {
        const place = rest % edge
        rest = Math.floor(rest / edge)
        return place
      })
      .reverse()
  }
}

/** The entries of an array, its chunks not packed. */
export function arrayEntries(array: ArrayContent): ZipContent[] {
  const { name, shape, dtype = '<f4', chunks = shape, order = 'C', value } = array
  const metadata = { zarr_format: 2, shape, chunks, dtype, order, compressor: null, filters: null, fill_value: 0 }
  const grid = shape.map((edge, axis) => Math.ceil(edge / chunks[axis]))
  const [size, write] = WRITERS[dtype]
  const entries: ZipContent[] = [{ name: `${name}/.zarray`, bytes: Buffer.from(JSON.stringify(metadata)) }]
  for (const chunk of placesOf(grid)) {
    const bytes = Buffer.alloc(size * chunks.reduce((all, edge) => all * edge, 1))
    let at = 0
    for (const turned of placesOf(order === 'C' ? chunks : [...chunks].reverse())) {
      const inside = order === 'C' ? turned : turned.reverse()
      const place = inside.map((i, axis) => i + chunk[axis] * chunks[axis])
      if (place.every((i, axis) => i < shape[axis])) write(bytes, value(place), at)
      at += size
    }
    entries.push({ name: `${name}/${chunk.join('.')}`, bytes })
  }
  return entries
}

export const ROOT_ENTRY: ZipContent = { name: '.zgroup', bytes: Buffer.from('{"zarr_format": 2}') }

export function writeDatastack(path: string, arrays: readonly ArrayContent[]): string {
  return writeZip(path, [ROOT_ENTRY, ...arrays.flatMap(arrayEntries)])
}
