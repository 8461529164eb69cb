import { rename, stat } from 'node:fs/promises'
import { CorruptDataError, fromSystemError, NotFoundError } from '../../errors.js'
import { writeFileAtomically } from '../../pyramid/atomic-file.js'
import { readFileBytes } from '../../sources/read-file.js'
import { readRois } from './read-roi.js'
import { MAX_ROIS, type Roi } from './roi.js'
import type { RoiList } from './roi-list.js'

const FORMAT_VERSION = 1

/** A full list with the longest names takes less. */
const MAX_FILE_BYTES = 64 * 2 ** 20

/** The file of a list, as it is on disk. */
interface RoiDocument extends RoiList {
  readonly version: typeof FORMAT_VERSION
  /** Id of the pyramid, for people who look into the folder. */
  readonly pyramid: string
}

/**
 * What tells one state of a file from another; undefined where there is none.
 *
 * @throws {SourceUnavailableError} it cannot be looked at.
 */
export async function stampOf(path: string): Promise<string | undefined> {
  try {
    const { mtimeNs, size, ino } = await stat(path, { bigint: true })
    return `${mtimeNs} ${size} ${ino}`
  } catch (error) {
    const failure = fromSystemError(error, path)
    if (failure instanceof NotFoundError) return undefined
    throw failure
  }
}

/**
 * @throws {CorruptDataError} it is no list of ours. @throws as `readFileBytes`.
 */
export async function readStateFile(path: string): Promise<RoiList> {
  const text = new TextDecoder().decode(await readFileBytes(path, { maxBytes: MAX_FILE_BYTES }))
  const damaged = (found: string, cause?: unknown): CorruptDataError =>
    new CorruptDataError(`${path} is no list of ROIs: ${found}.`, { url: path, cause })
  let document: Partial<RoiDocument> | null
  try {
    document = JSON.parse(text)
  } catch (error) {
    throw damaged('it is no JSON', error)
  }
  const { version, revision, nextId, rois } = document ?? {}
  if (version !== FORMAT_VERSION) throw damaged(`its version is ${JSON.stringify(version)}`)
  if (!isCount(revision) || !isCount(nextId) || !Array.isArray(rois) || rois.length > MAX_ROIS) {
    throw damaged('a field is missing')
  }
  let read: ReturnType<typeof readRois>
  try {
    read = readRois(rois)
  } catch (error) {
    throw damaged('a ROI makes no sense', error)
  }
  const isWhole = (roi: { readonly id?: number }): roi is Roi => roi.id !== undefined && roi.id < nextId
  if (!read.every(isWhole) || new Set(read.map(({ id }) => id)).size < read.length) {
    throw damaged('ids are missing or doubled')
  }
  return { revision, nextId, rois: read }
}

/** @throws {SourceUnavailableError} the disk is full, read-only or failing; the old file is as it was. */
export async function writeStateFile(path: string, pyramid: string, list: RoiList): Promise<void> {
  const document: RoiDocument = { version: FORMAT_VERSION, pyramid, ...list }
  await writeFileAtomically(path, `${JSON.stringify(document)}\n`)
}

/**
 * Give a file that cannot be read another name, so that nothing is written over it.
 *
 * @returns its new path. @throws {SourceUnavailableError} the folder takes no change.
 */
export async function setAside(path: string): Promise<string> {
  // Names by the time are not taken: a list is set aside once.
  const aside = `${path}.damaged-${new Date().toISOString().replaceAll(':', '-')}`
  try {
    await rename(path, aside)
  } catch (error) {
    throw fromSystemError(error, path)
  }
  return aside
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
