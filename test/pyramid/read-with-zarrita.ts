import { FileSystemStore } from '@zarrita/storage'
import * as zarr from 'zarrita'
import type { Rect, SampleArray } from '../../src/plane.js'
import type { MosaicSelection } from '../../src/pyramid/pyramid.js'

/** Samples of a level as an independent Zarr reader sees them; `region` in px of the level, cut at the array's edge. */
export async function readWithZarrita(
  folder: string,
  level: number,
  { timePoint, channel, zPlane }: MosaicSelection,
  region?: Rect,
): Promise<{ samples: SampleArray; width: number; height: number; shape: readonly number[]; fill: unknown }> {
  const array = await zarr.open(zarr.root(new FileSystemStore(folder)).resolve(String(level)), { kind: 'array' })
  const [, , , rows, columns] = array.shape
  const { x0, y0, x1, y1 } = region ?? { x0: 0, y0: 0, x1: columns, y1: rows }
  const part = await zarr.get(array, [
    timePoint,
    channel,
    zPlane,
    zarr.slice(y0, Math.min(y1, rows)),
    zarr.slice(x0, Math.min(x1, columns)),
  ])
  const [height, width] = part.shape
  return { samples: part.data as SampleArray, width, height, shape: array.shape, fill: array.fillValue }
}
