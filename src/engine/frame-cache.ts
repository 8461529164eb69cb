import { TilestageError } from '../errors.js'
import type { Kernels } from '../kernels/kernels.js'
import { bytesOfSamples, type Plane, SAMPLE_TYPES, samplesFromBytes } from '../plane.js'
import type { PlacedPlane } from '../pyramid/blend.js'
import { orientPlane } from '../pyramid/orient-plane.js'
import type { FrameReader } from '../sources/frame-source.js'
import { arrangeSamples, type PzfPlan } from '../sources/pyme/pzf.js'
import type { BuildJob, TaskFrame } from './build-job.js'

/** Room for a decoded frame in the kernels' memory. */
interface Slot {
  readonly bytes: Uint8Array
  plane: Plane | undefined
  /** The call of `load` that needed it last. */
  usedBy: number
}

/** Decoded frames, kept while there is room: a frame that touches several shards is decoded once where they come together. */
export class FrameCache {
  readonly #job: BuildJob
  readonly #kernels: Kernels
  readonly #openReader: (series: number) => Promise<FrameReader>
  readonly #readers = new Map<number, Promise<FrameReader>>()
  readonly #free: Slot[] = []
  #made = 0
  /** By frame, the one that was not used for the longest time first. */
  readonly #kept = new Map<string, Slot>()
  readonly #files: Uint8Array[]
  readonly #dark: Float64Array | undefined
  readonly #gain: Float64Array | undefined
  #uses = 0

  /** @param openReader of a series, by its number in the job. */
  constructor(job: BuildJob, kernels: Kernels, openReader: (series: number) => Promise<FrameReader>) {
    this.#job = job
    this.#kernels = kernels
    this.#openReader = openReader
    this.#files = Array.from({ length: job.memory.files }, () => kernels.allocate(job.memory.fileBytes))
    this.#dark = job.dark && Float64Array.from(this.#correction(job.dark))
    this.#gain = this.#combineGain()
  }

  /** How many frames `load` can give at once. */
  get capacity(): number {
    return this.#job.memory.slots
  }

