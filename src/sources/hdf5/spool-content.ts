import { CorruptDataError, LimitExceededError, NotFoundError, UnsupportedDataError } from '../../errors.js'
import { SAMPLE_TYPES, type SampleType } from '../../plane.js'
import type { AcquisitionEvent, StageMoves } from '../pyme/events.js'
import { describeShape } from '../pyme/frame-shape.js'
import { type PymeMetadata, readAcquisitionFacts } from '../pyme/metadata.js'
import { readPzfHeader } from '../pyme/pzf-header.js'
import { checkSeriesFiles, type FrameKind } from '../pyme/series-files.js'
import { Hdf5File } from './hdf5-file.js'
import type { Hdf5Dataset, Hdf5Object, Hdf5Type } from './hdf5-messages.js'
import { nameType } from './hdf5-values.js'
import { flattenMetadata } from './spool-metadata.js'
import { findSpoolMoves } from './spool-moves.js'

const METADATA = 'MetaData'
const EVENTS = 'Events'
/** Frames as one array of shape [frame, x, y]. */
export const STACK = 'ImageData'
/** Frames as PZF files, one a row in the order in which they came, and a table that says which row is which frame. */
export const PZF_ROWS = 'PZFImageData'
const PZF_INDEX = 'PZFImageIndex'

/** Deeper than any key of PYME. */
const METADATA_DEPTH = 16
const MAX_EVENTS = 2 ** 20
/** As many as a data server may list; a file of a few kilobytes can announce any number. */
const MAX_FRAMES = 2 ** 20
const MAX_FRAME_BYTES = 2 ** 30
/** So many damaged frames at the start do not hide what the others look like. */
const MAX_UNREADABLE = 8

/**
 * A spool is whole by itself: no other file is read as a part of it, for one that somebody made could show whatever lies
 * beside it as pixels.
 */
export function openSpoolFile(path: string): Hdf5File {
  return new Hdf5File(path, { roots: [] })
}

export type SpoolLayout = 'stack' | 'pzf-rows'

/** Where the frames of a spool are. */
export interface SpoolFrames {
  readonly layout: SpoolLayout
  /** Sorted, each once. */
  readonly numbers: readonly number[]
  /** Where each of them is stored: its index along the first axis of the dataset. */
  readonly rowOf: ReadonlyMap<number, number>
  /** How many frames are decoded together. */
  readonly chunkFrames: number
  /** Of a stack; the rows of the other layout each have a header of their own. */
  readonly kind: FrameKind | undefined
  /** What a user should know: gaps, and frames that are there twice. */
  readonly problems: readonly string[]
}

/** What a spool says, without its pixels. */
export interface SpoolContent {
  readonly frames: SpoolFrames
  readonly kind: FrameKind
  readonly metadata: PymeMetadata
  readonly moves: StageMoves
  readonly problems: readonly string[]
  /** Whether its writer said that nothing more will come. */
  readonly isClosed: boolean
}

/**
 * Read all of a spool but its pixels.
 *
 * @throws {UnsupportedDataError} another kind of HDF5 file, or nothing says where the frames lie. @throws {NotFoundError} no frames.
 * @throws {CorruptDataError | LimitExceededError | SourceUnavailableError} as `Hdf5File`.
 */
export async function readSpool(file: Hdf5File): Promise<SpoolContent> {
  const top = await readTop(file)
  const { [METADATA]: metadataGroup, [STACK]: stack, [PZF_ROWS]: rows } = top
  if (!metadataGroup || (!stack && !rows && !isEmptySpool(top))) throw notASpool(file.path, top)
  const frames = await locateFrames(file, top)
  const { metadata, problems } = flattenMetadata(await file.describe(`/${METADATA}`, METADATA_DEPTH))
  const { events, malformed } = await readEvents(file, top)
  if (malformed > 0) problems.push(`Entries of ${EVENTS} that have no time were ignored: ${malformed}.`)
  const frameCount = frames.numbers.at(-1)! + 1
  const found = findSpoolMoves(events, readAcquisitionFacts(metadata), frameCount, file.path)
  return {
    frames,
    kind: frames.kind ?? (await findKind(file, frames)),
    metadata,
    moves: found.moves,
    problems: [...frames.problems, ...problems, ...found.problems],
    isClosed: isClosed(top, metadata),
  }
}

