import { element } from '../parts/element.js'
import { formatArea, formatCount } from '../parts/number-format.js'
import type { Look, Slice } from '../picture/look.js'
import { coveredRect } from '../picture/stage-geometry.js'
import type { PyramidInfo, Well } from '../server/pyramid-api.js'
import { paintRegion, type RegionPicture, readRegion } from '../tiles/region-picture.js'
import type { TileStore } from '../tiles/tile-store.js'
import { rowName, type WellGrid, wellGrid } from './well-grid.js'
import { wellMean } from './well-mean.js'

const MAX_CELL_PX = 92
/** Smaller cells have room for the mean intensity of their well, and still smaller ones only say that it is there. */
const PICTURE_CELL_PX = 24
const NAMED_CELL_PX = 16
const MEAN_CELL_PX = 12
const MIN_CELL_PX = 4
const ROW_HEAD_PX = 18
/** Width of the panel as long as it was never open. */
const CLOSED_PANEL_PX = 288
/** Between cells: narrower, the more columns there are. */
const GAPS_PX = [
  { columns: 25, gap: 1 },
  { columns: 9, gap: 2 },
  { columns: 0, gap: 4 },
]
/** Mean intensities are read from a picture of the plate that is about so large. */
const PLATE_PX = 512
const THUMBNAILS_AT_ONCE = 4
const PAINT_MS_PER_FRAME = 3

/** What there is to see in a cell. */
type Detail = 'picture' | 'mean' | 'coverage'

interface WellCell {
  readonly canvas: HTMLCanvasElement
  picture?: RegionPicture
}

/** Where the small pictures come from. */
interface PlateSource {
  readonly store: TileStore
  readonly slice: Slice
  readonly look: () => Look
}

/** The wells as a compact plate, each in the current colours; wells without a place on a plate as a list. */
export class PlatePanel {
  readonly #root: HTMLElement
  readonly #grid: HTMLElement
  readonly #summary: HTMLElement
  readonly #name: HTMLElement
  readonly #facts: HTMLElement
  readonly #onChoose: (well: Well) => void
  #cells = new Map<Well, WellCell>()
  #pyramid: PyramidInfo | undefined
  #buttons = new Map<Well, HTMLButtonElement>()
  #current: Well | undefined
  /** The well that Tab leads to. */
  #tabStop: HTMLButtonElement | undefined
  #source: PlateSource | undefined
  #look: Look | undefined
  #unpainted = new Set<WellCell>()
  #painting: Promise<void> | undefined
  /** Of the grid; undefined where the wells are a list. */
  #columns: number | undefined
  #cellPx = MAX_CELL_PX

