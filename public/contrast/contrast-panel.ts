import { COLOUR_MAP_NAMES, type ColourMapName } from '../../src/render/colour-maps.js'
import { element } from '../parts/element.js'
import { formatNumber, formatSample, formatShare, parseNumber } from '../parts/number-format.js'
import { paintColours } from './colour-strip.js'
import type { Contrast } from './contrast.js'
import { HistogramPlot, type PlotData } from './histogram-plot.js'
import { shareBelow } from './sample-histogram.js'

export interface ContrastPanelData extends PlotData {
  readonly channelNames: readonly string[]
  readonly channel: number
  readonly hasWells: boolean
}

export interface ContrastPanelListener {
  /** The panel is drawn once a frame: only what was changed is told, since the rest may have moved on. */
  changed(part: Partial<Contrast>): void
  channelChosen(channel: number): void
  auto(): void
  autoToView(): void
}

/** Histogram, levels, gamma and colours of the channel that is shown. */
export class ContrastPanel {
  readonly #root: HTMLElement
  readonly #plot: HistogramPlot
  readonly #tabs: HTMLElement
  readonly #fields: Readonly<Record<'black' | 'gamma' | 'white', HTMLInputElement>>
  readonly #maps: HTMLSelectElement
  readonly #swatch: HTMLCanvasElement
  readonly #invert: HTMLButtonElement
  readonly #below: HTMLElement
  readonly #above: HTMLElement
  readonly #listener: ContrastPanelListener
  #data: ContrastPanelData | undefined

  constructor(root: HTMLElement, listener: ContrastPanelListener) {
    this.#root = root
    this.#listener = listener
    this.#plot = new HistogramPlot(root, {
      windowChanged: window => this.#listener.changed(window),
      gammaChanged: gamma => this.#listener.changed({ gamma }),
    })
    this.#tabs = element(root, '.channels', HTMLElement)
    this.#fields = {
      black: element(root, 'input[name=black]', HTMLInputElement),
      gamma: element(root, 'input[name=gamma]', HTMLInputElement),
      white: element(root, 'input[name=white]', HTMLInputElement),
    }
    this.#maps = element(root, 'select', HTMLSelectElement)
    this.#swatch = element(root, '.swatch', HTMLCanvasElement)
    this.#invert = element(root, '.invert', HTMLButtonElement)
    this.#below = element(root, '.below', HTMLElement)
    this.#above = element(root, '.above', HTMLElement)
    for (const name of COLOUR_MAP_NAMES) this.#maps.add(new Option(name[0]?.toUpperCase() + name.slice(1), name))
    this.#listen()
  }

  show(data: ContrastPanelData): void {
    this.#data = data
    this.#plot.show(data)
    this.#showFields()
    this.#maps.value = data.contrast.colours
    this.#invert.setAttribute('aria-pressed', String(data.contrast.inverted))
    this.#showClipping(data)
    this.#showTabs(data)
    paintColours(this.#swatch, data.contrast)
    this.#root.dataset.type = data.integer ? 'integer' : 'float'
    element(this.#root, '.all-label', HTMLElement).textContent = data.hasWells ? 'all wells' : 'all'
  }

  /** Fit the axis to a window that was chosen elsewhere. */
  resetAxis(): void {
    this.#plot.resetAxis()
  }

  #listen(): void {
    for (const [name, field] of Object.entries(this.#fields)) {
      field.addEventListener('change', () => {
        const value = parseNumber(field.value)
        if (value !== undefined) this.#commit(name as 'black' | 'gamma' | 'white', value)
        this.#showFields()
      })
      field.addEventListener('keydown', event => {
        if (event.key === 'Enter') field.blur()
        if (event.key !== 'Escape') return
        this.#showFields()
        field.blur()
      })
      field.addEventListener('focus', () => field.select())
    }
    this.#maps.addEventListener('change', () => this.#listener.changed({ colours: this.#maps.value as ColourMapName }))
    this.#invert.addEventListener('click', () => this.#listener.changed({ inverted: !this.#data?.contrast.inverted }))
    element(this.#root, '.auto', HTMLButtonElement).addEventListener('click', () => this.#listener.auto())
    element(this.#root, '.auto-view', HTMLButtonElement).addEventListener('click', () => this.#listener.autoToView())
  }

  #commit(name: 'black' | 'gamma' | 'white', value: number): void {
    const contrast = this.#data?.contrast
    if (!contrast) return
    // The level that was typed wins: the other one gives way.
    if (name === 'black') this.#listener.changed({ black: value, white: Math.max(contrast.white, value) })
    else if (name === 'white')
      this.#listener.changed({ white: value, black: Math.min(contrast.black, value - (this.#data?.integer ? 1 : 0)) })
    else this.#listener.changed({ gamma: value })
    if (name !== 'gamma') this.#plot.resetAxis()
  }

  #showFields(): void {
    if (!this.#data) return
    const { contrast, integer } = this.#data
    const texts = {
      black: formatSample(contrast.black, integer),
      gamma: formatNumber(contrast.gamma, 2),
      white: formatSample(contrast.white, integer),
    }
    for (const [name, field] of Object.entries(this.#fields)) {
      if (document.activeElement !== field) field.value = texts[name as keyof typeof texts]
    }
  }

  #showClipping({ inView, contrast, integer }: ContrastPanelData): void {
    if (!inView) {
      this.#below.textContent = 'Nothing in view'
      this.#above.textContent = ''
      return
    }
    const above = 1 - shareBelow(inView, contrast.white + (integer ? 1 : 0))
    this.#below.textContent = `${formatShare(shareBelow(inView, contrast.black))} below black`
    this.#above.textContent = `${formatShare(above)} above white`
  }

  #showTabs({ channelNames, channel }: ContrastPanelData): void {
    this.#tabs.hidden = channelNames.length < 2
    const buttons = [...this.#tabs.children]
    if (buttons.length !== channelNames.length || buttons.some((button, i) => button.textContent !== channelNames[i])) {
      this.#tabs.replaceChildren(...channelNames.map((name, index) => this.#channelTab(name, index)))
    }
    for (const [index, button] of [...this.#tabs.children].entries()) {
      button.setAttribute('aria-selected', String(index === channel))
      ;(button as HTMLElement).tabIndex = index === channel ? 0 : -1
    }
  }

  #channelTab(name: string, index: number): HTMLElement {
    const button = document.createElement('button')
    button.setAttribute('role', 'tab')
    button.textContent = name
    button.addEventListener('click', () => this.#listener.channelChosen(index))
    button.addEventListener('keydown', event => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key]
      const next = step && this.#tabs.children[index + step]
      if (!(next instanceof HTMLElement)) return
      next.focus()
      next.click()
    })
    return button
  }
}
