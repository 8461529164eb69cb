import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fromSystemError, systemCode, UnsupportedDataError } from '../errors.js'
import { makeFolder } from '../pyramid/make-folder.js'

/** An object of an export: a file, or what a bucket keeps under a name. */
export interface ExportObject {
  /** Below the target's folder, with slashes. */
  readonly name: string
  /** Its bytes; asked for only where they are not there yet. */
  make(): Promise<Uint8Array>
}

interface ListedObject {
  readonly name: string
  readonly bytes: number
}

/** Objects under way at once: enough to hide the answer times of a bucket. */
const WRITES_AT_ONCE = 8

/** An export that is killed does so many objects again at most. */
const OBJECTS_A_LIST = 500

const LISTS_FOLDER = '.tilestage'

/**
 * The folder that an export is written to, which may be a mounted bucket: every object is written whole and once,
 * nothing is renamed, and times of files do not matter. What is there already is known from lists that are written
 * between the objects, each list an object of its own: so an export goes on where it was stopped, and one of nothing
 * new writes nothing.
 */
export class ExportTarget {
  /** What was done by now. */
  written = 0
  writtenBytes = 0
  /** Objects that were there already. */
  kept = 0
  readonly #folder: string
  readonly #lists: string
  readonly #listed = new Map<string, number>()
  #unlisted: ListedObject[] = []
  #listNumber = 0

  private constructor(folder: string, lists: string) {
    this.#folder = folder
    this.#lists = lists
  }

  /**
   * @param name of the export, different from that of others in the same folder.
   * @param content what the objects are made of: the same means the same bytes.
   * @param owned a folder in which nothing else may lie: what is missing there means something.
   * @throws {SourceUnavailableError} the folder cannot be used.
   * @throws {UnsupportedDataError} there is something in the owned folder that no export wrote.
   */
  static async open(folder: string, name: string, content: string, owned?: string): Promise<ExportTarget> {
    const key = hashOf(content)
    const lists = join(folder, LISTS_FOLDER, name)
    const target = new ExportTarget(folder, join(lists, key))
    const known = await namesIn(lists)
    if (owned !== undefined && !known.includes(key)) await target.#takeOver(owned, known.length > 0)
    // Lists of other contents would be wrong as soon as one of their objects is written anew.
    for (const other of known) if (other !== key) await target.remove(join(LISTS_FOLDER, name, other))
    await target.#readLists()
    return target
  }

  /** @param isOurs whether an earlier export wrote what is there. */
  async #takeOver(owned: string, isOurs: boolean): Promise<void> {
    const found = (await this.names(owned)).length
    if (found > 0 && !isOurs) {
      const url = join(this.#folder, owned)
      throw new UnsupportedDataError(
        `${url} is there already and was not written by an export; write elsewhere with --to, or remove it.`,
        { url },
      )
    }
    await this.remove(owned)
    // From now on it is known whose it is.
    await this.#writeList()
  }

