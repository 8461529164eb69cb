import type { Rect } from '../../src/plane.js'
import type { ItemsPanel } from '../items/items-panel.js'
import { formatNumber, THIN_SPACE } from '../parts/number-format.js'
import type { Picture } from '../picture/picture.js'
import { coveredRect, stageRect } from '../picture/stage-geometry.js'
import { centralWell } from '../picture/view-choices.js'
import type { PlatePanel } from '../plate/plate-panel.js'
import type { PyramidInfo, Well } from '../server/pyramid-api.js'
import { parsePlace } from './parse-place.js'
import type { Reticle } from './reticle.js'

const PAN_PX = 80

/** The ways to get from one place of the stage to another. */
export class Navigation {
  readonly #picture: Picture
  readonly #plate: PlatePanel
  readonly #reticle: Reticle
  readonly #items: ItemsPanel
  #pyramid: PyramidInfo | undefined

  constructor(picture: Picture, plate: PlatePanel, reticle: Reticle, items: ItemsPanel) {
    this.#items = items
    this.#picture = picture
    this.#plate = plate
    this.#reticle = reticle
  }

  /** @param pyramid that one moves in from now on. */
  open(pyramid: PyramidInfo | undefined): void {
    this.#pyramid = pyramid
  }

  /**
   * Fly to what somebody typed: a position, the name of a well, or the number of an image.
   *
   * @returns what is wrong with it.
   */
  goTo(text: string): string | undefined {
    if (!this.#pyramid) return undefined
    const place = parsePlace(text, this.#pyramid.wells, this.#pyramid.items?.count)
    if ('problem' in place) return place.problem
    if ('well' in place) {
      this.goToWell(place.well)
      return undefined
    }
    if ('item' in place) {
      this.#items.choose(place.item)
      return undefined
    }
    const { x0, y0, x1, y1 } = stageRect(this.#pyramid, coveredRect(this.#pyramid))
    const { x, y } = place.stage
    if (x < x0 || x > x1 || y < y0 || y > y1) {
      return `There are no frames: x runs from ${rangeOf(x0, x1)}, y from ${rangeOf(y0, y1)}.`
    }
    this.#picture.flyTo(place.stage)
    this.#reticle.pin(place.stage)
    return undefined
  }

  goToWell(well: Well): void {
    this.#plate.setCurrent(well)
    this.#picture.fit(well)
  }

  /** The well that is looked at, else the nearest thing to it that there is. */
  fitWell(): void {
    const visible = this.#picture.visibleRect
    if (this.#pyramid && visible) this.#picture.fit(this.#plate.current ?? wellAround(this.#pyramid, visible))
  }

  fitAll(): void {
    if (this.#pyramid) this.#picture.fit(coveredRect(this.#pyramid))
  }

  /** Pan by steps to the right and down, or by full views. */
  pan(right: number, down: number, byViews: boolean): void {
    if (byViews) this.#picture.panByViews(right, down)
    else this.#picture.panBy(right * PAN_PX, down * PAN_PX)
  }

  /** Neither turned nor mirrored. */
  turnBack(): void {
    this.#picture.mirror(false)
    this.#picture.turnTo(0)
  }
}

function wellAround(pyramid: PyramidInfo, visible: Rect): Rect {
  return centralWell(pyramid, visible) ?? pyramid.wells[0] ?? coveredRect(pyramid)
}

function rangeOf(fromUm: number, toUm: number): string {
  return `${formatNumber(fromUm)} to ${formatNumber(toUm)}${THIN_SPACE}µm`
}
