import { UnsupportedDataError } from '../errors.js'
import { commonSampleType, type Rect, SAMPLE_TYPES, type SampleType, type Size, unite } from '../plane.js'
import type { FrameSeries } from '../sources/frame-source.js'
import type { BuildSettings } from './build-settings.js'
import {
  countLevels,
  countTiles,
  MAX_GRID_TILES,
  MAX_MOSAIC_EDGE,
  type MosaicGeometry,
  roundHalfEven,
} from './mosaic-geometry.js'
import { exchangesAxes, orientedSize } from './orient-plane.js'
import type { Channel, MosaicSelection, PlaneAxes } from './pyramid.js'
import { refuseAccidentalOverlap } from './series-overlap.js'
import { nameWells } from './wells.js'

/** A series and where it was found. */
export interface LocatedSeries {
  readonly url: string
  readonly series: FrameSeries
}

/** One frame's place in the mosaic. */
export interface PlacedFrame {
  /** Index into the series of the build. */
  readonly series: number
  /** The frame's number in its series. */
  readonly index: number
  /** µm of the centre of its first pixel after `--stage-sign`, and what the stage reported. */
  readonly positionUm: { readonly x: number; readonly y: number }
  readonly stageUm: { readonly x: number; readonly y: number }
  /** Level-0 px. */
  readonly rect: Rect
  readonly selection: MosaicSelection
  readonly well: string
  /** Changes whenever the bytes behind the frame change. */
  readonly stamp: string
}

/** Where every frame goes and what the pyramid is like: plain data, made without reading a pixel. */
export interface Placement {
  readonly geometry: MosaicGeometry
  /** In series order, then by frame number. */
  readonly frames: readonly PlacedFrame[]
  readonly sampleType: SampleType
  readonly pedestal: number
  readonly channels: readonly Channel[]
  readonly zPlanes: number
  readonly timePoints: number
  readonly axes: PlaneAxes | undefined
  /** Dark level of every series, counts; NaN where `--dark` names a plane. */
  readonly darkLevels: readonly number[]
  /** What the user should know, one sentence each. */
  readonly warnings: readonly string[]
}

interface Point {
  readonly x: number
  readonly y: number
}

/** Pixel sizes that differ by more than this are refused, by more than the second named. */
const PIXEL_SIZE_REFUSED = 1e-3
const PIXEL_SIZE_NAMED = 1e-5

/** How a mosaic that exists or grows is laid out, beyond what the settings say. */
export interface Lattice {
  /** Where the first pixel lies already, µm. */
  readonly originUm?: Point
  /** Free pixels left of and above the frames, where there is no origin yet. */
  readonly marginPx?: number
  /** The mosaic's size is a multiple of this, so that it changes seldom while frames arrive. */
  readonly stepPx?: number
}

/** A frame lies left of or above a mosaic that exists already. */
export class OutsideLatticeError extends UnsupportedDataError {}

/**
 * Place the frames of several series in one mosaic.
 *
 * Pixel offset = round half to even((position − origin) / pixel size); the origin is the smallest x and y of the
 * placed frames. Under the `pyme` blend offsets come from raw stage positions, the minimum runs over all frames, and
 * the first series' camera ROI enters the written origin only.
 *
 * @throws {OutsideLatticeError} a frame lies left of or above `lattice.originUm`.
 * @throws {UnsupportedDataError} the series do not fit together; the sentence says which flag helps.
 */
