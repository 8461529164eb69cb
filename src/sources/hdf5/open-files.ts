import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import type { Module as h5wasm } from 'h5wasm/node'
import { CorruptDataError, fromSystemError, SourceUnavailableError } from '../../errors.js'
import { examineFile, type FileVersion } from '../file-version.js'
import type { Hdf5Jail } from './hdf5-jail.js'

const MAX_OPEN_FILES = 4

const SIGNATURE = Buffer.from('\x89HDF\r\n\x1a\n', 'latin1')
/** Where HDF5 looks for its signature: at 0, 512 and twice that, as often as it fits. Files have at most a few KiB before it. */
const SIGNATURE_PLACES = [0, 512, 1024, 2048, 4096, 8192, 16384]

/** A file as it was when it was opened. */
export interface OpenFile<T> {
  /** HDF5's handle. */
  readonly id: bigint
  readonly version: FileVersion
  /** What is known of its datasets, by path. */
  readonly datasets: Map<string, T>
}

/** Handles of files, kept from one operation to the next while the files stay the same. */
export class OpenFiles<T> {
  readonly #module: typeof h5wasm
  readonly #jail: Hdf5Jail
  /** By path, the one that was not used for the longest time first. */
  readonly #files = new Map<string, OpenFile<T>>()

  constructor(module: typeof h5wasm, jail: Hdf5Jail) {
    this.#module = module
    this.#jail = jail
  }

  /**
   * The file as it is now. A handle of another version is closed first: HDF5 gives a second handle of a file the content
   * that the first one has.
   *
   * @throws {NotFoundError | UnsupportedDataError} no such file. @throws {CorruptDataError} no HDF5 file, or a damaged one.
   * @throws {SourceUnavailableError} it cannot be read now.
   */
  use(file: string): OpenFile<T> {
    const version = examineFile(file)
    const known = this.#files.get(file)
    this.#files.delete(file)
    if (known?.version.isSettled && known.version.stamp === version.stamp) {
      this.#files.set(file, known)
      return known
    }
    if (known) this.#module.close_file(known.id)
    const opened = { id: this.#open(file), version, datasets: new Map() }
    this.#files.set(file, opened)
    if (this.#files.size > MAX_OPEN_FILES) {
      const [[oldest, handle]] = [...this.#files]
      this.#files.delete(oldest!)
      this.#module.close_file(handle!.id)
    }
    return opened
  }

  #open(file: string): bigint {
    const { H5F_ACC_RDONLY, H5F_ACC_SWMR_READ } = this.#module
    // A file that is being written to in SWMR mode is refused to plain readers. Of one that is damaged HDF5 would read each
    // part a hundred times in that mode.
    for (const mode of [H5F_ACC_RDONLY, H5F_ACC_SWMR_READ]) {
      const id = this.#module.open(this.#jail.path, mode, false, -1, -1)
      if (id >= 0n) return id
      if (!this.#jail.reason?.includes('already open for')) break
    }
    throw whyNotOpened(file, this.#jail.reason)
  }
}

function whyNotOpened(file: string, reason: string | undefined): Error {
  const details = { url: file, cause: reason }
  let opened: number | undefined
  try {
    opened = openSync(file, 'r')
    const head = new Uint8Array(SIGNATURE.length)
    const has = (place: number): boolean =>
      readSync(opened!, head, 0, head.length, place) === head.length && SIGNATURE.equals(head)
    const { size } = fstatSync(opened)
    if (size === 0) return new CorruptDataError(`${file} is empty.`, details)
    if (!SIGNATURE_PLACES.some(has)) {
      return new CorruptDataError(`${file} is no HDF5 file: it does not begin with the signature of one.`, details)
    }
    if (reason?.includes('already open for write')) {
      return new SourceUnavailableError(
        `${file} is being written by a program that lets nobody read it meanwhile; HDF5's SWMR mode would.`,
        details,
      )
    }
    return new CorruptDataError(
      `${file} is damaged and cannot be opened: ${reason ?? 'HDF5 does not say why'}.`,
      details,
    )
  } catch (error) {
    return fromSystemError(error, file)
  } finally {
    if (opened !== undefined) closeSync(opened)
  }
}
