import { element } from '../parts/element.js'
import { formatNumber, parseNumber } from '../parts/number-format.js'
import type { ViewFrame } from '../picture/view-frame.js'

export interface ViewMenuListener {
  /** Go to what was typed. @returns what is wrong with it, in a sentence. */
  goTo(text: string): string | undefined
  /** Degrees, clockwise. */
  turned(rotation: number): void
  turnedBy(degrees: number): void
  mirrored(yUp: boolean): void
  /** Whether two fingers turn the picture. */
  turnByFingers(on: boolean): void
  /** The focus goes back to the picture. */
  closed(): void
}

const QUARTER = 90

/** The small window beside the tools: where to go, and which way is up. */
export class ViewMenu {
  readonly #root: HTMLElement
  readonly #button: HTMLButtonElement
  readonly #place: HTMLInputElement
  readonly #problem: HTMLElement
  readonly #rotation: HTMLInputElement
  readonly #yUp: HTMLInputElement
  readonly #listener: ViewMenuListener
  #frame: ViewFrame | undefined

  constructor(root: HTMLElement, button: HTMLButtonElement, listener: ViewMenuListener) {
    this.#root = root
    this.#button = button
    this.#listener = listener
    this.#place = element(root, '[name=place]', HTMLInputElement)
    this.#problem = element(root, '.problem', HTMLElement)
    this.#rotation = element(root, '[name=rotation]', HTMLInputElement)
    this.#yUp = element(root, '[name=y-up]', HTMLInputElement)
    const byFingers = element(root, '[name=by-fingers]', HTMLInputElement)
    button.addEventListener('click', () => (root.hidden ? this.open() : this.close()))
    element(root, 'form', HTMLFormElement).addEventListener('submit', event => {
      event.preventDefault()
      this.#go()
    })
    this.#place.addEventListener('input', () => this.#tell(undefined))
    this.#rotation.addEventListener('change', () => this.#turnTo(parseNumber(this.#rotation.value.replace('°', ''))))
    for (const [name, degrees] of [
      ['.turn-left', -QUARTER],
      ['.turn-right', QUARTER],
    ] as const) {
      element(root, name, HTMLButtonElement).addEventListener('click', () => listener.turnedBy(degrees))
    }
    element(root, '.reset', HTMLButtonElement).addEventListener('click', () => {
      listener.turned(0)
      listener.mirrored(false)
    })
    this.#yUp.addEventListener('change', () => listener.mirrored(this.#yUp.checked))
    byFingers.addEventListener('change', () => listener.turnByFingers(byFingers.checked))
    root.addEventListener('keydown', event => {
      if (event.key !== 'Escape') return
      event.stopPropagation()
      this.close()
    })
    document.addEventListener('pointerdown', event => {
      const target = event.target as Node
      if (!root.hidden && !root.contains(target) && !button.contains(target)) this.#show(false)
    })
  }

  /** @param place what the field says at first, to be gone to or copied. */
  open(place = ''): void {
    this.#show(true)
    this.#tell(undefined)
    this.#place.value = place
    this.#place.select()
    this.#place.focus()
  }

  close(): void {
    this.#show(false)
    this.#listener.closed()
  }

  /** Say how the picture is turned now. */
  follow(frame: ViewFrame): void {
    const { rotation, yUp } = frame
    this.#frame = frame
    this.#yUp.checked = yUp
    if (document.activeElement !== this.#rotation) this.#rotation.value = degreesText(rotation)
  }

  #go(): void {
    const problem = this.#listener.goTo(this.#place.value)
    this.#tell(problem)
    if (problem === undefined) this.close()
    else this.#place.select()
  }

  #turnTo(rotation: number | undefined): void {
    if (rotation !== undefined) this.#listener.turned(rotation)
    this.#rotation.value = degreesText((((rotation ?? this.#frame?.rotation ?? 0) % 360) + 360) % 360)
  }

  #tell(problem: string | undefined): void {
    this.#problem.textContent = problem ?? ''
    this.#place.ariaInvalid = problem === undefined ? null : 'true'
  }

  #show(open: boolean): void {
    this.#root.hidden = !open
    this.#button.ariaExpanded = String(open)
  }
}

/** Degrees as this page shows them: whole where they are. */
function degreesText(rotation: number): string {
  return `${formatNumber(rotation, Number.isInteger(rotation) ? 0 : 1)}°`
}
