import type { FeedProgress } from '../../pyramid/build-feed.js'
import type { Pyramid } from '../../pyramid/pyramid.js'
import type { ServedPyramid } from '../pyramids/served-pyramid.js'

/** Pages are told no more often than this. */
const TELL_EVERY_MS = 250

/** How far a build is, as pages are told. */
export interface BuildEvent {
  /** Of the pyramid. */
  readonly id: string
  readonly framesDone: number
  readonly framesTotal: number
  readonly secondsLeft: number | null
  readonly complete: boolean
}

/** Tells of the progress of one build a few times a second. */
export class BuildProgressEvents {
  readonly #served: () => ServedPyramid | undefined
  readonly #tell: (event: BuildEvent) => void
  #newest: FeedProgress | undefined
  #timer: NodeJS.Timeout | undefined

  /** @param served what the build makes, as it is served just now. */
  constructor(served: () => ServedPyramid | undefined, tell: (event: BuildEvent) => void) {
    this.#served = served
    this.#tell = tell
  }

  collect(progress: FeedProgress): void {
    this.#newest = progress
    const served = this.#served()
    if (served) served.progress = progress
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#tellOf(this.#served()?.pyramid)
    }, TELL_EVERY_MS).unref()
  }

  /** Tell at once. @param pyramid what the build made, as it is served now. */
  finish(pyramid: Pyramid): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#tellOf(pyramid)
  }

  #tellOf(pyramid: Pyramid | undefined): void {
    if (!pyramid || !this.#newest) return
    const { framesDone, framesTotal, secondsLeft } = this.#newest
    const { id, complete } = pyramid
    this.#tell({ id, framesDone, framesTotal, secondsLeft: secondsLeft ?? null, complete })
  }
}
