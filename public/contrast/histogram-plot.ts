import { bytesOfColour, coloursOf } from '../../src/render/colour-maps.js'
import { STRETCHED } from '../../src/render/style.js'
import { element } from '../parts/element.js'
import { formatNumber, sampleUnit } from '../parts/number-format.js'
import type { Levels } from '../picture/look.js'
import { brightness, CLIPPED, type Contrast, colourStep, formatLevel, MAX_GAMMA, MIN_GAMMA } from './contrast.js'
import { resample, type SampleHistogram } from './sample-histogram.js'

export interface PlotData {
  readonly contrast: Contrast
  readonly integer: boolean
  /** Of the samples; null of counts and of what has none. */
  readonly unit: string | null
  /** Of the whole channel, or of a well; undefined until it has arrived. */
  readonly all: SampleHistogram | undefined
  readonly inView: SampleHistogram | undefined
  /** Whether samples beyond black and white have colours of their own. */
  readonly marksClipped: boolean
}

export interface PlotListener {
  levelsChanged(part: Partial<Levels>): void
}

/** The drawing's own units; the width of the page stretches it. */
const WIDTH = 256
const HEIGHT = 104
const HEADROOM = 8
const COLUMNS = 128
const CURVE_POINTS = 48
/** Room to the right of white on the automatic axis, as a share of the window. */
const MARGIN = 0.25
const ZOOM_PER_UNIT = 1.0015
const LARGE_STEP = 10
const GAMMA_STEP = 0.02

/** Log histogram with draggable black and white levels and gamma; the strip below it is the legend. */
export class HistogramPlot {
  readonly #plot: HTMLElement
  readonly #paths: Readonly<Record<'all' | 'in-view' | 'curve-halo' | 'curve', SVGPathElement>>
  readonly #black: HTMLElement
  readonly #white: HTMLElement
  readonly #gamma: HTMLElement
  readonly #legend: HTMLCanvasElement
  readonly #axisStart: HTMLElement
  readonly #axisEnd: HTMLElement
  readonly #listener: PlotListener
  #data: PlotData | undefined
  #axis: { from: number; to: number } | undefined

