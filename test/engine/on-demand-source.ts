import { CorruptDataError } from '../../src/errors.js'
import type { Plane, Size } from '../../src/plane.js'
import type { Frame, FrameReader, FrameSeries, FrameSource } from '../../src/sources/frame-source.js'

const MODULE = new URL('./on-demand-reader.mjs', import.meta.url).href

export interface OnDemandOptions extends Partial<Omit<FrameSeries, 'frames'>> {
  readonly url?: string
  /** Stage positions, µm; 1 µm a pixel. */
  readonly frames: readonly { readonly xUm: number; readonly yUm: number; readonly channel?: number }[]
  readonly frameSize?: Size
  readonly slowMs?: number
  readonly broken?: readonly number[]
  readonly deadly?: readonly number[]
  readonly greedy?: readonly number[]
}

/** A uint16 series whose frames any thread can make. */
export function onDemandSource(options: OnDemandOptions): FrameSource {
  const {
    url = '/on-demand/series',
    frames,
    frameSize = { width: 128, height: 128 },
    slowMs,
    broken,
    deadly,
    greedy,
  } = options
  const data = { ...frameSize, slowMs, broken, deadly, greedy }
  const series: FrameSeries = {
    name: url.split('/').at(-1) ?? url,
    dataStartsAt: 0,
    pixelSizeUm: { x: 1, y: 1 },
    channels: [{ name: 'Channel 1' }],
    zPlanes: 1,
    darkLevel: 100,
    well: undefined,
    cameraRoi: { x: 0, y: 0 },
    complete: true,
    problems: [],
    metadata: {},
    fingerprint: `on-demand ${url} ${frames.length} ${JSON.stringify([broken, deadly])}`,
    ...options,
    frameSize,
    sampleType: 'uint16',
    frames: frames.map(
      ({ xUm, yUm, channel = 0 }, index): Frame => ({
        index,
        position: { xUm, yUm },
        stagePosition: { xUm, yUm },
        channel,
        zPlane: 0,
        timePoint: 0,
        stamp: broken?.includes(index) ? 'broken' : 'whole',
      }),
    ),
  }
  let reader: Promise<FrameReader> | undefined
  return {
    url,
    format: 'series made on demand',
    series,
    reader: { module: MODULE, data },
    async readFrame(index: number): Promise<Plane> {
      // The compiled class that the module throws is another one than that of the sources.
      if (broken?.includes(index)) throw new CorruptDataError(`frame ${index} is damaged.`, { frameIndex: index })
      reader ??= import(MODULE).then(module =>
        (module as { openFrameReader(data: unknown): FrameReader }).openFrameReader(data),
      )
      return (await reader).readFrame(index)
    },
    close: async () => undefined,
  }
}

/** Stage positions of `count` frames in rows of `columns`, `step` µm apart. */
export function rasterPositions(count: number, columns: number, step: number): { xUm: number; yUm: number }[] {
  return Array.from({ length: count }, (_, i) => ({
    xUm: (i % columns) * step + ((i * 7) % 5),
    yUm: Math.floor(i / columns) * step + ((i * 3) % 4),
  }))
}
