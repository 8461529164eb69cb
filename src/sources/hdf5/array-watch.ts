import type { NamedFile } from '../file-format.js'
import type { FrameSource } from '../frame-source.js'
import { isOld, SettlingSeries } from '../pyme/settling-series.js'
import type { SourceOptions } from '../source-options.js'
import { FileChanges } from './file-changes.js'
import { openArrays } from './open-arrays.js'

/**
 * Follows the images in an HDF5 file that may be overwritten, or that images are appended to. It is read anew at each
 * change: HDF5 keeps an open file as it found it.
 */
export class ArrayWatch extends SettlingSeries {
  readonly url: string
  readonly #file: NamedFile
  readonly #options: SourceOptions
  readonly #changes: FileChanges

  /** @param isFresh as for `SeriesLocation.follow`. */
  constructor(file: NamedFile, options: SourceOptions, isFresh: boolean) {
    super(isFresh)
    this.url = file.url
    this.#file = file
    this.#changes = new FileChanges(file.path)
    this.#options = options
  }

  get isEnded(): boolean {
    return isOld(this.#changes.modifiedMs)
  }

  protected async lookForChanges(now: number): Promise<boolean> {
    return this.#changes.look(now)
  }

  protected async makeSource(now: number): Promise<FrameSource> {
    const { changedAt, modifiedMs } = this.#changes
    const complete = this.isSettled(now, changedAt, modifiedMs, false)
    return await openArrays(this.#file, this.#options, complete)
  }
}
