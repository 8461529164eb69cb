import { NotFoundError } from '../../errors.js'
import type { Plane } from '../../plane.js'
import { examineFile, type FileVersion } from '../file-version.js'
import type { FrameReader } from '../frame-source.js'
import { decodeFrame, planFrame } from '../pyme/decode-frame.js'
import type { PzfPlan } from '../pyme/pzf.js'
import type { FrameKind } from '../pyme/series-files.js'
import type { Hdf5File } from './hdf5-file.js'
import { findFrames, openSpoolFile, type SpoolFrames } from './spool-content.js'
import { SpoolRows } from './spool-rows.js'
import { SpoolStack } from './spool-stack.js'
import { untilAborted } from './until-aborted.js'

/** What it takes to read the frames of a spool. */
export interface SpoolReaderData extends FrameKind {
  readonly path: string
}

/** Reads the frames of a spool in whichever thread it was made; the same one reads frames that come later. */
export class SpoolReader implements FrameReader {
  readonly #data: SpoolReaderData
  readonly #file: Hdf5File
  readonly #stack: SpoolStack
  readonly #rows: SpoolRows
  /** Where the frames were in the version of the file that was read last. */
  #known: { readonly version: FileVersion; readonly frames: Promise<SpoolFrames> } | undefined

  constructor(data: SpoolReaderData) {
    this.#data = data
    this.#file = openSpoolFile(data.path)
    this.#stack = new SpoolStack(this.#file, data)
    this.#rows = new SpoolRows(this.#file)
  }

  async readFrame(
    index: number,
    { signal, into }: { readonly signal?: AbortSignal; readonly into?: Uint8Array } = {},
  ): Promise<Plane> {
    return await untilAborted(this.#read(index, into), signal)
  }

  async readPzf(index: number, into: Uint8Array): Promise<PzfPlan | undefined> {
    const { frames, row } = await this.#find(index)
    if (frames.layout !== 'pzf-rows') return undefined
    const bytes = await this.#rows.read(row)
    if (bytes.length > into.length) return undefined
    into.set(bytes)
    const url = frameUrl(this.#file, index)
    return planFrame(into.subarray(0, bytes.length), url, this.#data, index)
  }

  async #read(index: number, into: Uint8Array | undefined): Promise<Plane> {
    const { frames, row, version } = await this.#find(index)
    if (frames.layout === 'stack') return await this.#stack.readFrame(frames, row, version, into)
    const url = frameUrl(this.#file, index)
    return decodeFrame(await this.#rows.read(row), url, this.#data, index)
  }

  async #find(index: number): Promise<Place> {
    const { path } = this.#data
    if (!Number.isInteger(index) || index < 0) throw new RangeError(`${path} has no frame ${index}`)
    const version = examineFile(path)
    const frames = await this.#framesOf(version)
    const row = frames.rowOf.get(index)
    if (row === undefined) throw new NotFoundError(`${path} holds no frame ${index}.`, { url: path, frameIndex: index })
    return { frames, row, version }
  }

  #framesOf(version: FileVersion): Promise<SpoolFrames> {
    if (this.#known?.version.isSettled && this.#known.version.stamp === version.stamp) return this.#known.frames
    const frames = findFrames(this.#file)
    const known = { version, frames }
    this.#known = known
    frames.catch(() => {
      if (this.#known === known) this.#known = undefined
    })
    return frames
  }
}

/** For workers: `FrameSource.reader` names this module, and `data` is what it was given. */
export function openFrameReader(data: unknown): FrameReader {
  return new SpoolReader(data as SpoolReaderData)
}

/** Where a frame is in one version of the file. */
interface Place {
  readonly frames: SpoolFrames
  readonly row: number
  readonly version: FileVersion
}

/** What messages call a frame that has no file of its own. */
function frameUrl(file: Hdf5File, index: number): string {
  return `${file.path}: frame ${index}`
}
