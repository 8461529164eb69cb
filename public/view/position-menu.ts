import { element } from '../parts/element.js'
import { formatCoordinate } from '../parts/number-format.js'
import type { ToolEvent } from '../picture/gestures.js'
import type { PointUm } from '../server/pyramid-api.js'

/** What can be done at a place of the stage. */
export interface PositionAction {
  readonly label: string
  run(place: PointUm): void
}

/** The menu of a right click: where that is, and what can be done there. */
export class PositionMenu {
  readonly #root: HTMLElement
  readonly #place: HTMLElement
  readonly #items: HTMLElement
  readonly #actions: readonly PositionAction[]
  readonly #onClose: () => void

  /** @param actions may grow; they are read when the menu opens. @param onClose the focus goes back to the picture. */
  constructor(root: HTMLElement, actions: readonly PositionAction[], onClose: () => void) {
    this.#root = root
    this.#place = element(root, '.place', HTMLElement)
    this.#items = element(root, '.items', HTMLElement)
    this.#actions = actions
    this.#onClose = onClose
    root.addEventListener('keydown', event => this.#onKey(event))
    document.addEventListener('pointerdown', event => {
      if (!root.contains(event.target as Node)) root.hidden = true
    })
  }

  open({ stage, screen }: ToolEvent, umPerPx: number): void {
    this.#place.textContent = `x ${formatCoordinate(stage.x, umPerPx)}  y ${formatCoordinate(stage.y, umPerPx)}`
    this.#items.replaceChildren(...this.#actions.map(action => this.#item(action, stage)))
    this.#root.hidden = false
    // Beside the pointer, but never beyond the picture.
    const { clientWidth = 0, clientHeight = 0 } = this.#root.parentElement ?? {}
    const left = Math.min(screen.left, clientWidth - this.#root.offsetWidth)
    const top = Math.min(screen.top, clientHeight - this.#root.offsetHeight)
    this.#root.style.left = `${Math.max(0, left)}px`
    this.#root.style.top = `${Math.max(0, top)}px`
    element(this.#items, 'button', HTMLButtonElement).focus()
  }

  #item({ label, run }: PositionAction, place: PointUm): HTMLButtonElement {
    const button = document.createElement('button')
    button.type = 'button'
    button.setAttribute('role', 'menuitem')
    button.tabIndex = -1
    button.textContent = label
    button.addEventListener('click', () => {
      this.#close()
      run(place)
    })
    return button
  }

  #onKey(event: KeyboardEvent): void {
    const buttons = [...this.#items.querySelectorAll('button')]
    const index = buttons.indexOf(document.activeElement as HTMLButtonElement)
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (step) buttons.at((index + step) % buttons.length)?.focus()
    else if (event.key === 'Escape' || event.key === 'Tab') this.#close()
    else return
    event.preventDefault()
    event.stopPropagation()
  }

  #close(): void {
    this.#root.hidden = true
    this.#onClose()
  }
}
