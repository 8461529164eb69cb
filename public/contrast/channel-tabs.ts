import { paintColours } from './colour-strip.js'
import type { Contrast } from './contrast.js'

export interface ChannelTab {
  readonly name: string
  readonly visible: boolean
  readonly selected: boolean
  readonly contrast: Pick<Contrast, 'colours' | 'inverted'>
}

/** A tab for every channel, with its colours; none where there is but one. */
export class ChannelTabs {
  readonly #root: HTMLElement
  readonly #onChoose: (channel: number) => void
  #names: readonly string[] = []

  constructor(root: HTMLElement, onChoose: (channel: number) => void) {
    this.#root = root
    this.#onChoose = onChoose
    root.addEventListener('keydown', event => this.#onKey(event))
  }

  show(channels: readonly ChannelTab[]): void {
    this.#root.hidden = channels.length < 2
    const names = channels.map(({ name }) => name)
    if (names.join('\n') !== this.#names.join('\n')) {
      this.#names = names
      this.#root.replaceChildren(...names.map((name, index) => this.#tab(name, index)))
    }
    for (const [index, { visible, selected, contrast }] of channels.entries()) {
      const tab = this.#root.children[index] as HTMLElement
      if (selected && tab.ariaSelected !== 'true') tab.scrollIntoView({ block: 'nearest', inline: 'nearest' })
      tab.ariaSelected = String(selected)
      tab.tabIndex = selected ? 0 : -1
      tab.classList.toggle('off', !visible)
      paintColours(tab.firstElementChild as HTMLCanvasElement, contrast)
    }
  }

  #tab(name: string, index: number): HTMLElement {
    const tab = document.createElement('button')
    tab.setAttribute('role', 'tab')
    tab.setAttribute('aria-controls', 'levels')
    tab.title = name
    const text = document.createElement('span')
    text.textContent = name
    tab.append(document.createElement('canvas'), text)
    tab.addEventListener('click', () => this.#onChoose(index))
    return tab
  }

  #onKey(event: KeyboardEvent): void {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key]
    const tabs = [...this.#root.children] as HTMLElement[]
    const next = step && tabs[tabs.indexOf(document.activeElement as HTMLElement) + step]
    if (!next) return
    event.preventDefault()
    event.stopPropagation()
    next.focus()
    next.click()
  }
}
