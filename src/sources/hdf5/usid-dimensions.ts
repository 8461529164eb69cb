import { CorruptDataError, LimitExceededError } from '../../errors.js'
import type { Hdf5File } from './hdf5-file.js'
import type { FoundDataset } from './object-tree.js'
import { textsOf } from './object-tree.js'
import { storedType, takeSamples } from './sample-field.js'

const MAX_BYTES = 2 ** 28
const MAX_INDEX = 2 ** 24

/** What was varied from one position, or from one spectral point, to the next. */
export interface UsidDimension {
  readonly label: string
  readonly unit: string
  /** Of its column (positions) or row (spectra) in the tables. */
  readonly column: number
  /** The index at each of its steps. */
  readonly indices: readonly number[]
  /** The value at each of its steps, and whether these were float32. */
  readonly values: readonly number[]
  readonly isSingle: boolean
  /** Points from one step to the next, were all there and in order. */
  readonly stride: number
}

/** A table of indices and one of values. */
export interface UsidDimensions {
  /** Path of the indices. */
  readonly indices: string
  /** Positions, or spectral points. */
  readonly points: number
  /** The fastest first. */
  readonly dimensions: readonly UsidDimension[]
  /** Points of the full grid. */
  readonly gridPoints: number
  /** Whether all points are there and in the order of the grid. */
  readonly isRegular: boolean
}

/**
 * Read what was varied. Which dimension is the fastest is told by how often its indices change, as pyUSID does: the
 * order of columns is no more than a convention.
 *
 * @param isSpectral dimensions are rows, not columns, of the tables.
 * @throws {CorruptDataError} indices that count nothing. @throws {LimitExceededError} larger tables than are read.
 * @throws as `Hdf5File.read`.
 */
export async function readDimensions(
  file: Hdf5File,
  indices: FoundDataset,
  values: FoundDataset,
  isSpectral: boolean,
): Promise<UsidDimensions> {
  const [indexTable, valueTable] = [await readTable(file, indices), await readTable(file, values)]
  const [rows, columns] = indices.dataset.shape as [number, number]
  const [points, count] = isSpectral ? [columns, rows] : [rows, columns]
  const labels = textsOf(indices.dataset.attributes.labels)
  const units = textsOf(indices.dataset.attributes.units)
  const at = (point: number, column: number): number => (isSpectral ? column * points + point : point * count + column)
  const isSingle = values.dataset.type.bytes === 4
  const found = Array.from({ length: count }, (_, column) => {
    const firstPoints = new Map<number, number>()
    let changes = 0
    for (let point = 0, last = indexTable[at(points - 1, column)]!; point < points; point++) {
      const index = indexTable[at(point, column)]!
      if (index !== last) changes++
      last = index
      if (!firstPoints.has(index)) firstPoints.set(index, point)
    }
    const steps = [...firstPoints.keys()].sort((a, b) => a - b)
    if (!steps.every(index => Number.isInteger(index) && index >= 0 && index <= MAX_INDEX)) {
      throw new CorruptDataError(`${file.path}: ${indices.path} has indices that are no counts.`, { url: file.path })
    }
    return {
      label: labels[column] ?? `dimension ${column}`,
      unit: units[column] ?? '',
      ...{ column, changes, isSingle, indices: steps },
      values: steps.map(index => valueTable[at(firstPoints.get(index)!, column)]!),
    }
  })
  let stride = 1
  const dimensions = found
    .sort((a, b) => b.changes - a.changes)
    .map(({ changes, ...dimension }) => {
      const placed = { ...dimension, stride }
      stride *= dimension.indices.length
      return placed
    })
  const isInOrder = ({ column, indices, stride }: UsidDimension): boolean => {
    for (let point = 0; point < points; point++)
      if (indexTable[at(point, column)] !== indices[Math.floor(point / stride) % indices.length]) return false
    return true
  }
  const isRegular = stride === points && dimensions.every(isInOrder)
  return { indices: indices.path, points, dimensions, gridPoints: stride, isRegular }
}

async function readTable(file: Hdf5File, { path, dataset }: FoundDataset): Promise<Float64Array> {
  const [rows, columns] = dataset.shape as [number, number]
  const bytes = rows * columns * 8
  if (bytes > MAX_BYTES) {
    throw new LimitExceededError(
      `${file.path}: ${path} has ${rows} × ${columns} entries; tables of up to ${MAX_BYTES / 8} are read.`,
      { url: file.path },
    )
  }
  const slab = await file.read(path, { offset: [0, 0], count: [rows, columns] })
  const field = { type: slab.type, offset: 0 }
  if (storedType(field) === undefined) {
    throw new CorruptDataError(`${file.path}: ${path} holds no numbers.`, { url: file.path })
  }
  const walk = { first: 0, xStep: 1, yStep: columns }
  const size = { width: columns, height: rows }
  return takeSamples(slab.bytes, slab.type.bytes, field, walk, size, 'float64') as Float64Array
}
