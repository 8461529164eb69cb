import { hasFewJsonValues } from '../json-values.js'
import { hasControlCharacter } from './cluster-url.js'

/** A listing of a million frames has about 30 MB. */
export const MAX_LISTING_BYTES = 64 * 2 ** 20
const MAX_ENTRIES = 1_000_000

/** PYME's type bits, of which bit 1 (directory) is not to be relied on: after a PUT it is missing for a while. */
const SERIES_BIT = 2

/** One entry of a directory, as a data server lists it. */
export interface Entry {
  readonly isFolder: boolean
  /** Whether the server sees metadata in it. */
  readonly isSeries: boolean
  /** Bytes of a file; 0 also where the server does not say. */
  readonly size: number
}

/**
 * Parse a data server's listing: `{"well_A1.pcs/": [7, 30], "notes.txt": [0, 12]}`.
 *
 * @returns entries by name, without the slash of a directory; undefined where it is no listing. Entries whose name is no
 *   name of one thing in the directory are left out.
 */
export function parseListing(bytes: Uint8Array): Map<string, Entry> | undefined {
  const listed = parseJson(bytes)
  if (typeof listed !== 'object' || listed === null || Array.isArray(listed)) return undefined
  const entries = new Map<string, Entry>()
  for (const [key, facts] of Object.entries(listed)) {
    const isFolder = key.endsWith('/')
    const name = isFolder ? key.slice(0, -1) : key
    if (!Array.isArray(facts) || !isPlainName(name)) continue
    const [bits, size] = facts as unknown[]
    if (!isCount(bits) || !isCount(size)) continue
    if (entries.size === MAX_ENTRIES) return undefined
    entries.set(name, { isFolder, isSeries: (bits & SERIES_BIT) !== 0, size })
  }
  return entries
}

/**
 * Parse a data server's answer to `__glob`. PYME does not confine it to the cluster's root.
 *
 * @returns paths below the root; undefined where it is no such answer. Others are left out.
 */
export function parseGlobAnswer(bytes: Uint8Array): string[] | undefined {
  const paths = parseJson(bytes)
  if (!Array.isArray(paths) || paths.length > MAX_ENTRIES) return undefined
  return paths.filter(
    (path): path is string => typeof path === 'string' && path.split('/').every(segment => isPlainName(segment)),
  )
}

/** Names come from the network, and go into requests and messages. Python lists names that are no UTF-8 with half characters. */
function isPlainName(name: string): boolean {
  const isSpecial = name === '' || name === '.' || name === '..'
  return !isSpecial && !/[/\\]|\p{Surrogate}/u.test(name) && !hasControlCharacter(name)
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function parseJson(bytes: Uint8Array): unknown {
  if (!hasFewJsonValues(bytes)) return undefined
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    return undefined
  }
}
