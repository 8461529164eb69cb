import { rectAtLevel, SAMPLE_TYPES } from '../plane.js'
import type { Histogram } from './histogram.js'
import type { TileAddress } from './mosaic-geometry.js'
import type { CoveredTile, Pyramid } from './pyramid.js'
import { readCoveredTile, tileVersionOf } from './read-covered-tile.js'
import { coveredSamples } from './region-statistics.js'

/** Bins that floating-point samples are equalized by, as many as scikit-image's `equalize_hist` takes. */
const BINS = 256
/** Of all planes together: a second or two. Where there are more, a coarser level is counted. */
const MAX_PIXELS = 2 ** 26

/**
 * The histogram that a channel is equalized by, over all of its planes. Of 8- and 16-bit integers it is that of the channel;
 * of other samples it has 256 bins from the smallest to the largest, each sample of the finest level counted that has at most
 * `MAX_PIXELS`, or of the coarsest.
 *
 * @throws as `Pyramid.readTile`, or the signal's reason.
 */
export async function equalizationOf(
  pyramid: Pyramid,
  channel: number,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<Histogram> {
  const histogram = await pyramid.histogram(channel)
  if (SAMPLE_TYPES[pyramid.sampleType].bytes <= 2 || !(histogram.max > histogram.min)) return histogram
  const { size, levelCount } = pyramid.geometry
  const planes = pyramid.timePoints * pyramid.zPlanes
  let level = 0
  while (level < levelCount - 1 && (planes * size.width * size.height) / 4 ** level > MAX_PIXELS) level++
  const region = rectAtLevel({ x0: 0, y0: 0, x1: size.width, y1: size.height }, level)
  const { min, max } = histogram
  const binWidth = (max - min) / BINS
  const counts = new Float64Array(BINS)
  let total = 0
  for (let plane = 0; plane < planes; plane++) {
    const selection = { channel, zPlane: plane % pyramid.zPlanes, timePoint: Math.floor(plane / pyramid.zPlanes) }
    // Of a growing pyramid what there is: nobody looks at the rest.
    const readTile = async (address: TileAddress): Promise<CoveredTile | undefined> => {
      const isBuilt = tileVersionOf(pyramid, selection, address) !== undefined
      return isBuilt ? readCoveredTile(pyramid, selection, address, signal) : undefined
    }
    for await (const samples of coveredSamples(pyramid, selection, level, region, { signal, readTile })) {
      for (let i = 0; i < samples.length; i++) {
        const bin = Math.min(BINS - 1, Math.floor((samples[i] - min) / binWidth))
        // Coarse samples are means, and never out of range; infinite ones are nowhere.
        if (!(bin >= 0)) continue
        counts[bin]++
        total++
      }
    }
  }
  return { min, max, total, binStart: min, binWidth, counts: [...counts] }
}
