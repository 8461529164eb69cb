import { existsSync } from 'node:fs'
import { TilestageError } from '../errors.js'
import { examineFile } from './file-version.js'
import type { FrameSource } from './frame-source.js'
import type { FollowedSeries } from './series-location.js'

/** Follows a file that is written at once and then stays: it is opened again when it, or one beside it, was replaced. */
export class FollowedFile implements FollowedSeries {
  source: FrameSource | undefined
  error: TilestageError | undefined
  readonly isEnded = true
  readonly url: string
  readonly #path: string
  readonly #beside: () => readonly string[]
  readonly #open: () => Promise<FrameSource>
  #stamp: string | undefined

  /**
   * @param url as the user typed it. @param path of the file.
   * @param beside paths of other files that are read for it, as they are at the time, whether they exist or not.
   */
  constructor(url: string, path: string, open: () => Promise<FrameSource>, beside: () => readonly string[] = () => []) {
    this.url = url
    this.#path = path
    this.#open = open
    this.#beside = beside
  }

  async look(): Promise<boolean> {
    const { error } = this
    try {
      const others = this.#beside().map(path => (existsSync(path) ? examineFile(path).stamp : 'missing'))
      const stamp = [examineFile(this.#path).stamp, ...others].join('\n')
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
