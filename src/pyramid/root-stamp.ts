import { stat } from 'node:fs/promises'
import { join } from 'node:path'

/** The root file of each format: rewritten whenever the pyramid is, so that its stamp tells of a change. */
export const PYRAMID_ROOT_FILES = ['zarr.json', 'metadata.json'] as const

/** Changes when a pyramid's root file is written or replaced; undefined where it cannot be read just now. */
export async function readRootStamp(folder: string): Promise<string | undefined> {
  for (const name of PYRAMID_ROOT_FILES) {
    try {
      const { dev, ino, size, mtimeMs } = await stat(join(folder, name))
      return [name, dev, ino, size, mtimeMs].join(' ')
    } catch {
      // Not this format, or not reachable: then there is nothing newer to open.
    }
  }
  return undefined
}
