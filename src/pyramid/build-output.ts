import { randomBytes, randomUUID } from 'node:crypto'
import { mkdir, readdir, realpath, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { CorruptDataError, fromSystemError, systemCode, UnsupportedDataError } from '../errors.js'
import { LOCK_FILE, lockFolder } from './build-lock.js'
import { makeFolder } from './make-folder.js'
import { type PyramidRecord, ROOT_FILE } from './pyramid-record.js'
import { readRecord } from './pyramid-store.js'

/** What a build that was killed before its first file had its name leaves behind. */
const ROOT_REST = /^zarr\.json\.\d+\.tmp$/

/** Where a build writes, once it is clear that nothing of the user's is lost. */
export interface BuildOutput {
  /** The folder to write into now. */
  readonly directory: string
  readonly id: string
  readonly revision: string
  /** Put the finished pyramid in its place. */
  finish(): Promise<void>
  /** Leave things as they should be after a build that failed or was stopped. */
  abandon(): Promise<void>
}

/**
 * Decide what to do with an output folder.
 *
 * Missing or empty: it is written in place. A pyramid of ours from the same series and settings: nothing to do. One
 * that was never finished: started again in place. Another one: refused, or with `overwrite` built beside it and
 * swapped in by rename. Anything else is refused; nothing in it is touched.
 *
 * @returns the record of a pyramid that is already what is asked for, or the output to write.
 */
export async function prepareOutput(
  path: string,
  fingerprint: string,
  overwrite: boolean,
): Promise<PyramidRecord | BuildOutput> {
  const entries = await readdir(path).catch(async error => {
    if (systemCode(error) === 'ENOENT') return undefined
    if (systemCode(error) !== 'ENOTDIR') throw fromSystemError(error, path)
    const found = await stat(path).then(
      () => 'is a file',
      () => 'lies below a file',
    )
    throw new UnsupportedDataError(`${path} ${found}; --output names a folder.`, { url: path })
  })
  const fresh = { id: randomUUID(), revision: randomBytes(4).toString('hex') }
  if (entries === undefined || entries.every(name => name === LOCK_FILE || ROOT_REST.test(name))) {
    await makeFolder(path)
    const free = await lockFolder(path)
    return { ...fresh, directory: path, finish: free, abandon: free }
  }
  const record = await readRecord(path).catch(error => {
    if (!(error instanceof CorruptDataError)) throw error
    throw new CorruptDataError(
      `${error.message.replace(/\.$/, '')}, so the folder is left alone; name another --output, or remove it first.`,
      { url: path, cause: error },
    )
  })
  if (!record) {
    throw new UnsupportedDataError(
      `${path} holds something else (${describe(entries)}) and is left alone; name a new or empty folder with --output.`,
      { url: path },
    )
  }
  if (record.complete && record.fingerprint === fingerprint) return record
  if (record.complete && !overwrite) {
    throw new UnsupportedDataError(
      `${path} already holds a pyramid of other series or settings; name another --output, or replace it with --overwrite.`,
      { url: path },
    )
  }
  if (!record.complete) {
    const free = await lockFolder(path)
    await clear(path, record)
    return { ...fresh, directory: path, finish: free, abandon: free }
  }
  return replace(path, record, fresh.revision)
}

/**
 * Build beside a finished pyramid, so that it stays whole and served until the new one takes its name. What else the
 * user keeps in the folder moves along.
 */
async function replace(path: string, before: PyramidRecord, revision: string): Promise<BuildOutput> {
  // The folder may be a link; what it points to is what is replaced.
  const target = await realpath(path)
  await refuseMountPoint(target)
  const beside = (word: string): string => join(dirname(target), `.${basename(target)}.${word}-${revision}`)
  const directory = beside('building')
  await mkdir(directory).catch(error => Promise.reject(fromSystemError(error, directory)))
  return {
    id: before.id,
    revision,
    directory,
    async finish() {
      const old = beside('old')
      try {
        await rename(target, old)
        await rename(directory, target).catch(async error => {
          await rename(old, target)
          throw error
        })
        for (const name of (await readdir(old)).filter(isForeignTo(before)))
          await rename(join(old, name), join(target, name))
        await rm(old, { recursive: true, force: true })
      } catch (error) {
        throw fromSystemError(error, path)
      }
    },
    async abandon() {
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** A mount point (a container's volume, say) cannot be renamed; better told now than after a long build. */
async function refuseMountPoint(target: string): Promise<void> {
  const [own, parent] = await Promise.all([stat(target), stat(dirname(target))])
  if (own.dev === parent.dev && own.ino !== parent.ino) return
  throw new UnsupportedDataError(
    `${target} is where a disk is mounted, and the pyramid there cannot be replaced as a whole; name a folder below it with --output.`,
    { url: target },
  )
}

/** What a build writes at the top of a pyramid's folder; the root file last. */
function ownNames({ levelCount }: PyramidRecord): string[] {
  return [...Array.from({ length: levelCount }, (_, level) => String(level)), 'tilestage', ROOT_FILE]
}

function isForeignTo(record: PyramidRecord): (name: string) => boolean {
  const ours = ownNames(record)
  return name => !ours.includes(name)
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
