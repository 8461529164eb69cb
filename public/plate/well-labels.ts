import type { Rect } from '../../src/plane.js'
import { OverlayCanvas } from '../parts/overlay-canvas.js'
import { intersect, stageOfPixel } from '../picture/stage-geometry.js'
import type { ViewFrame } from '../picture/view-frame.js'
import type { PyramidInfo } from '../server/pyramid-api.js'

interface Label {
  readonly name: string
  readonly left: number
  readonly top: number
}

const FONT_PX = 13
const GAP_PX = 6
/** Names of wells narrower than this would run into each other. */
const MIN_WELL_PX = 18

/** Names beside the wells while more than one is in sight: above the samples, never over them, and always upright. */
export class WellLabels {
  readonly #canvas: OverlayCanvas
  #labels: readonly Label[] = []

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = new OverlayCanvas(canvas, context => this.#draw(context))
  }

  draw(pyramid: PyramidInfo, frame: ViewFrame): void {
    this.#labels = labelsInSight(pyramid, frame)
    this.#canvas.draw()
  }

  #draw(context: CanvasRenderingContext2D): void {
    if (this.#labels.length < 2) return
    const style = getComputedStyle(context.canvas)
    context.font = `600 ${FONT_PX}px ${style.fontFamily}`
    context.textAlign = 'center'
    context.textBaseline = 'alphabetic'
    context.lineJoin = 'round'
    context.lineWidth = 4
    context.strokeStyle = style.textDecorationColor
    context.fillStyle = style.color
    for (const { name, left, top } of this.#labels) {
      context.strokeText(name, left, top - GAP_PX)
      context.fillText(name, left, top - GAP_PX)
    }
  }
}

/** Where the names go: the middle of the upper edge of each well's box on the screen. */
function labelsInSight(pyramid: PyramidInfo, frame: ViewFrame): Label[] {
  const visible = frame.visibleRect(pyramid)
  const { x, y } = pyramid.pixelSizeUm
  const labels: Label[] = []
  for (const well of pyramid.wells) {
    // A plate has a thousand wells, and this is done for every frame: most are out of sight, or too small however turned.
    if (!intersect(well, visible)) continue
    if (Math.hypot((well.x1 - well.x0) * x, (well.y1 - well.y0) * y) < MIN_WELL_PX * frame.umPerPx) continue
    const { left, top, right, bottom } = screenBox(well, pyramid, frame)
    const isInSight = right > 0 && bottom > 0 && left < frame.width && top < frame.height
    if (isInSight && right - left >= MIN_WELL_PX) labels.push({ name: well.name, left: (left + right) / 2, top })
  }
  return labels
}

function screenBox({ x0, y0, x1, y1 }: Rect, pyramid: PyramidInfo, frame: ViewFrame) {
  const corners = [
    { x: x0, y: y0 },
    { x: x1, y: y0 },
    { x: x1, y: y1 },
    { x: x0, y: y1 },
  ].map(corner => frame.toScreen(stageOfPixel(pyramid, corner)))
  const lefts = corners.map(({ left }) => left)
  const tops = corners.map(({ top }) => top)
  return { left: Math.min(...lefts), right: Math.max(...lefts), top: Math.min(...tops), bottom: Math.max(...tops) }
}
