import { formatArea } from '../parts/number-format.js'
import type { PyramidSummary } from '../server/pyramid-api.js'

/** The list of pyramids that the server knows, below the name of the one that is shown. */
export class PyramidChooser {
  readonly #button: HTMLButtonElement
  readonly #menu: HTMLElement
  readonly #list: () => Promise<readonly PyramidSummary[]>
  readonly #onChoose: (id: string | undefined) => void
  #pinned: string | undefined

  /** @param onChoose a pyramid was chosen; `undefined` means to follow the current one. */
  constructor(
    button: HTMLButtonElement,
    menu: HTMLElement,
    list: () => Promise<readonly PyramidSummary[]>,
    onChoose: (id: string | undefined) => void,
  ) {
    this.#button = button
    this.#menu = menu
    this.#list = list
    this.#onChoose = onChoose
    button.addEventListener('click', () => (menu.hidden ? void this.#open() : this.#close()))
    menu.addEventListener('keydown', event => this.#onKey(event))
    document.addEventListener('pointerdown', event => {
      const inside = event.target instanceof Node && (menu.contains(event.target) || button.contains(event.target))
      if (!inside && !menu.hidden) this.#close()
    })
  }

  /** The pyramid that the address pins, if it does. */
  setPinned(id: string | undefined): void {
    this.#pinned = id
  }

  async #open(): Promise<void> {
    let pyramids: readonly PyramidSummary[] = []
    let problem: string | undefined
    try {
      const byName = new Intl.Collator(undefined, { numeric: true })
      pyramids = [...(await this.#list())].sort((a, b) => byName.compare(a.name, b.name))
    } catch {
      problem = 'The server does not answer; the list cannot be shown.'
    }
    const current = pyramids.find(pyramid => pyramid.current)
    const follow = this.#item('Follow the server', current ? `now ${current.name}` : 'nothing shown yet', undefined)
    const items = pyramids.map(pyramid => this.#item(pyramid.name, describe(pyramid), pyramid.id))
    const note = document.createElement('p')
    note.textContent = problem ?? ''
    this.#menu.replaceChildren(...(problem ? [note] : [follow, ...items]))
    this.#menu.hidden = false
    this.#button.setAttribute('aria-expanded', 'true')
    const checked = this.#menu.querySelector<HTMLElement>('[aria-checked=true]')
    checked?.focus()
  }

  #close(): void {
    const hadFocus = this.#menu.contains(document.activeElement)
    this.#menu.hidden = true
    this.#button.setAttribute('aria-expanded', 'false')
    if (hadFocus) this.#button.focus()
  }

  #item(name: string, facts: string, id: string | undefined): HTMLElement {
    const item = document.createElement('button')
    item.setAttribute('role', 'menuitemradio')
    item.setAttribute('aria-checked', String(id === this.#pinned))
    item.dataset.id = id ?? ''
    const title = document.createElement('b')
    title.textContent = name
    const detail = document.createElement('span')
    detail.textContent = facts
    item.append(title, detail)
    item.addEventListener('click', () => {
      this.#close()
      this.#onChoose(id)
    })
    return item
  }

  #onKey(event: KeyboardEvent): void {
    event.stopPropagation()
    if (event.key === 'Escape' || event.key === 'Tab') {
      this.#close()
      return
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (!step) return
    event.preventDefault()
    const items = [...this.#menu.querySelectorAll('button')]
    const index = items.indexOf(document.activeElement as HTMLButtonElement)
    items[(index + step + items.length) % items.length]?.focus()
  }
}

function describe({ width, height, pixelSizeUm, complete }: PyramidSummary): string {
  const area = formatArea(width * pixelSizeUm.x, height * pixelSizeUm.y)
  return complete ? area : `${area} · not complete`
}
