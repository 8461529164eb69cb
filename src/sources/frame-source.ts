import type { Plane, SampleType, Size } from '../plane.js'
import type { PzfPlan } from './pyme/pzf.js'

/** A point in the coordinate system of the stage, in micrometres. */
export interface StagePosition {
  readonly xUm: number
  readonly yUm: number
}

/** One camera exposure, known without reading a pixel. */
export interface Frame {
  /** The number in the frame's name; gaps keep their numbers. */
  readonly index: number
  /** Where the centre of the first pixel lies: stage position + pixel size × camera ROI origin, µm. */
  readonly position: StagePosition
  /** What the stage reported, µm. */
  readonly stagePosition: StagePosition
  /** 0-based, from the metadata; a reader's own time axis is 0 unless the format knows better. */
  readonly channel: number
  readonly zPlane: number
  readonly timePoint: number
  /** Where it differs from the series' `frameSize`; never larger. */
  readonly size?: Size
  /**
   * Where its first pixel lies in the image that it was cut from, px: large images come in pieces that are read by
   * themselves. It is in `position` already, times the pixel size, and not in `stagePosition`, which all pieces share.
   */
  readonly offsetPx?: { readonly x: number; readonly y: number }
  /** Changes whenever the bytes behind the frame change. */
  readonly stamp: string
}

/** What one channel of a series shows. */
export interface SeriesChannel {
  readonly name: string
  /** Unit of its samples, e.g. `V`; left out of camera counts and of what has none. */
  readonly unit?: string
  /** Six hex digits without `#`, where the metadata names a colour. */
  readonly color?: string
  /** Whether viewers show it at first; left out: as many as are shown together. */
  readonly active?: boolean
}

/** What stands along an axis beside x and y: a depth, a time, or anything else that was varied. */
export interface PlaneAxis {
  /** E.g. `Bias`. */
  readonly name: string
  /** Empty where there is none. */
  readonly unit: string
  /** One for each plane, or none where they are just counted. */
  readonly values: readonly (number | string)[]
}

/** What a table says of one image of a stack. */
export type ItemValue = string | number | boolean | null

/** A column of a table: a value for each image, in their order. */
export interface ItemColumn {
  readonly name: string
  readonly values: readonly ItemValue[]
}

/** The images of a stack that lie side by side: number n in column n % columns, row ⌊n / columns⌋, from the upper left. */
export interface SeriesItems extends Size {
  readonly count: number
  readonly columns: number
  /** What is known of each; undefined where nothing is. */
  readonly table?: readonly ItemColumn[]
}

/** Everything known of an acquisition without reading a pixel. */
export interface FrameSeries {
  /** Short name to show and to log, e.g. `well_A1`. */
  readonly name: string
  /** In order of `index`. Includes frames before `dataStartsAt`. */
  readonly frames: readonly Frame[]
  /** Frames with a smaller index were taken before the stage was in place and are not placed. */
  readonly dataStartsAt: number
  /** Of most frames; the others are smaller (`Frame.size`). */
  readonly frameSize: Size
  readonly sampleType: SampleType
  /** Undefined where the metadata does not say; a build then needs `--pixel-size`. */
  readonly pixelSizeUm: { readonly x: number; readonly y: number } | undefined
  /**
   * True where the format knows of no lengths: `pixelSizeUm` is then 1 × 1 and positions are pixels, until `--pixel-size`
   * tells what a pixel is.
   */
  readonly isUncalibrated?: boolean
  readonly channels: readonly SeriesChannel[]
  readonly zPlanes: number
  /** 1 where it is left out. */
  readonly timePoints?: number
  /** What the planes along z and time stand for, where that is not depth and time. */
  readonly axes?: { readonly zPlane?: PlaneAxis; readonly timePoint?: PlaneAxis }
  /** Where its frames show many images side by side; sizes are px. */
  readonly items?: SeriesItems
  /** Counts of a dark frame, subtracted before blending. */
  readonly darkLevel: number
  /** Name of the well as the metadata has it, if it has one. */
  readonly well: string | undefined
  /** The camera ROI's origin in sensor pixels, already in `Frame.position`. */
  readonly cameraRoi: { readonly x: number; readonly y: number }
  /** Whether the acquisition has ended. */
  readonly complete: boolean
  /** Things a user should know, one sentence each: gaps, missing files, ignored keys. */
  readonly problems: readonly string[]
  /** What the metadata says, for `tilestage info`; never used for arithmetic. */
  readonly metadata: Readonly<Record<string, unknown>>
  /** Changes whenever the bytes behind the series change. */
  readonly fingerprint: string
}

/** An opened acquisition. */
export interface FrameSource {
  /** Path or URL as the user would type it; every error quotes it. */
  readonly url: string
  /** Name of the format for people, e.g. `PYME series`. */
  readonly format: string
  readonly series: FrameSeries
  /** How a worker thread reads the frames by itself; undefined where only this object can. */
  readonly reader?: FrameReaderDescription
  /**
   * Read one frame.
   *
   * @param index the frame's number, as in `Frame.index`.
   * @returns a plane of exactly the frame's size and `series.sampleType`, in camera counts or the
   *   channel's unit. The caller may keep it but not change it.
   * @throws {RangeError} no such frame. @throws {CorruptDataError | UnsupportedDataError | NotFoundError |
   *   SourceUnavailableError} the frame cannot be read; the message names its file.
   */
  readFrame(index: number, options?: { readonly signal?: AbortSignal }): Promise<Plane>
  /** Free what is held; calling it twice is fine. */
  close(): Promise<void>
}

/** Where a worker thread finds a `FrameReader`. */
export interface FrameReaderDescription {
  /** URL of a compiled module that exports `openFrameReader(data: unknown): FrameReader`. */
  readonly module: string
  /** Plain data, for `postMessage`. Stays the same while frames are added to the series. */
  readonly data: unknown
  /** What all readers of this module hold in one thread beside the frames they hand out, bytes; next to nothing if left out. */
  readonly heldBytes?: number
  /** Whether frames side by side come out of the same bytes, so that they are best read row by row. */
  readonly isDecodedInRows?: boolean
}

/** Reads frames of one series in a worker thread. */
export interface FrameReader {
  /**
   * One frame, decoded: as `FrameSource.readFrame`, but a number that no frame has is a NotFoundError.
   *
   * @param options `into`: memory that the samples may be put into, aligned and large enough; the plane may be a view of
   *   it. Whoever gives it copies nothing and collects nothing.
   */
  readFrame(index: number, options?: { readonly signal?: AbortSignal; readonly into?: Uint8Array }): Promise<Plane>
  /**
   * Where frames are PZF files: put a frame's file into `into` and check all of it but its Huffman codes. From a disk
   * this blocks, as a promise costs more than the file; from elsewhere several frames are to be asked for at once.
   * Where the codes turn out to be damaged, `readFrame` says what is wrong with them.
   *
   * @returns what is to be decoded, views of `into`; undefined where the file does not fit into it and `readFrame` is
   *   to read it.
   * @throws as `readFrame`.
   */
  readPzf?(index: number, into: Uint8Array): PzfPlan | undefined | Promise<PzfPlan | undefined>
}
