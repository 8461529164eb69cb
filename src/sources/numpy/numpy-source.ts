import { basename } from 'node:path'
import { builtModule } from '../../built-module.js'
import { CorruptDataError, type TilestageError } from '../../errors.js'
import { hashOfJson } from '../../hash-of-json.js'
import { areColours, COLOURS } from '../array-axes.js'
import type { FileFormat, NamedFile } from '../file-format.js'
import { examineFile } from '../file-version.js'
import { FollowedFile } from '../followed-file.js'
import type { Frame, FrameSeries, FrameSource, SeriesChannel, SeriesItems } from '../frame-source.js'
import { largestOf, NO_CAMERA, UNCALIBRATED } from '../image-blocks.js'
import { findItemTable, type ItemTable, readItemTable } from '../item-table.js'
import { openFile, readFileHead } from '../read-file.js'
import { ReaderSource } from '../reader-source.js'
import type { SourceOptions } from '../source-options.js'
import { columnsOf, cutSheet } from './contact-sheet.js'
import { countSamples, MAX_HEADER_BYTES, type NpyHeader, readNpyHeader } from './npy-header.js'
import { unpackMember } from './npz-member.js'
import { NumpyReader, type NumpyReaderData } from './numpy-reader.js'
import { type StackLayout, understandStack } from './stack-layout.js'

/** Compiled, wherever this file runs: a worker thread cannot load TypeScript. */
const READER_MODULE = builtModule('sources/numpy/numpy-reader.js').href

const ENDING = /\.np[yz]$/i
const ARCHIVE_ENDING = /\.npz$/i

/** 64-bit samples become floats, which are exact up to here. */
const EXACT_TYPES = /^[ui]8$/

export const NUMPY_FORMAT: FileFormat = {
  name: 'a numpy array',
  ending: ENDING,
  // Anything is kept in such files.
  isFoundInFolders: false,
  isSeries: async () => true,
  locate: (file, options) => ({
    url: file.url,
    identity: file.identity,
    files: tablesOf(file),
    open: () => openNumpy(file, options),
    follow: () => {
      const open = (): Promise<FrameSource> => openNumpy(file, options)
      const table = (): string | undefined => options.table ?? findItemTable(file.path.replace(ENDING, ''))
      return new FollowedFile(file.url, file.path, open, () => [table()].filter(path => path !== undefined))
    },
  }),
}

/** The table beside the array itself, wherever a link to that lies. */
function tablesOf({ identity, inside }: NamedFile): string[] {
  const path = inside === undefined ? identity : identity.slice(0, -1 - inside.length)
  const table = findItemTable(path.replace(ENDING, ''))
  return table === undefined ? [] : [table]
}

/**
 * Open a numpy array: one picture, or a stack of them as a contact sheet with an index.
 *
 * @throws {UnsupportedDataError} no images, or a type that we do not read. @throws {NotFoundError | CorruptDataError |
 *   LimitExceededError | SourceUnavailableError} the file is not there, damaged, asks for too much, or cannot be read.
 */
async function openNumpy(file: NamedFile, options: SourceOptions): Promise<FrameSource> {
  const { path, url } = file
  // Before anything is read: what changes meanwhile is then refused.
  const { stamp } = examineFile(path)
  const { header, unpacked, problems: found } = await openArray(file, stamp)
  const { layout, problems: assumed } = understandStack(header, options, url)
  const problems = [...found, ...assumed]
  if (EXACT_TYPES.test(header.type.code))
    problems.push('Integers of 64 bits become float64, in which those beyond 2^53 are not exact.')
  const { count } = layout
  const table = count > 1 ? await openTable(path, options.table, count, problems) : undefined
  const place = hashOfJson([stamp, file.inside, layout, header])
  const fingerprint = hashOfJson([place, table?.stamp])
  const series: FrameSeries = {
    name: basename(file.inside ?? path).replace(ENDING, ''),
    ...describeSheet(layout, place, url),
    sampleType: header.type.sampleType,
    ...(count > 1 && { items: describeItems(layout, table) }),
    problems,
    metadata: {
      array: header.shape.join(' × '),
      type: header.type.code,
      order: header.isFortranOrder ? 'Fortran' : 'C',
      byteOrder: header.type.isBigEndian ? 'big' : 'little',
      ...(count > 1 && { images: count, imageSize: `${layout.width} × ${layout.height}` }),
      ...(table && { table: table.path, columns: table.columns.map(({ name }) => name) }),
    },
    fingerprint,
  }
  const data: NumpyReaderData = { path, url, stamp, type: header.type, layout, dataOffset: header.dataOffset, unpacked }
  return new ReaderSource(url, 'numpy array', series, {
    reader: new NumpyReader(data),
    description: { module: READER_MODULE, data },
  })
}

