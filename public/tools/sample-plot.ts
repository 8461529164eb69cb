const WIDTH = 256
const HEIGHT = 112
const NAMESPACE = 'http://www.w3.org/2000/svg'

/** A line of a plot: values at equal steps, NaN for gaps. */
export interface PlotLine {
  readonly colour: string
  readonly values: ArrayLike<number>
}

/** Lines over a common axis, on a dark ground in both themes, so that the colours of channels are those of the picture. */
export class SamplePlot {
  readonly root = document.createElementNS(NAMESPACE, 'svg')
  readonly #mark = document.createElementNS(NAMESPACE, 'path')

  constructor() {
    this.root.setAttribute('class', 'sample-plot')
    this.root.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`)
    this.root.setAttribute('preserveAspectRatio', 'none')
    this.root.setAttribute('aria-hidden', 'true')
    this.#mark.setAttribute('class', 'mark')
  }

  /** @param low value at the bottom. @param high value at the top. */
  show(lines: readonly PlotLine[], low: number, high: number): void {
    const paths = lines.map(({ colour, values }) => {
      const path = document.createElementNS(NAMESPACE, 'path')
      path.setAttribute('d', pathOf(values, low, high))
      path.setAttribute('stroke', colour)
      return path
    })
    this.root.replaceChildren(...paths, this.#mark)
  }

  /** @param share of the axis where a vertical line stands; undefined takes it away. */
  markAt(share: number | undefined): void {
    this.#mark.setAttribute('d', share === undefined ? '' : `M${share * WIDTH} 0V${HEIGHT}`)
  }
}

function pathOf(values: ArrayLike<number>, low: number, high: number): string {
  const last = Math.max(1, values.length - 1)
  const range = high - low || 1
  let path = ''
  let isGap = true
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number
    if (Number.isNaN(value)) {
      isGap = true
      continue
    }
    const x = (i / last) * WIDTH
    const y = HEIGHT - 2 - ((value - low) / range) * (HEIGHT - 4)
    path += `${isGap ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`
    // A sample between two gaps is a dot.
    if (isGap) path += 'h0'
    isGap = false
  }
  return path
}
