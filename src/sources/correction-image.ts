import { UnsupportedDataError } from '../errors.js'
import type { Plane } from '../plane.js'
import { readNpy } from './npy.js'
import { decodePzf } from './pyme/pzf.js'
import { readFileBytes } from './read-file.js'

/** Largest correction image that is read, bytes. */
const MAX_BYTES = 2 ** 30

/**
 * Read a dark, gain or illumination image.
 *
 * @param path a `.npy` array of shape [rows, columns], or a `.pzf` frame.
 * @throws {UnsupportedDataError} another kind of file, or not one plane.
 */
export async function readCorrectionImage(path: string): Promise<Plane> {
  const bytes = await readFileBytes(path, { maxBytes: MAX_BYTES })
  if (/\.pzf$/i.test(path)) {
    const { depth, ...plane } = decodePzf(bytes, path)
    if (depth !== 1)
      throw new UnsupportedDataError(`${path} holds ${depth} planes; a correction image is one.`, { url: path })
    return plane
  }
  if (!/\.npy$/i.test(path))
    throw new UnsupportedDataError(`${path} is no correction image; .npy and .pzf files are read.`, { url: path })
  const { shape, sampleType, samples } = readNpy(bytes, path)
  if (shape.length !== 2)
    throw new UnsupportedDataError(`${path} has ${shape.length} dimensions; a correction image has 2.`, { url: path })
  return { height: shape[0], width: shape[1], sampleType, samples }
}
