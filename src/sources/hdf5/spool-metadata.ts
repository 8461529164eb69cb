import type { PymeMetadata } from '../pyme/metadata.js'
import type { Hdf5Attribute, Hdf5Object } from './hdf5-messages.js'

/** What PyTables writes beside PYME's keys. */
const PYTABLES_KEYS = ['CLASS', 'TITLE', 'VERSION', 'FILTERS']

/**
 * Flatten the tree of a spool's metadata: the attribute `ADOffset` of `/MetaData/Camera` is `Camera.ADOffset`.
 *
 * Lists and other Python objects are stored as pickles, which are programs; they are named and never run.
 *
 * @param tree the group `/MetaData`, with all that lies below it.
 * @returns the keys, and a sentence on those that are left out.
 */
export function flattenMetadata(tree: Hdf5Object): { metadata: PymeMetadata; problems: string[] } {
  const entries: [key: string, value: unknown][] = []
  const ignored: string[] = []
  const visit = (object: Hdf5Object, prefix: string): void => {
    if (object.kind !== 'group') return
    for (const [name, attribute] of Object.entries(object.attributes)) {
      if (PYTABLES_KEYS.includes(name)) continue
      const value = plainValue(attribute)
      if (value === undefined) ignored.push(prefix + name)
      else entries.push([prefix + name, value])
    }
    for (const [name, child] of Object.entries(object.children ?? {})) visit(child, `${prefix}${name}.`)
  }
  visit(tree, '')
  const metadata = Object.fromEntries(entries)
  if (ignored.length === 0) return { metadata, problems: [] }
  const named = ignored.slice(0, 5).join(', ') + (ignored.length > 5 ? ` and ${ignored.length - 5} more` : '')
  return { metadata, problems: [`Metadata stored as Python objects is not read: ${named}.`] }
}

/** As JSON would have it; undefined for what is left out. */
function plainValue({ type, shape, value }: Hdf5Attribute): unknown {
  // PyTables stores an empty text as nothing at all.
  if (type.kind === 'string' && shape === null) return ''
  if (type.kind === 'bitfield' && typeof value === 'number') return value !== 0
  if (typeof value === 'bigint') return Number(value)
  if (typeof value === 'string') return type.kind === 'string' && type.isAscii && isPickle(value) ? undefined : value
  if (typeof value === 'number' || typeof value === 'boolean') return value
  const isPlain = Array.isArray(value) && value.every(item => ['number', 'string', 'boolean'].includes(typeof item))
  return isPlain ? value : undefined
}

/** Text ends with STOP, and begins with a mark, the name of a class, or the version of later pickles, which is no text. */
function isPickle(text: string): boolean {
  return text.startsWith('\x80') || /^[(c].*\n.*\.$/s.test(text)
}
