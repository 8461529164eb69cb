import { CorruptDataError, UnsupportedDataError } from '../../errors.js'
import { SAMPLE_TYPES } from '../../plane.js'
import { PZF_HEADER_BYTES, type PzfHeader, readPzfHeader } from './pzf-header.js'
import { type FrameKind, frameFileName, type SeriesFiles } from './series-files.js'

/** The largest frame that `decodePzf` reads, and room for Huffman codes that came out longer than their samples. */
const MAX_FRAME_BYTES = 2 ** 30 + 2 ** 20

export type FrameShape = Pick<PzfHeader, 'width' | 'height' | 'sampleType'>

/** A longer PZF file is no frame of the series. */
export function maxFrameBytes({ frameSize, sampleType }: FrameKind): number {
  const { width, height } = frameSize
  // Header and code table come on top of the samples, and badly chosen codes make them longer.
  return Math.min(MAX_FRAME_BYTES, 2 * width * height * SAMPLE_TYPES[sampleType].bytes + 2 ** 20)
}

/**
 * Check a frame's header before its samples are decoded: a damaged one must not cost memory.
 *
 * @throws {UnsupportedDataError} a stack of planes. @throws {CorruptDataError} of another size or type than the series.
 */
export function expectFrameKind(
  header: PzfHeader,
  { frameSize, sampleType }: FrameKind,
  frameIndex: number,
  url: string,
): void {
  expectOnePlane(header, url)
  const expected = describeShape({ ...frameSize, sampleType })
  if (describeShape(header) === expected) return
  throw new CorruptDataError(
    `${url} has ${describeShape(header)}, and the other frames of its series have ${expected}.`,
    { url, frameIndex },
  )
}

/**
 * Size and sample type of one frame, read from its header.
 *
 * @throws as `SeriesFiles.readHead` and `readPzfHeader`, and {UnsupportedDataError} for a stack of planes.
 */
export async function readFrameShape(files: SeriesFiles, index: number): Promise<FrameShape> {
  const name = frameFileName(index)
  const url = files.urlOf(name)
  const header = readPzfHeader(await files.readHead(name, PZF_HEADER_BYTES), url)
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
