import { type Rect, rectAtLevel } from '../../src/plane.js'
import { coloursOf } from '../../src/render/colour-maps.js'
import { brightness, type Contrast, colourStep } from '../contrast/contrast.js'
import type { Look, Slice } from '../picture/look.js'
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
  /** By channel: row-major samples; NaN where no frame lies. */
  readonly values: ReadonlyMap<number, Float64Array>
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
  const read = async (channel: number): Promise<[number, Float64Array]> => [
    channel,
    await readValues(store, slice, channel, level, rect),
  ]
  const values = new Map(await Promise.all(channels.map(read)))
  return { width: rect.x1 - rect.x0, height: rect.y1 - rect.y0, rect, level, values }
}

async function readValues(
  store: TileStore,
  slice: Slice,
  channel: number,
  level: number,
  rect: Rect,
): Promise<Float64Array> {
  const { tileSize } = store.pyramid
  const plane = { ...slice, channel }
  const width = rect.x1 - rect.x0
  const values = new Float64Array(width * (rect.y1 - rect.y0)).fill(Number.NaN)
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
        const endX = Math.min(rect.x1, left + tileSize)
        for (let y = Math.max(rect.y0, top); y < Math.min(rect.y1, top + tileSize); y++) {
          for (let x = Math.max(rect.x0, left); x < endX; x++) {
            const index = (y - top) * tileSize + (x - left)
            if (tile.mask && !tile.mask[index]) continue
            values[(y - rect.y0) * width + (x - rect.x0)] = tile.samples[index] as number
          }
        }
      }),
    )
  })
  await Promise.all(reads)
  return values
}

/**
 * Paint a region in the colours of the picture; uncovered samples stay transparent, and so do channels that were not read.
 *
 * @param wells rectangles of the wells, level-0 pixels: those that have levels of their own are painted with them.
 */
export function paintRegion(
  canvas: HTMLCanvasElement,
  picture: RegionPicture,
  look: Look,
  wells: readonly Rect[],
): void {
  const { width, height } = picture
  const image = new ImageData(width, height)
  for (const { channel, contrast, ofWells } of look.channels) {
    const values = picture.values.get(channel)
    if (!values) continue
    const areas = [...(ofWells ?? [])].flatMap(([index, levels]) => {
      const well = wells[index]
      const area = well && intersect(rectAtLevel(well, picture.level), picture.rect)
      return area ? [{ area, contrast: { ...contrast, ...levels } }] : []
    })
    addChannel(image, picture, values, contrast, areas)
  }
  canvas.width = width
  canvas.height = height
  canvas.getContext('2d')?.putImageData(image, 0, 0)
}

interface ContrastOfArea {
  /** In pixels of the picture's level. */
  readonly area: Rect
  readonly contrast: Contrast
}

/** Add the colours of one channel, each of red, green and blue up to 255. */
function addChannel(
  { data, width, height }: ImageData,
  { rect }: RegionPicture,
  values: Float64Array,
  contrast: Contrast,
  areas: readonly ContrastOfArea[],
): void {
  const colours = coloursOf(contrast.colours)
  const steps = new Uint8Array(values.length)
  const fillSteps = ({ x0, y0, x1, y1 }: Rect, own: Contrast): void => {
    for (let y = y0 - rect.y0; y < y1 - rect.y0; y++) {
      for (let i = y * width + x0 - rect.x0; i < y * width + x1 - rect.x0; i++) {
        const value = values[i] as number
        if (!Number.isNaN(value)) steps[i] = colourStep(brightness(value, own), own.inverted)
      }
    }
  }
  fillSteps(rect, contrast)
  for (const { area, contrast: own } of areas) fillSteps(area, own)
  for (let i = 0; i < width * height; i++) {
    if (Number.isNaN(values[i])) continue
    const step = 4 * (steps[i] as number)
    // Bytes of image data stop at 255 by themselves.
    data[4 * i] = (data[4 * i] as number) + (colours[step] as number)
    data[4 * i + 1] = (data[4 * i + 1] as number) + (colours[step + 1] as number)
    data[4 * i + 2] = (data[4 * i + 2] as number) + (colours[step + 2] as number)
    data[4 * i + 3] = 255
  }
}
