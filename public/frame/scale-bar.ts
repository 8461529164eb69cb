import { lengthUnit, THIN_SPACE } from '../parts/number-format.js'
import type { PointUm } from '../server/pyramid-api.js'

const MAX_PX = 200
const MAX_SHARE = 0.3

/** The longest length of 1, 2 or 5 × 10ⁿ µm that does not exceed `maxUm`. */
export function roundLength(maxUm: number): number {
  const power = 10 ** Math.floor(Math.log10(maxUm))
  // log10 may land a hair on either side of a power of ten, so the next one is tried as well.
  const factor = [10, 5, 2, 1].find(candidate => candidate * power <= maxUm * (1 + 1e-9)) ?? 1
  return Number((factor * power).toPrecision(1))
}

/** The text of a bar: a round length needs no decimals in its own unit. */
export function barLabel(um: number): string {
  const unit = lengthUnit(um)
  return `${Number((um / unit.um).toPrecision(1))}${THIN_SPACE}${unit.name}`
}

/** Pixels count as square below this difference of their sides. */
const SQUARE_TOLERANCE = 0.01

/**
 * A scale bar of a round length, at most 200 px and 30 % of the picture wide. Where pixels are not square, a second one
 * stands upright: both axes are drawn to the same scale, and the reader can see that.
 */
export class ScaleBar {
  readonly #root: HTMLElement
  readonly #label: HTMLElement
  readonly #bar: HTMLElement
  readonly #upright: HTMLElement

  constructor(root: HTMLElement) {
    const part = (name: string): HTMLElement => {
      const div = document.createElement('div')
      div.className = name
      root.append(div)
      return div
    }
    this.#root = root
    this.#label = part('label')
    this.#bar = part('bar')
    this.#upright = part('upright')
  }

  /** @param umPerPx stage µm per screen pixel. @param pictureWidthPx width of the picture on the screen. */
  show(umPerPx: number, pixelSizeUm: PointUm, pictureWidthPx: number): void {
    const um = roundLength(Math.min(MAX_PX, pictureWidthPx * MAX_SHARE) * umPerPx)
    this.#bar.style.width = `${um / umPerPx}px`
    this.#upright.hidden = Math.abs(pixelSizeUm.x / pixelSizeUm.y - 1) <= SQUARE_TOLERANCE
    this.#upright.style.height = this.#bar.style.width
    if (this.#label.textContent === barLabel(um)) return
    this.#label.textContent = barLabel(um)
    this.#root.setAttribute('aria-label', `Scale bar, ${barLabel(um)}`)
  }
}
