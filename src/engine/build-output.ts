import { randomUUID } from 'node:crypto'
import { readdir, realpath, rm, rmdir, stat } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { CorruptDataError, fromSystemError, NotFoundError, systemCode, UnsupportedDataError } from '../errors.js'
import { makeFolder } from '../pyramid/make-folder.js'
import type { PlacementRow } from '../pyramid/placement-table.js'
import { type PyramidRecord, ROOT_FILE } from '../pyramid/pyramid-record.js'
import { readPlacement, readRecord } from '../pyramid/pyramid-store.js'
import { isLockFile, lockFolder, refuseLocked } from './build-lock.js'
import { healOutput, type ReplacedFolder, refuseUnswappable, siblingOf, swapFolder } from './folder-swap.js'

/** What a build that was killed before its first file had its name leaves behind. */
const ROOT_REST = 'zarr.json.tmp'

/** Where a build writes, once it is clear that nothing of the user's is lost. */
export interface BuildOutput {
  /** The folder to write into now. */
  readonly directory: string
  readonly id: string
  /** Of the pyramid that lies there, if it is gone on with. */
  readonly known: KnownPyramid | undefined
  /** Whether another pyramid keeps the name until this one is ready. */
  readonly isBeside: boolean
  /** Remove what an earlier build left in the folder and this one does not go on with: once its own plan is made. */
  begin(): Promise<void>
  /** Put the pyramid in its place. The folder is `path` from then on, and still locked. */
  settle(): Promise<void>
  /** Let other builds in. Whatever is there stays, to be gone on with; a folder that was made in vain goes. */
  release(): Promise<void>
}

export interface KnownPyramid {
  readonly record: PyramidRecord
  /** The frames of its plan; undefined where it was stopped before it had one. */
  readonly rows: readonly PlacementRow[] | undefined
}

/** What is to be built, as far as the output must know. */
export interface WantedPyramid {
  /** @returns why a pyramid cannot be gone on with, in a few words; undefined where it can. */
  objectionTo(known: KnownPyramid): string | undefined
  /** Whether a complete pyramid is what is asked for already. */
  isAlready(known: KnownPyramid): boolean
}

/**
 * Decide what to do with an output folder.
 *
 * Missing or empty: it is written in place. A pyramid of ours from the same settings, finished or not, whose series are
 * among those named now: it is gone on with. Another one: refused, or with `overwrite` built beside it and swapped in
 * by rename. Anything else is refused; nothing in it is touched.
 *
 * @returns the record of a pyramid that is already what is asked for, or the output to write.
 * @throws {UnsupportedDataError} it holds something else. @throws {SourceUnavailableError} another build writes there.
 */
export async function prepareOutput(
  path: string,
  wanted: WantedPyramid,
  overwrite: boolean,
): Promise<PyramidRecord | BuildOutput> {
  await healOutput(path, examineReplaced)
  const entries = await listOutput(path)
  if (entries === undefined || entries.every(name => isLockFile(name) || name === ROOT_REST)) {
    await makeFolder(path)
    return inPlace(path, randomUUID(), { isNew: entries === undefined })
  }
  // Before anything is said of what lies there: it may be changing.
  await refuseLocked(path)
  const record = await readRecord(path).catch(error => {
    if (!(error instanceof CorruptDataError)) throw error
    throw new CorruptDataError(
      `${error.message.replace(/\.$/, '')}, so the folder is left alone; name another --output, or remove it first.`,
      { url: path, cause: error },
    )
  })
  if (!record) throw holdsSomethingElse(path, entries)
  const known = { record, rows: await readPlan(path, record) }
  const objection = wanted.objectionTo(known)
  if (objection === undefined) return wanted.isAlready(known) ? record : inPlace(path, record.id, { known })
  if (!overwrite) throw holdsAnother(path, objection)
  return record.complete ? besideOutput(path, record, wanted) : inPlace(path, record.id, { unwanted: record })
}

/**
 * @returns what lies in an output folder; undefined where there is none.
 * @throws {UnsupportedDataError} it is, or lies below, a file.
 */
export async function listOutput(path: string): Promise<string[] | undefined> {
  return readdir(path).catch(async error => {
    if (systemCode(error) === 'ENOENT') return undefined
    if (systemCode(error) !== 'ENOTDIR') throw fromSystemError(error, path)
    const found = await stat(path).then(
      () => 'is a file',
      () => 'lies below a file',
    )
    throw new UnsupportedDataError(`${path} ${found}; --output names a folder.`, { url: path })
  })
}

/** For an output folder that is not ours to write to. */
export function holdsSomethingElse(path: string, entries: readonly string[]): UnsupportedDataError {
  return new UnsupportedDataError(
    `${path} holds something else (${describe(entries)}) and is left alone; name a new or empty folder with --output.`,
    { url: path },
  )
}

