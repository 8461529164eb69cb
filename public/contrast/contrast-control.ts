import { SAMPLE_TYPES } from '../../src/plane.js'
import type { Look } from '../picture/look.js'
import { readHistogram, type Window } from '../server/pyramid-api.js'
import type { TileStore } from '../tiles/tile-store.js'
import { automaticWindow, type Contrast, validContrast } from './contrast.js'
import { ContrastPanel } from './contrast-panel.js'
import { countSamples, percentile, type SampleBlock, type SampleHistogram } from './sample-histogram.js'

const HISTOGRAM_BINS = 1024
/** "Auto to view" leaves out this share of the samples at each end. */
const VIEW_TAIL = 0.001
/** An automatic window that moves by less than this share of its width, while the pyramid grows, would only flicker. */
const FOLLOWED_SHARE = 0.03

export interface ContrastListener {
  changed(look: Look): void
  channelChosen(channel: number): void
}

interface ChannelContrast {
  contrast: Contrast
  /** What the server found for the whole channel. */
  window: Window
  /** Nobody has set black, white or gamma: they follow the window. */
  isAutomatic: boolean
  histogram: SampleHistogram | undefined
  /** Whether the histogram is of the pyramid's samples as they are. */
  isCounted: boolean
}

/** The contrast of every channel of the pyramid that is shown, and the panel that edits it. */
export class ContrastControl {
  readonly #panel: ContrastPanel
  readonly #listener: ContrastListener
  readonly #samplesInView: () => readonly SampleBlock[]
  #store: TileStore | undefined
  #channel = 0
  #channels: ChannelContrast[] = []
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
    return this.#shown.contrast
  }

  /** How the picture is drawn. */
  get look(): Look {
    return { channels: [{ channel: this.#channel, contrast: this.contrast }], marksClipped: false, smooth: false }
  }

  /** Whether there is a sample to choose a contrast by. */
  get hasSamples(): boolean {
    return this.#shown.histogram !== undefined
  }

  /**
   * Turn to another pyramid, or another version of the same: in that, what is automatic stays so.
   *
   * @param keep leave the contrast as it is, where the samples are of the same kind.
   * @returns whether it was kept.
   */
  open(store: TileStore, channel: number, keep: boolean): boolean {
    const { channels, sampleType, id } = store.pyramid
    const before = this.#store?.pyramid
    const kept = keep && before?.sampleType === sampleType && before.channels.length === channels.length
    const earlier = this.#channels
    this.#store = store
    this.#channel = channel
    this.#inView = undefined
    this.#channels = channels.map(({ window }, i) => {
      const old = kept ? earlier[i] : undefined
      const { colours = 'grey', stretch = 'linear', inverted = false } = (old ?? earlier[0])?.contrast ?? {}
      const isAutomatic = !old || (old.isAutomatic && before?.id === id)
      return {
        contrast: isAutomatic
          ? { ...automaticWindow(window, this.#integer), gamma: 1, stretch, colours, inverted }
          : old.contrast,
        window,
        isAutomatic,
        histogram: before?.id === id ? old?.histogram : undefined,
        isCounted: false,
      }
    })
    if (!kept) this.#panel.resetAxis()
    return kept
  }

  /**
   * Read the histogram of the channel; without one the panel shows what is in view alone. That of a growing pyramid is
   * read again at every call, and automatic contrast follows it.
   */
  async loadHistogram(): Promise<void> {
    const store = this.#store
    if (!store) return
    const channel = this.#shown
    if (channel.isCounted) return this.#show()
    try {
      const reply = await readHistogram(store.pyramid.id, this.#channel, HISTOGRAM_BINS)
      if (store !== this.#store) return
      const total = reply.counts.reduce((sum, count) => sum + count, 0)
      const isFirst = channel.histogram === undefined
      if (total > 0) {
        channel.histogram = { start: reply.binStart, binWidth: reply.binWidth, counts: reply.counts, total }
        channel.window = reply.window
        if (isFirst) this.#panel.resetAxis()
        if (channel.isAutomatic && !store.pyramid.complete) this.#follow(channel, isFirst)
      }
      channel.isCounted = store.pyramid.complete
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
    if (!this.#store) return
    this.#change({ ...automaticWindow(this.#shown.window, this.#integer), gamma: 1 })
    this.#shown.isAutomatic = true
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
    const channel = this.#shown
    channel.contrast = validContrast({ ...channel.contrast, ...part }, this.#integer)
    if ('black' in part || 'white' in part || 'gamma' in part) channel.isAutomatic = false
    this.#listener.changed(this.look)
    // Several pointer moves may come in a frame; the panel needs to be drawn once.
    this.#drawing ||= requestAnimationFrame(() => this.#show())
  }

  /** @param exactly however little the window moved. */
  #follow(channel: ChannelContrast, exactly: boolean): void {
    const { black, white } = channel.contrast
    const next = automaticWindow(channel.window, this.#integer)
    const moved = Math.max(Math.abs(next.black - black), Math.abs(next.white - white))
    if (moved === 0 || (!exactly && moved < FOLLOWED_SHARE * (white - black))) return
    channel.contrast = validContrast({ ...channel.contrast, ...next }, this.#integer)
    if (channel !== this.#shown) return
    this.#listener.changed(this.look)
    this.#panel.resetAxis()
  }

  get #shown(): ChannelContrast {
    const shown = this.#channels[this.#channel]
    if (!shown) throw new RangeError(`there is no channel ${this.#channel}`)
    return shown
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
      all: this.#shown.histogram,
      inView: this.#inView,
      channelNames: this.#store.pyramid.channels.map(({ name }) => name),
      channel: this.#channel,
      hasWells: this.#store.pyramid.wells.length > 0,
    })
  }
}
