import type { TileAddress } from './mosaic-geometry.js'
import type { CoveredTile, MosaicSelection, Pyramid } from './pyramid.js'

/** The version of what a tile shows: the pyramid's, or its shard's while it grows; undefined while nothing is built. */
export function tileVersionOf(
  { version, growth }: Pyramid,
  selection: MosaicSelection,
  address: TileAddress,
): string | undefined {
  return growth ? growth.tileVersion(selection, address) : version
}

/**
 * A tile, and what of it is covered.
 *
 * @returns undefined where nothing is, or where the pyramid grows and nothing of the tile is built yet.
 * @throws as `Pyramid.readTile`, or the signal's reason.
 */
export async function readCoveredTile(
  pyramid: Pyramid,
  selection: MosaicSelection,
  address: TileAddress,
  signal?: AbortSignal,
): Promise<CoveredTile | undefined> {
  signal?.throwIfAborted()
  if (pyramid.growth) return pyramid.growth.readCoveredTile(selection, address, { signal })
  const plane = await pyramid.readTile(selection, address, { signal })
  const coverage = pyramid.coverage(selection)
  if (plane) return { plane, mask: coverage.tileMask(address) }
  if (!coverage.hasTile(address)) return undefined
  throw new RangeError(`${pyramid.path}: coverage names tile ${Object.values(address).join('/')}, readTile does not`)
}
