import { NotFoundError } from '../../errors.js'

export const METADATA = 'metadata.json'
export const FINAL_METADATA = 'final_metadata.json'
export const EVENTS = 'events.json'

/** What a series folder holds, told from the names in it. */
export interface SeriesFiles {
  /** Which of the three JSON files are there. */
  readonly described: ReadonlySet<string>
  /** Sorted. */
  readonly frameNumbers: readonly number[]
  /** Gaps, and frames of other names. */
  readonly problems: readonly string[]
}

/**
 * Sort out the names in a series folder. Hidden and temporary files, and any others, are left alone.
 *
 * @throws {NotFoundError} there is no frame among them.
 */
export function sortSeriesFiles(names: readonly string[], url: string): SeriesFiles {
  const frameNumbers: number[] = []
  const strangers: string[] = []
  for (const name of names) {
    const number = frameNumberOf(name)
    if (number !== undefined) frameNumbers.push(number)
    else if (name.endsWith('.pzf') && !name.startsWith('.')) strangers.push(name)
  }
  if (frameNumbers.length === 0) {
    throw new NotFoundError(
      `${url} holds no frames: among its ${names.length} entries none is named like frame00000.pzf.`,
      { url },
    )
  }
  frameNumbers.sort((a, b) => a - b)
  const problems: string[] = []
  const gaps = missingFrames(frameNumbers)
  if (gaps.length > 0) problems.push(`${describeRanges(gaps)} missing.`)
  if (strangers.length > 0) {
    const shown = strangers.sort().slice(0, 3).join(', ')
    const more = strangers.length > 3 ? ` and ${strangers.length - 3} more` : ''
    problems.push(`Files not named like frame00000.pzf are ignored: ${shown}${more}.`)
  }
  const described = new Set([METADATA, FINAL_METADATA, EVENTS].filter(name => names.includes(name)))
  return { described, frameNumbers, problems }
}

/** The name PYME gives a frame: five digits, more where needed. */
export function frameFileName(index: number): string {
  return `frame${String(index).padStart(5, '0')}.pzf`
}

/** The number in a frame's name; undefined for any other spelling of it, so that two files never claim one number. */
export function frameNumberOf(name: string): number | undefined {
  const digits = /^frame(\d{5,9})\.pzf$/.exec(name)?.[1]
  if (digits === undefined) return undefined
  return frameFileName(Number(digits)) === name ? Number(digits) : undefined
}

export type FrameRange = readonly [first: number, last: number]

function missingFrames(sorted: readonly number[]): FrameRange[] {
  const gaps: FrameRange[] = []
  let expected = 0
  for (const number of sorted) {
    if (number > expected) gaps.push([expected, number - 1])
    expected = number + 1
  }
  return gaps
}

/** "Frames 7 and 9–11 are"; the first ten gaps by number. */
export function describeRanges(gaps: readonly FrameRange[]): string {
  const named = gaps.slice(0, 10).map(([first, last]) => (first === last ? String(first) : `${first}–${last}`))
  const rest = gaps.slice(10).reduce((count, [first, last]) => count + last - first + 1, 0)
  if (rest > 0) named.push(`${rest} more`)
  if (named.length === 1 && gaps[0]![0] === gaps[0]![1]) return `Frame ${named[0]} is`
  const last = named.pop()
  return `Frames ${named.length > 0 ? `${named.join(', ')} and ` : ''}${last} are`
}
