import type { Rect } from '../../src/plane.js'
import type { ItemsInfo, PointUm } from '../server/pyramid-api.js'

/** The number of the image at a place. @param pixel of level 0. */
export function itemAt(
  { count, columns, width, height, x, y }: ItemsInfo,
  pixel: PointUm | undefined,
): number | undefined {
  if (!pixel) return undefined
  const column = Math.floor((pixel.x - x) / width)
  const row = Math.floor((pixel.y - y) / height)
  const n = row * columns + column
  return column >= 0 && column < columns && row >= 0 && n < count ? n : undefined
}

/** Where an image lies, level-0 px. */
export function rectOfItem({ columns, width, height, x, y }: ItemsInfo, n: number): Rect {
  const x0 = x + (n % columns) * width
  const y0 = y + Math.floor(n / columns) * height
  return { x0, y0, x1: x0 + width, y1: y0 + height }
}

/** An image with its neighbours. */
export function aroundItem(items: ItemsInfo, n: number): Rect {
  const { x0, y0, x1, y1 } = rectOfItem(items, n)
  return { x0: x0 - items.width, y0: y0 - items.height, x1: x1 + items.width, y1: y1 + items.height }
}
