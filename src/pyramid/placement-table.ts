import { crc32c } from '@node-rs/crc32'
import { CorruptDataError } from '../errors.js'
import type { Rect } from '../plane.js'
import type { PlacedFrame } from './placement.js'
import type { MosaicSelection } from './pyramid.js'
import type { PyramidRecord } from './pyramid-record.js'

/** One frame of a pyramid. */
export interface PlacementRow {
  readonly series: number
  readonly frame: number
  readonly rect: Rect
  readonly selection: MosaicSelection
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

/** @param skipped reason by position in `frames`. */
export function writePlacementTable(frames: readonly PlacedFrame[], skipped: ReadonlyMap<number, string>): string {
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

/**
 * @param table the parsed table.
 * @param record of the same pyramid: rectangles take their size from its series.
 * @throws {CorruptDataError} columns of different lengths, planes that there are not, or frames outside the mosaic.
 */
export function readPlacementTable(table: unknown, record: PyramidRecord, url: string): PlacementRow[] {
  const wrong = (row: number): CorruptDataError =>
    new CorruptDataError(`${url} is damaged: row ${row} of the placement table makes no sense.`, { url })
  const { columns, skipped } = (table ?? {}) as Partial<PlacementDocument>
  const lengths = new Set(NEEDED.map(name => (Array.isArray(columns?.[name]) ? columns[name].length : -1)))
  if (columns === undefined || lengths.size !== 1 || lengths.has(-1)) throw wrong(0)
  const below = (value: number, count: number): boolean => Number.isInteger(value) && value >= 0 && value < count
  const { size, channels, zPlanes, timePoints } = record
  return columns.series.map((number, i) => {
    if (!below(number, record.series.length)) throw wrong(i)
    const series = record.series[number]
    const [x0, y0] = [columns.xPx[i], columns.yPx[i]]
    if (!below(x0, size.width - series.width + 1) || !below(y0, size.height - series.height + 1)) throw wrong(i)
    const rect = { x0, y0, x1: x0 + series.width, y1: y0 + series.height }
    const selection = { channel: columns.channel[i], zPlane: columns.zPlane[i], timePoint: columns.timePoint[i] }
    if (!below(selection.channel, channels.length)) throw wrong(i)
    if (!below(selection.zPlane, zPlanes) || !below(selection.timePoint, timePoints)) throw wrong(i)
    return {
      series: number,
      frame: columns.frame[i],
      rect,
      selection,
      stamp: String(columns.stamp?.[i] ?? ''),
      used: columns.used[i] === 1,
      reason: skipped?.[i],
    }
  })
}
