import type { Rect } from '../../src/plane.js'
import type { Look } from './look.js'

/** A texture's worth of numbers, row-major, four a texel. */
export interface Texture<Numbers> {
  readonly columns: number
  readonly rows: number
  readonly numbers: Numbers
}

/** Which wells there may be at a place, for a shader. */
export interface WellIndex extends Texture<Uint8Array> {
  /** Level-0 pixels along a side of a cell. */
  readonly cellPx: number
}

/** Every device has textures of this size and four times that. */
const MAX_CELLS = 1024

/**
 * The mosaic in cells, each with the numbers of the first two wells that touch it, counted from 1, in two bytes each.
 *
 * @param mosaic its size, level-0 pixels. @param wells likewise.
 */
export function wellIndex(mosaic: { width: number; height: number }, wells: readonly Rect[]): WellIndex {
  const cellPx = Math.ceil(Math.max(mosaic.width, mosaic.height) / MAX_CELLS)
  const columns = Math.ceil(mosaic.width / cellPx)
  const rows = Math.ceil(mosaic.height / cellPx)
  const pairs = new Uint16Array(2 * columns * rows)
  for (const [i, { x0, y0, x1, y1 }] of wells.entries()) {
    for (let row = Math.max(0, Math.floor(y0 / cellPx)); row < Math.min(rows, y1 / cellPx); row++) {
      for (let column = Math.max(0, Math.floor(x0 / cellPx)); column < Math.min(columns, x1 / cellPx); column++) {
        const first = 2 * (row * columns + column)
        if (pairs[first] === 0) pairs[first] = i + 1
        else if (pairs[first + 1] === 0) pairs[first + 1] = i + 1
      }
    }
  }
  return { columns, rows, cellPx, numbers: new Uint8Array(pairs.buffer) }
}

/**
 * A row for each well: where it lies (x0, y0, x1, y1 in level-0 pixels), then for each channel of a look the levels that
 * the well has of its own: black, white, gamma and 1; else zeros.
 */
export function wellTable(wells: readonly Rect[], { channels }: Look): Texture<Float32Array> {
  const columns = 1 + channels.length
  const numbers = new Float32Array(4 * columns * wells.length)
  for (const [i, { x0, y0, x1, y1 }] of wells.entries()) {
    numbers.set([x0, y0, x1, y1], 4 * columns * i)
    for (const [c, { ofWells }] of channels.entries()) {
      const own = ofWells?.get(i)
      if (own) numbers.set([own.black, own.white, own.gamma, 1], 4 * (columns * i + 1 + c))
    }
  }
  return { columns, rows: wells.length, numbers }
}
