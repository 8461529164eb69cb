import { UnsupportedDataError } from '../../errors.js'
import { lengthUnitUm } from '../../length-unit.js'
import type { PlaneAxis, StagePosition } from '../frame-source.js'
import { type ArrayContent, joinAxes, type Layer } from './array-source.js'
import type { ArrayView, ViewDimension } from './array-view.js'
import { fitGrid, type Grid, tidy } from './coordinates.js'
import type { Hdf5File } from './hdf5-file.js'
import { expectReadableFilters } from './hdf5-filters.js'
import type { Hdf5Attribute, Hdf5Dataset } from './hdf5-messages.js'
import { decodeValues, nameType } from './hdf5-values.js'
import { type FoundDataset, plainAttributes, textOf, textsOf } from './object-tree.js'
import { fieldsOf, storedType } from './sample-field.js'

/** What stands along an axis of a dataset. */
export interface ArrayAxis {
  readonly name?: string
  readonly unit?: string
  /** One for each step; left out where nothing says. */
  readonly values?: readonly number[]
  /** Whether the values were float32. */
  readonly isSingle?: boolean
}

/** A dataset to be shown, and how it is called. */
export interface ArraySignal extends FoundDataset {
  readonly name: string
  readonly unit?: string
}

const MOST_AXES = 4
/** A dataset of fewer rows or columns is a table rather than an image. */
const LEAST_EDGE = 8
const MAX_AXIS = 2 ** 20
const COLOURS = [
  { name: 'R', color: 'ff0000' },
  { name: 'G', color: '00ff00' },
  { name: 'B', color: '0000ff' },
]

/** Whether a dataset looks like one that somebody would want to see. */
export function mayBeImage({ type, shape }: Hdf5Dataset): boolean {
  if (!shape || shape.length < 2 || shape.length > MOST_AXES || storedType({ type, offset: 0 }) === undefined)
    return false
  const [height, width] = isColour(type, shape) ? shape.slice(-3) : shape.slice(-2)
  return height! >= LEAST_EDGE && width! >= LEAST_EDGE && shape.every(length => length > 0)
}

/**
 * Datasets of one shape as layers.
 *
 * @param axes of the datasets. Those called x and y are columns and rows; else the last two are, before one of colours.
 * @param unitUm what their values are measured in, instead of what the file says.
 * @throws {UnsupportedDataError} no image, or elements that are no numbers.
 */
export function showArrays(
  url: string,
  format: string,
  signals: readonly ArraySignal[],
  axes: readonly ArrayAxis[],
  unitUm: number | undefined,
): ArrayContent {
  const [{ dataset, path }] = signals as [ArraySignal]
  const shape = expectImage(dataset, path, url)
  for (const signal of signals) expectReadableFilters(signal.dataset.filters, signal.path, url)
  const colourAxis = isColour(dataset.type, shape) ? shape.length - 1 : undefined
  const { x, y } = findImageAxes(axes, shape, colourAxis)
  const others = [...shape.keys()].filter(axis => ![x, y, colourAxis].includes(axis) && shape[axis]! > 1).reverse()
  const grids = { x: gridOf(axes[x]), y: gridOf(axes[y]) }
  const scale = findScale(dataset, { x: axes[x], y: axes[y] }, unitUm, grids)
  const along = (axis: number, isReversed = false): ViewDimension => ({
    ...{ axis, stride: 1, length: shape[axis]! },
    ...(isReversed ? { isReversed } : {}),
  })
  const viewOf = (signal: ArraySignal, start?: readonly number[]): ArrayView => ({
    dataset: signal.path,
    shape,
    chunks:
      signal.dataset.chunks ??
      shape.map((length, axis) => (axis === shape.length - 1 && axis !== x && axis !== y ? length : 1)),
    elementBytes: signal.dataset.type.bytes,
    x: along(x, grids.x?.isReversed),
    y: along(y, grids.y?.isReversed),
    planes: others.map(axis => along(axis)),
    ...(start ? { start } : {}),
  })
  const layers = signals.flatMap((signal): Layer[] => {
    const { type } = signal.dataset
    const place = { type, origin: scale.origin, timePoint: 0 }
    if (colourAxis !== undefined) {
      return COLOURS.map((colour, i) => {
        const start = shape.map((_, axis) => (axis === colourAxis ? i : 0))
        return {
          ...colour,
          isActive: true,
          images: [{ ...place, view: viewOf(signal, start), field: { type, offset: 0 } }],
        }
      })
    }
    return fieldsOf(type).map(({ name, unit = signal.unit, ...field }) => ({
      name: [signal.name, name].filter(Boolean).join(' '),
      ...(unit ? { unit } : {}),
      images: [{ ...place, view: viewOf(signal), field }],
    }))
  })
  const lengths = others.map(axis => shape[axis]!)
  const planeAxes = others.map((axis): PlaneAxis => {
    const { name = `axis ${axis}`, unit = '', values = [], isSingle = false } = axes[axis] ?? {}
    return { name, unit, values: values.map(value => tidy(value, isSingle)) }
  })
  return {
    ...{ format, layers, pixelSizeUm: scale.pixelSizeUm },
    zPlanes: lengths[0] ?? 1,
    timePoints: lengths.slice(1).reduce((product, length) => product * length, 1),
    axes: joinAxes(planeAxes, lengths),
    problems: findProblems(signals, { x: axes[x], y: axes[y] }, grids, scale.pixelSizeUm !== undefined),
    metadata: {
      datasets: signals.map(({ path, dataset }) => ({
        ...{ path, shape, sampleType: nameType(dataset.type) },
        attributes: plainAttributes(dataset.attributes),
      })),
    },
  }
}

