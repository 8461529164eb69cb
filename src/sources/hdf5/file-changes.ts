import { examineFile } from '../file-version.js'

/** Changes of a file that may still be written to. */
export class FileChanges {
  /** Of the version that was seen last. */
  stamp = ''
  /** When it was first seen, ms of a monotonic clock. */
  changedAt = Number.NEGATIVE_INFINITY
  /** Its time of change, Unix ms. */
  modifiedMs = Number.POSITIVE_INFINITY
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  /** @returns whether there is another version than before. @throws as `examineFile`. */
  look(now: number): boolean {
    const { stamp, modifiedMs } = examineFile(this.#path)
    if (stamp === this.stamp) return false
    this.changedAt = now
    this.modifiedMs = modifiedMs
    this.stamp = stamp
    return true
  }
}
