import { LRUCache } from 'lru-cache'
import { CorruptDataError, NotFoundError } from '../../errors.js'
import type { Plane, SampleType, Size } from '../../plane.js'
import { examineFile, type FileVersion } from '../file-version.js'
import type { FrameReader } from '../frame-source.js'
import { cutBlocks, type ImageBlock } from '../image-blocks.js'
import { type ArrayView, boxOf, imageSize, MAX_KEPT_BYTES, planeSteps, slabAround, walkThrough } from './array-view.js'
import { Hdf5File } from './hdf5-file.js'
import type { Hdf5Type } from './hdf5-messages.js'
import { nameType } from './hdf5-values.js'
import { type SampleField, takeSamples, takeScattered } from './sample-field.js'
import { rowsByIndex } from './scattered-rows.js'
import type { Slab } from './slab-pieces.js'
import { untilAborted } from './until-aborted.js'

/** Images of one field of a dataset, and which frames they are. */
export interface ArrayImages {
  readonly view: ArrayView
  /** Of the dataset. */
  readonly type: Hdf5Type
  readonly field: SampleField
  /** The largest. */
  readonly block: Size
  /** Number of the first block of the first plane; the other blocks of the plane follow, then the other planes. */
  readonly firstFrame: number
  readonly frames: number
  /** Whether every plane is the same one. */
  readonly isRepeated: boolean
}

/** What it takes to read the images of an HDF5 file. */
export interface ArrayReaderData {
  readonly path: string
  readonly sampleType: SampleType
  /** In order of their frames. */
  readonly images: readonly ArrayImages[]
}

interface KeptSlab {
  readonly bytes: Promise<Uint8Array>
  readonly size: number
}

/** By file, version, dataset and place. */
const slabs = new LRUCache<string, KeptSlab>({ maxSize: MAX_KEPT_BYTES, sizeCalculation: ({ size }) => size })
/** Where the rows of a scan are, by file, version and dataset. */
const scatteredRows = new LRUCache<string, Promise<Int32Array>>({ max: 2 })

/** What a file links to is read where it lies in the same folder: detectors write one file of links and many of data. */
export function openArrayFile(path: string): Hdf5File {
  return new Hdf5File(path)
}

/**
 * Reads blocks of the images in an HDF5 file, in whichever thread it was made.
 *
 * HDF5 keeps nothing from one read to the next: what shares chunks is decoded together, and the last slabs are kept.
 */
export class ArrayReader implements FrameReader {
  readonly #data: ArrayReaderData
  readonly #file: Hdf5File
  readonly #blocks = new Map<ArrayImages, readonly ImageBlock[]>()

  constructor(data: ArrayReaderData) {
    this.#data = data
    this.#file = openArrayFile(data.path)
  }

  async readFrame(
    index: number,
    { signal, into }: { readonly signal?: AbortSignal; readonly into?: Uint8Array } = {},
  ): Promise<Plane> {
    return await untilAborted(this.#read(index, into), signal)
  }

  async #read(index: number, into: Uint8Array | undefined): Promise<Plane> {
    const { images, block, plane } = this.#find(index)
    const { view, field } = images
    const { sampleType } = this.#data
    const version = examineFile(this.#file.path)
    const { width, height } = block
    if (view.scattered) {
      const elements = await this.#elementsOf(images, block, plane, version)
      const samples = takeScattered(elements.bytes, view.elementBytes, field, elements.places, sampleType, into)
      return { width, height, sampleType, samples }
    }
    const slab = slabAround(view, boxOf(view, block, plane))
    const bytes = await this.#decode(images, slab, version)
    const walk = walkThrough(view, block, plane, slab)
    return {
      ...{ width, height, sampleType },
      samples: takeSamples(bytes, view.elementBytes, field, walk, block, sampleType, into),
    }
  }

  #find(index: number): { images: ArrayImages; block: ImageBlock; plane: number } {
    const { path, images: all } = this.#data
    if (!Number.isInteger(index) || index < 0) throw new RangeError(`${path} has no frame ${index}`)
    const images = all.findLast(({ firstFrame }) => firstFrame <= index)
    if (!images || index >= images.firstFrame + images.frames)
      throw new NotFoundError(`${path} holds no frame ${index}.`, { url: path, frameIndex: index })
    const known = this.#blocks.get(images)
    const blocks = known ?? cutBlocks(imageSize(images.view), images.block)
    if (!known) this.#blocks.set(images, blocks)
    const place = index - images.firstFrame
    const plane = images.isRepeated ? 0 : Math.floor(place / blocks.length)
    return { images, block: blocks[place % blocks.length]!, plane }
  }

