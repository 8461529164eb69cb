import type { Plane } from '../plane.js'
import type { FrameReader, FrameReaderDescription, FrameSeries, FrameSource } from './frame-source.js'

/** Reads the frames of a series, here and in worker threads; frames that come later too. */
export interface SeriesReader {
  readonly reader: FrameReader
  readonly description: FrameReaderDescription
}

/** A series whose frames a reader gives, here and in worker threads. */
export class ReaderSource implements FrameSource {
  readonly reader: FrameReaderDescription
  readonly #frames: FrameReader
  readonly #frameNumbers: ReadonlySet<number>

  constructor(
    readonly url: string,
    readonly format: string,
    readonly series: FrameSeries,
    { reader, description }: SeriesReader,
  ) {
    this.reader = description
    this.#frames = reader
    this.#frameNumbers = new Set(series.frames.map(frame => frame.index))
  }

  async readFrame(index: number, options: { readonly signal?: AbortSignal } = {}): Promise<Plane> {
    if (!this.#frameNumbers.has(index)) throw new RangeError(`${this.url} has no frame ${index}`)
    return await this.#frames.readFrame(index, options)
  }

  /** Nothing is held open between frames; the threads that read HDF5 files are shared, and end when they have nothing to do. */
  async close(): Promise<void> {}
}
