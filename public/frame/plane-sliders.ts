import { element } from '../parts/element.js'
import type { PlaneSelection, PyramidInfo } from '../server/pyramid-api.js'

const AXES = ['zPlane', 'timePoint'] as const

/** A slider each for z-plane and time point, where there is more than one. */
export class PlaneSliders {
  readonly #root: HTMLElement
  readonly #rows: Readonly<
    Record<(typeof AXES)[number], { row: HTMLElement; input: HTMLInputElement; label: HTMLElement }>
  >

  /** @param onChange 0-based indices. */
  constructor(root: HTMLElement, onChange: (selection: Pick<PlaneSelection, 'zPlane' | 'timePoint'>) => void) {
    this.#root = root
    const rowOf = (axis: string) => {
      const row = element(root, `[data-axis=${axis}]`, HTMLElement)
      return { row, input: element(row, 'input', HTMLInputElement), label: element(row, 'output', HTMLElement) }
    }
    this.#rows = { zPlane: rowOf('zPlane'), timePoint: rowOf('timePoint') }
    for (const { input } of Object.values(this.#rows)) {
      input.addEventListener('input', () => {
        this.#label()
        onChange({ zPlane: Number(this.#rows.zPlane.input.value), timePoint: Number(this.#rows.timePoint.input.value) })
      })
    }
  }

  show(pyramid: PyramidInfo, plane: PlaneSelection): void {
    const counts = { zPlane: pyramid.zPlanes, timePoint: pyramid.timePoints }
    for (const axis of AXES) {
      const { row, input } = this.#rows[axis]
      row.hidden = counts[axis] < 2
      input.max = `${counts[axis] - 1}`
      input.value = `${plane[axis]}`
    }
    this.#root.hidden = AXES.every(axis => counts[axis] < 2)
    this.#label()
  }

  #label(): void {
    for (const { input, label } of Object.values(this.#rows)) {
      label.textContent = `${Number(input.value) + 1} of ${Number(input.max) + 1}`
    }
  }
}