/**
 * Whether an HDF5 file may be a spool: not where it has other things in it and nothing of a spool. What cannot be
 * opened, or is empty as yet, may be one.
 */
export async function mayBeSpool(file: Hdf5File): Promise<boolean> {
  try {
    const top = await readTop(file)
    return STACK in top || PZF_ROWS in top || isEmptySpool(top)
  } catch {
    return true
  }
}

/** Whether an HDF5 file has other things in it than a spool. Not of what cannot be opened, or is empty as yet. */
export async function isOtherThanSpool(file: Hdf5File): Promise<boolean> {
  try {
    const top = await readTop(file)
    return !isEmptySpool(top) && !(METADATA in top && (STACK in top || PZF_ROWS in top))
  } catch {
    return false
  }
}

/**
 * Which frames there are.
 *
 * @throws as `readSpool`.
 */
export async function findFrames(file: Hdf5File): Promise<SpoolFrames> {
  return await locateFrames(file, await readTop(file))
}

type TopLevel = Readonly<Record<string, Hdf5Object | undefined>>

async function readTop(file: Hdf5File): Promise<TopLevel> {
  const root = await file.describe('/', 1)
  return (root.kind === 'group' && root.children) || {}
}

/** PYME makes the dataset of the frames when the first of them comes. */
function isEmptySpool(top: TopLevel): boolean {
  return Object.keys(top).every(name => name === METADATA || name === EVENTS)
}

function notASpool(path: string, top: TopLevel): UnsupportedDataError {
  const names = Object.entries(top).map(([name, object]) => `${name} (${object?.kind})`)
  const shown = names.slice(0, 8).join(', ') + (names.length > 8 ? ` and ${names.length - 8} more` : '')
  return new UnsupportedDataError(
    `${path} is an HDF5 file and no PYME series: at its top there is ${shown || 'nothing'}, and a series has ${METADATA} and ${STACK} or ${PZF_ROWS}.`,
    { url: path },
  )
}

async function locateFrames(file: Hdf5File, top: TopLevel): Promise<SpoolFrames> {
  const { [STACK]: stack, [PZF_ROWS]: rows, [PZF_INDEX]: index } = top
  // PYME takes the one with an index for the other layout, too.
  if (index?.kind === 'dataset' && rows?.kind === 'dataset') return await locateRows(file, index, rows)
  if (stack?.kind === 'dataset') return locateStack(stack, file.path)
  throw new NotFoundError(`${file.path} holds no frames: it has neither ${STACK} nor ${PZF_ROWS} with ${PZF_INDEX}.`, {
    url: file.path,
  })
}

function locateStack({ shape, type, chunks }: Hdf5Dataset, url: string): SpoolFrames {
  if (shape?.length !== 3) {
    throw new UnsupportedDataError(
      `${url}: ${STACK} has the shape ${shape?.join(' × ') ?? 'of nothing'}; one of frame × x × y is read.`,
      { url },
    )
  }
  const [count, width, height] = shape as [number, number, number]
  const sampleType = sampleTypeOf(type, url)
  const frameBytes = width * height * SAMPLE_TYPES[sampleType].bytes
  if (frameBytes > MAX_FRAME_BYTES || count > MAX_FRAMES) {
    throw new LimitExceededError(
      `${url} says that it holds ${count} frames of ${describeShape({ width, height, sampleType })}; up to ${MAX_FRAMES} of 1 GiB are read.`,
      { url },
    )
  }
  if (count === 0 || frameBytes === 0) throw new NotFoundError(`${url} holds no frames: ${STACK} is empty.`, { url })
  const numbers = Array.from({ length: count }, (_, i) => i)
  return {
    layout: 'stack',
    numbers,
    rowOf: new Map(numbers.map(number => [number, number])),
    chunkFrames: chunks?.[0] ?? 1,
    kind: { frameSize: { width, height }, sampleType },
    problems: [],
  }
}

