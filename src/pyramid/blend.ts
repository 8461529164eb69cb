import type { Kernels, WeightedSource } from '../kernels/kernels.js'
import { intersect, type Plane, type Rect, SAMPLE_TYPES } from '../plane.js'
import { roundHalfEven } from './mosaic-geometry.js'

export type Blend = 'feather' | 'pyme' | 'mean' | 'last'

/** A frame's samples, ready to be placed: value above dark = (sample − dark) · gain, per pixel where there is a plane. */
export interface PlacedPlane {
  readonly plane: Plane
  /** Where the frame's pixel (0, 0) lies, px of level 0. */
  readonly x: number
  readonly y: number
  /** Dark level, counts: one number or one per pixel. */
  readonly dark: number | Float64Array
  /** Factor per pixel after the dark level is taken off; undefined is 1. */
  readonly gain: Float64Array | undefined
}

/** Longest ramp of the feather blend, px, without the full weight at its end. */
const LONGEST_RAMP = 100

/**
 * Weight along one axis of `length` px of the feather blend, times the ramp's length so that weights are whole numbers:
 * 1, 2, … from each edge over a quarter (at most 100 px) up to `ramp`, never 0.
 */
export function featherWeights(length: number): { readonly weights: Uint16Array; readonly ramp: number } {
  const ramp = Math.min(LONGEST_RAMP, Math.floor(length / 4)) + 1
  return { ramp, weights: Uint16Array.from({ length }, (_, i) => Math.min(ramp, i + 1, length - i)) }
}

/**
 * PYME's weights along one axis: its ramp is a quarter of the frame's *width* (at most 100 px) on both axes, and 0 at
 * the outermost pixel.
 *
 * @see PYME/Analysis/tile_pyramid, python-microscopy 72f7d55
 */
export function pymeWeights(length: number, frameWidth: number): Float64Array {
  const ramp = Math.min(100, Math.floor(0.25 * frameWidth))
  const weights = new Float64Array(length).fill(1)
  const step = 1 / (ramp - 1)
  for (let i = 0; i < Math.min(ramp, length); i++) {
    const last = i === ramp - 1
    // A ramp of one pixel starts at 0 and falls from 1, as numpy's linspace has it.
    weights[i] *= ramp === 1 ? 0 : last ? 1 : i * step
    weights[length - Math.min(ramp, length) + i] *= ramp === 1 ? 1 : last ? 0 : 1 - i * step
  }
  return weights
}

/** PYME calls a pixel covered above this sum of weights. */
const PYME_THRESHOLD = 0.1
const PYME_EPSILON = 1e-9

/** A kernel takes so many frames at once. */
const MOST_FRAMES = 1024

interface Weights {
  /** Whole numbers, in the kernels' memory, except those of PYME. */
  readonly x: Uint16Array | Float64Array
  readonly y: Uint16Array | Float64Array
  /** What the product of a full weight along both axes is: weights of frames of different sizes are comparable after division by it. */
  readonly full: number
}

/** Sums of a region, one entry a pixel, row-major. */
export interface BlendStack {
  readonly region: Rect
  /** Frames that lie over the pixel. */
  readonly counts: Float64Array
  /** What its first frame alone would store. */
  readonly first: Float64Array
  /** What is added to samples, where all its frames agree; NaN elsewhere. */
  readonly shifts: Float64Array
  /** Full weight of its first frame, which the others' weights are scaled to. */
  readonly full: Float64Array
  /** Σ weight · sample, and Σ weight · value above dark. */
  readonly plain: Float64Array
  readonly above: Float64Array
  readonly totals: Float64Array
}

/** Bytes that the weights of frames of one size take in the kernels' memory. */
export function weightBytes({ width, height }: { readonly width: number; readonly height: number }): number {
  // Either array may be padded to the next 16 bytes.
  return 2 * (width + height) + 32
}

/**
 * Blends frames into a canvas. Each band of rows and each run of columns with a fixed set of frames is one cell:
 * no frame leaves it as it is, one frame is copied, more are averaged with their weights in series order.
 *
 * Where the frames of a cell are integers without correction images, weights and sums are whole numbers: the result is
 * the exact mean, rounded half to even.
 */
export class Blender {
  readonly #blend: Blend
  readonly #pedestal: number
  readonly #kernels: Kernels
  readonly #weights = new Map<string, Weights>()
  /** Samples that did not fit the stored type and were clipped, so far. */
  clipped = 0