/** For an output folder with a pyramid that cannot be gone on with. */
export function holdsAnother(path: string, objection: string): UnsupportedDataError {
  return new UnsupportedDataError(
    `${path} already holds a pyramid ${objection}; name another --output, or replace it with --overwrite.`,
    { url: path },
  )
}

interface FolderState {
  /** What is gone on with. */
  readonly known?: KnownPyramid
  /** What is not. */
  readonly unwanted?: PyramidRecord
  /** Whether the folder was made for this build. */
  readonly isNew?: boolean
}

async function inPlace(path: string, id: string, { known, unwanted, isNew }: FolderState): Promise<BuildOutput> {
  const unlock = await lockFolder(path)
  let hasBegun = false
  return {
    ...{ directory: path, id, known, isBeside: false },
    async begin() {
      if (unwanted && !hasBegun) await clear(path, unwanted)
      hasBegun = true
    },
    settle: async () => undefined,
    async release() {
      await unlock()
      // Refused when something is in it.
      if (isNew) await rmdir(path).catch(() => undefined)
    },
  }
}

/** The plan of a pyramid; a damaged one is as good as none, since shards that fit the new plan are kept all the same. */
async function readPlan(path: string, record: PyramidRecord): Promise<readonly PlacementRow[] | undefined> {
  if (!record.placement) return undefined
  try {
    return [...(await readPlacement(path, record, record.placement)).rows()]
  } catch (error) {
    if (error instanceof CorruptDataError || error instanceof NotFoundError) return undefined
    throw error
  }
}

/**
 * Build beside a pyramid, so that it stays whole and served until the new one takes its name. What else the user keeps
 * in the folder moves along. What an earlier try left there is gone on with.
 *
 * @param before the pyramid at `path`, whose id the new one takes.
 */
export async function besideOutput(path: string, before: PyramidRecord, wanted: WantedPyramid): Promise<BuildOutput> {
  // The folder may be a link; what it points to is what is replaced.
  const target = await realpath(path)
  await refuseUnswappable(target)
  const directory = siblingOf(target, 'building')
  const releaseTarget = await lockFolder(target)
  try {
    await makeFolder(directory)
    await refuseLocked(directory)
    const there = await readKnown(directory)
    const isWanted = there && wanted.objectionTo(there) === undefined
    const state = isWanted ? { known: there } : { unwanted: there?.record, isNew: there === undefined }
    const inner = await inPlace(directory, before.id, state)
    return {
      ...inner,
      isBeside: true,
      settle: () =>
        swapFolder(directory, target, examineReplaced).catch(error => Promise.reject(fromSystemError(error, path))),
      async release() {
        await inner.release()
        // After `settle` this is the lock that was made for the new folder.
        await releaseTarget()
      },
    }
  } catch (error) {
    await releaseTarget()
    throw error
  }
}

async function examineReplaced(folder: string): Promise<ReplacedFolder | undefined> {
  const record = await readRecord(folder).catch(() => undefined)
  return record && { marker: ROOT_FILE, isForeign: isForeignTo(record) }
}

async function readKnown(path: string): Promise<KnownPyramid | undefined> {
  const record = await readRecord(path)
  return record && { record, rows: await readPlan(path, record) }
}

/** What a build writes at the top of a pyramid's folder; the root file last. */
function ownNames({ levelCount }: PyramidRecord): string[] {
  return [...Array.from({ length: levelCount }, (_, level) => String(level)), 'tilestage', ROOT_FILE]
}

function isForeignTo(record: PyramidRecord): (name: string) => boolean {
  const ours = ownNames(record)
  return name => !isLockFile(name) && !ours.includes(name)
}

/** Remove what an unfinished build wrote, and nothing else; the root file last, so that a second try still knows it. */
async function clear(path: string, record: PyramidRecord): Promise<void> {
  for (const name of ownNames(record))
    await rm(join(path, name), { recursive: true, force: true }).catch(error =>
      Promise.reject(fromSystemError(error, path)),
    )
}

/** @throws {UnsupportedDataError} the output lies inside one of the inputs, which are never written to. */
export async function refuseInsideInput(output: string, inputs: readonly string[]): Promise<void> {
  const target = await realPathOf(output)
  for (const input of inputs) {
    const inside = relative(await realPathOf(input), target)
    if (isAbsolute(inside) || inside.split(sep)[0] === '..') continue
    throw new UnsupportedDataError(`${output} lies inside the series ${input}; name an --output elsewhere.`, {
      url: output,
    })
  }
}

/** The path without links, also where its last parts do not exist yet. */
async function realPathOf(path: string): Promise<string> {
  const whole = resolve(path)
  try {
    return await realpath(whole)
  } catch {
    const parent = dirname(whole)
    return parent === whole ? whole : join(await realPathOf(parent), basename(whole))
  }
}

function describe(entries: readonly string[]): string {
  const shown = [...entries].sort().slice(0, 3).join(', ')
  return entries.length > 3 ? `${shown} and ${entries.length - 3} more` : shown
}
