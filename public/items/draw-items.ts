import type { Rect } from '../../src/plane.js'
import { stageOfPixel } from '../picture/stage-geometry.js'
import type { ViewFrame } from '../picture/view-frame.js'
import type { ItemsInfo, PyramidInfo } from '../server/pyramid-api.js'
import { type Context, pathThrough, strokeOnPicture } from '../tools/overlay-style.js'
import { rectOfItem } from './item-grid.js'

/** Alpha of what lies over images that do not match. */
const VEIL = 178

/** A picture with a pixel for each image: a veil over those that do not match, nothing over the others. */
export function veilOf({ count, columns }: ItemsInfo, matching: readonly number[]): HTMLCanvasElement {
  const canvas = document.createElement('canvas')
  canvas.width = columns
  canvas.height = Math.ceil(count / columns)
  const context = canvas.getContext('2d')
  if (!context) return canvas
  const image = context.createImageData(canvas.width, canvas.height)
  for (let n = 0; n < count; n++) image.data[4 * n + 3] = VEIL
  for (const n of matching) image.data[4 * n + 3] = 0
  context.putImageData(image, 0, 0)
  return canvas
}

/** Draw the veil where the images are, also in a picture that is turned. */
export function drawVeil(
  context: Context,
  frame: ViewFrame,
  pyramid: PyramidInfo,
  items: ItemsInfo,
  veil: HTMLCanvasElement,
): void {
  const { x, y, width, height } = items
  const place = (px: number, py: number) => frame.toScreen(stageOfPixel(pyramid, { x: px, y: py }))
  const origin = place(x, y)
  const right = place(x + width, y)
  const below = place(x, y + height)
  context.save()
  context.transform(
    right.left - origin.left,
    right.top - origin.top,
    below.left - origin.left,
    below.top - origin.top,
    origin.left,
    origin.top,
  )
  context.imageSmoothingEnabled = false
  context.drawImage(veil, 0, 0)
  context.restore()
}

/** The outline of the image that was chosen. */
export function drawItem(context: Context, frame: ViewFrame, pyramid: PyramidInfo, items: ItemsInfo, n: number): void {
  const corners = cornersOf(rectOfItem(items, n)).map(corner => frame.toScreen(stageOfPixel(pyramid, corner)))
  strokeOnPicture(context, pathThrough(corners, true), 1, '#fff', 2)
}

function cornersOf({ x0, y0, x1, y1 }: Rect) {
  return [
    { x: x0, y: y0 },
    { x: x1, y: y0 },
    { x: x1, y: y1 },
    { x: x0, y: y1 },
  ]
}
