import { LimitExceededError, TilestageError, UnsupportedDataError } from '../../errors.js'
import { commonSampleType, type Rect, type SampleType, type Size } from '../../plane.js'
import { blockEdge, type ImageLayer, type LayeredImage, spectrumLayers } from '../layered-image.js'
import { elementSymbol } from './element-symbols.js'
import type { ZarrArray, ZarrArrays } from './zarr-array.js'
import type { StackAxes } from './zarr-stack.js'

/** An array that layers are read from; plain data. */
export interface ArrayStack {
  readonly array: string
  readonly axes: StackAxes
}

export interface DatastackContent extends Omit<LayeredImage, 'name' | 'stamp'> {
  readonly stacks: readonly ArrayStack[]
  /** Most that is unpacked of them at once. */
  readonly unpackedBytes: number
}

const MAPS = 'nmf_elementmaps'
const CUBE = 'maxrf_cube'
const ENERGIES = 'maxrf_energies'
/** Photos that were registered to the maps, the best first, and where each says what it covers. */
const PHOTOS = [
  ['imvis_reg_highres', 'imvis_extent'],
  ['imvis_reg', 'imvis_extent'],
  ['reg_im', 'reg_extent'],
] as const

const PLANES_FIRST: StackAxes = { image: 0, row: 1, column: 2 }
const PLANES_LAST: StackAxes = { image: 2, row: 0, column: 1 }
const ONE_PLANE: StackAxes = { image: undefined, row: 0, column: 1 }

const RED_GREEN_BLUE = [
  ['Red', 'ff0000'],
  ['Green', '00ff00'],
  ['Blue', '0000ff'],
] as const

const MAX_LAYERS = 256
/** Of the grid that maps and photo share, px. */
const MAX_GRID_EDGE = 2 ** 18
const MAX_LISTED = 100

/** Finds what in a file can be shown. */
class ContentFinder {
  readonly stacks: ArrayStack[] = []
  readonly problems: string[] = []
  readonly #arrays: ZarrArrays
  readonly #names: readonly string[]
  readonly #path: string
  readonly #sampleTypes: SampleType[] = []
  #unpackedBytes = 0

  constructor(arrays: ZarrArrays, names: readonly string[], path: string) {
    this.#arrays = arrays
    this.#path = path
    this.#names = names
  }

  /** The version of an array that was written last: each rewriting adds an underscore to the name. */
  latest(base: string): string | undefined {
    const versions = this.#names.filter(name => name.startsWith(base) && /^_*$/.test(name.slice(base.length)))
    return versions.sort((a, b) => b.length - a.length)[0]
  }

  /** The element maps and the photo, or the sum of the spectra where there are no maps. */
  async findUsual(): Promise<DatastackContent | undefined> {
    const mapsName = this.latest(MAPS)
    const cubeName = this.latest(CUBE)
    const maps = mapsName === undefined ? undefined : await this.#arrays.open(mapsName)
    if (maps && maps.shape.length === 3)
      return await this.#withPhoto(sizeOf(maps, PLANES_FIRST), grid => this.#maps(mapsName!, maps, grid))
    if (cubeName === undefined) {
      const photo = await this.#findPhoto()
      return (
        photo && this.#finish(await this.#photoLayers(photo.name, photo.array, wholeOf(photo.size), photo.size, ''))
      )
    }
    const cube = await this.#arrays.open(cubeName)
    return cube.shape.length === 3 ? await this.#spectra(cubeName, cube) : undefined
  }

