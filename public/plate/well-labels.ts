import type { Well } from '../server/pyramid-api.js'

/** A well's box on the screen, px. */
export interface WellOnScreen {
  readonly well: Well
  readonly left: number
  readonly top: number
  readonly right: number
  readonly bottom: number
}

const FONT_PX = 13
const GAP_PX = 6
/** Names of wells narrower than this would run into each other. */
const MIN_WELL_PX = 18

/** Names beside the wells while more than one is in sight: above the samples, never over them. */
export class WellLabels {
  readonly #canvas: HTMLCanvasElement

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas
  }

  draw(wells: readonly WellOnScreen[]): void {
    const canvas = this.#canvas
    const ratio = devicePixelRatio
    const width = Math.round(canvas.clientWidth * ratio)
    const height = Math.round(canvas.clientHeight * ratio)
    if (canvas.width !== width) canvas.width = width
    if (canvas.height !== height) canvas.height = height
    const context = canvas.getContext('2d')
    if (!context) return
    context.setTransform(ratio, 0, 0, ratio, 0, 0)
    context.clearRect(0, 0, width, height)
    const inSight = wells.filter(
      ({ left, top, right, bottom }) =>
        right > 0 &&
        bottom > 0 &&
        left < canvas.clientWidth &&
        top < canvas.clientHeight &&
        right - left >= MIN_WELL_PX,
    )
    if (inSight.length < 2) return
    const style = getComputedStyle(canvas)
    context.font = `600 ${FONT_PX}px ${style.fontFamily}`
    context.textAlign = 'center'
    context.textBaseline = 'alphabetic'
    context.lineJoin = 'round'
    context.lineWidth = 4
    context.strokeStyle = style.textDecorationColor
    context.fillStyle = style.color
    for (const { well, left, top, right } of inSight) {
      const position = [(left + right) / 2, top - GAP_PX] as const
      context.strokeText(well.name, ...position)
      context.fillText(well.name, ...position)
    }
  }
}
