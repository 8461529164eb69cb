import { UnsupportedDataError } from '../errors.js'
import type { BuildSettings } from './build-settings.js'
import { MAX_MOSAIC_EDGE } from './mosaic-geometry.js'
import type { LocatedSeries, PlacedFrame } from './placement.js'

/** Cells along a frame's edge when areas are compared. */
const AREA_CELLS = 2

/**
 * Two series over more than half of the same area are a mistake until somebody says how they relate: blending them
 * would average channels or time points.
 */
export function refuseAccidentalOverlap(
  frames: readonly Pick<PlacedFrame, 'series' | 'rect' | 'selection'>[],
  sources: readonly LocatedSeries[],
  { join }: BuildSettings,
): void {
  if (join.kind === 'merge' || sources.length < 2) return
  const { rect: first } = frames[0]
  const edge = Math.max(1, Math.min(first.x1 - first.x0, first.y1 - first.y0) / AREA_CELLS)
  const columns = Math.ceil(MAX_MOSAIC_EDGE / edge)
  const planes = new Map<string, Map<number, number[]>>()
  const areas = new Array<number>(sources.length).fill(0)
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
          shared.set(owner * sources.length + series, (shared.get(owner * sources.length + series) ?? 0) + 1)
        cells.set(y * columns + x, [...owners, series])
        areas[series]++
      }
    }
  }
  for (const [pair, count] of shared) {
    const [a, b] = [Math.floor(pair / sources.length), pair % sources.length]
    if (count <= 0.5 * Math.min(areas[a], areas[b])) continue
    throw new UnsupportedDataError(
      `${sources[a].url} and ${sources[b].url} cover the same area and nothing says how they relate; give --channel NAME=GLOB for each channel, --as time for a time series, or --merge to blend them.`,
    )
  }
}