  /** What is in an array that the user has named; undefined where that is no image. */
  async findNamed(name: string): Promise<DatastackContent | undefined> {
    const array = await this.#arrays.open(name)
    const { shape } = array
    if (shape.length === 2 && array.sampleType) {
      const size = sizeOf(array, ONE_PLANE)
      const stack = await this.#addStack(name, array, ONE_PLANE)
      return this.#finish([
        { name, stack, images: 0, size, place: wholeOf(size), block: this.#blockOf(array, ONE_PLANE) },
      ])
    }
    if (shape.length !== 3 || !array.sampleType) return undefined
    const energies = await this.#energies(shape[2]!)
    if (/^maxrf_cube_*$/.test(name) || energies) return await this.#spectra(name, array)
    if (shape[2] === 3) {
      const size = sizeOf(array, PLANES_LAST)
      return this.#finish(await this.#photoLayers(name, array, wholeOf(size), size, ''))
    }
    const size = sizeOf(array, PLANES_FIRST)
    return this.#finish(await this.#maps(name, array, size))
  }

  async #spectra(name: string, array: ZarrArray): Promise<DatastackContent> {
    const size = sizeOf(array, PLANES_LAST)
    const channels = array.shape[2]!
    const { layers, sampleType, zPlanes, zAxis, problems } = spectrumLayers({
      ...{
        stack: await this.#addStack(name, array, PLANES_LAST),
        size,
        channels,
        sampleType: this.#typeOf(name, array),
      },
      ...{ place: wholeOf(size), block: this.#blockOf(array, PLANES_LAST) },
      energiesKeV: await this.#energies(channels),
    })
    this.problems.push(...problems)
    return { ...(await this.#finish(layers)), sampleType, zPlanes, ...(zAxis && { zAxis }) }
  }

  /** Energy of each channel, where it is known of that many. */
  async #energies(channels: number): Promise<number[] | undefined> {
    const name = this.latest(ENERGIES)
    if (name === undefined) return undefined
    const array = await this.#arrays.open(name)
    if (array.shape.length !== 1 || array.shape[0] !== channels) return undefined
    const values = await array.readValues()
    return values.every((value): value is number => Number.isFinite(value)) ? values : undefined
  }

  async #withPhoto(size: Size, makeLayers: (grid: Size) => Promise<ImageLayer[]>): Promise<DatastackContent> {
    const photo = await this.#findPhoto()
    const extent = photo && (await this.#placePhoto(photo.extentName, size))
    const pixel = {
      width: photo && extent ? Math.min(1, (extent.x1 - extent.x0) / photo.size.width) : 1,
      height: photo && extent ? Math.min(1, (extent.y1 - extent.y0) / photo.size.height) : 1,
    }
    const grid = { width: Math.round(size.width / pixel.width), height: Math.round(size.height / pixel.height) }
    const place = extent && {
      x0: Math.round(extent.x0 / pixel.width),
      y0: Math.round(extent.y0 / pixel.height),
      x1: Math.round(extent.x1 / pixel.width),
      y1: Math.round(extent.y1 / pixel.height),
    }
    if (!photo || !place) return this.#finish(await makeLayers(size))
    const edges = [grid.width, grid.height, ...Object.values(place).map(Math.abs)]
    if (Math.max(...edges) > MAX_GRID_EDGE) {
      const finest = Math.max(...edges)
      this.problems.push(
        `The photo ${photo.name} is left out: its pixels and those of the maps would meet on a grid of ${finest} px an edge; up to ${MAX_GRID_EDGE} are shown.`,
      )
      return this.#finish(await makeLayers(size))
    }
    const layers = await makeLayers(grid)
    return this.#finish([...layers, ...(await this.#photoLayers(photo.name, photo.array, place, photo.size, 'Photo '))])
  }

  /** @param grid px that they are shown on. */
  async #maps(name: string, array: ZarrArray, grid: Size): Promise<ImageLayer[]> {
    const count = array.shape[0]!
    if (count > MAX_LAYERS)
      throw new LimitExceededError(`${this.#path}#${name} has ${count} images; up to ${MAX_LAYERS} are shown.`, {
        url: this.#path,
      })
    const names = await this.#mapNames(name, count)
    const stack = await this.#addStack(name, array, PLANES_FIRST)
    const size = sizeOf(array, PLANES_FIRST)
    const block = this.#blockOf(array, PLANES_FIRST, grid)
    return names.map((name, images) => ({
      ...{ name, active: images === 0, stack, images, size, block },
      place: wholeOf(grid),
    }))
  }

  /** Elements, by name or by number, as many as there are maps; otherwise the maps are numbered. */
  async #mapNames(name: string, count: number): Promise<string[]> {
    const numbered = (word: string): string[] => Array.from({ length: count }, (_, i) => `${word} ${i + 1}`)
    if (/^nmf_peakmaps_*$/.test(name)) return [...numbered('Peak').slice(0, -1), 'Continuum']
    if (!/^nmf_elementmaps_*$/.test(name)) return numbered(name)
    const found: string[] = []
    for (const base of ['nmf_elements', 'nmf_atomnums']) {
      const latest = this.latest(base)
      if (latest === undefined) continue
      const values = await (await this.#arrays.open(latest)).readValues()
      if (values.length === count) {
        return values.map(value => (typeof value === 'number' ? elementSymbol(value) : value))
      }
      found.push(`${latest} has ${values.length}`)
    }
    const why = found.length > 0 ? found.join(', ') : 'there is neither nmf_elements nor nmf_atomnums'
    this.problems.push(`The ${count} maps in ${name} are numbered, as nothing names that many elements: ${why}.`)
    return numbered('Map')
  }

  async #findPhoto(): Promise<{ name: string; array: ZarrArray; size: Size; extentName: string } | undefined> {
    for (const [base, extentName] of PHOTOS) {
      const name = this.latest(base)
      if (name === undefined) continue
      const array = await this.#arrays.open(name)
      const { shape } = array
      if (shape.length === 3 && shape[2]! >= 3 && array.sampleType)
        return { name, array, size: sizeOf(array, PLANES_LAST), extentName }
      this.problems.push(`The photo ${name} is left out: ${describe(array)} is no picture in red, green and blue.`)
    }
    return undefined
  }

  /** What a photo covers, in pixels of the maps: stored as left, right, bottom, top. All of them where it does not say. */
  async #placePhoto(extentName: string, maps: Size): Promise<Rect> {
    const name = this.latest(extentName)
    const values = name === undefined ? [] : await (await this.#arrays.open(name)).readValues()
    const [x0, x1, y1, y0] = values.map(Number) as [number, number, number, number]
    if (values.length === 4 && [x0, x1, y0, y1].every(Number.isFinite) && x1 > x0 && y1 > y0) return { x0, y0, x1, y1 }
    const found = name === undefined ? `there is no ${extentName}` : `${name} is [${values.slice(0, 8).join(', ')}]`
    this.problems.push(
      `The photo is laid over all of the maps, since ${found}, which says nothing of left, right, bottom and top.`,
    )
    return wholeOf(maps)
  }

  /** @param prefix of the names of the layers. */
  async #photoLayers(name: string, array: ZarrArray, place: Rect, size: Size, prefix: string): Promise<ImageLayer[]> {
    const stack = await this.#addStack(name, array, PLANES_LAST)
    const shown = { width: place.x1 - place.x0, height: place.y1 - place.y0 }
    const block = this.#blockOf(array, PLANES_LAST, shown)
    return RED_GREEN_BLUE.map(([colour, color], images) => ({
      ...{ name: `${prefix}${colour}`, color, active: prefix === '' },
      ...{ stack, images, size, place, block },
    }))
  }

  async #addStack(name: string, array: ZarrArray, axes: StackAxes): Promise<number> {
    this.#sampleTypes.push(this.#typeOf(name, array))
    this.#unpackedBytes = Math.max(this.#unpackedBytes, await array.unpackedBytes())
    return this.stacks.push({ array: name, axes }) - 1
  }

  #typeOf(name: string, array: ZarrArray): SampleType {
    const type = array.sampleType
    if (!type) {
      const message = `${this.#path}#${name} holds ${array.dataType}; integers and floats of 32 and 64 bits are shown.`
      throw new UnsupportedDataError(message, { url: this.#path })
    }
    if (/^u?int64$/.test(array.dataType)) {
      const problem = `The array ${name} holds ${array.dataType}, shown as float64: numbers above 2⁵³ are rounded.`
      if (!this.problems.includes(problem)) this.problems.push(problem)
    }
    return type
  }

  /** @param shown size of the images on the grid, where they have another there. */
  #blockOf(array: ZarrArray, { row, column }: StackAxes, shown?: Size): Size {
    const edge = (axis: number, shownEdge = array.shape[axis]!): number =>
      blockEdge(Math.max(1, Math.round((array.chunkShape[axis]! * shownEdge) / array.shape[axis]!)))
    return { width: edge(column, shown?.width), height: edge(row, shown?.height) }
  }

  async #finish(layers: readonly ImageLayer[]): Promise<DatastackContent> {
    const arrays: Record<string, string> = {}
    for (const name of this.#names.slice(0, MAX_LISTED)) {
      arrays[name] = await this.#arrays.open(name).then(describe, error => {
        if (error instanceof TilestageError) return 'cannot be read'
        throw error
      })
    }
    return {
      ...{ layers, stacks: this.stacks, unpackedBytes: this.#unpackedBytes, problems: this.problems, zPlanes: 1 },
      sampleType: commonSampleType(this.#sampleTypes),
      metadata: { arrays },
    }
  }
}

