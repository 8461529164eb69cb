import type { ScreenPoint } from '../picture/view-frame.js'

/** Something with a canvas' ways of drawing; a figure has its own. */
export type Context = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D

const HALO = 'rgb(0 0 0 / 75%)'
const CHIP = 'rgb(12 13 15 / 78%)'
const LINE_PX = 1.5
const HALO_PX = 4
const FONT_PX = 13

/** Lines that are seen on any picture: white over black. */
export function strokeOnPicture(
  context: Context,
  path: Path2D,
  scale: number,
  colour = '#fff',
  linePx = LINE_PX,
): void {
  context.lineJoin = 'round'
  context.strokeStyle = HALO
  context.lineWidth = (HALO_PX + linePx - LINE_PX) * scale
  context.stroke(path)
  context.strokeStyle = colour
  context.lineWidth = linePx * scale
  context.stroke(path)
}

/** A way through points on the screen. */
export function pathThrough(points: readonly ScreenPoint[], closed: boolean): Path2D {
  const path = new Path2D()
  for (const { left, top } of points) path.lineTo(left, top)
  if (closed) path.closePath()
  return path
}

/** A line of text on a dark chip, its middle at a point. */
export function drawChip(context: Context, text: string, { left, top }: ScreenPoint, scale: number): void {
  context.font = `${FONT_PX * scale}px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif`
  context.textAlign = 'center'
  context.textBaseline = 'middle'
  const width = context.measureText(text).width + 16 * scale
  const height = 22 * scale
  context.fillStyle = CHIP
  context.beginPath()
  context.roundRect(left - width / 2, top - height / 2, width, height, 4 * scale)
  context.fill()
  context.fillStyle = '#fff'
  context.fillText(text, left, top + 0.5 * scale)
}

/** A ring that can be dragged. */
export function drawHandle(context: Context, { left, top }: ScreenPoint, scale: number, filled: boolean): void {
  const ring = new Path2D()
  ring.arc(left, top, 4 * scale, 0, 2 * Math.PI)
  context.fillStyle = filled ? '#fff' : HALO
  strokeOnPicture(context, ring, scale)
  context.fill(ring)
}
