import { allocateSamples, type Rect, rectAtLevel, type SampleArray } from '../../src/plane.js'
import { COLOUR_STEPS, coloursOf } from '../../src/render/colour-maps.js'
import { computeSteps, hasFewValues, type StepStyle, stepCells, stepTable } from '../../src/render/steps.js'
import type { ShownChannel, Slice } from '../picture/look.js'
import { intersect } from '../picture/stage-geometry.js'
import type { TileStore } from './tile-store.js'
import { forEachTile } from './view-samples.js'

/** A copy of a part of the mosaic that can be painted again whenever contrast or colours change. */
export interface RegionPicture {
  readonly width: number
  readonly height: number
  /** What it shows, in pixels of `level`; `width` × `height` of them. */
  readonly rect: Rect
  readonly level: number
  readonly channels: ReadonlyMap<number, RegionSamples>
}

/** A look, or one whose brightness comes from a histogram. */
export interface PaintedLook {
  readonly channels: readonly (Omit<ShownChannel, 'contrast'> & { readonly contrast: StepStyle })[]
}

/** The samples of one channel in a region, row-major. */
export interface RegionSamples {
  readonly samples: SampleArray
  /** 1 where a sample is covered. */
  readonly covered: Uint8Array
}

/**
 * Read a region from the coarsest level that still fills `targetPx`.
 *
 * @param region in level-0 pixels. @param targetPx longer side of the result on the screen, device px.
 * @throws what `TileStore.load` throws.
 */
export async function readRegion(
  store: TileStore,
  slice: Slice,
  channels: readonly number[],
  region: Rect,
  targetPx: number,
): Promise<RegionPicture> {
  const { levelCount } = store.pyramid
  const longer = Math.max(region.x1 - region.x0, region.y1 - region.y0)
  const level = Math.min(levelCount - 1, Math.max(0, Math.floor(Math.log2(longer / targetPx))))
  const rect = rectAtLevel(region, level)
  const read = async (channel: number): Promise<[number, RegionSamples]> => [
    channel,
    await readChannel(store, slice, channel, level, rect),
  ]
  const size = { width: rect.x1 - rect.x0, height: rect.y1 - rect.y0 }
  return { ...size, rect, level, channels: new Map(await Promise.all(channels.map(read))) }
}

async function readChannel(
  store: TileStore,
  slice: Slice,
  channel: number,
  level: number,
  rect: Rect,
): Promise<RegionSamples> {
  const { tileSize, sampleType } = store.pyramid
  const plane = { ...slice, channel }
  const width = rect.x1 - rect.x0
  const count = width * (rect.y1 - rect.y0)
  const samples = allocateSamples(sampleType, count)
  const covered = new Uint8Array(count)
  const reads: Promise<void>[] = []
  await store.prepare(plane)
  forEachTile(store, plane, level, rect, (column, row) => {
    const address = { level, column, row }
    // What is asked for is built first: that is for the picture alone to say.
    if (!store.isBuilt(plane, address)) return
    reads.push(
      store.load(plane, address).then(({ tile }) => {
        if (!tile) return
        const left = column * tileSize
        const top = row * tileSize
        const startX = Math.max(rect.x0, left)
        const endX = Math.min(rect.x1, left + tileSize)
        for (let y = Math.max(rect.y0, top); y < Math.min(rect.y1, top + tileSize); y++) {
          const from = (y - top) * tileSize - left
          const to = (y - rect.y0) * width - rect.x0
          samples.set(tile.samples.subarray(from + startX, from + endX), to + startX)
          if (tile.mask) covered.set(tile.mask.subarray(from + startX, from + endX), to + startX)
          else covered.fill(1, to + startX, to + endX)
        }
      }),
    )
  })
  await Promise.all(reads)
  return { samples, covered }
}

/**
 * Paint a region in the colours of the picture; uncovered samples stay transparent, and so do channels that were not read.
 *
 * @param wells rectangles of the wells, level-0 pixels: those that have levels of their own are painted with them.
 */
