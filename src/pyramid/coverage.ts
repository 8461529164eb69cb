import { intersect, type Rect, rectAtLevel, touches, unite } from '../plane.js'
import { gridOf, levelSize, type MosaicGeometry, SHARD_SIZE, type TileAddress, tileRegion } from './mosaic-geometry.js'

/** Cutting a region into what is left of it beats looking at every pixel while rectangles are few. */
const FEW_RECTS = 16

/** Which pixels of a pyramid were imaged. Known from rectangles or files, never guessed from sample values. */
export interface Coverage {
  /** Box around everything covered, level-0 px; undefined where nothing is. */
  readonly bounds: Rect | undefined
  /** Whether the tile holds a covered pixel, and so must exist on disk. */
  hasTile(address: TileAddress): boolean
  /**
   * One byte a pixel of a whole tile, row-major, 1 = covered; pixels beyond the array are not covered.
   * @returns undefined where all of the tile is covered.
   */
  tileMask(address: TileAddress): Uint8Array | undefined
  /** Run lengths over the tiles of a level in row-major order: empty, present, empty, … (the first may be 0). */
  tileRuns(level: number): number[]
}

/** Run lengths of a row-major 0/1 array, starting with a run of zeros. */
export function runLengths(present: Uint8Array): number[] {
  const runs: number[] = []
  let value = 0
  let start = 0
  for (let i = 0; i <= present.length; i++) {
    if (i < present.length && present[i] === value) continue
    runs.push(i - start)
    start = i
    value ^= 1
  }
  return runs
}

/** Set the bytes of `mask` (row-major, of `region`) to 1 where one of the rectangles lies. */
export function fillMask(mask: Uint8Array, region: Rect, rects: Iterable<Rect>): void {
  const width = region.x1 - region.x0
  for (const rect of rects) {
    const { x0, y0, x1, y1 } = intersect(rect, region)
    if (x1 <= x0) continue
    for (let y = y0; y < y1; y++) {
      const line = (y - region.y0) * width - region.x0
      mask.fill(1, line + x0, line + x1)
    }
  }
}

/** Whether every pixel of a region lies in one of the rectangles. */
export function isCovered(region: Rect, rects: Iterable<Rect>): boolean {
  let open = [region]
  for (const rect of rects) {
    open = open.flatMap(part => cutOut(part, rect))
    if (open.length === 0) return true
  }
  return false
}

/** What is left of a rectangle beside another one: up to four pieces. */
function cutOut(part: Rect, rect: Rect): Rect[] {
  const { x0, y0, x1, y1 } = intersect(part, rect)
  if (x0 >= x1 || y0 >= y1) return [part]
  const pieces = [
    { ...part, y1: y0 },
    { ...part, y0: y1 },
    { x0: part.x0, x1: x0, y0, y1 },
    { x0: x1, x1: part.x1, y0, y1 },
  ]
  return pieces.filter(piece => piece.x0 < piece.x1 && piece.y0 < piece.y1)
}

function atLevel0(level: number, { x0, y0, x1, y1 }: Rect): Rect {
  const scale = 2 ** level
  return { x0: x0 * scale, y0: y0 * scale, x1: x1 * scale, y1: y1 * scale }
}

/**
 * Coverage by the rectangles of frames: at level n a rectangle covers [⌊x0/2ⁿ⌋, ⌈x1/2ⁿ⌉).
 *
 * Rectangles are found through buckets of `SHARD_SIZE` level-0 pixels, so a tile of a plate with 100,000 frames looks
 * at the few that touch it.
 */
export class FrameCoverage implements Coverage {
  /** Box around all rectangles. */
  readonly bounds: Rect | undefined
  readonly #geometry: MosaicGeometry
  readonly #rects: readonly Rect[]
  readonly #buckets = new Map<number, number[]>()
  readonly #bucketColumns: number

