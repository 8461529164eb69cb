import { NotFoundError, UsageError } from '../../errors.js'
import { intersect, type Rect } from '../../plane.js'
import { levelSize, type MosaicGeometry } from '../../pyramid/mosaic-geometry.js'
import type { ParameterDocs } from '../openapi/route-doc.js'
import { type Parameters, quote, readInteger, readText, requireNumber } from './parameters.js'

/** Longest edge of a rectangle, level-0 px: four times that of the largest mosaic. */
const MAX_EDGE = 2 ** 28

/** A position this close to a pixel's centre is that centre: µm are seldom whole multiples of a pixel. */
const CENTRE_TOLERANCE_PX = 1e-6

export const UNITS_DOC: ParameterDocs = {
  units: { type: 'string', description: 'Of positions and sizes.', values: ['um', 'px'], fallback: 'um' },
}

export const RECTANGLE_DOCS: ParameterDocs = {
  x: { type: 'number', description: 'Left edge: µm on the stage, or level-0 px.', required: true },
  y: { type: 'number', description: 'Upper edge.', required: true },
  w: { type: 'number', description: 'Width, above 0.', required: true },
  h: { type: 'number', description: 'Height, above 0.', required: true },
  ...UNITS_DOC,
}

/** The same where no rectangle needs to be given. */
export const OPTIONAL_RECTANGLE_DOCS: ParameterDocs = Object.fromEntries(
  Object.entries(RECTANGLE_DOCS).map(([name, { required, ...doc }]) => [name, doc]),
)

/** A length along each axis. */
interface Lengths {
  readonly x: number
  readonly y: number
}

/** How to get from the units of a request to level-0 px: px = (value − zero) / scale. */
function readUnits(
  parameters: Parameters,
  { originUm, pixelSizeUm }: MosaicGeometry,
): { zero: Lengths; scale: Lengths } {
  const units = readText(parameters, 'units') ?? 'um'
  if (units === 'um') return { zero: originUm, scale: pixelSizeUm }
  if (units === 'px') return { zero: { x: 0, y: 0 }, scale: { x: 1, y: 1 } }
  throw new UsageError(`The parameter units is ${quote(units)}; it is um or px.`)
}

/**
 * The level-0 pixel that `x` and `y` lie in: the one with the nearest centre.
 *
 * @throws {UsageError} no numbers. @throws {NotFoundError} outside the mosaic.
 */
export function readPixel(
  parameters: Parameters,
  geometry: MosaicGeometry,
): { readonly x: number; readonly y: number } {
  const { zero, scale } = readUnits(parameters, geometry)
  const x = Math.round((requireNumber(parameters, 'x') - zero.x) / scale.x)
  const y = Math.round((requireNumber(parameters, 'y') - zero.y) / scale.y)
  const { width, height } = geometry.size
  if (x >= 0 && y >= 0 && x < width && y < height) return { x, y }
  throw new NotFoundError(
    `The place lies outside the mosaic of ${width} × ${height} px, which spans ${spanOf(geometry)}.`,
  )
}

/**
 * The rectangle of `x`, `y` (its upper left corner), `w` and `h`. A pixel belongs to it if its centre does, the left and
 * upper edges included.
 *
 * @returns level-0 px; it may reach beyond the mosaic.
 * @throws {UsageError} a number is missing, a size is not above 0, or there is no pixel in it.
 * @throws {NotFoundError} no pixel of the mosaic is in it.
 */
export function readRectangle(parameters: Parameters, geometry: MosaicGeometry): Rect {
  const { zero, scale } = readUnits(parameters, geometry)
  const [x0, x1] = readSide(parameters, 'x', 'w', zero.x, scale.x)
  const [y0, y1] = readSide(parameters, 'y', 'h', zero.y, scale.y)
  const { width, height } = geometry.size
  const inside = intersect({ x0, y0, x1, y1 }, { x0: 0, y0: 0, x1: width, y1: height })
  if (inside.x0 < inside.x1 && inside.y0 < inside.y1) return { x0, y0, x1, y1 }
  throw new NotFoundError(
    `The rectangle lies outside the mosaic of ${width} × ${height} px, which spans ${spanOf(geometry)}.`,
  )
}

/** As `readRectangle`; undefined where none of its numbers is given. */
export function readOptionalRectangle(parameters: Parameters, geometry: MosaicGeometry): Rect | undefined {
  const isGiven = ['x', 'y', 'w', 'h'].some(name => parameters[name] !== undefined)
  return isGiven ? readRectangle(parameters, geometry) : undefined
}

/** The first pixel of a side, and the one behind its last. */
function readSide(
  parameters: Parameters,
  startName: string,
  lengthName: string,
  zero: number,
  scale: number,
): [first: number, end: number] {
  const start = (requireNumber(parameters, startName) - zero) / scale
  const length = requireNumber(parameters, lengthName) / scale
  if (!(length > 0)) throw new UsageError(`The parameter ${lengthName} must be above 0.`)
  if (length > MAX_EDGE) {
    throw new UsageError(`The parameter ${lengthName} spans more than ${MAX_EDGE} px, which no mosaic has.`)
  }
  const first = Math.ceil(start - CENTRE_TOLERANCE_PX)
  const end = Math.ceil(start + length - CENTRE_TOLERANCE_PX)
  if (end > first) return [first, end]
  throw new UsageError(`The parameters ${startName} and ${lengthName} name a strip that no pixel's centre lies in.`)
}

function spanOf({ originUm, pixelSizeUm, size }: MosaicGeometry): string {
  const side = (zero: number, scale: number, count: number): string =>
    `${(zero - scale / 2).toFixed(2)} to ${(zero + (count - 0.5) * scale).toFixed(2)} µm`
  return `${side(originUm.x, pixelSizeUm.x, size.width)} in x and ${side(originUm.y, pixelSizeUm.y, size.height)} in y`
}

/** The level to read; 0 where none is given. @throws {NotFoundError} there is no such level. */
export function readLevel(parameters: Parameters, { levelCount }: MosaicGeometry): number | undefined {
  const level = readInteger(parameters, 'level')
  if (level === undefined || (level >= 0 && level < levelCount)) return level
  throw new NotFoundError(`There is no level ${level}; 0 (full resolution) to ${levelCount - 1} exist.`)
}

/**
 * The pixels of a level whose centres lie in a level-0 rectangle, cut to the array. At the mosaic's right and lower
 * border a coarse pixel may reach beyond it, and belongs to what ends there.
 */
export function pixelsOfLevel(geometry: MosaicGeometry, level: number, rect: Rect): Rect {
  const scale = 2 ** level
  const { width, height } = levelSize(geometry, level)
  const near = (edge: number): number => Math.max(0, Math.ceil(edge / scale - 0.5))
  return {
    x0: near(rect.x0),
    y0: near(rect.y0),
    x1: rect.x1 >= geometry.size.width ? width : near(rect.x1),
    y1: rect.y1 >= geometry.size.height ? height : near(rect.y1),
  }
}

/** Stage position of the centre of a pixel of a level, µm. */
export function centreUm({ originUm, pixelSizeUm }: MosaicGeometry, level: number, pixel: Lengths): Lengths {
  const scale = 2 ** level
  return {
    x: originUm.x + ((pixel.x + 0.5) * scale - 0.5) * pixelSizeUm.x,
    y: originUm.y + ((pixel.y + 0.5) * scale - 0.5) * pixelSizeUm.y,
  }
}
