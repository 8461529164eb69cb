import type { Look } from '../picture/look.js'
import { readHistogram, type Well, type Window } from '../server/pyramid-api.js'
import type { TileStore } from '../tiles/tile-store.js'
import type { ChannelContrast } from './channel-contrast.js'
import { type ChannelRow, ContrastChoices } from './contrast-choices.js'
import { ContrastPanel } from './contrast-panel.js'
import type { ContrastState } from './contrast-state.js'
import { countSamples, histogramOf, percentile, type SampleBlock, type SampleHistogram } from './sample-histogram.js'
import { WellHistograms } from './well-histograms.js'

/** "Auto to view" leaves out this share of the samples at each end. */
const VIEW_TAIL = 0.001
/** Up to so many wells get their own contrast before they come into view, so that small pictures of them are right. */
const WELLS_AHEAD = 96

export interface ContrastListener {
  /** Something was chosen; told at most once a frame. */
  changed(look: Look): void
  /** The panel was drawn anew: what else shows the channels is out of date. */
  shown(): void
}

/** What the contrast can follow. */
export interface ContrastView {
  /** The samples of a channel in view, as far as they are in memory. */
  samples(channel: number): readonly SampleBlock[]
  /** The wells in view. */
  wells(): readonly Well[]
}

/** The contrast of the pyramid that is shown: what is chosen, the samples it follows, and the panel that edits it. */
export class ContrastControl {
  readonly #choices = new ContrastChoices((channels, well) => this.#wellHistograms?.window(channels, well))
  readonly #panel: ContrastPanel
  readonly #listener: ContrastListener
  readonly #view: ContrastView
  #store: TileStore | undefined
  #wellHistograms: WellHistograms | undefined
  /** Of the selected channel. */
  #inView: SampleHistogram | undefined
  #drawing = 0
  #hasChanged = false

