import { CorruptDataError, UnsupportedDataError } from '../../errors.js'
import type { StagePosition } from '../frame-source.js'
import { parsePythonJson } from './python-json.js'

/** One line of PYME's event log. */
export interface AcquisitionEvent {
  readonly name: string
  readonly description: string
  /** Unix seconds. */
  readonly timeS: number
}

/** What a series' own metadata says about time; the events of one series mean nothing by the clock of another. */
export interface AcquisitionClock {
  readonly startTimeS: number | undefined
  /** Seconds from one frame to the next. */
  readonly cycleTimeS: number | undefined
}

/** The moves of one axis by time: `positionsUm[i]` holds from frame `frames[i]` on. */
export interface AxisMoves {
  readonly frames: readonly number[]
  readonly positionsUm: readonly number[]
}

/** At least one move of each axis. */
export interface StageMoves {
  readonly x: AxisMoves
  readonly y: AxisMoves
  /** Events of moves whose description is no number. */
  readonly ignored: number
}

/** An instant at which the number of the next frame is known. */
interface Anchor {
  readonly timeS: number
  readonly frame: number
}

interface Timeline {
  readonly anchors: readonly Anchor[]
  /** The anchors' times, sorted even where PYME leaves the anchors as they were logged. */
  readonly sortedTimesS: Float64Array
}

/** PYME closes its list of anchors with a last frame a week after the start. */
const LAST_ANCHOR = { afterS: 7 * 24 * 60 * 60, frame: 2147483647 }

/**
 * Parse `events.json`: an array of `[name, description, unix time]`.
 *
 * @returns the events in stored order, and how many entries were left out because they are not of that form.
 * @throws {CorruptDataError} not a JSON array.
 */
export function parseEvents(bytes: Uint8Array, url: string): { events: AcquisitionEvent[]; malformed: number } {
  const entries = parsePythonJson(bytes, url)
  if (!Array.isArray(entries)) throw new CorruptDataError(`${url} holds no JSON array of events.`, { url })
  const events: AcquisitionEvent[] = []
  for (const entry of entries) {
    if (!Array.isArray(entry)) continue
    const [name, description, timeS] = entry
    if (typeof name === 'string' && typeof description === 'string' && Number.isFinite(timeS))
      events.push({ name, description, timeS })
  }
  return { events, malformed: entries.length - events.length }
}

/**
 * Find the moves of the stage, each with the first frame that it holds for.
 *
 * @param events in stored order.
 * @param url where the events come from, for the messages.
 * @throws {UnsupportedDataError} no start time or cycle time, or an axis without a single move.
 * @see get_position_from_events in PYME/Analysis/tile_pyramid.py and piecewiseMapping.py, python-microscopy 72f7d55c
 */
export function findStageMoves(
  events: readonly AcquisitionEvent[],
  { startTimeS, cycleTimeS }: AcquisitionClock,
  url: string,
): StageMoves {
  if (startTimeS === undefined) throw missingKey('StartTime', url)
  if (cycleTimeS === undefined || cycleTimeS <= 0) throw missingKey('Camera.CycleTime', url)
  const timeline = findTimeline(events, startTimeS)
  let ignored = 0
  const findMoves = (name: string): AxisMoves => {
    const frames: number[] = []
    const positionsUm: number[] = []
    const byTime = events.filter(event => event.name === name).sort((a, b) => a.timeS - b.timeS)
    for (const event of byTime) {
      const positionUm = parseNumber(firstField(event))
      if (positionUm === undefined) {
        ignored++
        continue
      }
      frames.push(frameAt(event.timeS, timeline, cycleTimeS))
      positionsUm.push(positionUm)
    }
    if (frames.length === 0) throw noMoves(name, events, url)
    return { frames, positionsUm }
  }
  const x = findMoves('ScannerXPos')
  const y = findMoves('ScannerYPos')
  return { x, y, ignored }
}

