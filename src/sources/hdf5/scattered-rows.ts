import { CorruptDataError } from '../../errors.js'
import type { ScatteredRows } from './array-view.js'
import type { Hdf5File } from './hdf5-file.js'
import { decodeValues } from './hdf5-values.js'

/**
 * Which row of a dataset has which indices.
 *
 * @returns for each row that a full axis would have the one that is stored, or −1 where it is missing.
 * @throws {CorruptDataError} two rows have the same indices. @throws as `Hdf5File.read`.
 */
export async function rowsByIndex(
  file: Hdf5File,
  { indices, strides, steps, length }: ScatteredRows,
): Promise<Int32Array> {
  const description = await file.describe(indices, 0)
  const rowCount = (description.kind === 'dataset' && description.shape?.[0]) || 0
  const { type, bytes } = await file.read(indices, { offset: [0, 0], count: [rowCount, strides.length] })
  const values = decodeValues(type, bytes, rowCount * strides.length) as number[]
  const places = steps.map(column => new Map(column.map((index, step) => [index, step])))
  const rows = new Int32Array(length).fill(-1)
  for (let row = 0; row < rowCount; row++) {
    let place = 0
    for (let column = 0; column < strides.length; column++) {
      if (strides[column] === 0) continue
      place += strides[column]! * (places[column]!.get(values[row * strides.length + column]!) ?? Number.NaN)
    }
    if (rows[place] !== -1) {
      throw new CorruptDataError(
        `${file.path} is damaged: row ${row} of ${indices} has indices that another row has, or none that were there.`,
        { url: file.path },
      )
    }
    rows[place] = row
  }
  return rows
}
