import { createHash } from 'node:crypto'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fromSystemError, LimitExceededError, UnsupportedDataError } from '../errors.js'
import type { Rect } from '../plane.js'
import { mapConcurrently } from '../sources/map-concurrently.js'
import type { TileAddress } from './mosaic-geometry.js'
import { PYME_TILE_FORMATS, UNREADABLE_TILE_FORMATS } from './pyme-tile-formats.js'

/** A plate of 1,536 wells at 0.3 µm per pixel has about a million tiles. */
const MAX_ENTRIES = 5_000_000

const FOLDERS_AT_ONCE = 16

/** PYME's name schemes. Both are folders of columns in folders of levels; the newer one puts a z-plane between them. */
export interface TileNaming {
  /** Path of a tile below the pyramid's folder, without the ending that names its format. */
  readonly nameOf: (address: TileAddress) => string
  /** Folder of the columns of level 0. */
  readonly columnsFolder: string
  /** The row in a file's name, as the first group. */
  readonly filePattern: (columnName: string) => RegExp
}

const number = (index: number): string => String(index).padStart(3, '0')

/** The newer scheme, which PYME writes since July 2026. */
export const NEW_NAMING: TileNaming = {
  nameOf: ({ level, column, row }) => join(String(level), '000', number(column), `${number(row)}_img`),
  columnsFolder: join('0', '000'),
  filePattern: () => /^(\d{3,7})_img(\.\w+)$/,
}

const LEGACY_NAMING: TileNaming = {
  nameOf: ({ level, column, row }) => join(String(level), number(column), `${number(column)}_${number(row)}_img`),
  columnsFolder: '0',
  filePattern: columnName => new RegExp(`^${columnName}_(\\d{3,7})_img(\\.\\w+)$`),
}

/** `NEW_NAMING` in PYME's words. */
export const NEW_KEY_SCHEMA = '{level:d}/{z:03d}/{x:03d}/{y:03d}_{suff}{ext}'

const plainSchema = (schema: string): string => schema.replaceAll(':d}', '}')

const SCHEMES: ReadonlyMap<unknown, TileNaming> = new Map([
  [plainSchema(NEW_KEY_SCHEMA), NEW_NAMING],
  ['{level}/{x:03d}/{x:03d}_{y:03d}_{suff}{ext}', LEGACY_NAMING],
])

/**
 * The name scheme that `Pyramid.KeySchema` stands for; a pyramid that does not name one is of the older kind.
 *
 * @throws {UnsupportedDataError} neither of PYME's two schemes.
 */
export function tileNaming(keySchema: unknown, url: string): TileNaming {
  if (keySchema === undefined) return LEGACY_NAMING
  const naming = SCHEMES.get(typeof keySchema === 'string' ? plainSchema(keySchema) : keySchema)
  if (naming) return naming
  throw new UnsupportedDataError(
    `${url} names its tiles by ${JSON.stringify(keySchema)}; ${[...SCHEMES.keys()].join(' and ')} are read.`,
    { url },
  )
}

/** The level-0 tiles that lie on disk. */
export interface TileListing {
  /** Ascending rows by column, columns ascending. */
  readonly rowsByColumn: ReadonlyMap<number, readonly number[]>
  /** The ending of their names, a key of `PYME_TILE_FORMATS`; undefined where there are no tiles. */
  readonly extension: string | undefined
  /** Changes when a tile is added, removed or replaced by renaming. */
  readonly fingerprint: string
}

/**
 * List the level-0 tiles of a PYME pyramid.
 *
 * PYME reads tiles of the format that a walk through the folders meets first; here tiles of two formats are refused, for
 * which of them are meant depends on the order in which the disk lists them.
 *
 * @throws {UnsupportedDataError} more than one z-plane, or tiles of two formats or of one that is not read.
 * @throws {LimitExceededError} more than five million entries.
 */
