import { writeFileSync } from 'node:fs'
import { readFile, rename, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fromSystemError, SourceUnavailableError, systemCode } from '../errors.js'

/** Lies in an output folder while a build writes there: `PROCESS HOST START`. */
const LOCK_FILE = '.tilestage-building'

/** Follows the name of a dead build's lock: whoever holds the lock of this name may replace it. */
const TAKE_OVER = '.next'

/** Between the two system calls that write a lock there is a moment when it is empty. */
const EMPTY_MS = 200

/** Another build writes to the folder, or seems to. */
export class FolderInUseError extends SourceUnavailableError {}

/** Whether a file of that name is a lock, or what a build left that was killed while it took one over. */
export function isLockFile(name: string): boolean {
  return name === LOCK_FILE || name.startsWith(`${LOCK_FILE}${TAKE_OVER}`)
}

/**
 * Keep other builds out of a folder, whose shards they would mix with ours. The lock of a build that was killed is
 * taken over.
 *
 * @returns a function that frees the folder, once: later the lock may be that of the next build.
 * @throws {FolderInUseError} another build writes there. @throws {SourceUnavailableError} the lock cannot be written.
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, LOCK_FILE)
  try {
    await takeLock(path, `${process.pid} ${hostname()} ${await startOf(process.pid)}`)
  } catch (error) {
    throw fromSystemError(error, path)
  }
  let isFreed = false
  return async () => {
    if (!isFreed) await rm(path, { force: true })
    isFreed = true
  }
}

/**
 * A lock that is there is never removed, for in the meantime it may be another build's. It is replaced, in one step, by
 * the lock on doing so: of several builds that find a dead one's lock, one gets that.
 */
async function takeLock(path: string, content: string): Promise<void> {
  while (!createLock(path, content)) {
    const found = await readLock(path)
    if (found === undefined) continue
    await refuseOwner(path, found)
    const takeOver = `${path}${TAKE_OVER}`
    await takeLock(takeOver, content)
    if ((await readLock(path)) === found) return rename(takeOver, path)
    await rm(takeOver)
  }
}

/** @returns false where there is one already. */
function createLock(path: string, content: string): boolean {
  try {
    writeFileSync(path, content, { flag: 'wx' })
    return true
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false
    throw error
  }
}

/**
 * @returns undefined where there is none; an empty text where its build was killed while it wrote it.
 * @throws {SourceUnavailableError} it cannot be read.
 */
async function readLock(path: string): Promise<string | undefined> {
  const read = (): Promise<string | undefined> =>
    readFile(path, 'utf8').catch(error => {
      if (systemCode(error) === 'ENOENT') return undefined
      throw fromSystemError(error, path)
    })
  const content = await read()
  if (content !== '') return content
  await setTimeout(EMPTY_MS)
  return read()
}

/** @throws {FolderInUseError} another build writes to the folder. */
export async function refuseLocked(folder: string): Promise<void> {
  const path = join(folder, LOCK_FILE)
  const found = await readLock(path)
  if (found !== undefined) await refuseOwner(path, found)
}

/** @throws {FolderInUseError} the build that wrote a lock may still be at work. */
async function refuseOwner(path: string, content: string): Promise<void> {
  const [owner, host, start] = content.split(' ')
  if (owner === '' || (host === hostname() && !(await isAlive(Number(owner), start)))) return
  const folder = dirname(path)
  throw new FolderInUseError(
    `Another build writes to ${folder} (process ${owner} on ${host ?? 'this machine'}); wait for it, or remove ${path} if there is none.`,
    { url: folder },
  )
}

/** Whether the process that wrote a lock still runs, and its number was not given to another one since. */
async function isAlive(processId: number, start: string | undefined): Promise<boolean> {
  try {
    // Signal 0 asks only.
    process.kill(processId, 0)
  } catch (error) {
    if (systemCode(error) !== 'EPERM') return false
  }
  const now = await startOf(processId)
  return start === undefined || start === now || now === UNKNOWN_START
}

const UNKNOWN_START = '-'

/** When a process began, in the kernel's own ticks since the machine did: no clock that can be set. */
async function startOf(processId: number): Promise<string> {
  const line = await readFile(`/proc/${processId}/stat`, 'utf8').catch(() => undefined)
  // The name stands in brackets and may hold anything; the start is the 20th word behind it.
  return line?.slice(line.lastIndexOf(')') + 2).split(' ')[19] ?? UNKNOWN_START
}
