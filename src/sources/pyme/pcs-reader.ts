import { join } from 'node:path'
import type { Plane } from '../../plane.js'
import type { FrameReader } from '../frame-source.js'
import { readFileBytes, readFileInto } from '../read-file.js'
import { decodeFrame, planFrame } from './decode-frame.js'
import { maxFrameBytes } from './frame-shape.js'
import type { PzfPlan } from './pzf.js'
import { type FrameKind, frameFileName } from './series-files.js'

/** What it takes to read the frames of a series folder: the folder, and what they have in common. */
export interface PcsReaderData extends FrameKind {
  readonly url: string
}

/** Reads the frames of a series folder in whichever thread it was made; the same one reads frames that come later. */
export class PcsReader implements FrameReader {
  readonly #data: PcsReaderData

  constructor(data: PcsReaderData) {
    this.#data = data
  }

  async readFrame(index: number, { signal }: { readonly signal?: AbortSignal } = {}): Promise<Plane> {
    const path = this.#pathOf(index)
    const bytes = await readFileBytes(path, { maxBytes: maxFrameBytes(this.#data), signal })
    return decodeFrame(bytes, path, this.#data, index)
  }

  readPzf(index: number, into: Uint8Array): PzfPlan | undefined {
    const path = this.#pathOf(index)
    const length = readFileInto(path, into)
    if (length === undefined) return undefined
    return planFrame(into.subarray(0, length), path, this.#data, index)
  }

  #pathOf(index: number): string {
    const { url } = this.#data
    if (!Number.isInteger(index) || index < 0) throw new RangeError(`${url} has no frame ${index}`)
    return join(url, frameFileName(index))
  }
}

/** For workers: `FrameSource.reader` names this module, and `data` is what it was given. */
export function openFrameReader(data: unknown): FrameReader {
  return new PcsReader(data as PcsReaderData)
}
