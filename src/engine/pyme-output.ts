import { readdir, realpath, rm, rmdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fromSystemError, NotFoundError, systemCode } from '../errors.js'
import { writeFileAtomically } from '../pyramid/atomic-file.js'
import { makeFolder } from '../pyramid/make-folder.js'
import { type PyramidRecord, parseRecord } from '../pyramid/pyramid-record.js'
import { readRecord } from '../pyramid/pyramid-store.js'
import { parseJson } from '../pyramid/side-file.js'
import { readFileBytes } from '../sources/read-file.js'
import { isLockFile, lockFolder, refuseLocked } from './build-lock.js'
import { holdsAnother, holdsSomethingElse, listOutput, type WantedPyramid } from './build-output.js'
import { healOutput, type ReplacedFolder, refuseUnswappable, siblingOf, swapFolder } from './folder-swap.js'

/** Beside PYME's own files: what the tiles were made of, and that the folder is ours. PYME leaves it alone. */
const RECORD_FILE = 'tilestage.json'

const MAX_RECORD_BYTES = 16 * 2 ** 20

/** Where a PYME pyramid is made, beside the folder that it is to become. */
export interface PymeOutput {
  /** For the mosaic in our own format. It stays when a build stops, and the next one goes on from there. */
  readonly stitched: string
  /** For PYME's files, until all of them are there. */
  readonly tiles: string
  /** Make room for the tiles of a pyramid, and say what they are made of. */
  begin(record: PyramidRecord): Promise<void>
  /** Put the tiles in their place. What a user keeps in a folder that is replaced moves along. */
  settle(): Promise<void>
  /** Remove tiles that are not going to be complete. */
  discard(): Promise<void>
  /** Let other builds in. */
  release(): Promise<void>
}

/**
 * Decide what to do with the output folder of a PYME pyramid.
 *
 * Missing or empty: it is written. A PYME pyramid that we wrote from the same settings, of series that are among those
 * named now: it is replaced, unless it is what is asked for already. From others: refused, or with `overwrite` replaced.
 * Anything else, PYME's own pyramids too, is refused; nothing in it is touched.
 *
 * @returns the record of a pyramid that is already what is asked for, or where to write.
 * @throws {UnsupportedDataError} it holds something else. @throws {SourceUnavailableError} another build writes there.
 */
export async function preparePymeOutput(
  path: string,
  wanted: WantedPyramid,
  overwrite: boolean,
): Promise<PyramidRecord | PymeOutput> {
  await healOutput(path, examineReplaced)
  const entries = await listOutput(path)
  const isEmpty = entries?.every(isLockFile) ?? true
  if (entries && !isEmpty) {
    await refuseLocked(path)
    const record = await readPymeRecord(path)
    if (!record) throw holdsSomethingElse(path, entries)
    const known = { record, rows: undefined }
    const objection = wanted.objectionTo(known)
    if (objection !== undefined && !overwrite) throw holdsAnother(path, objection)
    if (objection === undefined && wanted.isAlready(known)) {
      // Of a build that was killed when it was all but done.
      await removeStitched(siblingOf(await realpath(path), 'stitched'))
      return record
    }
  }
  await makeFolder(path)
  return placesBeside(path, entries === undefined)
}

/** @param isNew whether the folder was made for this build. */
async function placesBeside(path: string, isNew: boolean): Promise<PymeOutput> {
  // The folder may be a link; what it points to is what is replaced.
  const target = await realpath(path)
  await refuseUnswappable(target).catch(async error => {
    if (isNew) await rmdir(target).catch(() => undefined)
    throw error
  })
  const unlock = await lockFolder(target)
  const [stitched, tiles] = [siblingOf(target, 'stitched'), siblingOf(target, 'tiles')]
  let isSettled = false
  return {
    ...{ stitched, tiles },
    async begin(record) {
      await removeTiles(tiles)
      await writeFileAtomically(join(tiles, RECORD_FILE), `${JSON.stringify(record, null, 2)}\n`)
    },
    async settle() {
      try {
        await swapFolder(tiles, target, examineReplaced)
        isSettled = true
        await removeStitched(stitched)
      } catch (error) {
        throw fromSystemError(error, path)
      }
    },
    discard: () => removeTiles(tiles),
    async release() {
      // The lock went with the folder that was replaced; one that is there now is another build's.
      if (isSettled) return
      await unlock()
      // Refused when something is in it.
      if (isNew) await rmdir(target).catch(() => undefined)
    },
  }
}

async function removeStitched(stitched: string): Promise<void> {
  if (await readRecord(stitched)) await rm(stitched, { recursive: true })
}

/** @throws {UnsupportedDataError} the folder is not ours. */
async function removeTiles(tiles: string): Promise<void> {
  try {
    const names = await readdir(tiles)
    if (names.length > 0 && !names.includes(RECORD_FILE)) throw holdsSomethingElse(tiles, names)
    await rm(tiles, { recursive: true })
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw fromSystemError(error, tiles)
  }
}

/**
 * What a PYME pyramid of ours was made of.
 *
 * @returns undefined where the folder holds none that we wrote.
 * @throws {CorruptDataError} its record is damaged.
 */
async function readPymeRecord(folder: string): Promise<PyramidRecord | undefined> {
  const url = join(folder, RECORD_FILE)
  try {
    const text = Buffer.from(await readFileBytes(url, { maxBytes: MAX_RECORD_BYTES })).toString()
    return parseRecord({ attributes: { tilestage: parseJson(text, url) } }, url)
  } catch (error) {
    if (error instanceof NotFoundError) return undefined
    throw error
  }
}

async function examineReplaced(folder: string): Promise<ReplacedFolder | undefined> {
  const names = await readdir(folder)
  // Of a first build it is the empty folder that was locked.
  const isOurs = names.every(isLockFile) || (await readPymeRecord(folder).catch(() => undefined))
  if (!isOurs) return undefined
  const ours = ['metadata.json', RECORD_FILE]
  for (const name of names) if (await isLevel(join(folder, name))) ours.push(name)
  return { marker: RECORD_FILE, isForeign: name => !isLockFile(name) && !ours.includes(name) }
}

/** Whether a folder is a level of a pyramid, or what is left of one: it has a number, and the only z-plane in it. */
async function isLevel(path: string): Promise<boolean> {
  if (!/^\d+$/.test(basename(path))) return false
  const names = await readdir(path).catch(() => undefined)
  return names?.every(name => name === '000') ?? false
}
