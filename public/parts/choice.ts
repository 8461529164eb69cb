/** Radio buttons of which one is chosen; each holds its value. */
export class Choice<Value extends string> {
  readonly #root: HTMLElement

  constructor(root: HTMLElement, onChoose: (value: Value) => void) {
    this.#root = root
    root.addEventListener('change', event => {
      if (event.target instanceof HTMLInputElement && event.target.type === 'radio') {
        onChoose(event.target.value as Value)
      }
    })
  }

  /** @param value of none where it is unknown here: then none is chosen. */
  show(value: Value): void {
    for (const radio of this.#root.querySelectorAll<HTMLInputElement>('input[type=radio]')) {
      radio.checked = radio.value === value
    }
  }
}
