import type { Kernels } from '../kernels/kernels.js'
import type { Rect } from '../plane.js'
import type { PlacedPlane } from '../pyramid/blend.js'

/** Every so many rows of an overlap are compared: enough for a mean, at a fraction of the time. */
const ROW_STEP = 4

/** Repeated frames at one place all overlap each other; each is compared with so many of those after it. */
const NEIGHBOURS = 8

/** A shard of a plate has a few hundred; tens of thousands of frames over one place would fill the journal with pairs. */
const MOST_PAIRS = 4096

interface Pair {
  readonly a: number
  readonly b: number
  readonly x: number
  readonly y: number
  readonly width: number
  /** Rows compared: `y`, `y` + 4, … */
  readonly rows: number
  sumA: number
  sumB: number
}

/**
 * Compares how bright overlapping frames are where they overlap, in one region: rows whose number is a multiple of 4,
 * so that the parts of an overlap that lie in several regions add up.
 */
export class Overlaps {
  readonly #kernels: Kernels
  readonly #pairs: Pair[] = []
  /** By position of either frame. */
  readonly #pairsOf = new Map<number, Pair[]>()

  /** @param rects of the frames, level-0 px, by position; in series order. */
  constructor(rects: ReadonlyMap<number, Rect>, region: Rect, kernels: Kernels) {
    this.#kernels = kernels
    const frames = [...rects]
    frames.forEach(([a, rectA], i) => {
      let compared = 0
      for (let k = i + 1; k < frames.length && compared < NEIGHBOURS && this.#pairs.length < MOST_PAIRS; k++) {
        const [b, rectB] = frames[k]
        const x = Math.max(rectA.x0, rectB.x0, region.x0)
        const width = Math.min(rectA.x1, rectB.x1, region.x1) - x
        const y = Math.ceil(Math.max(rectA.y0, rectB.y0, region.y0) / ROW_STEP) * ROW_STEP
        const rows = Math.ceil((Math.min(rectA.y1, rectB.y1, region.y1) - y) / ROW_STEP)
        if (width <= 0 || rows <= 0) continue
        compared++
        const pair = { a, b, x, y, width, rows, sumA: 0, sumB: 0 }
        this.#pairs.push(pair)
        for (const position of [a, b]) this.#pairsOf.set(position, [...(this.#pairsOf.get(position) ?? []), pair])
      }
    })
  }

  /** Take in one frame; each is to be given once. */
  add(position: number, frame: PlacedPlane): void {
    for (const pair of this.#pairsOf.get(position) ?? []) {
      if (pair.a === position) pair.sumA = this.#sum(frame, pair)
      else pair.sumB = this.#sum(frame, pair)
    }
  }

  /** For each pair position, position, pixels compared, mean of the first, mean of the second; samples as they are. */
  finish(): number[] {
    return this.#pairs.flatMap(({ a, b, width, rows, sumA, sumB }) => {
      const pixels = width * rows
      return [a, b, pixels, sumA / pixels, sumB / pixels]
    })
  }

  #sum({ plane, x, y }: PlacedPlane, area: Pair): number {
    const { samples, width } = plane
    const offset = (area.y - y) * width + area.x - x
    const stride = width * ROW_STEP
    if (samples instanceof Uint16Array) return this.#kernels.sum(samples, offset, stride, area.width, area.rows)
    let total = 0
    for (let row = 0; row < area.rows; row++)
      for (let column = 0; column < area.width; column++) total += samples[offset + row * stride + column]
    return total
  }
}
