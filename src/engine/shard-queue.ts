import type { ShardKey } from '../pyramid/shard-journal.js'
import type { ShardNode, ShardTree } from './shard-tree.js'

type State =
  /** A parent whose children are not all there. */
  | 'waiting'
  /** To be made. */
  | 'stale'
  | 'making'
  /** What lies on the disk is what the plan asks for. */
  | 'current'

/** Leaves `from` … `to − 1` of the queue's order: what one worker goes through. */
interface Stretch {
  from: number
  to: number
}

/**
 * Which shard is made next. Every worker goes through a stretch of neighbours, so that the frames they share stay in its
 * memory; who is done helps with the longest stretch left. Parents come first as soon as their children are there, then
 * what somebody looks at. A few leaves come before all parents: these can be shown without.
 */
export class ShardQueue {
  readonly #tree: ShardTree
  readonly #states = new Map<ShardNode, State>()
  /** What lies on the disk. */
  readonly #fingerprints = new Map<ShardNode, string>()
  readonly #order: readonly ShardNode[]
  #stretches: Stretch[] = []
  #hasFew = false
  readonly #parents: ShardNode[] = []
  /** Parents that are being made from what is not there any more. */
  readonly #outdated = new Set<ShardNode>()
  #wanted: ShardNode[] = []
  #remaining = 0

  /**
   * @param fingerprintOf what a node's file holds now; undefined where there is none.
   * @param expectedOf what a leaf should hold.
   */
  constructor(
    tree: ShardTree,
    fingerprintOf: (node: ShardNode) => string | undefined,
    expectedOf: (leaf: ShardNode) => string,
  ) {
    this.#tree = tree
    for (const node of tree.nodes()) {
      const held = fingerprintOf(node)
      if (held !== undefined) this.#fingerprints.set(node, held)
      if (node.level > 0) this.#states.set(node, 'waiting')
    }
    const current: ShardNode[] = []
    this.#order = tree.leaves.filter(leaf => {
      if (this.#fingerprints.get(leaf) === expectedOf(leaf)) {
        this.#states.set(leaf, 'current')
        current.push(leaf)
        return false
      }
      this.#states.set(leaf, 'stale')
      return true
    })
    this.#remaining = this.#order.length
    for (const leaf of current) this.#childDone(leaf)
  }

  /**
   * Give each worker its stretch; to be called before `next`.
   *
   * @param few so many leaves come before all parents.
   */
  divide(workers: number, few: number): void {
    const { length } = this.#order
    this.#hasFew = length <= few
    this.#stretches = Array.from({ length: workers }, (_, i) => ({
      from: Math.floor((i * length) / workers),
      to: Math.floor(((i + 1) * length) / workers),
    }))
  }

  /** Shards that are not current, those being made included. Parents count once their children are there. */
  get isDone(): boolean {
    return this.#remaining === 0
  }

  /** Whether what is being made of it is still wanted. */
  isWanted(node: ShardNode): boolean {
    return this.#states.get(node) === 'making' && !this.#outdated.has(node)
  }

  isCurrent(node: ShardNode): boolean {
    return this.#states.get(node) === 'current'
  }

  /** What a parent will stand for, from the children on the disk. */
  expectedOfParent(node: ShardNode): string {
    return this.#tree.fingerprintOfParent(node.children.map(child => child && this.#fingerprints.get(child)))
  }

  /** @returns the next shard for a worker; undefined when there is none just now. */
  next(worker: number): ShardNode | undefined {
    const node = this.#hasFew
      ? (this.#nextLeaf(worker) ?? this.#nextParent())
      : (this.#nextParent() ?? this.#nextLeaf(worker))
    if (node) this.#states.set(node, 'making')
    return node
  }

  /** Make what lies below a node next; the latest wish comes first. */
  prioritise(key: ShardKey): void {
    const node = this.#tree.find(key)
    if (!node || this.isCurrent(node)) return
    const leaves = this.#tree.leavesBelow(node).filter(leaf => this.#states.get(leaf) === 'stale')
    this.#wanted = [...new Set([...leaves, ...this.#wanted])]
  }

  /** A node was made and committed. */
  finish(node: ShardNode, fingerprint: string): void {
    this.#fingerprints.set(node, fingerprint)
    this.#states.set(node, 'current')
    this.#remaining--
    this.#childDone(node)
  }

  /** What was made of a node is not wanted, or nothing was made: it comes again when it can be made. */
  giveBack(node: ShardNode): void {
    this.#outdated.delete(node)
    if (node.level === 0) {
      this.retry(node)
      return
    }
    this.#remaining--
    this.#states.set(node, 'waiting')
    this.#consider(node)
  }

  /** A leaf that is being made, or was, must be made (again). */
  retry(node: ShardNode): void {
    const state = this.#states.get(node)
    if (state === 'stale') return
    this.#states.set(node, 'stale')
    if (state === 'current') this.#remaining++
    this.#wanted.push(node)
    for (let above = node.parent; above; above = above.parent) this.#wait(above)
  }

  /** A parent of which something below is made anew. */
  #wait(node: ShardNode): void {
    const state = this.#states.get(node)
    // Nobody else gets it before whoever is at it is done: two would write to one file.
    if (state === 'making') {
      this.#outdated.add(node)
      return
    }
    if (state === 'stale') this.#remaining--
    this.#states.set(node, 'waiting')
  }

  #childDone({ parent }: ShardNode): void {
    if (parent && this.#states.get(parent) === 'waiting') this.#consider(parent)
  }

  /** A parent waits no longer once its children are all there. */
  #consider(parent: ShardNode): void {
    if (!parent.children.every(child => child === undefined || this.isCurrent(child))) return
    if (this.#fingerprints.get(parent) === this.expectedOfParent(parent)) {
      this.#states.set(parent, 'current')
      this.#childDone(parent)
      return
    }
    this.#states.set(parent, 'stale')
    this.#remaining++
    this.#parents.push(parent)
  }

  #nextParent(): ShardNode | undefined {
    for (let node = this.#parents.pop(); node; node = this.#parents.pop())
      if (this.#states.get(node) === 'stale') return node
    return undefined
  }

  #nextLeaf(worker: number): ShardNode | undefined {
    return this.#nextWanted() ?? this.#nextOf(worker)
  }

  #nextWanted(): ShardNode | undefined {
    for (let leaf = this.#wanted.shift(); leaf; leaf = this.#wanted.shift())
      if (this.#states.get(leaf) === 'stale') return leaf
    return undefined
  }

  #nextOf(worker: number): ShardNode | undefined {
    const own = this.#stretches[worker]
    for (; own.from < own.to; own.from++)
      if (this.#states.get(this.#order[own.from]) === 'stale') return this.#order[own.from++]
    const longest = this.#stretches.reduce((a, b) => (b.to - b.from > a.to - a.from ? b : a))
    for (; longest.from < longest.to; longest.to--)
      if (this.#states.get(this.#order[longest.to - 1]) === 'stale') return this.#order[--longest.to]
    return undefined
  }
}
