import { type Rect, rectAtLevel } from '../../src/plane.js'
import type { PlaneSelection } from '../server/pyramid-api.js'
import type { TileStore } from './tile-store.js'
import { forEachTile } from './view-samples.js'

/**
 * Bring the tiles of a view into memory before it is drawn.
 *
 * @param planes what is going to be drawn. @param visible in level-0 pixels. @returns once they are there, or have failed.
 */
export async function prefetchView(
  store: TileStore,
  planes: readonly PlaneSelection[],
  level: number,
  visible: Rect,
): Promise<void> {
  const loadPlane = async (plane: PlaneSelection): Promise<void> => {
    await store.prepare(plane)
    const loads: Promise<unknown>[] = []
    forEachTile(store, plane, level, rectAtLevel(visible, level), (column, row) => {
      loads.push(store.load(plane, { level, column, row }))
    })
    await Promise.all(loads)
  }
  // What fails is asked for again, and then said, when it is looked at.
  await Promise.allSettled(planes.map(loadPlane))
}