export function placeFrames(
  sources: readonly LocatedSeries[],
  settings: BuildSettings,
  lattice: Lattice = {},
): Placement {
  const warnings: string[] = []
  const pixelSizeUm = commonPixelSize(sources, settings, warnings)
  const mosaicPixel = exchangesAxes(settings.orientation) ? { x: pixelSizeUm.y, y: pixelSizeUm.x } : pixelSizeUm
  const { zero, originUm } = originOf(sources, settings, pixelSizeUm, mosaicPixel, lattice)
  const pyme = settings.blend === 'pyme'

  refuseTurnedBlocks(sources, settings)
  const channels = channelsOf(sources, settings)
  const selections = new Map<string, MosaicSelection>()
  // The wells are known once all frames are placed.
  const placed: (PlacedFrame & { well: string })[] = sources.flatMap(({ url, series }, number) => {
    const channelOf = channelIn(channels, series, number, settings)
    const frames = series.frames.filter(frame => frame.index >= series.dataStartsAt)
    if (frames.length === 0)
      warnings.push(`${url} has no frame from Protocol.DataStartsAt (${series.dataStartsAt}) on and adds nothing.`)
    return frames.map(frame => {
      const { position, stage, withoutRoi } = positionsOf(frame, series, settings)
      const at = pyme ? withoutRoi : position
      const size = orientedSize(frame.size ?? series.frameSize, settings.orientation)
      const x0 = roundHalfEven((at.x - zero.x) / mosaicPixel.x)
      const y0 = roundHalfEven((at.y - zero.y) / mosaicPixel.y)
      return {
        series: number,
        index: frame.index,
        positionUm: position,
        stageUm: stage,
        rect: { x0, y0, x1: x0 + size.width, y1: y0 + size.height },
        selection: shared(selectionOf(frame, channelOf(frame.channel), number, settings), selections),
        well: '',
        stamp: frame.stamp,
      }
    })
  })
  if (placed.length === 0)
    throw new UnsupportedDataError(`There is no frame to place in ${list(sources.map(({ url }) => url))}.`)
  const size = mosaicSize(
    placed.map(({ rect }) => rect),
    sources,
    settings,
    lattice,
  )
  const located = sources.map(({ url, series }) => ({ name: series.name, path: url, well: series.well }))
  const wells = nameWells(located, placed, mosaicPixel)
  for (const [i, name] of wells.names.entries()) placed[i].well = name
  if (wells.pitchUm !== undefined) {
    warnings.push(
      `Wells are named from positions on a ${wells.pitchUm / 1000} mm lattice; A1 is the one at the smallest x and y.`,
    )
  }
  if (settings.join.kind !== 'merge') {
    refuseAccidentalOverlap(
      placed,
      sources.map(({ url }) => url),
    )
  }
  const darkLevels = sources.map(({ series }) => darkLevelOf(series, settings))
  const sampleType = settings.sampleType ?? commonSampleType(sources.map(({ series }) => series.sampleType))
  if (
    settings.sampleType === undefined &&
    sampleType === 'float64' &&
    sources.some(({ series }) => series.sampleType !== 'float64')
  ) {
    warnings.push('The series mix sample types that only float64 holds exactly; --dtype stores a smaller one.')
  }
  const { integer, min } = SAMPLE_TYPES[sampleType]
  return {
    geometry: {
      originUm,
      pixelSizeUm: mosaicPixel,
      size,
      ...(sources.every(({ series }) => series.isUncalibrated) && !settings.pixelSizeUm && { isUncalibrated: true }),
      tileSize: settings.tileSize,
      levelCount: countLevels(size, settings.tileSize),
    },
    frames: placed,
    sampleType,
    pedestal: integer && min === 0 ? (Number.isNaN(darkLevels[0]) ? meanOf(settings.dark) : darkLevels[0]) : 0,
    channels,
    zPlanes: Math.max(...sources.map(({ series }) => series.zPlanes)),
    timePoints: timePointsOf(sources, settings),
    axes: sources.find(({ series }) => series.axes)?.series.axes,
    darkLevels,
    warnings,
  }
}

/** @throws {UnsupportedDataError} a flag that turns frames, where frames are pieces of one image. */
function refuseTurnedBlocks(sources: readonly LocatedSeries[], { orientation }: BuildSettings): void {
  const { flipX, flipY, rotate } = orientation
  if (!flipX && !flipY && rotate === 0) return
  const cut = sources.find(({ series }) => series.frames.some(({ offsetPx }) => offsetPx))
  if (!cut) return
  throw new UnsupportedDataError(
    `${cut.url} is an image and no series of camera frames, which --flip-image and --rotate-image are for; the page turns what it shows.`,
    { url: cut.url },
  )
}

