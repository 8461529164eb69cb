import { TilestageError } from '../errors.js'
import type { Kernels } from '../kernels/kernels.js'
import { packError } from '../packed-error.js'
import {
  allocateSamples,
  bytesOfSamples,
  type Plane,
  type Rect,
  rectAtLevel,
  SAMPLE_TYPES,
  type SampleArray,
  samplesFromBytes,
  touches,
} from '../plane.js'
import { Blender, type PlacedPlane, weightBytes } from '../pyramid/blend.js'
import { fillMask, isCovered } from '../pyramid/coverage.js'
import { type Histogram, HistogramBuilder, histogramOfCounts } from '../pyramid/histogram.js'
import { SHARD_SIZE, tileRegion } from '../pyramid/mosaic-geometry.js'
import { orientedSize } from '../pyramid/orient-plane.js'
import { reduceInto } from '../pyramid/reduce.js'
import {
  decodeShardIndex,
  decodeTile,
  type EncodeTile,
  encodeTileFrame,
  indexLength,
  largestShard,
  ShardEncoder,
} from '../pyramid/shard-file.js'
import { checksumOfShard } from '../pyramid/shard-journal.js'
import type { BuildJob, LeafTask, MadeShard, ParentTask, ShardTask, TaskFrame } from './build-job.js'
import type { FrameCache } from './frame-cache.js'
import { Overlaps } from './overlaps.js'
import { readShard, writeShard } from './shard-disk.js'

const HALF = SHARD_SIZE / 2
const THUMBNAIL_EDGE = SHARD_SIZE / 8

/** Of so many rectangles it is quicker to compute whether they cover a tile than to draw them. */
const FEW_RECTS = 16

/** Histograms of 16-bit samples are counted by a kernel. */
const COUNTS_BYTES = 4 * 2 ** 16

/** What a worker needs in the kernels' memory beside frames, bytes. */
export function makerBytes({ sampleType, tileSize, series, orientation }: Omit<BuildJob, 'memory'>): number {
  const { bytes } = SAMPLE_TYPES[sampleType]
  const tiles = (SHARD_SIZE / tileSize) ** 2
  const sizes = new Map(
    series.flatMap(({ frameSizes }) => frameSizes.map(size => [`${size.width}×${size.height}`, size])),
  )
  const weights = [...sizes.values()].reduce((sum, size) => sum + weightBytes(orientedSize(size, orientation)), 0)
  const tile = tileSize * tileSize * (bytes + 1)
  return (
    largestShard(tiles, tileSize * tileSize * bytes, bytes) +
    2 * HALF * HALF * bytes +
    tile +
    COUNTS_BYTES +
    weights +
    256
  )
}

/**
 * Makes shards, tile by tile: blend (or take from the children), count, encode, and reduce into the parent's block. One
 * tile of 128 kB is worked on at a time, so that it stays in the processor's cache.
 */
export class ShardMaker {
  readonly #job: BuildJob
  readonly #kernels: Kernels
  readonly #frames: FrameCache
  readonly #blender: Blender
  readonly #encoder: ShardEncoder
  readonly #tile: Plane
  readonly #mask: Uint8Array
  readonly #block: Plane
  /** A child's block, while its parent is made. */
  readonly #child: Plane
  readonly #counts: Uint32Array
  readonly #across: number
  /** What stands where nothing is covered. */
  readonly #empty: number
  /** What a sample that is not covered counts as when it is reduced; undefined leaves it out. */
  readonly #absentAs: number | undefined

