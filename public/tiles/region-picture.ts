import { type Rect, rectAtLevel } from '../../src/plane.js'
import { brightness, type Contrast, colourStep, colourWords } from '../contrast/contrast.js'
import type { PlaneSelection } from '../server/pyramid-api.js'
import type { TileStore } from './tile-store.js'
import { forEachTile } from './view-samples.js'

/** A small copy of a part of the mosaic that can be painted again whenever the contrast changes. */
export interface RegionPicture {
  readonly width: number
  readonly height: number
  /** Row-major samples; NaN where no frame lies. */
  readonly values: Float64Array
}

/**
 * Read a region from the coarsest level that still fills `targetPx`.
 *
 * @param region in level-0 pixels. @param targetPx longer side of the result on the screen, device px.
 * @throws what `TileStore.load` throws.
 */
export async function readRegion(
  store: TileStore,
  plane: PlaneSelection,
  region: Rect,
  targetPx: number,
): Promise<RegionPicture> {
  const { levelCount, tileSize } = store.pyramid
  const longer = Math.max(region.x1 - region.x0, region.y1 - region.y0)
  const level = Math.min(levelCount - 1, Math.max(0, Math.floor(Math.log2(longer / targetPx))))
  const rect = rectAtLevel(region, level)
  const width = rect.x1 - rect.x0
  const height = rect.y1 - rect.y0
  const values = new Float64Array(width * height).fill(Number.NaN)
  const reads: Promise<void>[] = []
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
  return { width, height, values }
}

/** Paint a region in the colours of the picture; uncovered samples stay transparent. */
export function paintRegion(
  canvas: HTMLCanvasElement,
  { width, height, values }: RegionPicture,
  contrast: Contrast,
): void {
  const words = colourWords(contrast.map)
  const image = new ImageData(width, height)
  const pixels = new Uint32Array(image.data.buffer)
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number
    if (!Number.isNaN(value)) pixels[i] = words[colourStep(brightness(value, contrast), contrast.inverted)] as number
  }
  canvas.width = width
  canvas.height = height
  canvas.getContext('2d')?.putImageData(image, 0, 0)
}
