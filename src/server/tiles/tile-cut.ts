import type { Size } from '../../plane.js'
import type { CoveredTile } from '../../pyramid/pyramid.js'
import { RowResampler, tapsOf } from '../../pyramid/resample.js'
import type { PictureLayer } from '../../render/picture.js'

/** What is shown of a tile: its upper left part, reduced. */
export interface TileCut extends Size {
  /** Pixels of the tile along each axis for one that is shown. */
  readonly shrink: number
}

/** The samples of a cut, and which of them are covered. Reduced, a pixel is the mean of what is covered in its area. */
export function cutTile(
  { plane, mask }: CoveredTile,
  { width, height, shrink }: TileCut,
): Pick<PictureLayer, 'samples' | 'mask'> {
  const columns = tapsOf(0, shrink, width, 0, plane.width)
  const rows = tapsOf(0, shrink, height, 0, plane.height)
  const resampler = new RowResampler(columns, rows, 0, plane.sampleType)
  for (let y = 0; y < Math.min(plane.height, height * shrink); y++) {
    const part = [y * plane.width, (y + 1) * plane.width] as const
    resampler.push(y, plane.samples.subarray(...part), mask?.subarray(...part))
  }
  const cut = resampler.take(0, height)
  return { samples: cut.plane.samples, mask: cut.mask }
}
