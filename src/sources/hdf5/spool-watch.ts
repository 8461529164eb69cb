import { SourceUnavailableError, TilestageError } from '../../errors.js'
import type { FrameSource } from '../frame-source.js'
import { findLastMove } from '../pyme/events.js'
import { COMPLETE_AFTER_MS, OLD_MS, PLACED_AFTER_MS, TRY_AGAIN_MS, WHOLE_AFTER_MS } from '../pyme/settling.js'
import type { FollowedSeries } from '../series-location.js'
import { examineFile } from './file-version.js'
import type { Hdf5File } from './hdf5-file.js'
import { assembleSpool } from './pyme-spool.js'
import { openSpoolFile, readSpool, type SpoolContent } from './spool-content.js'
import { stampFrames } from './spool-stamps.js'

interface KnownSpool extends SpoolContent {
  /** Of the file, from before it was read. */
  readonly stamp: string
  readonly stamps: readonly string[]
}

/**
 * Follows an HDF5 file that frames may still be appended to.
 *
 * It is complete when its writer closed it, or when nothing was written to it for long; until then a frame is listed
 * once its place is known, as in a series folder. A file that is being written is read anew from its beginning at each
 * change: HDF5 keeps an open file as it found it. All times are of a monotonic clock.
 */
export class SpoolWatch implements FollowedSeries {
  readonly url: string
  source: FrameSource | undefined
  error: TilestageError | undefined
  readonly #file: Hdf5File
  #known: KnownSpool | undefined
  /** When each frame was first seen, by number. */
  readonly #seenAt = new Map<number, number>()
  #stamp = ''
  #changedAt = Number.NEGATIVE_INFINITY
  /** Time of change of the file, Unix ms. */
  #modifiedMs = Number.POSITIVE_INFINITY
  #isFresh: boolean
  /** When the source is to be made again although nothing was written. */
  #dueAt = Number.NEGATIVE_INFINITY

  /** @param isFresh as for `SeriesLocation.follow`. */
  constructor(path: string, isFresh: boolean) {
    this.url = path
    this.#isFresh = isFresh
    this.#file = openSpoolFile(path)
  }

  get isEnded(): boolean {
    return this.#isOld || (this.#known?.isClosed ?? false)
  }

  async look(now: number, _older: number): Promise<boolean> {
    const { source, error } = this
    try {
      const { stamp, modifiedMs } = examineFile(this.url)
      const changed = stamp !== this.#stamp
      if (changed) {
        this.#changedAt = now
        this.#modifiedMs = modifiedMs
        this.#stamp = stamp
      }
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
    const cached = this.#known?.stamp === this.#stamp ? this.#known : undefined
    let known = cached ?? (await this.#read(now))
    const complete = this.#isComplete(known, now)
    // The last word must not miss a change that a coarse clock hid.
    if (complete && cached) known = await this.#read(now)
    const lastMove = findLastMove(known.moves)
    const { numbers } = known.frames
    const isListed = (place: number): boolean =>
      complete || this.#isPlaceable(numbers[place]!, numbers.at(-1)!, lastMove, now)
    if (!numbers.some((_, place) => isListed(place))) throw this.#nothingYet()
    const source = assembleSpool(this.url, known.stamp, known, known.stamps, isListed, complete)
    const before = this.source?.series
    if (before?.fingerprint !== source.series.fingerprint || before.complete !== complete) this.source = source
    this.error = undefined
  }

  async #read(now: number): Promise<KnownSpool> {
    const stamp = this.#stamp
    const content = await readSpool(this.#file)
    const stamps = await stampFrames(this.#file, content)
    const known = { ...content, stamp, stamps }
    this.#known = known
    const numbers = new Set(content.frames.numbers)
    for (const number of this.#seenAt.keys()) if (!numbers.has(number)) this.#seenAt.delete(number)
    for (const number of numbers) if (!this.#seenAt.has(number)) this.#seenAt.set(number, now)
    return known
  }

  #nothingYet(): SourceUnavailableError {
    return new SourceUnavailableError(`${this.url} has no frame yet that is whole and has a known place.`, {
      url: this.url,
    })
  }

  #isComplete({ isClosed }: SpoolContent, now: number): boolean {
    const quietMs = now - this.#changedAt
    if (quietMs >= COMPLETE_AFTER_MS || (this.#isOld && !this.#isFresh)) return true
    if (isClosed && (!this.#isFresh || quietMs >= WHOLE_AFTER_MS)) return true
    this.#dueBy(this.#changedAt + (isClosed ? WHOLE_AFTER_MS : COMPLETE_AFTER_MS))
    return false
  }

  /** Whether it was written long ago. A wrong clock makes it wait, or settle, too early. */
  get #isOld(): boolean {
    return this.#modifiedMs < Date.now() - OLD_MS
  }

  #isPlaceable(number: number, newest: number, lastMove: number, now: number): boolean {
    const seenAt = this.#seenAt.get(number) ?? now
    const waitMs = Math.max(number === newest ? WHOLE_AFTER_MS : 0, number > lastMove ? PLACED_AFTER_MS : 0)
    if (now - seenAt >= waitMs) return true
    this.#dueBy(seenAt + waitMs)
    return false
  }

  #dueBy(time: number): void {
    this.#dueAt = Math.min(this.#dueAt, time)
  }
}