/** The header of the array that is meant, and its bytes where it had to be unpacked. */
async function openArray(
  { path, inside, url }: NamedFile,
  stamp: string,
): Promise<{
  readonly header: NpyHeader
  readonly unpacked?: SharedArrayBuffer
  readonly problems: readonly string[]
}> {
  if (ARCHIVE_ENDING.test(path)) {
    const { name, bytes, others } = await unpackMember(path, stamp, inside)
    const header = readNpyHeader(
      new Uint8Array(bytes, 0, Math.min(bytes.byteLength, MAX_HEADER_BYTES + 12)).slice(),
      url,
    )
    expectLength(header, bytes.byteLength, url)
    const isChosen = inside === undefined && others.length > 0
    const problem = `Of several arrays, ${name} was taken; ${others.map(other => `${path}#${other}`).join(' or ')} names another.`
    return { header, unpacked: bytes, problems: isChosen ? [problem] : [] }
  }
  const header = readNpyHeader(readFileHead(path, MAX_HEADER_BYTES + 12), url)
  const { file, size } = await openFile(path)
  await file.close()
  expectLength(header, size, url)
  return { header, problems: [] }
}

function expectLength({ shape, type, dataOffset }: NpyHeader, bytes: number, url: string): void {
  const expected = countSamples(shape) * type.bytes
  if (bytes - dataOffset === expected) return
  throw new CorruptDataError(
    `${url} has ${bytes - dataOffset} bytes of samples; its header (${shape.join(' × ')} of ${type.code}) means ${expected}.`,
    { url, byteOffset: dataOffset },
  )
}

/**
 * The table that was named, or the one beside the file.
 *
 * @param problems why one that was not named is not taken is added to them.
 * @throws {TilestageError} one that was named cannot be taken.
 */
async function openTable(
  path: string,
  named: string | undefined,
  count: number,
  problems: string[],
): Promise<ItemTable | undefined> {
  const found = named ?? findItemTable(path.replace(ENDING, ''))
  if (found === undefined) return undefined
  try {
    const table = await readItemTable(found, count)
    problems.push(...table.problems)
    return table
  } catch (error) {
    if (named !== undefined) throw error
    problems.push(`${(error as TilestageError).message} It is left out.`)
    return undefined
  }
}

function describeItems({ count, width, height }: StackLayout, table: ItemTable | undefined): SeriesItems {
  return { count, width, height, columns: columnsOf(count), ...(table && { table: table.columns }) }
}

type SheetFacts = Omit<FrameSeries, 'name' | 'sampleType' | 'problems' | 'metadata' | 'fingerprint'>

function describeSheet(layout: StackLayout, stamp: string, url: string): SheetFacts {
  const pieces = cutSheet(layout, url)
  const frameSize = largestOf(pieces)
  const frames = pieces.flatMap(({ x, y, width, height }, i): Frame[] =>
    Array.from({ length: layout.components }, (_, channel) => ({
      index: i * layout.components + channel,
      position: { xUm: x, yUm: y },
      stagePosition: { xUm: 0, yUm: 0 },
      offsetPx: { x, y },
      channel,
      zPlane: 0,
      timePoint: 0,
      ...((width !== frameSize.width || height !== frameSize.height) && { size: { width, height } }),
      stamp: `${stamp} ${x} ${y} ${channel}`,
    })),
  )
  return {
    frames,
    frameSize,
    ...NO_CAMERA,
    ...UNCALIBRATED,
    channels: nameChannels(layout),
    zPlanes: 1,
    complete: true,
  }
}

function nameChannels({ components, count }: StackLayout): readonly SeriesChannel[] {
  if (areColours(components, false)) return COLOURS
  const name = count > 1 ? 'images' : 'image'
  return components === 1 ? [{ name }] : Array.from({ length: components }, (_, i) => ({ name: `${name} ${i}` }))
}
