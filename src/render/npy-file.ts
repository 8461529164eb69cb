import { bytesOfSamples, SAMPLE_TYPES, type SampleType, type Size } from '../plane.js'
import type { PictureRows } from '../pyramid/resample.js'

const MAGIC = '\x93NUMPY'
/** numpy begins the samples at a multiple of this, so that they can be mapped into memory. */
const ALIGNMENT = 64

/** Channels of one size whose samples are kept as they are. */
export interface NpyPicture extends Size {
  readonly sampleType: SampleType
  /** The rows of each channel, all of them and from the top. */
  readonly channels: readonly AsyncIterable<PictureRows>[]
}

/**
 * Write an array of shape (channels, height, width) in C order, as numpy's `.npy` format 1.0 has it. What is not covered
 * is 0, or NaN in floats.
 */
export async function* writeNpy(picture: NpyPicture): AsyncGenerator<Buffer, void, undefined> {
  // The first piece has samples in it: a picture that cannot be read fails before anything is sent.
  let before: Buffer | undefined = headerOf(picture)
  for (const rows of picture.channels) {
    for await (const { plane } of rows) {
      const bytes = bytesOfSamples(plane.samples)
      yield Buffer.concat(before ? [before, bytes] : [bytes])
      before = undefined
    }
  }
}

function headerOf({ channels, width, height, sampleType }: NpyPicture): Buffer {
  const { bytes, integer, min } = SAMPLE_TYPES[sampleType]
  const kind = integer ? (min === 0 ? 'u' : 'i') : 'f'
  const type = `${bytes === 1 ? '|' : '<'}${kind}${bytes}`
  const shape = [channels.length, height, width].join(', ')
  const facts = `{'descr': '${type}', 'fortran_order': False, 'shape': (${shape}), }`
  const fixed = MAGIC.length + 4
  const padding = ALIGNMENT - ((fixed + facts.length + 1) % ALIGNMENT)
  const text = `${facts}${' '.repeat(padding % ALIGNMENT)}\n`
  const header = Buffer.alloc(fixed + text.length)
  header.write(MAGIC, 'latin1')
  header.writeUInt8(1, MAGIC.length)
  header.writeUInt16LE(text.length, MAGIC.length + 2)
  header.write(text, fixed, 'latin1')
  return header
}