  constructor(root: HTMLElement, view: ContrastView, listener: ContrastListener) {
    const choices = this.#choices
    this.#listener = listener
    this.#view = view
    this.#panel = new ContrastPanel(root, {
      levelsChanged: (part, forAll) => this.#choose(() => choices.setLevels(part, forAll)),
      styleChanged: (part, forAll) => this.#choose(() => choices.setStyle(part, forAll)),
      coloursChosen: colours => this.#choose(() => choices.setStyle({ colours }, false)),
      channelChosen: channel => this.select(channel),
      auto: forAll => this.auto(forAll),
      autoToView: forAll => this.autoToView(forAll),
      invert: forAll => this.invert(forAll),
      shared: isShared => this.#choose(() => choices.share(isShared)),
      wellsChosen: wells => this.#chooseWells(wells),
      marks: () => this.toggleMarks(),
      smooth: smooth => this.#chooseSmooth(smooth),
    })
  }

  /** How the picture is drawn. */
  get look(): Look {
    return this.#choices.look
  }

  /** The channels in the order of the pyramid. */
  get rows(): readonly ChannelRow[] {
    return this.#choices.rows
  }

  /** Whether samples are whole counts. */
  get integer(): boolean {
    return this.#choices.integer
  }

  /** Everything that was chosen. */
  get state(): ContrastState {
    return this.#choices.state
  }

  /** Whether there is a sample to choose a contrast by. */
  get hasSamples(): boolean {
    return this.#choices.channels.some(({ histogram }) => histogram !== undefined)
  }

  /** Choose what was chosen elsewhere; what does not fit the pyramid is left out. */
  restore(state: ContrastState): void {
    if (!this.#store) return
    this.#choose(() => this.#choices.restore(state))
    this.#panel.resetAxis()
    this.countView()
    void this.loadHistogram()
  }

  /**
   * Turn to another pyramid, or another version of the same: in that, what is automatic stays so.
   *
   * @param keep leave the contrast of channels as it is, where the samples are of the same kind.
   * @returns whether that of all was kept.
   */
  open(store: TileStore, keep: boolean): boolean {
    this.#wellHistograms?.close()
    this.#store = store
    this.#wellHistograms = new WellHistograms(
      () => store.pyramid,
      () => store === this.#store && this.#choose(),
    )
    this.#inView = undefined
    const kept = this.#choices.open(store, keep)
    if (!kept) this.#panel.resetAxis()
    // Before the page is painted, so that nothing moves when there are samples.
    this.#show()
    return kept
  }

  /**
   * Read the histograms of the channels that are seen; without one the panel shows what is in view alone. Those of a
   * growing pyramid are read again at every call, and automatic contrast follows them.
   */
  async loadHistogram(): Promise<void> {
    const store = this.#store
    if (!store) return
    if (!store.pyramid.complete) this.#wellHistograms?.expire()
    const wanted = this.#choices.channels.filter(channel => channel.visible || channel === this.#choices.shown)
    await Promise.all([...wanted.map(channel => this.#readHistogram(store, channel)), this.#loadWells()])
    if (store === this.#store) this.#show()
  }

  /** Count anew what is in view. */
  countView(): void {
    this.#inView = this.#countChannel(this.#choices.selected)
    this.#show()
    void this.#loadWells()
  }

  /** Tell which well is looked at. */
  setWell(well: Well | undefined): void {
    if (well === this.#choices.well) return
    this.#choices.well = well
    if (this.#choices.wells === 'same') return
    this.#panel.resetAxis()
    this.#draw()
  }

  /** Open the tab of a channel. */
  select(channel: number): void {
    if (channel === this.#choices.selected) return
    this.#panel.resetAxis()
    this.#choose(() => this.#choices.select(channel))
    this.countView()
    void this.loadHistogram()
  }

  /** @returns why a channel was not shown or hidden; `undefined` where it was. */
  setVisible(channel: number, visible: boolean): string | undefined {
    const reason = this.#choices.setVisible(channel, visible)
    this.#choose()
    void this.loadHistogram()
    return reason
  }

  /** Show one channel alone, and the second time again what was seen before. */
  solo(channel: number): void {
    this.#choose(() => this.#choices.solo(channel))
    void this.loadHistogram()
  }

  /** The window that the server found for the whole channel, or for the well. */
  auto(forAll = false): void {
    this.#choose(() => this.#choices.setAutomatic(forAll))
    this.#panel.resetAxis()
  }

  /** Windows that were found for a part of the picture, by channel. */
  fitTo(windows: ReadonlyMap<number, Window>): void {
    const { channels, canEditLevels } = this.#choices
    if (!canEditLevels) return
    const found = channels.flatMap((channel, i) => {
      const window = windows.get(i)
      return window ? [[channel, window] as const] : []
    })
    if (found.length === 0) return
    this.#choose(() => this.#choices.fitTo(new Map(found)))
    this.#panel.resetAxis()
  }

  /** 0.1 to 99.9 % of the covered samples in view. */
  autoToView(forAll = false): void {
    const { channels, shown, isShared, canEditLevels } = this.#choices
    if (!canEditLevels) return
    const windows = new Map<ChannelContrast, Window>()
    for (const [i, channel] of channels.entries()) {
      if (!channel.visible || !(channel === shown || forAll || isShared)) continue
      const counted = this.#countChannel(i)
      if (!counted) continue
      windows.set(channel, { black: percentile(counted, VIEW_TAIL), white: percentile(counted, 1 - VIEW_TAIL) })
    }
    if (windows.size === 0) return
    this.#choose(() => this.#choices.fitTo(windows))
    this.#panel.resetAxis()
  }

  invert(forAll = false): void {
    this.#choose(() => this.#choices.setStyle({ inverted: !this.#choices.shown.contrast.inverted }, forAll))
  }

  toggleMarks(): void {
    this.#choices.marksClipped = !this.#choices.marksClipped
    this.#choose()
  }

  toggleSmooth(): void {
    this.#chooseSmooth(!this.#choices.smooth)
  }

  #chooseSmooth(smooth: boolean): void {
    this.#choices.smooth = smooth
    this.#choose()
  }

  #chooseWells(wells: ContrastState['wells']): void {
    this.#choices.wells = wells
    this.#panel.resetAxis()
    this.#choose()
    void this.#loadWells()
  }

  #countChannel(channel: number): SampleHistogram | undefined {
    return countSamples(this.#view.samples(channel), this.integer)
  }

  async #loadWells(): Promise<void> {
    const pyramid = this.#store?.pyramid
    const { wells, well, selected, visible } = this.#choices
    if (wells === 'same' || !pyramid) return
    const ahead = pyramid.wells.length <= WELLS_AHEAD ? pyramid.wells : []
    const wanted = new Set([...(well ? [well] : []), ...this.#view.wells(), ...ahead])
    await this.#wellHistograms?.want([...new Set([selected, ...visible])], [...wanted])
  }

  async #readHistogram({ pyramid }: TileStore, channel: ChannelContrast): Promise<void> {
    if (channel.isCounted) return
    try {
      const reply = await readHistogram(pyramid.id, this.#choices.channels.indexOf(channel))
      if (!this.#choices.channels.includes(channel)) return
      const histogram = histogramOf(reply)
      if (histogram) {
        const isFirst = channel.histogram === undefined
        channel.histogram = histogram
        channel.window = reply.window
        const follows = channel.isAutomatic && !pyramid.complete && this.#choices.follow(channel, isFirst)
        if (follows) this.#choose()
        if ((isFirst || follows) && channel === this.#choices.shown) this.#panel.resetAxis()
      }
      channel.isCounted = pyramid.complete
    } catch {
      // The picture does not depend on it; a lost server is reported by the event feed.
    }
  }

  /** Several choices may be made in a frame; the picture and the panel need to be drawn once. */
  #choose(change?: () => void): void {
    change?.()
    this.#hasChanged = true
    this.#draw()
  }

  #draw(): void {
    this.#drawing ||= requestAnimationFrame(() => {
      this.#drawing = 0
      if (this.#hasChanged) this.#listener.changed(this.look)
      this.#hasChanged = false
      this.#show()
    })
  }

  #show(): void {
    if (!this.#store) return
    const { shown, selected, rows, integer, isShared, hasWells, wells, well, canEditLevels } = this.#choices
    const { marksClipped, smooth } = this.#choices
    const ownWell = wells === 'own' ? well : undefined
    this.#panel.show({
      contrast: this.#choices.contrastHere(selected),
      integer,
      unit: shown.unit,
      all: ownWell ? this.#wellHistograms?.histogram(selected, ownWell) : shown.histogram,
      inView: shown.visible ? this.#inView : undefined,
      channels: rows,
      selected,
      isShared,
      wells: hasWells ? wells : undefined,
      wellName: ownWell?.name,
      canEditLevels,
      marksClipped,
      smooth,
    })
    this.#listener.shown()
  }
}
