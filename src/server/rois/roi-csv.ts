import { CsvError, parse } from 'csv-parse/sync'
import { UsageError } from '../../errors.js'
import { csvField, textOfCsvField } from '../http/csv-field.js'
import { MAX_ROIS, type RoiShape } from './roi.js'
import { roisOfTable } from './roi-columns.js'

/**
 * The ROIs of a CSV table; its first line names the columns.
 *
 * @throws {UsageError} no table, or as `roisOfTable`. @throws {LimitExceededError} too many rows.
 */
export function parseRoiCsv(text: string): RoiShape[] {
  const [headings = [], ...rows] = parseLines(text)
  return roisOfTable(
    headings,
    rows.length,
    (row, column) => textOfCsvField(rows[row][column] ?? ''),
    row => `Row ${row + 1}`,
  )
}

function parseLines(text: string): string[][] {
  try {
    return parse(text, {
      bom: true,
      trim: true,
      skip_empty_lines: true,
      relax_column_count: true,
      // One more than may be, so that it shows.
      to: MAX_ROIS + 2,
    })
  } catch (error) {
    if (!(error instanceof CsvError)) throw error
    throw new UsageError(`The table is no CSV: ${error.message}.`)
  }
}

/** The ROIs as a CSV table, µm; points have no size. */
export function formatRoiCsv(rois: readonly RoiShape[]): string {
  const lines = rois.map(({ x, y, w = '', h = '', name = '' }) => `${x},${y},${w},${h},${csvField(name)}\r\n`)
  return `x_um,y_um,w_um,h_um,name\r\n${lines.join('')}`
}