/** What stands along the axes of a dataset, as its dimension scales and labels say. */
export async function readDimensionScales(file: Hdf5File, { dataset }: FoundDataset): Promise<ArrayAxis[]> {
  const { DIMENSION_LABELS, DIMENSION_LIST } = dataset.attributes
  const labels = textsOf(DIMENSION_LABELS)
  const lists = Array.isArray(DIMENSION_LIST?.value) ? DIMENSION_LIST.value : []
  const axes: ArrayAxis[] = []
  for (const [i, length] of (dataset.shape ?? []).entries()) {
    const [scale] = Array.isArray(lists[i]) ? lists[i] : []
    const name = labels[i] || undefined
    axes.push({ ...(typeof scale === 'string' ? await readAxis(file, scale, length) : {}), ...(name ? { name } : {}) })
  }
  return axes
}

/**
 * What stands along an axis, by the dataset of its coordinates.
 *
 * @param length of the axis. Coordinates may be one more: edges, between which the steps lie.
 * @returns nothing but a name where the dataset does not fit.
 */
export async function readAxis(file: Hdf5File, path: string, length: number): Promise<ArrayAxis> {
  const name = path.slice(path.lastIndexOf('/') + 1)
  const scale = await file.describe(path, 0)
  if (scale.kind !== 'dataset' || scale.shape?.length !== 1) return { name }
  const [count] = scale.shape as [number]
  const unit = textOf(scale.attributes.units)
  const axis = { name, ...(unit ? { unit } : {}) }
  if ((count !== length && count !== length + 1) || count > MAX_AXIS || !storedType({ type: scale.type, offset: 0 }))
    return axis
  const { type, bytes } = await file.read(path, { offset: [0], count: [count] })
  const values = (decodeValues(type, bytes, count) ?? []).map(Number)
  const isSingle = type.kind === 'float' && type.bytes === 4
  const centres = count === length ? values : values.slice(1).map((value, i) => (value + values[i]!) / 2)
  return { ...axis, values: centres, isSingle }
}

function expectImage({ type, shape }: Hdf5Dataset, path: string, url: string): readonly number[] {
  const isShown = fieldsOf(type).length > 0
  if (isShown && shape && shape.length >= 2 && shape.length <= MOST_AXES && shape.every(length => length > 0))
    return shape
  const found = isShown ? `${shape?.join(' × ') || 'a single'} ${nameType(type)}` : `of type ${nameType(type)}`
  throw new UnsupportedDataError(
    `${url} is no image: ${path} is ${found}; arrays of numbers with 2 to ${MOST_AXES} axes are read.`,
    { url },
  )
}

