import { paintColours } from '../contrast/colour-strip.js'
import { formatLevel } from '../contrast/contrast.js'
import type { ChannelRow } from '../contrast/contrast-choices.js'
import { element } from '../parts/element.js'
import { icon } from '../parts/icon.js'
import { sampleUnit } from '../parts/number-format.js'
import type { OverlayLayer } from './overlay-layer.js'

export interface LayersListener {
  /** @returns why the channel stays as it is; `undefined` where it was shown or hidden. */
  channelToggled(channel: number, visible: boolean): string | undefined
  /** One channel alone, and again: all that were seen before. */
  channelSoloed(channel: number): void
  channelSelected(channel: number): void
  overlayToggled(name: string, visible: boolean): void
}

interface LayerRow {
  readonly row: HTMLElement
  readonly eye: HTMLButtonElement
  readonly swatch: HTMLCanvasElement
  readonly name: HTMLElement
  readonly value: HTMLElement
}

const EN_DASH = '\u2013'

/**
 * A row for every channel and for everything drawn over the picture, with an eye that shows and hides it. The keyboard
 * moves from eye to eye.
 */
export class LayersPanel {
  readonly #rows: HTMLElement
  readonly #note: HTMLElement
  readonly #listener: LayersListener
  #shown: { key: string; rows: LayerRow[] } = { key: '', rows: [] }
  #channels: readonly ChannelRow[] = []
  #overlays: readonly OverlayLayer[] = []

  constructor(root: HTMLElement, listener: LayersListener) {
    this.#rows = element(root, '.layers', HTMLElement)
    this.#note = element(root, '.note', HTMLElement)
    this.#listener = listener
    this.#rows.addEventListener('keydown', event => this.#onKey(event))
  }

  /** @param integer whether channels hold whole counts. */
  show(channels: readonly ChannelRow[], integer: boolean, overlays: readonly OverlayLayer[]): void {
    this.#channels = channels
    this.#overlays = overlays
    const key = JSON.stringify([channels.length, overlays.map(({ name }) => name)])
    if (key !== this.#shown.key) this.#build(key)
    for (const [i, { row, eye, swatch, name, value }] of this.#shown.rows.entries()) {
      const channel = channels[i]
      const overlay = overlays[i - channels.length]
      const visible = (channel ?? overlay)?.visible ?? false
      name.textContent = channel?.name ?? overlay?.label ?? ''
      value.textContent = channel ? windowText(channel, integer) : (overlay?.value ?? '')
      eye.ariaChecked = String(visible)
      eye.ariaLabel = `${name.textContent}, ${value.textContent}`
      row.classList.toggle('off', !visible)
      row.classList.toggle('selected', channels.length > 1 && channel?.selected === true)
      if (channel) paintColours(swatch, channel.contrast)
    }
  }

  #build(key: string): void {
    const channels = this.#channels.map((_, i) => this.#channelRow(i))
    const overlays = this.#overlays.map(({ name }) => this.#overlayRow(name))
    const rows = [...channels, ...overlays]
    this.#shown = { key, rows }
    this.#rows.replaceChildren(...rows.map(({ row }) => row))
    for (const [i, { eye }] of rows.entries()) eye.tabIndex = i === 0 ? 0 : -1
  }

  #channelRow(channel: number): LayerRow {
    const row = emptyRow()
    row.eye.title = 'Show or hide · Alt: this one alone'
    row.eye.addEventListener('click', event => {
      if (event.altKey) this.#listener.channelSoloed(channel)
      const visible = this.#channels[channel]?.visible ?? false
      this.#tell(event.altKey ? undefined : this.#listener.channelToggled(channel, !visible))
    })
    row.row.addEventListener('click', event => {
      if (!row.eye.contains(event.target as Node)) this.#listener.channelSelected(channel)
    })
    return row
  }

  #overlayRow(name: string): LayerRow {
    const row = emptyRow()
    row.swatch.remove()
    row.row.addEventListener('click', () => {
      const visible = this.#overlays.find(overlay => overlay.name === name)?.visible ?? false
      this.#listener.overlayToggled(name, !visible)
    })
    return row
  }

  /** Why nothing happened; taken back with the next that does. */
  #tell(reason: string | undefined): void {
    this.#note.textContent = reason ?? ''
    this.#note.hidden = reason === undefined
  }

  /** Arrow keys move between rows; Space presses the eye as any button. */
  #onKey(event: KeyboardEvent): void {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key]
    const eyes = this.#shown.rows.map(({ eye }) => eye)
    const from = eyes.indexOf(document.activeElement as HTMLButtonElement)
    const next = step === undefined ? undefined : eyes[from + step]
    if (step === undefined || from < 0) return
    event.preventDefault()
    event.stopPropagation()
    if (!next) return
    for (const eye of eyes) eye.tabIndex = eye === next ? 0 : -1
    next.focus()
  }
}

function emptyRow(): LayerRow {
  const row = document.createElement('li')
  row.className = 'layer'
  const eye = document.createElement('button')
  eye.className = 'icon-button eye'
  eye.setAttribute('role', 'switch')
  eye.append(icon('eye'), icon('eye-off'))
  const swatch = document.createElement('canvas')
  const name = document.createElement('span')
  name.className = 'name'
  const value = document.createElement('span')
  value.className = 'value'
  row.append(eye, swatch, name, value)
  return { row, eye, swatch, name, value }
}

function windowText({ contrast, unit }: ChannelRow, integer: boolean): string {
  const [black, white] = [contrast.black, contrast.white].map(value => formatLevel(value, contrast, integer))
  return `${black}${EN_DASH}${white}${sampleUnit(unit, integer)}`
}