  constructor(job: BuildJob, kernels: Kernels, frames: FrameCache) {
    const { sampleType, tileSize, pedestal, blend } = job
    const { bytes, integer } = SAMPLE_TYPES[sampleType]
    const plane = (edge: number): Plane => ({
      sampleType,
      width: edge,
      height: edge,
      samples: samplesFromBytes(sampleType, kernels.allocate(edge * edge * bytes)),
    })
    this.#job = job
    this.#kernels = kernels
    this.#frames = frames
    this.#across = SHARD_SIZE / tileSize
    this.#blender = new Blender(blend, pedestal, kernels)
    const tiles = this.#across ** 2
    const out = kernels.allocate(largestShard(tiles, tileSize * tileSize * bytes, bytes))
    const encode: EncodeTile =
      sampleType === 'uint16'
        ? (samples, into, at) => kernels.encodeTile(samples as Uint16Array, into, at)
        : encodeTileFrame
    this.#encoder = new ShardEncoder(tiles, out, encode)
    this.#tile = plane(tileSize)
    this.#mask = kernels.allocate(tileSize * tileSize)
    this.#block = plane(HALF)
    this.#child = plane(HALF)
    const counts = kernels.allocate(COUNTS_BYTES)
    this.#counts = new Uint32Array(counts.buffer, counts.byteOffset, COUNTS_BYTES / 4)
    this.#empty = integer ? 0 : Number.NaN
    this.#absentAs = blend === 'pyme' ? (integer ? pedestal : 0) : undefined
  }

  /**
   * Make a shard and write it under its temporary name. When `written` resolves it is on the disk; the next shard may be
   * begun before.
   *
   * @throws {SourceUnavailableError} the shard cannot be written. A frame that cannot be read is told in the result.
   */
  make(task: ShardTask): Promise<Making> {
    return task.kind === 'leaf' ? this.#makeLeaf(task) : this.#makeParent(task)
  }

