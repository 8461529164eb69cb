import { TilestageError } from '../errors.js'
import { examineFile } from './file-version.js'
import type { FrameSource } from './frame-source.js'
import type { FollowedSeries } from './series-location.js'

/** Follows a file that is written at once and then stays: it is opened again when it was replaced. */
export class FollowedFile implements FollowedSeries {
  source: FrameSource | undefined
  error: TilestageError | undefined
  readonly isEnded = true
  readonly url: string
  readonly #path: string
  readonly #open: () => Promise<FrameSource>
  #stamp: string | undefined

  /** @param url as the user typed it. @param path of the file. */
  constructor(url: string, path: string, open: () => Promise<FrameSource>) {
    this.url = url
    this.#path = path
    this.#open = open
  }

  async look(): Promise<boolean> {
    const { error } = this
    try {
      const { stamp } = examineFile(this.#path)
      if (stamp === this.#stamp) return false
      this.#stamp = stamp
      const source = await this.#open()
      await this.source?.close()
      this.source = source
      this.error = undefined
      return true
    } catch (failure) {
      if (!(failure instanceof TilestageError)) throw failure
      this.error = failure
      return failure.message !== error?.message
    }
  }

  async close(): Promise<void> {
    await this.source?.close()
  }
}
