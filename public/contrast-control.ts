import { SAMPLE_TYPES } from '../src/plane.js'
import { automaticWindow, type Contrast, validContrast } from './contrast.js'
import { ContrastPanel } from './contrast-panel.js'
import { readHistogram } from './pyramid-api.js'
import { countSamples, percentile, type SampleBlock, type SampleHistogram } from './sample-histogram.js'
import type { TileStore } from './tile-store.js'

const HISTOGRAM_BINS = 1024
/** "Auto to view" leaves out this share of the samples at each end. */
const VIEW_TAIL = 0.001

export interface ContrastListener {
  changed(contrast: Contrast): void
  channelChosen(channel: number): void
}

/** The contrast of every channel of the pyramid that is shown, and the panel that edits it. */
export class ContrastControl {
  readonly #panel: ContrastPanel
  readonly #listener: ContrastListener
  readonly #samplesInView: () => readonly SampleBlock[]
  #store: TileStore | undefined
  #channel = 0
  #contrasts: Contrast[] = []
  #histograms: (SampleHistogram | undefined)[] = []
  #inView: SampleHistogram | undefined
  #drawing = 0

  constructor(root: HTMLElement, samplesInView: () => readonly SampleBlock[], listener: ContrastListener) {
    this.#listener = listener
    this.#samplesInView = samplesInView
    this.#panel = new ContrastPanel(root, {
      changed: part => this.#change(part),
      channelChosen: channel => listener.channelChosen(channel),
      auto: () => this.auto(),
      autoToView: () => this.autoToView(),
    })
  }

  /** Contrast of the channel that is shown. */
  get contrast(): Contrast {
    const contrast = this.#contrasts[this.#channel]
    if (!contrast) throw new RangeError(`there is no channel ${this.#channel}`)
    return contrast
  }

  /**
   * Turn to another pyramid.
   *
   * @param keep leave the contrast as it is, where the samples are of the same kind.
   * @returns whether it was kept.
   */
  open(store: TileStore, channel: number, keep: boolean): boolean {
    const { channels, sampleType } = store.pyramid
    const before = this.#store?.pyramid
    const kept = keep && before?.sampleType === sampleType && before.channels.length === channels.length
    this.#store = store
    this.#channel = channel
    this.#histograms = []
    this.#inView = undefined
    if (!kept) {
      const { map = 'grey', inverted = false } = this.#contrasts[0] ?? {}
      this.#contrasts = channels.map(({ window }) => ({
        ...automaticWindow(window, this.#integer),
        gamma: 1,
        map,
        inverted,
      }))
      this.#panel.resetAxis()
    }
    return kept
  }

  /** Read the histogram of the channel; without one the panel shows what is in view alone. */
  async loadHistogram(): Promise<void> {
    const store = this.#store
    const channel = this.#channel
    if (!store || this.#histograms[channel]) return this.#show()
    try {
      const { binStart, binWidth, counts } = await readHistogram(store.pyramid.id, channel, HISTOGRAM_BINS)
      if (store !== this.#store) return
      const total = counts.reduce((sum, count) => sum + count, 0)
      this.#histograms[channel] = { start: binStart, binWidth, counts, total }
      this.#panel.resetAxis()
    } catch {
      // The picture does not depend on it; a lost server is reported by the event feed.
    }
    this.#show()
  }

  selectChannel(channel: number): void {
    this.#channel = channel
    this.#inView = undefined
    this.#panel.resetAxis()
    this.#show()
  }

  /** Count anew what is in view. */
  countView(): void {
    this.#inView = countSamples(this.#samplesInView(), this.#integer)
    this.#show()
  }

  /** The window that the server found for the whole channel. */
  auto(): void {
    const window = this.#store?.pyramid.channels[this.#channel]?.window
    if (!window) return
    this.#change({ ...automaticWindow(window, this.#integer), gamma: 1 })
    this.#panel.resetAxis()
  }

  /** 0.1 to 99.9 % of the covered samples in view. */
  autoToView(): void {
    this.#inView = countSamples(this.#samplesInView(), this.#integer)
    if (!this.#inView) return
    const window = { black: percentile(this.#inView, VIEW_TAIL), white: percentile(this.#inView, 1 - VIEW_TAIL) }
    this.#change({ ...automaticWindow(window, this.#integer), gamma: 1 })
    this.#panel.resetAxis()
  }

  invert(): void {
    this.#change({ inverted: !this.contrast.inverted })
  }

  #change(part: Partial<Contrast>): void {
    const contrast = validContrast({ ...this.contrast, ...part }, this.#integer)
    this.#contrasts[this.#channel] = contrast
    this.#listener.changed(contrast)
    // Several pointer moves may come in a frame; the panel needs to be drawn once.
    this.#drawing ||= requestAnimationFrame(() => this.#show())
  }

  get #integer(): boolean {
    return this.#store !== undefined && SAMPLE_TYPES[this.#store.pyramid.sampleType].integer
  }

  #show(): void {
    this.#drawing = 0
    if (!this.#store) return
    this.#panel.show({
      contrast: this.contrast,
      integer: this.#integer,
      all: this.#histograms[this.#channel],
      inView: this.#inView,
      channelNames: this.#store.pyramid.channels.map(({ name }) => name),
      channel: this.#channel,
      hasWells: this.#store.pyramid.wells.length > 0,
    })
  }
}
