import { LRUCache } from 'lru-cache'
import { CorruptDataError } from '../../errors.js'
import { type Plane, SAMPLE_TYPES, samplesIn } from '../../plane.js'
import type { FileVersion } from '../file-version.js'
import { describeShape } from '../pyme/frame-shape.js'
import { arrangeSamples } from '../pyme/pzf.js'
import type { FrameKind } from '../pyme/series-files.js'
import type { Hdf5File } from './hdf5-file.js'
import { type SpoolFrames, STACK } from './spool-content.js'

/** Of decoded frames in a thread, whatever the number of series that it reads. */
const MAX_KEPT_BYTES = 16 * 2 ** 20

interface Slab {
  readonly bytes: Promise<Uint8Array>
  readonly size: number
}

/** By file, version and first frame. */
const slabs = new LRUCache<string, Slab>({ maxSize: MAX_KEPT_BYTES, sizeCalculation: ({ size }) => size })

/**
 * Reads frames that are stored as one array of shape [frame, x, y].
 *
 * Frames that share a chunk are decoded together and kept, for HDF5 keeps nothing from one read to the next; and since
 * frames are mostly read in order, the next ones are decoded while the caller works on these.
 */
export class SpoolStack {
  readonly #file: Hdf5File
  readonly #kind: FrameKind
  readonly #frameBytes: number
  /** The first frame of the slab that was asked for last. */
  #last = Number.NaN

  constructor(file: Hdf5File, kind: FrameKind) {
    this.#file = file
    this.#kind = kind
    const { frameSize, sampleType } = kind
    this.#frameBytes = frameSize.width * frameSize.height * SAMPLE_TYPES[sampleType].bytes
  }

  /**
   * One frame, turned into rows.
   *
   * @param frames what this version of the file has. @param row index of the frame, which is there.
   * @param into memory for the samples, as `FrameReader.readFrame`.
   */
  async readFrame(frames: SpoolFrames, row: number, version: FileVersion, into?: Uint8Array): Promise<Plane> {
    expectKind(this.#kind, frames, this.#file.path)
    const together = Math.max(1, Math.min(frames.chunkFrames, Math.floor(MAX_KEPT_BYTES / this.#frameBytes)))
    const first = row - (row % together)
    const count = frames.numbers.length
    const reading = this.#read(first, Math.min(together, count - first), version)
    const next = first + together
    const isKept = version.isSettled && 2 * together * this.#frameBytes <= MAX_KEPT_BYTES
    if (isKept && first === this.#last + together && next < count)
      this.#read(next, Math.min(together, count - next), version).catch(() => {
        // Whoever asks for it is told.
      })
    this.#last = first
    const start = (row - first) * this.#frameBytes
    return this.#turn((await reading).subarray(start, start + this.#frameBytes), into)
  }

  #read(first: number, count: number, { stamp, isSettled }: FileVersion): Promise<Uint8Array> {
    const key = `${this.#file.path}\n${stamp}\n${first}`
    const kept = slabs.get(key)
    if (kept) return kept.bytes
    const { width, height } = this.#kind.frameSize
    const slab = { offset: [first, 0, 0], count: [count, width, height] }
    const bytes = this.#file.read(`/${STACK}`, slab).then(read => read.bytes)
    if (!isSettled) return bytes
    slabs.set(key, { bytes, size: count * this.#frameBytes })
    bytes.catch(() => slabs.delete(key))
    return bytes
  }

  /** As the payload of a PZF frame in C order, x is the first axis. */
  #turn(bytes: Uint8Array, into: Uint8Array | undefined): Plane {
    const { frameSize, sampleType } = this.#kind
    const { width, height } = frameSize
    const samples = samplesIn(sampleType, width * height, into)
    const order = { order: 'C', depth: 1, compression: 'none', quantisation: undefined, dataOffset: 0 } as const
    arrangeSamples({ width, height, sampleType, ...order }, bytes, samples)
    return { width, height, sampleType, samples }
  }
}

/** @throws {CorruptDataError} another acquisition has taken the place of the one that was opened. */
function expectKind(kind: FrameKind, frames: SpoolFrames, url: string): void {
  const [expected, found] = [kind, frames.kind ?? kind].map(({ frameSize, sampleType }) =>
    describeShape({ ...frameSize, sampleType }),
  )
  if (found === expected) return
  throw new CorruptDataError(`${url} now has frames of ${found}, and was opened with frames of ${expected}.`, { url })
}
