import { createHash } from 'node:crypto'
import { NotFoundError, SourceUnavailableError } from '../../errors.js'
import type { FrameSource } from '../frame-source.js'
import { ReaderSource } from '../reader-source.js'
import { describeSeries } from './describe-series.js'
import { findStageMoves, parseEvents, type StageMoves } from './events.js'
import { describeShape, type FrameShape, readFrameShape } from './frame-shape.js'
import { MAX_METADATA_BYTES, type PymeMetadata, parseMetadata, readAcquisitionFacts } from './metadata.js'
import { PcsFolder } from './pcs-folder.js'
import {
  checkSeriesFiles,
  DESCRIBING_FILES,
  describeRanges,
  EVENTS,
  FINAL_METADATA,
  frameFileName,
  METADATA,
  type SeriesFiles,
} from './series-files.js'

/** A million moves have about 100 MB. */
const MAX_EVENTS_BYTES = 256 * 2 ** 20

/** So many frames that do not answer are asked for their shape before the series is given up. */
const MAX_ABSENT_FRAMES = 8

/** What the JSON files of a series say. */
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
export function openPcsSeries(path: string): Promise<FrameSource> {
  return openSeriesFiles(new PcsFolder(path))
}

/**
 * Open a series as it is now, wherever its files are.
 *
 * @throws as `openPcsSeries`.
 */
export async function openSeriesFiles(files: SeriesFiles): Promise<FrameSource> {
  // Before anything is read: what changes meanwhile then changes the next fingerprint.
  await files.look(performance.now())
  // PYME's own sign that a series is complete: its events are written last.
  return assembleSeries(files, files.frameNumbers, () => readDescription(files), true)
}

/**
 * Make a source of the files that a look has found.
 *
 * @param frameNumbers the frames to list, sorted; all of them have been seen.
 * @param describe called once the names are in order.
 * @throws as `openPcsSeries`.
 */
export async function assembleSeries(
  files: SeriesFiles,
  frameNumbers: readonly number[],
  describe: () => Promise<PcsDescription>,
  complete: boolean,
): Promise<FrameSource> {
  const problems = checkSeriesFiles(frameNumbers, files.otherNames, files.url)
  const description = await describe()
  // Sizes alone do not tell an acquisition from the one that took its name: its start does.
  const start = Number.isFinite(files.newestMs) ? '' : ` ${description.metadata.StartTime}`
  const frameStamps = frameNumbers.map(number => files.frames.get(number)!.stamp + start)
  const fingerprint = fingerprintOf([
    ...DESCRIBING_FILES.flatMap(name => {
      const version = files.described.get(name)
      return version ? [`${name} ${version.stamp}`] : []
    }),
    ...frameNumbers.map((number, i) => `${frameFileName(number)} ${frameStamps[i]}`),
  ])
  const { frameShape, problems: frameProblems } = await findFrameShape(files, frameNumbers)
  const series = describeSeries({
    name: files.name,
    url: files.url,
    metadata: description.metadata,
    moves: description.moves,
    frameNumbers,
    frameStamps,
    frameShape,
    complete,
    problems: [...files.problems, ...problems, ...description.problems, ...frameProblems],
    fingerprint,
  })
  // No more than the kind: what readers are given stays the same while frames are added.
  const { frameSize, sampleType } = series
  return new ReaderSource(files.url, 'PYME series', series, files.openReader({ frameSize, sampleType }))
}

/**
 * Read metadata and events.
 *
 * @throws {NotFoundError} no metadata. @throws {SourceUnavailableError} no events.
 * @throws {CorruptDataError} one of the files is damaged. @throws {UnsupportedDataError} they say of no move when it was.
 */
export async function readDescription(files: SeriesFiles): Promise<PcsDescription> {
  const { metadata, problems } = await readMetadata(files)
  if (!files.described.has(EVENTS)) {
    throw new SourceUnavailableError(
      `${files.url} has no ${EVENTS}, which PYME writes when an acquisition ends; without it nothing says where its frames lie.`,
      { url: files.url },
    )
  }
  const eventsUrl = files.urlOf(EVENTS)
  const { events, malformed } = parseEvents(await files.readSmall(EVENTS, MAX_EVENTS_BYTES), eventsUrl)
  if (malformed > 0) problems.push(`Entries of ${EVENTS} that are no events were ignored: ${malformed}.`)
  return { metadata, moves: findStageMoves(events, readAcquisitionFacts(metadata), eventsUrl), problems }
}

async function readMetadata(files: SeriesFiles): Promise<{ metadata: PymeMetadata; problems: string[] }> {
  const { url, described } = files
  const present = [METADATA, FINAL_METADATA].filter(name => described.has(name))
  if (present.length === 0) {
    throw new NotFoundError(
      `${url} has neither ${METADATA} nor ${FINAL_METADATA}; without one of them its frames cannot be placed.`,
      { url },
    )
  }
  const problems = described.has(METADATA) ? [] : [`${METADATA} is missing; ${FINAL_METADATA} is used.`]
  const metadata: Record<string, unknown> = {}
  for (const name of present) {
    Object.assign(metadata, parseMetadata(await files.readSmall(name, MAX_METADATA_BYTES), files.urlOf(name)))
  }
  return { metadata, problems }
}

/**
 * Size and sample type of the series: that of the first two frames which agree, so that a single damaged header
 * does not make every good frame look wrong.
 */
async function findFrameShape(
  files: SeriesFiles,
  frameNumbers: readonly number[],
): Promise<{ frameShape: FrameShape; problems: string[] }> {
  const unreadable: number[] = []
  const shapes = new Map<string, FrameShape>()
  let agreed: FrameShape | undefined
  let firstFailure: unknown
  let absent = 0
  for (const number of frameNumbers) {
    try {
      const shape = await readFrameShape(files, number)
      agreed = shapes.get(describeShape(shape))
      if (agreed !== undefined) break
      shapes.set(describeShape(shape), shape)
    } catch (error) {
      firstFailure ??= error
      unreadable.push(number)
      // Where nothing answers, a series of thousands would be asked for hours.
      if (error instanceof SourceUnavailableError && ++absent === MAX_ABSENT_FRAMES) break
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