export function paintRegion(
  canvas: HTMLCanvasElement,
  picture: RegionPicture,
  look: PaintedLook,
  wells: readonly Rect[],
): void {
  const { width, height } = picture
  const sums = new Uint32Array(width * height)
  const isCovered = new Uint8Array(width * height)
  for (const { channel, contrast, ofWells } of look.channels) {
    const read = picture.channels.get(channel)
    if (!read) continue
    const areas = [...(ofWells ?? [])].flatMap(([index, levels]) => {
      const well = wells[index]
      const area = well && intersect(rectAtLevel(well, picture.level), picture.rect)
      return area ? [{ area, contrast: { ...contrast, ...levels } }] : []
    })
    const steps = stepsOf(picture, read, contrast, areas)
    addColours(sums, isCovered, read, steps, contrast)
  }
  canvas.width = width
  canvas.height = height
  canvas.getContext('2d')?.putImageData(imageOf(picture, sums, isCovered), 0, 0)
}

interface ContrastOfArea {
  /** In pixels of the picture's level. */
  readonly area: Rect
  readonly contrast: StepStyle
}

/** The step, 0 … 255, of each sample; anything where it is not covered. */
function stepsOf(
  { width, rect }: RegionPicture,
  { samples }: RegionSamples,
  contrast: StepStyle,
  areas: readonly ContrastOfArea[],
): Uint8Array {
  const steps = new Uint8Array(samples.length)
  fillSteps(samples, contrast, steps)
  for (const { area, contrast: own } of areas) {
    for (let y = area.y0; y < area.y1; y++) {
      const start = (y - rect.y0) * width + area.x0 - rect.x0
      const end = start + area.x1 - area.x0
      fillSteps(samples.subarray(start, end), own, steps.subarray(start, end))
    }
  }
  return steps
}

/** A contrast is the same object from picture to picture until it changes. */
const tables = new WeakMap<StepStyle, Uint8Array>()
const cellTables = new WeakMap<StepStyle, Int16Array>()

function fillSteps(samples: SampleArray, contrast: StepStyle, steps: Uint8Array): void {
  if (hasFewValues(samples)) {
    const table = remember(tables, contrast, () => stepTable(contrast, samples))
    for (let i = 0; i < samples.length; i++) steps[i] = table[(samples[i] as number) & (table.length - 1)] as number
  } else {
    const cells = remember(cellTables, contrast, () => stepCells(contrast))
    computeSteps(samples, contrast, cells, steps)
  }
}

function remember<Table>(tables: WeakMap<StepStyle, Table>, contrast: StepStyle, make: () => Table): Table {
  const known = tables.get(contrast) ?? make()
  tables.set(contrast, known)
  return known
}

/** Red, green and blue are added in one number, ten bits for each: room for the sum of four. */
const PART_BITS = 10
const PART_MASK = 2 ** PART_BITS - 1

function addColours(
  sums: Uint32Array,
  isCovered: Uint8Array,
  { samples, covered }: RegionSamples,
  steps: Uint8Array,
  { colours }: StepStyle,
): void {
  const table = coloursOf(colours)
  const part = (step: number, i: number): number => (table[4 * step + i] as number) << (PART_BITS * i)
  const packed = Uint32Array.from({ length: COLOUR_STEPS }, (_, i) => part(i, 0) | part(i, 1) | part(i, 2))
  for (let i = 0; i < sums.length; i++) {
    if (covered[i] === 0 || Number.isNaN(samples[i])) continue
    sums[i] = (sums[i] as number) + (packed[steps[i] as number] as number)
    isCovered[i] = 1
  }
}

/** The sums as colours, each of red, green and blue up to 255. */
function imageOf({ width, height }: RegionPicture, sums: Uint32Array, isCovered: Uint8Array): ImageData {
  const image = new ImageData(width, height)
  const { data } = image
  for (let i = 0, at = 0; i < sums.length; i++, at += 4) {
    if (isCovered[i] === 0) continue
    const sum = sums[i] as number
    // Bytes of image data stop at 255 by themselves.
    data[at] = sum & PART_MASK
    data[at + 1] = (sum >> PART_BITS) & PART_MASK
    data[at + 2] = sum >> (2 * PART_BITS)
    data[at + 3] = 255
  }
  return image
}
