import type { FeedProgress } from '../../pyramid/build-feed.js'
import { equalizationOf } from '../../pyramid/equalization.js'
import type { Histogram } from '../../pyramid/histogram.js'
import { automaticWindow, type ContrastWindow } from '../../pyramid/histogram.js'
import type { Pyramid } from '../../pyramid/pyramid.js'
import { isPlainRgb } from '../../render/channel-colours.js'
import type { TileChanges } from '../events/tile-changes.js'
import { SharedWork } from '../tiles/shared-work.js'
import { WorkBudget } from '../work-budget.js'

/** What a `v` in a URL is worth. */
export type Freshness =
  /** It names exactly what is served. */
  | 'exact'
  /** None was given. */
  | 'unversioned'
  /** Of a version that this server does not know, or of which there is more by now. */
  | 'other'
  /** Of a pyramid that was overwritten: its tiles no longer exist. */
  | 'gone'

/** Of all pyramids together, one channel is counted at a time: each may take a second or two. */
const counting = new WorkBudget(1, 1)

/** While a pyramid grows, a channel is counted again when it has so many times the samples. */
const GROWTH_OF_COUNT = 1.25

let pyramidsOpened = 0

/** One opened version of a pyramid, with what the server knows besides. Closed once it is retired and unused. */
export class ServedPyramid {
  /** Of all that were opened: names this one among pyramids and versions. */
  readonly number = ++pyramidsOpened
  /** Grows with every use of any pyramid. */
  lastUse = 0
  /** When its root file was last looked at, ms of `performance.now()`. */
  checkedAtMs = performance.now()
  /** Of a newer root file that could not be opened; tried again at every look, reported once. */
  failedStamp: string | undefined
  /** How far its build is, where that is known. */
  progress: FeedProgress | undefined
  /** Of a growing one. */
  changes: TileChanges | undefined
  readonly #windows = new Map<number, Promise<ContrastWindow>>()
  /** By channel, and how many samples the channel had then. */
  readonly #equalizations = new Map<number, { readonly histogram: Histogram; readonly of: number }>()
  readonly #counts = new SharedWork<Histogram>()
  #users = 0
  #retired = false

  /**
   * @param stamp of the root file, taken before the pyramid was opened.
   * @param overwritten versions of the same pyramid that are gone.
   * @param named whether the server was started with it; such a pyramid stays open.
   */
  constructor(
    readonly pyramid: Pyramid,
    public stamp: string,
    readonly overwritten: readonly string[],
    readonly named: boolean,
  ) {}

  get isInUse(): boolean {
    return this.#users > 0
  }

  /** The pyramid stays open while `work` runs, whatever happens to its place in the registry. */
  async use<T>(work: (served: ServedPyramid) => Promise<T>): Promise<T> {
    this.#users++
    try {
      return await work(this)
    } finally {
      this.#users--
      if (this.#retired && this.#users === 0) await this.pyramid.close()
    }
  }

  /** Nobody new gets it; close it when the last user is done. */
  async retire(): Promise<void> {
    this.#retired = true
    if (this.#users === 0) await this.pyramid.close()
  }

  /**
   * The automatic contrast of a channel, stored values; computed once, or anew each time while the pyramid grows. Red, green
   * and blue of one picture keep theirs.
   */
  window(channel: number): Promise<ContrastWindow> {
    const known = this.#windows.get(channel)
    if (known) return known
    const { pyramid } = this
    if (isPlainRgb(pyramid.channels, pyramid.sampleType)) return Promise.resolve({ black: 0, white: 255 })
    const window = pyramid.histogram(channel).then(histogram => automaticWindow(histogram, pyramid.sampleType))
    if (pyramid.growth) return window
    this.#windows.set(channel, window)
    window.catch(() => this.#windows.delete(channel))
    return window
  }

  /**
   * The histogram that a channel is equalized by; counted once, or now and then while the pyramid grows, for all who ask.
   *
   * @param signal this caller's; counting goes on while others wait.
   * @throws as `Pyramid.readTile`, or the signal's reason.
   */
  async equalization(channel: number, signal = new AbortController().signal): Promise<Histogram> {
    const known = this.#equalizations.get(channel)
    const { total } = await this.pyramid.histogram(channel)
    if (known && Math.max(total, known.of) <= GROWTH_OF_COUNT * Math.min(total, known.of)) return known.histogram
    const count = async (unwanted: AbortSignal): Promise<Histogram> => {
      const histogram = await equalizationOf(this.pyramid, channel, { signal: unwanted })
      this.#equalizations.set(channel, { histogram, of: total })
      return histogram
    }
    return this.#counts.share(String(channel), unwanted => counting.run(1, unwanted, () => count(unwanted)), signal)
  }

  /**
   * What a version in a URL is worth.
   *
   * @param current of what is served there: the pyramid's version, or the shard's while it grows.
   */
  freshness(version: string | undefined, current: string | undefined): Freshness {
    if (version === undefined) return 'unversioned'
    if (version === current) return 'exact'
    // The level count ends every version: with another one, z would mean another scale.
    if (version.split('.').at(-1) !== String(this.pyramid.geometry.levelCount)) return 'gone'
    // A shard's version begins with its pyramid's lineage.
    const [lineage, shard] = version.split('-')
    if (shard !== undefined && lineage !== this.pyramid.lineage) return 'gone'
    return this.overwritten.includes(version) ? 'gone' : 'other'
  }
}
