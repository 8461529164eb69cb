import { createHash } from 'node:crypto'
import { readdir, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import {
  CorruptDataError,
  fromSystemError,
  NotFoundError,
  SourceUnavailableError,
  UnsupportedDataError,
} from '../../errors.js'
import { type Plane, SAMPLE_TYPES } from '../../plane.js'
import type { FrameSeries, FrameSource } from '../frame-source.js'
import { mapConcurrently } from '../map-concurrently.js'
import { readFileBytes } from '../read-file.js'
import { describeSeries } from './describe-series.js'
import { parseEvents } from './events.js'
import { MAX_METADATA_BYTES, type PymeMetadata, parseMetadata } from './metadata.js'
import { decodePzf, PZF_HEADER_BYTES, type PzfHeader, readPzfHeader } from './pzf.js'
import { describeRanges, EVENTS, FINAL_METADATA, frameFileName, METADATA, sortSeriesFiles } from './series-files.js'

/** A million moves have about 100 MB. */
const MAX_EVENTS_BYTES = 256 * 2 ** 20
/** The largest frame that `decodePzf` reads, and room for Huffman codes that came out longer than their samples. */
const MAX_FRAME_BYTES = 2 ** 30 + 2 ** 20

/** Enough to keep a disk busy, far below the usual limit of 1024 open files. */
const CONCURRENT_FILES = 32

type FrameShape = Pick<PzfHeader, 'width' | 'height' | 'sampleType'>

/**
 * Open a folder that PYME wrote as a "cluster series": `frame00000.pzf` and on, `metadata.json`,
 * `final_metadata.json`, `events.json`.
 *
 * `final_metadata.json` counts where both metadata files have a key: series saved beside a pyramid have their start
 * time and pixel size there only.
 *
 * @param path the folder, as the user typed it.
 * @throws {NotFoundError} no such folder, no frames, or no metadata.
 * @throws {SourceUnavailableError} PYME has not written the events yet, so that nothing says where the frames lie.
 * @throws {CorruptDataError | UnsupportedDataError} metadata, events or every frame are damaged, or do not say where the
 *   frames lie.
 */
export async function openPcsSeries(path: string): Promise<FrameSource> {
  const names = await readdir(path).catch(error => {
    throw fromSystemError(error, path)
  })
  const listing = sortSeriesFiles(names, path)
  // Before anything is read: what changes meanwhile then changes the next fingerprint.
  const fingerprint = await fingerprintFiles(path, [...listing.described, ...listing.frameNumbers.map(frameFileName)])
  const { metadata, problems } = await readMetadata(path, listing.described)
  if (!listing.described.has(EVENTS)) {
    throw new SourceUnavailableError(
      `${path} has no ${EVENTS}, which PYME writes when an acquisition ends; without it nothing says where its frames lie.`,
      { url: path },
    )
  }
  const eventsUrl = join(path, EVENTS)
  const { events, malformed } = parseEvents(await readFileBytes(eventsUrl, { maxBytes: MAX_EVENTS_BYTES }), eventsUrl)
  if (malformed > 0) problems.push(`Entries of ${EVENTS} that are no events were ignored: ${malformed}.`)
  const { frameShape, problems: frameProblems } = await findFrameShape(path, listing.frameNumbers)
  const series = describeSeries({
    name: basename(resolve(path)).replace(/\.pcs$/i, ''),
    url: path,
    eventsUrl,
    metadata,
    events,
    frameNumbers: listing.frameNumbers,
    frameShape,
    // PYME's own sign that a series is complete: its events are written last.
    complete: true,
    problems: [...listing.problems, ...problems, ...frameProblems],
    fingerprint,
  })
  return new PcsSeries(path, series)
}

class PcsSeries implements FrameSource {
  readonly format = 'PYME series'
  readonly #frameNumbers: ReadonlySet<number>
  /** Header and code table come on top of the samples, and badly chosen codes make them longer. */
  readonly #maxFrameBytes: number

  constructor(
    readonly url: string,
    readonly series: FrameSeries,
  ) {
    this.#frameNumbers = new Set(series.frames.map(frame => frame.index))
    const { width, height } = series.frameSize
    const frameBytes = width * height * SAMPLE_TYPES[series.sampleType].bytes
    this.#maxFrameBytes = Math.min(MAX_FRAME_BYTES, 2 * frameBytes + 2 ** 20)
  }

  async readFrame(index: number, { signal }: { readonly signal?: AbortSignal } = {}): Promise<Plane> {
    if (!this.#frameNumbers.has(index)) throw new RangeError(`${this.url} has no frame ${index}`)
    const path = join(this.url, frameFileName(index))
    const bytes = await readFileBytes(path, { maxBytes: this.#maxFrameBytes, signal })
    // Before its samples are decoded: a damaged header must not cost memory.
    expectShape(readSeriesFrameHeader(bytes, path), this.series, index, path)
    const { width, height, sampleType, samples } = decodePzf(bytes, path)
    return { width, height, sampleType, samples }
  }

  /** Nothing is held open between frames. */
  async close(): Promise<void> {}
}

async function readMetadata(
  path: string,
  files: ReadonlySet<string>,
): Promise<{ metadata: PymeMetadata; problems: string[] }> {
  const present = [METADATA, FINAL_METADATA].filter(name => files.has(name))
  if (present.length === 0) {
    throw new NotFoundError(
      `${path} has neither ${METADATA} nor ${FINAL_METADATA}; without one of them its frames cannot be placed.`,
      { url: path },
    )
  }
  const problems = files.has(METADATA) ? [] : [`${METADATA} is missing; ${FINAL_METADATA} is used.`]
  const parts = await mapConcurrently(present, present.length, async name => {
    const url = join(path, name)
    return parseMetadata(await readFileBytes(url, { maxBytes: MAX_METADATA_BYTES }), url)
  })
  return { metadata: Object.assign({}, ...parts), problems }
}

/**
 * Size and sample type of the series: that of the first two frames which agree, so that a single damaged header
 * does not make every good frame look wrong.
 */
async function findFrameShape(
  path: string,
  frameNumbers: readonly number[],
): Promise<{ frameShape: FrameShape; problems: string[] }> {
  const unreadable: number[] = []
  const shapes = new Map<string, FrameShape>()
  let agreed: FrameShape | undefined
  let firstFailure: unknown
  for (const number of frameNumbers) {
    const url = join(path, frameFileName(number))
    try {
      const bytes = await readFileBytes(url, { maxBytes: MAX_FRAME_BYTES, headBytes: PZF_HEADER_BYTES })
      const header = readSeriesFrameHeader(bytes, url)
      agreed = shapes.get(describeShape(header))
      if (agreed !== undefined) break
      shapes.set(describeShape(header), header)
    } catch (error) {
      firstFailure ??= error
      unreadable.push(number)
    }
  }
  const [first] = shapes.values()
  const frameShape = agreed ?? first
  if (frameShape === undefined) throw firstFailure
  if (unreadable.length === 0) return { frameShape, problems: [] }
  const subject = describeRanges(unreadable.map(number => [number, number]))
  return { frameShape, problems: [`${subject} unreadable: ${(firstFailure as Error).message}`] }
}

function readSeriesFrameHeader(bytes: Uint8Array, url: string): PzfHeader {
  const header = readPzfHeader(bytes, url)
  if (header.depth > 1) {
    throw new UnsupportedDataError(`${url} holds ${header.depth} planes; series of one plane a frame are read.`, {
      url,
    })
  }
  return header
}

function describeShape({ width, height, sampleType }: FrameShape): string {
  return `${width} × ${height} pixels of ${sampleType}`
}

function expectShape(found: FrameShape, { frameSize, sampleType }: FrameSeries, frameIndex: number, url: string): void {
  const expected = describeShape({ ...frameSize, sampleType })
  if (describeShape(found) === expected) return
  throw new CorruptDataError(
    `${url} has ${describeShape(found)}, and the other frames of its series have ${expected}.`,
    { url, frameIndex },
  )
}

/** Names, sizes and times of change of all files that a series is read from. */
async function fingerprintFiles(path: string, names: readonly string[]): Promise<string> {
  const lines = await mapConcurrently(names, CONCURRENT_FILES, async name => {
    const file = join(path, name)
    const { size, mtimeMs } = await stat(file).catch(error => {
      throw fromSystemError(error, file)
    })
    return `${name} ${size} ${mtimeMs}`
  })
  return createHash('sha256').update(lines.join('\n')).digest('hex').slice(0, 16)
}
