import { element } from '../parts/element.js'
import { make } from '../parts/make.js'
import { formatCoordinate, formatNumber, formatResolution, formatSample, sampleUnit } from '../parts/number-format.js'
import type { SampleAt } from '../tiles/view-samples.js'

export interface Readout {
  readonly xUm: number
  readonly yUm: number
  /** Of the channels that are seen; with several, each has its colour. */
  readonly values: readonly { readonly sample: SampleAt; readonly unit: string | null; readonly colour: string }[]
  /** The frames that they come from, as far as that is known. */
  readonly source: string | undefined
}

/** Where the pointer is, what was stored there, and how large a screen pixel is. The read-outs never change their width. */
export class StatusBar {
  readonly #x: HTMLElement
  readonly #y: HTMLElement
  readonly #sample: HTMLElement
  readonly #from: HTMLElement
  readonly #source: HTMLElement
  readonly #loading: HTMLElement
  readonly #resolution: HTMLElement
  readonly #spoken: HTMLElement

  /** @param onDetails more about what is read out is asked for. */
  constructor(root: HTMLElement, onDetails: () => void) {
    this.#x = element(root, '.x', HTMLElement)
    this.#y = element(root, '.y', HTMLElement)
    this.#sample = element(root, '.sample', HTMLElement)
    this.#from = element(root, '.from', HTMLElement)
    this.#source = element(root, '.source', HTMLElement)
    this.#loading = element(root, '.loading', HTMLElement)
    this.#resolution = element(root, '.resolution', HTMLElement)
    this.#spoken = element(root, '[aria-live]', HTMLElement)
    element(root, '#details-button', HTMLButtonElement).addEventListener('click', onDetails)
    for (const slot of root.querySelectorAll('.value, .from')) slot.addEventListener('click', onDetails)
  }

  /** @param level of the pyramid that is drawn: above 0, a sample is a mean. */
  showReadout(readout: Readout | undefined, umPerPx: number, level: number, integer: boolean): void {
    this.#resolution.textContent = formatResolution(umPerPx)
    if (!readout) {
      this.#x.textContent = '–'
      this.#y.textContent = '–'
      this.#sample.textContent = '–'
      this.#source.textContent = ''
      this.#from.classList.add('unknown')
      return
    }
    this.#x.textContent = formatCoordinate(readout.xUm, umPerPx)
    this.#y.textContent = formatCoordinate(readout.yUm, umPerPx)
    this.#sample.replaceChildren(...samplesText(readout.values, integer))
    const isMean = level > 0 && readout.values.some(({ sample }) => typeof sample === 'object')
    this.#source.textContent = [readout.source, isMean && `mean of ${meanSize(level)}`].filter(Boolean).join(' · ')
    this.#from.classList.toggle('unknown', !readout.source)
  }

  /** @param text `undefined` when nothing is on the way. */
  showLoading(text: string | undefined): void {
    this.#loading.textContent = text ?? ''
  }

  /** Let a screen reader say the read-out; pointer moves do not. */
  speak(): void {
    this.#spoken.textContent = `x ${this.#x.textContent}, y ${this.#y.textContent}, ${this.#sample.textContent}, ${this.#source.textContent}`
  }

  clear(): void {
    for (const slot of [this.#x, this.#y, this.#sample, this.#resolution]) slot.textContent = '–'
    this.#source.textContent = ''
  }
}

/** The counts of each channel; why there are none is said once. */
function samplesText(values: Readout['values'], integer: boolean): Node[] {
  const [first] = values
  const isKnown = values.some(({ sample }) => typeof sample === 'object')
  if (!first) return []
  const unit = sampleUnit(first.unit, integer)
  // One unit for all is said once.
  const isShared = values.every(value => value.unit === first.unit)
  if (!isKnown || values.length === 1) {
    return [document.createTextNode(`${sampleText(first.sample, integer)}${isKnown ? unit : ''}`)]
  }
  const slots = values.map(({ sample, unit: own, colour }) => {
    const isSaid = typeof sample === 'object' || sample === 'unknown'
    const ending = isShared || typeof sample !== 'object' ? '' : sampleUnit(own, integer)
    const text = isSaid ? `${sampleText(sample, integer)}${ending}` : '–'
    return make('span', { class: 'channel-value' }, make('i', { class: 'swatch', style: `background:${colour}` }), text)
  })
  return [...slots, document.createTextNode(isShared ? unit : '')]
}

function sampleText(sample: SampleAt, integer: boolean): string {
  if (sample === 'uncovered') return 'no frame here'
  if (sample === 'not built') return 'nothing here yet'
  if (sample === 'unreadable') return 'not readable'
  if (sample === 'unknown') return '…'
  return formatSample(sample.value, integer)
}

function meanSize(level: number): string {
  const side = formatNumber(2 ** level)
  return `${side} × ${side} px`
}
