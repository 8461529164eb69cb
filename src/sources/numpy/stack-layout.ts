import { UnsupportedDataError } from '../../errors.js'
import type { Size } from '../../plane.js'
import type { NpyHeader } from './npy-header.js'

/** Rows of a table that are this many samples or more may be flattened square images: 8 × 8. */
const LEAST_FLATTENED = 64
/** The longer edge of a picture is seldom more than this times the other: the widest screens are 21:9. */
const MOST_ASPECT = 2.5

/** Where the images of an array lie in it; plain data. */
export interface StackLayout {
  readonly count: number
  /** Of an image. */
  readonly width: number
  readonly height: number
  /** 1, or 3 of colour images; a fourth one that is stored is not read. */
  readonly components: 1 | 3
  /** From one to the next, in samples. */
  readonly steps: { readonly item: number; readonly row: number; readonly column: number; readonly component: number }
}

/** An array understood as images, and what was assumed to understand it. */
export interface UnderstoodStack {
  readonly layout: StackLayout
  /** Sentences for the user. */
  readonly problems: readonly string[]
}

/**
 * Understand an array as images: H×W, N×H×W, H×W×3, N×H×W×3 (or 4, or 1), or N×P where each row is a flattened image.
 *
 * Two axes are a picture, unless `shape` tells otherwise, or the rows have 64, 81, 100 … samples and the array is
 * more than 2.5 times as long one way than the other, which pictures seldom are and stacks of flattened images are.
 *
 * @param shape of the images, as the user gave it.
 * @throws {UnsupportedDataError} another number of axes, or `shape` does not fit.
 */
export function understandStack(header: NpyHeader, shape: Size | undefined, url: string): UnderstoodStack {
  const axes = [...header.shape]
  const steps = stepsOf(header)
  const problems: string[] = []
  const stored = axes.length >= 3 && [1, 3, 4].includes(axes.at(-1)!) ? axes.pop()! : undefined
  if (stored === 4) problems.push('The alpha channel is not read: the last axis is 4 long.')
  const components = stored === undefined || stored === 1 ? 1 : 3
  const component = stored === undefined ? 0 : steps[axes.length]!
  const layout = (count: number, size: Size, item: number, row: number, column: number): UnderstoodStack => ({
    layout: {
      count,
      ...{ width: size.width, height: size.height },
      components,
      steps: { item, row, column, component },
    },
    problems,
  })
  const refuse = (found: string): UnsupportedDataError =>
    new UnsupportedDataError(`${url} has ${found}; ${POSSIBLE}.`, { url })
  const [first = 0, second = 0, third = 0] = axes
  const flattened = (count: number, size: Size, item: number, sample: number): UnderstoodStack =>
    layout(count, size, item, size.width * sample, sample)
  if (axes.length === 1 && shape && first === shape.width * shape.height) return flattened(1, shape, 0, steps[0]!)
  if (axes.length === 2) {
    const asPicture = layout(1, { width: second, height: first }, 0, steps[0]!, steps[1]!)
    if (shape) {
      if (shape.height === first && shape.width === second) return asPicture
      if (shape.width * shape.height === second) return flattened(first, shape, steps[0]!, steps[1]!)
      throw refuse(`rows of ${second} samples, which are no images of ${shape.height}x${shape.width}`)
    }
    const edge = Math.sqrt(second)
    if (!Number.isInteger(edge) || second < LEAST_FLATTENED || first === second) return asPicture
    const asItems = `${first} images of ${edge} × ${edge} px`
    if (Math.max(first, second) <= MOST_ASPECT * Math.min(first, second)) {
      problems.push(`The array was taken for one picture; where it is ${asItems}, --shape ${edge}x${edge} says so.`)
      return asPicture
    }
    problems.push(`The array was taken for ${asItems}; where it is one picture, --shape ${first}x${second} says so.`)
    return flattened(first, { width: edge, height: edge }, steps[0]!, steps[1]!)
  }
  if (axes.length === 3) {
    if (shape && (shape.height !== second || shape.width !== third))
      throw refuse(`images of ${second}x${third}, and ${shape.height}x${shape.width} were asked for`)
    return layout(first, { width: third, height: second }, steps[0]!, steps[1]!, steps[2]!)
  }
  throw refuse(
    `${header.shape.length === 1 ? 'one axis' : `${header.shape.length} axes`} (${header.shape.join(' × ')})`,
  )
}

const POSSIBLE =
  'arrays of H×W, N×H×W, H×W×3 and N×H×W×3 are read, and N×P with --shape HxW where a row is an image of P = H·W samples'

/** From one entry to the next along each axis, in samples. */
function stepsOf({ shape, isFortranOrder }: NpyHeader): number[] {
  const steps = shape.map(() => 0)
  let step = 1
  for (let i = 0; i < shape.length; i++) {
    const axis = isFortranOrder ? i : shape.length - 1 - i
    steps[axis] = step
    step *= shape[axis]!
  }
  return steps
}
