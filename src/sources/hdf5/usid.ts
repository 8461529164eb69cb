import { decimal } from '../../decimal.js'
import { UnsupportedDataError } from '../../errors.js'
import { isPlausiblePixel, lengthUnitUm, PLAUSIBLE_PIXELS_UM } from '../../length-unit.js'
import type { PlaneAxis } from '../frame-source.js'
import { type ArrayContent, joinAxes, type Layer, type LayerImages } from './array-source.js'
import type { ArrayView, ViewDimension } from './array-view.js'
import { fitGrid, type Grid, tidy } from './coordinates.js'
import type { Hdf5File } from './hdf5-file.js'
import { findMissingFilter } from './hdf5-filters.js'
import type { Hdf5Object } from './hdf5-messages.js'
import { nameType } from './hdf5-values.js'
import { type FoundDataset, findDatasets, findGroups, plainAttributes, referenceOf, textOf } from './object-tree.js'
import { fieldsOf, type NamedField } from './sample-field.js'
import { readDimensions, type UsidDimension, type UsidDimensions } from './usid-dimensions.js'

const REFERENCES = ['Position_Indices', 'Position_Values', 'Spectroscopic_Indices', 'Spectroscopic_Values'] as const
const MEASUREMENT = /^\/(Measurement_\d+)(?=\/)/
/** A scan that was stopped, or lost some points; with fewer it is a sample of points here and there. */
const MOST_MISSING = 0.5
/** Pixel sizes that differ by more are not stitched. */
const SAME_PIXEL_SIZE = 1e-3

/** Axes of an image in the order in which they are named. */
const AXES = ['x', 'y'] as const

interface MainDataset extends FoundDataset {
  readonly quantity: string
  readonly units: string
  /** What the references lead to, in their order. */
  readonly tables: readonly FoundDataset[]
}

/** A Main dataset that is an image, or a stack of images. */
interface UsidImage {
  readonly main: MainDataset
  readonly view: ArrayView
  readonly dimensions: Readonly<Record<'x' | 'y', UsidDimension>>
  readonly grids: Readonly<Record<'x' | 'y', Grid>>
  /** Dimensions beside x and y, the fastest first. */
  readonly axes: readonly PlaneAxis[]
}

/** Whether a file looks like h5USID at its top: no look at what is in it. */
export async function mayBeUsid(file: Hdf5File): Promise<boolean> {
  try {
    const root = await file.describe('/', 1)
    return root.kind === 'group' && Object.keys(root.children ?? {}).some(name => MEASUREMENT.test(`/${name}/`))
  } catch {
    return false
  }
}

/**
 * Find the images in a USID file: Main datasets, whatever they are called, by what they refer to.
 *
 * @param at what of the file is meant, and `object` what it is.
 * @param unitUm what positions are measured in, instead of what the file says.
 * @returns undefined where there is nothing of USID.
 * @throws {UnsupportedDataError} no Main dataset is an image; says what each is. @throws as `Hdf5File.read`.
 */
export async function readUsid(
  file: Hdf5File,
  at: string,
  object: Hdf5Object,
  unitUm: number | undefined,
): Promise<ArrayContent | undefined> {
  const candidates = findDatasets(at, object).filter(({ dataset }) =>
    REFERENCES.some(name => referenceOf(dataset.attributes[name]) !== undefined),
  )
  if (candidates.length === 0) return undefined
  const problems: string[] = []
  const images: UsidImage[] = []
  const known = new Map<string, Promise<UsidDimensions>>()
  for (const candidate of candidates) {
    const main = await findTables(file, candidate)
    const found = typeof main === 'string' ? main : await findImage(file, main, known)
    if (typeof found === 'string') problems.push(`${candidate.path} is ${found}.`)
    else images.push(found)
  }
  if (images.length === 0) {
    const reasons = problems.map(problem => problem.replace(/\.$/, '')).join('; ')
    throw new UnsupportedDataError(`${file.path} is a USID file without an image: ${reasons}.`, { url: file.path })
  }
  const scale = findScale(images, unitUm, problems)
  const kept = images.filter(image => isOfScale(image, images[0]!, problems))
  const pixelSizeUm = scale && {
    x: decimal(images[0]!.grids.x.step * scale.x),
    y: decimal(images[0]!.grids.y.step * scale.y),
  }
  const layers = joinLayers(kept, scale, pixelSizeUm ?? { x: 1, y: 1 })
  const largest = kept.reduce((a, b) => (countSteps(b) > countSteps(a) ? b : a))
  const lengths = largest.view.planes.map(({ length }) => length)
  const timePoints = layers.flatMap(layer => layer.images.map(endOfTime))
  const axes = joinAxes(largest.axes, lengths)
  for (const { main, grids, view } of kept) {
    const missing = (view.scattered?.length ?? 0) - view.shape[0]!
    if (missing > 0) problems.push(`${main.path} lacks ${missing} points of its grid, which stay empty.`)
    if (grids.x.isUneven || grids.y.isUneven)
      problems.push(`${main.path} has positions at uneven distances; its points are placed by their indices.`)
  }
  return {
    format: 'h5USID',
    layers,
    pixelSizeUm,
    zPlanes: Math.max(...kept.map(({ view }) => view.planes[0]?.length ?? 1)),
    timePoints: Math.max(...timePoints),
    axes: { ...axes, ...timesOf(layers) },
    problems,
    metadata: {
      ...(object.kind === 'group' ? plainAttributes(object.attributes) : {}),
      layers: kept.map(describeImage),
      results: describeResults(at, object),
    },
  }
}

