import { builtModule } from '../../built-module.js'
import {
  DESCRIBING_FILES,
  type FileVersion,
  type FrameKind,
  frameFileName,
  frameNumberOf,
  type SeriesFiles,
} from '../pyme/series-files.js'
import { ClusterDirectory } from './cluster-directory.js'
import { ClusterReader, type ClusterReaderData } from './cluster-reader.js'
import { type ClusterPath, isSpool } from './cluster-url.js'
import type { DataServers } from './data-servers.js'
import { warnOfFailures } from './server-failure.js'

/** Compiled, wherever this file runs: a worker thread cannot load TypeScript. */
const READER_MODULE = builtModule('sources/cluster/cluster-reader.js').href

/** Servers answer a listing within this time, or are heard at the next look. */
const PROMPT_MS = 500
/** Gaps that are asked for one by one before they are believed. */
const ASKED_GAPS = 32
/** Frames behind the last one that is listed, asked for at a time, and in all: a second at a thousand frames a second. */
const ASKED_AHEAD = 8
const MOST_AHEAD = 30_000
/** Heads of frames that are kept: the size of the series is read from the first ones again and again while it grows. */
const KEPT_HEADS = 16

/** A series on a cluster: a directory that may be spread over its servers. */
export class ClusterFolder implements SeriesFiles {
  readonly url: string
  readonly name: string
  otherNames: readonly string[] = []
  frameNumbers: readonly number[] = []
  readonly frames = new Map<number, FileVersion>()
  readonly described = new Map<string, FileVersion>()
  lookedAt = Number.NEGATIVE_INFINITY
  changedAt = Number.NEGATIVE_INFINITY
  /** Listings tell no times. */
  readonly newestMs = Number.POSITIVE_INFINITY
  readonly #servers: DataServers
  readonly #place: ClusterPath
  readonly #directory: ClusterDirectory
  #askedAt = Number.NEGATIVE_INFINITY
  /** Sizes of files that were there although no listing had them; undefined before they were asked for. */
  #unlisted: Map<string, number | undefined> | undefined
  /** By name and stamp. */
  readonly #heads = new Map<string, Uint8Array>()

  constructor(servers: DataServers, place: ClusterPath) {
    this.#servers = servers
    this.#place = place
    this.#directory = new ClusterDirectory(servers, place)
    this.url = this.#directory.url
    this.name = place.path.replace(/^.*\//s, '').replace(/\.(pcs|h5)$/i, '')
  }

  get problems(): string[] {
    return warnOfFailures(this.#directory.failures)
  }

  async look(now: number): Promise<boolean> {
    if (now - this.#askedAt < this.#servers.patience.listMs) return false
    this.#askedAt = now
    // At first all is waited for; later nobody is held up by a server that stalls.
    await this.#directory.list(this.#unlisted && PROMPT_MS)
    this.#unlisted ??= await this.#findUnlisted()
    if (!this.#directory.exists && this.#unlisted.size === 0) throw this.#directory.doesNotExist()
    this.lookedAt = now
    const changed = this.#update(now)
    if (changed) this.changedAt = now
    return changed
  }

  urlOf(name: string): string {
    return this.#directory.urlOf(name)
  }

  async readSmall(name: string, maxBytes: number): Promise<Uint8Array> {
    return this.#get(name, { maxBytes })
  }

  async readHead(name: string, headBytes: number): Promise<Uint8Array> {
    const { stamp } = this.frames.get(frameNumberOf(name) ?? -1) ?? {}
    const key = `${name} ${stamp}`
    const head = this.#heads.get(key) ?? (await this.#get(name, { maxBytes: headBytes, headBytes }))
    if (this.#heads.size === KEPT_HEADS) this.#heads.clear()
    this.#heads.set(key, head)
    return head
  }

  async #get(name: string, wanted: { readonly maxBytes: number; readonly headBytes?: number }): Promise<Uint8Array> {
    const bytes = await this.#directory.getFile(name, wanted, bytes => bytes)
    if (!bytes) throw new TypeError('a file that is not read into given memory is always read')
    return bytes
  }

  openReader(kind: FrameKind): ReturnType<SeriesFiles['openReader']> {
    const { frameSize, sampleType } = kind
    const { all: servers, patience } = this.#servers
    const data: ClusterReaderData = { ...this.#place, servers, patience, frameSize, sampleType }
    return { reader: new ClusterReader(data, this.#directory), description: { module: READER_MODULE, data } }
  }

  /** Listings of a directory that others write to behind the server's back may be half a minute old. */
  async #findUnlisted(): Promise<Map<string, number | undefined>> {
    // Of a spool the server looks into the file each time.
    if (isSpool(this.#place.path)) return new Map()
    const { entries } = this.#directory
    const numbers = [...entries.keys()].flatMap(name => frameNumberOf(name) ?? []).sort((a, b) => a - b)
    const ahead = (numbers.at(-1) ?? -1) + 1
    const names = [...DESCRIBING_FILES, ...firstGaps(numbers).map(frameFileName)].filter(name => !entries.has(name))
    const found = await this.#directory.findUnlisted([...names, frameFileName(ahead)])
    for (let first = ahead + 1, more = found.has(frameFileName(ahead)); more; first += ASKED_AHEAD) {
      const further = await this.#directory.findUnlisted(
        Array.from({ length: ASKED_AHEAD }, (_, i) => frameFileName(first + i)),
      )
      for (const [name, size] of further) found.set(name, size)
      more = further.size === ASKED_AHEAD && first - ahead < MOST_AHEAD
    }
    return found
  }

  /** @returns whether a file came, went or has another version. */
  #update(now: number): boolean {
    const { entries } = this.#directory
    for (const name of entries.keys()) this.#unlisted?.delete(name)
    const sizes = new Map<string, number | undefined>(this.#unlisted)
    const isSizeTold = !isSpool(this.#place.path)
    for (const [name, { isFolder, size }] of entries) if (!isFolder) sizes.set(name, isSizeTold ? size : undefined)
    const frames = new Map<number, number | undefined>()
    const described = new Map<string, number | undefined>()
    const otherNames: string[] = [...entries.keys()].filter(name => !sizes.has(name))
    for (const [name, size] of sizes) {
      const number = frameNumberOf(name)
      if (number === undefined) otherNames.push(name)
      else frames.set(number, size)
      if ((DESCRIBING_FILES as readonly string[]).includes(name)) described.set(name, size)
    }
    const framesChanged = updateVersions(this.frames, frames, now)
    const describedChanged = updateVersions(this.described, described, now)
    this.otherNames = otherNames
    if (framesChanged) this.frameNumbers = [...frames.keys()].sort((a, b) => a - b)
    return framesChanged || describedChanged
  }
}

/** @returns whether any file came, went or has another version. */
function updateVersions<K>(
  versions: Map<K, FileVersion>,
  sizes: ReadonlyMap<K, number | undefined>,
  now: number,
): boolean {
  let changed = false
  for (const key of versions.keys()) {
    if (sizes.has(key)) continue
    versions.delete(key)
    changed = true
  }
  for (const [key, size] of sizes) {
    const stamp = String(size ?? 'unknown')
    if (versions.get(key)?.stamp === stamp) continue
    versions.set(key, { stamp, size, seenAt: now })
    changed = true
  }
  return changed
}

function firstGaps(sorted: readonly number[]): number[] {
  const gaps: number[] = []
  let expected = 0
  for (const number of sorted) {
    for (; expected < number && gaps.length < ASKED_GAPS; expected++) gaps.push(expected)
    expected = number + 1
  }
  return gaps
}
