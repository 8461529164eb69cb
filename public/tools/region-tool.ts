import type { PictureTool, ToolEvent } from '../picture/gestures.js'
import type { PointUm } from '../server/pyramid-api.js'
import type { MeasurementList } from './measurement-list.js'

/** A drag from corner to corner makes a rectangle along the axes of the stage. */
export class RegionTool implements PictureTool {
  readonly cursor = 'crosshair'
  readonly #list: MeasurementList
  readonly #onDraft: () => void
  #start: PointUm | undefined
  #end: PointUm | undefined

  /** @param onDraft what is being drawn has changed. */
  constructor(list: MeasurementList, onDraft: () => void) {
    this.#list = list
    this.#onDraft = onDraft
  }

  /** Two opposite corners while a rectangle is drawn. */
  get draft(): readonly PointUm[] {
    return this.#start && this.#end ? [this.#start, this.#end] : []
  }

  down({ stage }: ToolEvent): boolean {
    this.#start = stage
    return true
  }

  drag({ stage }: ToolEvent): void {
    this.#end = stage
    this.#onDraft()
  }

  up({ stage }: ToolEvent): void {
    const start = this.#start
    this.leave()
    if (start && start.x !== stage.x && start.y !== stage.y) this.#list.add('region', [start, stage])
  }

  /** A press that does not move draws nothing. */
  click(): void {
    this.leave()
  }

  leave(): void {
    this.#start = undefined
    this.#end = undefined
    this.#onDraft()
  }
}
