import { allocateSamples, type Plane, type SampleArray, type SampleType } from '../../src/plane.js'
import type { FrameSource } from '../../src/sources/frame-source.js'

export interface Stitched {
  readonly width: number
  readonly height: number
  readonly samples: SampleArray
}

/** Lay the frames of one plane side by side, each over those before it; NaN, or 0, where there is none. */
export async function stitchFrames(
  source: FrameSource,
  { channel = 0, zPlane = 0, timePoint = 0 } = {},
  type: SampleType = source.series.sampleType,
): Promise<Stitched> {
  const { frames, frameSize, pixelSizeUm } = source.series
  const wanted = frames.filter(
    frame => frame.channel === channel && frame.zPlane === zPlane && frame.timePoint === timePoint,
  )
  const least = (of: (frame: (typeof frames)[number]) => number): number => Math.min(...wanted.map(of))
  const [originX, originY] = [least(({ position }) => position.xUm), least(({ position }) => position.yUm)]
  const placed = wanted.map(({ index, position, size = frameSize }) => ({
    ...{ index, size },
    x: Math.round((position.xUm - originX) / pixelSizeUm!.x),
    y: Math.round((position.yUm - originY) / pixelSizeUm!.y),
  }))
  const width = Math.max(...placed.map(({ x, size }) => x + size.width))
  const height = Math.max(...placed.map(({ y, size }) => y + size.height))
  const samples = allocateSamples(type, width * height).fill(Number.NaN)
  for (const { index, x, y, size } of placed) {
    const plane: Plane = await source.readFrame(index)
    if (plane.width !== size.width || plane.height !== size.height)
      throw new RangeError(`frame ${index} has another size than was said`)
    for (let row = 0; row < plane.height; row++)
      samples.set(plane.samples.subarray(row * plane.width, (row + 1) * plane.width), (y + row) * width + x)
  }
  return { width, height, samples }
}
