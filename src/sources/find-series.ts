import { isClusterUrl } from './cluster/cluster-url.js'
import { findOnCluster } from './cluster/find-on-cluster.js'
import { findOnDisk } from './find-on-disk.js'
import type { FoundSeries } from './series-location.js'
import type { SourceOptions } from './source-options.js'

/**
 * Find the series that a name leads to, wherever they are.
 *
 * @param typed a path, a folder of series, or a glob: on disk, or on a cluster as `pyme-cluster://NAME/path`.
 * @throws as `findOnDisk` and `findOnCluster`.
 */
export function findSeries(typed: string, options: SourceOptions = {}): Promise<FoundSeries> {
  return isClusterUrl(typed) ? findOnCluster(typed, options.cluster) : findOnDisk(typed, options)
}