  async #makeLeaf(task: LeafTask): Promise<Making> {
    const clippedBefore = this.#blender.clipped
    const shard = new ShardParts(this.#job.sampleType)
    const { tileSize } = this.#job
    const whole = tileRegion(task, SHARD_SIZE)
    const leaf = new LeafFrames(task.frames, this.#frames)
    // A frame that cannot be read must be known before any tile is made: it may lie in several.
    await leaf.readAll()
    const overlaps = await this.#compare(leaf, whole)
    const wantsBlock = task.block !== undefined || task.wantsThumbnail
    this.#startBlock(wantsBlock)
    for (let y0 = whole.y0; y0 < whole.y1; y0 += tileSize) {
      const band = { ...whole, y0, y1: y0 + tileSize }
      const inBand = leaf.touching(band)
      if (inBand.length === 0) continue
      const planes = inBand.length <= this.#frames.capacity ? await leaf.load(inBand) : undefined
      const stacked = planes ? undefined : await this.#stack(band, inBand, leaf)
      for (let x0 = whole.x0; x0 < whole.x1; x0 += tileSize) {
        const region = regionAt(x0, y0, tileSize)
        const inTile = leaf.touching(region, inBand)
        if (inTile.length === 0) continue
        if (stacked) copySquare(stacked.samples, SHARD_SIZE, x0 - whole.x0, 0, this.#tile.samples, tileSize)
        else {
          this.#tile.samples.fill(this.#empty)
          const placed = inTile.map(position => planes?.get(position)).filter(plane => plane !== undefined)
          this.#blender.blendInto(this.#tile, region, placed)
        }
        const i = ((y0 - whole.y0) / tileSize) * this.#across + (x0 - whole.x0) / tileSize
        this.#finishTile(shard, i, region, leaf.rectsOf(inTile), wantsBlock)
      }
    }
    const { written, ...file } = this.#write(task.path, shard)
    this.#handUp(task.block)
    const hasThumbnail = task.wantsThumbnail && shard.tiles > 0
    const made = {
      ...file,
      clipped: this.#blender.clipped - clippedBefore,
      histogram: this.#finishHistogram(shard),
      skipped: [...leaf.failures].map(([position, error]) => ({ position, error: packError(error) })),
      overlaps,
      thumbnail: hasThumbnail ? this.#makeThumbnail(whole, leaf.rectsOf(leaf.touching(whole))) : undefined,
    }
    return { made, written }
  }

  /** How bright overlapping frames are where they overlap. */
  async #compare(leaf: LeafFrames, whole: Rect): Promise<number[]> {
    const positions = leaf.touching(whole)
    const overlaps = new Overlaps(
      new Map(positions.map(position => [position, leaf.rects[position]])),
      whole,
      this.#kernels,
    )
    const atOnce = positions.length <= this.#frames.capacity
    for (const group of atOnce ? [positions] : positions.map(position => [position]))
      for (const [position, plane] of await leaf.load(group)) overlaps.add(position, plane)
    return overlaps.finish()
  }

  /** A band of more frames than memory holds: one after the other. */
  async #stack(band: Rect, positions: readonly number[], leaf: LeafFrames): Promise<Plane> {
    const stack = this.#blender.startStack(band)
    for (const position of positions)
      for (const plane of (await leaf.load([position])).values()) this.#blender.addToStack(stack, plane)
    const { sampleType, tileSize } = this.#job
    const samples = allocateSamples(sampleType, SHARD_SIZE * tileSize).fill(this.#empty)
    const plane = { sampleType, width: SHARD_SIZE, height: tileSize, samples }
    this.#blender.finishStack(stack, plane)
    return plane
  }

  async #makeParent(task: ParentTask): Promise<Making> {
    const { children } = task
    const shard = new ShardParts(this.#job.sampleType)
    const whole = tileRegion(task, SHARD_SIZE)
    const below = rectsOf(task.rects)
    this.#startBlock(task.block !== undefined)
    // Child by child, so that one read back from disk is gone before the next.
    for (let child = 0; child < 4; child++) {
      const source = children[child]
      if (source === undefined) continue
      const [left, top] = [(child % 2) * HALF, child < 2 ? 0 : HALF]
      const childAt = regionAt(2 * (whole.x0 + left), 2 * (whole.y0 + top), SHARD_SIZE)
      const inChild = below.filter(rect => touches(rect, childAt))
      if (typeof source === 'string') this.#readChild(source, childAt, inChild)
      else bytesOfSamples(this.#child.samples).set(new Uint8Array(source))
      const rects = inChild.map(rect => rectAtLevel(rect, 1))
      for (let i = 0; i < this.#across ** 2; i++) {
        const region = this.#tileRegion(whole, i)
        const [x, y] = [region.x0 - whole.x0 - left, region.y0 - whole.y0 - top]
        if (x < 0 || y < 0 || x >= HALF || y >= HALF) continue
        const inTile = rects.filter(rect => touches(rect, region))
        if (inTile.length === 0) continue
        this.#copyOut(this.#child, x, y, this.#tile)
        this.#finishTile(shard, i, region, inTile, task.block !== undefined)
      }
    }
    const { written, ...file } = this.#write(task.path, shard)
    const made = {
      ...file,
      clipped: 0,
      histogram: this.#finishHistogram(shard),
      skipped: [],
      overlaps: [],
      thumbnail: undefined,
    }
    this.#handUp(task.block)
    return { made, written }
  }

  /** A finished child, read back from its file and reduced: the same numbers as the block it handed up. */
  #readChild(path: string, at: Rect, rects: readonly Rect[]): void {
    const { sampleType, tileSize } = this.#job
    const file = readShard(path)
    const tileSamples = tileSize * tileSize
    const tileBytes = tileSamples * SAMPLE_TYPES[sampleType].bytes
    const length = indexLength(this.#across ** 2)
    const index = decodeShardIndex(file.subarray(file.length - length), file.length, tileBytes, path)
    this.#child.samples.fill(this.#empty)
    index.forEach((range, i) => {
      if (!range) return
      const region = this.#tileRegion(at, i)
      const chunk = file.subarray(range.offset, range.offset + range.length)
      this.#tile.samples.set(decodeTile(chunk, sampleType, tileSamples, path))
      const inTile = rects.filter(rect => touches(rect, region))
      const to = ((region.y0 - at.y0) / 2) * HALF + (region.x0 - at.x0) / 2
      this.#reduceTile(this.#maskOf(region, inTile), this.#child.samples, to)
    })
  }

  /** The square at (x, y) of a block becomes a tile. */
  #copyOut({ samples }: Plane, x: number, y: number, tile: Plane): void {
    const edge = tile.width
    if (tile.samples instanceof Uint16Array && samples instanceof Uint16Array)
      this.#kernels.copy(tile.samples, 0, edge, samples, y * HALF + x, HALF, edge, edge)
    else copySquare(samples, HALF, x, y, tile.samples, edge)
  }

  #startBlock(wanted: boolean): void {
    if (!wanted) return
    this.#block.samples.fill(this.#empty)
  }

