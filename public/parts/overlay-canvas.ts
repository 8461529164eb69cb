/** A canvas over the whole picture, drawn anew at most once a frame. */
export class OverlayCanvas {
  readonly #canvas: HTMLCanvasElement
  readonly #draw: (context: CanvasRenderingContext2D) => void
  #waiting = 0

  /** @param draw in px of the picture, on a clean canvas. */
  constructor(canvas: HTMLCanvasElement, draw: (context: CanvasRenderingContext2D) => void) {
    this.#canvas = canvas
    this.#draw = draw
  }

  /** Draw with the next frame. */
  update(): void {
    this.#waiting ||= requestAnimationFrame(() => this.draw())
  }

  /** Draw now, so that it does not lag behind a picture that moves. */
  draw(): void {
    cancelAnimationFrame(this.#waiting)
    this.#waiting = 0
    const canvas = this.#canvas
    const width = Math.round(canvas.clientWidth * devicePixelRatio)
    const height = Math.round(canvas.clientHeight * devicePixelRatio)
    if (canvas.width !== width) canvas.width = width
    if (canvas.height !== height) canvas.height = height
    const context = canvas.getContext('2d')
    if (!context) return
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0)
    context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight)
    this.#draw(context)
  }
}
