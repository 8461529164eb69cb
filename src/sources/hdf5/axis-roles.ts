import { type AxisLetters, areColours, endsWithComponents } from '../array-axes.js'
import type { Hdf5Dataset, Hdf5Type } from './hdf5-messages.js'
import { textOf } from './object-tree.js'

/** Which axes of a dataset are the rows and columns of its images; those that have no role are planes. */
export interface AxisRoles {
  readonly x: number
  readonly y: number
  /** What a pixel has several of: colours, or a sample for each layer. */
  readonly c: number | undefined
  readonly areColours: boolean
  /** Whether nothing but the shape tells. */
  readonly isGuess: boolean
}

/** More layers than that are planes. */
const MOST_LAYERS = 64
const CHANNEL_NAME = /^(c|channels?|colou?rs?|rgba?)$/i
/** Where HDF5's image specification has the colours, counted from the last axis. */
const INTERLACE: Readonly<Record<string, number>> = { INTERLACE_PIXEL: 1, INTERLACE_LINE: 2, INTERLACE_PLANE: 3 }

/**
 * The roles of axes: as the user says; else by the colours of HDF5's image specification and by names; else rows and columns
 * are the last two, before two to four samples that lie side by side in each pixel.
 *
 * @param axes as far as they are named. @param letters one for each axis.
 */
export function findRoles(
  { type, attributes }: Hdf5Dataset,
  shape: readonly number[],
  axes: readonly { readonly name?: string }[],
  letters?: AxisLetters,
): AxisRoles {
  const isWhole = isSmallWhole(type)
  const withColours = (c: number | undefined): boolean => c !== undefined && areColours(shape[c]!, isWhole)
  if (letters !== undefined) {
    const [x, y, c] = ['x', 'y', 'c'].map(letter => letters.indexOf(letter)) as [number, number, number]
    return { x, y, c: c < 0 ? undefined : c, areColours: c >= 0 && withColours(c), isGuess: false }
  }
  const last = shape.length - 1
  const said = shape.length - (INTERLACE[textOf(attributes.INTERLACE_MODE) ?? ''] ?? 0)
  if (shape.length === 3 && said <= last && withColours(said)) {
    const [y, x] = [0, 1, 2].filter(axis => axis !== said) as [number, number]
    return { x, y, c: said, areColours: true, isGuess: false }
  }
  const named = (pattern: RegExp): number => axes.findIndex(({ name }) => name !== undefined && pattern.test(name))
  const [x, y, channel] = [named(/^x/i), named(/^y/i), named(CHANNEL_NAME)] as [number, number, number]
  const isNamed = channel >= 0 && channel !== x && channel !== y && shape[channel]! <= MOST_LAYERS
  const isColour = isWhole && shape.length >= 3 && withColours(last)
  const isBehind = (isColour || endsWithComponents(shape)) && axes[last]?.name === undefined
  const c = isNamed ? channel : isBehind ? last : undefined
  // The classes that a program tells apart are channels, too.
  const roles = { c, areColours: withColours(c) && (isWhole || !isNamed) }
  if (x >= 0 && y >= 0 && x !== c && y !== c) return { x, y, ...roles, isGuess: false }
  const [row, column] = [...shape.keys()].filter(axis => axis !== c).slice(-2) as [number, number]
  return { x: column, y: row, ...roles, isGuess: axes.every(({ name }) => name === undefined) }
}

/** Whether elements are what colours are mostly kept in. */
export function isSmallWhole(type: Hdf5Type): boolean {
  return type.kind === 'integer' && !type.isSigned && type.bytes <= 2
}
