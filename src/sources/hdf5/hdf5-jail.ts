import fs, { closeSync, constants, fstatSync, openSync, readSync, realpathSync } from 'node:fs'
import { dirname, resolve, sep } from 'node:path'

const WRITES = constants.O_WRONLY | constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC | constants.O_APPEND
/** HDF5 says some thirty lines of each failure; the first ones tell most. */
const MAX_SAID = 20_000

/**
 * What HDF5 may open, and where its complaints go.
 *
 * An HDF5 file can name other files as parts of itself, by external links, external storage and virtual datasets: one
 * that was made to do so would serve any file of this machine as pixels. h5wasm has no switch for that, but opens files
 * through `fs.openSync` of the module object, which is this thread's own. Named imports, as everywhere in our code, do
 * not see the change.
 */
export class Hdf5Jail {
  /** Real path of a folder that is always open. */
  readonly #pluginFolder: string
  readonly #workingFolder = process.cwd()
  #path = ''
  /** Its real path. */
  #file = ''
  #roots: readonly string[] = []
  #refused: string[] = []
  #said = ''
  readonly #steps: Int32Array

  /**
   * @param pluginFolder of the filters, which HDF5 loads when it needs them.
   * @param steps its one number goes up before and after each read: it is odd while one is under way.
   */
  constructor(pluginFolder: string, steps: Int32Array) {
    this.#pluginFolder = realpathSync(pluginFolder)
    this.#steps = steps
  }

  /** To be called before h5wasm is imported. */
  install(): void {
    const open = (path: string, flags: number): number => this.#open(path, flags)
    const write = (file: number, bytes: Uint8Array, offset: number, length: number): number => {
      if (file !== 1 && file !== 2) throw systemError('EROFS', String(file))
      // Standard error of a thread would be that of the process: HDF5 does not write to the thread's stream.
      if (this.#said.length < MAX_SAID) this.#said += Buffer.from(bytes.slice(offset, offset + length)).toString()
      return length
    }
    const read = (...call: Parameters<typeof readSync>): number => {
      Atomics.add(this.#steps, 0, 1)
      try {
        return readSync(...call)
      } finally {
        Atomics.add(this.#steps, 0, 1)
      }
    }
    Object.assign(fs, { openSync: open, readSync: read, writeSync: write })
    // HDF5 takes the names of external storage to start from here; where the file lies is what its writer had in mind.
    process.cwd = () => dirname(this.#path)
  }

  /**
   * Say what the next operation is about.
   *
   * @param file may be opened wherever it lies.
   * @param roots folders in which files that it links to may lie; the one in which it lies itself where undefined.
   */
  enter(file: string, roots: readonly string[] | undefined): void {
    this.#path = resolve(this.#workingFolder, file)
    this.#file = realPath(this.#path) ?? this.#path
    this.#roots = roots?.flatMap(root => realPath(resolve(this.#workingFolder, root)) ?? []) ?? [dirname(this.#file)]
    this.#refused = []
    this.#said = ''
  }

  /** Absolute path of the file that was entered. */
  get path(): string {
    return this.#path
  }

  /** Files that were not opened since `enter`, as the link names them. */
  get refused(): readonly string[] {
    return this.#refused
  }

  /** What HDF5 said since `enter`, in a few words: the innermost line of its first complaint. */
  get reason(): string | undefined {
    const [first] = this.#said.split('HDF5-DIAG').slice(1)
    const line = [...(first ?? '').matchAll(/in \w+\(\): (.*)/g)].at(-1)?.[1]
    return line?.trim().slice(0, 300)
  }

  #open(path: string, flags: number): number {
    // Nothing was entered: Node loads h5wasm itself, some versions of it through this function.
    if (this.#file === '') return openSync(path, flags)
    const real = realPath(path)
    if (real === undefined) throw systemError('ENOENT', path)
    if (isWithin(real, this.#pluginFolder)) return openSync(real, flags)
    const allowed = real === this.#file || this.#roots.some(root => isWithin(real, root))
    if (!allowed || (flags & WRITES) !== 0) {
      this.#refused.push(path)
      throw systemError('EACCES', path)
    }
    // Opening a pipe that nobody writes to would wait for ever.
    const file = openSync(real, flags | (constants.O_NONBLOCK ?? 0))
    if (fstatSync(file).isFile()) return file
    closeSync(file)
    throw systemError('EACCES', path)
  }
}

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path)
  } catch {
    return undefined
  }
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep)
}

function systemError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: open '${path}'`), { code, syscall: 'open', path })
}
