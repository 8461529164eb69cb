import type { Colours } from '../../src/render/colour-maps.js'
import { Choice } from '../parts/choice.js'
import { element } from '../parts/element.js'
import { formatNumber, formatShare, parseNumber, sampleUnit } from '../parts/number-format.js'
import type { Levels } from '../picture/look.js'
import { type ChannelTab, ChannelTabs } from './channel-tabs.js'
import { ColoursMenu } from './colours-menu.js'
import { type Contrast, formatLevel } from './contrast.js'
import type { ContrastState } from './contrast-state.js'
import { HistogramPlot, type PlotData } from './histogram-plot.js'
import { shareBelow } from './sample-histogram.js'

export interface ContrastPanelData extends PlotData {
  readonly channels: readonly ChannelTab[]
  readonly selected: number
  /** Whether all channels have one contrast. */
  readonly isShared: boolean
  /** `undefined` where there are not several wells. */
  readonly wells: ContrastState['wells'] | undefined
  /** The well whose own levels are shown. */
  readonly wellName: string | undefined
  readonly canEditLevels: boolean
  readonly smooth: boolean
}

/**
 * The panel is drawn once a frame: only what was changed is told, since the rest may have moved on. `forAll` channels is
 * what Alt asks for.
 */
export interface ContrastPanelListener {
  levelsChanged(part: Partial<Levels>, forAll: boolean): void
  styleChanged(part: Partial<Pick<Contrast, 'stretch' | 'inverted'>>, forAll: boolean): void
  coloursChosen(colours: Colours): void
  channelChosen(channel: number): void
  auto(forAll: boolean): void
  autoToView(forAll: boolean): void
  invert(forAll: boolean): void
  shared(isShared: boolean): void
  wellsChosen(wells: ContrastState['wells']): void
  marks(): void
  smooth(smooth: boolean): void
}

type LevelName = keyof Levels

/** Histogram, levels, gamma and colours of one channel at a time. */
export class ContrastPanel {
  readonly #root: HTMLElement
  readonly #listener: ContrastPanelListener
  readonly #plot: HistogramPlot
  readonly #tabs: ChannelTabs
  readonly #fields: Readonly<Record<LevelName, HTMLInputElement>>
  readonly #colours: ColoursMenu
  readonly #channels: Choice<'own' | 'one'>
  readonly #wells: Choice<ContrastState['wells']>
  #data: ContrastPanelData | undefined
  /** Whether Alt was held when something was last done here. */
  #forAll = false

