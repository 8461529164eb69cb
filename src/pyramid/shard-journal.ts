import { ftruncateSync, writeSync } from 'node:fs'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { crc32c } from '@node-rs/crc32'
import { CorruptDataError, fromSystemError, LimitExceededError, UnsupportedDataError } from '../errors.js'
import { decodeLine, encodeLine, type LineRange, readLines } from './journal-lines.js'
import { makeFolder } from './make-folder.js'
import {
  compareShards,
  nameOfShard,
  readShardEntry,
  type ShardEntry,
  type ShardKey,
  writeShardEntry,
} from './shard-entry.js'

export { checksumOfShard, nameOfShard, type ShardEntry, type ShardKey } from './shard-entry.js'

/** Below a pyramid's folder: a line for every finished shard, in the order they were finished. */
export const JOURNAL_FILE = 'tilestage/shards.ndjson'

/** More shards than the largest mosaic has; what claims more would only fill memory. */
const MAX_SHARDS = 2 ** 22

/** What is held in memory of a shard's newest entry. */
export interface KnownShard extends ShardKey {
  readonly fingerprint: string
  /** Of the shard's file. */
  readonly bytes: number
}

/**
 * The journal of a pyramid, as its builder keeps it: which shards are finished, and what is known of each. The newest
 * entry of a shard counts. A line that a crash tore, or that was damaged since, counts as a shard that was not made.
 *
 * One process at a time writes a journal (the folder's lock sees to that); `JournalFollower` reads it meanwhile.
 */
export class ShardJournal {
  readonly #path: string
  #file: FileHandle
  /** Where the next line goes. */
  #end = 0
  #known = new Map<string, KnownShard & LineRange>()

  private constructor(path: string, file: FileHandle) {
    this.#path = path
    this.#file = file
  }

