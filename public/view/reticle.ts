import type { ViewFrame } from '../picture/view-frame.js'
import type { PointUm } from '../server/pyramid-api.js'

/** A click so near to the pinned reticle frees it, px. */
const SAME_PLACE_PX = 12

/** The cross at the place that is read out: pinned to the stage, or, where nothing hovers, in the centre of the picture. */
export class Reticle {
  readonly #root: HTMLElement
  readonly #onChange: () => void
  #place: PointUm | undefined

  /** @param onChange it was pinned or freed. */
  constructor(root: HTMLElement, onChange: () => void) {
    this.#root = root
    this.#onChange = onChange
  }

  /** Stage position that it is pinned to. */
  get place(): PointUm | undefined {
    return this.#place
  }

  pin(place: PointUm | undefined): void {
    if (place === this.#place) return
    this.#place = place
    this.#root.classList.toggle('pinned', place !== undefined)
    this.#onChange()
  }

  /** Pin it to a place, or free it where it is pinned already. */
  toggle(place: PointUm, frame: ViewFrame): void {
    const here = this.#place && frame.toScreen(this.#place)
    const there = frame.toScreen(place)
    const isSame = here && Math.hypot(here.left - there.left, here.top - there.top) <= SAME_PLACE_PX
    this.pin(isSame ? undefined : place)
  }

  /** Move with the stage. */
  follow(frame: ViewFrame): void {
    const { left, top } = this.#place ? frame.toScreen(this.#place) : frame.middle
    this.#root.style.transform = `translate(${left}px, ${top}px)`
  }
}
