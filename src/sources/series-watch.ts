import { TilestageError } from '../errors.js'
import { findSeries } from './find-series.js'
import type { FrameSource } from './frame-source.js'
import { mapConcurrently } from './map-concurrently.js'
import { CONCURRENT_SERIES } from './open-source.js'
import type { FollowedSeries, PlaceOfMore, SeriesLocation } from './series-location.js'
import type { SourceOptions } from './source-options.js'

/** Frames that are looked at in a poll although they have not changed for long; all get their turn. */
const OLDER_FRAMES_A_POLL = 100
/** Searches go on for so long after a change: coarse clocks of file systems give two changes one time. */
const SEARCH_AGAIN_MS = 1000
const LEAST_SEARCH_INTERVAL_MS = 500

interface WatchedSeries {
  readonly watch: FollowedSeries
  /** Which groups of patterns lead to it. */
  readonly groups: Set<number>
}

/** A pattern to which more series may come. */
interface OpenPattern {
  readonly text: string
  readonly group: number
  /** Where they may appear, and what it was like there before the last search. */
  more: PlaceOfMore
  stamp: string
  /** Why there are none so far. */
  missing: TilestageError | undefined
}

/** Series that may be growing, and those that appear later where a pattern leads to them. */
export class SeriesWatch {
  /** Those that can be placed now: known ones keep their place, new ones are appended. Unchanged ones stay the same object. */
  sources: readonly FrameSource[] = []
  /** Why something that was named is not placed, or not brought up to date; one sentence each. */
  waiting: readonly string[] = []
  /** What was left out when the watch was opened; one sentence each. */
  readonly warnings: string[] = []
  readonly #options: SourceOptions
  readonly #clock: () => number
  readonly #openPatterns: OpenPattern[] = []
  /** By identity, in the order in which they were found. */
  readonly #series = new Map<string, WatchedSeries>()
  /** In the order of `sources`. */
  readonly #placed: WatchedSeries[] = []
  #placesChangedAt: number
  #searchedAt: number
  #polling: Promise<boolean> | undefined

  private constructor(options: SourceOptions, clock: () => number) {
    this.#options = options
    this.#clock = clock
    this.#placesChangedAt = clock()
    this.#searchedAt = this.#placesChangedAt
  }

  /**
   * Open series as `openSources` does, but wait for what is still to come: for events, frames, and series that a glob
   * or a folder may yet lead to.
   *
   * @param groups patterns; a series is warned of when it is named twice within a group.
   * @param clock monotonic, ms.
   * @throws {NotFoundError | UnsupportedDataError} a path that is no glob does not exist, or is neither a series nor a
   *   folder for series. All errors of the readers pass where a series has ended.
   */
  static async open(
    groups: readonly (readonly string[])[],
    options: SourceOptions = {},
    clock = () => performance.now(),
  ): Promise<SeriesWatch> {
    const opened = new SeriesWatch(options, clock)
    for (const [group, patterns] of groups.entries()) {
      for (const text of patterns) await opened.#openPattern(text, group)
    }
    const watches = [...opened.#series.values()].map(({ watch }) => watch)
    await mapConcurrently(watches, CONCURRENT_SERIES, watch => watch.look(clock(), 0))
    const broken = watches.find(({ error, isEnded }) => error && isEnded)
    if (broken) throw broken.error
    opened.#collect()
    return opened
  }

  /** Whether series that are not there yet may be added. */
  get mayGetMore(): boolean {
    return this.#openPatterns.length > 0
  }

  /** Whether everything that was named is there and has ended. */
  get isComplete(): boolean {
    return this.sources.length > 0 && this.waiting.length === 0 && this.sources.every(({ series }) => series.complete)
  }

  /** The groups of patterns that lead to a source, ascending. */
  groupsOf(position: number): readonly number[] {
    return [...this.#placed[position].groups].sort((a, b) => a - b)
  }

  /**
   * Look what has come; meant to be called a few times a second.
   *
   * @returns whether `sources` or `waiting` changed.
   */
  poll(): Promise<boolean> {
    this.#polling ??= this.#look().finally(() => {
      this.#polling = undefined
    })
    return this.#polling
  }

  async close(): Promise<void> {
    await this.#polling
    await Promise.all([...this.#series.values()].map(({ watch }) => watch.close()))
  }

  async #look(): Promise<boolean> {
    let changed = await this.#search()
    const older = Math.ceil(OLDER_FRAMES_A_POLL / this.#series.size)
    const looks = await mapConcurrently([...this.#series.values()], CONCURRENT_SERIES, ({ watch }) =>
      watch.look(this.#clock(), older),
    )
    if (looks.includes(true)) changed = true
    if (changed) this.#collect()
    return changed
  }

  #collect(): void {
    for (const series of this.#series.values()) {
      if (series.watch.source && !this.#placed.includes(series)) this.#placed.push(series)
    }
    this.sources = this.#placed.flatMap(({ watch }) => watch.source ?? [])
    const errors = [
      ...this.#openPatterns.map(({ missing }) => missing),
      ...[...this.#series.values()].map(({ watch }) => watch.error),
    ]
    this.waiting = errors.flatMap(error => error?.message ?? [])
  }

  async #openPattern(text: string, group: number): Promise<void> {
    const { locations, warnings, missing, more } = await findSeries(text, this.#options)
    if (more) this.#openPatterns.push({ text, group, more, stamp: more.stamp(), missing })
    else if (missing) throw missing
    this.warnings.push(...warnings)
    for (const location of locations) {
      const known = this.#add(location, group, false)
      if (known) this.warnings.push(`${location.url} is the same series as ${known} and is taken once.`)
    }
  }

  /** @returns the name by which the group knows this series already. */
  #add(location: SeriesLocation, group: number, isFresh: boolean): string | undefined {
    const series = this.#series.get(location.identity)
    if (!series) {
      this.#series.set(location.identity, { watch: location.follow(isFresh), groups: new Set([group]) })
      return undefined
    }
    if (series.groups.has(group)) return series.watch.url
    series.groups.add(group)
    return undefined
  }

  /** Look for further series where something changed at a place in which they may appear. */
  async #search(): Promise<boolean> {
    const now = this.#clock()
    for (const pattern of this.#openPatterns) {
      const stamp = pattern.more.stamp()
      if (stamp !== pattern.stamp) this.#placesChangedAt = now
      pattern.stamp = stamp
    }
    if (this.#searchedAt >= this.#placesChangedAt + SEARCH_AGAIN_MS) return false
    if (now - this.#searchedAt < LEAST_SEARCH_INTERVAL_MS) return false
    this.#searchedAt = now
    let changed = false
    for (const pattern of this.#openPatterns) {
      const { missing } = pattern
      try {
        await this.#searchPattern(pattern, now)
      } catch (error) {
        if (!(error instanceof TilestageError)) throw error
        pattern.missing = error
      }
      if (pattern.missing?.message !== missing?.message) changed = true
    }
    return changed
  }

  async #searchPattern(pattern: OpenPattern, now: number): Promise<void> {
    const { locations, missing, more } = await findSeries(pattern.text, this.#options)
    pattern.missing = missing
    for (const location of locations) this.#add(location, pattern.group, true)
    if (!more) return
    pattern.more = more
    const stamp = more.stamp()
    // What came meanwhile, or into a new folder before it had a stamp, is found by the next search.
    if (stamp !== pattern.stamp) this.#placesChangedAt = now
    pattern.stamp = stamp
  }
}
