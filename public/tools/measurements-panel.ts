import { copyText } from '../parts/copy-text.js'
import { element } from '../parts/element.js'
import { icon } from '../parts/icon.js'
import { make } from '../parts/make.js'
import { formatNumber } from '../parts/number-format.js'
import { mainNumber } from './draw-measurements.js'
import { type DetailsListener, MeasurementDetails } from './measurement-details.js'
import type { ListedMeasurement, MeasurementList } from './measurement-list.js'
import { measurementsCsv } from './measurements-csv.js'
import type { ShownPlanes } from './shown-channels.js'
import type { UndoStack } from './undo-stack.js'

const ICONS = { length: 'measure', area: 'area', region: 'region' } as const

interface Row {
  readonly root: HTMLElement
  readonly button: HTMLButtonElement
  readonly name: HTMLElement
  readonly number: HTMLElement
}

/** The list of measurements with their numbers; the selected one is open. */
export class MeasurementsPanel {
  readonly #list: MeasurementList
  readonly #undo: UndoStack
  readonly #details: MeasurementDetails
  readonly #rows = new Map<number, Row>()
  readonly #summary: HTMLElement
  readonly #entries: HTMLElement
  readonly #hint: HTMLElement
  readonly #undoButton: HTMLButtonElement
  readonly #actions: HTMLElement
  #openId: number | undefined

  constructor(root: HTMLElement, list: MeasurementList, undo: UndoStack, listener: DetailsListener) {
    this.#list = list
    this.#undo = undo
    this.#details = new MeasurementDetails(listener)
    this.#summary = element(root, '.summary', HTMLElement)
    this.#entries = element(root, '.entries', HTMLElement)
    this.#hint = element(root, '.hint', HTMLElement)
    this.#undoButton = element(root, '.undo', HTMLButtonElement)
    this.#actions = element(root, '.actions', HTMLElement)
    const copy = element(root, '.copy-all', HTMLButtonElement)
    copy.addEventListener('click', () => void copyText(measurementsCsv(list.items), copy))
    element(root, '.clear-all', HTMLButtonElement).addEventListener('click', () => list.clear())
    this.#undoButton.addEventListener('click', () => undo.undo())
  }

  /** @param planes what is looked at, which regions and profiles are of. */
  show(planes: ShownPlanes | undefined): void {
    const { items, selected } = this.#list
    this.#summary.textContent = items.length === 0 ? 'none' : formatNumber(items.length)
    this.#hint.hidden = items.length > 0
    this.#actions.hidden = items.length === 0
    this.#undoButton.disabled = this.#undo.isEmpty
    for (const [id, row] of this.#rows) {
      if (this.#list.get(id)) continue
      row.root.remove()
      this.#rows.delete(id)
    }
    // From the last one on, so that a row that comes back finds the one that it belongs before.
    let below: Row | undefined
    for (const item of [...items].reverse()) {
      const row = this.#rows.get(item.id) ?? this.#addRow(item, below)
      fill(row, item, item.id === selected?.id)
      below = row
    }
    this.#open(selected, planes)
  }

  /** What could not be read before may be there now. */
  readAgain(): void {
    if (this.#openId !== undefined) this.#details.readAgain()
  }

  #addRow({ id, kind }: ListedMeasurement, below: Row | undefined): Row {
    const name = make('span', { class: 'entry-name' })
    const number = make('span', { class: 'entry-number' })
    const button = make('button', { type: 'button', class: 'entry' }, icon(ICONS[kind]), name, number)
    const remove = make('button', { type: 'button', class: 'icon-button', 'aria-label': 'Delete' }, icon('close'))
    const row = { root: make('div', { class: 'entry-row' }, button, remove), button, name, number }
    button.addEventListener('click', () => this.#list.select(this.#list.selected?.id === id ? undefined : id))
    remove.addEventListener('click', () => this.#list.remove(id))
    this.#rows.set(id, row)
    this.#entries.insertBefore(row.root, below?.root ?? null)
    return row
  }

  #open(item: ListedMeasurement | undefined, planes: ShownPlanes | undefined): void {
    const row = item && this.#rows.get(item.id)
    if (!item || !row) {
      this.#details.root.remove()
      this.#openId = undefined
      return
    }
    if (this.#details.root.previousElementSibling !== row.root) row.root.after(this.#details.root)
    this.#details.show(item, planes)
    // What was just drawn or clicked is what one wants to read.
    if (item.id !== this.#openId) this.#details.root.scrollIntoView({ block: 'nearest' })
    this.#openId = item.id
  }
}

function fill({ name, number, button }: Row, item: ListedMeasurement, isSelected: boolean): void {
  name.textContent = item.name
  number.textContent = mainNumber(item)
  button.setAttribute('aria-expanded', String(isSelected))
  button.querySelector('use')?.setAttribute('href', `#icon-${ICONS[item.kind]}`)
}
