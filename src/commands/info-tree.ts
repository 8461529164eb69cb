import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fromSystemError, UnsupportedDataError } from '../errors.js'
import { naturalOrder } from '../natural-order.js'
import { splitInside } from '../sources/find-on-disk.js'
import { openArrayFile } from '../sources/hdf5/array-reader.js'
import { nameFilters } from '../sources/hdf5/hdf5-filters.js'
import type { Hdf5Attribute, Hdf5Object } from '../sources/hdf5/hdf5-messages.js'
import { nameType } from '../sources/hdf5/hdf5-values.js'
import { TREE_DEPTH } from '../sources/hdf5/object-tree.js'
import { HDF5_ENDING } from '../sources/hdf5/pyme-spool.js'
import { readFileBytes } from '../sources/read-file.js'
import { onOneLine } from './terminal.js'

/** A group, a dataset or a link, and what lies below it. */
export interface TreeNode {
  readonly name: string
  readonly kind: 'group' | 'dataset' | 'type' | 'link'
  /** E.g. `768 × 48 float32, chunks 64 × 48, gzip (1)`. */
  readonly facts: string
  /** As they are shown: texts in quotes, references as `→ /path`. */
  readonly attributes: Readonly<Record<string, string>>
  readonly children: readonly TreeNode[]
}

/** Characters of an attribute's value. */
const MAX_SHOWN = 120
/** Values of a list. */
const MOST_VALUES = 16
const MAX_ZARR_BYTES = 16 * 2 ** 20
/** Of zarr: metadata of either version, the newer one first. */
const ZARR_FILES = ['zarr.json', '.zgroup', '.zarray']

/**
 * All groups, datasets, attributes and references of an HDF5 file, of a part of one (`file.h5#/path`), or of a folder
 * of zarr.
 *
 * @throws {UnsupportedDataError} neither of them. @throws as the readers of both.
 */
export async function readTree(typed: string): Promise<TreeNode> {
  const { path, inside } = (await splitInside(typed)) ?? { path: typed, inside: undefined }
  if (HDF5_ENDING.test(path)) {
    const at = inside === undefined ? '/' : `/${inside.replace(/^\/+|\/+$/g, '')}`
    return hdf5Node(at, await openArrayFile(path).describe(at, TREE_DEPTH))
  }
  const node = await zarrNode(path, '/', TREE_DEPTH)
  if (node) return node
  throw new UnsupportedDataError(
    `${path} has no tree to show: it is neither an HDF5 file (.h5, .hdf5, .hdf, .nxs, .cxi, .emd, .ims) nor a folder with zarr.json, .zgroup or .zarray.`,
    { url: path },
  )
}

/** A tree as text, a line each, indented by two for each level. */
export function treeText(node: TreeNode, depth = 0): string {
  const indent = '  '.repeat(depth)
  const name = node.kind === 'group' && node.name !== '/' ? `${node.name}/` : node.name
  const lines = [`${indent}${[name, node.facts].filter(Boolean).join('  ')}`]
  for (const [attribute, value] of Object.entries(node.attributes)) lines.push(`${indent}  @${attribute} ${value}`)
  return `${lines.map(onOneLine).join('\n')}\n${node.children.map(child => treeText(child, depth + 1)).join('')}`
}

function hdf5Node(name: string, object: Hdf5Object): TreeNode {
  if ('target' in object) {
    const kind = object.kind === 'soft-link' ? 'link' : 'link to another file'
    return { name, kind: 'link', facts: `${kind} → ${object.target}`, attributes: {}, children: [] }
  }
  const attributes = Object.fromEntries(
    Object.entries(object.attributes).map(([attribute, value]) => [attribute, showAttribute(value)]),
  )
  if (object.kind !== 'group') {
    const facts = object.kind === 'dataset' ? describeDataset(object) : 'named type'
    return { name, kind: object.kind, facts, attributes, children: [] }
  }
  const children = Object.entries(object.children ?? {}).map(([child, below]) => hdf5Node(child, below))
  const facts = object.children === undefined ? 'deeper than is shown' : ''
  return { name, kind: 'group', facts, attributes, children }
}

