import type { Rect } from '../../src/plane.js'
import { element } from '../parts/element.js'
import { make } from '../parts/make.js'
import { formatNumber } from '../parts/number-format.js'
import { OverlayCanvas } from '../parts/overlay-canvas.js'
import type { ViewFrame } from '../picture/view-frame.js'
import { type ItemRow, type ItemValue, readItem, readItems, readMatching } from '../server/items-api.js'
import { ApiError, type ItemsInfo, type PointUm, type PyramidInfo } from '../server/pyramid-api.js'
import { drawItem, drawVeil, veilOf } from './draw-items.js'
import { aroundItem, itemAt } from './item-grid.js'

/** How long the pointer rests on an image before its row is asked for. */
const ASK_AFTER_MS = 60
/** Rows that are remembered. */
const KEPT_ROWS = 5000
/** Fields that are named beside the number of an image: those that sort images into groups. */
const MOST_LABELS = 3

export interface ItemsListener {
  goTo(rect: Rect): void
  /** The row of the image under the pointer is there, so the read-out can name it. */
  rowFound(): void
  /** What is wrong with a request. */
  failed(message: string): void
}

/** The images of a stack: which of them have a value, and what is known of the one that is chosen. */
export class ItemsPanel {
  readonly #root: HTMLElement
  readonly #listener: ItemsListener
  readonly #summary: HTMLElement
  readonly #field: HTMLSelectElement
  readonly #value: HTMLSelectElement
  readonly #text: HTMLInputElement
  readonly #filter: HTMLElement
  readonly #name: HTMLElement
  readonly #facts: HTMLElement
  readonly #rows = new Map<number, ItemRow>()
  readonly #overlay: OverlayCanvas
  #pyramid: PyramidInfo | undefined
  #items: ItemsInfo | undefined
  #frame: ViewFrame | undefined
  #fields: Awaited<ReturnType<typeof readItems>>['fields'] = []
  #matching: readonly number[] | undefined
  #veil: HTMLCanvasElement | undefined
  #chosen: number | undefined
  #askTimer: number | undefined