  /** Where the samples of a block are among the rows that hold them. */
  async #elementsOf(
    images: ArrayImages,
    block: ImageBlock,
    plane: number,
    version: FileVersion,
  ): Promise<{ bytes: Uint8Array; places: Int32Array }> {
    const { view } = images
    const rows = await this.#rowsOf(view, version)
    const steps = planeSteps(view, plane)
    const at = (axis: number): number =>
      view.planes.reduce((sum, one, i) => (one.axis === axis ? sum + steps[i]! * one.stride : sum), 0)
    const places = new Int32Array(block.width * block.height)
    let [first, last] = [Number.POSITIVE_INFINITY, -1]
    for (let y = 0, i = 0; y < block.height; y++) {
      for (let x = 0; x < block.width; x++, i++) {
        const row = rows[at(0) + stepTo(view.y, block.y + y) + stepTo(view.x, block.x + x)]!
        places[i] = row
        if (row < 0) continue
        first = Math.min(first, row)
        last = Math.max(last, row)
      }
    }
    if (last < 0) return { bytes: new Uint8Array(), places }
    const slab = slabAround(view, { from: [first, at(1)], to: [last + 1, at(1) + 1] })
    const bytes = await this.#decode(images, slab, version)
    const [start, column] = slab.offset as [number, number]
    for (const [i, row] of places.entries()) if (row >= 0) places[i] = (row - start) * slab.count[1]! + at(1) - column
    return { bytes, places }
  }

  #rowsOf({ scattered }: ArrayView, { stamp, isSettled }: FileVersion): Promise<Int32Array> {
    const key = `${this.#file.path}\n${stamp}\n${JSON.stringify(scattered)}`
    const known = scatteredRows.get(key)
    if (known) return known
    const rows = rowsByIndex(this.#file, scattered!)
    if (!isSettled) return rows
    scatteredRows.set(key, rows)
    rows.catch(() => scatteredRows.delete(key))
    return rows
  }

  async #decode({ view, type }: ArrayImages, slab: Slab, { stamp, isSettled }: FileVersion): Promise<Uint8Array> {
    const { path } = this.#file
    const key = [path, stamp, view.dataset, ...slab.offset, ...slab.count].join('\n')
    const kept = slabs.get(key)
    if (kept) return await kept.bytes
    const bytes = this.#file.read(view.dataset, slab).then(read => {
      if (JSON.stringify(read.type) === JSON.stringify(type)) return read.bytes
      throw new CorruptDataError(
        `${path}: ${view.dataset} now has elements of type ${nameType(read.type)}, and was opened with ${nameType(type)}.`,
        { url: path },
      )
    })
    if (isSettled) {
      slabs.set(key, { bytes, size: slab.count.reduce((product, edge) => product * edge, view.elementBytes) })
      bytes.catch(() => slabs.delete(key))
    }
    return await bytes
  }
}

/** For workers: `FrameSource.reader` names this module, and `data` is what it was given. */
export function openFrameReader(data: unknown): FrameReader {
  return new ArrayReader(data as ArrayReaderData)
}

function stepTo({ stride, length, isReversed }: ArrayView['x'], step: number): number {
  return (isReversed ? length - 1 - step : step) * stride
}
