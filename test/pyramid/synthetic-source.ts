import { CorruptDataError } from '../../src/errors.js'
import { allocateSamples, type Plane, type SampleType, type Size } from '../../src/plane.js'
import type { Frame, FrameSeries, FrameSource } from '../../src/sources/frame-source.js'

export interface SyntheticFrame {
  readonly xUm: number
  readonly yUm: number
  readonly channel?: number
  readonly zPlane?: number
  readonly timePoint?: number
  readonly size?: Size
  readonly offsetPx?: Frame['offsetPx']
}

interface SyntheticOptions extends Partial<Omit<FrameSeries, 'frames'>> {
  readonly url?: string
  readonly frames: readonly SyntheticFrame[]
  /** The sample at (x, y) of a frame; NaN and throwing are fine. */
  readonly sample?: (frame: number, x: number, y: number) => number
  readonly frameSize?: Size
  readonly sampleType?: SampleType
}

/** A series whose frames are computed on demand: pixel size 1 µm, no dark level, unless said otherwise. */
export function syntheticSource(options: SyntheticOptions): FrameSource & { reads: number } {
  const {
    url = 'synthetic',
    frames,
    sample = () => 0,
    frameSize = { width: 64, height: 48 },
    sampleType = 'uint16',
  } = options
  const series: FrameSeries = {
    name: url.split('/').at(-1) ?? url,
    dataStartsAt: 0,
    pixelSizeUm: { x: 1, y: 1 },
    channels: Array.from({ length: 1 + Math.max(0, ...frames.map(({ channel }) => channel ?? 0)) }, (_, i) => ({
      name: `Channel ${i + 1}`,
    })),
    zPlanes: 1 + Math.max(0, ...frames.map(({ zPlane }) => zPlane ?? 0)),
    darkLevel: 0,
    well: undefined,
    cameraRoi: { x: 0, y: 0 },
    complete: true,
    problems: [],
    metadata: {},
    fingerprint: `synthetic-${url}`,
    ...options,
    frameSize,
    sampleType,
    frames: frames.map(({ xUm, yUm, channel = 0, zPlane = 0, timePoint = 0, size, offsetPx }, index): Frame => {
      const { x, y } = options.pixelSizeUm ?? { x: 1, y: 1 }
      return {
        index,
        position: { xUm: xUm + x * (offsetPx?.x ?? 0), yUm: yUm + y * (offsetPx?.y ?? 0) },
        stagePosition: { xUm, yUm },
        ...{ channel, zPlane, timePoint, stamp: String(index) },
        ...(size && { size }),
        ...(offsetPx && { offsetPx }),
      }
    }),
  }
  const source = {
    url,
    format: 'synthetic series',
    series,
    reads: 0,
    async readFrame(index: number): Promise<Plane> {
      source.reads++
      const { width, height } = frames[index]?.size ?? frameSize
      const samples = allocateSamples(sampleType, width * height)
      for (let i = 0; i < samples.length; i++) samples[i] = sample(index, i % width, Math.floor(i / width))
      return { width, height, sampleType, samples }
    },
    close: async () => undefined,
  }
  return source
}

/** For `sample`: the frame cannot be read. */
export function brokenFrame(index: number): never {
  throw new CorruptDataError(`frame${index}.pzf is damaged.`, { frameIndex: index })
}