export async function listTiles(folder: string, naming: TileNaming): Promise<TileListing> {
  await refuseDatabase(folder)
  if (naming === NEW_NAMING) await refuseZPlanes(join(folder, '0'))
  const columnsFolder = join(folder, naming.columnsFolder)
  const columnNames = (await readFolder(columnsFolder)).filter(name => /^\d{3,7}$/.test(name)).sort(byNumber)
  const hash = createHash('sha256')
  let entries = columnNames.length
  const columns = await mapConcurrently(columnNames, FOLDERS_AT_ONCE, async name => {
    const columnFolder = join(columnsFolder, name)
    const files = await readFolder(columnFolder)
    entries += files.length
    if (entries > MAX_ENTRIES) {
      throw new LimitExceededError(
        `${folder} holds more than ${MAX_ENTRIES} files; larger PYME pyramids are not read.`,
        {
          url: folder,
        },
      )
    }
    return { name, ...tilesIn(files, naming.filePattern(name), columnFolder), mtimeMs: await folderTime(columnFolder) }
  })
  for (const { name, rows, mtimeMs } of columns) hash.update(`${name} ${mtimeMs} ${rows.join(',')}\n`)
  const [extension, other] = new Set(columns.flatMap(({ extensions }) => [...extensions]))
  if (other !== undefined) {
    throw new UnsupportedDataError(
      `${folder} holds ${extension} tiles and ${other} tiles; a PYME pyramid has one kind, so take away those that are not meant.`,
      { url: folder },
    )
  }
  return {
    extension,
    rowsByColumn: new Map(columns.filter(({ rows }) => rows.length > 0).map(({ name, rows }) => [Number(name), rows])),
    fingerprint: hash.digest('hex'),
  }
}

async function refuseZPlanes(levelFolder: string): Promise<void> {
  const planes = (await readFolder(levelFolder)).filter(name => /^\d{3,}$/.test(name))
  if (planes.length > 1) {
    throw new UnsupportedDataError(
      `${levelFolder} holds ${planes.length} z-planes; PYME pyramids of one plane are read.`,
      {
        url: levelFolder,
      },
    )
  }
}

/** PYME's database of tiles has no folders. */
async function refuseDatabase(folder: string): Promise<void> {
  const names = await readFolder(folder)
  if (names.includes('img.db') && !names.includes('0')) throw unreadable(join(folder, 'img.db'), '.db')
}

function unreadable(url: string, extension: string): UnsupportedDataError {
  const found = UNREADABLE_TILE_FORMATS.get(extension) ?? `a ${extension} tile`
  return new UnsupportedDataError(
    `${url} is ${found}; PYME pyramids of ${[...PYME_TILE_FORMATS.keys()].join(' and ')} tiles are read.`,
    { url },
  )
}

/** Rows and endings of the tiles; PYME's side files (`acc`, `occ`) and whatever else lies there is left out. */
function tilesIn(
  files: readonly string[],
  pattern: RegExp,
  folder: string,
): { readonly rows: readonly number[]; readonly extensions: ReadonlySet<string> } {
  const rows = new Set<number>()
  const extensions = new Set<string>()
  for (const file of files) {
    const match = pattern.exec(file)
    if (match === null) continue
    if (!PYME_TILE_FORMATS.has(match[2])) throw unreadable(join(folder, file), match[2])
    rows.add(Number(match[1]))
    extensions.add(match[2])
  }
  return { rows: [...rows].sort((a, b) => a - b), extensions }
}

const byNumber = (a: string, b: string): number => Number(a) - Number(b)

async function readFolder(path: string): Promise<string[]> {
  try {
    return await readdir(path)
  } catch (error) {
    throw fromSystemError(error, path)
  }
}

async function folderTime(path: string): Promise<number> {
  try {
    return (await stat(path)).mtimeMs
  } catch (error) {
    throw fromSystemError(error, path)
  }
}

/** The tiles as few rectangles, px: runs down a column, each joined with an equal run of the column before. */
export function rectsOfTiles({ rowsByColumn }: TileListing, tileSize: number): Rect[] {
  const finished: Rect[] = []
  let growing = new Map<string, Rect>()
  for (const [column, rows] of rowsByColumn) {
    const x0 = column * tileSize
    const next = new Map<string, Rect>()
    for (const { first, last } of consecutiveRuns(rows)) {
      const key = `${first}-${last}`
      const before = growing.get(key)
      const joins = before !== undefined && before.x1 === x0
      if (joins) growing.delete(key)
      next.set(key, {
        x0: joins ? before.x0 : x0,
        y0: first * tileSize,
        x1: x0 + tileSize,
        y1: (last + 1) * tileSize,
      })
    }
    finished.push(...growing.values())
    growing = next
  }
  return [...finished, ...growing.values()]
}

function* consecutiveRuns(rows: readonly number[]): Generator<{ first: number; last: number }> {
  for (let start = 0, i = 1; i <= rows.length; i++) {
    if (i < rows.length && rows[i] === rows[i - 1] + 1) continue
    yield { first: rows[start], last: rows[i - 1] }
    start = i
  }
}