  /**
   * Frames, decoded and oriented. They stay as they are until the next call.
   *
   * @param frames at most `capacity`, each once.
   * @returns for each its samples, or the reason why it cannot be read.
   */
  async load(frames: readonly TaskFrame[]): Promise<(PlacedPlane | TilestageError)[]> {
    this.#uses++
    const wanted = frames.map(keyOf)
    const found = wanted.map(key => this.#use(key))
    const missing = [...frames.keys()].filter(i => found[i] === undefined)
    const failures = new Map<number, TilestageError>()
    // Several at a time: the kernel decodes two streams in about the time of one, as long as there are two.
    const { files } = this.#job.memory
    for (let i = 0; i < missing.length; i += files) {
      const batch = missing.slice(i, i + files)
      const slots = batch.map(() => this.#takeSlot())
      const results = await this.#read(
        batch.map(position => frames[position]),
        slots,
      )
      results.forEach((result, k) => {
        const position = batch[k]
        if (result instanceof TilestageError) {
          failures.set(position, result)
          this.#free.push(slots[k])
          return
        }
        slots[k].plane = result
        this.#kept.set(wanted[position], slots[k])
        found[position] = slots[k]
      })
    }
    return frames.map((frame, i) => failures.get(i) ?? this.#place(frame, found[i]?.plane))
  }

  #use(key: string): Slot | undefined {
    const slot = this.#kept.get(key)
    if (!slot) return undefined
    // A Map keeps the order of insertion: the slot becomes the youngest.
    this.#kept.delete(key)
    this.#kept.set(key, slot)
    slot.usedBy = this.#uses
    return slot
  }

  #place(frame: TaskFrame, plane: Plane | undefined): PlacedPlane {
    if (!plane) throw new RangeError('a frame was neither read nor refused')
    const dark = this.#dark ?? this.#job.series[frame.series].darkLevel
    return { plane, x: frame.x, y: frame.y, dark, gain: this.#gain }
  }

  /** A free slot, or the one that was not used for the longest time. */
  #takeSlot(): Slot {
    const free = this.#free.pop() ?? this.#newSlot()
    if (free) return Object.assign(free, { usedBy: this.#uses })
    const [oldest] = this.#kept
    if (!oldest || oldest[1].usedBy === this.#uses)
      throw new RangeError(`more than ${this.capacity} frames were asked for`)
    this.#kept.delete(oldest[0])
    return Object.assign(oldest[1], { usedBy: this.#uses })
  }

  /** Of small frames there is room for thousands, and most builds have fewer: a slot is made when it is needed. */
  #newSlot(): Slot | undefined {
    if (this.#made === this.capacity) return undefined
    this.#made++
    return { bytes: this.#kernels.allocate(this.#job.memory.slotBytes), plane: undefined, usedBy: 0 }
  }

  /** Read frames into slots, at most as many as there is room for files. */
  async #read(frames: readonly TaskFrame[], slots: readonly Slot[]): Promise<(Plane | TilestageError)[]> {
    const results = new Array<Plane | TilestageError>(frames.length)
    const plans = new Map<number, PzfPlan>()
    /** A frame that cannot be had is no reason to stop. */
    const attempt = async (i: number, work: () => Promise<void>): Promise<void> => {
      try {
        await work()
      } catch (error) {
        if (!(error instanceof TilestageError)) throw error
        results[i] = error
      }
    }
    const readWhole = async (i: number): Promise<void> => {
      const reader = await this.#reader(frames[i].series)
      results[i] = this.#put(await reader.readFrame(frames[i].index, { into: slots[i].bytes }), slots[i])
    }
    const read = async (i: number): Promise<void> => {
      const reader = await this.#reader(frames[i].series)
      const plan = await reader.readPzf?.(frames[i].index, this.#files[i])
      if (plan) plans.set(i, plan)
      else await readWhole(i)
    }
    // All of them come to rest before the files' room is used again.
    const outcomes = await Promise.allSettled(frames.map((_, i) => attempt(i, () => read(i))))
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
    const streams = [...plans].flatMap(([i, plan]) =>
      plan.streams.map(({ input, start, length }) => ({
        i,
        input,
        output: slots[i].bytes.subarray(start, start + length),
      })),
    )
    const decoded = this.#kernels.decodeHuffman(
      streams.map(({ input }) => input),
      streams.map(({ output }) => output),
    )
    const damaged = new Set(streams.filter((_, k) => !decoded[k]).map(({ i }) => i))
    for (const [i, plan] of plans) {
      // Read again by the slower way, which says what is wrong.
      if (damaged.has(i)) await attempt(i, () => readWhole(i))
      else results[i] = this.#put(this.#finishPzf(plan, slots[i]), slots[i])
    }
    return results
  }

  /** The samples of a decoded payload, in the slot that it was decoded into. */
  #finishPzf({ header, stored, decodedBytes, arranged }: PzfPlan, slot: Slot): Plane {
    const { width, height, sampleType } = header
    const samples = samplesFromBytes(sampleType, slot.bytes.subarray(0, frameBytes({ frameSize: header, sampleType })))
    if (stored && arranged) slot.bytes.set(stored)
    else if (!arranged) arrangeSamples(header, stored ?? slot.bytes.slice(0, decodedBytes), samples)
    return { width, height, sampleType, samples }
  }

  /** A decoded plane, turned, in a slot. */
  #put(plane: Plane, slot: Slot): Plane {
    const oriented = orientPlane(plane, this.#job.orientation)
    const bytes = bytesOfSamples(oriented.samples)
    // Decoded in place, and nothing turned.
    if (bytes.buffer === slot.bytes.buffer && bytes.byteOffset === slot.bytes.byteOffset) return oriented
    slot.bytes.set(bytes)
    const samples = samplesFromBytes(oriented.sampleType, slot.bytes.subarray(0, bytes.length))
    return { ...oriented, samples }
  }

  #reader(series: number): Promise<FrameReader> {
    const known = this.#readers.get(series) ?? this.#openReader(series)
    this.#readers.set(series, known)
    return known
  }

  #combineGain(): Float64Array | undefined {
    const { gain, illumination } = this.#job
    if (!gain && !illumination) return undefined
    const factors = gain && this.#correction(gain)
    const divisors = illumination && this.#correction(illumination)
    const length = (factors ?? divisors)?.length ?? 0
    return Float64Array.from({ length }, (_, i) => (factors ? factors[i] : 1) / (divisors ? divisors[i] : 1))
  }

  /** A correction image, turned as the frames are. */
  #correction(plane: Plane): Plane['samples'] {
    return orientPlane(plane, this.#job.orientation).samples
  }
}

/** Bytes of a decoded frame of a series. */
export function frameBytes({
  frameSize,
  sampleType,
}: Pick<BuildJob['series'][number], 'frameSize' | 'sampleType'>): number {
  return frameSize.width * frameSize.height * SAMPLE_TYPES[sampleType].bytes
}

function keyOf({ series, index, stamp }: TaskFrame): string {
  return `${series}/${index}/${stamp}`
}
