import { join } from 'node:path'
import { CorruptDataError } from '../errors.js'
import type { Rect, Size } from '../plane.js'
import type { ItemColumn, ItemValue, SeriesItems } from '../sources/frame-source.js'
import { ITEMS_FILE, type SideFile } from './pyramid-record.js'
import { parseJson, readSideFile } from './side-file.js'

/** Images that lie side by side in a mosaic: where they are, and which table tells of them. */
export interface ItemsRecord extends Size {
  readonly count: number
  /** How many lie side by side. */
  readonly columns: number
  /** Upper left corner of the first one, level-0 px. */
  readonly x: number
  readonly y: number
  /** Absent where nothing but their numbers is known. */
  readonly table?: SideFile & { readonly columns: readonly string[] }
}

/** The text of a table in a pyramid. */
export function writeItemTable(columns: readonly ItemColumn[]): string {
  return `{"columns": [\n${columns.map(column => JSON.stringify(column)).join(',\n')}\n]}\n`
}

/** Whether series of images have them at the same places, so that one index holds for all. */
export function areAlike(a: SeriesItems, b: SeriesItems): boolean {
  return a.count === b.count && a.columns === b.columns && a.width === b.width && a.height === b.height
}

/** The images of a stack in an open pyramid. */
export class PyramidItems {
  readonly record: ItemsRecord
  readonly #folder: string
  #table: Promise<ItemTable> | undefined

  /** @param folder of the pyramid. */
  constructor(folder: string, record: ItemsRecord) {
    this.#folder = folder
    this.record = record
  }

  /** Where an image lies, level-0 px. */
  rect(n: number): Rect {
    const { columns, width, height, x, y } = this.record
    const x0 = x + (n % columns) * width
    const y0 = y + Math.floor(n / columns) * height
    return { x0, y0, x1: x0 + width, y1: y0 + height }
  }

  /** The number of the image that a level-0 pixel belongs to; undefined where there is none. */
  at(pixel: { readonly x: number; readonly y: number }): number | undefined {
    const { count, columns, width, height, x, y } = this.record
    const column = Math.floor((pixel.x - x) / width)
    const row = Math.floor((pixel.y - y) / height)
    const n = row * columns + column
    return column >= 0 && column < columns && row >= 0 && n < count ? n : undefined
  }

  /**
   * What is known of the images; read when it is first asked for.
   *
   * @returns undefined where there is no table.
   * @throws {CorruptDataError | NotFoundError | SourceUnavailableError} the table is damaged or cannot be read.
   */
  async table(): Promise<ItemTable | undefined> {
    const { table, count } = this.record
    if (!table) return undefined
    this.#table ??= readItemTable(join(this.#folder, ITEMS_FILE), table, count)
    this.#table.catch(() => {
      this.#table = undefined
    })
    return this.#table
  }
}

/** Most different values of a column that are counted. */
const MAX_VALUES = 1000

/** What a column holds. */
export interface ColumnSummary {
  readonly name: string
  readonly kind: 'text' | 'number' | 'boolean' | 'mixed'
  /** How often each value occurs, the most frequent first; undefined where there are too many. */
  readonly values: readonly { readonly value: ItemValue; readonly count: number }[] | undefined
}

/** A row for each image. */
export class ItemTable {
  readonly #columns: readonly ItemColumn[]
  #summaries: readonly ColumnSummary[] | undefined

  constructor(columns: readonly ItemColumn[]) {
    this.#columns = columns
  }

  /** What is known of an image. */
  row(n: number): Record<string, ItemValue> {
    return Object.fromEntries(this.#columns.map(({ name, values }) => [name, values[n]]))
  }

  /** The values of a column; undefined where there is none of that name. */
  column(name: string): readonly ItemValue[] | undefined {
    return this.#columns.find(column => column.name === name)?.values
  }

  get names(): readonly string[] {
    return this.#columns.map(({ name }) => name)
  }

  /** Of each column; made once. */
  get summaries(): readonly ColumnSummary[] {
    this.#summaries ??= this.#columns.map(summarise)
    return this.#summaries
  }
}

function summarise({ name, values }: ItemColumn): ColumnSummary {
  const kinds = new Set(values.filter(value => value !== null).map(value => typeof value))
  const [kind = 'string', other] = kinds
  const counts = new Map<ItemValue, number>()
  for (const value of values) {
    counts.set(value, (counts.get(value) ?? 0) + 1)
    if (counts.size > MAX_VALUES) break
  }
  return {
    name,
    kind: other ? 'mixed' : kind === 'string' ? 'text' : (kind as 'number' | 'boolean'),
    values:
      counts.size > MAX_VALUES
        ? undefined
        : [...counts].map(([value, count]) => ({ value, count })).sort((a, b) => b.count - a.count),
  }
}

async function readItemTable(url: string, file: SideFile, count: number): Promise<ItemTable> {
  const stored = parseJson(await readSideFile(url, file), url) as { columns?: unknown } | null
  const columns = stored?.columns as readonly ItemColumn[] | undefined
  const isColumn = ({ name, values }: ItemColumn): boolean =>
    typeof name === 'string' && Array.isArray(values) && values.length === count
  if (
    Array.isArray(columns) &&
    columns.every(column => typeof column === 'object' && column !== null && isColumn(column))
  )
    return new ItemTable(columns)
  throw new CorruptDataError(`${url} is damaged: it has not a value for each of ${count} images.`, { url })
}
