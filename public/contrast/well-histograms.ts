import {
  type HistogramReply,
  type PyramidInfo,
  readWellHistogram,
  type Well,
  type Window,
} from '../server/pyramid-api.js'
import { windowAround } from './contrast.js'
import { histogramOf, type SampleHistogram } from './sample-histogram.js'

/** What the samples of one channel of a well are like. */
interface WellSamples {
  readonly histogram: SampleHistogram
  /** Automatic black and white. */
  readonly window: Window
}

const READS_AT_ONCE = 3

/**
 * Histograms of single wells. They are of one plane, the middle one of the first time point, so that a well looks the
 * same on the way through z and time.
 */
export class WellHistograms {
  readonly #pyramid: () => PyramidInfo
  readonly #onRead: () => void
  #known = new Map<string, WellSamples>()
  /** What a growing pyramid has gone on from. */
  #stale = new Set<string>()
  #queue: (readonly [channel: number, well: Well])[] = []
  #reading = 0

  /** @param onRead there is a histogram more, or a newer one. */
  constructor(pyramid: () => PyramidInfo, onRead: () => void) {
    this.#pyramid = pyramid
    this.#onRead = onRead
  }

  /** Of one channel of a well, once it is known. */
  histogram(channel: number, well: Well): SampleHistogram | undefined {
    return this.#known.get(keyOf(channel, well))?.histogram
  }

  /** Automatic black and white for some channels of a well at once, as far as they are known. */
  window(channels: readonly number[], well: Well): Window | undefined {
    const known = channels.flatMap(channel => this.#known.get(keyOf(channel, well))?.window ?? [])
    return known.length > 0 ? windowAround(known) : undefined
  }

  /** Samples were added: what is known is read again when it is wanted next. */
  expire(): void {
    this.#stale = new Set(this.#known.keys())
  }

  /** Read what is not known yet, the first first; what was wanted before and is not under way is forgotten. */
  async want(channels: readonly number[], wells: readonly Well[]): Promise<void> {
    this.#queue = wells
      .flatMap(well => channels.map(channel => [channel, well] as const))
      .filter(([channel, well]) => !this.#known.has(keyOf(channel, well)) || this.#stale.has(keyOf(channel, well)))
    const free = READS_AT_ONCE - this.#reading
    await Promise.all(Array.from({ length: Math.max(0, free) }, () => this.#work()))
  }

  /** Nothing more is read. */
  close(): void {
    this.#queue = []
  }

  async #work(): Promise<void> {
    this.#reading++
    for (let next = this.#queue.shift(); next; next = this.#queue.shift()) await this.#read(...next)
    this.#reading--
  }

  async #read(channel: number, well: Well): Promise<void> {
    const { id, zPlanes } = this.#pyramid()
    const key = keyOf(channel, well)
    this.#stale.delete(key)
    let reply: HistogramReply
    try {
      reply = await readWellHistogram(id, { channel, zPlane: Math.floor(zPlanes / 2), timePoint: 0 }, well)
    } catch {
      // The well keeps the contrast of all; a lost server is reported by the event feed.
      return
    }
    const histogram = histogramOf(reply)
    if (!histogram) return
    this.#known.set(key, { histogram, window: reply.window })
    this.#onRead()
  }
}

function keyOf(channel: number, { name, x0, y0, x1, y1 }: Well): string {
  return [channel, x0, y0, x1, y1, name].join()
}
