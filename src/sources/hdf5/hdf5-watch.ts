import type { TilestageError } from '../../errors.js'
import type { FrameSource } from '../frame-source.js'
import type { FollowedSeries } from '../series-location.js'
import { isOtherThanSpool, openSpoolFile } from './spool-content.js'

/** Follows an HDF5 file, once it can be told what it holds: a spool until then. */
export class Hdf5Watch implements FollowedSeries {
  readonly #path: string
  readonly #spool: FollowedSeries
  readonly #follow: () => FollowedSeries
  #arrays: FollowedSeries | undefined

  /** @param follow how to follow it where it is no spool. */
  constructor(path: string, follow: { readonly spool: () => FollowedSeries; readonly arrays: () => FollowedSeries }) {
    this.#path = path
    this.#spool = follow.spool()
    this.#follow = follow.arrays
  }

  get url(): string {
    return this.#path
  }

  get source(): FrameSource | undefined {
    return this.#current.source
  }

  get error(): TilestageError | undefined {
    return this.#current.error
  }

  get isEnded(): boolean {
    return this.#current.isEnded
  }

  async look(now: number, older: number): Promise<boolean> {
    const isKnown = this.#current.source !== undefined
    if (!isKnown && !this.#arrays && (await isOtherThanSpool(openSpoolFile(this.#path)))) this.#arrays = this.#follow()
    return await this.#current.look(now, older)
  }

  async close(): Promise<void> {
    await Promise.all([this.#spool.close(), this.#arrays?.close()])
  }

  get #current(): FollowedSeries {
    return this.#arrays ?? this.#spool
  }
}