  /** Count and encode the tile in hand, and reduce it into the block. */
  #finishTile(shard: ShardParts, i: number, region: Rect, rects: readonly Rect[], wantsBlock: boolean): void {
    const mask = this.#maskOf(region, rects)
    const { samples } = this.#tile
    if (samples instanceof Uint16Array) this.#kernels.histogram(samples, mask, this.#counts)
    else shard.histogram?.add(samples, mask)
    this.#encoder.add(i, samples)
    shard.tiles++
    if (!wantsBlock) return
    const { tileSize } = this.#job
    const [column, row] = [i % this.#across, Math.floor(i / this.#across)]
    this.#reduceTile(mask, this.#block.samples, (row * tileSize * HALF) / 2 + (column * tileSize) / 2)
  }

  /** One byte a pixel, 1 = covered; undefined where all of the tile is. Good until the next call. */
  #maskOf(region: Rect, rects: readonly Rect[]): Uint8Array | undefined {
    const few = rects.length <= FEW_RECTS
    if (few && isCovered(region, rects)) return undefined
    const mask = this.#mask.subarray(0, (region.x1 - region.x0) * (region.y1 - region.y0))
    mask.fill(0)
    fillMask(mask, region, rects)
    return few || Buffer.from(mask.buffer, mask.byteOffset, mask.length).includes(0) ? mask : undefined
  }

  #reduceTile(mask: Uint8Array | undefined, block: SampleArray, to: number): void {
    reduceInto(this.#kernels, this.#tile, mask, this.#absentAs, block, to, HALF)
  }

  #handUp(block: SharedArrayBuffer | undefined): void {
    if (block) new Uint8Array(block).set(bytesOfSamples(this.#block.samples))
  }

  /** The block reduced twice more, with its mask. The block is not the block any more then. */
  #makeThumbnail(whole: Rect, rects: readonly Rect[]): NonNullable<MadeShard['thumbnail']> {
    this.#halveBlock(this.#block, this.#child, rectAtLevel(whole, 1), atLevel(rects, 1))
    this.#halveBlock(this.#child, this.#block, rectAtLevel(whole, 2), atLevel(rects, 2))
    const samples = allocateSamples(this.#job.sampleType, THUMBNAIL_EDGE ** 2)
    copySquare(this.#block.samples, HALF, 0, 0, samples, THUMBNAIL_EDGE)
    const region = rectAtLevel(whole, 3)
    const mask = new Uint8Array(THUMBNAIL_EDGE ** 2)
    fillMask(mask, region, atLevel(rects, 3))
    return { samples: bytesOfSamples(samples).buffer as ArrayBuffer, mask: mask.includes(0) ? mask : undefined }
  }

  /**
   * Halve the square in one corner of a block into the corner of another, tile by tile.
   *
   * @param region the square's place; `rects` what is covered there, both in px of its level.
   */
  #halveBlock(from: Plane, to: Plane, region: Rect, rects: readonly Rect[]): void {
    const edge = Math.min(this.#job.tileSize, region.x1 - region.x0)
    const tile = { ...this.#tile, width: edge, height: edge, samples: this.#tile.samples.subarray(0, edge * edge) }
    for (let y = 0; y < region.y1 - region.y0; y += edge) {
      for (let x = 0; x < region.x1 - region.x0; x += edge) {
        const part = regionAt(region.x0 + x, region.y0 + y, edge)
        const inPart = rects.filter(rect => touches(rect, part))
        this.#copyOut(from, x, y, tile)
        const mask = this.#maskOf(part, inPart)
        reduceInto(this.#kernels, tile, mask, this.#absentAs, to.samples, (y * HALF + x) / 2, HALF)
      }
    }
  }

  #finishHistogram(shard: ShardParts): Histogram {
    if (shard.histogram) return shard.histogram.finish()
    const histogram = histogramOfCounts(this.#counts, 0)
    this.#counts.fill(0)
    return histogram
  }

  /** An empty shard has no bytes and no file. */
  #write(path: string, { tiles }: ShardParts): Pick<MadeShard, 'bytes' | 'crc32'> & { written: Promise<void> } {
    const bytes = this.#encoder.finish()
    if (tiles === 0) return { bytes: 0, crc32: checksumOfShard(bytes.subarray(0, 0)), written: Promise.resolve() }
    return { bytes: bytes.length, crc32: checksumOfShard(bytes), written: writeShard(this.#job.directory, path, bytes) }
  }

  #tileRegion(whole: Rect, i: number): Rect {
    const { tileSize } = this.#job
    const [column, row] = [i % this.#across, Math.floor(i / this.#across)]
    return regionAt(whole.x0 + column * tileSize, whole.y0 + row * tileSize, tileSize)
  }
}

/** The frames of a leaf, by their position in its task. */
class LeafFrames {
  /** Level-0 px. */
  readonly rects: readonly Rect[]
  /** Those that cannot be read. */
  readonly failures = new Map<number, TilestageError>()
  readonly #frames: readonly TaskFrame[]
  readonly #cache: FrameCache

  constructor(frames: readonly TaskFrame[], cache: FrameCache) {
    this.#frames = frames
    this.#cache = cache
    this.rects = frames.map(({ x, y, width, height }) => ({ x0: x, y0: y, x1: x + width, y1: y + height }))
  }

  /** Find out which frames cannot be read. */
  async readAll(): Promise<void> {
    const all = [...this.#frames.keys()]
    if (all.length <= this.#cache.capacity) await this.load(all)
    else for (const position of all) await this.load([position])
  }

  /** The readable ones (of `among`) that touch a region. */
  touching(region: Rect, among: Iterable<number> = this.#frames.keys()): number[] {
    return [...among].filter(position => !this.failures.has(position) && touches(this.rects[position], region))
  }

  rectsOf(positions: readonly number[]): Rect[] {
    return positions.map(position => this.rects[position])
  }

  /** @param positions at most as many as the cache holds. @returns those that can be read. */
  async load(positions: readonly number[]): Promise<Map<number, PlacedPlane>> {
    const loaded = await this.#cache.load(positions.map(position => this.#frames[position]))
    const found = new Map<number, PlacedPlane>()
    loaded.forEach((plane, i) => {
      if (plane instanceof TilestageError) this.failures.set(positions[i], plane)
      else found.set(positions[i], plane)
    })
    return found
  }
}

interface Making {
  readonly made: MadeShard
  readonly written: Promise<void>
}

/** What is collected while a shard is made. */
class ShardParts {
  tiles = 0
  /** Of samples that no kernel counts; undefined where one does. */
  readonly histogram: HistogramBuilder | undefined

  constructor(sampleType: BuildJob['sampleType']) {
    this.histogram = sampleType === 'uint16' ? undefined : new HistogramBuilder(sampleType)
  }
}

function regionAt(x0: number, y0: number, edge: number): Rect {
  return { x0, y0, x1: x0 + edge, y1: y0 + edge }
}

function rectsOf(flat: Int32Array): Rect[] {
  return Array.from({ length: flat.length / 4 }, (_, i) => ({
    x0: flat[4 * i],
    y0: flat[4 * i + 1],
    x1: flat[4 * i + 2],
    y1: flat[4 * i + 3],
  }))
}

function atLevel(rects: readonly Rect[], level: number): Rect[] {
  return rects.map(rect => rectAtLevel(rect, level))
}

/** Copy a square of `edge` px at (x, y) out of samples with rows of `width`. */
function copySquare(samples: SampleArray, width: number, x: number, y: number, into: SampleArray, edge: number): void {
  for (let line = 0; line < edge; line++) {
    const from = (y + line) * width + x
    into.set(samples.subarray(from, from + edge), line * edge)
  }
}
