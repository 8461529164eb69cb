import { crc32c } from '@node-rs/crc32'
import { CorruptDataError } from '../errors.js'
import type { Rect, Size } from '../plane.js'
import type { PlacedFrame } from './placement.js'
import type { MosaicSelection } from './pyramid.js'
import type { PyramidRecord } from './pyramid-record.js'

interface Point {
  readonly x: number
  readonly y: number
}

/** One frame of a pyramid. */
export interface PlacementRow {
  /** Index into the series of the build, and its name. */
  readonly series: number
  readonly seriesName: string
  /** The frame's number in its series. */
  readonly frame: number
  /** Where the centre of its first pixel lies, µm, and what the stage reported; undefined where the table does not tell. */
  readonly positionUm: Point | undefined
  readonly stageUm: Point | undefined
  /** Level-0 px. */
  readonly rect: Rect
  readonly selection: MosaicSelection
  /** Empty where the table does not tell. */
  readonly well: string
  /** Of the frame's bytes when it was planned; empty where the table does not tell. */
  readonly stamp: string
  readonly used: boolean
  /** Why it was skipped. */
  readonly reason: string | undefined
}

interface Columns {
  readonly series: number[]
  readonly frame: number[]
  readonly xUm: number[]
  readonly yUm: number[]
  readonly stageXUm: number[]
  readonly stageYUm: number[]
  readonly xPx: number[]
  readonly yPx: number[]
  /** Of every frame, px; left out where each is as large as its series says. */
  readonly width?: number[]
  readonly height?: number[]
  readonly channel: number[]
  readonly zPlane: number[]
  readonly timePoint: number[]
  readonly well: string[]
  readonly stamp: string[]
  readonly used: (0 | 1)[]
}

/** The placement table as it is written: one array per column, one entry per frame, and why frames were skipped. */
interface PlacementDocument {
  readonly formatVersion: 1
  readonly columns: Columns
  /** Row number to reason. */
  readonly skipped: Record<string, string>
}

/**
 * @param sizes of the frames of each series, as the record has them. @param skipped reason by position in `frames`.
 */
export function writePlacementTable(
  frames: readonly PlacedFrame[],
  sizes: readonly Size[],
  skipped: ReadonlyMap<number, string>,
): string {
  const widthOf = ({ rect }: PlacedFrame): number => rect.x1 - rect.x0
  const heightOf = ({ rect }: PlacedFrame): number => rect.y1 - rect.y0
  const differ = frames.some(
    frame => widthOf(frame) !== sizes[frame.series].width || heightOf(frame) !== sizes[frame.series].height,
  )
  const document: PlacementDocument = {
    formatVersion: 1,
    columns: {
      series: frames.map(frame => frame.series),
      frame: frames.map(frame => frame.index),
      xUm: frames.map(frame => frame.positionUm.x),
      yUm: frames.map(frame => frame.positionUm.y),
      stageXUm: frames.map(frame => frame.stageUm.x),
      stageYUm: frames.map(frame => frame.stageUm.y),
      xPx: frames.map(frame => frame.rect.x0),
      yPx: frames.map(frame => frame.rect.y0),
      ...(differ && { width: frames.map(widthOf), height: frames.map(heightOf) }),
      channel: frames.map(frame => frame.selection.channel),
      zPlane: frames.map(frame => frame.selection.zPlane),
      timePoint: frames.map(frame => frame.selection.timePoint),
      well: frames.map(frame => frame.well),
      stamp: frames.map(frame => shortStamp(frame.stamp)),
      used: frames.map((_, i) => (skipped.has(i) ? 0 : 1)),
    },
    skipped: Object.fromEntries(skipped),
  }
  return JSON.stringify(document)
}

/** What the table keeps of a frame's stamp, 8 hex digits: enough to notice that it changed. */
export function shortStamp(stamp: string): string {
  return crc32c(stamp).toString(16).padStart(8, '0')
}

/** Columns that are needed to read a pyramid; the others tell where it came from. */
const NEEDED = ['series', 'frame', 'xPx', 'yPx', 'channel', 'zPlane', 'timePoint', 'used'] as const

/** The types of the columns in memory. Positions that the table does not tell are NaN. */
interface PackedColumns {
  readonly series: Uint32Array
  readonly frame: Float64Array
  readonly positionUm: readonly [x: Float64Array, y: Float64Array]
  readonly stageUm: readonly [x: Float64Array, y: Float64Array]
  readonly xPx: Uint32Array
  readonly yPx: Uint32Array
  /** Undefined where each frame is as large as its series says. */
  readonly edges: readonly [width: Uint32Array, height: Uint32Array] | undefined
  readonly channel: Uint16Array
  readonly zPlane: Uint16Array
  readonly timePoint: Uint16Array
  /** Indices into `wellNames`. */
  readonly well: Uint32Array
  readonly wellNames: readonly string[]
  readonly stamp: readonly string[] | undefined
  readonly used: Uint8Array
}

/**
 * Where the frames of a pyramid lie, in the order in which they are blended: by series, then by number.
 *
 * A plate has 100,000 of them. They are kept as columns of numbers, which takes a tenth of the memory of objects.
 */
export class PlacementTable {
  readonly #columns: PackedColumns
  readonly #reasons: Readonly<Record<string, string>>
  readonly #series: PyramidRecord['series']

  private constructor(columns: PackedColumns, reasons: Readonly<Record<string, string>>, record: PyramidRecord) {
    this.#columns = columns
    this.#reasons = reasons
    this.#series = record.series
  }

