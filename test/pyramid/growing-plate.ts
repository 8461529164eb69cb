import { rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  allocateSamples,
  type Plane,
  type Rect,
  SAMPLE_TYPES,
  type SampleArray,
  type SampleType,
} from '../../src/plane.js'
import { fillMask } from '../../src/pyramid/coverage.js'
import { HistogramBuilder } from '../../src/pyramid/histogram.js'
import { makeFolder } from '../../src/pyramid/make-folder.js'
import { countLevels, gridOf, SHARD_SIZE, type TileAddress } from '../../src/pyramid/mosaic-geometry.js'
import { writePlacementTable } from '../../src/pyramid/placement-table.js'
import type { CoveredTile } from '../../src/pyramid/pyramid.js'
import {
  geometryOf,
  HISTOGRAMS_FILE,
  levelDocument,
  PLACEMENT_FILE,
  type PyramidRecord,
  ROOT_FILE,
  rootDocument,
} from '../../src/pyramid/pyramid-record.js'
import { reducePlane } from '../../src/pyramid/reduce.js'
import { encodeShard } from '../../src/pyramid/shard-file.js'
import {
  checksumOfShard,
  nameOfShard,
  type ShardEntry,
  type ShardJournal,
  type ShardKey,
} from '../../src/pyramid/shard-journal.js'
import { checksumOf } from '../../src/pyramid/side-file.js'

export const FIRST_PLANE = { channel: 0, zPlane: 0, timePoint: 0 }

/** Frames of 600 × 500 px that overlap a little, in a mosaic of `columns` × `rows` shards with holes in it. */
export function framesOf(columns: number, rows: number): Rect[] {
  const [width, height] = [columns * SHARD_SIZE - 77, rows * SHARD_SIZE - 30]
  const frames: Rect[] = []
  for (let y = 0; y < height; y += 480)
    for (let x = 0; x < width; x += 570)
      if ((x / 570 + (3 * y) / 480) % 5 < 3)
        frames.push({ x0: x, y0: y, x1: Math.min(width, x + 600), y1: Math.min(height, y + 500) })
  return frames.filter(({ x0, y0, x1, y1 }) => x1 - x0 === 600 && y1 - y0 === 500)
}

/** A whole level, padded to whole shards. */
interface Level {
  readonly plane: Plane
  readonly mask: Uint8Array
}

interface PlateOptions {
  readonly columns: number
  readonly rows: number
  readonly tileSize?: number
  readonly sampleType?: SampleType
  readonly frames?: readonly Rect[]
  readonly revision?: string
  readonly sample?: (x: number, y: number) => number
}

/**
 * A pyramid whose every sample is known beforehand: a function of its place, whatever frame shows it. Its shards are
 * written one by one, as a builder would. Levels are reduced as whole planes, and so without shards or tiles.
 */
export class GrowingPlate {
  readonly directory: string
  readonly record: PyramidRecord
  readonly frames: readonly Rect[]
  readonly levels: readonly Level[]
  readonly #sampleType: SampleType

  constructor(directory: string, options: PlateOptions) {
    const { columns, rows, tileSize = 256, sampleType = 'uint16', revision = '0000aaaa' } = options
    const { frames = framesOf(columns, rows), sample = plainSample } = options
    const size = { width: columns * SHARD_SIZE - 77, height: rows * SHARD_SIZE - 30 }
    this.directory = directory
    this.frames = frames
    this.#sampleType = sampleType
    this.record = {
      formatVersion: 1,
      software: 'test',
      id: '01234567-89ab-cdef-0123-456789abcdef',
      revision,
      complete: false,
      created: '2026-01-01T00:00:00.000Z',
      fingerprint: 'fedcba9876543210',
      sampleType,
      pedestal: 0,
      originUm: { x: 0, y: 0 },
      pixelSizeUm: { x: 1, y: 1 },
      size,
      tileSize,
      levelCount: countLevels(size, tileSize),
      channels: [{ name: 'Channel 1', color: null }],
      zPlanes: 1,
      timePoints: 1,
      wells: [],
      series: [
        {
          name: 'a',
          url: '/a',
          fingerprint: 'a',
          frames: frames.length,
          dataStartsAt: 0,
          darkLevel: 0,
          channel: null,
          width: Math.max(...frames.map(({ x0, x1 }) => x1 - x0)),
          height: Math.max(...frames.map(({ y0, y1 }) => y1 - y0)),
        },
      ],
      settings: { blend: 'last' },
      frames: { used: frames.length, skipped: 0 },
      clippedSamples: 0,
      warnings: [],
      seconds: 0,
      marginPx: 0,
    }
    const edge = SHARD_SIZE * 2 ** Math.ceil(Math.log2(Math.max(columns, rows)))
    let level: Level = this.#fullLevel(edge, rows, sample)
    const levels = [level]
    while (levels.length < this.record.levelCount) {
      level = halve(level)
      levels.push(level)
    }
    this.levels = levels
  }