  /**
   * Open the journal of a pyramid's folder, made if need be. A torn end is cut off, so that new lines begin a line.
   *
   * @throws {SourceUnavailableError} it cannot be read or written. @throws {UnsupportedDataError} it is no file.
   * @throws {LimitExceededError} it names more shards than any pyramid has.
   */
  static async open(directory: string): Promise<ShardJournal> {
    const path = join(directory, JOURNAL_FILE)
    let file: FileHandle | undefined
    try {
      await makeFolder(dirname(path))
      file = await open(path, 'a+')
      const stats = await file.stat()
      if (!stats.isFile())
        throw new UnsupportedDataError(`${path} is not a file; remove it to build here.`, { url: path })
      const journal = new ShardJournal(path, file)
      await journal.#readAll()
      if (journal.#end < stats.size) await file.truncate(journal.#end)
      return journal
    } catch (error) {
      await file?.close()
      throw fromSystemError(error, path)
    }
  }

  /** How many shards have an entry. */
  get size(): number {
    return this.#known.size
  }

  /** Bytes of entries that newer ones took the place of. */
  get wastedBytes(): number {
    let used = 0
    for (const { length } of this.#known.values()) used += length
    return this.#end - used
  }

  /** The newest entry of a shard, in short; undefined where there is none. */
  current(key: ShardKey): KnownShard | undefined {
    return this.#known.get(nameOfShard(key))
  }

  /** Every shard that has an entry, in no order. */
  known(): IterableIterator<KnownShard> {
    return this.#known.values()
  }

  /**
   * Write the entry of a shard whose file has just got its name. The line is there when this returns: a few kB, which
   * cost less than the way through the thread pool.
   *
   * @throws {SourceUnavailableError} the disk is full or failing; the journal is as it was before.
   */
  append(entry: ShardEntry): void {
    const line = encodeLine(writeShardEntry(entry))
    try {
      for (let done = 0; done < line.length; ) done += writeSync(this.#file.fd, line, done)
    } catch (error) {
      try {
        ftruncateSync(this.#file.fd, this.#end)
      } catch {
        // The torn end stays; the next `open` cuts it off.
      }
      throw fromSystemError(error, this.#path)
    }
    this.#remember(entry, { offset: this.#end, length: line.length })
    this.#end += line.length
  }

  /**
   * Read the newest entry of a shard.
   *
   * @throws {RangeError} it has none. @throws {CorruptDataError} the line changed since the journal was opened.
   */
  async read(key: ShardKey): Promise<ShardEntry> {
    const known = this.#known.get(nameOfShard(key))
    if (!known) throw new RangeError(`${this.#path} has no entry of shard ${nameOfShard(key)}`)
    const entry = readShardEntry(decodeLine(await this.#readLine(known)) ?? '')
    return entry ?? this.#changed(known)
  }

  /** The newest entry of every shard, by time, channel, z, then level, row, column; one at a time is in memory. */
  async *entries(): AsyncGenerator<ShardEntry> {
    for (const known of this.#sorted()) yield await this.read(known)
  }

  /**
   * Rewrite the journal: the newest entry of every shard that `keep` wants, sorted as `entries`. The same entries give
   * the same bytes. Followers see the old journal or the new one. Nothing may be appended meanwhile.
   *
   * @returns crc32c (8 hex digits) and length of the new file.
   * @throws {SourceUnavailableError} the disk is full or failing; the journal is as it was before.
   */
  async compact(keep: (shard: KnownShard) => boolean = () => true): Promise<{ crc32c: string; bytes: number }> {
    const temporary = `${this.#path}.tmp`
    const kept = new Map<string, KnownShard & LineRange>()
    let [checksum, bytes] = [0, 0]
    let file: FileHandle | undefined
    try {
      // The new file stays open as the journal once it has the name.
      file = await open(temporary, 'a+')
      await file.truncate(0)
      for (const known of this.#sorted()) {
        if (!keep(known)) continue
        const line = await this.#readLine(known)
        if (decodeLine(line) === undefined) this.#changed(known)
        await file.appendFile(line)
        checksum = crc32c(line, checksum)
        kept.set(nameOfShard(known), { ...known, offset: bytes })
        bytes += line.length
      }
      await file.datasync()
      await rename(temporary, this.#path)
    } catch (error) {
      await file?.close()
      await rm(temporary, { force: true }).catch(() => undefined)
      throw fromSystemError(error, this.#path)
    }
    await this.#file.close()
    this.#file = file
    this.#known = kept
    this.#end = bytes
    return { crc32c: checksum.toString(16).padStart(8, '0'), bytes }
  }

  /** Calling it twice is fine. */
  async close(): Promise<void> {
    await this.#file.close()
  }

  async #readAll(): Promise<void> {
    for await (const { line, offset, length } of readLines(this.#file, 0)) {
      this.#end = offset + length
      const entry = readShardEntry(decodeLine(line) ?? '')
      if (entry) this.#remember(entry, { offset, length })
    }
  }

  #remember({ selection, level, row, column, fingerprint, bytes }: ShardEntry, range: LineRange): void {
    const known = { selection, level, row, column, fingerprint, bytes, ...range }
    this.#known.set(nameOfShard(known), known)
    if (this.#known.size <= MAX_SHARDS) return
    throw new LimitExceededError(`${this.#path} names more than ${MAX_SHARDS} shards; no pyramid has so many.`, {
      url: this.#path,
    })
  }

  #sorted(): (KnownShard & LineRange)[] {
    return [...this.#known.values()].sort(compareShards)
  }

  async #readLine({ offset, length }: LineRange): Promise<Buffer> {
    const line = Buffer.alloc(length)
    try {
      await this.#file.read(line, 0, length, offset)
      return line
    } catch (error) {
      throw fromSystemError(error, this.#path)
    }
  }

  #changed({ offset }: LineRange): never {
    throw new CorruptDataError(`${this.#path} was changed while it was open, at byte ${offset}.`, {
      url: this.#path,
      byteOffset: offset,
    })
  }
}
