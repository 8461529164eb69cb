import { UnsupportedDataError } from '../../errors.js'
import type { Size } from '../../plane.js'
import { type AxisLetters, areColours, endsWithComponents, expectAxes, sayWhatWasAssumed } from '../array-axes.js'
import type { SourceOptions } from '../source-options.js'
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
  /** Samples of each pixel that are read: 1, 3 of colour images, or as many as there are layers. */
  readonly components: number
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
 * Understand an array as images: H×W, N×H×W, H×W×3, N×H×W×3 (or 4, 2 or 1), or N×P where each row is a flattened image.
 *
 * Two axes are a picture, unless `shape` tells otherwise, or the rows have 64, 81, 100 … samples and the array is
 * more than 2.5 times as long one way than the other, which pictures seldom are and stacks of flattened images are.
 *
 * @param shape of the images, and `letters` of the axes, as the user gave them.
 * @throws {UnsupportedDataError} another number of axes, or what the user gave does not fit.
 */
export function understandStack(
  header: NpyHeader,
  { shape, axes: letters }: Pick<SourceOptions, 'shape' | 'axes'>,
  url: string,
): UnderstoodStack {
  const isWhole = /^u[12]$/.test(header.type.code)
  if (letters !== undefined) return byLetters(header, letters, isWhole, url)
  const axes = [...header.shape]
  const steps = stepsOf(header)
  const problems: string[] = []
  const hasComponents = axes.length >= 3 && ([1, 3, 4].includes(axes.at(-1)!) || endsWithComponents(axes))
  const stored = hasComponents ? axes.pop()! : undefined
  if (shape === undefined && axes.length === 2)
    problems.push(...sayWhatWasAssumed('The array', header.shape, isWhole, 'nyx'))
  const components = countComponents(stored, isWhole, problems)
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
    if (stored === undefined) problems.push(...sayWhatWasAssumed('The array', header.shape, isWhole, 'nyx'))
    if (shape && (shape.height !== second || shape.width !== third))
      throw refuse(`images of ${second}x${third}, and ${shape.height}x${shape.width} were asked for`)
    return layout(first, { width: third, height: second }, steps[0]!, steps[1]!, steps[2]!)
  }
  throw refuse(
    header.shape.length === 0
      ? 'a single value'
      : `${header.shape.length === 1 ? 'one axis' : `${header.shape.length} axes`} (${header.shape.join(' × ')})`,
  )
}

const POSSIBLE =
  'arrays of H×W, N×H×W, H×W×3 and N×H×W×3 are read, others with --axes, and N×P with --shape HxW where a row is an image of P = H·W samples'

/** @throws {UnsupportedDataError} not a letter for each axis, or several axes of images. */
function byLetters(header: NpyHeader, letters: AxisLetters, isWhole: boolean, url: string): UnderstoodStack {
  const { shape } = header
  expectAxes(letters, shape, url, url)
  const items = letters.match(/[nzt]/g) ?? []
  if (items.length > 1) {
    const message = `${url} has several images along ${items.join(' and ')} by --axes ${letters}; a contact sheet has one such axis.`
    throw new UnsupportedDataError(message, { url })
  }
  const steps = stepsOf(header)
  const along = (letter: string | undefined): { length: number; step: number } => {
    const axis = letter === undefined ? -1 : letters.indexOf(letter)
    return axis < 0 ? { length: 1, step: 0 } : { length: shape[axis]!, step: steps[axis]! }
  }
  const [x, y, c, item] = ['x', 'y', 'c', items[0]].map(along)
  const problems: string[] = []
  return {
    layout: {
      ...{ count: item!.length, width: x!.length, height: y!.length },
      components: countComponents(c!.length, isWhole, problems),
      steps: { item: item!.step, row: y!.step, column: x!.step, component: c!.step },
    },
    problems,
  }
}

/** How many of a pixel's samples are read. @param problems what is not is added to them. */
function countComponents(stored = 1, isWhole: boolean, problems: string[]): number {
  if (stored !== 4 || !areColours(stored, isWhole)) return stored
  problems.push('The alpha channel is not read: of four samples a pixel three are shown.')
  return 3
}

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
