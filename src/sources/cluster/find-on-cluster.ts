import { NotFoundError, UnsupportedDataError } from '../../errors.js'
import { naturalOrder } from '../../natural-order.js'
import { mapConcurrently } from '../map-concurrently.js'
import { openSeriesFiles } from '../pyme/pcs-series.js'
import { PcsWatch } from '../pyme/pcs-watch.js'
import { FINAL_METADATA, frameNumberOf, METADATA } from '../pyme/series-files.js'
import type { FoundSeries, SeriesLocation } from '../series-location.js'
import { ClusterDirectory } from './cluster-directory.js'
import { ClusterFolder } from './cluster-folder.js'
import { ClusterPlace } from './cluster-place.js'
import { type ClusterPath, clusterUrl, isSpool, joinPath, parseClusterUrl } from './cluster-url.js'
import { nameServers } from './data-server.js'
import { DataServers } from './data-servers.js'
import { findGlobMatches } from './find-glob-matches.js'
import { type ClusterOptions, findServers } from './find-servers.js'
import { isGlob } from './glob-pattern.js'
import type { Entry } from './listing.js'
import { PATIENCE } from './patience.js'
import { type ServerFailure, warnOfFailures } from './server-failure.js'

const CONCURRENT_DIRECTORIES = 4

/**
 * Find series by a cluster URL: of one series, of the directory that they lie in, or a glob.
 *
 * @throws {UsageError} no cluster URL. @throws {SourceUnavailableError} no server was found, or none answers.
 * @throws {NotFoundError} a path that is no glob does not exist.
 */
export async function findOnCluster(typed: string, options: ClusterOptions = {}): Promise<FoundSeries> {
  const place = parseClusterUrl(typed)
  const servers = new DataServers(await findServers(place.filter, typed, options), options.patience ?? PATIENCE)
  // Servers that the user named are meant by any name.
  const search = new ClusterSearch(servers, options.servers ? '' : place.filter)
  return isGlob(place.path) ? await search.match(place) : await search.name(place)
}

/** What matches a glob, by path in natural order. */
interface Matches {
  readonly series: readonly string[]
  readonly others: readonly string[]
  readonly failures: readonly ServerFailure[]
}

class ClusterSearch {
  readonly #servers: DataServers
  /** The same for all names of one cluster. */
  readonly #identity: string

  constructor(servers: DataServers, identity: string) {
    this.#servers = servers
    this.#identity = identity
  }

