import type { FrameSource } from '../frame-source.js'
import { findLastMove } from './events.js'
import { assembleSeries, type PcsDescription, readDescription } from './pcs-series.js'
import { DESCRIBING_FILES, EVENTS, FINAL_METADATA, type SeriesFiles } from './series-files.js'
import { SettlingSeries } from './settling-series.js'

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
export class PcsWatch extends SettlingSeries {
  readonly #files: SeriesFiles
  #description: KnownDescription | undefined

  /** @param isFresh as for `SeriesLocation.follow`. */
  constructor(files: SeriesFiles, isFresh: boolean) {
    super(isFresh)
    this.#files = files
  }

  get url(): string {
    return this.#files.url
  }

  /** Whether all files that PYME ever writes are there. */
  get isEnded(): boolean {
    return this.#files.described.has(EVENTS) && this.#files.described.has(FINAL_METADATA)
  }

  protected lookForChanges(now: number, older: number): Promise<boolean> {
    return this.#files.look(now, older)
  }

  protected async makeSource(): Promise<FrameSource> {
    const complete = this.#isComplete()
    const description = await this.#describe(complete)
    const numbers = complete ? this.#files.frameNumbers : this.#placeableFrames(description.lastMove)
    if (numbers.length === 0 && this.#files.frames.size > 0) throw this.nothingYet()
    return await assembleSeries(this.#files, numbers, async () => description, complete)
  }

  #isComplete(): boolean {
    const { described, frames, lookedAt, changedAt, newestMs } = this.#files
    if (!described.has(EVENTS)) return false
    const hasAll = this.isEnded && [...frames.values()].every(({ size }) => size !== 0)
    return this.isSettled(lookedAt, changedAt, newestMs, hasAll)
  }

  #placeableFrames(lastMove: number): number[] {
    const { frameNumbers, frames, lookedAt } = this.#files
    const newest = frameNumbers.at(-1)!
    return frameNumbers.filter(number => {
      const { size, seenAt } = frames.get(number)!
      return size !== 0 && this.isPlaceable({ number, seenAt }, newest, lastMove, lookedAt)
    })
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
