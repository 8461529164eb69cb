import { createHash } from 'node:crypto'
import type { Rect } from '../plane.js'
import { rectAtLevel } from '../plane.js'
import { SHARD_SIZE } from '../pyramid/mosaic-geometry.js'
import type { Placement } from '../pyramid/placement.js'
import type { MosaicSelection } from '../pyramid/pyramid.js'
import { nameOfShard, type ShardKey } from '../pyramid/shard-journal.js'

/** To be raised when the same series and settings give other samples: shards of an older engine are then made again. */
const ENGINE_VERSION = 1

/** A shard of the plan. */
export interface ShardNode extends ShardKey {
  /** Its path below the pyramid's folder. */
  readonly name: string
  readonly parent: ShardNode | undefined
  /** The four below it, row by row; undefined where nothing is planned. Empty at level 0. */
  readonly children: (ShardNode | undefined)[]
  /** Level 0: the frames that touch it, positions in the placement, ascending. */
  readonly frames: number[]
}

/**
 * Which shards a placement makes, and from what: plain data, without a sample. Nodes exist only where frames lie.
 */
export class ShardTree {
  readonly placement: Placement
  /** Level 0, plane by plane: in Z order, so that neighbours come together, or row by row. */
  readonly leaves: readonly ShardNode[]
  readonly #nodes: ReadonlyMap<string, ShardNode>
  readonly #base: string

  /**
   * @param settingsFingerprint of everything of the settings that changes a sample.
   * @param isInRows whether leaves come row by row, as is best for what is decoded in rows.
   */
  constructor(placement: Placement, settingsFingerprint: string, isInRows = false) {
    this.placement = placement
    const { sampleType, pedestal, geometry } = placement
    this.#base = JSON.stringify([ENGINE_VERSION, settingsFingerprint, sampleType, pedestal, geometry.tileSize])
    const nodes = new Map<string, ShardNode>()
    this.#nodes = nodes
    const makeNode = (key: ShardKey): ShardNode => {
      const name = nameOfShard(key)
      const known = nodes.get(name)
      if (known) return known
      const { selection, level, row, column } = key
      const isTop = level + 1 === geometry.levelCount
      const above = { selection, level: level + 1, row: Math.floor(row / 2), column: Math.floor(column / 2) }
      const parent = isTop ? undefined : makeNode(above)
      const children = level === 0 ? [] : [undefined, undefined, undefined, undefined]
      const node: ShardNode = { ...key, name, parent, children, frames: [] }
      if (parent) parent.children[(row % 2) * 2 + (column % 2)] = node
      nodes.set(name, node)
      return node
    }
    const leaves = new Set<ShardNode>()
    placement.frames.forEach(({ rect, selection }, position) => {
      for (const key of leavesUnder(rect, selection)) {
        const leaf = makeNode(key)
        leaf.frames.push(position)
        leaves.add(leaf)
      }
    })
    const comparePlaces = (a: ShardKey, b: ShardKey): number =>
      isInRows ? a.row - b.row || a.column - b.column : zOrder(a.row, a.column) - zOrder(b.row, b.column)
    this.leaves = [...leaves].sort((a, b) => comparePlanes(a.selection, b.selection) || comparePlaces(a, b))
  }

  get size(): number {
    return this.#nodes.size
  }

  nodes(): IterableIterator<ShardNode> {
    return this.#nodes.values()
  }

  find(key: ShardKey): ShardNode | undefined {
    return this.#nodes.get(nameOfShard(key))
  }

  /** The leaves that a frame touches. */
  leavesOf(position: number): ShardNode[] {
    const { rect, selection } = this.placement.frames[position]
    return leavesUnder(rect, selection)
      .map(key => this.find(key))
      .filter(leaf => leaf !== undefined)
  }

  /** All leaves below a node, itself included, in Z order. */
  leavesBelow(node: ShardNode): ShardNode[] {
    return node.level === 0 ? [node] : node.children.flatMap(child => (child ? this.leavesBelow(child) : []))
  }

  /**
   * Stands for everything that a leaf's samples depend on.
   *
   * @param isSkipped whether a frame (its position) is known to be unreadable.
   */
  fingerprintOfLeaf(leaf: ShardNode, isSkipped: (position: number) => boolean): string {
    const { frames, darkLevels } = this.placement
    const hash = createHash('sha256').update(this.#base)
    for (const position of leaf.frames) {
      const { series, index, stamp, rect } = frames[position]
      const { x0, y0, x1, y1 } = rect
      hash.update(`\n${series} ${index} ${stamp} ${x0} ${y0} ${x1} ${y1} ${darkLevels[series]}`)
      if (isSkipped(position)) hash.update(' skipped')
    }
    return hash.digest('hex').slice(0, 16)
  }

  /** Stands for a parent: for the four below it. */
  fingerprintOfParent(children: readonly (string | undefined)[]): string {
    return createHash('sha256').update(this.#base).update(children.join(' ')).digest('hex').slice(0, 16)
  }

  /** x0, y0, x1, y1 of the frames in a node, px of `level`. */
  rectsIn(node: ShardNode, level: number, isSkipped: (position: number) => boolean): Int32Array {
    const seen = new Set<number>()
    for (const leaf of this.leavesBelow(node))
      for (const position of leaf.frames) if (!isSkipped(position)) seen.add(position)
    const flat = new Int32Array(4 * seen.size)
    let at = 0
    for (const position of seen) {
      const { x0, y0, x1, y1 } = rectAtLevel(this.placement.frames[position].rect, level)
      flat.set([x0, y0, x1, y1], at)
      at += 4
    }
    return flat
  }
}

function leavesUnder(rect: Rect, selection: MosaicSelection): ShardKey[] {
  const keys: ShardKey[] = []
  for (let row = Math.floor(rect.y0 / SHARD_SIZE); row * SHARD_SIZE < rect.y1; row++)
    for (let column = Math.floor(rect.x0 / SHARD_SIZE); column * SHARD_SIZE < rect.x1; column++)
      keys.push({ selection, level: 0, row, column })
  return keys
}

function comparePlanes(a: MosaicSelection, b: MosaicSelection): number {
  return a.timePoint - b.timePoint || a.channel - b.channel || a.zPlane - b.zPlane
}

/** Bits of column and row in turn. A mosaic has at most 2¹⁵ shards along an edge. */
function zOrder(row: number, column: number): number {
  let code = 0
  for (let bit = 0; bit < 15; bit++) code += (((column >> bit) & 1) + 2 * ((row >> bit) & 1)) * 4 ** bit
  return code
}
