import type { TileAddress } from '../../pyramid/mosaic-geometry.js'
import type { CoveredTile, MosaicSelection, Pyramid } from '../../pyramid/pyramid.js'

/** The version of what a tile shows: the pyramid's, or its shard's while it grows; undefined while nothing is built. */
export function tileVersionOf(
  { version, growth }: Pyramid,
  selection: MosaicSelection,
  address: TileAddress,
): string | undefined {
  return growth ? growth.tileVersion(selection, address) : version
}

/**
 * A tile that the coverage names, and what of it is covered.
 *
 * @returns undefined where the pyramid grows and nothing of the tile is built yet.
 */
export async function readCoveredTile(
  pyramid: Pyramid,
  selection: MosaicSelection,
  address: TileAddress,
  signal: AbortSignal,
): Promise<CoveredTile | undefined> {
  if (pyramid.growth) return pyramid.growth.readCoveredTile(selection, address, { signal })
  const plane = await pyramid.readTile(selection, address, { signal })
  if (plane) return { plane, mask: pyramid.coverage(selection).tileMask(address) }
  throw new RangeError(`${pyramid.path}: coverage names tile ${Object.values(address).join('/')}, readTile does not`)
}
