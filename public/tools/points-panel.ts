import { element } from '../parts/element.js'
import { make } from '../parts/make.js'
import { formatCoordinate, formatNumber } from '../parts/number-format.js'
import { type Roi, roisUrl } from '../server/roi-api.js'
import { signDownload } from '../server/sign-download.js'
import type { RoiList } from './roi-list.js'

const ROW_PX = matchMedia('(pointer: coarse)').matches ? 44 : 28
const SHOWN_ROWS = 6

export interface PointsListener {
  selected(roi: Roi | undefined): void
  goTo(roi: Roi): void
}

/** The list of ROIs: of a hundred thousand, only those rows are made that are in sight. */
export class PointsPanel {
  readonly #rois: RoiList
  readonly #listener: PointsListener
  readonly #summary: HTMLElement
  readonly #hint: HTMLElement
  readonly #list: HTMLElement
  readonly #rows: HTMLElement
  readonly #chosen: HTMLElement
  readonly #name: HTMLInputElement
  readonly #export: HTMLAnchorElement
  readonly #clear: HTMLButtonElement
  #selectedId: number | undefined
  #pyramidId: string | undefined

  constructor(root: HTMLElement, rois: RoiList, listener: PointsListener) {
    this.#rois = rois
    this.#listener = listener
    this.#summary = element(root, '.summary', HTMLElement)
    this.#hint = element(root, '.hint', HTMLElement)
    this.#list = element(root, '[role=listbox]', HTMLElement)
    this.#rows = element(root, '.rows', HTMLElement)
    this.#chosen = element(root, '.chosen', HTMLElement)
    this.#name = element(root, 'input[name=point-name]', HTMLInputElement)
    this.#export = element(root, '.export', HTMLAnchorElement)
    this.#clear = element(root, '.clear', HTMLButtonElement)
    signDownload(this.#export)
    const file = element(root, 'input[type=file]', HTMLInputElement)
    this.#list.style.maxHeight = `${ROW_PX * SHOWN_ROWS}px`
    this.#list.addEventListener('scroll', () => this.#drawRows())
    this.#list.addEventListener('keydown', event => this.#onKey(event))
    this.#list.addEventListener('click', event => this.#onClick(event))
    this.#list.addEventListener('dblclick', () => this.#act(roi => listener.goTo(roi)))
    this.#name.addEventListener('change', () => this.#act(roi => rois.rename(roi, this.#name.value.trim())))
    const onClick = (selector: string, run: () => void): void =>
      element(root, selector, HTMLButtonElement).addEventListener('click', run)
    onClick('.go-to', () => this.#act(roi => listener.goTo(roi)))
    onClick('.delete', () => this.#act(roi => rois.remove(roi)))
    onClick('.import', () => file.click())
    this.#clear.addEventListener('click', () => rois.clear())
    file.addEventListener('change', () => void this.#import(file))
  }

  /** The one that is chosen, if it is still there. */
  get selected(): Roi | undefined {
    const id = this.#selectedId
    return id === undefined ? undefined : this.#rois.rois.find(roi => roi.id === id)
  }

  select(id: number | undefined): void {
    this.#selectedId = id
    const index = this.#rois.rois.findIndex(roi => roi.id === id)
    const { scrollTop, clientHeight } = this.#list
    if (index >= 0 && (index * ROW_PX < scrollTop || (index + 1) * ROW_PX > scrollTop + clientHeight)) {
      this.#list.scrollTop = index * ROW_PX - clientHeight / 2
    }
    this.#showChosen()
    this.#drawRows()
    this.#listener.selected(this.selected)
  }

  show(pyramidId: string): void {
    // Another list has the same ids for other points.
    if (pyramidId !== this.#pyramidId) this.#selectedId = undefined
    this.#pyramidId = pyramidId
    const { length } = this.#rois.rois
    this.#summary.textContent = length === 0 ? 'none' : formatNumber(length)
    this.#hint.hidden = length > 0
    this.#list.hidden = length === 0
    this.#clear.hidden = length === 0
    this.#export.hidden = length === 0
    this.#export.href = `${roisUrl(pyramidId)}.csv`
    this.#rows.style.height = `${length * ROW_PX}px`
    this.#showChosen()
    this.#drawRows()
  }

  #showChosen(): void {
    const roi = this.selected
    this.#chosen.hidden = roi === undefined
    if (roi && document.activeElement !== this.#name) this.#name.value = roi.name ?? ''
  }

  #drawRows(): void {
    const { rois } = this.#rois
    const first = Math.max(0, Math.floor(this.#list.scrollTop / ROW_PX) - 1)
    const shown = rois.slice(first, first + SHOWN_ROWS + 3)
    this.#rows.replaceChildren(
      ...shown.map((roi, i) => {
        const place = `${formatCoordinate(roi.x, 1)}, ${formatCoordinate(roi.y, 1)}`
        const size = roi.w === undefined ? undefined : 'rectangle'
        const isSelected = roi.id === this.#selectedId
        return make(
          'div',
          {
            role: 'option',
            id: `point-${roi.id}`,
            'aria-selected': String(isSelected),
            'aria-setsize': `${rois.length}`,
            'aria-posinset': `${first + i + 1}`,
            style: `top:${(first + i) * ROW_PX}px;height:${ROW_PX}px`,
          },
          make('span', { class: 'entry-name', text: roi.name ?? size ?? `Point ${roi.id}` }),
          make('span', { class: 'entry-number', text: place }),
        )
      }),
    )
    const active = shown.some(({ id }) => id === this.#selectedId) ? `point-${this.#selectedId}` : ''
    this.#list.setAttribute('aria-activedescendant', active)
  }

  #onClick({ target }: MouseEvent): void {
    const row = target instanceof Element ? target.closest('[role=option]') : undefined
    if (row) this.select(Number(row.id.slice('point-'.length)))
  }

  #onKey(event: KeyboardEvent): void {
    const { rois } = this.#rois
    const at = rois.findIndex(({ id }) => id === this.#selectedId)
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rois.length - 1 }[event.key]
    if (next !== undefined) this.select(rois[Math.min(rois.length - 1, Math.max(0, next))]?.id)
    else if (event.key === 'Enter') this.#act(roi => this.#listener.goTo(roi))
    else if (event.key === 'Delete') this.#act(roi => this.#rois.remove(roi))
    else return
    event.preventDefault()
  }

  #act(run: (roi: Roi) => void): void {
    const roi = this.selected
    if (roi) run(roi)
  }

  async #import(file: HTMLInputElement): Promise<void> {
    const [table] = file.files ?? []
    if (table) await this.#rois.add(await table.text())
    // The same file may be chosen again.
    file.value = ''
  }
}