/** @returns what it is instead of a Main dataset, where it is none. */
async function findTables(file: Hdf5File, { path, dataset }: FoundDataset): Promise<MainDataset | string> {
  const quantity = textOf(dataset.attributes.quantity)
  const units = textOf(dataset.attributes.units)
  const missing = [
    ...(quantity === undefined ? ['quantity'] : []),
    ...(units === undefined ? ['units'] : []),
    ...REFERENCES.filter(name => referenceOf(dataset.attributes[name]) === undefined),
  ]
  if (quantity === undefined || units === undefined || missing.length > 0)
    return `not a Main dataset: it lacks ${listTexts(missing)}`
  if (dataset.shape?.length !== 2) return `not a Main dataset: it has ${dataset.shape?.length ?? 0} axes and not two`
  const tables: FoundDataset[] = []
  for (const name of REFERENCES) {
    const target = referenceOf(dataset.attributes[name])!
    const found = await file.describe(target, 0)
    if (found.kind !== 'dataset' || found.shape?.length !== 2)
      return `not a Main dataset: its ${name} is no table (${target})`
    tables.push({ path: target, dataset: found })
  }
  const [positions, values, spectra, spectralValues] = tables.map(table => table.dataset.shape!.join(' × '))
  const [rows, columns] = dataset.shape
  if (positions !== values || spectra !== spectralValues)
    return 'not a Main dataset: its tables of indices and of values have different sizes'
  if (tables[0]!.dataset.shape![0] !== rows || tables[2]!.dataset.shape![1] !== columns)
    return `not a Main dataset: it is ${rows} × ${columns}, and its tables are of ${positions} positions and ${spectra} spectral entries`
  return { path, dataset, quantity, units, tables }
}

/** @returns what it is instead of an image, where it is none. */
async function findImage(
  file: Hdf5File,
  main: MainDataset,
  known: Map<string, Promise<UsidDimensions>>,
): Promise<UsidImage | string> {
  const read = (first: number, isSpectral: boolean): Promise<UsidDimensions> => {
    const [indices, values] = main.tables.slice(first, first + 2)
    const key = `${indices!.path}\n${values!.path}`
    const dimensions = known.get(key) ?? readDimensions(file, indices!, values!, isSpectral)
    known.set(key, dimensions)
    return dimensions
  }
  const { path, dataset, tables } = main
  const [rows, columns] = dataset.shape as [number, number]
  if (fieldsOf(dataset.type).length === 0) return `of type ${nameType(dataset.type)}, and samples are numbers`
  const missing = findMissingFilter(dataset.filters)
  if (missing !== undefined) return `compressed by ${missing}, which cannot be read`
  if (rows === 0 || columns === 0) return 'empty'
  if (rows === 1) return `a ${rows} × ${columns} spectrum, not an image`
  const positions = await read(0, false)
  const axes = findImageAxes(positions.dimensions)
  if (positions.dimensions.filter(({ indices }) => indices.length === rows).length > 1)
    return `a sample of ${rows} scattered points, not a grid`
  if (!axes) return `a line of ${rows} points, not an image`
  if (rows < MOST_MISSING * positions.gridPoints || rows > positions.gridPoints) {
    const grid = positions.dimensions.map(({ indices }) => indices.length).join(' × ')
    return `not an image: it has ${rows} points where a grid of ${grid} has ${positions.gridPoints}`
  }
  if (![axes.x, axes.y].every(({ values }) => values.every(Number.isFinite)))
    return 'not an image: some of its positions are no finite numbers'
  const spectra = await read(2, true)
  const extra = positions.dimensions.filter(one => isVaried(one) && one !== axes.x && one !== axes.y)
  const spectral = spectra.isRegular ? spectra.dimensions.filter(isVaried) : []
  const grids = { x: fitGrid(axes.x.values, axes.x.isSingle), y: fitGrid(axes.y.values, axes.y.isSingle) }
  const along = (axis: number, { indices, stride }: UsidDimension, isReversed = false): ViewDimension => ({
    ...{ axis, stride, length: indices.length },
    ...(isReversed ? { isReversed } : {}),
  })
  const order = [...positions.dimensions].sort((a, b) => a.column - b.column)
  const view: ArrayView = {
    dataset: path,
    shape: [rows, columns],
    chunks: dataset.chunks ?? [1, columns],
    elementBytes: dataset.type.bytes,
    x: along(0, axes.x, grids.x.isReversed),
    y: along(0, axes.y, grids.y.isReversed),
    planes: [
      ...(spectra.isRegular ? spectral.map(one => along(1, one)) : [{ axis: 1, stride: 1, length: columns }]),
      ...extra.map(one => along(0, one)),
    ],
    ...(positions.isRegular
      ? {}
      : {
          scattered: {
            indices: tables[0]!.path,
            strides: order.map(({ stride }) => stride),
            steps: order.map(({ indices }) => indices),
            length: positions.gridPoints,
          },
        }),
  }
  const irregular = { name: spectra.dimensions.map(({ label }) => label).join(', '), unit: '', values: [] }
  return {
    ...{ main, view, dimensions: axes, grids },
    axes: [...(spectra.isRegular ? spectral.map(axisOf) : [irregular]), ...extra.map(axisOf)],
  }
}

