import { randomBytes, randomUUID } from 'node:crypto'
import { mkdir, readdir, realpath, rename, rm } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { fromSystemError, systemCode, UnsupportedDataError } from '../errors.js'
import { type PyramidRecord, ROOT_FILE } from './pyramid-record.js'
import { readRecord } from './pyramid-store.js'

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
  const entries = await readdir(path).catch(error => {
    if (systemCode(error) === 'ENOENT') return undefined
    throw systemCode(error) === 'ENOTDIR'
      ? new UnsupportedDataError(`${path} is a file; --output names a folder.`, { url: path })
      : fromSystemError(error, path)
  })
  const fresh = { id: randomUUID(), revision: randomBytes(4).toString('hex') }
  if (entries === undefined || entries.length === 0) {
    await mkdir(path, { recursive: true }).catch(error => Promise.reject(fromSystemError(error, path)))
    return { ...fresh, directory: path, finish: async () => undefined, abandon: async () => undefined }
  }
  const record = await readRecord(path)
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
    await clear(path, record)
    return { ...fresh, directory: path, finish: async () => undefined, abandon: async () => undefined }
  }
  return replace(path, { ...fresh, id: record.id })
}

/** Build beside a finished pyramid, so that it stays whole and served until the new one takes its name. */
async function replace(path: string, names: { readonly id: string; readonly revision: string }): Promise<BuildOutput> {
  // The folder may be a link; what it points to is what is replaced.
  const target = await realpath(path)
  const beside = (word: string): string => join(dirname(target), `.${basename(target)}.${word}-${names.revision}`)
  const directory = beside('building')
  await mkdir(directory).catch(error => Promise.reject(fromSystemError(error, directory)))
  return {
    ...names,
    directory,
    async finish() {
      const old = beside('old')
      await rename(target, old)
      await rename(directory, target)
      await rm(old, { recursive: true, force: true })
    },
    async abandon() {
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** Remove what an unfinished build wrote, and nothing else; the root file last, so that a second try still knows it. */
async function clear(path: string, { levelCount }: PyramidRecord): Promise<void> {
  const ours = [...Array.from({ length: levelCount }, (_, level) => String(level)), 'tilestage', ROOT_FILE]
  for (const name of ours)
    await rm(join(path, name), { recursive: true, force: true }).catch(error =>
      Promise.reject(fromSystemError(error, path)),
    )
}

/** @throws {UnsupportedDataError} the output lies inside one of the inputs, which are never written to. */
export function refuseInsideInput(output: string, inputs: readonly string[]): void {
  for (const input of inputs) {
    const inside = relative(resolve(input), resolve(output))
    if (isAbsolute(inside) || inside.split(sep)[0] === '..') continue
    throw new UnsupportedDataError(`${output} lies inside the series ${input}; name an --output elsewhere.`, {
      url: output,
    })
  }
}

function describe(entries: readonly string[]): string {
  const shown = [...entries].sort().slice(0, 3).join(', ')
  return entries.length > 3 ? `${shown} and ${entries.length - 3} more` : shown
}
