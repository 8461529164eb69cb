import type { Rect } from '../../src/plane.js'
import type { PointUm, PyramidInfo } from '../server/pyramid-api.js'

/**
 * Where pixels lie on the map. The map's unit is the stage µm, so a view means the same place in every pyramid;
 * its y axis points up, so map y = −stage y.
 */
export type MosaicGeometry = Pick<PyramidInfo, 'originUm' | 'pixelSizeUm'>

/** `[minX, minY, maxX, maxY]` on the map. */
export type MapExtent = [number, number, number, number]

/** Map coordinates of a point in level-0 pixels, where pixel i spans i … i + 1. */
export function mapFromPixel(geometry: MosaicGeometry, x: number, y: number): [number, number] {
  const stage = stageOfPixel(geometry, { x, y })
  return [stage.x, -stage.y]
}

/** The point in level-0 pixels at map coordinates; pixel i spans i … i + 1. */
export function pixelFromMap(geometry: MosaicGeometry, [x, y]: readonly number[]): PointUm {
  return pixelOfStage(geometry, { x: x as number, y: -(y as number) })
}

/** The point in level-0 pixels at a stage position; the position of a pixel is that of its centre. */
export function pixelOfStage({ originUm, pixelSizeUm }: MosaicGeometry, { x, y }: PointUm): PointUm {
  return { x: (x - originUm.x) / pixelSizeUm.x + 0.5, y: (y - originUm.y) / pixelSizeUm.y + 0.5 }
}

/** The stage position of a point in level-0 pixels, where pixel i spans i … i + 1. */
export function stageOfPixel({ originUm, pixelSizeUm }: MosaicGeometry, { x, y }: PointUm): PointUm {
  return { x: originUm.x + (x - 0.5) * pixelSizeUm.x, y: originUm.y + (y - 0.5) * pixelSizeUm.y }
}

export function extentOfRect(geometry: MosaicGeometry, rect: Rect): MapExtent {
  const [minX, maxY] = mapFromPixel(geometry, rect.x0, rect.y0)
  const [maxX, minY] = mapFromPixel(geometry, rect.x1, rect.y1)
  return [minX, minY, maxX, maxY]
}

/** A rectangle of level-0 pixels in stage µm. */
export function stageRect(geometry: MosaicGeometry, { x0, y0, x1, y1 }: Rect): Rect {
  const from = stageOfPixel(geometry, { x: x0, y: y0 })
  const to = stageOfPixel(geometry, { x: x1, y: y1 })
  return { x0: from.x, y0: from.y, x1: to.x, y1: to.y }
}

/** The area that frames lie in; the whole mosaic where that is unknown. */
export function coveredRect({ covered, width, height }: Pick<PyramidInfo, 'covered' | 'width' | 'height'>): Rect {
  return covered ?? { x0: 0, y0: 0, x1: width, y1: height }
}

const areaOf = ([minX, minY, maxX, maxY]: MapExtent): number => Math.max(0, maxX - minX) * Math.max(0, maxY - minY)

/** Whether two areas of the stage share more than half of the smaller one. */
export function isSameArea(a: MapExtent, b: MapExtent): boolean {
  const shared: MapExtent = [Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])]
  return shared[0] < shared[2] && shared[1] < shared[3] && areaOf(shared) > 0.5 * Math.min(areaOf(a), areaOf(b))
}

/** Whether an address names the same tile in two versions of a pyramid; one may be larger, to the right and below. */
export function hasSameTiles(a: PyramidInfo, b: PyramidInfo): boolean {
  const isEqual = (p: PointUm, q: PointUm): boolean => p.x === q.x && p.y === q.y
  const isSameLattice = isEqual(a.originUm, b.originUm) && isEqual(a.pixelSizeUm, b.pixelSizeUm)
  return a.id === b.id && isSameLattice && a.tileSize === b.tileSize && a.sampleType === b.sampleType
}

/** The common part of two rectangles, or `undefined`. */
export function intersect(a: Rect, b: Rect): Rect | undefined {
  const rect = {
    x0: Math.max(a.x0, b.x0),
    y0: Math.max(a.y0, b.y0),
    x1: Math.min(a.x1, b.x1),
    y1: Math.min(a.y1, b.y1),
  }
  return rect.x0 < rect.x1 && rect.y0 < rect.y1 ? rect : undefined
}

/** The first of some rectangles that holds a point in level-0 pixels. */
export function rectAt<R extends Rect>(rects: readonly R[], x: number, y: number): R | undefined {
  return rects.find(({ x0, y0, x1, y1 }) => x >= x0 && x < x1 && y >= y0 && y < y1)
}