  constructor(root: HTMLElement, listener: PlotListener) {
    const path = (name: string): SVGPathElement => element(root, `path.${name}`, SVGPathElement)
    this.#plot = element(root, '.plot', HTMLElement)
    this.#paths = {
      all: path('all'),
      'in-view': path('in-view'),
      'curve-halo': path('curve-halo'),
      curve: path('curve'),
    }
    this.#black = element(root, '.handle.black', HTMLElement)
    this.#white = element(root, '.handle.white', HTMLElement)
    this.#gamma = element(root, '.handle.gamma', HTMLElement)
    this.#legend = element(root, 'canvas.legend', HTMLCanvasElement)
    this.#axisStart = element(root, '.axis-start', HTMLElement)
    this.#axisEnd = element(root, '.axis-end', HTMLElement)
    this.#listener = listener
    this.#listen()
  }

  show(data: PlotData): void {
    this.#data = data
    this.#draw()
  }

  /** Choose the axis anew for window and data when they are shown next. */
  resetAxis(): void {
    this.#axis = undefined
  }

  #limits(data: PlotData): { min: number; max: number } {
    const { contrast, all, inView } = data
    const known = all ?? inView
    return {
      min: Math.min(known?.start ?? contrast.black, contrast.black),
      max: Math.max(known?.max ?? contrast.white, contrast.white),
    }
  }

  #automaticAxis(data: PlotData): { from: number; to: number } {
    const { contrast } = data
    const { min, max } = this.#limits(data)
    const room = MARGIN * (contrast.white - contrast.black)
    // A narrow window far from the darkest sample gets the axis to itself.
    const from = contrast.black - min > 2 * (contrast.white - contrast.black) ? contrast.black - room : min
    return { from, to: Math.min(max, contrast.white + room) }
  }

  #draw(): void {
    const data = this.#data
    if (!data) return
    const { contrast, integer } = data
    this.#axis ??= this.#automaticAxis(data)
    const { from, to } = this.#axis
    const share = (value: number): number => (value - from) / (to - from)
    this.#paths.all.setAttribute('d', data.all ? areaPath(data.all, from, to) : '')
    this.#paths['in-view'].setAttribute('d', data.inView ? linePath(data.inView, from, to) : '')
    const curve = curvePath(contrast, share)
    this.#paths['curve-halo'].setAttribute('d', curve)
    this.#paths.curve.setAttribute('d', curve)
    const middle = (contrast.black + contrast.white) / 2
    place(this.#black, share(contrast.black))
    place(this.#white, share(contrast.white))
    place(this.#gamma, share(middle))
    this.#gamma.style.top = `${(100 * curveY(brightness(middle, contrast))) / HEIGHT}%`
    const { min, max } = this.#limits(data)
    const unit = sampleUnit(data.unit, integer)
    const level = (value: number): string => formatLevel(value, contrast, integer)
    describe(this.#black, contrast.black, min, contrast.white, level(contrast.black) + unit)
    describe(this.#white, contrast.white, contrast.black, max, level(contrast.white) + unit)
    describe(this.#gamma, contrast.gamma, MIN_GAMMA, MAX_GAMMA, formatNumber(contrast.gamma, 2))
    const onAxis = (value: number): string => formatLevel(value, { black: from, white: to }, integer)
    this.#axisStart.textContent = onAxis(from)
    this.#axisEnd.textContent = `${onAxis(to)}${to < max ? ` of ${onAxis(max)}` : ''}${unit}, log`
    paintLegend(this.#legend, data, from, to)
  }

  #listen(): void {
    const grab = (handle: HTMLElement, move: (value: number, height: number) => void): void => {
      handle.addEventListener('pointerdown', event => {
        event.preventDefault()
        event.stopPropagation()
        handle.focus()
        this.#follow(handle, event, () => move)
      })
    }
    grab(this.#black, value => this.#moveBlack(value))
    grab(this.#white, value => this.#moveWhite(value))
    grab(this.#gamma, (_, height) => this.#moveGamma(clamp(height, 0.02, 0.98)))
    this.#plot.addEventListener('pointerdown', event => {
      this.#follow(this.#plot, event, start => {
        const window = this.#data?.contrast
        return value => {
          if (!window) return
          const shift = value - start
          this.#change({ black: window.black + shift, white: window.white + shift })
        }
      })
    })
    this.#plot.addEventListener('wheel', event => this.#zoomAxis(event), { passive: false })
    this.#plot.addEventListener('dblclick', () => {
      this.resetAxis()
      this.#draw()
    })
    this.#gamma.addEventListener('dblclick', event => {
      event.stopPropagation()
      this.#change({ gamma: 1 })
    })
    onSteps(this.#black, steps => this.#data && this.#moveBlack(this.#data.contrast.black + steps * this.#step()))
    onSteps(this.#white, steps => this.#data && this.#moveWhite(this.#data.contrast.white + steps * this.#step()))
    onSteps(this.#gamma, steps => this.#data && this.#change({ gamma: this.#data.contrast.gamma + steps * GAMMA_STEP }))
  }

  /** Steps of a key may come faster than frames: each goes on from the one before. */
  #change(part: Partial<Levels>): void {
    if (this.#data) this.#data = { ...this.#data, contrast: { ...this.#data.contrast, ...part } }
    this.#listener.levelsChanged(part)
  }

  /** One count, or a 500th of the axis for floating point. */
  #step(): number {
    return this.#data?.integer || !this.#axis ? 1 : (this.#axis.to - this.#axis.from) / 500
  }

  #moveBlack(value: number): void {
    const white = this.#data?.contrast.white
    if (white !== undefined) this.#change({ black: Math.min(value, white - this.#step()) })
  }

  #moveWhite(value: number): void {
    const black = this.#data?.contrast.black
    if (black !== undefined) this.#change({ white: Math.max(value, black + this.#step()) })
  }

  /** The curve is to pass its middle at a height 0 … 1. */
  #moveGamma(height: number): void {
    const stretch = this.#data?.contrast.stretch
    if (stretch) this.#change({ gamma: Math.log(height) / Math.log(STRETCHED[stretch](0.5)) })
  }

  /** Report where a captured pointer is: value on the axis, and height 0 … 1 in the plot. */
  #follow(
    target: HTMLElement,
    down: PointerEvent,
    begin: (value: number) => (value: number, height: number) => void,
  ): void {
    const axis = this.#axis
    if (!axis) return
    const box = this.#plot.getBoundingClientRect()
    const valueAt = (event: PointerEvent): number =>
      axis.from + clamp((event.clientX - box.left) / box.width, 0, 1) * (axis.to - axis.from)
    const move = begin(valueAt(down))
    const onMove = (event: PointerEvent): void =>
      move(valueAt(event), 1 - (event.clientY - box.top - HEADROOM) / (box.height - HEADROOM))
    target.setPointerCapture(down.pointerId)
    target.addEventListener('pointermove', onMove)
    target.addEventListener('lostpointercapture', () => target.removeEventListener('pointermove', onMove), {
      once: true,
    })
  }

  #zoomAxis(event: WheelEvent): void {
    event.preventDefault()
    if (!this.#axis || !this.#data) return
    const box = this.#plot.getBoundingClientRect()
    const { from, to } = this.#axis
    const anchor = from + ((event.clientX - box.left) / box.width) * (to - from)
    const factor = ZOOM_PER_UNIT ** event.deltaY
    const { min, max } = this.#limits(this.#data)
    const next = {
      from: Math.max(min, anchor - (anchor - from) * factor),
      to: Math.min(max, anchor + (to - anchor) * factor),
    }
    if (next.to - next.from < 4 * this.#step()) return
    this.#axis = next
    this.#draw()
  }
}

