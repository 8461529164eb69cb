import { basename } from 'node:path'
import { builtModule } from '../../built-module.js'
import { hashOfJson } from '../../hash-of-json.js'
import { examineFile } from '../file-version.js'
import type { FrameSource } from '../frame-source.js'
import { describeSeries } from '../pyme/describe-series.js'
import { ReaderSource } from '../reader-source.js'
import { openSpoolFile, readSpool, type SpoolContent } from './spool-content.js'
import { SpoolReader, type SpoolReaderData } from './spool-reader.js'
import { stampFrames } from './spool-stamps.js'

/** Compiled, wherever this file runs: a worker thread cannot load TypeScript. */
const READER_MODULE = builtModule('sources/hdf5/spool-reader.js').href
/** A thread with h5wasm, its heap and the frames kept in it, as measured. */
const THREAD_BYTES = 80 * 2 ** 20

/** Of the names of HDF5 files. */
export const HDF5_ENDING = /\.(h5|hdf5|hdf|nxs|cxi|emd|ims)$/i

/**
 * Open an HDF5 file that PYME, or one of its data servers, wrote an acquisition to.
 *
 * @param path the file, as the user typed it.
 * @throws {UnsupportedDataError} another kind of HDF5 file, a filter that is not read, or nothing says where the frames lie.
 * @throws {NotFoundError} no such file, or no frames. @throws {CorruptDataError | LimitExceededError |
 *   SourceUnavailableError} the file is damaged, asks for too much, or cannot be read now.
 */
export async function openSpool(path: string): Promise<FrameSource> {
  // Before anything is read: what changes meanwhile then changes the next fingerprint.
  const { stamp } = examineFile(path)
  const file = openSpoolFile(path)
  const content = await readSpool(file)
  return assembleSpool(path, stamp, content, await stampFrames(file, content), () => true, true)
}

/**
 * Make a source of what a look at a spool has found.
 *
 * @param version the file's stamp from before it was read.
 * @param stamps of `content.frames.numbers`.
 * @param isListed which of the frames to list, by their place among the numbers.
 * @throws as `describeSeries`.
 */
export function assembleSpool(
  path: string,
  version: string,
  content: SpoolContent,
  stamps: readonly string[],
  isListed: (place: number) => boolean,
  complete: boolean,
): FrameSource {
  const { frames, kind, metadata, moves, problems } = content
  const listed = [...frames.numbers.keys()].filter(isListed)
  const series = describeSeries({
    ...{ name: basename(path).replace(HDF5_ENDING, ''), url: path, metadata, moves, problems, complete },
    frameNumbers: listed.map(place => frames.numbers[place]!),
    frameStamps: listed.map(place => stamps[place]!),
    frameShape: { ...kind.frameSize, sampleType: kind.sampleType },
    fingerprint: hashOfJson([version, listed.map(place => [frames.numbers[place], stamps[place]])]),
  })
  const { frameSize, sampleType } = series
  const data: SpoolReaderData = { path, frameSize, sampleType }
  return new ReaderSource(path, 'PYME HDF5 series', series, {
    reader: new SpoolReader(data),
    description: { module: READER_MODULE, data, heldBytes: THREAD_BYTES },
  })
}
