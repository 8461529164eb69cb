import { findSeries } from './find-series.js'
import type { FrameSource } from './frame-source.js'
import { mapConcurrently } from './map-concurrently.js'
import type { SeriesLocation } from './series-location.js'
import type { SourceOptions } from './source-options.js'

/** Opening a series is a few hundred small file operations; more at a time do not make a disk faster. */
export const CONCURRENT_SERIES = 4

/**
 * Open series by path or URL, by the folder that they lie in, or by glob.
 *
 * @param patterns in the order in which the series are to stand.
 * @param onFailure is told why a pattern or a series is left out; where it throws, as it does by default, nothing is opened.
 * @returns the sources, each series once, and a sentence for each thing that was left out.
 * @throws as `locateSeries` and `openLocations`.
 */
export async function openSources(
  patterns: readonly string[],
  options?: SourceOptions,
  onFailure: OnFailure = rethrow,
): Promise<{ sources: FrameSource[]; warnings: string[] }> {
  const { locations, warnings } = await locateSeries(patterns, options, onFailure)
  return { sources: await openLocations(locations, onFailure), warnings }
}

type OnFailure = (error: unknown) => void

function rethrow(error: unknown): void {
  throw error
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
  onFailure: OnFailure = rethrow,
): Promise<{ locations: SeriesLocation[]; warnings: string[] }> {
  const warnings: string[] = []
  const known = new Map<string, SeriesLocation>()
  for (const pattern of patterns) {
    const found = await findSeries(pattern, options).catch(onFailure)
    if (!found) continue
    if (found.missing) onFailure(found.missing)
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
export async function openLocations(
  locations: readonly SeriesLocation[],
  onFailure: OnFailure = rethrow,
): Promise<FrameSource[]> {
  const opened: FrameSource[] = []
  try {
    const sources = await mapConcurrently(locations, CONCURRENT_SERIES, async location => {
      const source = await location.open().catch(onFailure)
      if (source) opened.push(source)
      return source
    })
    return sources.filter(source => source !== undefined)
  } catch (error) {
    await Promise.allSettled(opened.map(source => source.close()))
    throw error
  }
}
