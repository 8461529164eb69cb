import { SourceUnavailableError, TilestageError } from '../../errors.js'
import type { FrameSource } from '../frame-source.js'
import type { FollowedSeries } from '../series-location.js'

/** The newest frame is whole, and a series with all its files complete, when they have not changed for so long. */
const WHOLE_AFTER_MS = 100
/** A frame behind the last known move waits so long for one of its own; then it lies where the stage stood last. */
const PLACED_AFTER_MS = 500
/** A series whose writer does not say that it ended is complete when nothing of it has changed for so long. */
const COMPLETE_AFTER_MS = 5000
/** A series that was last written to longer ago than this when it is opened is not being written any more. */
const OLD_MS = 60_000
/** What failed is tried again so often even where nothing seems to change: coarse clocks hide quick changes. */
const TRY_AGAIN_MS = 1000

/** A frame as it was seen last. */
interface SeenFrame {
  readonly number: number
  /** When this version of it was first seen. */
  readonly seenAt: number
}

/**
 * A PYME series that may still be written to: when what is there is looked at again, when a frame of it counts as whole
 * and placed, and when all of it as complete. All times are ms of a monotonic clock, if nothing else is said.
 */
export abstract class SettlingSeries implements FollowedSeries {
  source: FrameSource | undefined
  error: TilestageError | undefined
  abstract readonly url: string
  abstract readonly isEnded: boolean
  /** False until the first look at a series that has been there for long: what it has is not being written just now. */
  #isFresh: boolean
  /** When the source is to be made again although nothing changed. */
  #dueAt = Number.NEGATIVE_INFINITY

  /** @param isFresh as for `SeriesLocation.follow`. */
  constructor(isFresh: boolean) {
    this.#isFresh = isFresh
  }

  /** Look for changes, as `look`. @returns whether there are any. */
  protected abstract lookForChanges(now: number, older: number): Promise<boolean>

  /**
   * Make a source of what the last look has found.
   *
   * @throws {TilestageError} what is wrong with the series, or with `nothingYet` that no frame can be listed.
   */
  protected abstract makeSource(now: number): Promise<FrameSource>

  async look(now: number, older: number): Promise<boolean> {
    const { source, error } = this
    try {
      const changed = await this.lookForChanges(now, older)
      if (changed || now >= this.#dueAt) await this.#update(now)
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

  async #update(now: number): Promise<void> {
    this.#dueAt = Number.POSITIVE_INFINITY
    const source = await this.makeSource(now)
    const known = this.source?.series
    if (known?.fingerprint !== source.series.fingerprint || known.complete !== source.series.complete)
      this.source = source
    this.error = undefined
  }

  /**
   * Whether nothing more is to be expected.
   *
   * @param changedAt when anything of it was last seen to change. @param modifiedMs time of its last change, Unix ms.
   * @param hasAll whether all that is ever written seems to be there.
   */
  protected isSettled(now: number, changedAt: number, modifiedMs: number, hasAll: boolean): boolean {
    const quietMs = now - changedAt
    if (quietMs >= COMPLETE_AFTER_MS || (!this.#isFresh && isOld(modifiedMs))) return true
    if (hasAll && (!this.#isFresh || quietMs >= WHOLE_AFTER_MS)) return true
    this.#dueBy(changedAt + (hasAll ? WHOLE_AFTER_MS : COMPLETE_AFTER_MS))
    return false
  }

  /** Whether a frame is whole and its place known. @param newest number of the newest frame. */
  protected isPlaceable({ number, seenAt }: SeenFrame, newest: number, lastMove: number, now: number): boolean {
    const waitMs = Math.max(number === newest ? WHOLE_AFTER_MS : 0, number > lastMove ? PLACED_AFTER_MS : 0)
    if (now - seenAt >= waitMs) return true
    this.#dueBy(seenAt + waitMs)
    return false
  }

  protected nothingYet(): SourceUnavailableError {
    return new SourceUnavailableError(`${this.url} has no frame yet that is whole and has a known place.`, {
      url: this.url,
    })
  }

  #dueBy(time: number): void {
    this.#dueAt = Math.min(this.#dueAt, time)
  }
}

/** Whether it was written long ago. A wrong clock makes it wait, or settle, too early. @param modifiedMs Unix ms. */
export function isOld(modifiedMs: number): boolean {
  return modifiedMs < Date.now() - OLD_MS
}
