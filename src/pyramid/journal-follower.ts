import type { FileHandle } from 'node:fs/promises'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fromSystemError, NotFoundError } from '../errors.js'
import { openFile } from '../sources/read-file.js'
import { decodeLine, type LineRange, readLines } from './journal-lines.js'
import { readShardEntry, type ShardEntry } from './shard-entry.js'
import { JOURNAL_FILE } from './shard-journal.js'

/** What a follower tells, in the order of the journal. */
export interface JournalNews {
  /** Another journal took the name (it was compacted, or begun anew): what was told before no longer counts. */
  onRestart(): void
  /** The newest entry of its shard so far, where its line is, and the line's text. */
  onEntry(entry: ShardEntry, range: LineRange, text: string): void
}

/** Reads what is appended to the journal of a pyramid that another part, or another process, builds. */
export class JournalFollower {
  readonly #path: string
  #file: FileHandle | undefined
  #inode: string | undefined
  /** Of the first byte that was not read yet: a torn last line is read again when it is whole. */
  #offset = 0

  constructor(directory: string) {
    this.#path = join(directory, JOURNAL_FILE)
  }

  /**
   * Tell what was appended since the last look; at the first look, everything. A journal that is not there is empty.
   * Looks must not overlap.
   *
   * @throws {SourceUnavailableError} the journal cannot be read.
   */
  async look(news: JournalNews): Promise<void> {
    try {
      const stats = await stat(this.#path).catch(error => Promise.reject(fromSystemError(error, this.#path)))
      // The open file keeps its inode from being given to another.
      const isSame = this.#inode === `${stats.dev} ${stats.ino}` && stats.size >= this.#offset
      if (!this.#file || !isSame) await this.#reopen(news)
      for await (const { line, offset, length } of readLines(this.#file!, this.#offset)) {
        this.#offset = offset + length
        const text = decodeLine(line) ?? ''
        const entry = readShardEntry(text)
        if (entry) news.onEntry(entry, { offset, length }, text)
      }
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw fromSystemError(error, this.#path)
    }
  }

  /**
   * Read an entry again that was told since the last restart.
   * @returns undefined where the journal is gone, or was changed.
   */
  async reread({ offset, length }: LineRange): Promise<ShardEntry | undefined> {
    const line = Buffer.alloc(length)
    await this.#file?.read(line, 0, length, offset)
    return readShardEntry(decodeLine(line) ?? '')
  }

  async close(): Promise<void> {
    await this.#file?.close()
    this.#file = undefined
  }

  async #reopen(news: JournalNews): Promise<void> {
    const { file } = await openFile(this.#path)
    const { dev, ino } = await file.stat()
    await this.#file?.close()
    if (this.#file) news.onRestart()
    this.#file = file
    this.#inode = `${dev} ${ino}`
    this.#offset = 0
  }
}
