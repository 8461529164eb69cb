import { resolve } from 'node:path'
import { isClusterUrl } from './cluster/cluster-url.js'

/**
 * A name that means the same wherever the process is started: an absolute path, or the URL as it is.
 *
 * @param url as `FrameSource.url` has it.
 */
export function absoluteUrl(url: string): string {
  return isClusterUrl(url) ? url : resolve(url)
}
