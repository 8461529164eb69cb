import type { Rect } from '../../src/plane.js'
import type { Look, Slice } from '../picture/look.js'
import { intersect, stageOfPixel } from '../picture/stage-geometry.js'
import { ViewFrame } from '../picture/view-frame.js'
import { paintRegion, readRegion } from '../tiles/region-picture.js'
import type { TileStore } from '../tiles/tile-store.js'

/** A figure is drawn in squares of this side, so that the samples of a few tiles are in memory and not all. */
const BLOCK_PX = 512
/** Samples around a square that smoothing looks at. */
const MARGIN_SAMPLES = 2

export interface Seen {
  readonly store: TileStore
  readonly slice: Slice
  readonly look: Look
}

/**
 * Draw the samples below a frame, from the coarsest level whose pixels are no larger than those of the frame.
 *
 * @param frame in px of the canvas, its corner at (0, `top`). @param onProgress told the share (0 … 1) that is done.
 * @throws what `TileStore.load` throws; the reason of `signal` when it is aborted.
 */
export async function drawRegion(
  context: CanvasRenderingContext2D,
  seen: Seen,
  frame: ViewFrame,
  top: number,
  signal: AbortSignal,
  onProgress: (done: number) => void,
): Promise<void> {
  for (let y = 0; y < frame.height; y += BLOCK_PX) {
    for (let x = 0; x < frame.width; x += BLOCK_PX) {
      signal.throwIfAborted()
      onProgress((y * frame.width + x * Math.min(BLOCK_PX, frame.height - y)) / (frame.width * frame.height))
      const width = Math.min(BLOCK_PX, frame.width - x)
      const height = Math.min(BLOCK_PX, frame.height - y)
      const center = frame.toStage({ left: x + width / 2, top: y + height / 2 })
      await drawBlock(
        context,
        seen,
        new ViewFrame({ ...frameView(frame), centerUm: center }, width, height),
        x,
        top + y,
      )
    }
  }
}

async function drawBlock(
  context: CanvasRenderingContext2D,
  { store, slice, look }: Seen,
  block: ViewFrame,
  left: number,
  top: number,
): Promise<void> {
  const { pyramid } = store
  const samplePx = Math.max(pyramid.pixelSizeUm.x, pyramid.pixelSizeUm.y) / block.umPerPx
  const margin = MARGIN_SAMPLES * Math.max(1, 1 / samplePx)
  const region = intersect(grown(block.visibleRect(pyramid), margin), {
    x0: 0,
    y0: 0,
    x1: pyramid.width,
    y1: pyramid.height,
  })
  if (!region) return
  const longer = Math.max(region.x1 - region.x0, region.y1 - region.y0)
  const channels = look.channels.map(({ channel }) => channel)
  // A hair less, so that a level whose pixels are those of the figure is taken for one.
  const picture = await readRegion(store, slice, channels, region, longer * samplePx * (1 - 1e-9))
  const canvas = document.createElement('canvas')
  paintRegion(canvas, picture, look, pyramid.wells)

  const scale = 2 ** picture.level
  const onFigure = (column: number, row: number) =>
    block.toScreen(stageOfPixel(pyramid, { x: (picture.rect.x0 + column) * scale, y: (picture.rect.y0 + row) * scale }))
  const origin = onFigure(0, 0)
  const right = onFigure(picture.width, 0)
  const below = onFigure(0, picture.height)
  context.save()
  context.beginPath()
  context.rect(left, top, block.width, block.height)
  context.clip()
  context.translate(left, top)
  context.transform(
    (right.left - origin.left) / picture.width,
    (right.top - origin.top) / picture.width,
    (below.left - origin.left) / picture.height,
    (below.top - origin.top) / picture.height,
    origin.left,
    origin.top,
  )
  context.imageSmoothingEnabled = look.smooth
  context.drawImage(canvas, 0, 0)
  context.restore()
}

function frameView({ umPerPx, rotation, yUp }: ViewFrame) {
  return { umPerPx, rotation, yUp }
}

function grown({ x0, y0, x1, y1 }: Rect, by: number): Rect {
  return { x0: x0 - by, y0: y0 - by, x1: x1 + by, y1: y1 + by }
}
