import { element } from '../parts/element.js'
import type { ViewFrame } from '../picture/view-frame.js'

const ARM_PX = 16
const LABEL_PX = 23
const HEAD_PX = 4

/** The axes of the stage, shown while they do not run as usual: x to the right and y down. A click turns them back. */
export class Compass {
  readonly #root: HTMLButtonElement
  readonly #axes: SVGGElement
  readonly #arrows: SVGPathElement
  readonly #names: readonly SVGTextElement[]

  constructor(root: HTMLButtonElement, onReset: () => void) {
    this.#root = root
    this.#axes = element(root, 'g', SVGGElement)
    this.#arrows = element(root, 'path', SVGPathElement)
    this.#names = ['.x', '.y'].map(name => element(root, name, SVGTextElement))
    root.addEventListener('click', onReset)
  }

  follow({ rotation, yUp }: ViewFrame): void {
    this.#root.hidden = rotation === 0 && !yUp
    if (this.#root.hidden) return
    const right = (rotation * Math.PI) / 180
    const directions = [right, right + (yUp ? -Math.PI / 2 : Math.PI / 2)]
    // The arrows begin where the whole, with its names, comes to lie in the middle.
    const middle = (part: (angle: number) => number): number =>
      (-LABEL_PX / 2) * directions.reduce((sum, direction) => sum + part(direction), 0)
    this.#axes.setAttribute('transform', `translate(${middle(Math.cos)} ${middle(Math.sin)})`)
    this.#arrows.setAttribute('d', directions.map(arrow).join(''))
    directions.forEach((direction, axis) => {
      const name = this.#names[axis]
      name?.setAttribute('x', `${Math.cos(direction) * LABEL_PX}`)
      name?.setAttribute('y', `${Math.sin(direction) * LABEL_PX}`)
    })
  }
}

/** An arrow from the origin, as the path of an SVG. */
function arrow(direction: number): string {
  const tip = [Math.cos(direction) * ARM_PX, Math.sin(direction) * ARM_PX] as const
  const barb = (side: number): string => {
    const back = direction + Math.PI + side
    return `${tip[0] + Math.cos(back) * HEAD_PX} ${tip[1] + Math.sin(back) * HEAD_PX}`
  }
  return `M0 0L${tip[0]} ${tip[1]}M${barb(0.6)}L${tip[0]} ${tip[1]}L${barb(-0.6)}`
}
