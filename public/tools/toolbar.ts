export type ToolName = 'pan' | 'measure' | 'region' | 'point'

const isTouch = matchMedia('(hover: none)').matches

const HINTS = isTouch
  ? {
      measure: 'Tap two places, or drag. Further taps make an area.',
      region: 'Drag a rectangle.',
      point: 'Tap to add a point. A double tap on one removes it.',
    }
  : {
      measure: 'Click two places, or drag. Further clicks make an area; Enter ends it.',
      region: 'Drag a rectangle.',
      point: 'Click to add a point. A double click on one removes it.',
    }

/** The choice of tools: buttons beside the picture and, on a phone, in the panel of measurements. */
export class Toolbar {
  readonly #buttons: readonly HTMLButtonElement[]
  readonly #hint: HTMLElement
  readonly #onChoose: (name: ToolName) => void
  #chosen: ToolName = 'pan'

  constructor(hint: HTMLElement, onChoose: (name: ToolName) => void) {
    this.#buttons = [...document.querySelectorAll<HTMLButtonElement>('button[data-tool]')]
    this.#hint = hint
    this.#onChoose = onChoose
    for (const button of this.#buttons) {
      button.addEventListener('click', () => this.choose(button.dataset.tool as ToolName))
    }
    hint.querySelector('button')?.addEventListener('click', () => this.choose('pan'))
  }

  get chosen(): ToolName {
    return this.#chosen
  }

  choose(name: ToolName): void {
    this.#chosen = name
    for (const button of this.#buttons) button.setAttribute('aria-pressed', String(button.dataset.tool === name))
    this.#hint.hidden = name === 'pan'
    const words = this.#hint.querySelector('span')
    if (words && name !== 'pan') words.textContent = HINTS[name]
    this.#onChoose(name)
  }
}
