import type { FrameSource } from '../frame-source.js'
import { findLastMove } from '../pyme/events.js'
import { isOld, SettlingSeries } from '../pyme/settling-series.js'
import { FileChanges } from './file-changes.js'
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
export class SpoolWatch extends SettlingSeries {
  readonly url: string
  readonly #file: Hdf5File
  #known: KnownSpool | undefined
  /** When each frame was first seen, by number. */
  readonly #seenAt = new Map<number, number>()
  readonly #changes: FileChanges

  /** @param isFresh as for `SeriesLocation.follow`. */
  constructor(path: string, isFresh: boolean) {
    super(isFresh)
    this.url = path
    this.#file = openSpoolFile(path)
    this.#changes = new FileChanges(path)
  }

  get isEnded(): boolean {
    return isOld(this.#changes.modifiedMs) || (this.#known?.isClosed ?? false)
  }

  protected async lookForChanges(now: number): Promise<boolean> {
    return this.#changes.look(now)
  }

  protected async makeSource(now: number): Promise<FrameSource> {
    const { stamp, changedAt, modifiedMs } = this.#changes
    const cached = this.#known?.stamp === stamp ? this.#known : undefined
    let known = cached ?? (await this.#read(now))
    const complete = this.isSettled(now, changedAt, modifiedMs, known.isClosed)
    // The last word must not miss a change that a coarse clock hid.
    if (complete && cached) known = await this.#read(now)
    const lastMove = findLastMove(known.moves)
    const { numbers } = known.frames
    const isListed = (place: number): boolean => {
      const number = numbers[place]!
      const seenAt = this.#seenAt.get(number) ?? now
      return complete || this.isPlaceable({ number, seenAt }, numbers.at(-1)!, lastMove, now)
    }
    if (!numbers.some((_, place) => isListed(place))) throw this.nothingYet()
    return assembleSpool(this.url, known.stamp, known, known.stamps, isListed, complete)
  }

  async #read(now: number): Promise<KnownSpool> {
    const { stamp } = this.#changes
    const content = await readSpool(this.#file)
    const stamps = await stampFrames(this.#file, content)
    const known = { ...content, stamp, stamps }
    this.#known = known
    const numbers = new Set(content.frames.numbers)
    for (const number of this.#seenAt.keys()) if (!numbers.has(number)) this.#seenAt.delete(number)
    for (const number of numbers) if (!this.#seenAt.has(number)) this.#seenAt.set(number, now)
    return known
  }
}