  /**
   * @param pedestal added to values above dark before rounding: the first series' dark level, or 0.
   * @param kernels whose memory holds the samples of every canvas and of every uint16 frame.
   */
  constructor(blend: Blend, pedestal: number, kernels: Kernels) {
    this.#blend = blend
    this.#pedestal = pedestal
    this.#kernels = kernels
  }

  /**
   * @param canvas row-major samples of `region`, holding the fill value; written where a frame lies.
   * @param region the canvas' place, px of level 0.
   * @param frames in series order.
   */
  blendInto(canvas: Plane, region: Rect, frames: readonly PlacedPlane[]): void {
    const rects = frames.map(frame => intersect(rectOf(frame), region))
    const rows = edges(rects.flatMap(rect => [rect.y0, rect.y1]))
    for (let band = 0; band + 1 < rows.length; band++) {
      const [y0, y1] = [rows[band], rows[band + 1]]
      const inBand = [...frames.keys()].filter(i => rects[i].y0 <= y0 && rects[i].y1 >= y1 && rects[i].x0 < rects[i].x1)
      const columns = edges(inBand.flatMap(i => [rects[i].x0, rects[i].x1]))
      for (let run = 0; run + 1 < columns.length; run++) {
        const [x0, x1] = [columns[run], columns[run + 1]]
        const inCell = inBand.filter(i => rects[i].x0 <= x0 && rects[i].x1 >= x1).map(i => frames[i])
        if (inCell.length > 0) this.#fillCell(canvas, region, { x0, y0, x1, y1 }, inCell)
      }
    }
  }

  #fillCell(canvas: Plane, region: Rect, cell: Rect, frames: readonly PlacedPlane[]): void {
    const last = frames[frames.length - 1]
    // Of integers every sample counts; among floats the last one that is no NaN is looked for.
    const lastCounts = this.#blend === 'last' && SAMPLE_TYPES[last.plane.sampleType].integer
    if (this.#blend !== 'pyme' && (frames.length === 1 || lastCounts)) this.#copy(canvas, region, cell, last)
    else if (this.#isPlainMean(canvas, frames)) this.#averagePlain(canvas, region, cell, frames)
    else this.#average(canvas, region, cell, frames)
  }

  /** What is added to a frame's samples where that is one number. */
  #shiftOf({ dark, gain }: PlacedPlane): number | undefined {
    return typeof dark === 'number' && gain === undefined ? this.#pedestal - dark : undefined
  }

