import { element } from '../parts/element.js'
import { formatArea, formatCount } from '../parts/number-format.js'
import type { Look, Slice } from '../picture/look.js'
import type { PyramidInfo, Well } from '../server/pyramid-api.js'
import { paintRegion, type RegionPicture, readRegion } from '../tiles/region-picture.js'
import type { TileStore } from '../tiles/tile-store.js'
import { rowName, type WellGrid, wellGrid } from './well-grid.js'

const MAX_CELL_PX = 92
const MIN_CELL_PX = 4
const NAMED_CELL_PX = 16
const ROW_HEAD_PX = 18
const THUMBNAILS_AT_ONCE = 4

interface WellCell {
  readonly canvas: HTMLCanvasElement
  picture?: RegionPicture
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
  /** Of the grid; undefined where the wells are a list. */
  #columns: number | undefined

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

  /** Lay out the wells of a pyramid; the panel hides where there are none. */
  show(pyramid: PyramidInfo): void {
    const earlier = pyramid.id === this.#pyramid?.id ? this.#cells : new Map<Well, WellCell>()
    const focused = [...this.#buttons].find(([, button]) => button === document.activeElement)?.[0]
    this.#pyramid = pyramid
    this.#cells = new Map(pyramid.wells.map(well => [well, pictureOf(well, earlier) ?? emptyCell()]))
    this.#buttons = new Map([...this.#cells].map(([well, cell]) => [well, this.#wellButton(well, cell)]))
    this.#root.hidden = pyramid.wells.length === 0
    const { used = 0, skipped = 0 } = pyramid.frames ?? {}
    const skippedText = skipped > 0 ? `, ${skipped} skipped` : ''
    const framesText = pyramid.frames ? ` · ${formatCount(used, 'frame')}${skippedText}` : ''
    this.#summary.textContent = formatCount(pyramid.wells.length, 'well') + framesText
    this.#columns = undefined
    const grid = wellGrid(pyramid.wells)
    if (grid) this.#layOutGrid(grid)
    else this.#layOutList(pyramid.wells)
    this.setCurrent(undefined)
    for (const [well, button] of this.#buttons) if (well.name === focused?.name) button.focus()
  }

  /** Read the small pictures, a few at a time. @returns once all are there or have failed. */
  async load(store: TileStore, slice: Slice, look: () => Look): Promise<void> {
    const queue = [...this.#cells]
    const work = async (): Promise<void> => {
      for (let next = queue.shift(); next && this.#cells.has(next[0]); next = queue.shift()) {
        const [well, cell] = next
        const target = cell.canvas.clientWidth * devicePixelRatio || MAX_CELL_PX
        try {
          const channels = look().channels.map(({ channel }) => channel)
          cell.picture = await readRegion(store, slice, channels, well, target)
          paintRegion(cell.canvas, cell.picture, look(), store.pyramid.wells)
        } catch {
          // A tile that cannot be read is reported by the store; its well stays empty here.
        }
      }
    }
    await Promise.all(Array.from({ length: THUMBNAILS_AT_ONCE }, work))
  }

  /** Paint the small pictures anew; those of other channels have to be loaded. */
  setLook(look: Look): void {
    const wells = this.#pyramid?.wells ?? []
    for (const { canvas, picture } of this.#cells.values()) if (picture) paintRegion(canvas, picture, look, wells)
  }

  /** Mark the well that is looked at. */
  setCurrent(well: Well | undefined): void {
    this.#current = well
    for (const [other, button] of this.#buttons) {
      button.ariaCurrent = other === well ? 'true' : null
      button.tabIndex = other === (well ?? this.#pyramid?.wells[0]) ? 0 : -1
    }
    this.#name.textContent = well?.name ?? '–'
    this.#name.title = well?.name ?? ''
    this.#facts.textContent = well && this.#pyramid ? wellFacts(well, this.#pyramid) : 'Whole plate'
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
    const rows = [head]
    for (let row = grid.firstRow; row < grid.endRow; row++) {
      const line = gridRow()
      line.append(headCell('rowheader', rowName(row)))
      for (let column = grid.firstColumn; column < grid.endColumn; column++) {
        const placed = grid.wells.find(well => well.row === row && well.column === column)
        const content = placed ? this.#buttons.get(placed.well) : undefined
        line.append(gridCell(content, `${rowName(row)}${column + 1}`))
      }
      rows.push(line)
    }
    this.#grid.replaceChildren(...rows)
  }

  /** Make the cells as large as the panel is wide. */
  #fitCells(): void {
    const columns = this.#columns
    const style = getComputedStyle(this.#root)
    const width = this.#root.clientWidth - Number.parseFloat(style.paddingLeft) - Number.parseFloat(style.paddingRight)
    if (columns === undefined || !(width > 0)) return
    const gap = columns > 8 ? 2 : 4
    const room = Math.floor((width - ROW_HEAD_PX - gap * columns) / columns)
    const cellPx = Math.min(MAX_CELL_PX, Math.max(MIN_CELL_PX, room))
    this.#grid.style.setProperty('--cell', `${cellPx}px`)
    this.#grid.style.gap = `${gap}px`
    this.#grid.style.gridTemplateColumns = `${ROW_HEAD_PX}px repeat(${columns}, ${cellPx}px)`
    // Names of columns that are too narrow for them would run into each other: every fourth is shown then.
    this.#grid.classList.toggle('narrow', cellPx < NAMED_CELL_PX)
  }

  #layOutList(wells: readonly Well[]): void {
    this.#grid.className = 'wells list'
    this.#grid.setAttribute('role', 'group')
    this.#grid.style.cssText = ''
    for (const well of wells) this.#buttons.get(well)?.append(well.name)
    this.#grid.replaceChildren(...this.#buttons.values())
  }

  #wellButton(well: Well, { canvas }: WellCell): HTMLButtonElement {
    const button = document.createElement('button')
    button.className = 'well'
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

/** The picture of the same well before frames were added elsewhere. */
function pictureOf({ name, x0, y0, x1, y1 }: Well, cells: ReadonlyMap<Well, WellCell>): WellCell | undefined {
  const isSame = (well: Well): boolean =>
    well.name === name && well.x0 === x0 && well.y0 === y0 && well.x1 === x1 && well.y1 === y1
  return [...cells].find(([well]) => isSame(well))?.[1]
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
