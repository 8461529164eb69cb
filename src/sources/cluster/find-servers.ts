import { SourceUnavailableError } from '../../errors.js'
import type { DataServer } from './data-server.js'
import { type DiscoverServers, discoverServers } from './discover-servers.js'
import { PATIENCE, type Patience } from './patience.js'

/** Which data servers a cluster URL may mean. */
export interface ClusterOptions {
  /** Those that the user named, who means them whatever the cluster; found on the network where undefined. */
  readonly servers?: readonly DataServer[]
  readonly discover?: DiscoverServers
  readonly patience?: Patience
}

/**
 * Find the data servers that a URL means.
 *
 * @param filter a part of their names, as PYME has it.
 * @param url for the message.
 * @throws {SourceUnavailableError} there are none.
 */
export async function findServers(
  filter: string,
  url: string,
  options: ClusterOptions,
): Promise<readonly DataServer[]> {
  const { servers, discover = discoverServers, patience = PATIENCE } = options
  if (servers) return servers
  const { servers: found, waitedMs } = await discover(patience)
  const meant = found.filter(({ service }) => service?.includes(filter))
  if (meant.length > 0) return meant
  const wanted = filter === '' ? 'No data server' : `No data server with "${filter}" in its name`
  const waited = `within ${(waitedMs / 1000).toFixed(1)} s`
  const names = found.slice(0, 4).map(({ service }) => `"${service}"`)
  if (found.length > names.length) names.push(`${found.length - names.length} more`)
  const instead = names.length === 0 ? '' : `, but ${names.join(', ')}`
  throw new SourceUnavailableError(
    `${wanted} was found on the network ${waited}${instead}, so ${url} cannot be opened; --cluster HOST:PORT names servers that do not announce themselves.`,
    { url },
  )
}