function commonPixelSize(sources: readonly LocatedSeries[], settings: BuildSettings, warnings: string[]): Point {
  if (settings.pixelSizeUm) return settings.pixelSizeUm
  const sizes = sources.map(({ url, series }) => {
    if (!series.pixelSizeUm) {
      throw new UnsupportedDataError(
        `${url} does not say how large a pixel is (voxelsize.x, voxelsize.y in µm); give it with --pixel-size.`,
        { url },
      )
    }
    return series.pixelSizeUm
  })
  const known = sources.find(({ series }) => !series.isUncalibrated)
  const unknown = sources.find(({ series }) => series.isUncalibrated)
  if (known && unknown) {
    throw new UnsupportedDataError(
      `${unknown.url} does not say how large a pixel is, and ${known.url} does; give it with --pixel-size.`,
      { url: unknown.url },
    )
  }
  const [first] = sizes
  sizes.forEach((size, i) => {
    const difference = Math.max(Math.abs(size.x / first.x - 1), Math.abs(size.y / first.y - 1))
    const both = `${sources[i].url} has pixels of ${size.x} × ${size.y} µm where ${sources[0].url} has ${first.x} × ${first.y} µm`
    if (difference > PIXEL_SIZE_REFUSED) {
      throw new UnsupportedDataError(
        `${both}; they cannot share one mosaic. Build them apart, or say which is right with --pixel-size.`,
        { url: sources[i].url },
      )
    }
    if (difference > PIXEL_SIZE_NAMED) warnings.push(`${both}; ${first.x} × ${first.y} µm is used.`)
  })
  return first
}

/**
 * The position that mosaic pixel (0, 0) is placed at (`zero`) and the one that is written down (`originUm`). They
 * differ under the `pyme` blend only, where offsets leave the camera ROI out.
 */
function originOf(
  sources: readonly LocatedSeries[],
  settings: BuildSettings,
  pixelSizeUm: Point,
  mosaicPixel: Point,
  lattice: Lattice,
): { zero: Point; originUm: Point } {
  const pyme = settings.blend === 'pyme'
  const points = sources.flatMap(({ series }) =>
    series.frames
      .filter(frame => pyme || frame.index >= series.dataStartsAt)
      .map(frame => {
        const { position, withoutRoi } = positionsOf(frame, series, settings)
        return pyme ? withoutRoi : position
      }),
  )
  const least = points.reduce((a, b) => ({ x: Math.min(a.x, b.x), y: Math.min(a.y, b.y) }), {
    x: Infinity,
    y: Infinity,
  })
  const roi = sources[0].series.cameraRoi
  const shift = pyme ? { x: roi.x * pixelSizeUm.x, y: roi.y * pixelSizeUm.y } : { x: 0, y: 0 }
  const margin = lattice.marginPx ?? 0
  const originUm = settings.originUm ??
    lattice.originUm ?? {
      x: least.x + shift.x - margin * mosaicPixel.x,
      y: least.y + shift.y - margin * mosaicPixel.y,
    }
  return { zero: { x: originUm.x - shift.x, y: originUm.y - shift.y }, originUm }
}

/**
 * A frame's position, what the stage reported, and the position as it were without a camera ROI; µm, with
 * `--stage-sign` and `--pixel-size` applied.
 */
function positionsOf(
  { position: reported, stagePosition, offsetPx = { x: 0, y: 0 } }: FrameSeries['frames'][number],
  { pixelSizeUm: own, cameraRoi }: FrameSeries,
  { stageSign, pixelSizeUm: given }: BuildSettings,
): { position: Point; stage: Point; withoutRoi: Point } {
  const stage = { x: stageSign.x * stagePosition.xUm, y: stageSign.y * stagePosition.yUm }
  // The camera's part of a position lies along the image axes: it does not turn with the stage, and is as large as
  // the pixels are said to be.
  const camera = {
    x: reported.xUm - stagePosition.xUm + (given ? (given.x - (own?.x ?? 0)) * (cameraRoi.x + offsetPx.x) : 0),
    y: reported.yUm - stagePosition.yUm + (given ? (given.y - (own?.y ?? 0)) * (cameraRoi.y + offsetPx.y) : 0),
  }
  // One object for all where they are the same: a plate has a hundred thousand frames.
  if (camera.x === 0 && camera.y === 0) return { stage, position: stage, withoutRoi: stage }
  const position = { x: stage.x + camera.x, y: stage.y + camera.y }
  const pixel = given ?? own ?? { x: 0, y: 0 }
  const withoutRoi =
    offsetPx.x || offsetPx.y ? { x: stage.x + pixel.x * offsetPx.x, y: stage.y + pixel.y * offsetPx.y } : stage
  return { stage, position, withoutRoi }
}

function selectionOf(
  { zPlane, timePoint }: FrameSeries['frames'][number],
  channel: number,
  series: number,
  { join }: BuildSettings,
): MosaicSelection {
  return { channel, zPlane, timePoint: join.kind === 'time' ? series : timePoint }
}

