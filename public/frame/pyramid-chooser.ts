import { element } from '../parts/element.js'
import { formatArea, formatCount, formatNumber } from '../parts/number-format.js'
import type { PyramidSummary } from '../server/pyramid-api.js'

/** From so many pyramids on there is a field to search them by name. */
const SEARCHED_FROM = 8

/** The list of pyramids that the server knows, below the name of the one that is shown. */
export class PyramidChooser {
  readonly #button: HTMLButtonElement
  readonly #menu: HTMLElement
  readonly #items: HTMLElement
  readonly #search: HTMLInputElement
  readonly #note: HTMLElement
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
    this.#items = element(menu, '[role=menu]', HTMLElement)
    this.#search = element(menu, 'input', HTMLInputElement)
    this.#note = element(menu, 'p', HTMLElement)
    this.#list = list
    this.#onChoose = onChoose
    button.addEventListener('click', () => (menu.hidden ? void this.#open() : this.#close()))
    menu.addEventListener('keydown', event => this.#onKey(event))
    this.#search.addEventListener('input', () => this.#filter())
    document.addEventListener('pointerdown', event => {
      const inside = event.target instanceof Node && (menu.contains(event.target) || button.contains(event.target))
      if (!inside) this.#close()
    })
    menu.addEventListener('focusout', ({ relatedTarget }) => {
      if (relatedTarget instanceof Node && !menu.contains(relatedTarget)) this.#close()
    })
  }

  /** The pyramid that the address pins, if it does. */
  setPinned(id: string | undefined): void {
    this.#pinned = id
  }

  async #open(): Promise<void> {
    let pyramids: readonly PyramidSummary[] | undefined
    try {
      const byName = new Intl.Collator(undefined, { numeric: true })
      pyramids = [...(await this.#list())].sort((a, b) => byName.compare(a.name, b.name))
    } catch {
      this.#note.textContent = 'The server does not answer; the list cannot be shown.'
    }
    const current = pyramids?.find(pyramid => pyramid.current)
    const follow = this.#item('Follow the server', current ? `now ${current.name}` : 'nothing shown yet', undefined)
    const items = pyramids?.map(pyramid => this.#item(pyramid.name, describe(pyramid), pyramid.id))
    this.#items.replaceChildren(...(items ? [follow, ...items] : []))
    this.#search.hidden = (pyramids?.length ?? 0) < SEARCHED_FROM
    this.#search.value = ''
    if (pyramids) this.#filter()
    this.#menu.hidden = false
    this.#button.setAttribute('aria-expanded', 'true')
    this.#items.querySelector<HTMLElement>('[aria-checked=true]')?.focus()
  }

  #close(): void {
    if (this.#menu.hidden) return
    const hadFocus = this.#menu.contains(document.activeElement)
    this.#menu.hidden = true
    this.#button.setAttribute('aria-expanded', 'false')
    if (hadFocus) this.#button.focus()
  }

  #item(name: string, facts: string, id: string | undefined): HTMLElement {
    const item = document.createElement('button')
    item.type = 'button'
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

  /** Show only the pyramids whose name holds what was typed. */
  #filter(): void {
    const typed = this.#search.value.trim().toLowerCase()
    const [follow, ...pyramids] = this.#items.querySelectorAll('button')
    if (follow) follow.hidden = typed !== ''
    for (const item of pyramids) item.hidden = !item.firstElementChild?.textContent?.toLowerCase().includes(typed)
    const none = pyramids.every(item => item.hidden)
    this.#note.textContent = none && typed ? `No pyramid is called “${this.#search.value.trim()}”.` : ''
  }

  #onKey(event: KeyboardEvent): void {
    event.stopPropagation()
    const items = [...this.#items.querySelectorAll<HTMLButtonElement>('button:not([hidden])')]
    const index = items.indexOf(document.activeElement as HTMLButtonElement)
    const isSearching = document.activeElement === this.#search
    if (event.key === 'Escape' || (event.key === 'Tab' && (isSearching === event.shiftKey || this.#search.hidden))) {
      // Back to the button, from which Tab goes on.
      this.#close()
    } else if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      const next = event.key === 'ArrowDown' ? index + 1 : index < 0 ? -1 : index - 1
      items.at(next % items.length)?.focus()
      event.preventDefault()
    } else if (isSearching) {
      if (event.key === 'Enter') items[0]?.click()
    } else if (event.key === 'Home' || event.key === 'End') {
      items.at(event.key === 'Home' ? 0 : -1)?.focus()
    } else if (event.key.length === 1 && event.key !== ' ' && !this.#search.hidden) {
      // Whoever types looks for a name: the letter lands in the field.
      this.#search.focus()
    }
  }
}

function describe({ width, height, pixelSizeUm, complete, current, growth }: PyramidSummary): string {
  const area = formatArea(width * pixelSizeUm.x, height * pixelSizeUm.y)
  const facts = current ? ['current', area] : [area]
  if (complete) return facts.join(' · ')
  const { framesDone = null, framesTotal = null } = growth ?? {}
  if (framesDone === null || framesTotal === null) return [...facts, 'not complete'].join(' · ')
  return [...facts, `${formatNumber(framesDone)} of ${formatCount(framesTotal, 'frame')}`].join(' · ')
}
