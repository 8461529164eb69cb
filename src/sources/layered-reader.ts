import { NotFoundError } from '../errors.js'
import { type Plane, type Rect, type SampleType, samplesIn } from '../plane.js'
import type { FrameReader } from './frame-source.js'
import { type ImageLayer, type LayerBlock, layerBlocks } from './layered-image.js'

/** Images of one size, `[image][row][column]`, of which rectangles can be read. */
export interface ImageStack {
  /**
   * @param image its number, or all of them, added up.
   * @param rect within the images.
   * @param into as many zeros as the rectangle has pixels; the samples are added to them, row by row.
   */
  read(image: number | 'sum', rect: Rect, into: Float64Array): Promise<void>
}

/** Plain data, for worker threads. */
export interface LayeredReaderData {
  readonly path: string
  readonly layers: readonly Pick<ImageLayer, 'stack' | 'images' | 'size' | 'place' | 'block'>[]
  readonly sampleType: SampleType
  readonly zPlanes: number
}

/** Reads the blocks of a file's layers, in whichever thread it was made. */
export class LayeredReader implements FrameReader {
  readonly #data: LayeredReaderData
  readonly #blocks: readonly LayerBlock[]
  readonly #open: (stack: number) => Promise<ImageStack>

  /** @param open gives a stack of the file; called for each block. */
  constructor(data: LayeredReaderData, open: (stack: number) => Promise<ImageStack>) {
    this.#data = data
    this.#blocks = layerBlocks(data.layers)
    this.#open = open
  }

  async readFrame(
    index: number,
    { signal, into }: { readonly signal?: AbortSignal; readonly into?: Uint8Array } = {},
  ): Promise<Plane> {
    signal?.throwIfAborted()
    const { path, layers, sampleType, zPlanes } = this.#data
    const place = this.#blocks[index % this.#blocks.length]
    if (!place || index < 0 || index >= zPlanes * this.#blocks.length)
      throw new NotFoundError(`${path} holds no frame ${index}.`, { url: path, frameIndex: index })
    const { block } = place
    const layer = layers[place.channel]!
    const image = layer.images === 'each' ? Math.floor(index / this.#blocks.length) : layer.images
    const columns = storedPlaces(block.x, block.width, layer.place.x1 - layer.place.x0, layer.size.width)
    const rows = storedPlaces(block.y, block.height, layer.place.y1 - layer.place.y0, layer.size.height)
    const rect = { x0: columns[0]!, y0: rows[0]!, x1: columns.at(-1)! + 1, y1: rows.at(-1)! + 1 }
    const stored = new Float64Array((rect.x1 - rect.x0) * (rect.y1 - rect.y0))
    await (await this.#open(layer.stack)).read(image, rect, stored)
    signal?.throwIfAborted()
    const { width, height } = block
    const samples = samplesIn(sampleType, width * height, into)
    for (let y = 0, at = 0; y < height; y++) {
      const row = (rows[y]! - rect.y0) * (rect.x1 - rect.x0) - rect.x0
      for (let x = 0; x < width; x++) samples[at++] = stored[row + columns[x]!]!
    }
    return { width, height, sampleType, samples }
  }
}

/** Which stored column (or row) each pixel of a block shows: the one that its centre lies in. */
function storedPlaces(start: number, count: number, shownEdge: number, storedEdge: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => Math.floor(((start + i + 0.5) * storedEdge) / shownEdge))
}