  /** A path that is no glob. */
  async name(place: ClusterPath): Promise<FoundSeries> {
    const directory = new ClusterDirectory(this.#servers, place)
    await directory.list()
    if (!directory.exists && (await directory.findUnlisted([METADATA])).size === 0)
      throw await this.#doesNotExist(directory, place)
    const warnings = warnOfFailures(directory.failures)
    if (!directory.exists || isSeries(place.path, directory.entries))
      return { locations: [this.#locate(place)], warnings, missing: undefined, more: undefined }
    const within = seriesWithin(place.path, directory.entries)
    const look = async (): Promise<readonly string[]> => {
      await directory.list()
      return seriesWithin(place.path, directory.entries)
    }
    return {
      locations: within.map(path => this.#locate({ ...place, path })),
      warnings,
      missing: within.length === 0 ? holdsNoSeries(directory) : undefined,
      more: new ClusterPlace(within, look, this.#servers.patience.searchMs),
    }
  }

  /** A glob. */
  async match(place: ClusterPath): Promise<FoundSeries> {
    const matches = await this.#findMatches(place)
    const { series, others, failures } = matches
    // What is no series yet may become one.
    const kinds = (found: Matches): string[] => [...found.series, 'others', ...found.others]
    const look = async (): Promise<readonly string[]> => kinds(await this.#findMatches(place))
    const more = new ClusterPlace(kinds(matches), look, this.#servers.patience.searchMs)
    const warnings = warnOfFailures(failures)
    if (series.length === 0) return { locations: [], warnings, missing: await this.#matchesNone(place, others), more }
    if (others.length > 0)
      warnings.push(`${clusterUrl(place)} also matches what is no series and is left out: ${nameSome(others)}.`)
    return { locations: series.map(path => this.#locate({ ...place, path })), warnings, missing: undefined, more }
  }

  async #findMatches(place: ClusterPath): Promise<Matches> {
    const { paths, failures } = await findGlobMatches(this.#servers, place)
    const isSeries = await this.#judge(place, paths)
    const sorted = paths.sort(naturalOrder)
    return { series: sorted.filter(isSeries), others: sorted.filter(path => !isSeries(path)), failures }
  }

  async #matchesNone(place: ClusterPath, others: readonly string[]): Promise<NotFoundError> {
    const url = clusterUrl(place)
    const areNone = others.length === 1 ? 'is no series' : 'are no series'
    const found = others.length === 0 ? 'nothing' : `${nameSome(others)}, which ${areNone},`
    const around = await this.#describe({ ...place, path: fixedPart(place.path) })
    return new NotFoundError(`${url} matches ${found} on ${nameServers(this.#servers.all)}${around}.`, { url })
  }

  #locate(place: ClusterPath): SeriesLocation {
    return {
      url: clusterUrl(place),
      identity: clusterUrl({ filter: this.#identity, path: place.path }),
      open: () => openSeriesFiles(new ClusterFolder(this.#servers, place)),
      follow: isFresh => new PcsWatch(new ClusterFolder(this.#servers, place), isFresh),
    }
  }

  /** Whether paths that match a glob are series, as their names say or the listings that they are in. */
  async #judge(place: ClusterPath, paths: readonly string[]): Promise<(path: string) => boolean> {
    const unclear = paths.filter(path => !isNamedAsSeries(path))
    const listings = new Map<string, ReadonlyMap<string, Entry>>()
    await mapConcurrently([...new Set(unclear.map(parentOf))], CONCURRENT_DIRECTORIES, async path => {
      const directory = new ClusterDirectory(this.#servers, { ...place, path })
      await directory.list()
      listings.set(path, directory.entries)
    })
    return path => {
      const entry = listings.get(parentOf(path))?.get(nameOf(path))
      return isNamedAsSeries(path) || (entry?.isFolder === true && entry.isSeries)
    }
  }

  async #doesNotExist(directory: ClusterDirectory, place: ClusterPath): Promise<Error> {
    const error = directory.doesNotExist()
    if (!(error instanceof NotFoundError)) return error
    const { url } = directory
    const around = await this.#describe({ ...place, path: parentOf(place.path) })
    return new NotFoundError(`${url} does not exist on ${nameServers(this.#servers.all)}${around}.`, { url })
  }

  /** What is there instead, to go on with in a sentence; nothing where that cannot be told. */
  async #describe(place: ClusterPath): Promise<string> {
    const directory = new ClusterDirectory(this.#servers, place)
    try {
      await directory.list()
    } catch {
      return ''
    }
    const where = place.path === '' ? 'the root' : place.path
    if (!directory.exists) return `; ${where} does not exist there`
    const series = seriesWithin(place.path, directory.entries)
    const found =
      series.length === 0
        ? 'none of which is a series'
        : `${series.length} of them series such as ${nameOf(series[0]!)}`
    return `; ${where} there holds ${count(directory.entries.size)}, ${found}`
  }
}

function holdsNoSeries({ url, entries }: ClusterDirectory): UnsupportedDataError {
  const found = `a directory of ${count(entries.size)} that has not both frames and metadata`
  const message = `${url} is ${found}; a series has frame00000.pzf, metadata.json and events.json.`
  return new UnsupportedDataError(message, { url })
}

/** By its name, or by what it holds. */
function isSeries(path: string, entries: ReadonlyMap<string, Entry>): boolean {
  if (isNamedAsSeries(path)) return true
  const isDescribed = entries.has(METADATA) || entries.has(FINAL_METADATA)
  return isDescribed && [...entries.keys()].some(name => frameNumberOf(name) !== undefined)
}

function isNamedAsSeries(path: string): boolean {
  return /\.pcs$/i.test(path) || isSpool(path)
}

/** The paths of series in a directory, in natural order. */
function seriesWithin(path: string, entries: ReadonlyMap<string, Entry>): string[] {
  const names = [...entries].filter(([name, { isFolder }]) => isSpool(name) || (isFolder && /\.pcs$/i.test(name)))
  return names.map(([name]) => joinPath(path, name)).sort(naturalOrder)
}

/** Of a glob, the directories before its first pattern. */
function fixedPart(path: string): string {
  const segments = path.split('/')
  return segments.slice(0, segments.findIndex(isGlob)).join('/')
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

function nameSome(paths: readonly string[]): string {
  const more = paths.length > 3 ? ` and ${paths.length - 3} more` : ''
  return paths.slice(0, 3).join(', ') + more
}

function count(entries: number): string {
  return entries === 1 ? '1 entry' : `${entries} entries`
}
