import { element } from '../parts/element.js'
import { formatCoordinate, formatNumber, formatResolution, formatSample } from '../parts/number-format.js'
import type { SampleAt } from '../tiles/view-samples.js'

export interface Readout {
  readonly xUm: number
  readonly yUm: number
  readonly sample: SampleAt
  readonly well: string | undefined
}

/** Where the pointer is, what was stored there, and how large a screen pixel is. The read-outs never change their width. */
export class StatusBar {
  readonly #x: HTMLElement
  readonly #y: HTMLElement
  readonly #sample: HTMLElement
  readonly #source: HTMLElement
  readonly #loading: HTMLElement
  readonly #resolution: HTMLElement
  readonly #spoken: HTMLElement

  constructor(root: HTMLElement) {
    this.#x = element(root, '.x', HTMLElement)
    this.#y = element(root, '.y', HTMLElement)
    this.#sample = element(root, '.sample', HTMLElement)
    this.#source = element(root, '.source', HTMLElement)
    this.#loading = element(root, '.loading', HTMLElement)
    this.#resolution = element(root, '.resolution', HTMLElement)
    this.#spoken = element(root, '[aria-live]', HTMLElement)
  }

  /** @param level of the pyramid that is drawn: above 0, a sample is a mean. */
  showReadout(readout: Readout | undefined, umPerPx: number, level: number, integer: boolean): void {
    this.#resolution.textContent = formatResolution(umPerPx)
    if (!readout) {
      this.#x.textContent = '–'
      this.#y.textContent = '–'
      this.#sample.textContent = '–'
      this.#source.textContent = ''
      return
    }
    this.#x.textContent = formatCoordinate(readout.xUm, umPerPx)
    this.#y.textContent = formatCoordinate(readout.yUm, umPerPx)
    this.#sample.textContent = sampleText(readout.sample, integer)
    const mean = typeof readout.sample === 'object' && level > 0 ? `mean of ${meanSize(level)}` : ''
    this.#source.textContent = [readout.well, mean].filter(Boolean).join(' · ')
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

function sampleText(sample: SampleAt, integer: boolean): string {
  if (sample === 'uncovered') return 'no frame here'
  if (sample === 'not built') return 'nothing here yet'
  if (sample === 'unreadable') return 'not readable'
  if (sample === 'unknown') return '…'
  return `${formatSample(sample.value, integer)}${integer ? ' counts' : ''}`
}

function meanSize(level: number): string {
  const side = formatNumber(2 ** level)
  return `${side} × ${side} px`
}
