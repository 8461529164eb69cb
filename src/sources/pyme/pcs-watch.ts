import { SourceUnavailableError, TilestageError } from '../../errors.js'
import type { FrameSource } from '../frame-source.js'
import type { FollowedSeries } from '../series-location.js'
import { findLastMove } from './events.js'
import { assembleSeries, type PcsDescription, readDescription } from './pcs-series.js'
import { DESCRIBING_FILES, EVENTS, FINAL_METADATA, type SeriesFiles } from './series-files.js'
import { COMPLETE_AFTER_MS, OLD_MS, PLACED_AFTER_MS, TRY_AGAIN_MS, WHOLE_AFTER_MS } from './settling.js'

interface KnownDescription extends PcsDescription {
  /** Stamps of the files that it was read from. */
  readonly stamps: string
  readonly lastMove: number
}

/**
 * Follows a PYME series that may still be written to, on disk or on the cluster.
 *
 * PYME writes `events.json` when an acquisition ends; other writers rewrite it as they go. So a series is complete when
 * `events.json` is there, and either `final_metadata.json` too or everything quiet. Until then a frame is listed once
 * its file is whole and its place known. All times are of a monotonic clock.
 */
export class PcsWatch implements FollowedSeries {
  source: FrameSource | undefined
  error: TilestageError | undefined
  readonly #files: SeriesFiles
  #description: KnownDescription | undefined
  /** False until the first look at a series that has been there for long: what it has is not being written just now. */
  #isFresh: boolean
  /** When the source is to be made again although no file changed. */
  #dueAt = Number.NEGATIVE_INFINITY

  /** @param isFresh as for `SeriesLocation.follow`. */
  constructor(files: SeriesFiles, isFresh: boolean) {
    this.#files = files
    this.#isFresh = isFresh
  }

  get url(): string {
    return this.#files.url
  }

  /** Whether all files that PYME ever writes are there. */
  get isEnded(): boolean {
    return this.#files.described.has(EVENTS) && this.#files.described.has(FINAL_METADATA)
  }

  async look(now: number, older: number): Promise<boolean> {
    const { source, error } = this
    try {
      const changed = await this.#files.look(now, older)
      if (changed || now >= this.#dueAt) await this.#update()
    } catch (failure) {
      if (!(failure instanceof TilestageError)) throw failure
      this.error = failure
      this.#dueBy(now + TRY_AGAIN_MS)
    }
    this.#isFresh = true
    return this.source !== source || this.error?.message !== error?.message
  }

  /** Nothing is held open between looks. */
  async close(): Promise<void> {}

  async #update(): Promise<void> {
    this.#dueAt = Number.POSITIVE_INFINITY
    const complete = this.#isComplete()
    const description = await this.#describe(complete)
    const numbers = complete ? this.#files.frameNumbers : this.#placeableFrames(description.lastMove)
    if (numbers.length === 0 && this.#files.frames.size > 0) throw this.#nothingYet()
    const source = await assembleSeries(this.#files, numbers, async () => description, complete)
    const known = this.source?.series
    if (known?.fingerprint !== source.series.fingerprint || known.complete !== complete) this.source = source
    this.error = undefined
  }

  #nothingYet(): SourceUnavailableError {
    return new SourceUnavailableError(`${this.url} has no frame yet that is whole and has a known place.`, {
      url: this.url,
    })
  }

  #isComplete(): boolean {
    const { described, frames, lookedAt, changedAt } = this.#files
    if (!described.has(EVENTS)) return false
    const quietMs = lookedAt - changedAt
    if (quietMs >= COMPLETE_AFTER_MS || this.#isOld) return true
    const allThere = this.isEnded && [...frames.values()].every(({ size }) => size !== 0)
    if (allThere && (!this.#isFresh || quietMs >= WHOLE_AFTER_MS)) return true
    this.#dueBy(changedAt + (allThere ? WHOLE_AFTER_MS : COMPLETE_AFTER_MS))
    return false
  }

  /** Whether it was written long before it was first looked at. A wrong clock makes it wait, or settle, too early. */
  get #isOld(): boolean {
    return !this.#isFresh && this.#files.newestMs < Date.now() - OLD_MS
  }

  #placeableFrames(lastMove: number): number[] {
    const { frameNumbers, frames, lookedAt } = this.#files
    const newest = frameNumbers.at(-1)
    return frameNumbers.filter(number => {
      const { size, seenAt } = frames.get(number)!
      if (size === 0) return false
      const waitMs = Math.max(number === newest ? WHOLE_AFTER_MS : 0, number > lastMove ? PLACED_AFTER_MS : 0)
      if (lookedAt - seenAt >= waitMs) return true
      this.#dueBy(seenAt + waitMs)
      return false
    })
  }

  #dueBy(time: number): void {
    this.#dueAt = Math.min(this.#dueAt, time)
  }

  /** @param anew read the files even if they seem to be the same: the last word must not miss a change. */
  async #describe(anew: boolean): Promise<KnownDescription> {
    const stamps = DESCRIBING_FILES.map(name => this.#files.described.get(name)?.stamp).join()
    if (!anew && this.#description?.stamps === stamps) return this.#description
    const description = await readDescription(this.#files)
    this.#description = { ...description, stamps, lastMove: findLastMove(description.moves) }
    return this.#description
  }
}
