import { createHash } from 'node:crypto'
import { basename, join, resolve } from 'node:path'
import { NotFoundError, SourceUnavailableError } from '../../errors.js'
import type { Plane } from '../../plane.js'
import type { FrameReaderDescription, FrameSeries, FrameSource } from '../frame-source.js'
import { readSmallFile } from '../read-file.js'
import { describeSeries } from './describe-series.js'
import { findStageMoves, parseEvents, type StageMoves } from './events.js'
import { MAX_METADATA_BYTES, type PymeMetadata, parseMetadata, readAcquisitionFacts } from './metadata.js'
import { PcsFolder } from './pcs-folder.js'
import { describeShape, type FrameShape, PcsReader, type PcsReaderData, readFrameShape } from './pcs-reader.js'
import {
  checkSeriesFiles,
  DESCRIBING_FILES,
  describeRanges,
  EVENTS,
  FINAL_METADATA,
  frameFileName,
  METADATA,
} from './series-files.js'

/** A million moves have about 100 MB. */
const MAX_EVENTS_BYTES = 256 * 2 ** 20

/** Compiled, wherever this file runs: a worker thread cannot load TypeScript. */
const READER_MODULE = new URL('../../../dist/sources/pyme/pcs-reader.js', import.meta.url).href

/** What the JSON files of a series folder say. */
export interface PcsDescription {
  readonly metadata: PymeMetadata
  readonly moves: StageMoves
  readonly problems: readonly string[]
}

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
  const folder = new PcsFolder(path)
  // Before anything is read: what changes meanwhile then changes the next fingerprint.
  await folder.look(performance.now())
  // PYME's own sign that a series is complete: its events are written last.
  return assembleSeries(folder, folder.frameNumbers, () => readDescription(folder), true)
}

/**
 * Make a source of the files that a look at a folder has found.
 *
 * @param frameNumbers the frames to list, sorted; all of them have been seen.
 * @param describe called once the names are in order.
 * @throws as `openPcsSeries`.
 */
export function assembleSeries(
  folder: PcsFolder,
  frameNumbers: readonly number[],
  describe: () => PcsDescription,
  complete: boolean,
): FrameSource {
  const { path } = folder
  const problems = checkSeriesFiles(frameNumbers, folder.otherNames, path)
  const description = describe()
  const { frameShape, problems: frameProblems } = findFrameShape(path, frameNumbers)
  const frameStamps = frameNumbers.map(number => folder.frames.get(number)!.stamp)
  const series = describeSeries({
    name: basename(resolve(path)).replace(/\.pcs$/i, ''),
    url: path,
    metadata: description.metadata,
    moves: description.moves,
    frameNumbers,
    frameStamps,
    frameShape,
    complete,
    problems: [...problems, ...description.problems, ...frameProblems],
    fingerprint: fingerprintOf([
      ...DESCRIBING_FILES.flatMap(name => {
        const version = folder.described.get(name)
        return version ? [`${name} ${version.stamp}`] : []
      }),
      ...frameNumbers.map((number, i) => `${frameFileName(number)} ${frameStamps[i]}`),
    ]),
  })
  return new PcsSeries(path, series)
}

class PcsSeries implements FrameSource {
  readonly format = 'PYME series'
  readonly reader: FrameReaderDescription
  readonly #frames: PcsReader
  readonly #frameNumbers: ReadonlySet<number>

  constructor(
    readonly url: string,
    readonly series: FrameSeries,
  ) {
    const { frameSize, sampleType } = series
    const data: PcsReaderData = { url, frameSize, sampleType }
    this.reader = { module: READER_MODULE, data }
    this.#frames = new PcsReader(data)
    this.#frameNumbers = new Set(series.frames.map(frame => frame.index))
  }

  async readFrame(index: number, options: { readonly signal?: AbortSignal } = {}): Promise<Plane> {
    if (!this.#frameNumbers.has(index)) throw new RangeError(`${this.url} has no frame ${index}`)
    return await this.#frames.readFrame(index, options)
  }

  /** Nothing is held open between frames. */
  async close(): Promise<void> {}
}

/**
 * Read metadata and events.
 *
 * @throws {NotFoundError} no metadata. @throws {SourceUnavailableError} no events.
 * @throws {CorruptDataError} one of the files is damaged. @throws {UnsupportedDataError} they say of no move when it was.
 */
export function readDescription({ path, described }: PcsFolder): PcsDescription {
  const { metadata, problems } = readMetadata(path, described)
  if (!described.has(EVENTS)) {
    throw new SourceUnavailableError(
      `${path} has no ${EVENTS}, which PYME writes when an acquisition ends; without it nothing says where its frames lie.`,
      { url: path },
    )
  }
  const eventsUrl = join(path, EVENTS)
  const { events, malformed } = parseEvents(readSmallFile(eventsUrl, MAX_EVENTS_BYTES), eventsUrl)
  if (malformed > 0) problems.push(`Entries of ${EVENTS} that are no events were ignored: ${malformed}.`)
  return { metadata, moves: findStageMoves(events, readAcquisitionFacts(metadata), eventsUrl), problems }
}

function readMetadata(
  path: string,
  files: { has(name: string): boolean },
): { metadata: PymeMetadata; problems: string[] } {
  const present = [METADATA, FINAL_METADATA].filter(name => files.has(name))
  if (present.length === 0) {
    throw new NotFoundError(
      `${path} has neither ${METADATA} nor ${FINAL_METADATA}; without one of them its frames cannot be placed.`,
      { url: path },
    )
  }
  const problems = files.has(METADATA) ? [] : [`${METADATA} is missing; ${FINAL_METADATA} is used.`]
  const parts = present.map(name => {
    const url = join(path, name)
    return parseMetadata(readSmallFile(url, MAX_METADATA_BYTES), url)
  })
  return { metadata: Object.assign({}, ...parts), problems }
}

/**
 * Size and sample type of the series: that of the first two frames which agree, so that a single damaged header
 * does not make every good frame look wrong.
 */
function findFrameShape(path: string, frameNumbers: readonly number[]): { frameShape: FrameShape; problems: string[] } {
  const unreadable: number[] = []
  const shapes = new Map<string, FrameShape>()
  let agreed: FrameShape | undefined
  let firstFailure: unknown
  for (const number of frameNumbers) {
    try {
      const shape = readFrameShape(path, number)
      agreed = shapes.get(describeShape(shape))
      if (agreed !== undefined) break
      shapes.set(describeShape(shape), shape)
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

function fingerprintOf(lines: readonly string[]): string {
  return createHash('sha256').update(lines.join('\n')).digest('hex').slice(0, 16)
}