/** Tells the channel of the mosaic from that of a series. */
function channelIn(
  channels: readonly Channel[],
  series: FrameSeries,
  number: number,
  { join }: BuildSettings,
): (channel: number) => number {
  const placeOf = (name: string | undefined): number => channels.findIndex(channel => channel.name === name)
  if (join.kind === 'channels') {
    const only = placeOf(join.names[number])
    return () => only
  }
  const places = series.channels.map(({ name }) => placeOf(name))
  return channel => places[channel]
}

/** @throws {UnsupportedDataError} series that are to be time points have several themselves. */
function timePointsOf(sources: readonly LocatedSeries[], { join }: BuildSettings): number {
  if (join.kind !== 'time') return Math.max(...sources.map(({ series }) => series.timePoints ?? 1))
  const several = sources.find(({ series }) => (series.timePoints ?? 1) > 1)
  if (several) {
    throw new UnsupportedDataError(
      `${several.url} holds ${several.series.timePoints} time points already; --as time is for series of one.`,
      { url: several.url },
    )
  }
  return sources.length
}

/** The one object that stands for equal selections: a plate has 100,000 frames and few planes. */
function shared(selection: MosaicSelection, known: Map<string, MosaicSelection>): MosaicSelection {
  const key = `${selection.channel} ${selection.zPlane} ${selection.timePoint}`
  const first = known.get(key) ?? selection
  known.set(key, first)
  return first
}

function channelsOf(sources: readonly LocatedSeries[], { join }: BuildSettings): Channel[] {
  if (join.kind === 'channels') {
    const several = sources.find(({ series }) => series.channels.length > 1)
    if (several)
      throw new UnsupportedDataError(
        `${several.url} holds ${several.series.channels.length} channels already; --channel is for series of one channel.`,
      )
    return [...new Set(join.names)].map(name => ({ name, color: undefined }))
  }
  // The same name is the same channel, wherever it stands in its series.
  const named = new Map<string, Channel>()
  for (const { series } of sources) {
    for (const channel of series.channels)
      if (!named.has(channel.name)) named.set(channel.name, { ...channel, color: channel.color })
  }
  return [...named.values()]
}

function darkLevelOf(series: FrameSeries, { dark }: BuildSettings): number {
  if (dark === undefined) return series.darkLevel
  return typeof dark === 'number' ? dark : Number.NaN
}

function meanOf(dark: BuildSettings['dark']): number {
  if (dark === undefined || typeof dark === 'number') return dark ?? 0
  let sum = 0
  for (const value of dark.samples) sum += value
  return sum / dark.samples.length
}

function mosaicSize(
  rects: readonly Rect[],
  sources: readonly LocatedSeries[],
  { originUm, tileSize }: BuildSettings,
  { originUm: known, stepPx = 1 }: Lattice,
): Size {
  const { x0: left, y0: top, x1: width, y1: height } = rects.reduce(unite)
  const size = { width: Math.ceil(width / stepPx) * stepPx, height: Math.ceil(height / stepPx) * stepPx }
  if (originUm === undefined && known && (left < 0 || top < 0)) {
    throw new OutsideLatticeError(
      `A frame lies left of or above the mosaic's first pixel at ${known.x}, ${known.y} µm by ${Math.max(-left, 0)} and ${Math.max(-top, 0)} px.`,
    )
  }
  if (left < 0 || top < 0) {
    throw new UnsupportedDataError(
      `--origin ${originUm?.x},${originUm?.y} lies right of or below the first frame by ${Math.max(-left, 0)} and ${Math.max(-top, 0)} px; nothing can be placed left of or above the origin.`,
    )
  }
  const apart = `The frames of ${list(sources.map(({ url }) => url))} lie ${size.width} × ${size.height} px apart`
  if (!(size.width <= MAX_MOSAIC_EDGE && size.height <= MAX_MOSAIC_EDGE)) {
    throw new UnsupportedDataError(
      `${apart}, more than the ${MAX_MOSAIC_EDGE} px that a mosaic may measure; look at the positions and the pixel size.`,
    )
  }
  if (countTiles(size, tileSize) > MAX_GRID_TILES) {
    throw new UnsupportedDataError(
      `${apart}, which is more than ${MAX_GRID_TILES} tiles; look at the positions and the pixel size, or give a larger --tile-size.`,
    )
  }
  return size
}

/** `a, b and 3 more` */
function list(names: readonly string[]): string {
  const shown = names.slice(0, 2).join(', ')
  return names.length > 2 ? `${shown} and ${names.length - 2} more` : shown
}
