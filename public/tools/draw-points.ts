import type { ViewFrame } from '../picture/view-frame.js'
import type { Roi } from '../server/roi-api.js'
import { cornersOf } from './measurement-geometry.js'
import { type Context, drawChip, pathThrough, strokeOnPicture } from './overlay-style.js'
import type { RoiList } from './roi-list.js'

/** More in view are drawn as dots, at most one in a cell of so many px. */
const MAX_MARKERS = 400
const DOT_CELL_PX = 4
const MARKER_PX = 5
const MARGIN_PX = 20
/** Alpha, blue, green and red. */
const WHITE = 0xffffffff
const DARK = 0xbf000000

/**
 * Points as crossed circles and rectangles as they are; in crowds all of them are dots.
 *
 * @param frame whose px are those of the context. @param scale of lines and text; 1 as on the page.
 */
export function drawRois(
  context: Context,
  frame: ViewFrame,
  { rois, centres }: Pick<RoiList, 'rois' | 'centres'>,
  scale: number,
): void {
  const { places, indexes } = placesInView(frame, centres)
  if (indexes.length > MAX_MARKERS) {
    drawDots(context, frame, places, indexes.length, scale)
    return
  }
  const markers = new Path2D()
  indexes.forEach((index, i) => {
    const { w, h, x, y } = rois[index] as Roi
    if (w !== undefined && h !== undefined) {
      const corners = cornersOf({ x, y, w, h }).map(corner => frame.toScreen(corner))
      markers.addPath(pathThrough(corners, true))
    } else {
      addMarker(markers, places[2 * i] as number, places[2 * i + 1] as number, MARKER_PX * scale)
    }
  })
  strokeOnPicture(context, markers, scale)
}

/** The one that is selected or pointed at: stronger, and with its name. */
export function drawChosenRoi(context: Context, frame: ViewFrame, { x, y, w = 0, h = 0, name }: Roi): void {
  const corners = cornersOf({ x, y, w, h }).map(corner => frame.toScreen(corner))
  const centre = frame.toScreen({ x: x + w / 2, y: y + h / 2 })
  const path = w > 0 ? pathThrough(corners, true) : new Path2D()
  if (w === 0) addMarker(path, centre.left, centre.top, MARKER_PX)
  strokeOnPicture(context, path, 1, '#fff', 3)
  if (name) drawChip(context, name, { left: centre.left, top: Math.min(...corners.map(({ top }) => top)) - 24 }, 1)
}

function addMarker(path: Path2D, left: number, top: number, radius: number): void {
  path.moveTo(left + radius, top)
  path.arc(left, top, radius, 0, 2 * Math.PI)
  for (const [x, y] of [
    [1, 0],
    [-1, 0],
    [0, 1],
    [0, -1],
  ] as const) {
    path.moveTo(left + x * radius, top + y * radius)
    path.lineTo(left + x * radius * 1.9, top + y * radius * 1.9)
  }
}

/** Where on the screen those lie that are in view: left and top in turn, and their places in the list. */
function placesInView(frame: ViewFrame, centres: Float64Array): { places: Float64Array; indexes: Uint32Array } {
  // The frame is a linear map: three points tell it, and a hundred thousand need no objects.
  const { centerUm, umPerPx, width, height } = frame
  const middle = frame.toScreen(centerUm)
  const alongX = frame.toScreen({ x: centerUm.x + umPerPx, y: centerUm.y })
  const alongY = frame.toScreen({ x: centerUm.x, y: centerUm.y + umPerPx })
  const xx = (alongX.left - middle.left) / umPerPx
  const xy = (alongX.top - middle.top) / umPerPx
  const yx = (alongY.left - middle.left) / umPerPx
  const yy = (alongY.top - middle.top) / umPerPx
  const places = new Float64Array(centres.length)
  const indexes = new Uint32Array(centres.length / 2)
  let count = 0
  for (let i = 0; i < centres.length; i += 2) {
    const dx = (centres[i] as number) - centerUm.x
    const dy = (centres[i + 1] as number) - centerUm.y
    const left = middle.left + xx * dx + yx * dy
    const top = middle.top + xy * dx + yy * dy
    if (left < -MARGIN_PX || top < -MARGIN_PX || left > width + MARGIN_PX || top > height + MARGIN_PX) continue
    places[2 * count] = left
    places[2 * count + 1] = top
    indexes[count++] = i / 2
  }
  return { places: places.subarray(0, 2 * count), indexes: indexes.subarray(0, count) }
}

/** Pixel by pixel: to a canvas, tens of thousands of shapes are too many for every frame. */
function drawDots(context: Context, frame: ViewFrame, places: Float64Array, count: number, scale: number): void {
  const ratio = context.getTransform().a
  const [width, height] = [Math.ceil(frame.width * ratio), Math.ceil(frame.height * ratio)]
  const image = new ImageData(width, height)
  const pixels = new Uint32Array(image.data.buffer)
  const cell = Math.max(1, Math.round(DOT_CELL_PX * scale * ratio))
  const columns = Math.ceil(width / cell)
  const taken = new Uint8Array(columns * Math.ceil(height / cell))
  const reach = Math.max(1, Math.round(scale * ratio))
  for (let i = 0; i < count; i++) {
    const x = Math.round((places[2 * i] as number) * ratio)
    const y = Math.round((places[2 * i + 1] as number) * ratio)
    if (x <= 2 * reach || y <= 2 * reach || x >= width - 2 * reach || y >= height - 2 * reach) continue
    const at = Math.floor(y / cell) * columns + Math.floor(x / cell)
    if (taken[at]) continue
    taken[at] = 1
    addDot(pixels, width, x, y, reach)
  }
  const layer = new OffscreenCanvas(width, height)
  layer.getContext('2d')?.putImageData(image, 0, 0)
  context.drawImage(layer, 0, 0, width / ratio, height / ratio)
}

/** A white square within a dark one, which never hides the white of another. */
function addDot(pixels: Uint32Array, width: number, x: number, y: number, reach: number): void {
  for (let row = y - 2 * reach; row <= y + 2 * reach; row++) {
    for (let column = x - 2 * reach; column <= x + 2 * reach; column++) {
      const isInner = Math.abs(row - y) <= reach && Math.abs(column - x) <= reach
      const at = row * width + column
      if (isInner) pixels[at] = WHITE
      else if (pixels[at] !== WHITE) pixels[at] = DARK
    }
  }
}
