import { decimal } from '../../decimal.js'
import { UnsupportedDataError } from '../../errors.js'
import { lengthUnitUm } from '../../length-unit.js'
import { COLOURS, expectAxes, LEAST_EDGE, sayWhatWasAssumed } from '../array-axes.js'
import type { PlaneAxis, StagePosition } from '../frame-source.js'
import type { SourceOptions } from '../source-options.js'
import { type ArrayContent, joinAxes, type Layer } from './array-source.js'
import type { ArrayView, ViewDimension } from './array-view.js'
import { findRoles, isSmallWhole } from './axis-roles.js'
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

/** As ilastik and others write: t, z, y, x and c. */
const MOST_AXES = 5
const MAX_AXIS = 2 ** 20

/** Whether a dataset looks like one that somebody would want to see. */
export function mayBeImage(dataset: Hdf5Dataset): boolean {
  const { type, shape, attributes } = dataset
  if (!shape || shape.length < 2 || shape.length > MOST_AXES || fieldsOf(type).length === 0) return false
  const { x, y } = findRoles(dataset, shape, namesOfAxes(attributes))
  return shape[x]! >= LEAST_EDGE && shape[y]! >= LEAST_EDGE && shape.every(length => length > 0)
}

/**
 * Datasets of one shape as layers.
 *
 * @param axes of the datasets, whose roles `findRoles` tells.
 * @param unitUm what their values are measured in, and `letters` what stands along them, instead of what the file says.
 * @throws {UnsupportedDataError} no image, elements that are no numbers, or letters that do not fit.
 */
export function showArrays(
  url: string,
  format: string,
  signals: readonly ArraySignal[],
  axes: readonly ArrayAxis[],
  { unitUm, axes: letters }: SourceOptions,
): ArrayContent {
  const [{ dataset, path }] = signals as [ArraySignal]
  const shape = expectImage(dataset, path, url)
  for (const signal of signals) expectReadableFilters(signal.dataset.filters, signal.path, url)
  if (letters !== undefined) expectAxes(letters, shape, `${url}: ${path}`, url)
  const roles = findRoles(dataset, shape, axes, letters)
  const { x, y, c } = roles
  const others = [...shape.keys()].filter(axis => ![x, y, c].includes(axis) && shape[axis]! > 1).reverse()
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
    const viewAt = (component: number): ArrayView =>
      viewOf(signal, c === undefined ? undefined : shape.map((_, axis) => (axis === c ? component : 0)))
    if (roles.areColours) {
      return COLOURS.map((colour, i) => ({
        ...colour,
        isActive: true,
        images: [{ ...place, view: viewAt(i), field: { type, offset: 0 } }],
      }))
    }
    const count = c === undefined ? 1 : shape[c]!
    return Array.from({ length: count }, (_, component) => component).flatMap(component =>
      fieldsOf(type).map(({ name, unit = signal.unit, ...field }) => ({
        name: [signal.name, name, count > 1 ? component : ''].filter(part => part !== '').join(' '),
        ...(unit ? { unit } : {}),
        images: [{ ...place, view: viewAt(component), field }],
      })),
    )
  })
  const lengths = others.map(axis => shape[axis]!)
  const planeAxes = others.map((axis): PlaneAxis => {
    const { name = letters?.[axis] ?? `axis ${axis}`, unit = '', values = [], isSingle = false } = axes[axis] ?? {}
    return { name, unit, values: values.map(value => tidy(value, isSingle)) }
  })
  return {
    ...{ format, layers, pixelSizeUm: scale.pixelSizeUm },
    zPlanes: lengths[0] ?? 1,
    timePoints: lengths.slice(1).reduce((product, length) => product * length, 1),
    axes: joinAxes(planeAxes, lengths),
    problems: [
      ...(roles.isGuess ? sayWhatWasAssumed(path, shape, isSmallWhole(dataset.type), 'tzyx'.slice(-shape.length)) : []),
      ...(roles.areColours && shape[c!] === 4 ? [`${path} has an alpha channel, which is not read.`] : []),
      ...findProblems(signals, { x: axes[x], y: axes[y] }, grids, scale.pixelSizeUm !== undefined),
    ],
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
  const { DIMENSION_LIST } = dataset.attributes
  const names = namesOfAxes(dataset.attributes)
  const lists = Array.isArray(DIMENSION_LIST?.value) ? DIMENSION_LIST.value : []
  const axes: ArrayAxis[] = []
  for (const [i, length] of (dataset.shape ?? []).entries()) {
    const [scale] = Array.isArray(lists[i]) ? lists[i] : []
    axes.push({ ...(typeof scale === 'string' ? await readAxis(file, scale, length) : {}), ...names[i] })
  }
  return axes
}

/** By their labels, or by the tags that ilastik leaves. */
function namesOfAxes({ DIMENSION_LABELS, axistags }: Hdf5Dataset['attributes']): { readonly name?: string }[] {
  const labels = textsOf(DIMENSION_LABELS)
  const tags = labels.some(Boolean) ? [] : (textOf(axistags) ?? '').matchAll(/"key"\s*:\s*"(\w*)"/g)
  const names = [...labels, ...[...tags].map(([, key]) => key)]
  return names.map(name => (name ? { name } : {}))
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
      pixelSizeUm: { x: decimal(grids.x.step * x), y: decimal(grids.y.step * y) },
      origin: { xUm: decimal(grids.x.origin * x), yUm: decimal(grids.y.origin * y) },
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
