import { allocateSamples, type Plane, SAMPLE_TYPES, type SampleType } from '../plane.js'
import type { CoveredTile } from './pyramid.js'
import { reducePlane } from './reduce.js'

/** A square that is put together from parts. */
export interface TileCanvas {
  readonly plane: Plane
  /** One byte a sample, row-major, 1 = covered. */
  readonly mask: Uint8Array
}

/** A square of `edge` px that nothing covers: 0 in integers, NaN in floats. */
export function blankCanvas(sampleType: SampleType, edge: number): TileCanvas {
  const samples = allocateSamples(sampleType, edge * edge)
  if (!SAMPLE_TYPES[sampleType].integer) samples.fill(Number.NaN)
  return { plane: { width: edge, height: edge, sampleType, samples }, mask: new Uint8Array(edge * edge) }
}

/** Copy the square of `edge` px at `from` of a tile to `to`. */
export function pasteSquare(
  { plane, mask }: CoveredTile,
  from: { readonly x: number; readonly y: number },
  canvas: TileCanvas,
  to: { readonly x: number; readonly y: number },
  edge: number,
): void {
  for (let line = 0; line < edge; line++) {
    const start = (from.y + line) * plane.width + from.x
    const at = (to.y + line) * canvas.plane.width + to.x
    canvas.plane.samples.set(plane.samples.subarray(start, start + edge), at)
    if (mask) canvas.mask.set(mask.subarray(start, start + edge), at)
    else canvas.mask.fill(1, at, at + edge)
  }
}

/** Half the edge: samples as `reducePlane`; covered is what has a covered pixel of four. */
export function halveCanvas({ plane, mask }: TileCanvas, absentAs: number | undefined): TileCanvas {
  const edge = plane.width / 2
  const half = new Uint8Array(edge * edge)
  for (let y = 0; y < edge; y++) {
    for (let x = 0; x < edge; x++) {
      const above = 2 * y * plane.width + 2 * x
      const below = above + plane.width
      half[y * edge + x] = mask[above] | mask[above + 1] | mask[below] | mask[below + 1]
    }
  }
  return { plane: reducePlane(plane, mask, absentAs), mask: half }
}

/** @returns undefined where nothing is covered. */
export function tileOf({ plane, mask }: TileCanvas): CoveredTile | undefined {
  if (!mask.includes(1)) return undefined
  return { plane, mask: mask.includes(0) ? mask : undefined }
}

/** The same tile, to be reduced. */
export function canvasOf({ plane, mask }: CoveredTile): TileCanvas {
  return { plane, mask: mask ?? new Uint8Array(plane.samples.length).fill(1) }
}
