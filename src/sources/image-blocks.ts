import type { Size } from '../plane.js'

/** A piece of an image, px. */
export interface ImageBlock extends Size {
  /** Where its first pixel lies in the image. */
  readonly x: number
  readonly y: number
}

/** What a series of images has where one of a camera and a stage has something to tell. */
export const NO_CAMERA = {
  dataStartsAt: 0,
  darkLevel: 0,
  well: undefined,
  cameraRoi: { x: 0, y: 0 },
} as const

/** And where nothing is known of lengths. */
export const UNCALIBRATED = { pixelSizeUm: { x: 1, y: 1 }, isUncalibrated: true } as const

/** Frames that are listed of a file at most: each is held in memory. */
export const MAX_BLOCKS = 2 ** 20

/** How many blocks `cutBlocks` makes: to be looked at before memory is taken for them. */
export function countBlocks(image: Size, block: Size): number {
  return Math.ceil(image.width / block.width) * Math.ceil(image.height / block.height)
}

/** The smallest size that holds each of some. There may be more of them than a function has arguments. */
export function largestOf(sizes: Iterable<Size>): Size {
  let [width, height] = [0, 0]
  for (const size of sizes) {
    width = Math.max(width, size.width)
    height = Math.max(height, size.height)
  }
  return { width, height }
}

/** Cut an image into blocks that lie edge to edge, row by row; those at the right and at the bottom may be smaller. */
export function cutBlocks(image: Size, block: Size): ImageBlock[] {
  const blocks: ImageBlock[] = []
  for (let y = 0; y < image.height; y += block.height) {
    const height = Math.min(block.height, image.height - y)
    for (let x = 0; x < image.width; x += block.width)
      blocks.push({ x, y, width: Math.min(block.width, image.width - x), height })
  }
  return blocks
}
