import { setImmediate as nextTurn } from 'node:timers/promises'
import { allocateSamples, intersect, type Plane, type Rect, SAMPLE_TYPES } from '../plane.js'
import { isInGrid, levelSize, type TileAddress, tileRegion } from './mosaic-geometry.js'
import type { CoveredTile, MosaicSelection, Pyramid } from './pyramid.js'
import { readCoveredTile } from './read-covered-tile.js'

/** Tiles read ahead of the one that is worked on. */
const TILES_AHEAD = 4

/** Samples of a rectangle, and which of them are covered. */
export interface Region {
  /** 0 (integers) or NaN (floats) where not covered. */
  readonly plane: Plane
  /** One byte a sample, row-major, 1 = covered; undefined where all of it is. */
  readonly mask: Uint8Array | undefined
}

/** The part of a region that lies in one tile, of which something is covered. */
export interface RegionPart {
  readonly tile: CoveredTile
  /** Where the tile's first sample lies, px of the level. */
  readonly x0: number
  readonly y0: number
  /** What the region and the tile share, px of the level. */
  readonly rect: Rect
}

export interface RegionOptions {
  readonly signal?: AbortSignal
  /** How a tile is read, where not from the pyramid itself; as `readCoveredTile`. What it gives is not written to. */
  readonly readTile?: (address: TileAddress) => Promise<CoveredTile | undefined>
}

/**
 * Read any rectangle of a level.
 *
 * All of it is taken into memory, so callers bound its size first. Of a growing pyramid, what is not built is not
 * covered, and whoever builds it hears that it is wanted.
 *
 * @param region px of the level; it may reach beyond the array, where nothing is covered.
 * @throws as `Pyramid.readTile`, or the signal's reason.
 */
export async function readRegion(
  pyramid: Pyramid,
  selection: MosaicSelection,
  level: number,
  region: Rect,
  options: RegionOptions = {},
): Promise<Region> {
  const { sampleType } = pyramid
  const width = region.x1 - region.x0
  const height = region.y1 - region.y0
  const samples = allocateSamples(sampleType, width * height)
  if (!SAMPLE_TYPES[sampleType].integer) samples.fill(Number.NaN)
  const mask = new Uint8Array(width * height)
  for await (const { tile, x0, y0, rect } of partsOfRegion(pyramid, selection, level, region, options)) {
    const stride = tile.plane.width
    for (let y = rect.y0; y < rect.y1; y++) {
      const from = (y - y0) * stride - x0
      const to = (y - region.y0) * width - region.x0
      copyCovered(tile, from + rect.x0, from + rect.x1, samples, mask, to + rect.x0)
    }
  }
  return { plane: { width, height, sampleType, samples }, mask: mask.includes(0) ? mask : undefined }
}

/** Copy a run of a tile; what is not covered there may hold anything, and is left as it is in the target. */
function copyCovered(
  { plane, mask }: CoveredTile,
  from: number,
  end: number,
  samples: Plane['samples'],
  covered: Uint8Array,
  to: number,
): void {
  if (mask === undefined) {
    samples.set(plane.samples.subarray(from, end), to)
    covered.fill(1, to, to + end - from)
    return
  }
  for (let i = from; i < end; i++, to++) {
    if (mask[i] === 0) continue
    samples[to] = plane.samples[i]
    covered[to] = 1
  }
}

/**
 * The parts of a region that something is covered of, tile by tile, row by row; a few tiles are read ahead. Others get
 * their turn between two tiles, so a large region holds nobody up, and an empty one neither.
 *
 * @param region px of the level; what lies beyond the array is left out.
 * @throws as `Pyramid.readTile`, or the signal's reason; no read goes on behind the caller's back then.
 */
export async function* partsOfRegion(
  pyramid: Pyramid,
  selection: MosaicSelection,
  level: number,
  region: Rect,
  { signal, readTile = address => readCoveredTile(pyramid, selection, address, signal) }: RegionOptions = {},
): AsyncGenerator<RegionPart, void, undefined> {
  const { tileSize } = pyramid.geometry
  const addresses = tilesTouching(pyramid, level, region)
  const ahead: { readonly address: TileAddress; readonly reading: Promise<CoveredTile | undefined> }[] = []
  const readNext = (): void => {
    const { value: address, done } = addresses.next()
    if (done) return
    const reading = readTile(address)
    // Its turn to fail comes when it is waited for.
    reading.catch(() => undefined)
    ahead.push({ address, reading })
  }
  try {
    for (let i = 0; i < TILES_AHEAD; i++) readNext()
    for (let next = ahead.shift(); next; next = ahead.shift()) {
      const tile = await next.reading
      readNext()
      await nextTurn()
      signal?.throwIfAborted()
      if (!tile) continue
      const place = tileRegion(next.address, tileSize)
      yield { tile, x0: place.x0, y0: place.y0, rect: intersect(place, region) }
    }
  } finally {
    await Promise.allSettled(ahead.map(({ reading }) => reading))
  }
}

/** Addresses of the tiles of a level that a region touches, row by row. */
function* tilesTouching(
  { geometry }: Pyramid,
  level: number,
  region: Rect,
): Generator<TileAddress, undefined, undefined> {
  if (!isInGrid(geometry, { level, column: 0, row: 0 })) throw new RangeError(`there is no level ${level}`)
  const { width, height } = levelSize(geometry, level)
  const { x0, y0, x1, y1 } = intersect(region, { x0: 0, y0: 0, x1: width, y1: height })
  if (x0 >= x1) return
  const { tileSize } = geometry
  for (let row = Math.floor(y0 / tileSize); row * tileSize < y1; row++)
    for (let column = Math.floor(x0 / tileSize); column * tileSize < x1; column++) yield { level, column, row }
}
