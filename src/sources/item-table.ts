import { createReadStream, existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { CsvError, parse } from 'csv-parse'
import { CorruptDataError, fromSystemError, LimitExceededError, UnsupportedDataError } from '../errors.js'
import { examineFile } from './file-version.js'
import type { ItemColumn, ItemValue } from './frame-source.js'
import { openFile } from './read-file.js'

const MAX_BYTES = 200 * 2 ** 20
const MAX_COLUMNS = 1000

const ENDINGS = ['.ndjson', '.jsonl', '.csv']

/** A table with a row for each image of a stack, in their order. */
export interface ItemTable {
  readonly path: string
  readonly stamp: string
  readonly columns: readonly ItemColumn[]
  /** Sentences about what was left out. */
  readonly problems: readonly string[]
}

/** The table of that name, if there is one. @param base path without an ending. */
export function findItemTable(base: string): string | undefined {
  return ENDINGS.map(ending => base + ending).find(path => existsSync(path))
}

/**
 * Read a table with a row for each image: `.ndjson` or `.jsonl` with an object a line, or `.csv` whose first line names the
 * columns. Columns that hold lists or objects are left out. In a CSV, a column is of numbers where every field is one;
 * empty fields are null.
 *
 * @param count how many rows it must have.
 * @throws {UnsupportedDataError} another kind of file, or another number of rows. @throws {CorruptDataError} no table.
 * @throws {LimitExceededError} too long, or too many columns. @throws {NotFoundError | SourceUnavailableError} it cannot be read.
 */
export async function readItemTable(path: string, count: number): Promise<ItemTable> {
  const ending = ENDINGS.find(each => path.toLowerCase().endsWith(each))
  if (!ending) throw new UnsupportedDataError(`${path} is no table; ${ENDINGS.join(', ')} are read.`, { url: path })
  const { stamp } = examineFile(path)
  const { file, size } = await openFile(path)
  await file.close()
  if (size > MAX_BYTES)
    throw new LimitExceededError(`${path} has ${size} bytes; a table of up to ${MAX_BYTES} is read.`, { url: path })
  const table = new GrowingTable(path, count)
  try {
    if (ending === '.csv') await readCsv(path, table)
    else await readLines(path, table)
  } catch (error) {
    if (error instanceof CsvError)
      throw new CorruptDataError(`${path} is no CSV: ${error.message}.`, { url: path, cause: error })
    throw fromSystemError(error, path)
  }
  if (table.rows !== count) {
    throw new UnsupportedDataError(`${path} has ${table.rows} rows for ${count} images; a row for each is needed.`, {
      url: path,
    })
  }
  const left = table.nested
  const problems =
    left.length === 0
      ? []
      : [
          `${path}: ${left.join(', ')} ${left.length === 1 ? 'is' : 'are'} left out, for lists and objects are not shown.`,
        ]
  return { path, stamp, columns: ending === '.csv' ? table.columns.map(typed) : table.columns, problems }
}

/** Rows that are taken apart into columns; those beyond the last image are only counted. */
class GrowingTable {
  rows = 0
  readonly #path: string
  readonly #count: number
  readonly #columns = new Map<string, ItemValue[]>()
  readonly #nested = new Set<string>()

  constructor(path: string, count: number) {
    this.#path = path
    this.#count = count
  }

  add(fields: Iterable<readonly [name: string, value: unknown]>): void {
    const row = this.rows++
    if (row >= this.#count) return
    for (const [name, value] of fields) {
      if (this.#nested.has(name)) continue
      if (typeof value === 'object' && value !== null) {
        this.#nested.add(name)
        this.#columns.delete(name)
        continue
      }
      let values = this.#columns.get(name)
      if (!values) {
        if (this.#columns.size === MAX_COLUMNS)
          throw new LimitExceededError(`${this.#path} has more than ${MAX_COLUMNS} columns.`, { url: this.#path })
        values = new Array<ItemValue>(this.#count).fill(null)
        this.#columns.set(name, values)
      }
      values[row] = value as ItemValue
    }
  }

  get columns(): ItemColumn[] {
    return [...this.#columns].map(([name, values]) => ({ name, values }))
  }

  /** Names of the columns that were left out. */
  get nested(): string[] {
    return [...this.#nested]
  }
}

async function readLines(path: string, table: GrowingTable): Promise<void> {
  const input = createReadStream(path)
  let number = 0
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    number++
    const text = number === 1 ? line.replace(/^\uFEFF/, '') : line
    if (text.trim() === '') continue
    table.add(Object.entries(parseLine(text, path, number)))
  }
  if (input.errored) throw input.errored
}

function parseLine(text: string, path: string, number: number): object {
  try {
    const row: unknown = JSON.parse(text)
    if (typeof row === 'object' && row !== null && !Array.isArray(row)) return row
  } catch {
    // As what is no object.
  }
  throw new CorruptDataError(`${path}: line ${number} is no JSON object.`, { url: path })
}

async function readCsv(path: string, table: GrowingTable): Promise<void> {
  const parser = parse({ bom: true, trim: true, skip_empty_lines: true, max_record_size: 2 ** 20 })
  const input = createReadStream(path)
  input.on('error', error => parser.destroy(error))
  let names: readonly string[] | undefined
  for await (const fields of input.pipe(parser) as AsyncIterable<string[]>) {
    if (!names) {
      names = fields
      if (new Set(names).size < names.length)
        throw new CorruptDataError(`${path} has two columns of one name; its first line must name each once.`, {
          url: path,
        })
    } else table.add(names.map((name, i) => [name, fields[i] === '' ? null : fields[i]]))
  }
}

/** A CSV tells no types. Codes such as 007 and keys of more digits than a number holds stay as they are. */
const NUMBER = /^-?(0|[1-9]\d{0,14})(\.\d{1,15})?(e[+-]?\d{1,2})?$/i

function typed({ name, values }: ItemColumn): ItemColumn {
  const isNumber = values.every(value => value === null || NUMBER.test(String(value)))
  return { name, values: isNumber ? values.map(value => (value === null ? null : Number(value))) : values }
}
