import { open, readFile, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { fromSystemError, SourceUnavailableError, systemCode } from '../errors.js'

/** Lies in an output folder while a build writes there: `PROCESS HOST`. */
export const LOCK_FILE = '.tilestage-building'

/**
 * Keep other builds out of a folder, whose shards they would mix with ours. The lock of a build that was killed is
 * taken over.
 *
 * @returns a function that frees the folder.
 * @throws {SourceUnavailableError} another build writes there, or the lock cannot be written.
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, LOCK_FILE)
  const free = (): Promise<void> => rm(path, { force: true })
  try {
    if (!(await takeLock(path))) {
      await refuseLiveOwner(folder, path)
      await free()
      if (!(await takeLock(path))) await refuseLiveOwner(folder, path)
    }
    return free
  } catch (error) {
    throw fromSystemError(error, path)
  }
}

/** @returns whether the lock is ours now. */
async function takeLock(path: string): Promise<boolean> {
  const file = await open(path, 'wx').catch(error => {
    if (systemCode(error) === 'EEXIST') return undefined
    throw error
  })
  if (!file) return false
  try {
    await file.writeFile(`${process.pid} ${hostname()}`)
    return true
  } catch (error) {
    await rm(path, { force: true })
    throw error
  } finally {
    await file.close()
  }
}

async function refuseLiveOwner(folder: string, path: string): Promise<void> {
  const [owner, host] = (await readFile(path, 'utf8').catch(() => '')).split(' ')
  if (host === hostname() && !isAlive(Number(owner))) return
  throw new SourceUnavailableError(
    `Another build writes to ${folder} (process ${owner || 'unknown'} on ${host ?? 'this machine'}); wait for it, or remove ${path} if there is none.`,
    { url: folder },
  )
}

function isAlive(processId: number): boolean {
  try {
    // Signal 0 asks only.
    return process.kill(processId, 0)
  } catch (error) {
    return systemCode(error) === 'EPERM'
  }
}
