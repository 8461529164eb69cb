import { SAMPLE_TYPES } from '../../src/plane.js'
import { showsOneAtATime } from '../../src/render/channel-colours.js'
import { type Levels, type Look, MAX_SHOWN_CHANNELS, type ShownChannel } from '../picture/look.js'
import type { PyramidInfo, Well, Window } from '../server/pyramid-api.js'
import {
  type ChannelContrast,
  firstContrasts,
  keepColours,
  keepContrasts,
  restoreContrasts,
} from './channel-contrast.js'
import { automaticLevels, type Contrast, validContrast, windowAround } from './contrast.js'
import type { ContrastState } from './contrast-state.js'

/** A channel as a list of layers shows it. */
export interface ChannelRow {
  readonly name: string
  /** Of its samples; null of counts and of what has none. */
  readonly unit: string | null
  readonly visible: boolean
  readonly selected: boolean
  /** As it is seen where one looks: in a well with its own levels. */
  readonly contrast: Contrast
}

/** An automatic window that moves by less than this share of its width, while the pyramid grows, would only flicker. */
const FOLLOWED_SHARE = 0.03

/** What is chosen of contrast and colours for the channels and wells of a pyramid. */
export class ContrastChoices {
  channels: readonly ChannelContrast[] = []
  /** The channel whose tab is open. */
  selected = 0
  /** Whether all channels have one contrast. */
  isShared = false
  wells: ContrastState['wells'] = 'same'
  /** The one that is looked at. */
  well: Well | undefined
  marksClipped = false
  smooth = false
  #source: { readonly pyramid: PyramidInfo } | undefined
  readonly #windowOfWell: (channels: readonly number[], well: Well) => Window | undefined
  /** What was visible before one channel was singled out. */
  #beforeSolo: readonly boolean[] | undefined

  /** @param windowOfWell automatic black and white for some channels of a well at once, where they are known. */
  constructor(windowOfWell: (channels: readonly number[], well: Well) => Window | undefined) {
    this.#windowOfWell = windowOfWell
  }

