import type { Hdf5Attribute, Hdf5Dataset, Hdf5Group, Hdf5Object } from './hdf5-messages.js'

/** Deeper than any layout that is known. */
export const TREE_DEPTH = 24

export interface FoundDataset {
  readonly path: string
  readonly dataset: Hdf5Dataset
}

export interface FoundGroup {
  readonly path: string
  readonly group: Hdf5Group
}

/** An object and all that lies below it, in the order of the file. */
export function* walkTree(path: string, object: Hdf5Object): Generator<{ path: string; object: Hdf5Object }> {
  yield { path, object }
  if (object.kind !== 'group') return
  for (const [name, child] of Object.entries(object.children ?? {}))
    yield* walkTree(path === '/' ? `/${name}` : `${path}/${name}`, child)
}

export function findDatasets(path: string, object: Hdf5Object): FoundDataset[] {
  return [...walkTree(path, object)].flatMap(({ path, object }) =>
    object.kind === 'dataset' ? [{ path, dataset: object }] : [],
  )
}

export function findGroups(path: string, object: Hdf5Object): FoundGroup[] {
  return [...walkTree(path, object)].flatMap(({ path, object }) =>
    object.kind === 'group' ? [{ path, group: object }] : [],
  )
}

/** An attribute that is one text; undefined where it is none. */
export function textOf(attribute: Hdf5Attribute | undefined): string | undefined {
  return textsOf(attribute)[0]
}

/** An attribute that is one text or a list of them. */
export function textsOf(attribute: Hdf5Attribute | undefined): string[] {
  const { value } = attribute ?? {}
  const texts = Array.isArray(value) ? value : [value]
  return texts.every(text => typeof text === 'string') ? texts.map(text => text.trim()) : []
}

/** The path that an attribute refers to. */
export function referenceOf(attribute: Hdf5Attribute | undefined): string | undefined {
  return attribute?.type.kind === 'reference' && !attribute.type.isRegion ? textOf(attribute) : undefined
}

/** Attributes as plain JSON; those that cannot be are left out. */
export function plainAttributes(attributes: Readonly<Record<string, Hdf5Attribute>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(attributes).flatMap(([name, { value }]) => {
      const plain = JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? String(part) : part))
      return plain === undefined ? [] : [[name, JSON.parse(plain)]]
    }),
  )
}
