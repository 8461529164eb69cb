import type { Size } from '../plane.js'
import type { AxisLetters } from './array-axes.js'
import { isClusterUrl } from './cluster/cluster-url.js'
import { findOnCluster } from './cluster/find-on-cluster.js'
import type { ClusterOptions } from './cluster/find-servers.js'
import { findOnDisk } from './find-on-disk.js'
import type { FoundSeries } from './series-location.js'

/** What finding a series takes beside its name. */
export interface SourceOptions {
  readonly cluster?: ClusterOptions
  /** `--unit`: what lengths in a file are measured in, instead of what it says; how many µm that is. */
  readonly unitUm?: number
  /** `--shape`: of the images of a stack whose rows are flattened images. */
  readonly shape?: Size
  /** `--axes`: what stands along the axes of an array, where it says nothing or is wrong. */
  readonly axes?: AxisLetters
  /** `--table`: path of a table with a row for each image of a stack. */
  readonly table?: string
}

/**
 * Find the series that a name leads to, wherever they are.
 *
 * @param typed a path, a folder of series, or a glob: on disk, or on a cluster as `pyme-cluster://NAME/path`.
 * @throws as `findOnDisk` and `findOnCluster`.
 */
export function findSeries(typed: string, options: SourceOptions = {}): Promise<FoundSeries> {
  return isClusterUrl(typed) ? findOnCluster(typed, options.cluster) : findOnDisk(typed, options)
}
