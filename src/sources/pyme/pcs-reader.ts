import { join } from 'node:path'
import { CorruptDataError, UnsupportedDataError } from '../../errors.js'
import { type Plane, SAMPLE_TYPES, type SampleType, type Size } from '../../plane.js'
import type { FrameReader } from '../frame-source.js'
import { readFileBytes, readFileHead, readFileInto } from '../read-file.js'
import { decodePzf, type PzfPlan, planPzfDecode } from './pzf.js'
import { PZF_HEADER_BYTES, type PzfHeader, readPzfHeader } from './pzf-header.js'
import { frameFileName } from './series-files.js'

/** The largest frame that `decodePzf` reads, and room for Huffman codes that came out longer than their samples. */
const MAX_FRAME_BYTES = 2 ** 30 + 2 ** 20

export type FrameShape = Pick<PzfHeader, 'width' | 'height' | 'sampleType'>

/** What it takes to read the frames of a series folder: the folder, and what they have in common. */
export interface PcsReaderData {
  readonly url: string
  readonly frameSize: Size
  readonly sampleType: SampleType
}

/** Reads the frames of a series folder in whichever thread it was made; the same one reads frames that come later. */
export class PcsReader implements FrameReader {
  readonly #data: PcsReaderData
  readonly #maxFrameBytes: number

  constructor(data: PcsReaderData) {
    this.#data = data
    const { width, height } = data.frameSize
    const frameBytes = width * height * SAMPLE_TYPES[data.sampleType].bytes
    // Header and code table come on top of the samples, and badly chosen codes make them longer.
    this.#maxFrameBytes = Math.min(MAX_FRAME_BYTES, 2 * frameBytes + 2 ** 20)
  }

  async readFrame(index: number, { signal }: { readonly signal?: AbortSignal } = {}): Promise<Plane> {
    const path = framePath(this.#data.url, index)
    const bytes = await readFileBytes(path, { maxBytes: this.#maxFrameBytes, signal })
    const { width, height, sampleType, samples } = decodePzf(bytes, path, header =>
      this.#expectShape(header, index, path),
    )
    return { width, height, sampleType, samples }
  }

  readPzf(index: number, into: Uint8Array): PzfPlan | undefined {
    const path = framePath(this.#data.url, index)
    const length = readFileInto(path, into)
    if (length === undefined) return undefined
    return planPzfDecode(into.subarray(0, length), path, header => this.#expectShape(header, index, path))
  }

  /** Called before samples are decoded: a damaged header must not cost memory. */
  #expectShape(header: PzfHeader, frameIndex: number, url: string): void {
    expectOnePlane(header, url)
    const { frameSize, sampleType } = this.#data
    const expected = describeShape({ ...frameSize, sampleType })
    if (describeShape(header) === expected) return
    throw new CorruptDataError(
      `${url} has ${describeShape(header)}, and the other frames of its series have ${expected}.`,
      { url, frameIndex },
    )
  }
}

/** For workers: `FrameSource.reader` names this module, and `data` is what it was given. */
export function openFrameReader(data: unknown): FrameReader {
  return new PcsReader(data as PcsReaderData)
}

/**
 * Size and sample type of one frame, read from its header.
 *
 * @throws as `readFileHead` and `readPzfHeader`, and {UnsupportedDataError} for a stack of planes.
 */
export function readFrameShape(seriesUrl: string, index: number): FrameShape {
  const url = framePath(seriesUrl, index)
  const header = readPzfHeader(readFileHead(url, PZF_HEADER_BYTES), url)
  expectOnePlane(header, url)
  return header
}

export function describeShape({ width, height, sampleType }: FrameShape): string {
  return `${width} × ${height} pixels of ${sampleType}`
}

function expectOnePlane({ depth }: PzfHeader, url: string): void {
  if (depth === 1) return
  throw new UnsupportedDataError(`${url} holds ${depth} planes; series of one plane a frame are read.`, { url })
}

function framePath(seriesUrl: string, index: number): string {
  if (!Number.isInteger(index) || index < 0) throw new RangeError(`${seriesUrl} has no frame ${index}`)
  return join(seriesUrl, frameFileName(index))
}
