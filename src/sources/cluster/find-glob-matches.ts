import { SourceUnavailableError } from '../../errors.js'
import { mapConcurrently } from '../map-concurrently.js'
import { type ClusterPath, clusterUrl, joinPath } from './cluster-url.js'
import type { DataServer } from './data-server.js'
import type { DataServers } from './data-servers.js'
import { isGlob, matchSegment } from './glob-pattern.js'
import { type Entry, MAX_LISTING_BYTES, parseGlobAnswer } from './listing.js'
import { describeFailures, ServerFailure } from './server-failure.js'

const CONCURRENT_LISTINGS = 4
/** A glob that needs more of them is too wide to be meant. */
const MOST_LISTINGS = 10_000

/**
 * Ask all servers what matches a glob.
 *
 * @returns the union of what they have, and the servers that do not answer.
 * @throws {SourceUnavailableError} none of them answers.
 */
export async function findGlobMatches(
  servers: DataServers,
  place: ClusterPath,
): Promise<{ paths: string[]; failures: ServerFailure[] }> {
  const paths = new Set<string>()
  const asked = servers.all.map(async server => {
    try {
      for (const path of await matchOn(server, servers, place.path)) paths.add(path)
      return undefined
    } catch (error) {
      if (error instanceof ServerFailure) return error
      throw error
    }
  })
  const failures = (await Promise.all(asked)).filter(failure => failure !== undefined)
  if (failures.length < servers.all.length) return { paths: [...paths], failures }
  const url = clusterUrl(place)
  const message = `${url} cannot be searched for: ${describeFailures(failures)}.`
  throw new SourceUnavailableError(message, { url, cause: failures[0] })
}

async function matchOn(server: DataServer, servers: DataServers, pattern: string): Promise<string[]> {
  const matches = matchPath(pattern)
  const query = encodeURIComponent(pattern).replaceAll('%2F', '/')
  try {
    const { bytes } = await servers.askOnce(server, `/__glob?pattern=${query}`, { maxBytes: MAX_LISTING_BYTES })
    const paths = bytes && parseGlobAnswer(bytes)
    if (paths) return paths.filter(matches)
  } catch (error) {
    if (!(error instanceof ServerFailure)) throw error
  }
  // A server that has no globs, or trouble with them.
  return await walk(server, servers, pattern.split('/'))
}

/** PYME's servers match outside of their root too, and what they answer is not to be believed. */
function matchPath(pattern: string): (path: string) => boolean {
  const segments = pattern.split('/').map(matchSegment)
  return path => {
    const names = path.split('/')
    return names.length === segments.length && names.every((name, i) => segments[i]!(name))
  }
}

async function walk(server: DataServer, servers: DataServers, segments: readonly string[]): Promise<string[]> {
  let paths = ['']
  let listings = 0
  for (const [i, segment] of segments.entries()) {
    const isLast = i === segments.length - 1
    if (!isGlob(segment) && !isLast) {
      paths = paths.map(path => joinPath(path, segment))
      continue
    }
    listings += paths.length
    if (listings > MOST_LISTINGS)
      throw new ServerFailure(
        'lasting',
        server,
        `has more than ${MOST_LISTINGS} directories that the pattern goes through`,
      )
    const matches = matchSegment(segment)
    const found = await mapConcurrently(paths, CONCURRENT_LISTINGS, async path => {
      const entries = await listIfThere(server, servers, path)
      const names = [...entries].filter(([name, { isFolder }]) => matches(name) && (isFolder || isLast))
      return names.map(([name]) => joinPath(path, name))
    })
    paths = found.flat()
  }
  return paths
}

/** Nothing where a server has no such directory. */
async function listIfThere(
  server: DataServer,
  servers: DataServers,
  path: string,
): Promise<ReadonlyMap<string, Entry>> {
  try {
    return await servers.list(server, path)
  } catch (error) {
    if (error instanceof ServerFailure && error.kind === 'absent') return new Map()
    throw error
  }
}
