import { readdir, realpath, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { fromSystemError, UnsupportedDataError } from '../errors.js'

/** A folder that was replaced, and what in it is the user's. */
export interface ReplacedFolder {
  /** The file by which it is known to be ours; the last one to be removed. */
  readonly marker: string
  readonly isForeign: (name: string) => boolean
}

/** Looks at a folder that has the name of one that was replaced; undefined where it is none of ours. */
export type ExamineReplaced = (folder: string) => Promise<ReplacedFolder | undefined>

/** A hidden folder beside another one: where its successor is made, say. */
export function siblingOf(target: string, word: string): string {
  return join(dirname(target), `.${basename(target)}.${word}`)
}

/** What a folder was before it was replaced. */
const OLD = 'old'

/** Put a finished folder in the place of another one. What the user keeps there moves along, the rest of it goes. */
export async function swapFolder(directory: string, target: string, examine: ExamineReplaced): Promise<void> {
  const old = siblingOf(target, OLD)
  await healSwap(target, examine)
  await rename(target, old)
  await rename(directory, target).catch(async error => {
    await rename(old, target)
    throw error
  })
  await healSwap(target, examine)
}

/**
 * Finish what an earlier build left of a swap, before anything is said of an output folder.
 *
 * @param path as the user typed it; may be a link, or not there.
 * @throws {SourceUnavailableError} the disk does not let it be finished.
 */
export async function healOutput(path: string, examine: ExamineReplaced): Promise<void> {
  const target = await realpath(path).catch(() => resolve(path))
  await healSwap(target, examine).catch(error => {
    throw fromSystemError(error, path)
  })
}

/**
 * Finish what was under way when a folder took the place of another: the old one comes back where nothing took its
 * name; else what the user keeps in the old folder moves to the new one, and the rest of it goes. A folder of that name
 * that is not ours is left alone.
 */
async function healSwap(target: string, examine: ExamineReplaced): Promise<void> {
  const old = siblingOf(target, OLD)
  const names = await readdir(old).catch(() => undefined)
  const replaced = names && (await examine(old))
  if (!replaced) return
  if (!(await isThere(target))) {
    await rename(old, target)
    return
  }
  for (const name of names) {
    const isKept = replaced.isForeign(name) && !(await isThere(join(target, name)))
    if (isKept) await rename(join(old, name), join(target, name))
    else if (name !== replaced.marker) await rm(join(old, name), { recursive: true, force: true })
  }
  await rm(old, { recursive: true, force: true })
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

/**
 * Tell before a long build, not after it, that a folder cannot be replaced: a mount point (a container's volume, say)
 * cannot be renamed.
 *
 * @param target healed.
 * @throws {UnsupportedDataError} it is one, or the name that it is to have for a moment is taken.
 */
export async function refuseUnswappable(target: string): Promise<void> {
  const [own, parent] = await Promise.all([stat(target), stat(dirname(target))])
  if (own.dev !== parent.dev || own.ino === parent.ino) {
    throw new UnsupportedDataError(
      `${target} is where a disk is mounted, and what lies there cannot be replaced as a whole; name a folder below it with --output.`,
      { url: target },
    )
  }
  const old = siblingOf(target, OLD)
  if (!(await isThere(old))) return
  throw new UnsupportedDataError(
    `${target} cannot be replaced: ${old}, which it would be called meanwhile, holds something else; move that away, or name another --output.`,
    { url: old },
  )
}
