import { readdirSync, type Stats, statSync } from 'node:fs'
import { join, sep } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { fromSystemError } from '../../errors.js'
import { DESCRIBING_FILES, frameFileName, frameNumberOf } from './series-files.js'

/** A folder is listed again for so long after a change: coarse clocks of file systems give two changes one time. */
const LIST_AGAIN_MS = 1000
/** The newest frames are looked at every time for so long after they came or changed, the others in their turn. */
const RECENT_MS = 5000
const MAX_RECENT = 20
/** Looking at thousands of files must not keep a server from answering. */
const PAUSE_AFTER_MS = 10

/** One version of a file, as far as it can be told without reading it. */
export interface FileVersion {
  /** Size and time of change. Times are compared for equality only: clocks jump. */
  readonly stamp: string
  readonly size: number
  /** When this version was first seen, ms of a monotonic clock. */
  readonly seenAt: number
}

/**
 * The files of a series folder, kept between looks, so that looking at a folder in which nothing changed costs five
 * system calls. They block: a promise for each would cost ten times as much.
 */
export class PcsFolder {
  readonly path: string
  /** The names that were no frame's when the folder was last listed. */
  otherNames: readonly string[] = []
  /** Sorted. */
  frameNumbers: readonly number[] = []
  /** By number. */
  readonly frames = new Map<number, FileVersion>()
  /** Which of the three JSON files are there. */
  readonly described = new Map<string, FileVersion>()
  /** When something in the folder was last seen to change, ms of a monotonic clock. */
  changedAt = Number.NEGATIVE_INFINITY
  /** Time of change of the newest file seen so far, by the clock of the file system. */
  newestMs = 0
  readonly #inside: string
  #folder: Stats | undefined
  /** Whether something changed that no look has told yet: one that fails half way forgets nothing. */
  #hasNews = false
  /** Numbers of the frames that are looked at every time. */
  #recent: number[] = []
  /** Where in `frameNumbers` the turn of the older ones goes on. */
  #turn = 0

  constructor(path: string) {
    this.path = path
    this.#inside = join(path, sep)
  }

  /**
   * Look for changes.
   *
   * @param now ms of a monotonic clock.
   * @param older how many of the frames that are not recent to look at; the next look goes on with the following ones.
   * @returns whether a file came, went or has another version.
   * @throws {NotFoundError | SourceUnavailableError} the folder or a file in it cannot be looked at.
   */
  async look(now: number, older = 0): Promise<boolean> {
    const folder = examine(this.path)
    if (this.#folder && (folder.ino !== this.#folder.ino || folder.dev !== this.#folder.dev)) {
      this.frames.clear()
      this.described.clear()
      this.#hasNews = true
    }
    const touched = folder.mtimeMs !== this.#folder?.mtimeMs
    if (touched || now - this.changedAt < LIST_AGAIN_MS) this.#list()
    // Of before the listing: what came meanwhile has given the folder another time.
    this.#folder = folder
    const numbers = [...new Set([...this.#takeTurn(older), ...this.#recent])].sort((a, b) => a - b)
    let pauseAt = performance.now() + PAUSE_AFTER_MS
    for (const number of numbers) {
      this.#update(this.frames, number, frameFileName(number), now)
      if (performance.now() < pauseAt) continue
      await setImmediate()
      pauseAt = performance.now() + PAUSE_AFTER_MS
    }
    for (const name of DESCRIBING_FILES) {
      if (this.otherNames.includes(name)) this.#update(this.described, name, name, now)
    }
    const isRecent = (number: number): boolean => now - (this.frames.get(number)?.seenAt ?? now) < RECENT_MS
    this.#recent = numbers.filter(isRecent).slice(-MAX_RECENT)
    if (this.#hasNews || touched) this.changedAt = now
    if (!this.#hasNews) return false
    this.#hasNews = false
    this.frameNumbers = [...this.frames.keys()].sort((a, b) => a - b)
    return true
  }

  /** Take out what is gone; what came is looked at next. */
  #list(): void {
    const numbers = new Set<number>()
    const otherNames: string[] = []
    for (const name of listFolder(this.path)) {
      const number = frameNumberOf(name)
      if (number === undefined) otherNames.push(name)
      else numbers.add(number)
    }
    this.otherNames = otherNames
    for (const number of this.frames.keys()) if (!numbers.has(number)) this.#remove(this.frames, number)
    for (const name of this.described.keys()) if (!otherNames.includes(name)) this.#remove(this.described, name)
    const came = [...numbers].filter(number => !this.frames.has(number))
    this.#recent = [...this.#recent.filter(number => this.frames.has(number)), ...came]
  }

  #takeTurn(count: number): readonly number[] {
    if (this.#turn >= this.frameNumbers.length) this.#turn = 0
    const taken = this.frameNumbers.slice(this.#turn, this.#turn + count)
    this.#turn += count
    return taken
  }

  #update<K>(versions: Map<K, FileVersion>, key: K, name: string, now: number): void {
    const stats = examine(this.#inside + name, false)
    if (stats === undefined) {
      this.#remove(versions, key)
      return
    }
    const stamp = `${stats.size} ${stats.mtimeMs}`
    if (stamp === versions.get(key)?.stamp) return
    versions.set(key, { stamp, size: stats.size, seenAt: now })
    this.newestMs = Math.max(this.newestMs, stats.mtimeMs)
    this.#hasNews = true
  }

  #remove<K>(versions: Map<K, FileVersion>, key: K): void {
    if (versions.delete(key)) this.#hasNews = true
  }
}

function listFolder(path: string): string[] {
  try {
    return readdirSync(path)
  } catch (error) {
    throw fromSystemError(error, path)
  }
}

function examine(path: string): Stats
function examine(path: string, mustBeThere: false): Stats | undefined
function examine(path: string, mustBeThere = true): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: mustBeThere })
  } catch (error) {
    throw fromSystemError(error, path)
  }
}
