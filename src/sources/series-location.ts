import type { TilestageError } from '../errors.js'
import type { FrameSource } from './frame-source.js'

/** A series that a name led to, not opened yet. */
export interface SeriesLocation {
  /** Path or URL as the user would type it. */
  readonly url: string
  /** The same for all names of one series: its real path, or its URL in one spelling. */
  readonly identity: string
  /** What else is read for it, if it is there: files beside its real path, which may be links. */
  readonly files?: readonly string[]
  /**
   * Open it as it is now, taking it for complete.
   *
   * @throws {TilestageError} what the reader of its format throws.
   */
  open(): Promise<FrameSource>
  /**
   * Follow it while it may still be written to.
   *
   * @param isFresh whether it appeared only now: files that it has may still be written to.
   */
  follow(isFresh: boolean): FollowedSeries
}

/** A series that may be growing. */
export interface FollowedSeries {
  readonly url: string
  /** All frames that can be placed; another object when anything about them changed. Undefined before there are any. */
  readonly source: FrameSource | undefined
  /** Why there is no source, or why it is not brought up to date. */
  readonly error: TilestageError | undefined
  /** Whether it has all that is ever written: what is wrong with it is not going to mend itself. */
  readonly isEnded: boolean
  /**
   * Look what has come.
   *
   * @param now ms of a monotonic clock.
   * @param older how many of the frames that are not recent to look at for changes.
   * @returns whether `source` or `error` is another than before. What is wrong with the series does not throw.
   */
  look(now: number, older: number): Promise<boolean>
  /** Free what is held; calling it twice is fine. */
  close(): Promise<void>
}

/** What the user typed leads to. */
export interface FoundSeries {
  readonly locations: readonly SeriesLocation[]
  /** A sentence for each thing that was left out. */
  readonly warnings: readonly string[]
  /** Why there are no locations. */
  readonly missing: TilestageError | undefined
  /** Undefined where further series cannot come. */
  readonly more: PlaceOfMore | undefined
}

/** Where further series may appear. */
export interface PlaceOfMore {
  /** Another text when something was put there or taken out since the last call: cheap enough for several calls a second. */
  stamp(): string
}
