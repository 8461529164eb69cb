import { rectAtLevel, SAMPLE_TYPES } from '../plane.js'
import type { Histogram } from './histogram.js'
import type { Pyramid } from './pyramid.js'
import { coveredSamples } from './region-statistics.js'

/** Bins that floating-point samples are equalized by, as many as scikit-image's `equalize_hist` takes. */
const BINS = 256
/** A larger plane is counted at the finest level where it has no more pixels. */
const MAX_PIXELS = 2 ** 26

/**
 * The histogram that a channel is equalized by, over all of its planes. Of 8- and 16-bit integers it is that of the channel;
 * of other samples it has 256 bins from the smallest to the largest, each sample counted.
 *
 * @throws as `Pyramid.readTile`.
 */
export async function equalizationOf(pyramid: Pyramid, channel: number): Promise<Histogram> {
  const histogram = await pyramid.histogram(channel)
  if (SAMPLE_TYPES[pyramid.sampleType].bytes <= 2 || !(histogram.max > histogram.min)) return histogram
  const { size } = pyramid.geometry
  let level = 0
  while ((size.width * size.height) / 4 ** level > MAX_PIXELS) level++
  const region = rectAtLevel({ x0: 0, y0: 0, x1: size.width, y1: size.height }, level)
  const { min, max } = histogram
  const binWidth = (max - min) / BINS
  const counts = new Float64Array(BINS)
  let total = 0
  for (let timePoint = 0; timePoint < pyramid.timePoints; timePoint++) {
    for (let zPlane = 0; zPlane < pyramid.zPlanes; zPlane++) {
      const selection = { channel, zPlane, timePoint }
      for await (const samples of coveredSamples(pyramid, selection, level, region)) {
        for (let i = 0; i < samples.length; i++) {
          const bin = Math.min(BINS - 1, Math.floor((samples[i] - min) / binWidth))
          // Coarse samples are means, and never out of range; infinite ones are nowhere.
          if (!(bin >= 0)) continue
          counts[bin]++
          total++
        }
      }
    }
  }
  return { min, max, total, binStart: min, binWidth, counts: [...counts] }
}