  constructor(root: HTMLElement, listener: ContrastPanelListener) {
    this.#root = root
    this.#listener = listener
    for (const type of ['pointerdown', 'pointermove', 'keydown', 'click'] as const) {
      root.addEventListener(
        type,
        event => {
          this.#forAll = event.altKey
        },
        { capture: true },
      )
    }
    this.#plot = new HistogramPlot(root, {
      levelsChanged: part => listener.levelsChanged(part, this.#forAll),
    })
    this.#tabs = new ChannelTabs(element(root, '.channels', HTMLElement), channel => listener.channelChosen(channel))
    this.#fields = {
      black: element(root, 'input[name=black]', HTMLInputElement),
      gamma: element(root, 'input[name=gamma]', HTMLInputElement),
      white: element(root, 'input[name=white]', HTMLInputElement),
    }
    this.#colours = new ColoursMenu(root, {
      coloursChosen: colours => listener.coloursChosen(colours),
      stretchChosen: stretch => listener.styleChanged({ stretch }, this.#forAll),
      smoothChosen: smooth => listener.smooth(smooth),
    })
    this.#channels = new Choice(element(root, '.of-channels', HTMLElement), value => listener.shared(value === 'one'))
    this.#wells = new Choice(element(root, '.of-wells', HTMLElement), value => listener.wellsChosen(value))
    this.#listen()
  }

  show(data: ContrastPanelData): void {
    this.#data = data
    this.#plot.show(data)
    this.#tabs.show(data.channels)
    this.#showFields()
    this.#colours.show(data.contrast, data.smooth)
    this.#button('.invert').ariaPressed = String(data.contrast.inverted)
    this.#button('.marks').ariaPressed = String(data.marksClipped)
    this.#showClipping(data)
    this.#showWells(data)
    element(this.#root, '.of-channels', HTMLElement).hidden = data.channels.length < 2
    this.#channels.show(data.isShared ? 'one' : 'own')
    for (const unit of this.#root.querySelectorAll('.unit'))
      unit.textContent = sampleUnit(data.unit, data.integer).trim()
  }

  /** Fit the axis to a window that was chosen elsewhere. */
  resetAxis(): void {
    this.#plot.resetAxis()
  }

  #button(selector: string): HTMLButtonElement {
    return element(this.#root, selector, HTMLButtonElement)
  }

  #listen(): void {
    for (const [name, field] of Object.entries(this.#fields)) {
      field.addEventListener('change', () => {
        const value = parseNumber(field.value)
        if (value !== undefined) this.#commit(name as LevelName, value)
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
    this.#button('.auto').addEventListener('click', () => this.#listener.auto(this.#forAll))
    this.#button('.auto-view').addEventListener('click', () => this.#listener.autoToView(this.#forAll))
    this.#button('.invert').addEventListener('click', () => this.#listener.invert(this.#forAll))
    this.#button('.marks').addEventListener('click', () => this.#listener.marks())
  }

  #commit(name: LevelName, value: number): void {
    const contrast = this.#data?.contrast
    if (!contrast) return
    // The level that was typed wins: the other one gives way.
    if (name === 'black') {
      this.#listener.levelsChanged({ black: value, white: Math.max(contrast.white, value) }, this.#forAll)
    } else if (name === 'white') {
      const black = Math.min(contrast.black, value - (this.#data?.integer ? 1 : 0))
      this.#listener.levelsChanged({ white: value, black }, this.#forAll)
    } else {
      this.#listener.levelsChanged({ gamma: value }, this.#forAll)
    }
    if (name !== 'gamma') this.#plot.resetAxis()
  }

  #showFields(): void {
    if (!this.#data) return
    const { contrast, integer } = this.#data
    const texts = {
      black: formatLevel(contrast.black, contrast, integer),
      gamma: formatNumber(contrast.gamma, 2),
      white: formatLevel(contrast.white, contrast, integer),
    }
    for (const [name, field] of Object.entries(this.#fields)) {
      if (document.activeElement !== field) field.value = texts[name as LevelName]
    }
  }

  #showClipping({ inView, contrast, integer, channels, selected }: ContrastPanelData): void {
    const below = element(this.#root, '.below', HTMLElement)
    const above = element(this.#root, '.above', HTMLElement)
    if (!inView) {
      below.textContent = channels[selected]?.visible ? 'Nothing in view' : 'This channel is hidden'
      above.textContent = ''
      return
    }
    const aboveWhite = 1 - shareBelow(inView, contrast.white + (integer ? 1 : 0))
    below.textContent = `${formatShare(shareBelow(inView, contrast.black))} below black`
    above.textContent = `${formatShare(aboveWhite)} above white`
  }

  #showWells({ wells, wellName, canEditLevels }: ContrastPanelData): void {
    element(this.#root, '.of-wells', HTMLElement).hidden = wells === undefined
    if (wells) this.#wells.show(wells)
    const filling = wellName ?? (wells ? 'all wells' : 'all')
    element(this.#root, '.all-label', HTMLElement).textContent = filling
    element(this.#root, '.choose-well', HTMLElement).hidden = canEditLevels
    for (const selector of ['.plot', '.fields']) element(this.#root, selector, HTMLElement).inert = !canEditLevels
    this.#button('.auto-view').disabled = !canEditLevels
  }
}