  /** @param rects level-0 px, inside the mosaic, in series order. */
  constructor(geometry: MosaicGeometry, rects: readonly Rect[]) {
    this.#geometry = geometry
    this.#rects = rects
    this.#bucketColumns = Math.ceil(geometry.size.width / SHARD_SIZE)
    let bounds: Rect | undefined
    rects.forEach((rect, i) => {
      bounds = unite(bounds, rect)
      for (const key of this.#bucketKeys(rect)) {
        const bucket = this.#buckets.get(key)
        if (bucket) bucket.push(i)
        else this.#buckets.set(key, [i])
      }
    })
    this.bounds = bounds
  }

  /** Indices (ascending) of the rectangles that touch `region`, given in px of `level`. */
  touching(level: number, region: Rect): number[] {
    const area = atLevel0(level, region)
    if (this.#isLarge(area)) return [...this.#rects.keys()].filter(i => touches(this.#rects[i], area))
    const found = new Set<number>()
    for (const i of this.#near(area)) if (touches(this.#rects[i], area)) found.add(i)
    return [...found].sort((a, b) => a - b)
  }

  /** Set the bytes of `mask` (row-major, `region` in px of `level`) to 1 where a rectangle lies. */
  fillMask(level: number, region: Rect, mask: Uint8Array): void {
    fillMask(mask, region, this.#rectsIn(level, region))
  }

  hasTile({ level, row, column }: TileAddress): boolean {
    const area = atLevel0(level, tileRegion({ row, column }, this.#geometry.tileSize))
    if (this.#isLarge(area)) return this.#rects.some(rect => touches(rect, area))
    for (const i of this.#near(area)) if (touches(this.#rects[i], area)) return true
    return false
  }

  tileMask({ level, row, column }: TileAddress): Uint8Array | undefined {
    const { tileSize } = this.#geometry
    const region = tileRegion({ row, column }, tileSize)
    const rects = this.#rectsIn(level, region)
    const few = rects.length <= FEW_RECTS
    if (few && isCovered(region, rects)) return undefined
    const mask = new Uint8Array(tileSize * tileSize)
    fillMask(mask, region, rects)
    return few || Buffer.from(mask.buffer).includes(0) ? mask : undefined
  }

  tileRuns(level: number): number[] {
    const { tileSize } = this.#geometry
    const { columns, rows } = gridOf(this.#geometry, level)
    const present = new Uint8Array(columns * rows)
    for (const whole of this.#rects) {
      const rect = rectAtLevel(whole, level)
      const first = Math.floor(rect.x0 / tileSize)
      const last = Math.floor((rect.x1 - 1) / tileSize)
      for (let row = Math.floor(rect.y0 / tileSize); row <= Math.floor((rect.y1 - 1) / tileSize); row++) {
        present.fill(1, row * columns + first, row * columns + last + 1)
      }
    }
    return runLengths(present)
  }

  /** Rectangles that touch a region, both in px of the level. */
  #rectsIn(level: number, region: Rect): Rect[] {
    return this.touching(level, region).map(i => rectAtLevel(this.#rects[i], level))
  }

  /** A coarse tile spans more buckets than there are frames: then every frame is looked at once. */
  #isLarge({ x0, y0, x1, y1 }: Rect): boolean {
    return ((x1 - x0) / SHARD_SIZE + 1) * ((y1 - y0) / SHARD_SIZE + 1) > this.#rects.length
  }

  /** Indices of the rectangles in the buckets that an area touches, some more than once. */
  *#near(area: Rect): Generator<number> {
    for (const key of this.#bucketKeys(area)) yield* this.#buckets.get(key) ?? []
  }

  *#bucketKeys(area: Rect): Generator<number> {
    const { width, height } = levelSize(this.#geometry, 0)
    const lastColumn = Math.floor((Math.min(area.x1, width) - 1) / SHARD_SIZE)
    const lastRow = Math.floor((Math.min(area.y1, height) - 1) / SHARD_SIZE)
    for (let row = Math.floor(Math.max(area.y0, 0) / SHARD_SIZE); row <= lastRow; row++) {
      for (let column = Math.floor(Math.max(area.x0, 0) / SHARD_SIZE); column <= lastColumn; column++) {
        yield row * this.#bucketColumns + column
      }
    }
  }
}