function isVaried({ indices }: UsidDimension): boolean {
  return indices.length > 1
}

/** The measurements, where several are of one place. */
function timesOf(layers: readonly Layer[]): { timePoint?: PlaneAxis } {
  const images = layers.map(layer => layer.images).find(images => images.some(({ timePoint }) => timePoint > 0))
  if (!images) return {}
  const values: string[] = []
  for (const image of images) {
    const [name = ''] = MEASUREMENT.exec(image.view.dataset)?.slice(1) ?? []
    const steps = endOfTime(image) - image.timePoint
    for (let i = 0; i < steps; i++) values[image.timePoint + i] = steps > 1 ? `${name}, ${i}` : name
  }
  return { timePoint: { name: 'Measurement', unit: '', values } }
}

/** By their labels; else the two fastest, x before y. */
function findImageAxes(dimensions: readonly UsidDimension[]): Record<'x' | 'y', UsidDimension> | undefined {
  const varied = dimensions.filter(isVaried)
  const named = AXES.map(name => varied.find(({ label }) => label.toLowerCase().startsWith(name)))
  const [x, y] = named[0] && named[1] ? named : varied
  return x && y && { x, y }
}

function axisOf({ label, unit, values, isSingle }: UsidDimension): PlaneAxis {
  return { name: label, unit, values: values.map(value => tidy(value, isSingle)) }
}

/** How many µm the units of both axes are; undefined where they are no lengths. Says what is strange about it. */
function findScale(
  [{ main, dimensions, grids }]: readonly UsidImage[],
  unitUm: number | undefined,
  problems: string[],
): Record<'x' | 'y', number> | undefined {
  const scale = AXES.map(axis => unitUm ?? lengthUnitUm(dimensions[axis].unit))
  const [x, y] = scale
  if (x === undefined || y === undefined) {
    const units = [...new Set(AXES.map(axis => JSON.stringify(dimensions[axis].unit)))].join(' and ')
    problems.push(
      `${main.path} has positions in ${units}, which is no unit of length, so that only pixels are known; --unit says what it is.`,
    )
    return undefined
  }
  for (const axis of AXES) {
    const { unit, indices } = dimensions[axis]
    const { step } = grids[axis]
    const pixelUm = step * { x, y }[axis]
    if (isPlausiblePixel(pixelUm)) continue
    const extent = Number((step * (indices.length - 1)).toPrecision(3))
    const inMetres = pixelUm < PLAUSIBLE_PIXELS_UM[0] && step * 1e6 >= PLAUSIBLE_PIXELS_UM[0]
    const advice = inMetres ? 'if these are metres, give --unit m' : 'give --unit if that is another one'
    const said = unitUm === undefined ? `units ${unit}` : '--unit'
    problems.push(
      `${main.path}: ${said} but extent ${extent} along ${dimensions[axis].label}, which is implausible; ${advice}.`,
    )
    break
  }
  return { x, y }
}

function isOfScale({ main, grids, dimensions }: UsidImage, first: UsidImage, problems: string[]): boolean {
  const isSame = AXES.every(axis => {
    const expected = first.grids[axis].step
    const isUnit = dimensions[axis].unit === first.dimensions[axis].unit
    return isUnit && Math.abs(grids[axis].step - expected) <= SAME_PIXEL_SIZE * expected
  })
  if (!isSame) {
    problems.push(
      `${main.path} has pixels of another size than ${first.main.path} and is left out; ${'name it by #'}${main.path} to see it.`,
    )
  }
  return isSame
}

