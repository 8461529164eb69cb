import type { Rect } from '../plane.js'
import type { Region } from '../pyramid/read-region.js'
import { blur, type FloatImage, reachOf, type Sigma } from './blur.js'
import { type CoveredImage, fillUncovered, halveImage } from './covered-image.js'

/** The middle of a spot and its radius, px of the level, and how much it stands out. */
export interface Spot {
  readonly x: number
  readonly y: number
  readonly radius: number
  readonly response: number
}

/** Narrower spots are not what they should be when sampled; wider ones belong to a coarser level. */
export const DIAMETERS_PX = { least: 2, most: 256 }

/** Sigmas that are tried lie no further apart than this factor: between two of them, 3 % of a response are lost. */
const SIGMA_STEP = 1.4

/** A disc answers most to a Gaussian of its radius by √2 (Lindeberg 1998). */
const RADIUS_OF_SIGMA = Math.SQRT2

/** From twice this sigma on, an image of half the width and height tells the same at a fraction of the cost. */
const LEAST_SIGMA_PX = 1.5

/** Diameters, px. */
interface Range {
  readonly min: number
  readonly max: number
}

/** One size that is looked for, in px of an image that was halved as often as its octave says. */
interface SpotSize {
  readonly sigma: Sigma
  /** What the image of the next smaller size of the octave, or the octave's own, is blurred by. */
  readonly blurBy: Sigma
  /** Of a spot that answers most to it, px of the level. */
  readonly radius: number
}

interface Octave {
  readonly halvings: number
  readonly sizes: readonly SpotSize[]
}

/** What an octave answers to a block and the margin around it. */
interface OctaveResponse {
  readonly octave: Octave
  /** Px around the block that are no part of it. */
  readonly border: number
  /** By size. */
  readonly bySize: readonly FloatImage[]
  /** The greatest of all sizes. */
  readonly greatest: FloatImage
  isCovered(at: number): boolean
}

/**
 * Finds round spots of a range of sizes, whatever lies below them. A spot is a place with a greater response than the
 * eight around it.
 */
export class SpotFinder {
  readonly #octaves: readonly Octave[]
  /** Px around a block that must be read with it. */
  readonly margin: number

  /** @param diameters smallest and largest, px along x and along y. */
  constructor(diameters: { readonly x: Range; readonly y: Range }) {
    this.#octaves = planOctaves(diameters)
    // Differences and comparisons take one px each.
    const needed = this.#octaves.map(
      ({ halvings, sizes }) => 2 ** halvings * sizes.reduce((sum, { blurBy }) => sum + reachOf(blurBy), 2),
    )
    // A multiple of what becomes one pixel, so that the pixels of halved blocks lie on one lattice.
    const coarsest = 2 ** this.#octaves.at(-1)!.halvings
    this.margin = Math.ceil(Math.max(...needed) / coarsest) * coarsest
  }

  /**
   * The spots of a block that respond more than `threshold`.
   *
   * @param region the block and `margin` px around it. @param rect of the block, px of the level.
   */
  *find(region: Region, rect: Rect, threshold: number): Generator<Spot> {
    for (const { octave, border, bySize, greatest, isCovered } of this.#respond(region)) {
      const scale = 2 ** octave.halvings
      const { samples, width, height } = greatest
      for (let y = border; y < height - border; y++) {
        for (let x = border; x < width - border; x++) {
          const at = y * width + x
          const response = samples[at]
          if (!(response > threshold) || !isMaximum(samples, at, width) || !isCovered(at)) continue
          const column = x - border + vertexOf(samples[at - 1], response, samples[at + 1])
          const row = y - border + vertexOf(samples[at - width], response, samples[at + width])
          const size = octave.sizes[bySize.findIndex(image => image.samples[at] === response)]
          yield {
            x: rect.x0 + (column + 0.5) * scale - 0.5,
            y: rect.y0 + (row + 0.5) * scale - 0.5,
            radius: size.radius,
            response,
          }
        }
      }
    }
  }

  /**
   * What covered places of a block answer to the smallest sizes: noise shows most there.
   *
   * @param region as for `find`. @param step takes one place of so many in a row.
   */
  *sampleResponses(region: Region, step: number): Generator<number> {
    for (const { greatest, border, isCovered } of this.#respond(region)) {
      const { samples, width, height } = greatest
      for (let y = border; y < height - border; y++) {
        for (let x = border + (y % step); x < width - border; x += step) {
          if (isCovered(y * width + x)) yield samples[y * width + x]
        }
      }
      return
    }
  }

  *#respond({ plane, mask }: Region): Generator<OctaveResponse> {
    const covered = mask ?? new Uint8Array(plane.samples.length).fill(1)
    let image: CoveredImage = { ...plane, samples: Float32Array.from(plane.samples), covered }
    fillUncovered(image)
    let halvings = 0
    for (const octave of this.#octaves) {
      for (; halvings < octave.halvings; halvings++) image = halveImage(image)
      const bySize: FloatImage[] = []
      let smooth: FloatImage = image
      for (const { sigma, blurBy } of octave.sizes) {
        smooth = blur(smooth, blurBy)
        bySize.push(spotResponse(smooth, sigma))
      }
      const { covered } = image
      const isCovered = (at: number): boolean => covered[at] !== 0
      yield { octave, border: this.margin / 2 ** halvings, bySize, greatest: greatestOf(bySize), isCovered }
    }
  }
}