async function locateRows(file: Hdf5File, index: Hdf5Dataset, { shape }: Hdf5Dataset): Promise<SpoolFrames> {
  const url = file.path
  const entries = index.shape?.[0] ?? 0
  if (entries > MAX_FRAMES) {
    throw new LimitExceededError(`${url} says that it holds ${entries} frames; up to ${MAX_FRAMES} are read.`, { url })
  }
  const columns = await file.readTable(`/${PZF_INDEX}`, 0, entries)
  const [frameNumbers, rows] = [columns.get('FrameNum'), columns.get('Position')]
  if (!frameNumbers || !rows) {
    throw new CorruptDataError(`${url}: ${PZF_INDEX} lacks the columns FrameNum and Position.`, { url })
  }
  const rowCount = shape?.[0] ?? 0
  const rowOf = new Map<number, number>()
  let ignored = 0
  for (let i = 0; i < entries; i++) {
    const [number, row] = [Number(frameNumbers[i]), Number(rows[i])]
    if (number < 0 || row < 0 || row >= rowCount || rowOf.has(number)) ignored++
    else rowOf.set(number, row)
  }
  const numbers = [...rowOf.keys()].sort((a, b) => a - b)
  if (numbers.length === 0) throw new NotFoundError(`${url} holds no frames: ${PZF_INDEX} names none.`, { url })
  const problems = checkSeriesFiles(numbers, [], url)
  if (ignored > 0)
    problems.push(`Entries of ${PZF_INDEX} that name a frame again, or none that is there, are ignored: ${ignored}.`)
  return { layout: 'pzf-rows', numbers, rowOf, chunkFrames: 1, kind: undefined, problems }
}

function sampleTypeOf(type: Hdf5Type, url: string): SampleType {
  const name = nameType(type)
  if (name in SAMPLE_TYPES) return name as SampleType
  throw new UnsupportedDataError(
    `${url}: the samples of ${STACK} are of type ${name}; ${Object.keys(SAMPLE_TYPES).join(', ')} are read.`,
    { url },
  )
}

/** By the header of the first frame that has a good one. */
async function findKind(file: Hdf5File, { numbers, rowOf }: SpoolFrames): Promise<FrameKind> {
  let firstFailure: unknown
  for (const number of numbers.slice(0, MAX_UNREADABLE)) {
    try {
      const [bytes] = await file.readRows(`/${PZF_ROWS}`, rowOf.get(number)!, 1)
      const { width, height, sampleType } = readPzfHeader(bytes!, `${file.path}: frame ${number}`)
      return { frameSize: { width, height }, sampleType }
    } catch (error) {
      firstFailure ??= error
    }
  }
  throw firstFailure
}

/** The events in stored order, and how many were left out because they have no time. */
async function readEvents(
  file: Hdf5File,
  { [EVENTS]: table }: TopLevel,
): Promise<{ events: AcquisitionEvent[]; malformed: number }> {
  if (table?.kind !== 'dataset') return { events: [], malformed: 0 }
  const count = table.shape?.[0] ?? 0
  if (count > MAX_EVENTS) {
    throw new LimitExceededError(`${file.path} says that it holds ${count} events; up to ${MAX_EVENTS} are read.`, {
      url: file.path,
    })
  }
  const columns = await file.readTable(`/${EVENTS}`, 0, count)
  const [names, descriptions, times] = ['EventName', 'EventDescr', 'Time'].map(name => columns.get(name))
  if (!names || !descriptions || !times) {
    throw new CorruptDataError(`${file.path}: ${EVENTS} lacks the columns EventName, EventDescr and Time.`, {
      url: file.path,
    })
  }
  const all = Array.from({ length: count }, (_, i) => ({
    name: String(names[i]),
    description: String(descriptions[i]),
    timeS: Number(times[i]),
  }))
  const events = all.filter(({ timeS }) => Number.isFinite(timeS))
  return { events, malformed: count - events.length }
}

/** A stack gets the sizes of its dimensions when it is closed; a data server gets the last metadata then, and events last. */
function isClosed({ [STACK]: stack, [EVENTS]: events }: TopLevel, metadata: PymeMetadata): boolean {
  if (stack?.kind === 'dataset') return 'DimOrder' in stack.attributes && 'SizeC' in stack.attributes
  return metadata.EndTime !== undefined && events !== undefined
}