  /** How the picture is drawn. */
  get look(): Look {
    const channels = this.visible.map((channel): ShownChannel => {
      const { contrast } = this.#channel(channel)
      return { channel, contrast, ...(this.wells === 'own' && { ofWells: this.#levelsOfWells(channel) }) }
    })
    return { channels, marksClipped: this.marksClipped, smooth: this.smooth }
  }

  /** The channels in the order of the pyramid. */
  get rows(): readonly ChannelRow[] {
    return this.channels.map(({ name, unit, visible }, channel) => ({
      name,
      unit,
      visible,
      selected: channel === this.selected,
      contrast: this.contrastHere(channel),
    }))
  }

  /** The channel whose tab is open. */
  get shown(): ChannelContrast {
    return this.#channel(this.selected)
  }

  get visible(): readonly number[] {
    return this.channels.flatMap(({ visible }, channel) => (visible ? [channel] : []))
  }

  get integer(): boolean {
    return this.#source !== undefined && SAMPLE_TYPES[this.#source.pyramid.sampleType].integer
  }

  get hasWells(): boolean {
    return this.#wells.length > 1
  }

  /** Where each well has its own levels, there are none to edit until one is looked at. */
  get canEditLevels(): boolean {
    return this.wells === 'same' || this.well !== undefined
  }

  get state(): ContrastState {
    return {
      channels: this.channels.map(({ visible, isAutomatic, contrast, ofWells }) => ({
        visible,
        automatic: isAutomatic,
        contrast,
        ofWells: Object.fromEntries(ofWells),
      })),
      selected: this.selected,
      wells: this.wells,
      marksClipped: this.marksClipped,
      smooth: this.smooth,
    }
  }

  /** Choose what was chosen elsewhere; what does not fit the pyramid is left out. */
  restore(state: ContrastState): void {
    restoreContrasts(this.channels, state.channels, this.#wells, this.integer)
    if (this.channels[state.selected]) this.selected = state.selected
    this.wells = this.hasWells ? state.wells : 'same'
    this.marksClipped = state.marksClipped
    this.smooth = state.smooth
    this.isShared = false
    this.#beforeSolo = undefined
  }

  /**
   * Turn to another pyramid, or another version of the same: in that, what is automatic stays so.
   *
   * @param source its present state. @param keep leave channels as they are, where the samples are of the same kind.
   * @returns whether all were left.
   */
  open(source: { readonly pyramid: PyramidInfo }, keep: boolean): boolean {
    const { pyramid } = source
    const before = this.#source?.pyramid
    const canKeep = keep && before?.sampleType === pyramid.sampleType
    const channels = firstContrasts(pyramid)
    const kept = canKeep && keepContrasts(channels, this.channels, before?.id === pyramid.id)
    const selectedName = this.channels[this.selected]?.name
    if (!canKeep) keepColours(channels, this.channels, SAMPLE_TYPES[pyramid.sampleType].integer)
    if (!channels.some(({ visible }) => visible))
      for (const channel of channels.slice(0, MAX_SHOWN_CHANNELS)) channel.visible = true
    this.#source = source
    this.channels = channels
    this.selected = Math.max(0, canKeep ? channels.findIndex(({ name }) => name === selectedName) : 0)
    if (!canKeep) this.isShared = false
    if (!canKeep || !this.hasWells) this.wells = 'same'
    this.well = undefined
    this.#beforeSolo = undefined
    return kept
  }

  /** @returns why a channel was not shown or hidden; `undefined` where it was. */
  setVisible(channel: number, visible: boolean): string | undefined {
    if (visible && this.visible.length >= MAX_SHOWN_CHANNELS) return 'Up to four channels at once'
    if (!visible && this.visible.length === 1) return 'One channel stays visible'
    this.#channel(channel).visible = visible
    this.#beforeSolo = undefined
    return undefined
  }

  /** Open the tab of a channel. Maps that are looked at one by one turn to it. */
  select(channel: number): void {
    this.selected = channel
    const isOneAtATime = showsOneAtATime(this.#source?.pyramid.channels ?? []) && this.visible.length === 1
    if (isOneAtATime) for (const [i, each] of this.channels.entries()) each.visible = i === channel
  }

  /** Show one channel alone, and the second time again what was seen before. */
  solo(channel: number): void {
    const now = this.channels.map(({ visible }) => visible)
    const isAlone = now.every((visible, i) => visible === (i === channel))
    const before = this.#beforeSolo ?? now.map((_, i) => i < MAX_SHOWN_CHANNELS)
    this.#beforeSolo = isAlone ? undefined : (this.#beforeSolo ?? now)
    for (const [i, each] of this.channels.entries()) each.visible = isAlone ? before[i] === true : i === channel
  }

  /** @param forAll of all channels. */
  setLevels(part: Partial<Levels>, forAll: boolean): void {
    if (this.canEditLevels) for (const channel of this.#targets(forAll)) this.#setLevelsOf(channel, part)
  }

  /** Levels from windows that were found in what is seen: of each channel its own, or one around all. */
  fitTo(windows: ReadonlyMap<ChannelContrast, Window>): void {
    const shared = this.isShared ? windowAround([...windows.values()]) : undefined
    for (const channel of this.isShared ? this.channels : windows.keys()) {
      const window = shared ?? windows.get(channel)
      if (window) this.#setLevelsOf(channel, automaticLevels(window, channel.contrast.colours, this.integer))
    }
  }

  /** The window that was found for the whole channel, or for the well. */
  setAutomatic(forAll: boolean): void {
    const shared = this.isShared ? windowAround(this.channels.map(({ window }) => window)) : undefined
    for (const channel of this.#targets(forAll)) {
      const { contrast, window, ofWells } = channel
      if (this.wells === 'same') {
        channel.contrast = { ...contrast, ...automaticLevels(shared ?? window, contrast.colours, this.integer) }
        channel.isAutomatic = !this.isShared
      } else if (this.well) {
        ofWells.delete(this.well.name)
      } else {
        ofWells.clear()
      }
    }
  }

  setStyle(part: Partial<Omit<Contrast, keyof Levels>>, forAll: boolean): void {
    // Colours tell channels apart: they are never those of all.
    const targets = part.colours ? [this.shown] : this.#targets(forAll)
    for (const channel of targets) channel.contrast = { ...channel.contrast, ...part }
  }

  /** One contrast for all channels begins with that of the one that is looked at. */
  share(isShared: boolean): void {
    this.isShared = isShared
    if (!isShared) return
    const { black, white, gamma, stretch, inverted } = this.shown.contrast
    for (const channel of this.channels) {
      channel.contrast = { ...channel.contrast, black, white, gamma, stretch, inverted }
      channel.isAutomatic = false
    }
  }

  /**
   * The window of an automatic channel has moved. @param exactly however little.
   *
   * @returns whether its contrast moved with it.
   */
  follow(channel: ChannelContrast, exactly: boolean): boolean {
    const { black, white, colours } = channel.contrast
    const next = automaticLevels(channel.window, colours, this.integer)
    const moved = Math.max(Math.abs(next.black - black), Math.abs(next.white - white))
    if (moved === 0 || (!exactly && moved < FOLLOWED_SHARE * (white - black))) return false
    channel.contrast = validContrast({ ...channel.contrast, ...next }, this.integer)
    return true
  }

  /** How a channel is seen where one looks. */
  contrastHere(channel: number): Contrast {
    const { contrast } = this.#channel(channel)
    const own = this.wells === 'own' && this.well ? this.#levelsOfWell(channel, this.well) : undefined
    return own ? { ...contrast, ...own } : contrast
  }

  get #wells(): readonly Well[] {
    return this.#source?.pyramid.wells ?? []
  }

  #channel(index: number): ChannelContrast {
    const channel = this.channels[index]
    if (!channel) throw new RangeError(`there is no channel ${index}`)
    return channel
  }

  #targets(forAll: boolean): readonly ChannelContrast[] {
    return forAll || this.isShared ? this.channels : [this.shown]
  }

  #setLevelsOf(channel: ChannelContrast, part: Partial<Levels>): void {
    if (this.wells === 'own' && this.well) {
      const { black, white, gamma } = this.contrastHere(this.channels.indexOf(channel))
      channel.ofWells.set(this.well.name, validContrast({ black, white, gamma, ...part }, this.integer))
    } else {
      channel.contrast = validContrast({ ...channel.contrast, ...part }, this.integer)
      channel.isAutomatic = false
    }
  }

  /** Levels of a channel in a well of its own; `undefined` until its histogram is there. */
  #levelsOfWell(channel: number, well: Well): Levels | undefined {
    const { ofWells, contrast } = this.#channel(channel)
    const byHand = ofWells.get(well.name)
    if (byHand) return byHand
    const window = this.#windowOfWell(this.isShared ? this.visible : [channel], well)
    return window && automaticLevels(window, contrast.colours, this.integer)
  }

  /** By the place of the well in the pyramid. */
  #levelsOfWells(channel: number): ReadonlyMap<number, Levels> {
    const levels = new Map<number, Levels>()
    for (const [i, well] of this.#wells.entries()) {
      const own = this.#levelsOfWell(channel, well)
      if (own) levels.set(i, own)
    }
    return levels
  }
}