function describeDataset({ type, shape, chunks, filters }: Extract<Hdf5Object, { kind: 'dataset' }>): string {
  const members = type.kind === 'compound' ? ` {${type.members.map(({ name }) => name).join(', ')}}` : ''
  return [
    `${shape === null ? 'empty' : shape.join(' × ') || 'a single'} ${nameType(type)}${members}`,
    ...(chunks ? [`chunks ${chunks.join(' × ')}`] : []),
    ...(filters.length > 0 ? [nameFilters(filters)] : []),
  ].join(', ')
}

function showAttribute({ type, shape, value }: Hdf5Attribute): string {
  const values = Array.isArray(value) ? value : [value]
  const element = type.kind === 'rows' ? type.element : type
  if (element.kind === 'reference') {
    const nowhere = element.isRegion ? 'a region of a dataset' : 'nothing'
    return `→ ${shorten(
      values.flat().map(path => String(path ?? nowhere)),
      ', ',
    )}`
  }
  if (shape === null) return '= empty'
  if (value === undefined) return `= ${shape.join(' × ')} ${nameType(type)}`.replace('=  ', '= ')
  const text = shorten(values.map(showValue), ', ')
  return shape.length === 0 ? `= ${text}` : `= [${text}]`
}

function showValue(value: unknown): string {
  if (typeof value === 'bigint') return String(value)
  return JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? String(part) : part)) ?? '?'
}

function shorten(parts: readonly string[], glue: string): string {
  const listed = parts.length > MOST_VALUES ? [...parts.slice(0, MOST_VALUES), `… ${parts.length} in all`] : parts
  const text = listed.join(glue)
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text
}

interface ZarrMetadata {
  readonly node_type?: string
  readonly shape?: readonly number[]
  readonly data_type?: unknown
  readonly dtype?: unknown
  readonly chunks?: readonly number[]
  readonly chunk_grid?: { readonly configuration?: { readonly chunk_shape?: readonly number[] } }
  readonly codecs?: readonly { readonly name?: string }[]
  readonly compressor?: { readonly id?: string } | null
  readonly attributes?: Readonly<Record<string, unknown>>
}

/** @returns undefined where there is nothing of zarr. */
async function zarrNode(folder: string, name: string, depth: number): Promise<TreeNode | undefined> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(error => {
    throw fromSystemError(error, folder)
  })
  const file = ZARR_FILES.find(wanted => entries.some(entry => entry.name === wanted))
  if (file === undefined) return undefined
  const metadata = await readJson(join(folder, file))
  const hasAttributes = entries.some(entry => entry.name === '.zattrs')
  const shown = hasAttributes ? await readJson(join(folder, '.zattrs')) : metadata.attributes
  const attributes = Object.fromEntries(
    Object.entries(shown ?? {}).map(([attribute, value]) => [attribute, `= ${shorten([showValue(value)], '')}`]),
  )
  if (metadata.shape) {
    const { shape, chunks = metadata.chunk_grid?.configuration?.chunk_shape ?? [] } = metadata
    const codecs = metadata.codecs?.map(codec => codec.name).join(', ') ?? metadata.compressor?.id
    const type = metadata.data_type ?? metadata.dtype
    const facts = `${shape.join(' × ')} ${typeof type === 'string' ? type : showValue(type)}, chunks ${chunks.join(' × ')}${codecs ? `, ${codecs}` : ''}`
    return { name, kind: 'dataset', facts, attributes, children: [] }
  }
  const children: TreeNode[] = []
  const folders = entries.filter(entry => entry.isDirectory()).map(entry => entry.name)
  for (const child of depth === 0 ? [] : folders.sort(naturalOrder)) {
    const node = await zarrNode(join(folder, child), child, depth - 1)
    if (node) children.push(node)
  }
  return { name, kind: 'group', facts: '', attributes, children }
}

async function readJson(path: string): Promise<ZarrMetadata> {
  const bytes = await readFileBytes(path, { maxBytes: MAX_ZARR_BYTES })
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as ZarrMetadata
  } catch (error) {
    throw new UnsupportedDataError(`${path} is no JSON document.`, { url: path, cause: error })
  }
}
