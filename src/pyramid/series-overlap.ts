import { UnsupportedDataError } from '../errors.js'
import type { Rect } from '../plane.js'
import { MAX_MOSAIC_EDGE } from './mosaic-geometry.js'
import type { MosaicSelection } from './pyramid.js'

/** Cells along the edge of the largest frame when areas are compared. */
const AREA_CELLS = 2

/**
 * Two series over more than half of the same area are a mistake until somebody says how they relate: blending them
 * would average channels or time points.
 *
 * @param frames in series order. @param urls of the series, for the message.
 * @throws {UnsupportedDataError} with the flags that say how they relate.
 */
export function refuseAccidentalOverlap(
  frames: readonly { readonly series: number; readonly rect: Rect; readonly selection: MosaicSelection }[],
  urls: readonly string[],
): void {
  if (urls.length < 2) return
  const edge = Math.max(1, largestEdge(frames) / AREA_CELLS)
  const columns = Math.ceil(MAX_MOSAIC_EDGE / edge)
  const planes = new Map<string, Map<number, number[]>>()
  const areas = new Array<number>(urls.length).fill(0)
  const shared = new Map<number, number>()
  for (const { series, rect, selection } of frames) {
    const plane = `${selection.channel},${selection.zPlane},${selection.timePoint}`
    const cells = planes.get(plane) ?? new Map<number, number[]>()
    planes.set(plane, cells)
    for (let y = Math.round(rect.y0 / edge); y < Math.round(rect.y1 / edge); y++) {
      for (let x = Math.round(rect.x0 / edge); x < Math.round(rect.x1 / edge); x++) {
        const owners = cells.get(y * columns + x) ?? []
        if (owners.includes(series)) continue
        // Frames come in series order, so the pair (owner, series) is always the same way round.
        for (const owner of owners)
          shared.set(owner * urls.length + series, (shared.get(owner * urls.length + series) ?? 0) + 1)
        cells.set(y * columns + x, [...owners, series])
        areas[series]++
      }
    }
  }
  for (const [pair, count] of shared) {
    const [a, b] = [Math.floor(pair / urls.length), pair % urls.length]
    if (count <= 0.5 * Math.min(areas[a], areas[b])) continue
    throw new UnsupportedDataError(
      `${urls[a]} and ${urls[b]} cover the same area and nothing says how they relate; give --channel NAME=GLOB for each channel, --as time for a time series, or --merge to blend them.`,
    )
  }
}

/** The shorter edge of the largest frame: cells by a small one would be too many for the others. */
function largestEdge(frames: readonly { readonly rect: Rect }[]): number {
  return frames.reduce((most, { rect }) => Math.max(most, Math.min(rect.x1 - rect.x0, rect.y1 - rect.y0)), 0)
}