const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value))
const curveY = (shown: number): number => HEIGHT - 0.75 - (HEIGHT - HEADROOM - 1) * shown

function place(handle: HTMLElement, share: number): void {
  handle.style.left = `${100 * clamp(share, 0, 1)}%`
}

function describe(handle: HTMLElement, value: number, min: number, max: number, text: string): void {
  handle.setAttribute('aria-valuenow', `${value}`)
  handle.setAttribute('aria-valuemin', `${min}`)
  handle.setAttribute('aria-valuemax', `${max}`)
  handle.setAttribute('aria-valuetext', text)
}

function onSteps(handle: HTMLElement, move: (steps: number) => void): void {
  const directions: Record<string, number> = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }
  handle.addEventListener('keydown', event => {
    const direction = directions[event.key]
    if (direction === undefined) return
    event.preventDefault()
    event.stopPropagation()
    move(direction * (event.shiftKey ? LARGE_STEP : 1))
  })
}

/** Heights in the plot of a resampled histogram, logarithmic, the largest filling it. */
function heights(histogram: SampleHistogram, from: number, to: number): number[] {
  const columns = Array.from(resample(histogram, from, to, COLUMNS), count => Math.log10(1 + count))
  const largest = Math.max(...columns) || 1
  return columns.map(column => HEIGHT - ((HEIGHT - HEADROOM) * column) / largest)
}

function areaPath(histogram: SampleHistogram, from: number, to: number): string {
  const width = WIDTH / COLUMNS
  const steps = heights(histogram, from, to).map((y, column) => `L${column * width} ${y.toFixed(1)}h${width}`)
  return `M0 ${HEIGHT}${steps.join('')}V${HEIGHT}Z`
}

function linePath(histogram: SampleHistogram, from: number, to: number): string {
  const width = WIDTH / COLUMNS
  const points = heights(histogram, from, to).map((y, column) => `${(column + 0.5) * width} ${y.toFixed(1)}`)
  return `M${points.join('L')}`
}

function curvePath(contrast: Contrast, share: (value: number) => number): string {
  const points = Array.from({ length: CURVE_POINTS + 1 }, (_, point) => {
    // Closer together near black, where a logarithm rises almost at once.
    const value = contrast.black + (contrast.white - contrast.black) * (point / CURVE_POINTS) ** 3
    return `L${(WIDTH * share(value)).toFixed(2)} ${curveY(brightness(value, contrast)).toFixed(2)}`
  })
  return `M0 ${curveY(0)}${points.join('')}L${WIDTH} ${curveY(1)}`
}

function paintLegend(canvas: HTMLCanvasElement, { contrast, marksClipped }: PlotData, from: number, to: number): void {
  const table = coloursOf(contrast.colours)
  const image = new ImageData(canvas.width, 1)
  image.data.fill(255)
  for (let x = 0; x < canvas.width; x++) {
    const value = from + ((x + 0.5) / canvas.width) * (to - from)
    const step = 4 * colourStep(brightness(value, contrast), contrast.inverted)
    const clipped = value < contrast.black ? CLIPPED.below : value > contrast.white ? CLIPPED.above : undefined
    const colour = marksClipped && clipped ? bytesOfColour(clipped.slice(1)) : table.subarray(step, step + 3)
    image.data.set(colour, 4 * x)
  }
  canvas.getContext('2d')?.putImageData(image, 0, 0)
}
