import type { Histogram } from '../pyramid/histogram.js'

/**
 * The threshold that parts a histogram into two classes of values which differ most (Otsu 1979): the largest variance
 * between them.
 *
 * @returns in stored values; what is above belongs to the brighter class. NaN of an empty histogram.
 */
export function otsuThreshold({ counts, binStart, binWidth, total, max }: Histogram): number {
  const sum = counts.reduce((all, count, i) => all + count * i, 0)
  let [below, sumBelow, best, at] = [0, 0, -1, 0]
  for (let i = 0; i < counts.length - 1; i++) {
    below += counts[i]
    sumBelow += counts[i] * i
    const above = total - below
    if (below === 0 || above === 0) continue
    const apart = sumBelow / below - (sum - sumBelow) / above
    const variance = below * above * apart * apart
    if (variance <= best) continue
    best = variance
    at = i
  }
  if (total === 0) return Number.NaN
  // A bin of width 1 is one integer; wider ones end where the next begins. Of one value alone, nothing is above.
  return best < 0 ? max : binStart + (binWidth === 1 ? at : (at + 1) * binWidth)
}
