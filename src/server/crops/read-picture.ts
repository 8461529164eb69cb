import { allocateSamples } from '../../plane.js'
import type { TileAddress } from '../../pyramid/mosaic-geometry.js'
import type { MosaicSelection, Pyramid } from '../../pyramid/pyramid.js'
import { readScaled } from '../../pyramid/read-scaled.js'
import type { PictureLayer } from '../../render/picture.js'
import type { DecodedTiles } from '../tiles/decoded-tiles.js'
import type { PictureStyle } from '../tiles/picture-style.js'
import type { CropPlan } from './crop-plan.js'

/** The layers of a crop, one after the other. What they hold is nobody else's. */
export async function readLayers(
  pyramid: Pyramid,
  layers: PictureStyle['layers'],
  plan: CropPlan,
  signal: AbortSignal,
  tiles?: DecodedTiles,
): Promise<PictureLayer[]> {
  const read: PictureLayer[] = []
  for (const { selection, style } of layers)
    read.push({ ...(await readPicture(pyramid, selection, plan, signal, tiles)), style })
  return read
}

/** The samples of a crop. @param tiles that are kept: a small crop takes its own from there. */
export async function readPicture(
  pyramid: Pyramid,
  selection: MosaicSelection,
  { level, rect, size }: CropPlan,
  signal: AbortSignal,
  tiles?: DecodedTiles,
): Promise<Pick<PictureLayer, 'samples' | 'mask'>> {
  const samples = allocateSamples(pyramid.sampleType, size.width * size.height)
  const mask = new Uint8Array(samples.length)
  let isWhole = true
  const readTile = tiles && ((address: TileAddress) => tiles.read(pyramid, selection, address, signal))
  for await (const rows of readScaled(pyramid, selection, level, rect, size, { signal, readTile })) {
    samples.set(rows.plane.samples, rows.y * size.width)
    mask.set(rows.mask, rows.y * size.width)
    isWhole &&= !rows.mask.includes(0)
  }
  return { samples, mask: isWhole ? undefined : mask }
}