function noMoves(name: string, events: readonly AcquisitionEvent[], url: string): UnsupportedDataError {
  const found = [...new Set(events.map(event => event.name))].sort()
  const instead = found.length === 0 ? 'it holds no events at all' : `its events are ${found.join(', ')}`
  return new UnsupportedDataError(`${url} holds no ${name} event that says where the stage was; ${instead}.`, { url })
}

/**
 * Where the stage stood when each frame was taken.
 *
 * @param before where it stood until its first move.
 * @returns one position a frame.
 */
export function placeFrames(
  { x, y }: StageMoves,
  before: StagePosition,
  frameNumbers: readonly number[],
): StagePosition[] {
  return frameNumbers.map(frame => ({
    xUm: positionAt(x, frame, before.xUm),
    yUm: positionAt(y, frame, before.yUm),
  }))
}

/** The last frame that a move is known for: those behind it may yet turn out to lie elsewhere. */
export function findLastMove({ x, y }: StageMoves): number {
  return [...x.frames, ...y.frames].reduce((last, frame) => Math.max(last, frame), -1)
}

function missingKey(key: string, url: string): UnsupportedDataError {
  return new UnsupportedDataError(
    `The events of ${url} cannot be matched to frames: the metadata has no usable ${key}.`,
    { url },
  )
}

function findTimeline(events: readonly AcquisitionEvent[], startTimeS: number): Timeline {
  const anchors: Anchor[] = [{ timeS: startTimeS, frame: 0 }]
  let initialisedS: number | undefined
  for (const event of events) {
    if (event.name === 'StartAq') {
      const frame = parseInteger(event.description)
      if (frame !== undefined) anchors.push({ timeS: event.timeS, frame })
    }
    // Frame −1 marks the initialisation tasks of old series, whose frames count from the last of them.
    if (event.name === 'ProtocolTask' && parseInteger(firstField(event)) === -1) initialisedS = event.timeS
  }
  anchors.push({ timeS: startTimeS + LAST_ANCHOR.afterS, frame: LAST_ANCHOR.frame })
  if (initialisedS !== undefined) {
    // PYME sorts its anchors in this case only, and so do we: a series lands here where its users saw it so far.
    anchors.push({ timeS: initialisedS, frame: 0 })
    anchors.sort((a, b) => a.timeS - b.timeS)
  }
  return { anchors, sortedTimesS: Float64Array.from(anchors, anchor => anchor.timeS).sort() }
}

/** The frame a time belongs to: counted from the anchor before it, and not beyond the anchor after it. */
function frameAt(timeS: number, { anchors, sortedTimesS }: Timeline, cycleTimeS: number): number {
  const passed = countUpTo(timeS, sortedTimesS)
  // Before the start PYME's index of −1 means the last anchor; the clamp below then gives the first one's frame.
  const since = anchors[passed - 1] ?? anchors[anchors.length - 1]!
  const frame = since.frame + Math.trunc((timeS - since.timeS) / cycleTimeS)
  const following = anchors[passed]
  return following === undefined ? frame : Math.min(frame, following.frame)
}

/** The coordinate of the last move at or before `frame`; moves out of order fall as they do in PYME's binary search. */
function positionAt({ frames, positionsUm }: AxisMoves, frame: number, beforeUm: number): number {
  return positionsUm[countUpTo(frame, frames) - 1] ?? beforeUm
}

/** How many of the `sorted` numbers are at most `limit`. */
function countUpTo(limit: number, sorted: ArrayLike<number>): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sorted[middle]! <= limit) low = middle + 1
    else high = middle
  }
  return low
}

function firstField({ description }: AcquisitionEvent): string {
  const end = description.indexOf(', ')
  return end < 0 ? description : description.slice(0, end)
}

function parseNumber(text: string): number | undefined {
  return /^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$/.test(text) && Number.isFinite(Number(text))
    ? Number(text)
    : undefined
}

function parseInteger(text: string): number | undefined {
  return /^\s*[+-]?\d{1,15}\s*$/.test(text) ? Number(text) : undefined
}