  /** Write an object unless it is there. @throws {SourceUnavailableError} the target refused it. */
  async put({ name, make }: ExportObject): Promise<void> {
    if (await this.#isThere(name)) {
      this.kept++
      return
    }
    const bytes = await make()
    try {
      await this.#write(name, bytes)
    } catch (error) {
      // A part of it is of no use, and its room may be wanted for the list.
      await rm(join(this.#folder, name), { force: true }).catch(() => undefined)
      throw error
    }
    await this.#list({ name, bytes: bytes.byteLength })
  }

  /** The same for many objects, several at once. @param signal stops between two objects. */
  async putAll(objects: Iterable<ExportObject>, signal: AbortSignal, onDone: () => void): Promise<void> {
    const waiting = objects[Symbol.iterator]()
    let isStopped = false
    const work = async (): Promise<void> => {
      for (let next = waiting.next(); !next.done && !isStopped; next = waiting.next()) {
        signal.throwIfAborted()
        await this.put(next.value)
        onDone()
      }
    }
    const workers = Array.from({ length: WRITES_AT_ONCE }, () =>
      work().catch(error => {
        isStopped = true
        throw error
      }),
    )
    // Nothing goes on behind the caller's back.
    const failed = (await Promise.allSettled(workers)).find(result => result.status === 'rejected')
    if (failed) throw failed.reason
  }

  /** Write a small object unless one of the same bytes is there. @throws {SourceUnavailableError} the target refused it. */
  async putSmall(name: string, content: Uint8Array | string): Promise<void> {
    const bytes = Buffer.from(content)
    const present = await readFile(join(this.#folder, name)).catch(() => undefined)
    if (present?.equals(bytes)) this.kept++
    else await this.#write(name, bytes)
  }

  /**
   * Write a large object unless it is there.
   *
   * @param make writes it to a file of this machine, from which it goes to the target from its first byte to its last.
   * @throws {SourceUnavailableError} the target refused it.
   */
  async putLarge(name: string, make: (path: string) => Promise<void>): Promise<void> {
    if (await this.#isThere(name)) {
      this.kept++
      return
    }
    const scratch = await mkdtemp(join(tmpdir(), 'tilestage-'))
    try {
      const path = join(scratch, 'object')
      await make(path)
      const bytes = (await stat(path)).size
      await this.#write(name, createReadStream(path), bytes)
      await this.#list({ name, bytes })
    } finally {
      await rm(scratch, { recursive: true, force: true })
    }
  }

  /** What was done, as a report has it. */
  get done(): { written: number; writtenBytes: number; kept: number } {
    const { written, writtenBytes, kept } = this
    return { written, writtenBytes, kept }
  }

  /** Names of the folders and files in a folder of the target; none where there is no such folder. */
  names(folder: string): Promise<string[]> {
    return namesIn(join(this.#folder, folder))
  }

  /** Remove a file or folder with all that it holds. */
  async remove(name: string): Promise<void> {
    const path = join(this.#folder, name)
    await rm(path, { recursive: true, force: true }).catch(error => {
      throw fromSystemError(error, path)
    })
  }

  /** Note down what was written. */
  async finish(): Promise<void> {
    if (this.#unlisted.length > 0) await this.#writeList()
  }

  /** The same where it is possible, for an export that failed. */
  async abandon(): Promise<void> {
    await this.finish().catch(() => undefined)
  }

  async #isThere(name: string): Promise<boolean> {
    const bytes = this.#listed.get(name)
    if (bytes === undefined) return false
    const present = await stat(join(this.#folder, name)).catch(() => undefined)
    return present?.size === bytes
  }

  async #write(name: string, content: Uint8Array | NodeJS.ReadableStream, bytes?: number): Promise<void> {
    const path = join(this.#folder, name)
    await makeFolder(dirname(path))
    try {
      await writeFile(path, content)
    } catch (error) {
      throw fromSystemError(error, path)
    }
    this.written++
    this.writtenBytes += bytes ?? (content as Uint8Array).byteLength
  }

  async #list(object: ListedObject): Promise<void> {
    this.#listed.set(object.name, object.bytes)
    this.#unlisted.push(object)
    if (this.#unlisted.length >= OBJECTS_A_LIST) await this.#writeList()
  }

  async #writeList(): Promise<void> {
    const objects = this.#unlisted
    this.#unlisted = []
    const path = join(this.#lists, `${String(++this.#listNumber).padStart(6, '0')}.json`)
    await makeFolder(dirname(path))
    try {
      await writeFile(path, JSON.stringify(objects))
    } catch (error) {
      throw fromSystemError(error, path)
    }
  }

  async #readLists(): Promise<void> {
    for (const file of (await namesIn(this.#lists)).sort()) {
      this.#listNumber = Math.max(this.#listNumber, Number.parseInt(file, 10) || 0)
      for (const { name, bytes } of await readList(join(this.#lists, file))) this.#listed.set(name, bytes)
    }
  }
}

/** A list that was not written to its end tells nothing: its objects are made again. */
async function readList(path: string): Promise<ListedObject[]> {
  try {
    const objects: unknown = JSON.parse(await readFile(path, 'utf8'))
    return Array.isArray(objects) ? objects.filter(isListed) : []
  } catch (error) {
    if (error instanceof SyntaxError) return []
    throw fromSystemError(error, path)
  }
}

function isListed(value: unknown): value is ListedObject {
  const { name, bytes } = (value ?? {}) as Partial<ListedObject>
  return typeof name === 'string' && typeof bytes === 'number'
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return []
    throw fromSystemError(error, folder)
  }
}

/** Sixteen hex digits that stand for a text or for bytes. */
export function hashOf(...contents: readonly (Uint8Array | string)[]): string {
  const hash = createHash('sha256')
  for (const content of contents) hash.update(content).update('\0')
  return hash.digest('hex').slice(0, 16)
}
