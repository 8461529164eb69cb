import { LimitExceededError } from '../../errors.js'
import { countBlocks, cutBlocks, type ImageBlock, MAX_BLOCKS } from '../image-blocks.js'
import type { StackLayout } from './stack-layout.js'

/** About the edge of a block of several images, px. */
const BLOCK_EDGE = 1024
/** An image with a longer edge is cut. */
const MAX_EDGE = 2048

/** A part of a contact sheet that is read at once: whole images, or a piece of one. All in px, but for the images. */
export interface SheetPiece extends ImageBlock {
  /** The first image, and how many of them beside and below each other. */
  readonly item: number
  readonly across: number
  readonly down: number
  /** What is taken of every image. */
  readonly part: ImageBlock
}

/** How many images stand side by side: as many as below each other, or one more. */
export function columnsOf(count: number): number {
  return Math.ceil(Math.sqrt(count))
}

/**
 * Cut a contact sheet, image 0 at the upper left and row by row, into pieces that lie edge to edge. Nothing lies behind
 * the last image.
 *
 * @param url of the array, for the message.
 * @throws {LimitExceededError} more frames than are listed.
 */
export function cutSheet({ count, width, height, components }: StackLayout, url: string): SheetPiece[] {
  const columns = columnsOf(count)
  const fullRows = Math.floor(count / columns)
  const areas = [
    { row: 0, columns, rows: fullRows },
    { row: fullRows, columns: count - fullRows * columns, rows: 1 },
  ]
  const isCut = Math.max(width, height) > MAX_EDGE
  const most = (edge: number): number => (isCut ? 1 : Math.max(1, Math.round(BLOCK_EDGE / edge)))
  const image = { width, height }
  const largestPart = isCut ? { width: BLOCK_EDGE, height: BLOCK_EDGE } : image
  const group = { width: most(width), height: most(height) }
  const pieceCount = areas.reduce(
    (sum, { columns, rows }) => sum + countBlocks({ width: columns, height: rows }, group),
    0,
  )
  if (pieceCount * countBlocks(image, largestPart) * components > MAX_BLOCKS)
    throw new LimitExceededError(
      `${url} has ${count} images of ${width} × ${height} px, which come in more than ${MAX_BLOCKS} blocks; no more are read.`,
      { url },
    )
  const parts = cutBlocks(image, largestPart)
  const pieces: SheetPiece[] = []
  for (const area of areas) {
    if (area.columns === 0) continue
    const grid = { width: area.columns, height: area.rows }
    for (const { x, y, width: across, height: down } of cutBlocks(grid, group)) {
      for (const part of parts) {
        pieces.push({
          x: x * width + part.x,
          y: (area.row + y) * height + part.y,
          width: across * part.width,
          height: down * part.height,
          item: (area.row + y) * columns + x,
          ...{ across, down, part },
        })
      }
    }
  }
  return pieces
}