  /**
   * @param table the parsed table.
   * @param record of the same pyramid: rectangles take their size from its series where the table does not tell it.
   * @throws {CorruptDataError} columns of different lengths, planes that there are not, or frames outside the mosaic.
   */
  static parse(table: unknown, record: PyramidRecord, url: string): PlacementTable {
    const wrong = (row: number): CorruptDataError =>
      new CorruptDataError(`${url} is damaged: row ${row} of the placement table makes no sense.`, { url })
    const { columns, skipped } = (table ?? {}) as Partial<PlacementDocument>
    const lengths = new Set(NEEDED.map(name => (Array.isArray(columns?.[name]) ? columns[name].length : -1)))
    if (columns === undefined || lengths.size !== 1 || lengths.has(-1)) throw wrong(0)
    const below = (value: number, count: number): boolean => Number.isInteger(value) && value >= 0 && value < count
    const { size, channels, zPlanes, timePoints } = record
    const count = columns.series.length
    const sized = columns.width !== undefined || columns.height !== undefined
    if (sized && (columns.width?.length !== count || columns.height?.length !== count)) throw wrong(0)
    for (let i = 0; i < count; i++) {
      if (!below(columns.series[i], record.series.length)) throw wrong(i)
      const series = record.series[columns.series[i]]
      const width = columns.width?.[i] ?? series.width
      const height = columns.height?.[i] ?? series.height
      if (!below(width - 1, series.width) || !below(height - 1, series.height)) throw wrong(i)
      if (!below(columns.xPx[i], size.width - width + 1)) throw wrong(i)
      if (!below(columns.yPx[i], size.height - height + 1)) throw wrong(i)
      if (!below(columns.channel[i], channels.length)) throw wrong(i)
      if (!below(columns.zPlane[i], zPlanes) || !below(columns.timePoint[i], timePoints)) throw wrong(i)
    }
    const wells = new Map<string, number>()
    const positions = (column: unknown): Float64Array =>
      Float64Array.from({ length: count }, (_, i) => finiteOrNaN(Array.isArray(column) ? column[i] : undefined))
    const packed: PackedColumns = {
      series: Uint32Array.from(columns.series),
      frame: Float64Array.from(columns.frame),
      positionUm: [positions(columns.xUm), positions(columns.yUm)],
      stageUm: [positions(columns.stageXUm), positions(columns.stageYUm)],
      xPx: Uint32Array.from(columns.xPx),
      yPx: Uint32Array.from(columns.yPx),
      edges: columns.width && columns.height && [Uint32Array.from(columns.width), Uint32Array.from(columns.height)],
      channel: Uint16Array.from(columns.channel),
      zPlane: Uint16Array.from(columns.zPlane),
      timePoint: Uint16Array.from(columns.timePoint),
      well: Uint32Array.from({ length: count }, (_, i) => numberOf(String(columns.well?.[i] ?? ''), wells)),
      wellNames: [...wells.keys()],
      stamp: Array.isArray(columns.stamp) ? columns.stamp : undefined,
      used: Uint8Array.from(columns.used, used => (used === 1 ? 1 : 0)),
    }
    return new PlacementTable(packed, skipped ?? {}, record)
  }

  /** How many frames there are, skipped ones included. */
  get length(): number {
    return this.#columns.series.length
  }

  /** @param i 0 … length − 1. */
  row(i: number): PlacementRow {
    const { series, frame, positionUm, stageUm, stamp, used } = this.#columns
    return {
      series: series[i],
      seriesName: this.seriesName(i),
      frame: frame[i],
      positionUm: pointAt(positionUm, i),
      stageUm: pointAt(stageUm, i),
      rect: this.rect(i),
      selection: this.selection(i),
      well: this.well(i),
      stamp: String(stamp?.[i] ?? ''),
      used: used[i] === 1,
      reason: this.#reasons[i],
    }
  }

  seriesName(i: number): string {
    return this.#series[this.#columns.series[i]].name
  }

  /** Level-0 px. */
  rect(i: number): Rect {
    const { series, xPx, yPx, edges } = this.#columns
    const { width, height } = edges ? { width: edges[0][i], height: edges[1][i] } : this.#series[series[i]]
    return { x0: xPx[i], y0: yPx[i], x1: xPx[i] + width, y1: yPx[i] + height }
  }

  selection(i: number): MosaicSelection {
    const { channel, zPlane, timePoint } = this.#columns
    return { channel: channel[i], zPlane: zPlane[i], timePoint: timePoint[i] }
  }

  well(i: number): string {
    const { well, wellNames } = this.#columns
    return wellNames[well[i]]
  }

  /** Numbers of the used frames of a plane, ascending. */
  framesOf(selection: MosaicSelection): Uint32Array {
    const { channel, zPlane, timePoint, used } = this.#columns
    const numbers: number[] = []
    for (let i = 0; i < used.length; i++) {
      if (used[i] === 0 || channel[i] !== selection.channel) continue
      if (zPlane[i] === selection.zPlane && timePoint[i] === selection.timePoint) numbers.push(i)
    }
    return Uint32Array.from(numbers)
  }

  *rows(): Generator<PlacementRow, void, undefined> {
    for (let i = 0; i < this.length; i++) yield this.row(i)
  }
}

function finiteOrNaN(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : Number.NaN
}

function pointAt([x, y]: PackedColumns['positionUm'], i: number): Point | undefined {
  return Number.isNaN(x[i]) || Number.isNaN(y[i]) ? undefined : { x: x[i], y: y[i] }
}

/** The number that stands for a name: its place among the different ones. */
function numberOf(name: string, known: Map<string, number>): number {
  const number = known.get(name) ?? known.size
  known.set(name, number)
  return number
}
