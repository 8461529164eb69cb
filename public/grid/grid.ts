import { groupsOf } from '../../src/render/channel-groups.js'
import { STRETCHES, type Stretch } from '../../src/render/style.js'
import { COLOUR_MAPS } from '../contrast/colour-names.js'
import { ScaleBar } from '../frame/scale-bar.js'
import { applyTheme, themeColours } from '../frame/theme.js'
import { element } from '../parts/element.js'
import { make } from '../parts/make.js'
import { formatArea, formatCoordinate, formatCount, parseNumber, showLengthsIn } from '../parts/number-format.js'
import type { Slice } from '../picture/look.js'
import { nameOfAxis, nameOfPlane } from '../picture/plane-names.js'
import { areaOf } from '../picture/view-limits.js'
import {
  ApiError,
  type HistogramReply,
  keepToken,
  type PyramidInfo,
  readCurrent,
  readEqualization,
  readPyramid,
  reasonOf,
} from '../server/pyramid-api.js'
import { TileStore } from '../tiles/tile-store.js'
import { type CellLevels, type CellStyle, type GridStyle, styleOf, styleOfPhoto } from './cell-style.js'
import { GridView } from './grid-view.js'
import type { MapCell } from './map-cell.js'

// All channels of a pyramid side by side: `grid.html?pyramid=ID&colours=viridis&stretch=equalize`.

keepToken()
applyTheme()

const scaleBar = new ScaleBar(element(document, '#scale-bar', HTMLElement))
const position = element(document, 'footer .position', HTMLElement)
const message = element(document, '#message', HTMLElement)
const choices = element(document, 'form.choices', HTMLFormElement)
const levelsForm = element(document, '#levels', HTMLFormElement)

async function open(address: URLSearchParams): Promise<void> {
  const id = address.get('pyramid') ?? document.documentElement.dataset.pyramid ?? (await readCurrent()).current?.id
  if (!id) throw new ApiError(404, 'No pyramid is shown yet.')
  const pyramid = await readPyramid(id)
  showLengthsIn(pyramid.isUncalibrated ? 'px' : 'µm')
  const store = new TileStore(pyramid, error => {
    message.textContent = error.message
    message.hidden = false
  })
  const grid = new Grid(store, readStyle(address))
  showTitle(pyramid)
  await grid.start()
}

function showTitle(pyramid: PyramidInfo): void {
  const { x0, y0, x1, y1 } = areaOf(pyramid)
  document.title = `${pyramid.name} · maps`
  element(document, 'h1', HTMLElement).textContent = pyramid.name
  const facts = [formatCount(groupsOf(pyramid.channels).length, 'map'), formatArea(x1 - x0, y1 - y0)]
  element(document, '.facts', HTMLElement).textContent = facts.join(' · ')
  const link = element(document, '.viewer-link', HTMLAnchorElement)
  link.href = document.documentElement.dataset.viewer ?? `./?pyramid=${encodeURIComponent(pyramid.id)}`
}

function readStyle(address: URLSearchParams): GridStyle {
  // An exported page may have been told how to begin.
  const wanted = (name: string): string | undefined => address.get(name) ?? document.documentElement.dataset[name]
  const colours = COLOUR_MAPS.find(([name]) => name === wanted('colours'))?.[0] ?? 'viridis'
  const stretch = STRETCHES.find(name => name === wanted('stretch')) ?? 'linear'
  return { colours, stretch }
}

/** The page: what is chosen, and the maps that follow it. */
class Grid {
  readonly #store: TileStore
  readonly #view: GridView
  readonly #levels = new Map<number, CellLevels>()
  readonly #equalizations = new Map<number, HistogramReply>()
  #style: GridStyle
  #slice: Slice = { zPlane: 0, timePoint: 0 }
  #edited: MapCell | undefined
  #isStarted = false

