import { basename } from 'node:path'
import { builtModule } from '../../built-module.js'
import { examineFile } from '../file-version.js'
import type { FrameSource } from '../frame-source.js'
import { describeLayers } from '../layered-image.js'
import { ReaderSource } from '../reader-source.js'
import { findContent } from './datastack-content.js'
import { DATASTACK_ENDING } from './datastack-format.js'
import { type DatastackReaderData, openFrameReader } from './datastack-reader.js'
import { KEPT_CHUNK_BYTES, ZarrArrays } from './zarr-array.js'

/** Compiled, wherever this file runs: a worker thread cannot load TypeScript. */
const READER_MODULE = builtModule('sources/datastack/datastack-reader.js').href
/** Of the decoders and of a block on its way, in a thread, as measured. */
const THREAD_BYTES = 40 * 2 ** 20

/**
 * Open a `.datastack` file of maxrf4u: zarr arrays, of either generation, in a ZIP archive.
 *
 * @param inside name of one of its arrays, where not the usual ones are meant.
 * @param url path and `inside`, as the user typed it.
 * @throws {UnsupportedDataError} no such archive, or nothing in it is an image. @throws {NotFoundError} no such file or
 *   array. @throws {CorruptDataError | LimitExceededError | SourceUnavailableError} it is damaged, asks for too much, or
 *   cannot be read now.
 */
export async function openDatastack(path: string, inside: string | undefined, url: string): Promise<FrameSource> {
  const { stamp } = examineFile(path)
  const content = await findContent(new ZarrArrays(path, stamp), inside, path)
  const { layers, sampleType, zPlanes, stacks, unpackedBytes, zAxis, problems, metadata } = content
  const name = basename(path).replace(DATASTACK_ENDING, '')
  const series = describeLayers(
    {
      ...{ layers, sampleType, zPlanes, stamp, problems, metadata, ...(zAxis && { zAxis }) },
      name: inside === undefined ? name : `${name}#${inside}`,
    },
    url,
  )
  const data: DatastackReaderData = { path, stamp, stacks, layers, sampleType, zPlanes }
  const heldBytes = Math.max(KEPT_CHUNK_BYTES, unpackedBytes) + 2 * unpackedBytes + THREAD_BYTES
  const description = { module: READER_MODULE, data, heldBytes }
  return new ReaderSource(url, 'DataStack', series, { reader: openFrameReader(data), description })
}
