import { type Coverage, FrameCoverage } from './coverage.js'
import type { MosaicGeometry } from './mosaic-geometry.js'
import type { PlacementRow } from './placement-table.js'
import type { MosaicSelection } from './pyramid.js'

/** How many planes there are along each axis. */
export interface PlaneExtent {
  readonly channels: number
  readonly zPlanes: number
  readonly timePoints: number
}

/** What each plane of a pyramid covers, after its placement table; worked out when it is first asked for. */
export class PlaneCoverages {
  readonly #geometry: MosaicGeometry
  readonly #extent: PlaneExtent
  readonly #rows: readonly PlacementRow[]
  readonly #known = new Map<string, Coverage>()

  constructor(geometry: MosaicGeometry, extent: PlaneExtent, rows: readonly PlacementRow[]) {
    this.#geometry = geometry
    this.#extent = extent
    this.#rows = rows
  }

  /** @throws {RangeError} no such plane. */
  of({ channel, zPlane, timePoint }: MosaicSelection): Coverage {
    const inside = (value: number, count: number): boolean => Number.isInteger(value) && value >= 0 && value < count
    const { channels, zPlanes, timePoints } = this.#extent
    if (!inside(channel, channels) || !inside(zPlane, zPlanes) || !inside(timePoint, timePoints))
      throw new RangeError(`There is no plane with channel ${channel}, z ${zPlane}, time ${timePoint}.`)
    const key = `${channel},${zPlane},${timePoint}`
    let coverage = this.#known.get(key)
    if (!coverage) {
      const rows = this.#rows.filter(
        ({ used, selection: s }) => used && s.channel === channel && s.zPlane === zPlane && s.timePoint === timePoint,
      )
      coverage = new FrameCoverage(
        this.#geometry,
        rows.map(({ rect }) => rect),
      )
      this.#known.set(key, coverage)
    }
    return coverage
  }
}
