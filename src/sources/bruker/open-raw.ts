import { existsSync, statSync } from 'node:fs'
import { basename } from 'node:path'
import { builtModule } from '../../built-module.js'
import { CorruptDataError, NotFoundError } from '../../errors.js'
import { examineFile } from '../file-version.js'
import type { FrameSource } from '../frame-source.js'
import { blockEdge, describeLayers, spectrumLayers } from '../layered-image.js'
import { ReaderSource } from '../reader-source.js'
import type { SourceOptions } from '../source-options.js'
import { calibrateRaw } from './raw-calibration.js'
import { RAW_SAMPLES, type RawHeader, readRawHeader } from './raw-header.js'
import { openFrameReader, type RawReaderData } from './raw-reader.js'

/** Compiled, wherever this file runs: a worker thread cannot load TypeScript. */
const READER_MODULE = builtModule('sources/bruker/raw-reader.js').href
/** A piece of the file and a block on its way, in a thread. */
const THREAD_BYTES = 24 * 2 ** 20

/** Of the names of both files. */
export const RAW_ENDING = /\.(raw|rpl)$/i

/** The file of samples and the one that describes it, by the name of either. */
export function rawPair(path: string): { readonly raw: string; readonly rpl: string } {
  const stem = path.replace(RAW_ENDING, '')
  const isRaw = /\.raw$/i.test(path)
  const others = isRaw ? ['.rpl', '.RPL', '.Rpl'] : ['.raw', '.RAW', '.Raw']
  const other = others.map(ending => stem + ending).find(existsSync) ?? stem + others[0]
  return isRaw ? { raw: path, rpl: other } : { raw: other, rpl: path }
}

/**
 * Open a scan that Bruker's programs wrote as `.raw` and `.rpl`: a spectrum in each pixel.
 *
 * @param path of either file. @param url as the user typed it.
 * @throws {NotFoundError} one of them is not there. @throws {CorruptDataError} they contradict each other.
 * @throws as `readRawHeader`.
 */
export async function openRaw(path: string, url: string, { unitUm }: SourceOptions = {}): Promise<FrameSource> {
  const { raw, rpl } = rawPair(path)
  if (!existsSync(rpl))
    throw new NotFoundError(`${rpl} does not exist; it tells how the samples in ${raw} are arranged.`, { url })
  if (!existsSync(raw)) throw new NotFoundError(`${raw} does not exist; ${rpl} describes its samples.`, { url })
  const { stamp } = examineFile(raw)
  const headerStamp = examineFile(rpl).stamp
  const { header, keys } = readRawHeader(rpl)
  expectLength(header, raw, rpl)
  const { width, height, depth, sample } = header
  const { type, bytes } = RAW_SAMPLES[sample]
  const { scale, energiesKeV, problems: uncalibrated } = calibrateRaw(keys, depth, unitUm)
  const { layers, sampleType, zPlanes, zAxis, problems } = spectrumLayers({
    ...{ stack: 0, size: { width, height }, place: { x0: 0, y0: 0, x1: width, y1: height } },
    ...{ block: { width: blockEdge(1), height: blockEdge(1) }, sampleType: type, channels: depth },
    energiesKeV,
  })
  const isRounded = bytes === 8 && sample !== 'float64'
  const series = describeLayers(
    {
      ...{ layers, sampleType, zPlanes, ...(zAxis && { zAxis }), ...(scale && { scale }), metadata: keys },
      name: basename(path).replace(RAW_ENDING, ''),
      stamp: `${stamp} ${headerStamp}`,
      problems: [
        ...problems,
        ...uncalibrated,
        ...(isRounded ? [`Its samples are ${sample}, shown as float64: numbers above 2⁵³ are rounded.`] : []),
      ],
    },
    url,
  )
  const data: RawReaderData = { path: raw, stamp, header, layers, sampleType, zPlanes }
  const description = { module: READER_MODULE, data, heldBytes: THREAD_BYTES }
  return new ReaderSource(url, 'Bruker raw', series, { reader: openFrameReader(data), description })
}

/** @throws {CorruptDataError} the file has another length than its samples. */
function expectLength({ width, height, depth, offset, sample }: RawHeader, raw: string, rpl: string): void {
  const expected = offset + width * height * depth * RAW_SAMPLES[sample].bytes
  const { size } = statSync(raw)
  if (size === expected) return
  const shape = `${width} × ${height} × ${depth} ${sample} after ${offset} bytes`
  throw new CorruptDataError(`${raw} has ${size} bytes, but ${rpl} describes ${expected}: ${shape}.`, { url: raw })
}
