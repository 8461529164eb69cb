import { UnsupportedDataError } from '../errors.js'
import type { SeriesChannel } from './frame-source.js'

/**
 * What stands along the axes of an array, a letter each in their order, e.g. `cyx`: `y` rows, `x` columns, `c` colours or
 * layers; there are several images along `z`, `t` and `n`.
 */
export type AxisLetters = string

export const COLOURS: readonly (SeriesChannel & { readonly color: string })[] = [
  { name: 'R', color: 'ff0000' },
  { name: 'G', color: '00ff00' },
  { name: 'B', color: '0000ff' },
]

/** An array of fewer rows or columns is a table rather than an image. */
export const LEAST_EDGE = 8
/** As many as a DataStack shows. */
const MOST_LAYERS = 256

/** Whether `text` names each axis at most once, and rows and columns. */
export function areAxisLetters(text: string): boolean {
  return /^[tzncyx]+$/.test(text) && new Set(text).size === text.length && /x/.test(text) && /y/.test(text)
}

/** @throws {UnsupportedDataError} the array has not an axis for each letter, or too many layers. */
export function expectAxes(letters: AxisLetters, shape: readonly number[], what: string, url: string): void {
  const layers = shape[letters.indexOf('c')] ?? 1
  if (layers > MOST_LAYERS) {
    const message = `${what} has ${layers} layers by --axes ${letters}; up to ${MOST_LAYERS} are shown, and with z, t or n instead of c as images.`
    throw new UnsupportedDataError(message, { url })
  }
  if (letters.length === shape.length) return
  const found = `${shape.length} ${shape.length === 1 ? 'axis' : 'axes'} (${shape.join(' × ')})`
  throw new UnsupportedDataError(`${what} has ${found}, and --axes ${letters} names ${letters.length}.`, { url })
}

/** Whether so many samples of each pixel are red, green and blue; a fourth is an alpha where samples are whole and small. */
export function areColours(count: number, isSmallWhole: boolean): boolean {
  return count === 3 || (count === 4 && isSmallWhole)
}

/** Whether the last axis of an array looks like samples that lie side by side in each pixel of an image. */
export function endsWithComponents(shape: readonly number[]): boolean {
  const [height = 0, width = 0, count = 0] = shape.slice(-3)
  return count >= 2 && count <= 4 && height >= LEAST_EDGE && width >= LEAST_EDGE
}

/**
 * What was assumed of an array whose first or last axis is short, and how to say otherwise.
 *
 * @param what names the array. @param otherwise letters of its axes, were the last two rows and columns.
 */
export function sayWhatWasAssumed(
  what: string,
  shape: readonly number[],
  isSmallWhole: boolean,
  otherwise: AxisLetters,
): string[] {
  const array = `${what} (${shape.join(' × ')})`
  const count = shape.at(-1)!
  if (endsWithComponents(shape)) {
    const taken = areColours(count, isSmallWhole)
      ? 'its last axis to be colours'
      : `its last axis to be ${count} layers`
    return [`${array}: took ${taken}; where it is the columns of an image, --axes ${otherwise} says so.`]
  }
  const [planes, ...edges] = shape as [number, ...number[]]
  if (shape.length !== 3 || !areColours(planes, isSmallWhole) || edges.some(edge => edge < LEAST_EDGE)) return []
  return [`${array}: took it for ${planes} images; where they are the colours of one, --axes cyx says so.`]
}
