import type { Rect } from '../plane.js'
import type { Region } from '../pyramid/read-region.js'

/** Connected samples above a threshold. */
export interface Component {
  readonly pixels: number
  /** Mean place, each sample weighted by what it has above the threshold; px of the level. */
  readonly x: number
  readonly y: number
}

/** Labels that are kept before those that are done with are looked for. */
const MANY_LABELS = 2 ** 18

/**
 * Finds connected samples above a threshold, corners included, in blocks that come one after the other: row by row
 * from the top left, those that hold nothing may be left out. What is kept is a line of labels across the region, and
 * what is known of components that reach it.
 */
export class ComponentFinder {
  readonly #region: Rect
  readonly #threshold: number
  readonly #onComponent: (component: Component) => void
  /** Labels of the last lines above the row of blocks, and of the row itself; a free place at either end. */
  #above: Int32Array
  #below: Int32Array
  /** Labels of the right edge of the last block. */
  #edge = new Int32Array(0)
  #rowY = Number.NaN
  #rowEnd = Number.NaN
  #edgeX = Number.NaN
  /** Label 0 is none. A label whose parent is itself stands for a component. */
  #labels = 1
  #parent = new Int32Array(4096)
  /** Four numbers a label: pixels, weight, weight · x, weight · y. */
  #sums = new Float64Array(4 * 4096)

  /**
   * @param region that the blocks are parts of, px of the level. @param threshold in stored values.
   * @param onComponent is told of each component once, as soon as nothing more can belong to it.
   */
  constructor(region: Rect, threshold: number, onComponent: (component: Component) => void) {
    this.#region = region
    this.#threshold = threshold
    this.#onComponent = onComponent
    this.#above = new Int32Array(region.x1 - region.x0 + 2)
    this.#below = new Int32Array(region.x1 - region.x0 + 2)
  }

  /** @param rect of the block; `samples` are those of it alone. */
  add(rect: Rect, samples: Region): void {
    if (rect.y0 !== this.#rowY) this.#beginRow(rect)
    const [width, height] = [rect.x1 - rect.x0, rect.y1 - rect.y0]
    const stride = width + 2
    const labels = new Int32Array(stride * (height + 1))
    // Around the block lie the labels of its neighbours: above with both corners, and left.
    const from = rect.x0 - this.#region.x0
    labels.set(this.#above.subarray(from, from + stride))
    if (this.#edgeX === rect.x0) for (let y = 0; y < height; y++) labels[(y + 1) * stride] = this.#edge[y]
    this.#label(labels, rect, samples)
    this.#below.set(labels.subarray(height * stride + 1, height * stride + 1 + width), from + 1)
    this.#edge = Int32Array.from({ length: height }, (_, y) => labels[(y + 1) * stride + width])
    this.#edgeX = rect.x1
    if (this.#labels > MANY_LABELS) this.#settle()
  }

  /** Tell of what is left: nothing more comes. */
  finish(): void {
    this.#above.fill(0)
    this.#below.fill(0)
    this.#edge.fill(0)
    this.#settle()
  }

  #beginRow(rect: Rect): void {
    const isNext = rect.y0 === this.#rowEnd
    const line = this.#above
    this.#above = isNext ? this.#below : line.fill(0)
    this.#below = isNext ? line.fill(0) : this.#below.fill(0)
    this.#rowY = rect.y0
    this.#rowEnd = rect.y1
    this.#edgeX = Number.NaN
    this.#edge.fill(0)
    this.#settle()
  }

  /** Give every sample above the threshold the label of its neighbours; neighbours that differ are one component. */
  #label(labels: Int32Array, { x0, y0, x1, y1 }: Rect, { plane: { samples }, mask }: Region): void {
    const threshold = this.#threshold
    const [width, height] = [x1 - x0, y1 - y0]
    const stride = width + 2
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0, at = (y + 1) * stride + 1; x < width; x++, i++, at++) {
        const above = samples[i] - threshold
        // NaN is not above anything, and infinity has no place.
        if (!(above > 0 && above < Infinity) || (mask !== undefined && mask[i] === 0)) continue
        let label = this.#join(0, labels[at - 1])
        label = this.#join(label, labels[at - stride - 1])
        label = this.#join(label, labels[at - stride])
        label = this.#join(label, labels[at - stride + 1])
        // The block to the left is labelled already, below this line too.
        if (x === 0 && y + 1 < height) label = this.#join(label, labels[at + stride - 1])
        if (label === 0) label = this.#newLabel()
        labels[at] = label
        const sums = this.#sums
        sums[4 * label]++
        sums[4 * label + 1] += above
        sums[4 * label + 2] += above * (x0 + x)
        sums[4 * label + 3] += above * (y0 + y)
      }
    }
  }

  /** The label that stands for both; 0 is none. */
  #join(label: number, neighbour: number): number {
    if (neighbour === 0) return label
    const root = this.#rootOf(neighbour)
    if (label === 0 || label === root) return root
    const [kept, given] = label < root ? [label, root] : [root, label]
    this.#parent[given] = kept
    for (let i = 0; i < 4; i++) {
      this.#sums[4 * kept + i] += this.#sums[4 * given + i]
      this.#sums[4 * given + i] = 0
    }
    return kept
  }

  #rootOf(label: number): number {
    const parent = this.#parent
    let root = label
    while (parent[root] !== root) {
      // Halving the way keeps ways short.
      parent[root] = parent[parent[root]]
      root = parent[root]
    }
    return root
  }

  #newLabel(): number {
    const label = this.#labels++
    if (label >= this.#parent.length) {
      const [parent, sums] = [new Int32Array(2 * label), new Float64Array(8 * label)]
      parent.set(this.#parent)
      sums.set(this.#sums)
      this.#parent = parent
      this.#sums = sums
    }
    this.#parent[label] = label
    return label
  }

  /** Tell of components that no line reaches any more, and number the others anew. */
  #settle(): void {
    const kept = new Int32Array(this.#labels)
    const sums = this.#sums.slice(0, 4 * this.#labels)
    let count = 1
    for (const line of [this.#above, this.#below, this.#edge]) {
      for (let i = 0; i < line.length; i++) {
        if (line[i] === 0) continue
        const root = this.#rootOf(line[i])
        if (kept[root] === 0) kept[root] = count++
        line[i] = kept[root]
      }
    }
    for (let label = 1; label < this.#labels; label++) {
      const [pixels, weight, wx, wy] = sums.subarray(4 * label, 4 * label + 4)
      if (kept[label] > 0) this.#sums.set([pixels, weight, wx, wy], 4 * kept[label])
      // Labels that were joined to another one have given it all they had.
      else if (pixels > 0) this.#onComponent({ pixels, x: wx / weight, y: wy / weight })
    }
    this.#sums.fill(0, 4 * count, 4 * this.#labels)
    for (let label = 1; label < count; label++) this.#parent[label] = label
    this.#labels = count
  }
}
