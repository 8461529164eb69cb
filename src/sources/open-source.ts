import { realpath } from 'node:fs/promises'
import { fromSystemError } from '../errors.js'
import { findSeries } from './find-series.js'
import type { FrameSource } from './frame-source.js'
import { mapConcurrently } from './map-concurrently.js'
import { openPcsSeries } from './pyme/pcs-series.js'

/** Opening a series is a few hundred small file operations; more at a time do not make a disk faster. */
export const CONCURRENT_SERIES = 4

/**
 * Open series by path, by the folder that they lie in, or by glob.
 *
 * @param patterns in the order in which the series are to stand.
 * @returns the sources, each folder once, and a sentence for each thing that was left out.
 * @throws {NotFoundError} a path does not exist, or a glob matches no series.
 * @throws {UnsupportedDataError} a path exists and is no series. All other errors of the readers pass.
 *   Where one series cannot be opened, those already open are closed.
 */
export async function openSources(
  patterns: readonly string[],
): Promise<{ sources: FrameSource[]; warnings: string[] }> {
  const warnings: string[] = []
  const paths = new Map<string, string>()
  for (const pattern of patterns) {
    const found = await findSeries(pattern)
    if (found.missing) throw found.missing
    warnings.push(...found.warnings)
    for (const path of found.paths) {
      const real = await realpath(path).catch(error => {
        throw fromSystemError(error, path)
      })
      if (paths.has(real)) warnings.push(`${path} is the same series as ${paths.get(real)} and is taken once.`)
      else paths.set(real, path)
    }
  }
  const opened: FrameSource[] = []
  try {
    const sources = await mapConcurrently([...paths.values()], CONCURRENT_SERIES, async path => {
      const source = await openPcsSeries(path)
      opened.push(source)
      return source
    })
    return { sources, warnings }
  } catch (error) {
    await Promise.allSettled(opened.map(source => source.close()))
    throw error
  }
}
