import { gridOf } from '../pyramid/mosaic-geometry.js'
import type { MosaicSelection, Pyramid } from '../pyramid/pyramid.js'

/** Every plane: channels first, then z-planes, then time points. */
export function* planesOf({
  channels,
  zPlanes,
  timePoints,
}: Pick<Pyramid, 'channels' | 'zPlanes' | 'timePoints'>): Generator<MosaicSelection> {
  for (let timePoint = 0; timePoint < timePoints; timePoint++)
    for (let zPlane = 0; zPlane < zPlanes; zPlane++)
      for (let channel = 0; channel < channels.length; channel++) yield { channel, zPlane, timePoint }
}

/** Tiles of a level that hold something, row by row. */
export function* presentTiles(
  pyramid: Pyramid,
  plane: MosaicSelection,
  level: number,
): Generator<{ readonly level: number; readonly column: number; readonly row: number }> {
  const { columns } = gridOf(pyramid.geometry, level)
  let tile = 0
  for (const [i, run] of pyramid.coverage(plane).tileRuns(level).entries()) {
    const end = tile + run
    if (i % 2 === 0) tile = end
    for (; tile < end; tile++) yield { level, column: tile % columns, row: Math.floor(tile / columns) }
  }
}

/** How many tiles of all levels and planes hold something. */
export function countTiles(pyramid: Pyramid): number {
  let tiles = 0
  for (const plane of planesOf(pyramid)) {
    const coverage = pyramid.coverage(plane)
    for (let level = 0; level < pyramid.geometry.levelCount; level++)
      tiles += coverage.tileRuns(level).reduce((sum, run, i) => sum + (i % 2) * run, 0)
  }
  return tiles
}