  constructor(root: HTMLElement, canvas: HTMLCanvasElement, listener: ItemsListener) {
    this.#root = root
    this.#listener = listener
    this.#summary = element(root, '.summary', HTMLElement)
    this.#filter = element(root, '.filter', HTMLElement)
    this.#field = element(root, 'select[name=item-field]', HTMLSelectElement)
    this.#value = element(root, 'select[name=item-value]', HTMLSelectElement)
    this.#text = element(root, 'input[name=item-text]', HTMLInputElement)
    this.#name = element(root, '.item-name', HTMLElement)
    this.#facts = element(root, '.item-facts', HTMLElement)
    this.#overlay = new OverlayCanvas(canvas, context => this.#draw(context))
    this.#field.addEventListener('change', () => {
      this.#offerValues()
      void this.#match()
    })
    this.#value.addEventListener('change', () => void this.#match())
    this.#text.addEventListener('change', () => void this.#match())
    element(root, '.previous', HTMLButtonElement).addEventListener('click', () => this.step(-1))
    element(root, '.next', HTMLButtonElement).addEventListener('click', () => this.step(1))
  }

  get isShown(): boolean {
    return !this.#root.hidden
  }

  /** Another pyramid, or another version of it; undefined where there is none. */
  async open(pyramid: PyramidInfo | undefined): Promise<void> {
    const before = this.#pyramid
    const items = pyramid?.items ?? undefined
    this.#pyramid = pyramid
    this.#items = items
    this.#root.hidden = !items
    if (pyramid && before?.id === pyramid.id && before.version === pyramid.version) return
    this.#rows.clear()
    this.#fields = []
    this.#chosen = undefined
    this.#showMatching(undefined)
    this.#filter.hidden = true
    if (!pyramid || !items || items.fields.length === 0) return
    try {
      const { fields } = await readItems(pyramid)
      if (this.#pyramid !== pyramid) return
      this.#fields = fields
      this.#field.replaceChildren(...fields.map(({ name }) => make('option', { value: name, text: name })))
      const first = fields.find(({ values }) => values && values.length > 1 && 2 * values.length <= items.count)
      if (first) this.#field.value = first.name
      this.#offerValues()
      this.#filter.hidden = false
      this.#listener.rowFound()
    } catch (error) {
      this.#fail(error)
    }
  }

  /** The view moved. */
  draw(frame: ViewFrame): void {
    this.#frame = frame
    this.#overlay.draw()
  }

  /** Go to an image. */
  choose(n: number): void {
    const items = this.#items
    if (!items) return
    this.#chosen = n
    this.#showChosen()
    this.#listener.goTo(aroundItem(items, n))
    this.#overlay.update()
  }

  /** Go to the next (+1) or previous (−1) of the images that match, around the ends. */
  step(direction: number): void {
    const count = this.#items?.count ?? 0
    const matching = this.#matching
    const total = matching ? matching.length : count
    if (total === 0) return
    const from = this.#chosen ?? (direction > 0 ? -1 : count)
    if (!matching) {
      this.choose((from + direction + count) % count)
      return
    }
    const next = direction > 0 ? matching.find(n => n > from) : matching.findLast(n => n < from)
    this.choose(next ?? (matching.at(direction > 0 ? 0 : -1) as number))
  }

  /**
   * The image at a place and its labels, as words; undefined where there is none.
   *
   * @param pixel of level 0.
   */
  describe(pixel: PointUm | undefined): string | undefined {
    clearTimeout(this.#askTimer)
    const pyramid = this.#pyramid
    const n = this.#items && itemAt(this.#items, pixel)
    if (n === undefined || !pyramid) return undefined
    const row = this.#rows.get(n)
    if (!row && this.#items?.fields.length) this.#askTimer = setTimeout(() => void this.#ask(pyramid, n), ASK_AFTER_MS)
    const labels = row ? this.#labels.map(name => row[name]).filter(value => value !== null && value !== undefined) : []
    return [`item ${n}`, ...labels.map(String)].join(' · ')
  }

  /** Everything that is known of the image at a place. */
  async details(pixel: PointUm): Promise<readonly [string, string][]> {
    const pyramid = this.#pyramid
    const n = this.#items && itemAt(this.#items, pixel)
    if (n === undefined || !pyramid) return []
    const row = await this.#row(pyramid, n).catch(() => undefined)
    return [
      ['item', String(n)],
      ...Object.entries(row ?? {}).map(([name, value]): [string, string] => [name, textOf(value)]),
    ]
  }

  /** Names of the fields that tell groups apart, the one that is filtered by first. */
  get #labels(): string[] {
    const count = this.#items?.count ?? 0
    const groups = this.#fields.filter(({ values }) => values && 2 * values.length <= count).map(({ name }) => name)
    return [...new Set([this.#field.value, ...groups])].slice(0, MOST_LABELS)
  }

  #offerValues(): void {
    const values = this.#fields.find(({ name }) => name === this.#field.value)?.values
    this.#value.hidden = !values
    this.#text.hidden = values !== undefined
    this.#text.value = ''
    this.#value.replaceChildren(
      make('option', { value: '', text: 'all' }),
      ...(values ?? []).map(({ value, count }, i) =>
        make('option', { value: String(i), text: `${textOf(value)} · ${formatNumber(count)}` }),
      ),
    )
  }

  /** What is filtered by, as the server writes it; undefined where all are shown. */
  get #wanted(): string | undefined {
    const values = this.#fields.find(({ name }) => name === this.#field.value)?.values
    if (!values) return this.#text.value.trim() || undefined
    return this.#value.value === '' ? undefined : String(values[Number(this.#value.value)]?.value)
  }

  async #match(): Promise<void> {
    const pyramid = this.#pyramid
    const wanted = this.#wanted
    if (!pyramid) return
    if (wanted === undefined) {
      this.#showMatching(undefined)
      return
    }
    try {
      const matching = await readMatching(pyramid, this.#field.value, wanted)
      if (pyramid !== this.#pyramid || wanted !== this.#wanted) return
      this.#showMatching(matching)
    } catch (error) {
      this.#fail(error)
    }
  }

  #showMatching(matching: readonly number[] | undefined): void {
    const items = this.#items
    this.#matching = matching
    this.#veil = items && matching && veilOf(items, matching)
    const count = formatNumber(items?.count ?? 0)
    this.#summary.textContent = matching ? `${formatNumber(matching.length)} of ${count}` : count
    this.#showChosen()
    this.#overlay.update()
  }

  #showChosen(): void {
    const n = this.#chosen
    const pyramid = this.#pyramid
    this.#name.textContent = n === undefined ? '–' : `#${n}`
    this.#facts.replaceChildren()
    if (n === undefined || !pyramid || !this.#items?.fields.length) return
    this.#row(pyramid, n).then(
      row => {
        if (this.#chosen !== n || this.#pyramid !== pyramid) return
        this.#facts.replaceChildren(
          ...Object.entries(row).map(([name, value]) =>
            make('div', {}, make('dt', { text: name }), make('dd', { text: textOf(value) })),
          ),
        )
      },
      error => this.#fail(error),
    )
  }

  async #ask(pyramid: PyramidInfo, n: number): Promise<void> {
    // What is wrong with one row is told where somebody asks for it.
    const row = await this.#row(pyramid, n).catch(() => undefined)
    if (row) this.#listener.rowFound()
  }

  async #row(pyramid: PyramidInfo, n: number): Promise<ItemRow> {
    const known = this.#rows.get(n)
    if (known) return known
    const row = (await readItem(pyramid, n)) ?? {}
    if (pyramid !== this.#pyramid) return row
    const [oldest] = this.#rows.keys()
    if (this.#rows.size >= KEPT_ROWS && oldest !== undefined) this.#rows.delete(oldest)
    this.#rows.set(n, row)
    return row
  }

  #draw(context: CanvasRenderingContext2D): void {
    const pyramid = this.#pyramid
    const items = this.#items
    const frame = this.#frame
    if (!pyramid || !items || !frame) return
    if (this.#veil) drawVeil(context, frame, pyramid, items, this.#veil)
    if (this.#chosen !== undefined) drawItem(context, frame, pyramid, items, this.#chosen)
  }

  #fail(error: unknown): void {
    if (!(error instanceof ApiError || error instanceof TypeError)) throw error
    this.#listener.failed(error.message)
  }
}

function textOf(value: ItemValue): string {
  return value === null ? 'none' : String(value)
}