function planOctaves(diameters: { readonly x: Range; readonly y: Range }): Octave[] {
  const steps = Math.ceil(Math.log(diameters.x.max / diameters.x.min) / Math.log(SIGMA_STEP))
  const radiusOf = ({ min, max }: Range, step: number): number => (min / 2) * (max / min) ** (step / Math.max(1, steps))
  const octaves = new Map<number, SpotSize[]>()
  for (let step = 0; step <= steps; step++) {
    const radius = { x: radiusOf(diameters.x, step), y: radiusOf(diameters.y, step) }
    const least = Math.min(radius.x, radius.y) / RADIUS_OF_SIGMA
    const halvings = Math.max(0, Math.floor(Math.log2(least / LEAST_SIGMA_PX)))
    const sizes = octaves.get(halvings) ?? []
    const scale = RADIUS_OF_SIGMA * 2 ** halvings
    const sigma = { x: radius.x / scale, y: radius.y / scale }
    // Pixels and differences smooth as well, and so did the blur before.
    const before = { x: varianceOfHalving(halvings), y: varianceOfHalving(halvings) }
    for (const { blurBy } of sizes) {
      before.x += blurBy.x ** 2
      before.y += blurBy.y ** 2
    }
    const blurBy = { x: Math.sqrt(sigma.x ** 2 - before.x), y: Math.sqrt(sigma.y ** 2 - before.y) }
    octaves.set(halvings, [...sizes, { sigma, blurBy, radius: Math.max(radius.x, radius.y) }])
  }
  return [...octaves].map(([halvings, sizes]) => ({ halvings, sizes }))
}

/** Of the mean over 2ⁿ px, in px of that width, and of a second difference, which acts on one axis of two. */
function varianceOfHalving(halvings: number): number {
  return (1 - 4 ** -halvings) / 12 + 1 / 12
}

/**
 * How much each place looks like the middle of a bright round spot: the Laplacian of Gaussian, turned over and
 * multiplied by sigma² so that sizes compare (Lindeberg 1998). A Gaussian spot of this sigma gives half its height, a
 * slope or a level gives 0.
 *
 * @param smooth the image blurred by `sigma`.
 * @returns 0 at the edges.
 */
function spotResponse({ samples, width, height }: FloatImage, sigma: Sigma): FloatImage {
  const response = new Float32Array(samples.length)
  const [scaleX, scaleY] = [sigma.x ** 2, sigma.y ** 2]
  for (let y = 1; y < height - 1; y++) {
    for (let at = y * width + 1, end = at + width - 2; at < end; at++) {
      const twice = 2 * samples[at]
      response[at] =
        scaleX * (twice - samples[at - 1] - samples[at + 1]) +
        scaleY * (twice - samples[at - width] - samples[at + width])
    }
  }
  return { width, height, samples: response }
}

function greatestOf([first, ...others]: readonly FloatImage[]): FloatImage {
  if (others.length === 0) return first
  const samples = first.samples.slice()
  for (const other of others) {
    for (let i = 0; i < samples.length; i++) if (other.samples[i] > samples[i]) samples[i] = other.samples[i]
  }
  return { ...first, samples }
}

/** Of equal neighbours, the last one counts: a flat top is one spot. */
function isMaximum(samples: Float32Array, at: number, width: number): boolean {
  const value = samples[at]
  return (
    value >= samples[at - width - 1] &&
    value >= samples[at - width] &&
    value >= samples[at - width + 1] &&
    value >= samples[at - 1] &&
    value > samples[at + 1] &&
    value > samples[at + width - 1] &&
    value > samples[at + width] &&
    value > samples[at + width + 1]
  )
}

/** Where the parabola through three neighbours has its top, −0.5 … 0.5 from the middle one. */
function vertexOf(before: number, middle: number, after: number): number {
  const bend = before - 2 * middle + after
  return bend < 0 ? Math.max(-0.5, Math.min(0.5, (before - after) / (2 * bend))) : 0
}