/** Red, green and blue, maybe with an alpha, side by side in each pixel. */
function isColour(type: Hdf5Dataset['type'], shape: readonly number[]): boolean {
  const isSmall = type.kind === 'integer' && !type.isSigned && type.bytes <= 2
  return isSmall && shape.length >= 3 && (shape.at(-1) === 3 || shape.at(-1) === 4)
}

function findImageAxes(
  axes: readonly ArrayAxis[],
  shape: readonly number[],
  colourAxis: number | undefined,
): { x: number; y: number } {
  const named = (letter: string): number => axes.findIndex(({ name }) => name?.toLowerCase().startsWith(letter))
  const [x, y] = [named('x'), named('y')]
  if (x >= 0 && y >= 0 && x !== colourAxis && y !== colourAxis) return { x, y }
  const last = colourAxis ?? shape.length
  return { x: last - 1, y: last - 2 }
}

function gridOf(axis: ArrayAxis | undefined): Grid | undefined {
  return axis?.values?.every(Number.isFinite) ? fitGrid(axis.values, axis.isSingle ?? false) : undefined
}

interface Scale {
  readonly pixelSizeUm: { readonly x: number; readonly y: number } | undefined
  readonly origin: StagePosition
}

/** Pixel size and place, by the axes' coordinates or by the edges of an element that ilastik and ImageJ note. */
function findScale(
  { attributes }: Hdf5Dataset,
  axes: { readonly x: ArrayAxis | undefined; readonly y: ArrayAxis | undefined },
  unitUm: number | undefined,
  grids: { readonly x: Grid | undefined; readonly y: Grid | undefined },
): Scale {
  const [x, y] = [axes.x, axes.y].map(axis => unitUm ?? lengthUnitUm(axis?.unit ?? ''))
  if (x !== undefined && y !== undefined && grids.x && grids.y) {
    return {
      pixelSizeUm: { x: scaled(grids.x.step, x), y: scaled(grids.y.step, y) },
      origin: { xUm: scaled(grids.x.origin, x), yUm: scaled(grids.y.origin, y) },
    }
  }
  const origin = { xUm: 0, yUm: 0 }
  const [elementY, elementX] = numbersOf(attributes.element_size_um).slice(-2)
  const isKnown = elementX !== undefined && elementY !== undefined && elementX > 0 && elementY > 0
  return { pixelSizeUm: isKnown ? { x: tidy(elementX, true), y: tidy(elementY, true) } : undefined, origin }
}

function findProblems(
  [{ path }]: readonly ArraySignal[],
  axes: { readonly x: ArrayAxis | undefined; readonly y: ArrayAxis | undefined },
  grids: { readonly x: Grid | undefined; readonly y: Grid | undefined },
  isCalibrated: boolean,
): string[] {
  const problems: string[] = []
  if (grids.x?.isUneven || grids.y?.isUneven)
    problems.push(`${path} has coordinates at uneven distances; its rows and columns are shown as if they were even.`)
  if (axes.x?.values?.some(isNoPlace) || axes.y?.values?.some(isNoPlace))
    problems.push(`${path} has coordinates that are no finite numbers, so that only pixels are known.`)
  if (!isCalibrated && grids.x && grids.y) {
    const units = [...new Set([axes.x, axes.y].map(axis => JSON.stringify(axis?.unit ?? '')))].join(' and ')
    problems.push(
      `${path} has coordinates in ${units}, which is no unit of length, so that only pixels are known; --unit says what it is.`,
    )
  }
  return problems
}

function isNoPlace(coordinate: number): boolean {
  return !Number.isFinite(coordinate)
}

function numbersOf(attribute: Hdf5Attribute | undefined): number[] {
  const { value } = attribute ?? {}
  return Array.isArray(value) && value.every(one => typeof one === 'number') ? value : []
}

/** Digits that a product has only because numbers are binary are left out. */
function scaled(value: number, factor: number): number {
  return Number((value * factor).toPrecision(12))
}
