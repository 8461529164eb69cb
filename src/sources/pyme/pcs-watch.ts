import { SourceUnavailableError, TilestageError } from '../../errors.js'
import type { FrameSource } from '../frame-source.js'
import { findLastMove } from './events.js'
import { PcsFolder } from './pcs-folder.js'
import { assembleSeries, type PcsDescription, readDescription } from './pcs-series.js'
import { DESCRIBING_FILES, EVENTS, FINAL_METADATA } from './series-files.js'

/** The newest frame is whole, and a series with all its files complete, when they have not changed for so long. */
const WHOLE_AFTER_MS = 100
/** A frame behind the last known move waits so long for one of its own; then it lies where the stage stood last. */
const PLACED_AFTER_MS = 500
/** Without `final_metadata.json` a series is complete when nothing in its folder has changed for so long. */
const COMPLETE_AFTER_MS = 5000
/** A series whose newest file is older than this when it is opened is not being written any more. */
const OLD_MS = 60_000
/** What failed is tried again so often even where nothing seems to change: coarse clocks hide quick changes. */
const TRY_AGAIN_MS = 1000

interface KnownDescription extends PcsDescription {
  /** Stamps of the files that it was read from. */
  readonly stamps: string
  readonly lastMove: number
}

/**
 * Follows a series folder that may still be written to.
 *
 * PYME writes `events.json` when an acquisition ends; other writers rewrite it as they go. So a series is complete when
 * `events.json` is there, and either `final_metadata.json` too or everything quiet. Until then a frame is listed once
 * its file is whole and its place known. All times are of a monotonic clock.
 */
export class PcsWatch {
  /** All frames that can be placed; another object when anything about them changed. Undefined before there are any. */
  source: FrameSource | undefined
  /** Why there is no source, or why it is not brought up to date. */
  error: TilestageError | undefined
  readonly #folder: PcsFolder
  #description: KnownDescription | undefined
  /** False until the first look at a folder that has been there for long: what it has is not being written just now. */
  #isFresh: boolean
  /** When the source is to be made again although nothing changed on disk. */
  #dueAt = Number.NEGATIVE_INFINITY

  /** @param isFresh whether the folder came only now: files that it has may still be written to. */
  constructor(path: string, isFresh: boolean) {
    this.#folder = new PcsFolder(path)
    this.#isFresh = isFresh
  }

  get path(): string {
    return this.#folder.path
  }

  /** Whether all files that PYME ever writes are there: what is wrong with them is not going to mend itself. */
  get isEnded(): boolean {
    return this.#folder.described.has(EVENTS) && this.#folder.described.has(FINAL_METADATA)
  }

  /**
   * Look what has come.
   *
   * @param now ms of a monotonic clock.
   * @param older how many of the frames that are not recent to look at for changes.
   * @returns whether `source` or `error` is another than before. What is wrong with the series does not throw.
   */
  async look(now: number, older: number): Promise<boolean> {
    const { source, error } = this
    try {
      const changed = await this.#folder.look(now, older)
      if (changed || now >= this.#dueAt) this.#update(now)
    } catch (failure) {
      if (!(failure instanceof TilestageError)) throw failure
      this.error = failure
      this.#dueBy(now + TRY_AGAIN_MS)
    }
    this.#isFresh = true
    return this.source !== source || this.error?.message !== error?.message
  }

  #update(now: number): void {
    this.#dueAt = Number.POSITIVE_INFINITY
    const complete = this.#isComplete(now)
    const description = this.#describe(complete)
    const numbers = complete ? this.#folder.frameNumbers : this.#placeableFrames(description.lastMove, now)
    if (numbers.length === 0 && this.#folder.frames.size > 0) throw this.#nothingYet()
    const source = assembleSeries(this.#folder, numbers, () => description, complete)
    const known = this.source?.series
    if (known?.fingerprint !== source.series.fingerprint || known.complete !== complete) this.source = source
    this.error = undefined
  }

  #nothingYet(): SourceUnavailableError {
    return new SourceUnavailableError(`${this.path} has no frame yet that is whole and has a known place.`, {
      url: this.path,
    })
  }

  #isComplete(now: number): boolean {
    const { described, frames, changedAt } = this.#folder
    if (!described.has(EVENTS)) return false
    const quietMs = now - changedAt
    if (quietMs >= COMPLETE_AFTER_MS || this.#isOld) return true
    const allThere = this.isEnded && [...frames.values()].every(({ size }) => size > 0)
    if (allThere && (!this.#isFresh || quietMs >= WHOLE_AFTER_MS)) return true
    this.#dueBy(changedAt + (allThere ? WHOLE_AFTER_MS : COMPLETE_AFTER_MS))
    return false
  }

  /** Whether it was written long before it was first looked at. A wrong clock makes it wait, or settle, too early. */
  get #isOld(): boolean {
    return !this.#isFresh && this.#folder.newestMs < Date.now() - OLD_MS
  }

  #placeableFrames(lastMove: number, now: number): number[] {
    const { frameNumbers, frames } = this.#folder
    const newest = frameNumbers.at(-1)
    return frameNumbers.filter(number => {
      const { size, seenAt } = frames.get(number)!
      if (size === 0) return false
      const waitMs = Math.max(number === newest ? WHOLE_AFTER_MS : 0, number > lastMove ? PLACED_AFTER_MS : 0)
      if (now - seenAt >= waitMs) return true
      this.#dueBy(seenAt + waitMs)
      return false
    })
  }

  #dueBy(time: number): void {
    this.#dueAt = Math.min(this.#dueAt, time)
  }

  /** @param anew read the files even if they seem to be the same: the last word must not miss a change. */
  #describe(anew: boolean): KnownDescription {
    const stamps = DESCRIBING_FILES.map(name => this.#folder.described.get(name)?.stamp).join()
    if (!anew && this.#description?.stamps === stamps) return this.#description
    const description = readDescription(this.#folder)
    this.#description = { ...description, stamps, lastMove: findLastMove(description.moves) }
    return this.#description
  }
}
