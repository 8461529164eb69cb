import { randomBytes } from 'node:crypto'
import { type Rect, rectAtLevel, touches } from '../plane.js'
import { fillMask } from './coverage.js'
import { gridOf, type MosaicGeometry, SHARD_SIZE, type TileAddress, tileRegion } from './mosaic-geometry.js'
import type { PlaneExtent } from './plane-coverages.js'
import type { MosaicSelection, ShardVersion } from './pyramid.js'
import { nameOfShard, type ShardEntry, type ShardKey } from './shard-entry.js'

/** A shard's file as the journal tells of it. */
export interface StoredShard extends ShardKey {
  /** Path below the pyramid's folder. */
  readonly name: string
  readonly bytes: number
  readonly crc32: string
  /** Of its line in the journal: another digest, other samples or another coverage. */
  readonly digest: string
  /** Level 0: rectangles of the frames in it, level-0 px. */
  readonly rects: readonly Rect[]
}

interface Told {
  readonly shard: StoredShard
  /** When the journal told of it, in its own order. */
  readonly order: number
}

/** One plane's shards. Maps are by `ROW/COLUMN`. */
interface PlaneShards {
  readonly leaves: Map<string, Told>
  /** By level; the place of level 0 stays empty. */
  readonly parents: readonly Map<string, Told>[]
  /** By level. */
  readonly versions: readonly Map<string, string>[]
  /** By level: when a leaf below last changed. */
  readonly changed: readonly Map<string, number>[]
}

/** Where the samples of a tile are. */
export type TileSource =
  /** In a shard's file, under the mask. */
  | { readonly kind: 'stored'; readonly shard: StoredShard; readonly mask: Uint8Array | undefined }
  /** In those below it: its own file is not there, or older than what lies below. */
  | { readonly kind: 'composed' }

/**
 * What is built of a growing pyramid, after its journal: which files hold what, which coarse shards are settled, and the
 * version of each.
 *
 * A leaf (level 0) is what its newest entry says. A parent is settled when its entry is newer than the last change of any
 * leaf below it; a builder writes it only then. Until then its tiles are composed from those below, to the same samples.
 */
export class BuiltShards {
  readonly #geometry: MosaicGeometry
  readonly #extent: PlaneExtent
  /** Begins every version: shards of another lattice, or another build, have other versions. */
  readonly #lineage: string
  /** Of versions that nobody else gives: this process's own. */
  readonly #nonce = randomBytes(4).toString('hex')
  readonly #planes = new Map<string, PlaneShards>()
  #changes = new Map<string, ShardVersion>()
  #hasLost = false
  #order = 0
  #provisional = 0

  constructor(geometry: MosaicGeometry, extent: PlaneExtent, lineage: string) {
    this.#geometry = geometry
    this.#extent = extent
    this.#lineage = lineage
  }

