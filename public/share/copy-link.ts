import { copyToClipboard } from '../parts/copy-text.js'
import { element } from '../parts/element.js'

const COPIED_SHOWN_MS = 2000

/** The button that copies the address of what is seen; where a page may not copy, it shows it, selected. */
export class CopyLink {
  readonly #button: HTMLButtonElement
  readonly #popover: HTMLElement
  readonly #field: HTMLInputElement
  readonly #href: () => string
  #timer: number | undefined

  constructor(button: HTMLButtonElement, popover: HTMLElement, href: () => string) {
    this.#button = button
    this.#popover = popover
    this.#field = element(popover, 'input', HTMLInputElement)
    this.#href = href
    button.addEventListener('click', () => void this.copy())
    popover.addEventListener('keydown', event => {
      if (event.key === 'Escape') this.#close()
    })
    popover.addEventListener('focusout', event => {
      if (!popover.contains(event.relatedTarget as Node | null)) popover.hidden = true
    })
  }

  async copy(): Promise<void> {
    const href = this.#href()
    if (await copyToClipboard(href)) this.#tellCopied()
    else this.#offer(href)
  }

  #tellCopied(): void {
    const words = element(this.#button, '.copied', HTMLElement)
    words.textContent = 'Copied'
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      words.textContent = ''
    }, COPIED_SHOWN_MS)
  }

  #offer(href: string): void {
    this.#field.value = href
    this.#popover.hidden = false
    this.#field.focus()
    this.#field.select()
  }

  #close(): void {
    this.#popover.hidden = true
    this.#button.focus()
  }
}
