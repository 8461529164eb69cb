import type { PictureTool, ToolEvent } from '../picture/gestures.js'
import type { PointUm } from '../server/pyramid-api.js'
import type { RoiList } from './roi-list.js'

/** A place this near to a point means the point, screen px. */
export const POINT_HIT_PX = 10

/** A double click removes the point that is there, or adds one, as PYME's viewer does. */
export class PointToggle implements PictureTool {
  readonly cursor = ''
  readonly #rois: RoiList
  readonly #umPerPx: () => number

  constructor(rois: RoiList, umPerPx: () => number) {
    this.#rois = rois
    this.#umPerPx = umPerPx
  }

  doubleClick({ stage }: ToolEvent): void {
    this.#rois.toggle(stage, POINT_HIT_PX * this.#umPerPx())
  }
}

/** A second click so soon is the end of a double click. */
const DOUBLE_CLICK_MS = 500

/** A click adds a point, or chooses the one that is there; a double click on that removes it. */
export class PointTool implements PictureTool {
  readonly cursor = 'crosshair'
  readonly #rois: RoiList
  readonly #umPerPx: () => number
  readonly #onChosen: (id: number) => void
  /** Where the last click added a point, and until when clicks there belong to it. */
  #added: { readonly stage: PointUm; readonly untilMs: number } | undefined

  constructor(rois: RoiList, umPerPx: () => number, onChosen: (id: number) => void) {
    this.#rois = rois
    this.#umPerPx = umPerPx
    this.#onChosen = onChosen
  }

  click({ stage }: ToolEvent): void {
    if (this.#hasJustAdded(stage)) return
    const there = this.#rois.nearest(stage, this.#radiusUm)
    if (there) this.#onChosen(there.id)
    else void this.#add(stage)
  }

  doubleClick({ stage }: ToolEvent): void {
    if (this.#hasJustAdded(stage)) return
    const there = this.#rois.nearest(stage, this.#radiusUm)
    if (there) this.#rois.remove(there)
  }

  async #add(stage: PointUm): Promise<void> {
    this.#added = { stage, untilMs: performance.now() + DOUBLE_CLICK_MS }
    const [added] = await this.#rois.add([stage])
    if (added) this.#onChosen(added.id)
  }

  #hasJustAdded({ x, y }: PointUm): boolean {
    const added = this.#added
    if (!added || performance.now() > added.untilMs) return false
    return Math.hypot(added.stage.x - x, added.stage.y - y) < this.#radiusUm
  }

  get #radiusUm(): number {
    return POINT_HIT_PX * this.#umPerPx()
  }
}
