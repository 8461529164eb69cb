import { SAMPLE_TYPES } from '../../src/plane.js'
import { copyText } from '../parts/copy-text.js'
import { make, makeButton } from '../parts/make.js'
import { formatLength, formatNumber, formatSample, sampleUnit } from '../parts/number-format.js'
import { type PointUm, reasonOf } from '../server/pyramid-api.js'
import { type LineProfile, profileCsv, readLineProfile } from './line-profile.js'
import { SamplePlot } from './sample-plot.js'
import type { ShownPlanes } from './shown-channels.js'

/** The counts along a line: a plot whose place under the pointer is shown on the picture, and a table to copy. */
export class ProfileView {
  readonly root = make('div', { class: 'profile' })
  readonly #plot = new SamplePlot()
  readonly #high = make('span', { class: 'high' })
  readonly #low = make('span', { class: 'low' })
  readonly #end = make('span')
  readonly #readout = make('p', { class: 'readout' })
  readonly #caption = make('p', { class: 'soft small' })
  readonly #ground: HTMLElement
  readonly #onPoint: (share: number | undefined) => void
  #profile: LineProfile | undefined
  #planes: ShownPlanes | undefined
  #reading = 0

  /** @param onPoint how far along the line (0 … 1) the pointer is. */
  constructor(onPoint: (share: number | undefined) => void) {
    this.#onPoint = onPoint
    this.#ground = make(
      'div',
      { class: 'ground', role: 'slider', tabindex: '0', 'aria-label': 'Place on the line', 'aria-valuenow': '0' },
      this.#plot.root,
      this.#high,
      this.#low,
    )
    const copy = makeButton('Copy as CSV', button => {
      const names = this.#planes?.store.pyramid.channels.map(({ name }) => name) ?? []
      if (this.#profile) void copyText(profileCsv(this.#profile, names), button)
    })
    const axis = make('div', { class: 'plot-axis' }, make('span', { text: '0' }), this.#end)
    this.root.append(this.#ground, axis, this.#readout, this.#caption, copy)
    this.#ground.addEventListener('pointermove', event => {
      const { left, width } = this.#ground.getBoundingClientRect()
      this.#pointAt(Math.min(1, Math.max(0, (event.clientX - left) / width)))
    })
    this.#ground.addEventListener('pointerleave', () => this.#pointAt(undefined))
    this.#ground.addEventListener('blur', () => this.#pointAt(undefined))
    this.#ground.addEventListener('keydown', event => this.#onKey(event))
  }

  /** Read the samples under a line; what was shown stays until then. @returns false where the server did not answer. */
  async show(planes: ShownPlanes, line: readonly [PointUm, PointUm]): Promise<boolean> {
    const reading = ++this.#reading
    const channels = planes.channels.map(({ channel }) => channel)
    try {
      const profile = await readLineProfile(planes.store, planes.slice, channels, line)
      if (reading !== this.#reading) return true
      this.#profile = profile
      this.#planes = planes
      this.#draw(profile, planes)
      return true
    } catch (error) {
      if (reading !== this.#reading) return true
      this.#profile = undefined
      this.#plot.show([], 0, 1)
      for (const words of [this.#high, this.#low, this.#end]) words.textContent = ''
      this.#caption.textContent = `Not readable. ${reasonOf(error)}`
      return !(error instanceof TypeError)
    }
  }

  #draw({ level, lengthUm, values }: LineProfile, { channels, store }: ShownPlanes): void {
    const { integer } = SAMPLE_TYPES[store.pyramid.sampleType]
    const known = [...values.values()].flatMap(samples => [...samples].filter(value => !Number.isNaN(value)))
    const [low, high] = known.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity])
    const isEmpty = known.length === 0
    const lines = channels.map(({ channel, colour }) => ({ colour, values: values.get(channel) ?? [] }))
    this.#plot.show(lines, isEmpty ? 0 : low, isEmpty ? 1 : high)
    this.#high.textContent = isEmpty ? '' : formatSample(high, integer)
    this.#low.textContent = isEmpty ? 'no frame here' : formatSample(low, integer)
    this.#end.textContent = formatLength(lengthUm)
    const side = formatNumber(2 ** level)
    this.#caption.textContent = level > 0 ? `Nearest of means of ${side} × ${side} px` : 'Nearest samples'
    this.#pointAt(undefined)
  }

  #pointAt(share: number | undefined): void {
    this.#plot.markAt(share)
    this.#onPoint(share)
    const text = share === undefined ? '' : this.#textAt(share)
    this.#readout.textContent = text || '\u00a0'
    this.#ground.setAttribute('aria-valuenow', `${Math.round((share ?? 0) * 100)}`)
    this.#ground.setAttribute('aria-valuetext', text)
  }

  #textAt(share: number): string {
    if (!this.#profile || !this.#planes) return ''
    const { lengthUm, values } = this.#profile
    const { integer } = SAMPLE_TYPES[this.#planes.store.pyramid.sampleType]
    const { channels } = this.#planes
    const units = [...values.keys()].map(channel => channels.find(shown => shown.channel === channel)?.unit)
    // One unit for all is said once.
    const isShared = new Set(units).size === 1
    const texts = [...values.values()].map((samples, i) => {
      const value = samples[Math.round(share * (samples.length - 1))] as number
      const unit = isShared ? '' : sampleUnit(units[i], integer)
      return Number.isNaN(value) ? 'no frame' : `${formatSample(value, integer)}${unit}`
    })
    return `${formatLength(share * lengthUm)} · ${texts.join(' · ')}${isShared ? sampleUnit(units[0], integer) : ''}`
  }

  #onKey(event: KeyboardEvent): void {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key]
    if (!step) return
    event.preventDefault()
    const share = Number(this.#ground.getAttribute('aria-valuenow')) / 100
    this.#pointAt(Math.min(1, Math.max(0, share + step * (event.shiftKey ? 0.1 : 0.01))))
  }
}
