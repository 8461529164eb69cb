import { allocateSamples, type Plane, type Rect, SAMPLE_TYPES, type SampleType } from '../plane.js'
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

/** Weight along one axis of `length` px of the feather blend: rises over a quarter (at most 100 px) from each edge, never 0. */
export function featherWeights(length: number): Float64Array {
  const ramp = Math.min(100, Math.floor(length / 4)) + 1
  return Float64Array.from({ length }, (_, i) => Math.min(1, (i + 1) / ramp, (length - i) / ramp))
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

interface Weights {
  readonly x: Float64Array
  readonly y: Float64Array
}

/**
 * Blends frames into a canvas. Each band of rows and each run of columns with a fixed set of frames is one cell:
 * no frame leaves it as it is, one frame is copied, more are averaged with their weights in series order.
 */
export class Blender {
  readonly #blend: Blend
  readonly #pedestal: number
  readonly #weights = new Map<string, Weights>()
  /** Samples that did not fit the stored type and were clipped, so far. */
  clipped = 0

  /** @param pedestal added to values above dark before rounding: the first series' dark level, or 0. */
  constructor(blend: Blend, pedestal: number) {
    this.#blend = blend
    this.#pedestal = pedestal
  }

  /**
   * @param canvas row-major samples of `region`, holding the fill value; written where a frame lies.
   * @param region the canvas' place, px of level 0.
   * @param frames in series order.
   */
  blendInto(canvas: Plane, region: Rect, frames: readonly PlacedPlane[]): void {
    const rects = frames.map(({ plane, x, y }) => ({
      x0: Math.max(x, region.x0),
      y0: Math.max(y, region.y0),
      x1: Math.min(x + plane.width, region.x1),
      y1: Math.min(y + plane.height, region.y1),
    }))
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
    else this.#average(canvas, region, cell, frames)
  }

  /** One frame: its samples, exactly, moved by a constant where its dark level is not the pedestal. */
  #copy(canvas: Plane, region: Rect, cell: Rect, frame: PlacedPlane): void {
    const { plane, dark, gain } = frame
    const width = region.x1 - region.x0
    const plain = typeof dark === 'number' && gain === undefined
    const offset = plain ? this.#pedestal - dark : 0
    const asIs = plain && offset === 0 && plane.sampleType === canvas.sampleType
    const values = new Float64Array(asIs ? 0 : cell.x1 - cell.x0)
    for (let y = cell.y0; y < cell.y1; y++) {
      const from = (y - frame.y) * plane.width + cell.x0 - frame.x
      const to = (y - region.y0) * width + cell.x0 - region.x0
      if (asIs) {
        canvas.samples.set(plane.samples.subarray(from, from + cell.x1 - cell.x0), to)
        continue
      }
      if (plain) for (let i = 0; i < values.length; i++) values[i] = plane.samples[from + i] + offset
      else for (let i = 0; i < values.length; i++) values[i] = valueAt(frame, from + i) + this.#pedestal
      this.#store(values, canvas, to)
    }
  }

  /** Σ weight · value / Σ weight, in float64 and series order, or the last value. A NaN sample has weight 0. */
  #average(canvas: Plane, region: Rect, cell: Rect, frames: readonly PlacedPlane[]): void {
    const width = region.x1 - region.x0
    const count = cell.x1 - cell.x0
    const sums = new Float64Array(count)
    const totals = new Float64Array(count)
    const pyme = this.#blend === 'pyme'
    const last = this.#blend === 'last'
    for (let y = cell.y0; y < cell.y1; y++) {
      sums.fill(0)
      totals.fill(0)
      for (const frame of frames) {
        const weights = this.#weightsOf(frame.plane)
        const rowWeight = weights.y[y - frame.y]
        const column = cell.x0 - frame.x
        const from = (y - frame.y) * frame.plane.width + column
        for (let i = 0; i < count; i++) {
          const value = pyme ? Math.fround(valueAt(frame, from + i)) : valueAt(frame, from + i)
          if (Number.isNaN(value)) continue
          const weight = last ? 1 : weights.x[column + i] * rowWeight
          sums[i] = last ? value : sums[i] + weight * value
          totals[i] = last ? 1 : totals[i] + weight
        }
      }
      const missing = SAMPLE_TYPES[canvas.sampleType].integer ? this.#pedestal : Number.NaN
      for (let i = 0; i < count; i++) {
        if (pyme) {
          const total = totals[i] + PYME_EPSILON
          sums[i] = total <= PYME_THRESHOLD ? missing : sums[i] / total + this.#pedestal
        } else sums[i] = totals[i] === 0 ? missing : sums[i] / totals[i] + this.#pedestal
      }
      this.#store(sums, canvas, (y - region.y0) * width + cell.x0 - region.x0)
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
      if (this.#blend === 'mean') weights = { x: new Float64Array(width).fill(1), y: new Float64Array(height).fill(1) }
      else if (this.#blend === 'pyme') weights = { x: pymeWeights(width, width), y: pymeWeights(height, width) }
      else weights = { x: featherWeights(width), y: featherWeights(height) }
      this.#weights.set(key, weights)
    }
    return weights
  }
}

function valueAt({ plane, dark, gain }: PlacedPlane, i: number): number {
  const above = plane.samples[i] - (typeof dark === 'number' ? dark : dark[i])
  return gain === undefined ? above : above * gain[i]
}

/** Distinct values in ascending order. */
function edges(values: readonly number[]): number[] {
  return [...new Set(values)].sort((a, b) => a - b)
}

/** A square canvas filled with what stands for "not covered": 0, or NaN in float arrays. */
export function emptyCanvas(sampleType: SampleType, edge: number): Plane {
  const samples = allocateSamples(sampleType, edge * edge)
  if (!SAMPLE_TYPES[sampleType].integer) samples.fill(Number.NaN)
  return { sampleType, width: edge, height: edge, samples }
}