/**
 * Find what in a file can be shown.
 *
 * @param inside name of the array that is meant; undefined for what is usually looked at: the maps of the elements and
 *   the photo, or where there are no maps, the sum of the spectra.
 * @throws {UnsupportedDataError} there is nothing to be shown. @throws as `ZarrArrays.open`.
 */
export async function findContent(
  arrays: ZarrArrays,
  inside: string | undefined,
  path: string,
): Promise<DatastackContent> {
  const names = await arrays.names()
  const finder = new ContentFinder(arrays, names, path)
  if (inside !== undefined) {
    const content = await finder.findNamed(inside.replace(/^\//, ''))
    if (content) return content
    const found = describe(await arrays.open(inside.replace(/^\//, '')))
    const url = `${path}#${inside}`
    throw new UnsupportedDataError(`${url} is no image but ${found}; images have two or three axes of numbers.`, {
      url,
    })
  }
  const content = await finder.findUsual()
  if (content) return content
  const listed =
    names.length === 0 ? 'no zarr arrays' : `no ${MAPS}, ${CUBE} or photo, but ${names.slice(0, 10).join(', ')}`
  const advice = names.length === 0 ? '' : `; one of them is shown as ${path}#${names[0]}`
  throw new UnsupportedDataError(`${path} holds ${listed}${advice}.`, { url: path })
}

function describe({ shape, dataType }: ZarrArray): string {
  return `${shape.join(' × ')} ${dataType.startsWith('v2:') ? 'texts' : dataType}`
}

function sizeOf({ shape }: ZarrArray, { row, column }: StackAxes): Size {
  return { width: shape[column]!, height: shape[row]! }
}

function wholeOf({ width, height }: Size): Rect {
  return { x0: 0, y0: 0, x1: width, y1: height }
}
