import { UnsupportedDataError } from '../../errors.js'
import type { Hdf5Attribute, Hdf5Object, Hdf5Slab } from './hdf5-messages.js'
import { type Hdf5Pool, hdf5Pool } from './hdf5-pool.js'
import { decodeColumns, type Hdf5Column, nameType } from './hdf5-values.js'
import type { Slab } from './slab-pieces.js'

export interface Hdf5Options {
  /** Folders in which files that it links to may lie; the folder of the file itself where nothing is said. */
  readonly roots?: readonly string[]
  readonly pool?: Hdf5Pool
}

/**
 * An HDF5 file, read by threads of a pool as it is at each call. Nothing is held open here. All methods throw what
 * `Hdf5Pool.call` does; a name or a part that is not there is a NotFoundError.
 */
export class Hdf5File {
  /** As the user typed it, and as messages name it. */
  readonly path: string
  readonly #roots: readonly string[] | undefined
  readonly #pool: Hdf5Pool

  constructor(path: string, { roots, pool = hdf5Pool }: Hdf5Options = {}) {
    this.path = path
    this.#roots = roots
    this.#pool = pool
  }

  /**
   * What a path in the file leads to, with its attributes.
   *
   * @param depth levels of groups below it to describe too. Links below it are described, not followed.
   */
  describe(at = '/', depth = 1): Promise<Hdf5Object> {
    return this.#pool.call(this.path, this.#roots, 'describe', { at, depth })
  }

  /** One attribute, however long its value. */
  readAttribute(of: string, name: string): Promise<Hdf5Attribute> {
    return this.#pool.call(this.path, this.#roots, 'readAttribute', { of, name })
  }

  /** Part of a dataset of elements of fixed size; `offset` and `count` are empty for a single value. */
  read(dataset: string, { offset, count }: Slab, signal?: AbortSignal): Promise<Hdf5Slab> {
    return this.#pool.call(this.path, this.#roots, 'read', { dataset, offset, count }, signal)
  }

  /** Rows of a dataset whose rows are of any length: up to 64 at once, each as the bytes of its elements. */
  readRows(dataset: string, start: number, count: number, signal?: AbortSignal): Promise<readonly Uint8Array[]> {
    return this.#pool.call(this.path, this.#roots, 'readRows', { dataset, start, count }, signal)
  }

  /** Rows of a table, column by column. */
  async readTable(dataset: string, start: number, count: number): Promise<Map<string, Hdf5Column>> {
    const { type, bytes } = await this.read(dataset, { offset: [start], count: [count] })
    if (type.kind !== 'compound') {
      throw new UnsupportedDataError(
        `${this.path}: ${dataset} is no table; its elements are of type ${nameType(type)}.`,
        {
          url: this.path,
        },
      )
    }
    return decodeColumns(type, bytes)
  }
}
