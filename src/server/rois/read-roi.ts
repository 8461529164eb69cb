import { UsageError } from '../../errors.js'
import { quote } from '../http/parameters.js'
import type { RoiShape } from './roi.js'

/** A kilometre: beyond any stage, and sums of such numbers are exact to far below a nanometre. */
const LARGEST_UM = 1e9

const MAX_NAME_LENGTH = 100

/**
 * The ROI that an object stands for: `x` and `y`, for a rectangle `w` and `h`, and perhaps a `name`. Numbers may be
 * texts, as they are in forms and tables; other fields are left alone.
 *
 * @param what the object is called in messages.
 * @throws {UsageError} something is missing, or no finite number of µm, or half of a size, or no name.
 */
export function readRoi(fields: Readonly<Record<string, unknown>>, what: string): RoiShape {
  const place = { x: readUm(fields.x, 'x', what, -LARGEST_UM), y: readUm(fields.y, 'y', what, -LARGEST_UM) }
  const name = readName(fields.name, what)
  const [hasWidth, hasHeight] = [isGiven(fields.w), isGiven(fields.h)]
  if (hasWidth !== hasHeight) {
    throw new UsageError(`${what} has ${hasWidth ? 'a width w' : 'a height h'} alone; a rectangle has both.`)
  }
  const size = hasWidth && { w: readUm(fields.w, 'w', what, 0), h: readUm(fields.h, 'h', what, 0) }
  return { ...place, ...size, ...(name !== undefined && { name }) }
}

/**
 * The ROIs of a JSON value: one object, a list of objects or of `[x, y]` pairs as `/get_roi_locations` gives them, or
 * an object with such a list as its `rois`.
 *
 * @returns with the ids that they bring.
 * @throws {UsageError} as `readRoi`.
 */
export function readRois(value: unknown): (RoiShape & { readonly id?: number })[] {
  const list = (value as { rois?: unknown } | null)?.rois ?? value
  return (Array.isArray(list) ? list : [list]).map((entry: unknown, i) => {
    const what = Array.isArray(list) ? `ROI ${i + 1}` : 'The ROI'
    if (Array.isArray(entry) && entry.length === 2) return readRoi({ x: entry[0], y: entry[1] }, what)
    if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) {
      throw new UsageError(`${what} is neither an object with x and y nor a pair of them.`)
    }
    const { id } = entry as { id?: unknown }
    const shape = readRoi(entry as Record<string, unknown>, what)
    return Number.isSafeInteger(id) ? { ...shape, id: id as number } : shape
  })
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null && value !== ''
}

function readUm(value: unknown, field: string, what: string, least: number): number {
  if (!isGiven(value)) throw new UsageError(`${what} has no ${field}.`)
  const isNumber = typeof value === 'string' && /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value)
  const number = isNumber ? Number(value) : value
  if (typeof number === 'number' && number >= least && number <= LARGEST_UM) return number
  const found = typeof value === 'number' ? String(value) : quote(typeof value === 'string' ? value : typeof value)
  throw new UsageError(`${what}: ${field} is ${found}; it must be a number of µm from ${least} to ${LARGEST_UM}.`)
}

function readName(value: unknown, what: string): string | undefined {
  if (!isGiven(value)) return undefined
  if (typeof value !== 'string' || value.length > MAX_NAME_LENGTH || /[\p{Cc}\p{Cs}]/u.test(value)) {
    throw new UsageError(`${what}: the name is no text of up to ${MAX_NAME_LENGTH} characters in one line.`)
  }
  return value
}