  constructor(store: TileStore, style: GridStyle) {
    this.#store = store
    this.#style = style
    const { pyramid } = store
    this.#view = new GridView(element(document, '#grid', HTMLElement), store, this.#slice, {
      moved: umPerPx => scaleBar.show(umPerPx, pyramid.pixelSizeUm, window.innerWidth / 3),
      pointed: stage => {
        const { umPerPx } = this.#view.view
        const coordinates = stage && [stage.x, stage.y].map(um => formatCoordinate(um, umPerPx))
        position.textContent = coordinates?.join(', ') ?? '–'
      },
      styleAsked: cell => this.#editLevels(cell),
      drawn: () => this.#tellReadiness(),
    })
    this.#listen()
  }

  async start(): Promise<void> {
    await this.#prepare()
    await this.#restyle()
    Object.assign(window, { tilestageGrid: this.#view })
    this.#isStarted = true
    this.#tellReadiness()
  }

  /** For whoever waits for a picture that is whole, such as a test or a printer. */
  #tellReadiness(): void {
    document.documentElement.dataset.ready = this.#isStarted && this.#view.isDrawn ? '1' : '0'
  }

  async #prepare(): Promise<void> {
    await Promise.all(this.#view.cells.flatMap(({ planes }) => planes).map(plane => this.#store.prepare(plane)))
  }

  async #restyle(): Promise<void> {
    const { pyramid } = this.#store
    if (this.#style.stretch === 'equalize') await this.#readEqualizations()
    const photo = new Set(this.#view.cells.flatMap(({ channels }) => (channels.length > 1 ? channels : [])))
    const styles = pyramid.channels.map((channel, i): CellStyle => {
      if (photo.has(i)) return styleOfPhoto(channel)
      return styleOf(channel, this.#style, this.#levels.get(i), this.#equalizations.get(i))
    })
    this.#view.show(styles, themeColours())
    this.#showLevels()
  }

  async #readEqualizations(): Promise<void> {
    const { id } = this.#store.pyramid
    const maps = this.#view.cells.flatMap(({ channels }) => (channels.length === 1 ? channels : []))
    const missing = maps.filter(channel => !this.#equalizations.has(channel))
    await Promise.all(
      missing.map(async channel => this.#equalizations.set(channel, await readEqualization(id, channel))),
    )
  }

  #listen(): void {
    const select = (name: string): HTMLSelectElement => element(choices, `[name=${name}]`, HTMLSelectElement)
    const [colours, stretch] = [select('colours'), select('stretch')]
    colours.append(...COLOUR_MAPS.map(([value, text]) => make('option', { value, text })))
    colours.value = this.#style.colours
    stretch.value = this.#style.stretch
    const choose = (): void => {
      this.#style = { colours: colours.value as GridStyle['colours'], stretch: stretch.value as Stretch }
      const address = new URL(location.href)
      address.searchParams.set('colours', colours.value)
      address.searchParams.set('stretch', stretch.value)
      history.replaceState(history.state, '', address)
      void this.#restyle()
    }
    colours.addEventListener('change', choose)
    stretch.addEventListener('change', choose)
    for (const axis of ['zPlane', 'timePoint'] as const) this.#offerPlanes(axis, select(axis))
    element(choices, '[name=fit]', HTMLButtonElement).addEventListener('click', () => this.#view.fit())
    document.addEventListener('keydown', event => this.#onKey(event))
    levelsForm.addEventListener('change', () => this.#readLevels())
    levelsForm.addEventListener('submit', event => event.preventDefault())
    element(levelsForm, '[name=auto]', HTMLButtonElement).addEventListener('click', () => {
      if (this.#edited) this.#levels.delete(this.#edited.channels[0] ?? 0)
      void this.#restyle()
    })
  }

  #offerPlanes(axis: keyof Slice, select: HTMLSelectElement): void {
    const { pyramid } = this.#store
    const count = axis === 'zPlane' ? pyramid.zPlanes : pyramid.timePoints
    const label = element(choices, `[data-axis=${axis}]`, HTMLElement)
    label.hidden = count < 2
    if (count < 2) return
    element(label, 'span', HTMLElement).textContent = nameOfAxis(pyramid, axis)
    const options = Array.from({ length: count }, (_, i) =>
      make('option', { value: `${i}`, text: nameOfPlane(pyramid, axis, i) }),
    )
    select.append(...options)
    select.addEventListener('change', () => void this.#chooseSlice({ ...this.#slice, [axis]: Number(select.value) }))
  }

  async #chooseSlice(slice: Slice): Promise<void> {
    this.#slice = slice
    const { channels } = this.#store.pyramid
    await Promise.all(channels.map((_, channel) => this.#store.prepare({ ...slice, channel })))
    this.#view.setSlice(slice)
  }

  #onKey(event: KeyboardEvent): void {
    const run = {
      ArrowLeft: () => this.#view.panBy(-0.1, 0),
      ArrowRight: () => this.#view.panBy(0.1, 0),
      ArrowUp: () => this.#view.panBy(0, -0.1),
      ArrowDown: () => this.#view.panBy(0, 0.1),
      '+': () => this.#view.zoomBy(Math.SQRT2),
      '=': () => this.#view.zoomBy(Math.SQRT2),
      '-': () => this.#view.zoomBy(Math.SQRT1_2),
      '0': () => this.#view.fit(),
    }[event.key]
    const isField = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement
    if (!run || isField || event.ctrlKey || event.metaKey || event.altKey) return
    event.preventDefault()
    run()
  }

  #editLevels(cell: MapCell): void {
    this.#edited = cell
    element(levelsForm, 'h2', HTMLElement).textContent = cell.title
    this.#showLevels()
    const { left, bottom } = cell.styleButton.getBoundingClientRect()
    levelsForm.style.left = `${Math.min(left, window.innerWidth - 220)}px`
    levelsForm.style.top = `${Math.min(bottom + 4, window.innerHeight - 170)}px`
    levelsForm.showPopover()
  }

  #showLevels(): void {
    const style = this.#edited?.styles[0]
    if (!style) return
    for (const name of ['black', 'white'] as const)
      element(levelsForm, `[name=${name}]`, HTMLInputElement).value = `${Number(style[name].toPrecision(6))}`
  }

  #readLevels(): void {
    const cell = this.#edited
    const read = (name: string): number | undefined =>
      parseNumber(element(levelsForm, `[name=${name}]`, HTMLInputElement).value)
    const [black, white] = [read('black'), read('white')]
    if (cell && black !== undefined && white !== undefined && white > black)
      this.#levels.set(cell.channels[0] ?? 0, { black, white })
    void this.#restyle()
  }
}

try {
  await open(new URLSearchParams(location.search))
} catch (error) {
  message.textContent = reasonOf(error)
  message.hidden = false
}
