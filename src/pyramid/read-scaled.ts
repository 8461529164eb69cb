import { setImmediate as nextTurn } from 'node:timers/promises'
import { intersect, type Rect, type Size } from '../plane.js'
import { levelSize, type MosaicGeometry } from './mosaic-geometry.js'
import type { MosaicSelection, Pyramid } from './pyramid.js'
import { type RegionOptions, readRegion } from './read-region.js'
import { endOfTaps, type PictureRows, RowResampler, tapsOf } from './resample.js'

/** Source pixels taken into memory at once: a row of tiles, or less of it where rows are very long. */
const BAND_PIXELS = 2 ** 24

/** Pixels that are worked on before others get their turn: two or three milliseconds. */
const PIXELS_A_TURN = 2 ** 18

/** The coarsest level that has at least as many pixels along both axes as are wanted of a level-0 rectangle. */
export function levelForSize({ levelCount }: MosaicGeometry, rect: Rect, { width, height }: Size): number {
  const shrink = Math.min((rect.x1 - rect.x0) / width, (rect.y1 - rect.y0) / height)
  return Math.min(levelCount - 1, Math.max(0, Math.floor(Math.log2(shrink) + 1e-9)))
}

/** Pixels of a level that a level-0 rectangle is made of. */
export function sourcePixels(geometry: MosaicGeometry, level: number, rect: Rect): number {
  const { x0, y0, x1, y1 } = touchedPixels(geometry, level, rect)
  return Math.max(0, x1 - x0) * Math.max(0, y1 - y0)
}

function touchedPixels(geometry: MosaicGeometry, level: number, rect: Rect): Rect {
  const scale = 2 ** level
  const { width, height } = levelSize(geometry, level)
  const touched = {
    x0: Math.floor(rect.x0 / scale),
    y0: Math.floor(rect.y0 / scale),
    x1: Math.ceil(rect.x1 / scale),
    y1: Math.ceil(rect.y1 / scale),
  }
  return intersect(touched, { x0: 0, y0: 0, x1: width, y1: height })
}

/**
 * Read a rectangle at any size, from the top in pieces of some rows; never more than a row of tiles is in memory.
 * Where a pixel of the level is one of the picture, its samples are those stored; otherwise they are area means of what
 * is covered (shrunk) or those of the pixel at the centre (enlarged), along each axis by itself.
 *
 * @param rect whole level-0 px; it may reach beyond the mosaic, where nothing is covered.
 * @throws as `readRegion`.
 */
export async function* readScaled(
  pyramid: Pyramid,
  selection: MosaicSelection,
  level: number,
  rect: Rect,
  size: Size,
  options: RegionOptions = {},
): AsyncGenerator<PictureRows, void, undefined> {
  const { geometry, sampleType } = pyramid
  const scale = 2 ** level
  const stepX = (rect.x1 - rect.x0) / scale / size.width
  const stepY = (rect.y1 - rect.y0) / scale / size.height
  const isStored = stepX === 1 && stepY === 1 && rect.x0 % scale === 0 && rect.y0 % scale === 0
  if (isStored) {
    const top = rect.y0 / scale
    const whole = { x0: rect.x0 / scale, y0: top, x1: rect.x0 / scale + size.width, y1: top + size.height }
    for (const band of bandsOf(whole, geometry.tileSize)) {
      const { plane, mask } = await readRegion(pyramid, selection, level, band, options)
      yield { y: band.y0 - top, plane, mask: mask ?? new Uint8Array(plane.samples.length).fill(1) }
    }
    return
  }
  const source = touchedPixels(geometry, level, rect)
  const rows = tapsOf(rect.y0 / scale, stepY, size.height, source.y0, source.y1)
  const columns = tapsOf(rect.x0 / scale, stepX, size.width, source.x0, source.x1)
  const resampler = new RowResampler(columns, rows, source.x0, sampleType)
  const rowsAtOnce = Math.max(1, Math.floor(PIXELS_A_TURN / size.width))
  let done = 0
  const takeUntil = function* (end: number): Generator<PictureRows, void, undefined> {
    while (done < end) {
      const next = Math.min(end, done + rowsAtOnce)
      yield resampler.take(done, next)
      done = next
    }
  }
  for (const band of bandsOf(source, geometry.tileSize)) {
    const { plane, mask } = await readRegion(pyramid, selection, level, band, options)
    let sinceTurn = 0
    for (let line = 0; line < plane.height; line++) {
      const part = [line * plane.width, (line + 1) * plane.width] as const
      resampler.push(band.y0 + line, plane.samples.subarray(...part), mask?.subarray(...part))
      sinceTurn += plane.width + size.width
      if (sinceTurn < PIXELS_A_TURN) continue
      sinceTurn = 0
      await nextTurn()
      options.signal?.throwIfAborted()
    }
    let end = done
    while (end < size.height && endOfTaps(rows, end) <= band.y1) end++
    for (const piece of takeUntil(end)) {
      yield piece
      await nextTurn()
    }
  }
  for (const piece of takeUntil(size.height)) {
    yield piece
    await nextTurn()
  }
}

/** A region from the top to the bottom, cut between rows of tiles and wherever it would be too much at once. */
function* bandsOf({ x0, x1, y0: top, y1: bottom }: Rect, tileSize: number): Generator<Rect, void, undefined> {
  if (x0 >= x1) return
  const most = Math.max(1, Math.floor(BAND_PIXELS / (x1 - x0)))
  for (let y0 = top, y1 = top; y0 < bottom; y0 = y1) {
    y1 = Math.min(bottom, y0 + most, (Math.floor(y0 / tileSize) + 1) * tileSize)
    yield { x0, y0, x1, y1 }
  }
}
