import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { FastifyBaseLogger } from 'fastify'
import { TilestageError } from '../../errors.js'
import { naturalOrder } from '../../natural-order.js'
import { readRootStamp } from '../../pyramid/root-stamp.js'
import type { PyramidRegistry } from './registry.js'

/** Pyramids that are opened in one folder. Each takes memory as long as the server runs. */
const MAX_IN_FOLDER = 1000

/**
 * Open the pyramid that a server is started with, or those that lie right below the folder, sorted naturally.
 *
 * @throws {TilestageError} it is no pyramid and holds none; or it is one that cannot be opened.
 */
export async function addPyramids(registry: PyramidRegistry, path: string, log: FastifyBaseLogger): Promise<void> {
  const below = (await readRootStamp(path)) === undefined ? await pyramidsIn(path) : []
  let opened = 0
  for (const folder of below.slice(0, MAX_IN_FOLDER)) {
    try {
      await registry.addNamed(folder)
      opened++
    } catch (error) {
      // One damaged pyramid, or a series, shall not hide the others.
      if (!(error instanceof TilestageError)) throw error
      log.warn({ path: folder, err: error }, 'folder not served')
    }
  }
  if (below.length > MAX_IN_FOLDER)
    log.warn({ path, left: below.length - MAX_IN_FOLDER }, 'too many pyramids in folder')
  // What it is instead is told by opening it.
  if (opened === 0) await registry.addNamed(path)
}

/** The folders in a folder that have a pyramid's root file. Hidden ones are what a build puts aside for a moment. */
async function pyramidsIn(path: string): Promise<string[]> {
  const names = await readdir(path).catch(() => [])
  const folders = names
    .filter(name => !name.startsWith('.'))
    .sort(naturalOrder)
    .map(name => join(path, name))
  const stamps = await Promise.all(folders.map(readRootStamp))
  return folders.filter((_, i) => stamps[i] !== undefined)
}
