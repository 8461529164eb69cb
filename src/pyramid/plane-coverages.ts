import type { Rect } from '../plane.js'
import { type Coverage, FrameCoverage } from './coverage.js'
import type { MosaicGeometry } from './mosaic-geometry.js'
import type { PlacementRow, PlacementTable } from './placement-table.js'
import type { MosaicSelection } from './pyramid.js'

/** How many planes there are along each axis. */
export interface PlaneExtent {
  readonly channels: number
  readonly zPlanes: number
  readonly timePoints: number
}

/** The used frames of a plane. */
interface PlaneFrames {
  readonly coverage: FrameCoverage
  /** Of each rectangle of the coverage, the row of the placement table. */
  readonly rows: Uint32Array
}

/** What each plane of a pyramid covers, after its placement table; worked out when it is first asked for. */
export class PlaneCoverages {
  readonly #geometry: MosaicGeometry
  readonly #extent: PlaneExtent
  readonly #known = new Map<string, PlaneFrames>()

  constructor(
    geometry: MosaicGeometry,
    extent: PlaneExtent,
    readonly placement: PlacementTable,
  ) {
    this.#geometry = geometry
    this.#extent = extent
  }

  /** @throws {RangeError} no such plane. */
  of(selection: MosaicSelection): Coverage {
    return this.#framesOf(selection).coverage
  }

  /**
   * The used frames that touch a region of a level, in the order in which they are blended.
   * @throws {RangeError} no such plane.
   */
  framesAt(selection: MosaicSelection, level: number, region: Rect): PlacementRow[] {
    const { coverage, rows } = this.#framesOf(selection)
    return coverage.touching(level, region).map(i => this.placement.row(rows[i]))
  }

  #framesOf(selection: MosaicSelection): PlaneFrames {
    const { channel, zPlane, timePoint } = selection
    const inside = (value: number, count: number): boolean => Number.isInteger(value) && value >= 0 && value < count
    const { channels, zPlanes, timePoints } = this.#extent
    if (!inside(channel, channels) || !inside(zPlane, zPlanes) || !inside(timePoint, timePoints))
      throw new RangeError(`There is no plane with channel ${channel}, z ${zPlane}, time ${timePoint}.`)
    const key = `${channel},${zPlane},${timePoint}`
    let frames = this.#known.get(key)
    if (!frames) {
      const rows = this.placement.framesOf(selection)
      const rects = Array.from(rows, i => this.placement.rect(i))
      frames = { coverage: new FrameCoverage(this.#geometry, rects), rows }
      this.#known.set(key, frames)
    }
    return frames
  }
}
