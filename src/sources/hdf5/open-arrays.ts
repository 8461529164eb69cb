import { basename } from 'node:path'
import { UnsupportedDataError } from '../../errors.js'
import type { NamedFile } from '../file-format.js'
import { examineFile } from '../file-version.js'
import type { FrameSource } from '../frame-source.js'
import type { SourceOptions } from '../source-options.js'
import { openArrayFile } from './array-reader.js'
import { type ArrayContent, assembleArrays } from './array-source.js'
import type { Hdf5File } from './hdf5-file.js'
import type { Hdf5Object } from './hdf5-messages.js'
import { findNexusImages, readNexus } from './nexus.js'
import { type FoundDataset, findDatasets, TREE_DEPTH, textOf } from './object-tree.js'
import { mayBeImage, readDimensionScales, showArrays } from './plain-array.js'
import { HDF5_ENDING } from './pyme-spool.js'
import { readUsid } from './usid.js'

/** Paths that a message lists. */
const MOST_LISTED = 8

/**
 * Open the images in an HDF5 file: USID, NeXus data, or an array.
 *
 * @param complete whether nothing more is to be written to it.
 * @throws {UnsupportedDataError} it has no image, or several and nothing says which. @throws {NotFoundError |
 *   CorruptDataError | LimitExceededError | SourceUnavailableError} the file, or what was named in it, is not there, is
 *   damaged, asks for too much, or cannot be read now.
 */
export async function openArrays(
  { path, inside, url }: NamedFile,
  options: SourceOptions,
  complete = true,
): Promise<FrameSource> {
  // Before anything is read: what changes meanwhile then changes the next fingerprint.
  const { stamp } = examineFile(path)
  const at = inside === undefined ? '/' : `/${inside.replace(/^\/+|\/+$/g, '')}`
  const content = await readContent(openArrayFile(path), at, options)
  const name = basename(path).replace(HDF5_ENDING, '')
  const place = at === '/' ? '' : ` ${at.slice(1)}`
  return assembleArrays({ path, url, name: `${name}${place}` }, stamp, content, complete)
}

async function readContent(file: Hdf5File, at: string, options: SourceOptions): Promise<ArrayContent> {
  const object = await file.describe(at, TREE_DEPTH)
  const usid = await readUsid(file, at, object, options.unitUm)
  if (usid) return usid
  if (object.kind === 'dataset') return await readDataset(file, { path: at, dataset: object }, options)
  const groups = findNexusImages(at, object)
  if (groups.length === 1) return await readNexus(file, groups[0]!, options)
  const images = findDatasets(at, object).filter(({ dataset }) => mayBeImage(dataset))
  if (images.length === 1 && groups.length === 0) return await readDataset(file, images[0]!, options)
  throw notOneImage(
    file.path,
    object,
    [...groups, ...images].map(({ path }) => path),
  )
}

/** A dataset by itself, or as the signal of its group. */
async function readDataset(file: Hdf5File, found: FoundDataset, options: SourceOptions): Promise<ArrayContent> {
  const slash = found.path.lastIndexOf('/')
  const [above, name] = [found.path.slice(0, slash) || '/', found.path.slice(slash + 1)]
  const group = await file.describe(above, 1)
  if (group.kind === 'group' && textOf(group.attributes.NX_class) === 'NXdata')
    return await readNexus(file, { path: above, group }, options, name)
  const axes = await readDimensionScales(file, found)
  const unit = textOf(found.dataset.attributes.units)
  return showArrays(file.path, 'HDF5 array', [{ ...found, name, ...(unit ? { unit } : {}) }], axes, options)
}

function notOneImage(url: string, object: Hdf5Object, paths: readonly string[]): UnsupportedDataError {
  if (paths.length > 0) {
    const named = [...new Set(paths)].map(path => `${url}#${path}`)
    const more = named.length > MOST_LISTED ? ` and ${named.length - MOST_LISTED} more` : ''
    return new UnsupportedDataError(
      `${url} holds ${named.length} images; name one of them: ${named.slice(0, MOST_LISTED).join(', ')}${more}.`,
      { url },
    )
  }
  const names = object.kind === 'group' ? Object.keys(object.children ?? {}) : []
  const shown =
    names.slice(0, MOST_LISTED).join(', ') +
    (names.length > MOST_LISTED ? ` and ${names.length - MOST_LISTED} more` : '')
  return new UnsupportedDataError(
    `${url} is an HDF5 file without an image (it holds ${shown || 'nothing'}): no PYME series, no USID, no NeXus data, and no array of numbers with 2 to 5 axes.`,
    { url },
  )
}
