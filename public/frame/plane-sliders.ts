import { element } from '../parts/element.js'
import type { Slice } from '../picture/look.js'
import { nameOfAxis, nameOfPlane } from '../picture/plane-names.js'
import type { PyramidInfo } from '../server/pyramid-api.js'

const AXES = ['zPlane', 'timePoint'] as const
type Axis = (typeof AXES)[number]

interface Row {
  readonly row: HTMLElement
  readonly name: HTMLElement
  readonly play: HTMLButtonElement
  readonly playIcon: SVGUseElement
  readonly input: HTMLInputElement
  readonly label: HTMLElement
}

export interface PlaneSlidersListener {
  /** @returns once the slice is drawn: whether it could be. */
  chosen(slice: Slice): Promise<boolean>
  /** This slice will be chosen next. */
  expected(slice: Slice): void
  /** Playing ended. */
  paused(): void
}

/** A slider each for z-plane and time point, where there is more than one; both can be played. */
export class PlaneSliders {
  readonly #root: HTMLElement
  readonly #listener: PlaneSlidersListener
  readonly #rows: Readonly<Record<Axis, Row>>
  readonly #speed: HTMLSelectElement
  #pyramid: PyramidInfo | undefined
  /** The axis that keys act on. */
  #lastUsed: Axis = 'timePoint'
  /** One object for each time that playing began. */
  #playing: { readonly axis: Axis } | undefined

  constructor(root: HTMLElement, listener: PlaneSlidersListener) {
    this.#root = root
    this.#listener = listener
    this.#speed = element(root, '[name=speed]', HTMLSelectElement)
    const rowOf = (axis: string): Row => {
      const row = element(root, `[data-axis=${axis}]`, HTMLElement)
      return {
        row,
        name: element(row, 'span', HTMLElement),
        play: element(row, 'button', HTMLButtonElement),
        playIcon: element(row, 'use', SVGUseElement),
        input: element(row, 'input', HTMLInputElement),
        label: element(row, 'output', HTMLElement),
      }
    }
    this.#rows = { zPlane: rowOf('zPlane'), timePoint: rowOf('timePoint') }
    for (const axis of AXES) {
      const { input, play } = this.#rows[axis]
      input.addEventListener('input', () => void this.#choose(axis, Number(input.value)))
      play.addEventListener('click', () => (this.#playing?.axis === axis ? this.pause() : void this.#play(axis)))
    }
  }

  get isPlaying(): boolean {
    return this.#playing !== undefined
  }

  /** Show where one is. */
  show(pyramid: PyramidInfo, slice: Slice): void {
    this.#pyramid = pyramid
    const counts = { zPlane: pyramid.zPlanes, timePoint: pyramid.timePoints }
    for (const axis of AXES) {
      const { row, name, play, input } = this.#rows[axis]
      const title = nameOfAxis(pyramid, axis)
      name.textContent = title
      name.title = title
      input.ariaLabel = title
      play.ariaLabel = `Play ${title}`
      row.hidden = counts[axis] < 2
      input.max = `${counts[axis] - 1}`
      this.#set(axis, slice[axis])
      if (row.hidden && this.#playing?.axis === axis) this.pause()
    }
    this.#root.hidden = AXES.every(axis => counts[axis] < 2)
    if (this.#rows[this.#lastUsed].row.hidden) this.#lastUsed = AXES.find(axis => counts[axis] > 1) ?? 'timePoint'
  }

  /** One slice on or back along the axis used last, around its ends. */
  step(direction: number): void {
    if (!this.#root.hidden) void this.#choose(this.#lastUsed, this.#beside(this.#lastUsed, direction))
  }

  /** Play the axis used last, or pause. */
  togglePlay(): void {
    if (this.#playing) this.pause()
    else if (!this.#root.hidden) void this.#play(this.#lastUsed)
  }

  pause(): void {
    if (!this.#playing) return
    this.#playing = undefined
    this.#showPlaying()
    this.#listener.paused()
  }

  /** Slice after slice: the next when the last is drawn, and no more of them in a second than chosen. */
  async #play(axis: Axis): Promise<void> {
    const playing = { axis }
    this.#playing = playing
    this.#showPlaying()
    while (this.#playing === playing) {
      const nextAt = performance.now() + 1000 / Number(this.#speed.value)
      const drawn = await this.#choose(axis, this.#beside(axis, 1))
      if (this.#playing !== playing) return
      if (!drawn) return this.pause()
      this.#listener.expected({ ...this.#slice, [axis]: this.#beside(axis, 1) })
      await new Promise(resolve => setTimeout(resolve, nextAt - performance.now()))
    }
  }

  get #slice(): Slice {
    const indexOf = (axis: Axis): number => Number(this.#rows[axis].input.value)
    return { zPlane: indexOf('zPlane'), timePoint: indexOf('timePoint') }
  }

  #beside(axis: Axis, direction: number): number {
    const count = Number(this.#rows[axis].input.max) + 1
    return (this.#slice[axis] + direction + count) % count
  }

  #choose(axis: Axis, index: number): Promise<boolean> {
    this.#lastUsed = axis
    this.#set(axis, index)
    return this.#listener.chosen(this.#slice)
  }

  #set(axis: Axis, index: number): void {
    const { input, label } = this.#rows[axis]
    const text = this.#pyramid ? nameOfPlane(this.#pyramid, axis, index) : ''
    input.value = `${index}`
    input.setAttribute('aria-valuetext', text)
    label.textContent = text
  }

  #showPlaying(): void {
    for (const axis of AXES) {
      const isPlaying = this.#playing?.axis === axis
      const { play, playIcon } = this.#rows[axis]
      play.ariaPressed = String(isPlaying)
      playIcon.setAttribute('href', isPlaying ? '#icon-pause' : '#icon-play')
    }
  }
}