/** The images of a dataset of one name in all measurements are one layer. */
function joinLayers(
  images: readonly UsidImage[],
  scale: Record<'x' | 'y', number> | undefined,
  pixelSize: Record<'x' | 'y', number>,
): Layer[] {
  const layers = new Map<string, { name: string; unit: string; path: string; images: LayerImages[] }>()
  for (const { main, view, grids } of images) {
    const fields = fieldsOf(main.dataset.type)
    for (const field of fields) {
      const path = main.path.replace(MEASUREMENT, '')
      const key = `${path}\n${field.name}`
      const layer = layers.get(key) ?? { ...nameLayer(main, field), path, images: [] }
      layers.set(key, layer)
      const origin = scale
        ? { xUm: decimal(grids.x.origin * scale.x), yUm: decimal(grids.y.origin * scale.y) }
        : { xUm: grids.x.origin / grids.x.step, yUm: grids.y.origin / grids.y.step }
      const before = layer.images.filter(other => isSamePlace(other, { view, origin }, pixelSize))
      const timePoint = Math.max(0, ...before.map(endOfTime))
      const { name, unit, ...place } = field
      layer.images.push({ view, type: main.dataset.type, field: place, origin, timePoint })
    }
  }
  const all = [...layers.values()]
  return all.map(({ name, unit, path, images }) => {
    const twins = all.filter(other => other.name === name && other.unit === unit)
    const parts =
      twins.length > 1
        ? distinguish(
            path,
            twins.map(twin => twin.path),
          )
        : ''
    return { name: parts ? `${name} (${parts})` : name, ...(unit ? { unit } : {}), images }
  })
}

function nameLayer(
  { quantity, units, dataset }: MainDataset,
  { name, unit }: NamedField,
): { name: string; unit: string } {
  if (name === '') return { name: quantity, unit: units }
  const isComplex = fieldsOf(dataset.type)[0]?.imaginaryOffset !== undefined
  return isComplex ? { name: `${quantity} ${name}`, unit: units } : { name, unit: unit ?? '' }
}

/** The parts of a path in which it differs from others. */
function distinguish(path: string, others: readonly string[]): string {
  const all = others.map(other => other.split('/'))
  const parts = path.split('/')
  return parts.filter((part, i) => !all.every(other => other[i] === part)).join('/')
}

function isSamePlace(
  a: Pick<LayerImages, 'view' | 'origin'>,
  b: Pick<LayerImages, 'view' | 'origin'>,
  { x, y }: Record<'x' | 'y', number>,
): boolean {
  return (
    a.view.x.length === b.view.x.length &&
    a.view.y.length === b.view.y.length &&
    Math.abs(a.origin.xUm - b.origin.xUm) < x / 2 &&
    Math.abs(a.origin.yUm - b.origin.yUm) < y / 2
  )
}

function countSteps({ view }: UsidImage): number {
  return view.planes.reduce((product, { length }) => product * length, 1)
}

/** The time point after the last one of an image. */
function endOfTime({ view, timePoint }: LayerImages): number {
  return timePoint + view.planes.slice(1).reduce((product, { length }) => product * length, 1)
}

function describeImage({ main, view, axes, dimensions }: UsidImage): Record<string, unknown> {
  const { path, quantity, units, dataset } = main
  const positions = AXES.map(axis => `${dimensions[axis].label} [${dimensions[axis].unit}]`)
  return {
    ...{ path, quantity, units },
    shape: dataset.shape,
    sampleType: nameType(dataset.type),
    columns: view.x.length,
    rows: view.y.length,
    positions,
    axes: axes.map(({ name, unit, values }) => ({ name, unit, steps: values.length })),
  }
}

/** The groups of results, with the datasets that they were computed from. */
function describeResults(at: string, object: Hdf5Object): Record<string, unknown>[] {
  return findGroups(at, object).flatMap(({ path, group }) => {
    const sources = Object.entries(group.attributes).filter(([name]) => /^source_\d+$/.test(name))
    if (sources.length === 0) return []
    const texts = Object.fromEntries(sources.map(([name, attribute]) => [name, referenceOf(attribute)]))
    return [{ path, tool: textOf(group.attributes.tool), algorithm: textOf(group.attributes.algorithm), ...texts }]
  })
}

function listTexts(texts: readonly string[]): string {
  return texts.length < 2 ? texts.join('') : `${texts.slice(0, -1).join(', ')} and ${texts.at(-1)}`
}
