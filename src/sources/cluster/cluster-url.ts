import { UsageError } from '../../errors.js'

/** What a cluster URL says. */
export interface ClusterPath {
  /** Part of the names of the data servers that are meant; empty for all of them. */
  readonly filter: string
  /** Below the servers' roots; no slash at either end, no empty segment, no `.` or `..`. May be a glob. */
  readonly path: string
}

/** PYME takes its scheme in small letters and in capitals; a mixture is told apart here only to be refused with reason. */
const SCHEME = /^pyme-cluster:/i

export function isClusterUrl(typed: string): boolean {
  return SCHEME.test(typed)
}

/**
 * Read `pyme-cluster://NAME/path` or `PYME-CLUSTER:///path`. There is no query, port or escape in it: `?` is part of a glob.
 *
 * @throws {UsageError} not of that form, or a path that leads out of the cluster's root or nowhere.
 */
export function parseClusterUrl(typed: string): ClusterPath {
  const match = /^(?:pyme-cluster|PYME-CLUSTER):\/\/([^/]*)\/(.*)$/s.exec(typed)
  if (!match) {
    throw new UsageError(
      `${typed} is no cluster URL; it is pyme-cluster://NAME/path or pyme-cluster:///path, all in small letters or all in capitals up to the colon.`,
    )
  }
  const [, filter, rest] = match as unknown as [string, string, string]
  const segments = rest.split('/').filter(segment => segment !== '')
  if (segments.length === 0) throw new UsageError(`${typed} names no series; a path or a glob follows the name.`)
  const wrong = segments.find(segment => segment === '.' || segment === '..' || hasControlCharacter(segment))
  if (wrong !== undefined) throw new UsageError(`${typed} is not possible: paths on a cluster have no . or .. in them.`)
  return { filter, path: segments.join('/') }
}

/** The one spelling of a cluster URL. */
export function clusterUrl({ filter, path }: ClusterPath): string {
  return `pyme-cluster://${filter}/${path}`
}

/** A name in a directory; the path of the root is empty. */
export function joinPath(directory: string, name: string): string {
  return directory === '' ? name : `${directory}/${name}`
}

/** Whether a path is an HDF5 spool, which data servers show as a directory of frames and JSON files. */
export function isSpool(path: string): boolean {
  return /\.h5$/i.test(path)
}

/** Such a name would garble a request or a message. */
export function hasControlCharacter(name: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return /[\u0000-\u001f\u007f]/.test(name)
}
