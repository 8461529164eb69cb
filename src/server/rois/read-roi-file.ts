import { extname } from 'node:path'
import { CorruptDataError, LimitExceededError, NotFoundError, UnsupportedDataError, UsageError } from '../../errors.js'
import { Hdf5File } from '../../sources/hdf5/hdf5-file.js'
import { readFileBytes } from '../../sources/read-file.js'
import { readRois } from './read-roi.js'
import { MAX_ROIS, type RoiShape } from './roi.js'
import { roisOfTable } from './roi-columns.js'
import { parseRoiCsv } from './roi-csv.js'

const MAX_TEXT_BYTES = 8 * 2 ** 20

/** The table that PYME's detection recipes write. */
const PYME_TABLE = 'roi_locations'

export type RoiFileFormat = 'hdf5' | 'csv' | 'json'

const FORMATS: Readonly<Record<string, RoiFileFormat>> = {
  '.hdf': 'hdf5',
  '.h5': 'hdf5',
  '.hdf5': 'hdf5',
  '.csv': 'csv',
  '.json': 'json',
}

/** @throws {UnsupportedDataError} the name says that it is none of the formats that are read. */
export function formatOfName(path: string): RoiFileFormat {
  const format = FORMATS[extname(path).toLowerCase()]
  if (format !== undefined) return format
  throw new UnsupportedDataError(
    `${path} has no extension of a list of ROIs; ${Object.keys(FORMATS).join(', ')} are read.`,
    { url: path },
  )
}

/**
 * Read ROIs from a file on this machine.
 *
 * @param format `csv` and `json` as they are sent to `/pyramids/{id}/rois`; `hdf5` a table with columns x_um and y_um.
 * @param table of an HDF5 file.
 * @throws {NotFoundError} no such file, or no such table in it. @throws {CorruptDataError} no ROIs are in it.
 * @throws {UnsupportedDataError | LimitExceededError | SourceUnavailableError} as the readers of files.
 */
export async function readRoiFile(path: string, format: RoiFileFormat, table = PYME_TABLE): Promise<RoiShape[]> {
  try {
    if (format === 'hdf5') return await readHdf5Table(path, table)
    const text = new TextDecoder().decode(await readFileBytes(path, { maxBytes: MAX_TEXT_BYTES }))
    return format === 'csv' ? parseRoiCsv(text) : readRois(parseJson(text))
  } catch (error) {
    // Whoever named the file did not write what is wrong in it.
    if (error instanceof UsageError) throw new CorruptDataError(`${path}: ${error.message}`, { url: path })
    throw error
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new UsageError('The file is no JSON.')
  }
}

async function readHdf5Table(path: string, table: string): Promise<RoiShape[]> {
  // No other file is read as a part of it.
  const file = new Hdf5File(path, { roots: [] })
  const at = table.startsWith('/') ? table : `/${table}`
  const object = await file.describe(at, 0)
  if (object.kind !== 'dataset' || object.shape?.length !== 1) {
    throw new NotFoundError(`${path}: ${table} is no table.`, { url: path })
  }
  const [rowCount] = object.shape as [number]
  if (rowCount > MAX_ROIS) {
    throw new LimitExceededError(`${path}: ${table} has ${rowCount} rows; a list holds up to ${MAX_ROIS} ROIs.`, {
      url: path,
    })
  }
  const columns = [...(await file.readTable(at, 0, rowCount))]
  return roisOfTable(
    columns.map(([name]) => name),
    rowCount,
    (row, column) => columns[column][1][row],
    row => `Row ${row + 1} of ${table}`,
  )
}
