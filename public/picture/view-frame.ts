import type { Rect } from '../../src/plane.js'
import type { PointUm } from '../server/pyramid-api.js'
import { type MosaicGeometry, pixelOfStage } from './stage-geometry.js'

/** A point of the picture's element: px from its upper left corner. */
export interface ScreenPoint {
  readonly left: number
  readonly top: number
}

/** How one looks at the stage. */
export interface View {
  /** Stage position in the centre of the picture. */
  readonly centerUm: PointUm
  /** Stage µm per screen px. */
  readonly umPerPx: number
  /** Degrees that the picture is turned clockwise, 0 to below 360. */
  readonly rotation: number
  /** Stage y runs up the screen, instead of down as the rows of a camera do. */
  readonly yUp: boolean
}

/** Where stage and screen meet at one moment. */
export class ViewFrame implements View {
  readonly centerUm: PointUm
  readonly umPerPx: number
  readonly rotation: number
  readonly yUp: boolean
  /** Of what is seen of the picture, px. */
  readonly width: number
  readonly height: number
  readonly #cos: number
  readonly #sin: number

  constructor(view: View, width: number, height: number) {
    this.centerUm = view.centerUm
    this.umPerPx = view.umPerPx
    this.rotation = view.rotation
    this.yUp = view.yUp
    this.width = width
    this.height = height
    this.#cos = Math.cos((view.rotation * Math.PI) / 180)
    this.#sin = Math.sin((view.rotation * Math.PI) / 180)
  }

  toScreen({ x, y }: PointUm): ScreenPoint {
    const right = (x - this.centerUm.x) / this.umPerPx
    const down = ((y - this.centerUm.y) / this.umPerPx) * (this.yUp ? -1 : 1)
    return {
      left: this.width / 2 + this.#cos * right - this.#sin * down,
      top: this.height / 2 + this.#sin * right + this.#cos * down,
    }
  }

  toStage({ left, top }: ScreenPoint): PointUm {
    const x = left - this.width / 2
    const y = top - this.height / 2
    const right = this.#cos * x + this.#sin * y
    const down = (this.#cos * y - this.#sin * x) * (this.yUp ? -1 : 1)
    return { x: this.centerUm.x + right * this.umPerPx, y: this.centerUm.y + down * this.umPerPx }
  }

  /** Of the picture's part that is seen. */
  get middle(): ScreenPoint {
    return { left: this.width / 2, top: this.height / 2 }
  }

  /**
   * The view in which a stage position lies at a point of the screen.
   *
   * @param changes what else is other than now.
   */
  placing(stage: PointUm, { left, top }: ScreenPoint, changes: Partial<Omit<View, 'centerUm'>> = {}): View {
    const { umPerPx, rotation, yUp } = this
    const around = { umPerPx, rotation, yUp, ...changes, centerUm: stage }
    // With the position in the middle, the centre to be is opposite of the point.
    const opposite = { left: this.width - left, top: this.height - top }
    return { ...around, centerUm: new ViewFrame(around, this.width, this.height).toStage(opposite) }
  }

  /** Stage positions of the four corners, clockwise on the screen from the upper left one. */
  get corners(): readonly PointUm[] {
    const { width, height } = this
    return [
      { left: 0, top: 0 },
      { left: width, top: 0 },
      { left: width, top: height },
      { left: 0, top: height },
    ].map(corner => this.toStage(corner))
  }

  /** The box around what is seen, in level-0 pixels of a mosaic. */
  visibleRect(geometry: MosaicGeometry): Rect {
    const pixels = this.corners.map(corner => pixelOfStage(geometry, corner))
    const xs = pixels.map(({ x }) => x)
    const ys = pixels.map(({ y }) => y)
    return { x0: Math.min(...xs), y0: Math.min(...ys), x1: Math.max(...xs), y1: Math.max(...ys) }
  }
}
