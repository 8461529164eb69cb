import { CorruptDataError } from '../errors.js'
import { SAMPLE_TYPES, type SampleArray, type SampleType } from '../plane.js'
import { readNpy } from '../sources/npy.js'
import { decodePzf } from '../sources/pyme/pzf.js'

/** How the tiles of a PYME pyramid are stored; PYME's arrays have x as their first axis. */
export interface PymeTileFormat {
  readonly sampleType: SampleType
  /** Longest file that a tile can have. */
  maxBytes(tileSize: number): number
  /**
   * @returns the samples of a square tile, rows first.
   * @throws {CorruptDataError | UnsupportedDataError} damaged, or no tile of that size and type.
   */
  decode(bytes: Uint8Array, tileSize: number, url: string): SampleArray
}

const PZF: PymeTileFormat = {
  sampleType: 'float32',
  // PYME writes tiles uncompressed; a compressed one is at most a code table longer.
  maxBytes: tileSize => 8 * tileSize ** 2 + 4096,
  decode(bytes, tileSize, url) {
    const { width, height, depth, sampleType, samples } = decodePzf(bytes, url)
    expectTile([width, height, depth], sampleType, [tileSize, tileSize, 1], PZF.sampleType, url)
    return samples
  },
}

const NPY: PymeTileFormat = {
  // As PYME computes them; its other tiles are rounded when they are written.
  sampleType: 'float64',
  maxBytes: tileSize => 8 * tileSize ** 2 + 2 ** 17,
  decode(bytes, tileSize, url) {
    const { shape, sampleType, samples } = readNpy(bytes, url)
    expectTile(shape, sampleType, [tileSize, tileSize], NPY.sampleType, url)
    return transposeSquare(samples, new Float64Array(samples.length), tileSize)
  },
}

/** The formats that are read, by the ending of a tile's name. */
export const PYME_TILE_FORMATS: ReadonlyMap<string, PymeTileFormat> = new Map([
  ['.pzf', PZF],
  ['.npy', NPY],
])

/** PYME's other ones, and what is wrong with them. */
export const UNREADABLE_TILE_FORMATS: ReadonlyMap<string, string> = new Map([
  ['.zarr', 'samples without a header, which PYME writes and cannot read back'],
  ['.db', 'an SQLite database, which PYME itself cannot open any more'],
])

function expectTile(
  shape: readonly number[],
  sampleType: SampleType,
  wantedShape: readonly number[],
  wantedType: SampleType,
  url: string,
): void {
  if (shape.join() !== wantedShape.join()) {
    throw new CorruptDataError(
      `${url} holds ${shape.join(' × ')} samples; a tile of this pyramid has ${wantedShape.slice(0, 2).join(' × ')}.`,
      { url },
    )
  }
  if (sampleType !== wantedType)
    throw new CorruptDataError(`${url} holds ${sampleType} samples; such tiles of a PYME pyramid are ${wantedType}.`, {
      url,
    })
}

const PZF_HEADER_BYTES = 64

/**
 * A tile as PYME writes it: PZF version 3, uncompressed float32 counts above dark, x as the first axis, 0 where nothing
 * was imaged.
 *
 * @param samples tileSize × tileSize stored ones, rows first; NaN is not imaged. Undefined for a tile of zeros.
 * @param mask one byte a sample, 0 = not imaged; undefined where all are, or are NaN where not.
 * @param pedestal the stored value that stands for "dark".
 * @returns the bytes of the file.
 */
export function encodePymeTile(
  samples: SampleArray | undefined,
  mask: Uint8Array | undefined,
  pedestal: number,
  tileSize: number,
): Uint8Array {
  const bytes = new Uint8Array(PZF_HEADER_BYTES + tileSize ** 2 * SAMPLE_TYPES.float32.bytes)
  const [version, float32, raw, notQuantised] = [3, 2, 0, 0]
  bytes.set([...Buffer.from('BD'), version, float32, raw, notQuantised, 'C'.charCodeAt(0)])
  const view = new DataView(bytes.buffer)
  view.setUint32(20, tileSize, true)
  view.setUint32(24, tileSize, true)
  view.setUint32(28, 1, true)
  view.setUint32(48, PZF_HEADER_BYTES, true)
  if (!samples) return bytes
  const counts = countsAboveDark(samples, mask, pedestal)
  transposeSquare(counts, new Float32Array(bytes.buffer, PZF_HEADER_BYTES), tileSize)
  return bytes
}

function countsAboveDark(samples: SampleArray, mask: Uint8Array | undefined, pedestal: number): Float32Array {
  const counts = new Float32Array(samples.length)
  for (let i = 0; i < samples.length; i++) {
    const above = samples[i] - pedestal
    if (!Number.isNaN(above)) counts[i] = above
  }
  if (mask) for (let i = 0; i < mask.length; i++) if (mask[i] === 0) counts[i] = 0
  return counts
}

/** Swap the axes, in blocks of 32 × 32 so that both sides stay in the cache. */
function transposeSquare<T extends SampleArray>(from: SampleArray, to: T, edge: number): T {
  const block = 32
  for (let y0 = 0; y0 < edge; y0 += block) {
    const y1 = Math.min(y0 + block, edge)
    for (let x0 = 0; x0 < edge; x0 += block) {
      const x1 = Math.min(x0 + block, edge)
      for (let y = y0; y < y1; y++) for (let x = x0; x < x1; x++) to[y * edge + x] = from[x * edge + y]
    }
  }
  return to
}