  /** @param onChoose a well was clicked, or stepped to. */
  constructor(root: HTMLElement, onChoose: (well: Well) => void) {
    this.#root = root
    this.#onChoose = onChoose
    this.#grid = element(root, '.wells', HTMLElement)
    this.#grid.ariaLabel = 'Wells'
    this.#summary = element(root, '.summary', HTMLElement)
    this.#name = element(root, '.well-name', HTMLElement)
    this.#facts = element(root, '.well-facts', HTMLElement)
    element(root, '.previous', HTMLButtonElement).addEventListener('click', () => this.step(-1))
    element(root, '.next', HTMLButtonElement).addEventListener('click', () => this.step(1))
    this.#grid.addEventListener('keydown', event => this.#onKey(event))
    // A sheet of a phone has no width before it opens.
    new ResizeObserver(() => this.#fitCells()).observe(root)
  }

  /** Lay out the wells of a pyramid; the panel hides where there are none, or but one without a place on a plate. */
  show(pyramid: PyramidInfo): void {
    const earlier = new Map(
      pyramid.id === this.#pyramid?.id ? [...this.#cells].map(([well, cell]) => [areaName(well), cell]) : [],
    )
    const focused = [...this.#buttons].find(([, button]) => button === document.activeElement)?.[0]
    this.#pyramid = pyramid
    this.#source = undefined
    this.#cells = new Map(pyramid.wells.map(well => [well, earlier.get(areaName(well)) ?? emptyCell()]))
    this.#buttons = new Map([...this.#cells].map(([well, cell]) => [well, this.#wellButton(well, cell)]))
    const { used = 0, skipped = 0 } = pyramid.frames ?? {}
    const skippedText = skipped > 0 ? `, ${skipped} skipped` : ''
    const framesText = pyramid.frames ? ` · ${formatCount(used, 'frame')}${skippedText}` : ''
    this.#summary.textContent = formatCount(pyramid.wells.length, 'well') + framesText
    this.#columns = undefined
    const grid = wellGrid(pyramid.wells)
    this.#root.hidden = !grid && pyramid.wells.length < 2
    if (grid) this.#layOutGrid(grid)
    else this.#layOutList(pyramid.wells)
    this.setCurrent(undefined)
    for (const [well, button] of this.#buttons) if (well.name === focused?.name) button.focus()
  }

  /** Read as much as the cells have room to show. @returns once all is there or has failed. */
  load(store: TileStore, slice: Slice, look: () => Look): Promise<void> {
    this.#look = look()
    this.#source = { store, slice, look }
    return this.#read(this.#source)
  }

  async #read(source: PlateSource): Promise<void> {
    if (this.#detail === 'picture') await this.#readPictures(source)
    if (this.#detail === 'mean') await this.#readMeans(source)
  }

  async #readPictures({ store, slice, look }: PlateSource): Promise<void> {
    const queue = [...this.#cells]
    const targetPx = this.#cellPx * devicePixelRatio
    const work = async (): Promise<void> => {
      for (let next = queue.shift(); next && this.#cells.has(next[0]); next = queue.shift()) {
        const [well, cell] = next
        try {
          cell.picture = await readRegion(store, slice, channelsOf(look()), well, targetPx)
          paintRegion(cell.canvas, cell.picture, look(), store.pyramid.wells)
        } catch {
          // A tile that cannot be read is reported by the store; its well stays empty here.
        }
      }
    }
    await Promise.all(Array.from({ length: THUMBNAILS_AT_ONCE }, work))
  }

  async #readMeans(source: PlateSource): Promise<void> {
    const { store, slice, look } = source
    try {
      const plate = await readRegion(store, slice, channelsOf(look()), coveredRect(store.pyramid), PLATE_PX)
      if (source !== this.#source) return
      for (const [well, cell] of this.#cells) cell.picture = wellMean(plate, well)
    } catch {
      // As above.
    }
    await this.setLook(look())
  }

  /**
   * Paint the small pictures anew, as many in a frame as do not hold up the picture; those of other channels have to be
   * loaded.
   *
   * @returns once all are painted.
   */
  setLook(look: Look): Promise<void> {
    this.#look = look
    for (const cell of this.#cells.values()) if (cell.picture) this.#unpainted.add(cell)
    this.#showFacts()
    this.#painting ??= this.#paint()
    return this.#painting
  }

  async #paint(): Promise<void> {
    while (this.#unpainted.size > 0) {
      await new Promise(requestAnimationFrame)
      const endsAt = performance.now() + PAINT_MS_PER_FRAME
      // Those that were added first come first: while the look goes on changing, every cell has its turn.
      for (const cell of this.#unpainted) {
        this.#unpainted.delete(cell)
        if (cell.picture && this.#look) paintRegion(cell.canvas, cell.picture, this.#look, this.#pyramid?.wells ?? [])
        if (performance.now() > endsAt) break
      }
    }
    this.#painting = undefined
  }

  /** Mark the well that is looked at. */
  setCurrent(well: Well | undefined): void {
    // A plate has a thousand wells: only those are touched that change.
    for (const other of [this.#current, well]) {
      const button = other && this.#buttons.get(other)
      if (button) button.ariaCurrent = other === well ? 'true' : null
    }
    this.#current = well
    const stop = well ?? this.#pyramid?.wells[0]
    if (this.#tabStop) this.#tabStop.tabIndex = -1
    this.#tabStop = stop && this.#buttons.get(stop)
    if (this.#tabStop) this.#tabStop.tabIndex = 0
    this.#name.textContent = well?.name ?? '–'
    this.#name.title = well?.name ?? ''
    this.#showFacts()
  }

  #showFacts(): void {
    const well = this.#current
    const pyramid = this.#pyramid
    if (!well || !pyramid) {
      this.#facts.textContent = 'Whole plate'
      return
    }
    const index = pyramid.wells.indexOf(well)
    const isOwn = this.#look?.channels.some(({ ofWells }) => ofWells?.has(index))
    this.#facts.textContent = isOwn ? `own contrast · ${formatCount(well.frames, 'frame')}` : wellFacts(well, pyramid)
  }

  get isShown(): boolean {
    return !this.#root.hidden
  }

  get current(): Well | undefined {
    return this.#current
  }

  /** Go to the next (+1) or previous (−1) well, around the ends. */
  step(direction: number): void {
    const wells = this.#pyramid?.wells ?? []
    const index = this.#current ? wells.indexOf(this.#current) : direction > 0 ? -1 : 0
    const next = wells[(index + direction + wells.length) % wells.length]
    if (next) this.#onChoose(next)
  }

  #layOutGrid(grid: WellGrid): void {
    this.#columns = grid.endColumn - grid.firstColumn
    this.#grid.className = 'wells'
    this.#grid.setAttribute('role', 'grid')
    this.#fitCells()
    const head = gridRow()
    head.append(document.createElement('span'))
    for (let column = grid.firstColumn; column < grid.endColumn; column++) {
      head.append(headCell('columnheader', `${column + 1}`))
    }
    const placed = new Map(grid.wells.map(({ row, column, well }) => [`${row},${column}`, this.#buttons.get(well)]))
    const rows = [head]
    for (let row = grid.firstRow; row < grid.endRow; row++) {
      const line = gridRow()
      line.append(headCell('rowheader', rowName(row)))
      for (let column = grid.firstColumn; column < grid.endColumn; column++) {
        line.append(gridCell(placed.get(`${row},${column}`), `${rowName(row)}${column + 1}`))
      }
      rows.push(line)
    }
    this.#grid.replaceChildren(...rows)
  }

  /** Make the cells as large as the panel is wide, and show as much in them as fits. */
  #fitCells(): void {
    const columns = this.#columns
    if (columns === undefined) return
    const style = getComputedStyle(this.#root)
    const padding = Number.parseFloat(style.paddingLeft) + Number.parseFloat(style.paddingRight)
    const width = (this.#root.clientWidth || CLOSED_PANEL_PX) - padding
    const gap = GAPS_PX.find(each => columns >= each.columns)?.gap ?? 0
    const room = Math.floor((width - ROW_HEAD_PX - gap * columns) / columns)
    const detail = this.#detail
    this.#cellPx = Math.min(MAX_CELL_PX, Math.max(MIN_CELL_PX, room))
    this.#grid.style.setProperty('--cell', `${this.#cellPx}px`)
    this.#grid.style.gap = `${gap}px`
    this.#grid.style.gridTemplateColumns = `${ROW_HEAD_PX}px repeat(${columns}, ${this.#cellPx}px)`
    // Names of columns and rows that are too narrow for them would run into each other: every fourth is shown then.
    this.#grid.classList.toggle('narrow', this.#cellPx < NAMED_CELL_PX)
    this.#grid.classList.toggle('coverage', this.#detail === 'coverage')
    if (this.#source && this.#detail !== detail) void this.#read(this.#source)
  }

  get #detail(): Detail {
    if (this.#cellPx < MEAN_CELL_PX) return 'coverage'
    return this.#cellPx < PICTURE_CELL_PX ? 'mean' : 'picture'
  }

  #layOutList(wells: readonly Well[]): void {
    this.#cellPx = MAX_CELL_PX
    this.#grid.className = 'wells list'
    this.#grid.setAttribute('role', 'group')
    this.#grid.style.cssText = ''
    for (const well of wells) this.#buttons.get(well)?.append(well.name)
    this.#grid.replaceChildren(...this.#buttons.values())
  }

  #wellButton(well: Well, { canvas }: WellCell): HTMLButtonElement {
    const button = document.createElement('button')
    button.className = 'well'
    button.tabIndex = -1
    const name = `${well.name}, ${formatCount(well.frames, 'frame')}`
    button.setAttribute('aria-label', name)
    button.title = name
    button.append(canvas)
    button.addEventListener('click', () => this.#onChoose(well))
    return button
  }

  /** Arrow keys move the focus to the nearest well in their direction. */
  #onKey(event: KeyboardEvent): void {
    const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key]
    const from = document.activeElement
    if (!direction || !(from instanceof HTMLElement)) return
    event.preventDefault()
    event.stopPropagation()
    const centre = (box: DOMRect): [number, number] => [box.x + box.width / 2, box.y + box.height / 2]
    const [x, y] = centre(from.getBoundingClientRect())
    let nearest: { button: HTMLElement; distance: number } | undefined
    for (const button of this.#buttons.values()) {
      const [otherX, otherY] = centre(button.getBoundingClientRect())
      const along = (otherX - x) * (direction[0] as number) + (otherY - y) * (direction[1] as number)
      const across =
        Math.abs((otherX - x) * (direction[1] as number)) + Math.abs((otherY - y) * (direction[0] as number))
      if (along < 1 || across > along) continue
      const distance = along + 2 * across
      if (!nearest || distance < nearest.distance) nearest = { button, distance }
    }
    nearest?.button.focus()
  }
}

/** The same for the same well before frames were added elsewhere. */
function areaName({ name, x0, y0, x1, y1 }: Well): string {
  return [x0, y0, x1, y1, name].join()
}

function channelsOf({ channels }: Look): number[] {
  return channels.map(({ channel }) => channel)
}

function emptyCell(): WellCell {
  const canvas = document.createElement('canvas')
  canvas.width = 1
  canvas.height = 1
  return { canvas }
}

function wellFacts(well: Well, { pixelSizeUm }: PyramidInfo): string {
  const area = formatArea((well.x1 - well.x0) * pixelSizeUm.x, (well.y1 - well.y0) * pixelSizeUm.y)
  return `${formatCount(well.frames, 'frame')} · ${area}`
}

function gridRow(): HTMLElement {
  const row = document.createElement('div')
  row.className = 'row'
  row.setAttribute('role', 'row')
  return row
}

function headCell(role: string, text: string): HTMLElement {
  const cell = document.createElement('span')
  cell.setAttribute('role', role)
  cell.textContent = text
  return cell
}

function gridCell(button: HTMLElement | undefined, name: string): HTMLElement {
  const cell = document.createElement('div')
  cell.setAttribute('role', 'gridcell')
  if (button) {
    cell.append(button)
  } else {
    cell.className = 'no-well'
    cell.setAttribute('aria-label', `${name}, no frames`)
  }
  return cell
}
