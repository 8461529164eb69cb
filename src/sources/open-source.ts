import { findSeries, type SourceOptions } from './find-series.js'
import type { FrameSource } from './frame-source.js'
import { mapConcurrently } from './map-concurrently.js'
import type { SeriesLocation } from './series-location.js'

/** Opening a series is a few hundred small file operations; more at a time do not make a disk faster. */
export const CONCURRENT_SERIES = 4

/**
 * Open series by path or URL, by the folder that they lie in, or by glob.
 *
 * @param patterns in the order in which the series are to stand.
 * @returns the sources, each series once, and a sentence for each thing that was left out.
 * @throws as `locateSeries` and `openLocations`.
 */
export async function openSources(
  patterns: readonly string[],
  options?: SourceOptions,
): Promise<{ sources: FrameSource[]; warnings: string[] }> {
  const { locations, warnings } = await locateSeries(patterns, options)
  return { sources: await openLocations(locations), warnings }
}

/**
 * Find series without opening them.
 *
 * @returns each series once, in order, and a sentence for each thing that was left out.
 * @throws {NotFoundError} a path does not exist, or a glob matches no series.
 * @throws {UnsupportedDataError} a path exists and is no series.
 */
export async function locateSeries(
  patterns: readonly string[],
  options?: SourceOptions,
): Promise<{ locations: SeriesLocation[]; warnings: string[] }> {
  const warnings: string[] = []
  const known = new Map<string, SeriesLocation>()
  for (const pattern of patterns) {
    const found = await findSeries(pattern, options)
    if (found.missing) throw found.missing
    warnings.push(...found.warnings)
    for (const location of found.locations) {
      const { url, identity } = location
      const same = known.get(identity)
      if (same) warnings.push(`${url} is the same series as ${same.url} and is taken once.`)
      else known.set(identity, location)
    }
  }
  return { locations: [...known.values()], warnings }
}

/**
 * Open series that were found.
 *
 * @throws {TilestageError} what the reader of the first one that cannot be opened throws; those already open are closed.
 */
export async function openLocations(locations: readonly SeriesLocation[]): Promise<FrameSource[]> {
  const opened: FrameSource[] = []
  try {
    return await mapConcurrently(locations, CONCURRENT_SERIES, async location => {
      const source = await location.open()
      opened.push(source)
      return source
    })
  } catch (error) {
    await Promise.allSettled(opened.map(source => source.close()))
    throw error
  }
}
