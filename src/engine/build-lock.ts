import { writeFileSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { fromSystemError, SourceUnavailableError, systemCode } from '../errors.js'

/** Lies in an output folder while a build writes there: `PROCESS HOST START`. */
export const LOCK_FILE = '.tilestage-building'

/**
 * Keep other builds out of a folder, whose shards they would mix with ours. The lock of a build that was killed is
 * taken over.
 *
 * @returns a function that frees the folder, once: later the lock may be that of the next build.
 * @throws {SourceUnavailableError} another build writes there, or the lock cannot be written.
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, LOCK_FILE)
  const remove = (): Promise<void> => rm(path, { force: true })
  try {
    if (!(await takeLock(path))) {
      await refuseLocked(folder)
      await remove()
      if (!(await takeLock(path))) await refuseLocked(folder)
    }
    let isFreed = false
    return async () => {
      if (!isFreed) await remove()
      isFreed = true
    }
  } catch (error) {
    throw fromSystemError(error, path)
  }
}

/** @returns whether the lock is ours now. */
async function takeLock(path: string): Promise<boolean> {
  const content = `${process.pid} ${hostname()} ${await startOf(process.pid)}`
  try {
    // In one go: a lock that says nothing is that of a build which was killed while it wrote it.
    writeFileSync(path, content, { flag: 'wx' })
    return true
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false
    throw error
  }
}

/** @throws {SourceUnavailableError} another build writes to the folder. */
export async function refuseLocked(folder: string): Promise<void> {
  const path = join(folder, LOCK_FILE)
  const [owner, host, start] = (await readFile(path, 'utf8').catch(() => '')).split(' ')
  if (owner === '' || (host === hostname() && !(await isAlive(Number(owner), start)))) return
  throw new SourceUnavailableError(
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
