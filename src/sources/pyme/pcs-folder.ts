import { readdirSync, type Stats, statSync } from 'node:fs'
import { basename, join, resolve, sep } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { builtModule } from '../../built-module.js'
import { fromSystemError } from '../../errors.js'
import { readFileHead, readSmallFile } from '../read-file.js'
import { PcsReader, type PcsReaderData } from './pcs-reader.js'
import {
  DESCRIBING_FILES,
  type FileVersion,
  type FrameKind,
  frameFileName,
  frameNumberOf,
  type SeriesFiles,
} from './series-files.js'

/** Compiled, wherever this file runs: a worker thread cannot load TypeScript. */
const READER_MODULE = builtModule('sources/pyme/pcs-reader.js').href

/** A folder is listed again for so long after a change: coarse clocks of file systems give two changes one time. */
const LIST_AGAIN_MS = 1000
/** The newest frames are looked at every time for so long after they came or changed, the others in their turn. */
const RECENT_MS = 5000
const MAX_RECENT = 20
/** Looking at thousands of files must not keep a server from answering. */
const PAUSE_AFTER_MS = 10

/**
 * The files of a series folder, kept between looks, so that looking at a folder in which nothing changed costs five
 * system calls. They block: a promise for each would cost ten times as much.
 */
export class PcsFolder implements SeriesFiles {
  readonly url: string
  readonly name: string
  otherNames: readonly string[] = []
  frameNumbers: readonly number[] = []
  readonly frames = new Map<number, FileVersion>()
  readonly described = new Map<string, FileVersion>()
  readonly problems = []
  lookedAt = Number.NEGATIVE_INFINITY
  changedAt = Number.NEGATIVE_INFINITY
  newestMs = 0
  readonly #inside: string
  #folder: Stats | undefined
  /** Whether something changed that no look has told yet: one that fails half way forgets nothing. */
  #hasNews = false
  /** Numbers of the frames that are looked at every time. */
  #recent: number[] = []
  /** Where in `frameNumbers` the turn of the older ones goes on. */
  #turn = 0

  /** @param path the folder, as the user typed it. */
  constructor(path: string) {
    this.url = path
    this.name = basename(resolve(path)).replace(/\.pcs$/i, '')
    this.#inside = join(path, sep)
  }

  async look(now: number, older = 0): Promise<boolean> {
    const folder = examine(this.url)
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
    this.lookedAt = now
    if (this.#hasNews || touched) this.changedAt = now
    if (!this.#hasNews) return false
    this.#hasNews = false
    this.frameNumbers = [...this.frames.keys()].sort((a, b) => a - b)
    return true
  }

  urlOf(name: string): string {
    return join(this.url, name)
  }

  async readSmall(name: string, maxBytes: number): Promise<Uint8Array> {
    return readSmallFile(this.urlOf(name), maxBytes)
  }

  async readHead(name: string, headBytes: number): Promise<Uint8Array> {
    return readFileHead(this.urlOf(name), headBytes)
  }

  openReader(kind: FrameKind): ReturnType<SeriesFiles['openReader']> {
    const data: PcsReaderData = { url: this.url, ...kind }
    return { reader: new PcsReader(data), description: { module: READER_MODULE, data } }
  }

  /** Take out what is gone; what came is looked at next. */
  #list(): void {
    const numbers = new Set<number>()
    const otherNames: string[] = []
    for (const name of listFolder(this.url)) {
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
