import type { Hdf5File } from './hdf5-file.js'
import { PZF_ROWS } from './spool-content.js'

/** Rows read in one go; a build asks for as many frames at once. */
const MAX_TOGETHER = 8

interface WantedRow {
  readonly row: number
  resolve(bytes: Uint8Array): void
  reject(error: unknown): void
}

/**
 * Reads frames that are stored as PZF files, one a row.
 *
 * PYME's chunks hold the addresses of 65,536 rows, and HDF5 reads such a chunk anew each time: rows that are asked for
 * together and lie together are read together.
 */
export class SpoolRows {
  readonly #file: Hdf5File
  readonly #wanted: WantedRow[] = []

  constructor(file: Hdf5File) {
    this.#file = file
  }

  /** The PZF file of one frame, by the row that it is stored in. */
  read(row: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#wanted.push({ row, resolve, reject })
      if (this.#wanted.length === 1) setImmediate(() => this.#readWanted())
    })
  }

  #readWanted(): void {
    const wanted = this.#wanted.splice(0).sort((a, b) => a.row - b.row)
    while (wanted.length > 0) {
      const first = wanted[0]!.row
      const isFurther = ({ row }: WantedRow, i: number): boolean =>
        row - first >= MAX_TOGETHER || row > wanted[i - 1]!.row + 1
      const end = wanted.findIndex((one, i) => i > 0 && isFurther(one, i))
      void this.#readRun(wanted.splice(0, end < 0 ? wanted.length : end))
    }
  }

  /** @param run sorted; no row between two of them is left out. */
  async #readRun(run: readonly WantedRow[]): Promise<void> {
    const start = run[0]!.row
    try {
      const rows = await this.#file.readRows(`/${PZF_ROWS}`, start, run.at(-1)!.row - start + 1)
      for (const { row, resolve } of run) resolve(rows[row - start]!)
    } catch (error) {
      // A damaged row is no reason why the others should not be read.
      if (run.length === 1) run[0]!.reject(error)
      else for (const one of run) void this.#readRun([one])
    }
  }
}
