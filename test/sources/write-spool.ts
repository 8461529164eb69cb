import { type Dataset, File, type Group, ready } from 'h5wasm/node'
import { bytesOfSamples, type Plane, samplesFromBytes } from '../../src/plane.js'
import { plainEvents, plainMetadata } from './write-series.js'

type Event = [name: string, description: string, timeS: number]

export interface SpoolParts {
  /** Each of 4 × 3 pixels of uint16 where nothing else is said. */
  readonly frames: readonly Plane[]
  /** By dotted key. */
  readonly metadata?: Readonly<Record<string, unknown>>
  readonly events?: readonly Event[]
  /** Frames in a chunk. */
  readonly chunkFrames?: number
  readonly isClosed?: boolean
}

const EVENT_TYPE: [string, string][] = [
  ['EventDescr', 'A256'],
  ['EventName', 'A32'],
  ['Time', '<d'],
]

/** A plane whose samples are all `value`, apart from the first: that says whether the axes were turned. */
export function plainPlane(value: number, width = 4, height = 3): Plane {
  const samples = new Uint16Array(width * height).fill(value)
  samples[1] = value + 1
  return { width, height, sampleType: 'uint16', samples }
}

/** Write a spool as PYME lays it out; gzip after shuffle is what h5wasm can write, and gzip alone what it does. */
export async function writeSpool(path: string, parts: SpoolParts): Promise<string> {
  const { frames, metadata = plainMetadata, events = plainEvents(frames.length) } = parts
  await ready
  const file = new File(path, 'w')
  const [{ width, height }] = frames
  file.create_dataset({
    name: 'ImageData',
    data: frames.length > 0 ? stack(frames) : new Uint16Array(0),
    shape: [frames.length, width, height],
    maxshape: [null, width, height],
    chunks: [parts.chunkFrames ?? 2, width, height],
    compression: 'gzip',
    compression_opts: [6],
  })
  writeMetadata(file, metadata)
  file.create_dataset({
    name: 'Events',
    data: eventColumns(events),
    shape: [events.length],
    maxshape: [null],
    chunks: [64],
    dtype: EVENT_TYPE,
  })
  if (parts.isClosed ?? true) closeSpool(file)
  file.close()
  return path
}

/** Append frames and events to a spool, as its writer does while it acquires. */
export async function appendToSpool(
  path: string,
  frames: readonly Plane[],
  events: readonly Event[],
  close = false,
): Promise<void> {
  await ready
  const file = new File(path, 'a')
  if (frames.length > 0) {
    const images = file.get('ImageData') as Dataset
    const [count, width, height] = images.shape!
    images.resize([count! + frames.length, width!, height!])
    images.write_slice([[count!, count! + frames.length]], stack(frames))
  }
  if (events.length > 0) {
    const table = file.get('Events') as Dataset
    const [rows] = table.shape!
    table.resize([rows! + events.length])
    table.write_slice([[rows!, rows! + events.length]], eventColumns(events))
  }
  if (close) closeSpool(file)
  file.close()
}

/** Give a frame of a spool other samples, in place. */
export async function overwriteFrame(path: string, index: number, plane: Plane): Promise<void> {
  await ready
  const file = new File(path, 'a')
  const images = file.get('ImageData') as Dataset
  images.write_slice([[index, index + 1]], stack([plane]))
  file.close()
}

function closeSpool(file: File): void {
  const images = file.get('ImageData') as Dataset
  images.create_attribute('DimOrder', 'XYCZT', null, 'S5')
  for (const name of ['SizeC', 'SizeZ', 'SizeT']) images.create_attribute(name, 1)
}

/** Frames with x as their first axis, one after the other. */
function stack(frames: readonly Plane[]): Uint16Array {
  const turned = frames.map(({ width, height, samples }) =>
    Uint16Array.from({ length: width * height }, (_, i) => samples[(i % height) * width + Math.floor(i / height)]),
  )
  return samplesFromBytes('uint16', Buffer.concat(turned.map(bytesOfSamples))) as Uint16Array
}

function eventColumns(events: readonly Event[]): Map<string, string[] | Float64Array> {
  return new Map<string, string[] | Float64Array>([
    ['EventDescr', events.map(([, description]) => description)],
    ['EventName', events.map(([name]) => name)],
    ['Time', Float64Array.from(events, ([, , timeS]) => timeS)],
  ])
}

/** Texts as `{ ascii }` are bytes of Python, which may be pickles. */
function writeMetadata(file: File, metadata: Readonly<Record<string, unknown>>): void {
  const groups = new Map([['', file.create_group('MetaData')]])
  const groupOf = (path: readonly string[]): Group => {
    const key = path.join('.')
    const known = groups.get(key) ?? groupOf(path.slice(0, -1)).create_group(path.at(-1)!)
    groups.set(key, known)
    return known
  }
  for (const [key, value] of Object.entries(metadata)) {
    const path = key.split('.')
    const group = groupOf(path.slice(0, -1))
    const name = path.at(-1)!
    const { ascii } = (typeof value === 'object' && value ? value : {}) as { ascii?: string }
    if (ascii !== undefined) group.create_attribute(name, ascii, null, `A${ascii.length}`)
    else if (typeof value === 'string') group.create_attribute(name, value, null, `S${value.length}`)
    else group.create_attribute(name, value as number, null, '<d')
  }
}
