import type { Rect } from '../../src/plane.js'
import type { Slice } from '../picture/look.js'
import { intersect, rectAt } from '../picture/stage-geometry.js'
import { type FrameRow, readPlacement } from '../server/measure-api.js'
import { ApiError, type PointUm, type PyramidInfo } from '../server/pyramid-api.js'

/** Outlines of more frames would only be a grey veil. */
export const MAX_OUTLINES = 5000
/** Pyramids of no more frames are asked for all of them at once. */
const ASKED_AT_ONCE = 2000
/** What the server lists at most. */
const MAX_LISTED = 10_000
const KEPT_REPLIES = 8
/** Asked for beyond what is seen, as a share of it. */
const MARGIN = 0.5

interface KnownPlacement {
  /** Where they lie; undefined means anywhere. */
  readonly rect: Rect | undefined
  /** Undefined where there were too many. */
  readonly frames: readonly FrameRow[] | undefined
}

/** Where the frames around the view lie, asked for once. */
export class FramePlacement {
  readonly #onChange: () => void
  #pyramid: PyramidInfo | undefined
  #known: readonly KnownPlacement[] = []
  #isRecorded = true
  #shown: KnownPlacement | undefined

  constructor(onChange: () => void) {
    this.#onChange = onChange
  }

  /** Another pyramid, or other frames in the same one. */
  open(pyramid: PyramidInfo | undefined): void {
    this.#pyramid = pyramid
    this.#known = []
    this.#isRecorded = true
    this.#shown = undefined
  }

  /** Whether the pyramid tells where its frames lie; PYME's do not. */
  get isRecorded(): boolean {
    return this.#isRecorded && this.#pyramid?.frames !== null
  }

  /** Whether there are too many frames around the view to list them. */
  get isCrowded(): boolean {
    return this.#shown !== undefined && this.#shown.frames === undefined
  }

  /** Frames in and around the view; undefined while they are not known. */
  get frames(): readonly FrameRow[] | undefined {
    return this.#shown?.frames
  }

  /** The view rests: learn which frames lie there. @param view in level-0 px. */
  async follow(view: Rect): Promise<void> {
    const pyramid = this.#pyramid
    if (!pyramid || !this.isRecorded) return
    const { used = Infinity, skipped = 0 } = pyramid.frames ?? {}
    const wanted = used + skipped <= ASKED_AT_ONCE ? undefined : widened(view, pyramid)
    const known = this.#known.find(({ rect, frames }) => (frames ? contains(rect, view) : contains(wanted, rect)))
    if (known) {
      this.#show(known)
      return
    }
    try {
      const { total, frames } = await readPlacement(pyramid, wanted, MAX_LISTED)
      if (pyramid !== this.#pyramid) return
      const reply = { rect: wanted, frames: total > frames.length ? undefined : frames }
      this.#known = [reply, ...this.#known].slice(0, KEPT_REPLIES)
      this.#show(reply)
    } catch (error) {
      if (!(error instanceof ApiError || error instanceof TypeError)) throw error
      if (pyramid === this.#pyramid && error instanceof ApiError && error.status === 404) this.#isRecorded = false
    }
  }

  /** Used frames of a slice that hold a point, in the order in which they are blended; undefined while not known. */
  framesAt(pixel: PointUm, slice: Slice, channels: readonly number[]): readonly FrameRow[] | undefined {
    return this.frames?.filter(
      frame => frame.used && isOf(frame, slice, channels) && rectAt([frame.rect], pixel.x, pixel.y) !== undefined,
    )
  }

  #show(known: KnownPlacement): void {
    if (known === this.#shown) return
    this.#shown = known
    this.#onChange()
  }
}

/** Whether a frame belongs to what is looked at. */
export function isOf(
  { channel, depth, t }: FrameRow,
  { zPlane, timePoint }: Slice,
  channels: readonly number[],
): boolean {
  return depth === zPlane && t === timePoint && channels.includes(channel)
}

function contains(outer: Rect | undefined, inner: Rect | undefined): boolean {
  if (!outer || !inner) return outer === undefined
  return outer.x0 <= inner.x0 && outer.y0 <= inner.y0 && outer.x1 >= inner.x1 && outer.y1 >= inner.y1
}

/** A view with a margin, in whole pixels of the mosaic; its first pixel where the view lies outside. */
function widened({ x0, y0, x1, y1 }: Rect, { width, height }: PyramidInfo): Rect {
  const [x, y] = [(x1 - x0) * MARGIN, (y1 - y0) * MARGIN]
  const rect = { x0: Math.floor(x0 - x), y0: Math.floor(y0 - y), x1: Math.ceil(x1 + x), y1: Math.ceil(y1 + y) }
  return intersect(rect, { x0: 0, y0: 0, x1: width, y1: height }) ?? { x0: 0, y0: 0, x1: 1, y1: 1 }
}
