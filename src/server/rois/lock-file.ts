import { open, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { systemCode } from '../../errors.js'
import { makeFolder } from '../../pyramid/make-folder.js'

const TRY_EVERY_MS = 5

/** Whoever holds a lock for so long was killed: a change takes a few milliseconds. */
const STALE_MS = 5000

/**
 * Do something while no other server does it with the same file. Where no lock can be made, because the disk takes
 * nothing, it is done all the same.
 */
export async function whileLocked<T>(path: string, work: () => Promise<T>): Promise<T> {
  const lock = `${path}.lock`
  const isOurs = await makeLock(lock)
  try {
    return await work()
  } finally {
    if (isOurs) await rm(lock, { force: true }).catch(() => undefined)
  }
}

async function makeLock(lock: string): Promise<boolean> {
  try {
    await makeFolder(dirname(lock))
  } catch {
    return false
  }
  for (;;) {
    try {
      const file = await open(lock, 'wx')
      await file.close()
      return true
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') return false
    }
    if (await isStale(lock)) await rm(lock, { force: true }).catch(() => undefined)
    await delay(TRY_EVERY_MS)
  }
}

async function isStale(lock: string): Promise<boolean> {
  const mtimeMs = await stat(lock).then(
    stats => stats.mtimeMs,
    () => Date.now(),
  )
  return Date.now() - mtimeMs > STALE_MS
}
