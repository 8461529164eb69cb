import { join } from 'node:path'
import { allocateSamples, type Plane, type Rect, SAMPLE_TYPES, type SampleArray } from '../plane.js'
import { writeFileAtomically } from './atomic-file.js'
import { Blender, emptyCanvas } from './blend.js'
import type { BuildSettings } from './build-settings.js'
import { FrameCoverage } from './coverage.js'
import type { FrameLoader } from './frame-loader.js'
import type { HistogramBuilder } from './histogram.js'
import { gridOf, SHARD_SIZE } from './mosaic-geometry.js'
import type { Placement } from './placement.js'
import type { MosaicSelection } from './pyramid.js'
import { shardPath } from './pyramid-record.js'
import { reducePlane } from './reduce.js'
import { encodeShard } from './shard-file.js'

export interface ShardSink {
  /** Histogram of the selection's channel at a level. */
  histogram(level: number): HistogramBuilder
  /** Called after every shard file. */
  written(bytes: number): void
}

/**
 * Builds every shard of one plane: level 0 from frames, each parent from its children's reduced blocks as soon as
 * they are there. The tree is walked depth first in Z order, so neighbours come together and at most a few blocks of
 * each level are held.
 */
export class PlaneBuilder {
  readonly #directory: string
  readonly #placement: Placement
  readonly #settings: BuildSettings
  readonly #loader: FrameLoader
  readonly #selection: MosaicSelection
  readonly #sink: ShardSink
  /** Positions in `placement.frames` of this plane's frames, ascending; coverage counts in these. */
  readonly #members: readonly number[]
  readonly #coverage: FrameCoverage
  readonly #blender: Blender

  constructor(
    directory: string,
    placement: Placement,
    settings: BuildSettings,
    loader: FrameLoader,
    selection: MosaicSelection,
    sink: ShardSink,
  ) {
    this.#directory = directory
    this.#placement = placement
    this.#settings = settings
    this.#loader = loader
    this.#selection = selection
    this.#sink = sink
    this.#members = [...placement.frames.keys()].filter(i => isSameSelection(placement.frames[i].selection, selection))
    this.#coverage = new FrameCoverage(
      placement.geometry,
      this.#members.map(i => placement.frames[i].rect),
    )
    this.#blender = new Blender(settings.blend, placement.pedestal)
  }

  /** Samples that were clipped to the stored type so far. */
  get clipped(): number {
    return this.#blender.clipped
  }

  async build(signal: AbortSignal | undefined): Promise<void> {
    await this.#buildShard(this.#placement.geometry.levelCount - 1, 0, 0, signal)
  }

  /** @returns the shard's samples reduced to half its edge, for its parent; undefined where nothing is covered. */
  async #buildShard(
    level: number,
    row: number,
    column: number,
    signal: AbortSignal | undefined,
  ): Promise<Plane | undefined> {
    signal?.throwIfAborted()
    const { geometry, sampleType, pedestal } = this.#placement
    const region = {
      x0: column * SHARD_SIZE,
      y0: row * SHARD_SIZE,
      x1: (column + 1) * SHARD_SIZE,
      y1: (row + 1) * SHARD_SIZE,
    }
    const touching = this.#coverage.touching(level, region)
    if (touching.length === 0) return undefined
    const canvas =
      level === 0
        ? await this.#blendFrames(region, touching, signal)
        : await this.#joinChildren(level, row, column, signal)
    if (!canvas) return undefined
    const mask = new Uint8Array(SHARD_SIZE * SHARD_SIZE)
    this.#coverage.fillMask(level, region, mask)
    await this.#writeShard(level, row, column, canvas, mask)
    const { integer } = SAMPLE_TYPES[sampleType]
    const absentAs = this.#settings.blend === 'pyme' ? (integer ? pedestal : 0) : undefined
    return level + 1 < geometry.levelCount ? reducePlane(canvas, mask, absentAs) : undefined
  }

  async #blendFrames(
    region: Rect,
    touching: readonly number[],
    signal: AbortSignal | undefined,
  ): Promise<Plane | undefined> {
    const positions = touching.map(i => this.#members[i])
    const frames = await this.#loader.load(positions, signal)
    touching.forEach((i, k) => {
      if (this.#loader.skipped.has(positions[k])) this.#coverage.remove(i)
    })
    if (frames.length === 0) return undefined
    const canvas = emptyCanvas(this.#placement.sampleType, SHARD_SIZE)
    this.#blender.blendInto(canvas, region, frames)
    return canvas
  }

  async #joinChildren(
    level: number,
    row: number,
    column: number,
    signal: AbortSignal | undefined,
  ): Promise<Plane | undefined> {
    const { columns, rows } = gridOf(this.#placement.geometry, level - 1, SHARD_SIZE)
    let canvas: Plane | undefined
    for (let y = 0; y < 2; y++) {
      for (let x = 0; x < 2; x++) {
        const [childRow, childColumn] = [2 * row + y, 2 * column + x]
        if (childRow >= rows || childColumn >= columns) continue
        const block = await this.#buildShard(level - 1, childRow, childColumn, signal)
        if (!block) continue
        canvas ??= emptyCanvas(this.#placement.sampleType, SHARD_SIZE)
        for (let line = 0; line < block.height; line++) {
          const at = (y * block.height + line) * SHARD_SIZE + x * block.width
          canvas.samples.set(block.samples.subarray(line * block.width, (line + 1) * block.width), at)
        }
      }
    }
    return canvas
  }

  async #writeShard(level: number, row: number, column: number, canvas: Plane, mask: Uint8Array): Promise<void> {
    const { tileSize } = this.#placement.geometry
    const across = SHARD_SIZE / tileSize
    const histogram = this.#sink.histogram(level)
    const tiles = Array.from({ length: across * across }, (_, i) => {
      const [x, y] = [(i % across) * tileSize, Math.floor(i / across) * tileSize]
      const tileMask = cut(mask, x, y, tileSize, new Uint8Array(tileSize * tileSize))
      if (!tileMask.includes(1)) return undefined
      const tile = cut(canvas.samples, x, y, tileSize, allocateSamples(canvas.sampleType, tileSize * tileSize))
      histogram.add(tile, tileMask)
      return tile
    })
    const bytes = encodeShard(tiles)
    const path = join(this.#directory, shardPath(level, this.#selection, row, column))
    await writeFileAtomically(path, bytes)
    this.#sink.written(bytes.length)
  }
}

/** Copy a square of `edge` px at (x, y) out of a shard's samples. */
function cut<T extends SampleArray>(samples: T, x: number, y: number, edge: number, into: T): T {
  for (let line = 0; line < edge; line++) {
    const from = (y + line) * SHARD_SIZE + x
    into.set(samples.subarray(from, from + edge), line * edge)
  }
  return into
}

export function isSameSelection(a: MosaicSelection, b: MosaicSelection): boolean {
  return a.channel === b.channel && a.zPlane === b.zPlane && a.timePoint === b.timePoint
}
