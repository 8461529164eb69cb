import type { Plane } from '../../plane.js'
import type { FrameReader } from '../frame-source.js'
import { decodeFrame, planFrame } from '../pyme/decode-frame.js'
import { maxFrameBytes } from '../pyme/frame-shape.js'
import type { PzfPlan } from '../pyme/pzf.js'
import { type FrameKind, frameFileName } from '../pyme/series-files.js'
import { ClusterDirectory } from './cluster-directory.js'
import type { ClusterPath } from './cluster-url.js'
import type { DataServer } from './data-server.js'
import { DataServers } from './data-servers.js'
import type { Wanted } from './http-get.js'
import type { Patience } from './patience.js'

/** A server that has not told what it has by then is asked for frames after the others. */
const LISTED_WITHIN_MS = 2000

/** What it takes to read the frames of a series on a cluster. Plain data, for worker threads. */
export interface ClusterReaderData extends FrameKind, ClusterPath {
  readonly servers: readonly DataServer[]
  readonly patience: Patience
}

/** Reads the frames of a series on a cluster in whichever thread it was made; the same one reads frames that come later. */
export class ClusterReader implements FrameReader {
  readonly #kind: FrameKind
  readonly #directory: ClusterDirectory
  readonly #listMs: number
  readonly #maxBytes: number
  /** Which server has which frame; asked for again where a frame is in no listing. */
  #listing: Promise<void> | undefined
  #listedAt = Number.NEGATIVE_INFINITY

  /** @param directory of a series that this thread has opened: it knows which server has what. */
  constructor(data: ClusterReaderData, directory?: ClusterDirectory) {
    this.#kind = data
    this.#maxBytes = maxFrameBytes(data)
    this.#listMs = data.patience.listMs
    this.#directory = directory ?? new ClusterDirectory(new DataServers(data.servers, data.patience), data)
  }

  async readFrame(index: number, { signal }: { readonly signal?: AbortSignal } = {}): Promise<Plane> {
    signal?.throwIfAborted()
    const plane = await this.#getFrame(index, { maxBytes: this.#maxBytes, signal }, (bytes, url) =>
      decodeFrame(bytes, url, this.#kind, index),
    )
    if (!plane) throw new TypeError('a frame that is not read into given memory is always read')
    return plane
  }

  readPzf(index: number, into: Uint8Array): Promise<PzfPlan | undefined> {
    return this.#getFrame(index, { maxBytes: this.#maxBytes, into }, (bytes, url) =>
      planFrame(bytes, url, this.#kind, index),
    )
  }

  async #getFrame<T>(
    index: number,
    wanted: Wanted,
    use: (bytes: Uint8Array, url: string) => T,
  ): Promise<T | undefined> {
    if (!Number.isInteger(index) || index < 0) throw new RangeError(`${this.#directory.url} has no frame ${index}`)
    const name = frameFileName(index)
    const url = this.#directory.urlOf(name)
    await this.#findHolders(name)
    return await this.#directory.getFile(name, wanted, bytes => use(bytes, url))
  }

  /** Where no listing can be had the servers are asked for the frame all the same. */
  async #findHolders(name: string): Promise<void> {
    await this.#listing
    if (this.#directory.entries.has(name) || performance.now() - this.#listedAt < this.#listMs) return
    this.#listedAt = performance.now()
    this.#listing = this.#directory.list(LISTED_WITHIN_MS).catch(() => undefined)
    await this.#listing
  }
}

/** For workers: `FrameSource.reader` names this module, and `data` is what it was given. */
export function openFrameReader(data: unknown): FrameReader {
  return new ClusterReader(data as ClusterReaderData)
}