  /** Keys of the shards that frames lie in, by level, row, column. */
  get shards(): ShardKey[] {
    const keys: ShardKey[] = []
    const geometry = geometryOf(this.record)
    for (let level = 0; level < geometry.levelCount; level++) {
      const { columns, rows } = gridOf(geometry, level, SHARD_SIZE)
      for (let row = 0; row < rows; row++)
        for (let column = 0; column < columns; column++)
          if (this.#cut({ level, row, column }, SHARD_SIZE).mask.includes(1))
            keys.push({ selection: FIRST_PLANE, level, row, column })
    }
    return keys
  }

  /** The tile as it is when all is built. */
  finalTile(address: TileAddress): { readonly samples: SampleArray; readonly mask: Uint8Array } {
    return this.#cut(address, this.record.tileSize)
  }

  /** Write the root and a plan of `frames`, as a builder does at first and when frames arrive. */
  async writePlan(frames: readonly Rect[] = this.frames, changes: Partial<PyramidRecord> = {}): Promise<void> {
    await this.#writeRoot({ ...this.record, ...changes }, frames)
  }

  /**
   * Write a shard's file and give it its name.
   *
   * @param shown level 0: the frames that are in it, all by default. @param sample instead of the plate's own.
   * @returns its entry, which the caller appends to the journal.
   */
  async writeShard(key: ShardKey, shown = this.frames, sample?: (x: number, y: number) => number): Promise<ShardEntry> {
    const { level, row, column } = key
    const { tileSize } = this.record
    const across = SHARD_SIZE / tileSize
    const [left, top] = [column * SHARD_SIZE, row * SHARD_SIZE]
    const region = { x0: left, y0: top, x1: left + SHARD_SIZE, y1: top + SHARD_SIZE }
    const rects = shown.map(rect => intersect(rect, region)).filter(rect => rect !== undefined)
    const { samples, mask } = this.#cut(key, SHARD_SIZE)
    if (level === 0) fillMask(mask.fill(0), region, rects)
    const blank = SAMPLE_TYPES[this.#sampleType].integer ? 0 : Number.NaN
    for (let i = 0; i < samples.length; i++) {
      if (mask[i] === 0) samples[i] = blank
      else if (sample) samples[i] = sample(left + (i % SHARD_SIZE), top + Math.floor(i / SHARD_SIZE))
    }
    const histogram = new HistogramBuilder(this.#sampleType)
    histogram.add(samples, mask)
    const tiles = Array.from({ length: across * across }, (_, i) => {
      const at = { x: (i % across) * tileSize, y: Math.floor(i / across) * tileSize }
      const tile = cutSquare(samples, SHARD_SIZE, at, tileSize)
      return cutSquare(mask, SHARD_SIZE, at, tileSize).includes(1) ? tile : undefined
    })
    const bytes = encodeShard(tiles)
    const path = join(this.directory, nameOfShard(key))
    await makeFolder(dirname(path))
    await writeFile(`${path}.tmp`, bytes)
    await rename(`${path}.tmp`, path)
    const crc32 = checksumOfShard(bytes)
    return {
      ...key,
      fingerprint: `${crc32}${rects.length.toString(16).padStart(8, '0')}`,
      bytes: bytes.length,
      crc32,
      clipped: 0,
      histogram: histogram.finish(),
      ...(level === 0 && { covered: rects.flatMap(({ x0, y0, x1, y1 }) => [x0, y0, x1, y1]) }),
    }
  }

  /** Write the side files and the root that says the pyramid is complete. */
  async finish(journal: ShardJournal): Promise<void> {
    await journal.compact()
    const levels = this.levels.map(({ plane, mask }) => {
      const builder = new HistogramBuilder(this.#sampleType)
      builder.add(plane.samples, mask)
      return builder.finish()
    })
    const histograms = JSON.stringify({ channels: [{ levels }] })
    await this.#write(HISTOGRAMS_FILE, histograms)
    for (let level = 0; level < this.record.levelCount; level++)
      await this.#write(`${level}/${ROOT_FILE}`, JSON.stringify(levelDocument(this.record, level)))
    const file = { path: HISTOGRAMS_FILE, crc32c: checksumOf(histograms) }
    await this.#writeRoot({ ...this.record, complete: true, histograms: file }, this.frames)
  }

  async #writeRoot(record: PyramidRecord, frames: readonly Rect[]): Promise<void> {
    const placed = frames.map((rect, index) => ({
      series: 0,
      index,
      stamp: '',
      positionUm: { x: rect.x0, y: rect.y0 },
      stageUm: { x: rect.x0, y: rect.y0 },
      rect,
      selection: FIRST_PLANE,
      well: 'a',
    }))
    const table = writePlacementTable(placed, record.series, new Map())
    await this.#write(PLACEMENT_FILE, table)
    const placement = { path: PLACEMENT_FILE, crc32c: checksumOf(table) }
    await this.#write(ROOT_FILE, JSON.stringify(rootDocument({ ...record, placement }, 'plate', [])))
  }

  async #write(name: string, text: string): Promise<void> {
    const path = join(this.directory, name)
    await makeFolder(dirname(path))
    await writeFile(`${path}.tmp`, text)
    await rename(`${path}.tmp`, path)
  }

  #fullLevel(width: number, rows: number, sample: (x: number, y: number) => number): Level {
    const height = SHARD_SIZE * 2 ** Math.ceil(Math.log2(rows))
    const mask = new Uint8Array(width * height)
    fillMask(mask, { x0: 0, y0: 0, x1: width, y1: height }, this.frames)
    const samples = allocateSamples(this.#sampleType, width * height)
    if (!SAMPLE_TYPES[this.#sampleType].integer) samples.fill(Number.NaN)
    for (let i = 0; i < samples.length; i++) if (mask[i] === 1) samples[i] = sample(i % width, Math.floor(i / width))
    return { plane: { width, height, sampleType: this.#sampleType, samples }, mask }
  }

  /** A square of a level; what lies beyond the plane is not covered. */
  #cut({ level, row, column }: TileAddress, edge: number): { samples: SampleArray; mask: Uint8Array } {
    const { plane, mask } = this.levels[level]
    const at = { x: column * edge, y: row * edge }
    const samples = allocateSamples(this.#sampleType, edge * edge)
    if (!SAMPLE_TYPES[this.#sampleType].integer) samples.fill(Number.NaN)
    const cut = new Uint8Array(edge * edge)
    const [width, height] = [Math.min(edge, plane.width - at.x), Math.min(edge, plane.height - at.y)]
    for (let y = 0; y < height; y++) {
      const from = (at.y + y) * plane.width + at.x
      samples.set(plane.samples.subarray(from, from + width), y * edge)
      cut.set(mask.subarray(from, from + width), y * edge)
    }
    return { samples, mask: cut }
  }
}

export function plainSample(x: number, y: number): number {
  return 100 + ((7 * x + 13 * y + 31 * ((x >> 4) ^ (y >> 4))) & 0xfff)
}

/** The tile's own mask, written out. */
export function maskOf({ plane, mask }: CoveredTile): Uint8Array {
  return mask ?? new Uint8Array(plane.samples.length).fill(1)
}

function intersect(rect: Rect, region: Rect): Rect | undefined {
  const [x0, y0] = [Math.max(rect.x0, region.x0), Math.max(rect.y0, region.y0)]
  const [x1, y1] = [Math.min(rect.x1, region.x1), Math.min(rect.y1, region.y1)]
  return x1 > x0 && y1 > y0 ? { x0, y0, x1, y1 } : undefined
}

function cutSquare<T extends SampleArray>(from: T, width: number, at: { x: number; y: number }, edge: number): T {
  const square = from.slice(0, edge * edge) as T
  for (let y = 0; y < edge; y++)
    square.set(from.subarray((at.y + y) * width + at.x, (at.y + y) * width + at.x + edge), y * edge)
  return square
}

function halve({ plane, mask }: Level): Level {
  const half = { width: plane.width / 2, height: plane.height / 2 }
  const covered = new Uint8Array(half.width * half.height)
  for (let i = 0; i < mask.length; i++)
    if (mask[i] === 1) covered[(Math.floor(i / plane.width) >> 1) * half.width + ((i % plane.width) >> 1)] = 1
  return { plane: reducePlane(plane, mask), mask: covered }
}
