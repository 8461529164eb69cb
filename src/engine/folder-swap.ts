import { readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { UnsupportedDataError } from '../errors.js'

/** Tells, of a folder that was replaced, which names in it are the user's. */
export type ForeignNames = (folder: string) => Promise<(name: string) => boolean>

/** A hidden folder beside another one: where its successor is made, say. */
export function siblingOf(target: string, word: string): string {
  return join(dirname(target), `.${basename(target)}.${word}`)
}

/** What a folder was before it was replaced. */
const OLD = 'old'

/** Put a finished folder in the place of another one. What the user keeps there moves along, the rest of it goes. */
export async function swapFolder(directory: string, target: string, foreignIn: ForeignNames): Promise<void> {
  const old = siblingOf(target, OLD)
  await healSwap(target, foreignIn)
  await rename(target, old)
  await rename(directory, target).catch(async error => {
    await rename(old, target)
    throw error
  })
  await healSwap(target, foreignIn)
}

/**
 * Finish what was under way when a folder took the place of another: the old one comes back where nothing took its
 * name; else what the user keeps in the old folder moves to the new one, and the rest of it goes.
 */
export async function healSwap(target: string, foreignIn: ForeignNames): Promise<void> {
  const old = siblingOf(target, OLD)
  const names = await readdir(old).catch(() => undefined)
  if (!names) return
  if (!(await isThere(target))) {
    await rename(old, target)
    return
  }
  for (const name of names.filter(await foreignIn(old)))
    if (!(await isThere(join(target, name)))) await rename(join(old, name), join(target, name))
  await rm(old, { recursive: true, force: true })
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

/**
 * A mount point (a container's volume, say) cannot be renamed; better told now than after a long build.
 *
 * @throws {UnsupportedDataError} the folder is one.
 */
export async function refuseMountPoint(target: string): Promise<void> {
  const [own, parent] = await Promise.all([stat(target), stat(dirname(target))])
  if (own.dev === parent.dev && own.ino !== parent.ino) return
  throw new UnsupportedDataError(
    `${target} is where a disk is mounted, and what lies there cannot be replaced as a whole; name a folder below it with --output.`,
    { url: target },
  )
}
