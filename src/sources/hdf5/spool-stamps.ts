import { createHash } from 'node:crypto'
import { CorruptDataError } from '../../errors.js'
import type { Hdf5File } from './hdf5-file.js'
import { PZF_ROWS, type SpoolContent, STACK } from './spool-content.js'

/**
 * Stamps for the frames of a spool.
 *
 * All frames lie in one file, whose time and size change with every frame that is added; and where h5wasm finds the
 * bytes of a frame it does not tell. So stamps rest on samples: the frames stored at 0, 1, 4, 16, 64 … are read, and a
 * frame's stamp is a checksum over those up to its own place. Stamps of old frames stay the same while the file grows,
 * whoever opens it, and those of a whole acquisition change when another one takes its place, which is the way in
 * which spools change. A single frame that somebody paints over in place is not noticed, unless it is one of these.
 *
 * @returns one a frame, in the order of `frames.numbers`.
 * @throws {UnsupportedDataError | LimitExceededError | SourceUnavailableError} no frame can be read.
 */
export async function stampFrames(file: Hdf5File, { frames, kind }: SpoolContent): Promise<string[]> {
  const rows = frames.numbers.map(number => frames.rowOf.get(number)!)
  const last = rows.reduce((most, row) => Math.max(most, row), 0)
  const samples: { readonly row: number; readonly stamp: string }[] = []
  const hash = createHash('sha256').update(JSON.stringify([frames.layout, kind.frameSize, kind.sampleType]))
  for (let row = 0; row <= last; row = row === 0 ? 1 : 4 * row) {
    hash.update(await readSample(file, row, frames.layout, kind.frameSize))
    samples.unshift({ row, stamp: hash.copy().digest('hex').slice(0, 16) })
  }
  return rows.map(row => samples.find(sample => sample.row <= row)!.stamp)
}

async function readSample(
  file: Hdf5File,
  row: number,
  layout: SpoolContent['frames']['layout'],
  { width, height }: SpoolContent['kind']['frameSize'],
): Promise<Uint8Array> {
  try {
    if (layout === 'pzf-rows') return (await file.readRows(`/${PZF_ROWS}`, row, 1))[0]!
    return (await file.read(`/${STACK}`, { offset: [row, 0, 0], count: [1, width, height] })).bytes
  } catch (error) {
    if (!(error instanceof CorruptDataError)) throw error
    // One damaged frame does not stop a series; that it is damaged is as good a stamp as its samples.
    return Buffer.from(error.name)
  }
}
