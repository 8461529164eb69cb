import { LimitExceededError, UsageError } from '../../errors.js'
import { readRoi } from './read-roi.js'
import { MAX_ROIS, type RoiShape } from './roi.js'

/** What a column may be called: as we write it, as PYME does, and as people do. */
const NAMES = {
  x: ['x_um', 'x', 'x (um)', 'x (µm)'],
  y: ['y_um', 'y', 'y (um)', 'y (µm)'],
  w: ['w_um', 'w', 'width_um', 'width'],
  h: ['h_um', 'h', 'height_um', 'height'],
  name: ['name', 'label'],
} as const

type Field = keyof typeof NAMES

/**
 * The ROIs of a table, µm; columns that mean nothing here are left alone.
 *
 * @param headings of the columns. @param valueAt the value in a row and column.
 * @param lineOf what a row is called in messages.
 * @throws {UsageError} no columns of x and y, or as `readRoi`. @throws {LimitExceededError} too many rows.
 */
export function roisOfTable(
  headings: readonly string[],
  rowCount: number,
  valueAt: (row: number, column: number) => unknown,
  lineOf: (row: number) => string,
): RoiShape[] {
  if (rowCount > MAX_ROIS) {
    throw new LimitExceededError(`The table has ${rowCount} rows; a list holds up to ${MAX_ROIS} ROIs.`)
  }
  const columns = findColumns(headings)
  if (!columns.has('x') || !columns.has('y')) {
    throw new UsageError(
      `The table has no columns x_um and y_um; ${headings.length === 0 ? 'it is empty' : `there are ${shorten(headings)}`}.`,
    )
  }
  return Array.from({ length: rowCount }, (_, row) => {
    const fields: Record<string, unknown> = {}
    for (const [field, column] of columns) fields[field] = valueAt(row, column)
    return readRoi(fields, lineOf(row))
  })
}

function findColumns(headings: readonly string[]): Map<Field, number> {
  // numpy writes its headings as a comment.
  const found = headings.map(heading => heading.replace(/^#/, '').trim().toLowerCase())
  const columns = new Map<Field, number>()
  for (const field of Object.keys(NAMES) as Field[]) {
    const name = NAMES[field].find(candidate => found.includes(candidate))
    if (name !== undefined) columns.set(field, found.indexOf(name))
  }
  return columns
}

function shorten(headings: readonly string[]): string {
  const text = headings.slice(0, 8).join(', ')
  return text.length > 80 ? `${text.slice(0, 80)}…` : text
}