  /** One frame: its samples, exactly, moved by a constant where its dark level is not the pedestal. */
  #copy(canvas: Plane, region: Rect, cell: Rect, frame: PlacedPlane): void {
    const { plane } = frame
    const width = region.x1 - region.x0
    const shift = this.#shiftOf(frame)
    const asIs = shift === 0 && plane.sampleType === canvas.sampleType
    if (asIs && canvas.samples instanceof Uint16Array && plane.samples instanceof Uint16Array) {
      const from = (cell.y0 - frame.y) * plane.width + cell.x0 - frame.x
      const to = (cell.y0 - region.y0) * width + cell.x0 - region.x0
      const [columns, rows] = [cell.x1 - cell.x0, cell.y1 - cell.y0]
      this.#kernels.copy(canvas.samples, to, width, plane.samples, from, plane.width, columns, rows)
      return
    }
    const values = new Float64Array(asIs ? 0 : cell.x1 - cell.x0)
    for (let y = cell.y0; y < cell.y1; y++) {
      const from = (y - frame.y) * plane.width + cell.x0 - frame.x
      const to = (y - region.y0) * width + cell.x0 - region.x0
      if (asIs) {
        canvas.samples.set(plane.samples.subarray(from, from + cell.x1 - cell.x0), to)
        continue
      }
      if (shift !== undefined) for (let i = 0; i < values.length; i++) values[i] = plane.samples[from + i] + shift
      else for (let i = 0; i < values.length; i++) values[i] = valueAt(frame, from + i) + this.#pedestal
      this.#store(values, canvas, to)
    }
  }

  /** Frames of uint16 whose samples are averaged as they are. */
  #isPlainMean(canvas: Plane, frames: readonly PlacedPlane[]): boolean {
    const { width, height } = frames[0].plane
    return (
      (this.#blend === 'feather' || this.#blend === 'mean') &&
      canvas.sampleType === 'uint16' &&
      frames.length <= MOST_FRAMES &&
      frames.every(
        frame =>
          frame.plane.sampleType === 'uint16' &&
          // Whole-number weights compare only where full weight is the same number.
          frame.plane.width === width &&
          frame.plane.height === height &&
          this.#shiftOf(frame) === 0,
      )
    )
  }

  #averagePlain(canvas: Plane, region: Rect, cell: Rect, frames: readonly PlacedPlane[]): void {
    const width = region.x1 - region.x0
    const sources = frames.map(({ plane, x, y }): WeightedSource => {
      const weights = this.#weightsOf(plane)
      const [offsetX, offsetY] = [cell.x0 - x, cell.y0 - y]
      return {
        samples: plane.samples as Uint16Array,
        offset: offsetY * plane.width + offsetX,
        stride: plane.width,
        weightsX: weights.x as Uint16Array,
        offsetX,
        weightsY: weights.y as Uint16Array,
        offsetY,
      }
    })
    const to = (cell.y0 - region.y0) * width + cell.x0 - region.x0
    const target = canvas.samples as Uint16Array
    this.#kernels.average(target, to, width, cell.x1 - cell.x0, cell.y1 - cell.y0, sources)
  }

  /** Σ weight · value / Σ weight, in float64 and series order, or the last value. A NaN sample has weight 0. */
  #average(canvas: Plane, region: Rect, cell: Rect, frames: readonly PlacedPlane[]): void {
    const width = region.x1 - region.x0
    const count = cell.x1 - cell.x0
    const sums = new Float64Array(count)
    const totals = new Float64Array(count)
    const pyme = this.#blend === 'pyme'
    const last = this.#blend === 'last'
    const shift = this.#shiftOf(frames[0])
    // Where every frame is moved by the same number, it is added at the end: sums of integers stay exact.
    const moved = !pyme && shift !== undefined && frames.every(frame => this.#shiftOf(frame) === shift)
    const { full } = this.#weightsOf(frames[0].plane)
    for (let y = cell.y0; y < cell.y1; y++) {
      sums.fill(0)
      totals.fill(0)
      for (const frame of frames) {
        const weights = this.#weightsOf(frame.plane)
        const rowWeight = weights.y[y - frame.y] * (weights.full === full ? 1 : full / weights.full)
        const column = cell.x0 - frame.x
        const from = (y - frame.y) * frame.plane.width + column
        for (let i = 0; i < count; i++) {
          const above = moved ? frame.plane.samples[from + i] : valueAt(frame, from + i)
          const value = pyme ? Math.fround(above) : above
          if (Number.isNaN(value)) continue
          const weight = last ? 1 : weights.x[column + i] * rowWeight
          sums[i] = last ? value : sums[i] + weight * value
          totals[i] = last ? 1 : totals[i] + weight
        }
      }
      const missing = SAMPLE_TYPES[canvas.sampleType].integer ? this.#pedestal : Number.NaN
      const added = moved ? shift : this.#pedestal
      for (let i = 0; i < count; i++) {
        if (pyme) {
          const total = totals[i] + PYME_EPSILON
          sums[i] = total <= PYME_THRESHOLD ? missing : sums[i] / total + this.#pedestal
        } else sums[i] = totals[i] === 0 ? missing : sums[i] / totals[i] + added
      }
      this.#store(sums, canvas, (y - region.y0) * width + cell.x0 - region.x0)
    }
  }

  /** A blend of more frames than memory holds at a time: `add` them in series order. */
  startStack(region: Rect): BlendStack {
    const pixels = (region.x1 - region.x0) * (region.y1 - region.y0)
    const array = (): Float64Array => new Float64Array(pixels)
    return {
      region,
      counts: array(),
      first: array(),
      shifts: array(),
      full: array(),
      plain: array(),
      above: array(),
      totals: array(),
    }
  }

  /** Add one frame; NaN samples weigh nothing. */
  addToStack(stack: BlendStack, frame: PlacedPlane): void {
    const { region } = stack
    const { plane } = frame
    const width = region.x1 - region.x0
    const weights = this.#weightsOf(plane)
    const shift = this.#shiftOf(frame) ?? Number.NaN
    const last = this.#blend === 'last'
    const lastCounts = last && SAMPLE_TYPES[plane.sampleType].integer
    const { x0, y0, x1, y1 } = intersect(rectOf(frame), region)
    for (let y = y0; y < y1; y++) {
      for (let x = x0; x < x1; x++) {
        const from = (y - frame.y) * plane.width + x - frame.x
        const to = (y - region.y0) * width + x - region.x0
        const above = this.#blend === 'pyme' ? Math.fround(valueAt(frame, from)) : valueAt(frame, from)
        if (stack.counts[to] === 0) {
          stack.first[to] = Number.isNaN(shift) ? above + this.#pedestal : plane.samples[from] + shift
          stack.shifts[to] = shift
          stack.full[to] = weights.full
        } else if (lastCounts) stack.shifts[to] = shift
        else if (stack.shifts[to] !== shift) stack.shifts[to] = Number.NaN
        stack.counts[to]++
        if (Number.isNaN(above)) continue
        const scale = weights.full === stack.full[to] ? 1 : stack.full[to] / weights.full
        const weight = last ? 1 : weights.x[x - frame.x] * (weights.y[y - frame.y] * scale)
        const kept = last ? 0 : 1
        stack.plain[to] = kept * stack.plain[to] + weight * plane.samples[from]
        stack.above[to] = kept * stack.above[to] + weight * above
        stack.totals[to] = kept * stack.totals[to] + weight
      }
    }
  }

  /** Store what was added; the result is that of `blendInto`, to the last bit. */
  finishStack({ counts, first, shifts, plain, above, totals }: BlendStack, canvas: Plane): void {
    const missing = SAMPLE_TYPES[canvas.sampleType].integer ? this.#pedestal : Number.NaN
    const value = new Float64Array(1)
    for (let i = 0; i < counts.length; i++) {
      if (counts[i] === 0) continue
      if (this.#blend === 'pyme') {
        const total = totals[i] + PYME_EPSILON
        value[0] = total <= PYME_THRESHOLD ? missing : above[i] / total + this.#pedestal
      } else if (counts[i] === 1) value[0] = first[i]
      else if (totals[i] === 0) value[0] = missing
      else if (Number.isNaN(shifts[i])) value[0] = above[i] / totals[i] + this.#pedestal
      else value[0] = plain[i] / totals[i] + shifts[i]
      this.#store(value, canvas, i)
    }
  }

  #store(values: Float64Array, canvas: Plane, to: number): void {
    const { samples, sampleType } = canvas
    const { integer, min, max } = SAMPLE_TYPES[sampleType]
    if (!integer) {
      samples.set(values, to)
      return
    }
    for (let i = 0; i < values.length; i++) {
      let value = roundHalfEven(values[i])
      if (!(value >= min && value <= max)) {
        this.clipped++
        // An integer cannot say "no sample here": NaN is dark, as it is where frames overlap.
        if (Number.isNaN(value)) value = roundHalfEven(this.#pedestal)
        value = Math.min(max, Math.max(min, value))
      }
      samples[to + i] = value
    }
  }

  #weightsOf({ width, height }: Plane): Weights {
    const key = `${width}×${height}`
    let weights = this.#weights.get(key)
    if (!weights) {
      weights = this.#makeWeights(width, height)
      this.#weights.set(key, weights)
    }
    return weights
  }

  #makeWeights(width: number, height: number): Weights {
    if (this.#blend === 'pyme') return { x: pymeWeights(width, width), y: pymeWeights(height, width), full: 1 }
    const [x, y] = [featherWeights(width), featherWeights(height)]
    const mean = this.#blend === 'mean'
    const keep = (weights: Uint16Array): Uint16Array => {
      const bytes = this.#kernels.allocate(weights.byteLength)
      const kept = new Uint16Array(bytes.buffer, bytes.byteOffset, weights.length)
      kept.set(mean ? new Uint16Array(weights.length).fill(1) : weights)
      return kept
    }
    return { x: keep(x.weights), y: keep(y.weights), full: mean ? 1 : x.ramp * y.ramp }
  }
}

function rectOf({ plane, x, y }: PlacedPlane): Rect {
  return { x0: x, y0: y, x1: x + plane.width, y1: y + plane.height }
}

function valueAt({ plane, dark, gain }: PlacedPlane, i: number): number {
  const above = plane.samples[i] - (typeof dark === 'number' ? dark : dark[i])
  return gain === undefined ? above : above * gain[i]
}

/** Distinct values in ascending order. */
function edges(values: readonly number[]): number[] {
  return [...new Set(values)].sort((a, b) => a - b)
}