  /** Take an entry of the journal. One of a shard that this mosaic does not have is passed over. */
  add(entry: ShardEntry, digest: string): void {
    const { selection, level, row, column, bytes, crc32, covered = [] } = entry
    if (!this.#isInside(entry)) return
    const { leaves, parents } = this.#plane(selection)
    const stored = level === 0 ? leaves : parents[level]
    const known = stored.get(`${row}/${column}`)?.shard
    const order = ++this.#order
    const shard =
      known?.digest === digest
        ? known
        : { selection, level, row, column, name: nameOfShard(entry), bytes, crc32, digest, rects: rectsOf(covered) }
    stored.set(`${row}/${column}`, { shard, order })
    if (level > 0) this.#settle(shard)
    else if (shard !== known) {
      this.#setVersion(shard, shard.rects.length > 0 ? digest : undefined)
      this.#touchParents(shard, order)
    }
  }

  /** The order that the next entry gets; for `removeBefore`. */
  get mark(): number {
    return this.#order + 1
  }

  /** Forget shards that were not told of since `mark`: a new journal does not know them. */
  removeBefore(mark: number): void {
    for (const { leaves, parents } of this.#planes.values()) {
      for (const parent of parents) for (const [key, { order }] of parent) if (order < mark) parent.delete(key)
      for (const [key, { shard, order }] of leaves) {
        if (order >= mark) continue
        leaves.delete(key)
        this.#setVersion(shard, undefined)
        this.#touchParents(shard, ++this.#order)
      }
    }
  }

  /** What changed since this was last asked, each shard once, and whether one has nothing to show any more. */
  takeChanges(): { readonly shards: readonly ShardVersion[]; readonly hasLost: boolean } {
    const changes = { shards: [...this.#changes.values()], hasLost: this.#hasLost }
    this.#changes = new Map()
    this.#hasLost = false
    return changes
  }

  /** By level, then by `ROW/COLUMN`. */
  versions(selection: MosaicSelection): readonly ReadonlyMap<string, string>[] {
    return this.#plane(selection).versions
  }

  tileVersion(selection: MosaicSelection, address: TileAddress): string | undefined {
    return this.#plane(selection).versions[address.level].get(this.#shardOf(address))
  }

  /** @returns undefined where nothing is built that touches the tile. */
  find(selection: MosaicSelection, address: TileAddress): TileSource | undefined {
    const { leaves, parents, changed } = this.#plane(selection)
    const { level } = address
    const touching = this.#rectsIn(selection, address)
    const at = this.#shardOf(address)
    const stored = level === 0 ? leaves.get(at) : parents[level].get(at)
    const isSettled = stored !== undefined && (level === 0 || stored.order > (changed[level].get(at) ?? 0))
    if (!isSettled) return touching.next().done ? undefined : { kind: 'composed' }
    const covered = maskOfRects(tileRegion(address, this.#geometry.tileSize), touching)
    return covered && { kind: 'stored', shard: stored.shard, ...covered }
  }

  /** Whether this is what the journal says of a shard now. */
  holds(shard: StoredShard): boolean {
    const { leaves, parents } = this.#plane(shard.selection)
    const stored = shard.level === 0 ? leaves : parents[shard.level]
    return stored.get(`${shard.row}/${shard.column}`)?.shard === shard
  }

  /** The leaf at a place, if it has something to show. */
  leafAt(selection: MosaicSelection, row: number, column: number): StoredShard | undefined {
    const leaf = this.#plane(selection).leaves.get(`${row}/${column}`)?.shard
    return leaf && leaf.rects.length > 0 ? leaf : undefined
  }

  /** Grows with every change of what a tile shows. */
  tileStamp(selection: MosaicSelection, { level, row, column }: TileAddress): number {
    const edge = this.#geometry.tileSize * 2 ** level
    // A tile is a part of a leaf, or as large as some parent.
    const above = Math.max(0, Math.log2(edge / SHARD_SIZE))
    const shardEdge = SHARD_SIZE * 2 ** above
    const key = `${Math.floor((row * edge) / shardEdge)}/${Math.floor((column * edge) / shardEdge)}`
    return this.#plane(selection).changed[above].get(key) ?? 0
  }

  #isInside({ selection, level, row, column }: ShardKey): boolean {
    const { channels, zPlanes, timePoints } = this.#extent
    const { channel, zPlane, timePoint } = selection
    if (channel >= channels || zPlane >= zPlanes || timePoint >= timePoints) return false
    if (level >= this.#geometry.levelCount) return false
    const { rows, columns } = gridOf(this.#geometry, level, SHARD_SIZE)
    return row < rows && column < columns
  }

  #plane({ channel, zPlane, timePoint }: MosaicSelection): PlaneShards {
    const key = `${timePoint}/${channel}/${zPlane}`
    let plane = this.#planes.get(key)
    if (!plane) {
      const byLevel = <T>(): Map<string, T>[] => Array.from({ length: this.#geometry.levelCount }, () => new Map())
      plane = { leaves: new Map(), parents: byLevel(), versions: byLevel(), changed: byLevel() }
      this.#planes.set(key, plane)
    }
    return plane
  }

  #shardOf({ row, column }: TileAddress): string {
    const across = SHARD_SIZE / this.#geometry.tileSize
    return `${Math.floor(row / across)}/${Math.floor(column / across)}`
  }

  /** Everything above a leaf shows something else now. */
  #touchParents({ selection, row, column }: StoredShard, order: number): void {
    const { versions, changed } = this.#plane(selection)
    for (let level = 0; level < this.#geometry.levelCount; level++) {
      const above = { selection, level, row: Math.floor(row / 2 ** level), column: Math.floor(column / 2 ** level) }
      changed[level].set(`${above.row}/${above.column}`, order)
      if (level === 0) continue
      const shows = this.#isAnythingBelow(above, versions[level - 1])
      this.#setVersion(above, shows ? `p${this.#nonce}${(++this.#provisional).toString(36)}` : undefined)
    }
  }

  #isAnythingBelow({ row, column }: ShardKey, below: ReadonlyMap<string, string>): boolean {
    const children = [0, 1, 2, 3].map(i => `${2 * row + (i >> 1)}/${2 * column + (i & 1)}`)
    return children.some(child => below.has(child))
  }

  /**
   * A parent's file holds what was composed before. So whoever was told of the composed version needs no other; a version
   * that is stable for ever is given where nobody was.
   */
  #settle(shard: StoredShard): void {
    const shown = this.#plane(shard.selection).versions[shard.level].has(`${shard.row}/${shard.column}`)
    if (shown && this.#changes.has(shard.name)) this.#setVersion(shard, shard.digest)
  }

  #setVersion(key: ShardKey, text: string | undefined): void {
    const { selection, level, row, column } = key
    const versions = this.#plane(selection).versions[level]
    if (text === undefined) {
      if (versions.delete(`${row}/${column}`)) this.#hasLost = true
      this.#changes.delete(nameOfShard(key))
      return
    }
    const version = `${this.#lineage}-${text}.${this.#geometry.levelCount}`
    versions.set(`${row}/${column}`, version)
    this.#changes.set(nameOfShard(key), { selection, level, row, column, version })
  }

  /** The rectangles that touch a tile, px of its level. */
  *#rectsIn(selection: MosaicSelection, { level, row, column }: TileAddress): Generator<Rect> {
    const edge = this.#geometry.tileSize * 2 ** level
    const area = tileRegion({ row, column }, edge)
    for (const { rects } of this.#leavesIn(selection, area))
      for (const rect of rects) if (touches(rect, area)) yield rectAtLevel(rect, level)
  }

  /** The leaves that may touch an area of level 0. */
  *#leavesIn(selection: MosaicSelection, area: Rect): Generator<StoredShard> {
    const { leaves } = this.#plane(selection)
    const first = { row: Math.floor(area.y0 / SHARD_SIZE), column: Math.floor(area.x0 / SHARD_SIZE) }
    const end = { row: Math.ceil(area.y1 / SHARD_SIZE), column: Math.ceil(area.x1 / SHARD_SIZE) }
    // A coarse tile spans more places than there are leaves: then look at every leaf once.
    if ((end.row - first.row) * (end.column - first.column) > leaves.size) {
      for (const { shard } of leaves.values()) yield shard
      return
    }
    for (let row = first.row; row < end.row; row++) {
      for (let column = first.column; column < end.column; column++) {
        const leaf = leaves.get(`${row}/${column}`)
        if (leaf) yield leaf.shard
      }
    }
  }
}

/** @returns undefined where no rectangle touches the region; a `mask` only where they leave something of it out. */
export function maskOfRects(
  region: Rect,
  rects: Iterable<Rect>,
): { readonly mask: Uint8Array | undefined } | undefined {
  const mask = new Uint8Array((region.x1 - region.x0) * (region.y1 - region.y0))
  fillMask(mask, region, rects)
  if (!mask.includes(1)) return undefined
  return { mask: mask.includes(0) ? mask : undefined }
}

function rectsOf(flat: readonly number[]): Rect[] {
  const rects: Rect[] = []
  for (let i = 0; i < flat.length; i += 4)
    rects.push({ x0: flat[i], y0: flat[i + 1], x1: flat[i + 2], y1: flat[i + 3] })
  return rects
}
