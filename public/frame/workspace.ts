import { element } from '../parts/element.js'

const PHONE = matchMedia('(max-width: 720px)')
const NARROW = matchMedia('(max-width: 1000px)')

/** What is open around the picture: the dock beside it, one sheet at a time on a phone, or nothing at all. */
export class Workspace {
  readonly #body = document.body
  readonly #dockButton: HTMLButtonElement
  readonly #tabs: readonly HTMLButtonElement[]

  readonly #onSheet: (heightPx: number) => void

  /** @param onSheet a sheet opened or closed; it hides so much of the picture. */
  constructor(onSheet: (heightPx: number) => void) {
    this.#onSheet = onSheet
    this.#dockButton = element(document, '#dock-toggle', HTMLButtonElement)
    this.#tabs = [...document.querySelectorAll<HTMLButtonElement>('#tabs button')]
    this.#dockButton.addEventListener('click', () => this.toggleDock())
    for (const tab of this.#tabs) tab.addEventListener('click', () => this.#toggleSheet(tab.dataset.sheet ?? ''))
    NARROW.addEventListener('change', () => this.#setDock(!NARROW.matches))
    this.#setDock(!NARROW.matches)
    const fullScreen = element(document, '#full-screen', HTMLButtonElement)
    fullScreen.hidden = !document.fullscreenEnabled
    fullScreen.addEventListener('click', () => this.toggleFullScreen())
  }

  /** Whether the dock is open, where that is not as the width of the window has it. */
  get dockOpen(): boolean | undefined {
    const open = this.#body.dataset.dock === 'open'
    return this.isPhone || open === !NARROW.matches ? undefined : open
  }

  openDock(open: boolean): void {
    if (!this.isPhone) this.#setDock(open)
  }

  toggleDock(): void {
    this.#setDock(this.#body.dataset.dock !== 'open')
  }

  /** The picture alone; Escape or the same key brings everything back. */
  togglePictureOnly(on = !('only' in this.#body.dataset)): void {
    if (on) this.#body.dataset.only = 'picture'
    else delete this.#body.dataset.only
  }

  toggleFullScreen(): void {
    // Refused inside a frame that does not allow it; there is nothing to do about it here.
    const change = document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()
    change.catch(() => undefined)
  }

  get isPhone(): boolean {
    return PHONE.matches
  }

  /** Offer only the panels that have something to show. */
  offerPanels(names: readonly string[]): void {
    for (const tab of this.#tabs) tab.hidden = !names.includes(tab.dataset.sheet ?? '')
    const open = this.#body.dataset.sheet
    if (open && !names.includes(open)) this.#toggleSheet(open)
  }

  /** The picture is going to be worked on. */
  closeSheet(): void {
    if (this.#body.dataset.sheet) this.#toggleSheet('')
  }

  #setDock(open: boolean): void {
    this.#body.dataset.dock = open ? 'open' : 'closed'
    this.#dockButton.setAttribute('aria-expanded', String(open))
  }

  #toggleSheet(name: string): void {
    const open = this.#body.dataset.sheet === name ? '' : name
    this.#body.dataset.sheet = open
    for (const tab of this.#tabs) tab.setAttribute('aria-expanded', String(tab.dataset.sheet === open))
    const status = element(document, '#status', HTMLElement).offsetHeight
    this.#onSheet(open ? Math.max(0, element(document, '#dock', HTMLElement).offsetHeight - status) : 0)
  }
}
