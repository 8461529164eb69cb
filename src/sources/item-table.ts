import { createReadStream, existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { CsvError, parse } from 'csv-parse'
import { CorruptDataError, fromSystemError, LimitExceededError, UnsupportedDataError } from '../errors.js'
import { examineFile } from './file-version.js'
import type { ItemColumn, ItemValue } from './frame-source.js'
import { openFile, readFileHead } from './read-file.js'

const MAX_BYTES = 200 * 2 ** 20
const MAX_COLUMNS = 1000

const ENDINGS = ['.ndjson', '.jsonl', '.csv', '.tsv']
const CSV_ENDING = /\.[ct]sv$/
/** What is looked at to tell how a table is written. */
const HEAD_BYTES = 2 ** 18

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
 * Read a table with a row for each image: `.ndjson` or `.jsonl` with an object a line, or `.csv` or `.tsv` whose first line
 * names the columns, with commas, semicolons or tabs between them. Columns that hold lists or objects are left out. In a
 * CSV, a column is of numbers where every field is one; empty fields are null. Text is UTF-8, or UTF-16 that says so.
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
  const isCsv = CSV_ENDING.test(ending)
  const head = readHead(path)
  const table = new GrowingTable(path, count)
  try {
    if (isCsv) await readCsv(path, head, table)
    else await readLines(path, head, table)
  } catch (error) {
    if (error instanceof CsvError) {
      const [reason] = error.message.replace(/\.$/, '').split(', value is')
      throw new CorruptDataError(`${path} is no CSV: ${reason}.`, { url: path, cause: error })
    }
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
  return { path, stamp, columns: isCsv ? table.columns.map(typed) : table.columns, problems }
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

/** How a table is written. */
interface TableHead {
  readonly encoding: 'utf-8' | 'utf-16le' | 'utf-16be' | 'windows-1252'
  /** The beginning of its text. */
  readonly text: string
}

/** @throws {CorruptDataError} no text. */
function readHead(path: string): TableHead {
  const bytes = readFileHead(path, HEAD_BYTES)
  const [first, second] = bytes
  const decode = (encoding: TableHead['encoding']): TableHead => ({
    encoding,
    text: new TextDecoder(encoding).decode(bytes, { stream: true }),
  })
  if (first === 0xff && second === 0xfe) return decode('utf-16le')
  if (first === 0xfe && second === 0xff) return decode('utf-16be')
  if (bytes.includes(0))
    throw new CorruptDataError(`${path} is no table: it holds bytes of zero, which no text does.`, { url: path })
  try {
    return { encoding: 'utf-8', text: new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true }) }
  } catch {
    // What programs on Windows write where nobody asks for UTF-8.
    return decode('windows-1252')
  }
}

function readText(path: string, { encoding }: TableHead): Readable {
  const decoder = new TextDecoder(encoding)
  const read = async function* (): AsyncGenerator<string> {
    for await (const bytes of createReadStream(path)) yield decoder.decode(bytes as Buffer, { stream: true })
    yield decoder.decode()
  }
  return Readable.from(read())
}

async function readLines(path: string, head: TableHead, table: GrowingTable): Promise<void> {
  const input = readText(path, head)
  let number = 0
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    number++
    if (line.trim() === '') continue
    table.add(Object.entries(parseLine(line, path, number)))
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

async function readCsv(path: string, head: TableHead, table: GrowingTable): Promise<void> {
  const { delimiter, isSaid } = findDelimiter(head)
  const parser = parse({
    ...{ delimiter, trim: true, skip_empty_lines: true, max_record_size: 2 ** 20 },
    from_line: isSaid ? 2 : 1,
  })
  const input = readText(path, head)
  input.on('error', error => parser.destroy(error))
  let names: readonly string[] | undefined
  for await (const fields of input.pipe(parser) as AsyncIterable<string[]>) {
    if (!names) {
      names = nameColumns(fields)
      if (new Set(names).size < names.length)
        throw new CorruptDataError(`${path} has two columns of one name; its first line must name each once.`, {
          url: path,
        })
    } else table.add(names.map((name, i) => [name, fields[i] === '' ? null : fields[i]]))
  }
}

/** What parts the names in the first line, quoted ones aside; Excel's `sep=;` says it in a line of its own. */
function findDelimiter({ text }: TableHead): { readonly delimiter: string; readonly isSaid: boolean } {
  const [line = ''] = text.split(/[\r\n]/, 1)
  const said = /^sep=(.)$/.exec(line)?.[1]
  if (said !== undefined) return { delimiter: said, isSaid: true }
  const bare = line.replace(/"[^"]*"/g, '')
  const counts = [',', ';', '\t'].map(delimiter => ({ delimiter, count: bare.split(delimiter).length }))
  const { delimiter } = counts.reduce((most, one) => (one.count > most.count ? one : most))
  return { delimiter, isSaid: false }
}

/** pandas leaves the name of its index empty, and numpy puts a sign before the first one. */
function nameColumns(fields: readonly string[]): string[] {
  return fields.map((field, i) => (i === 0 ? field.replace(/^#\s*/, '') : field) || `column ${i + 1}`)
}

/** A CSV tells no types. Codes such as 007 and keys of more digits than a number holds stay as they are. */
const NUMBER = /^-?(0|[1-9]\d{0,14})(\.\d+)?(e[+-]?\d{1,3})?$/i
/** What stands in a column of numbers where there is none. */
const NO_NUMBER = /^nan$/i

function typed({ name, values }: ItemColumn): ItemColumn {
  const isMissing = (value: ItemValue): boolean => value === null || NO_NUMBER.test(String(value))
  const isNumber = values.every(value => isMissing(value) || NUMBER.test(String(value)))
  return { name, values: isNumber ? values.map(value => (isMissing(value) ? null : Number(value))) : values }
}
