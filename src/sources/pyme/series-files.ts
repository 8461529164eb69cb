import { NotFoundError } from '../../errors.js'

export const METADATA = 'metadata.json'
export const FINAL_METADATA = 'final_metadata.json'
export const EVENTS = 'events.json'
export const DESCRIBING_FILES = [METADATA, FINAL_METADATA, EVENTS] as const

/**
 * Check the names in a series folder.
 *
 * @param frameNumbers sorted.
 * @param otherNames those that are no frame's. Hidden and temporary files are left alone.
 * @returns what a user should know: gaps, and frames of other names.
 * @throws {NotFoundError} there is no frame.
 */
export function checkSeriesFiles(
  frameNumbers: readonly number[],
  otherNames: readonly string[],
  url: string,
): string[] {
  if (frameNumbers.length === 0) {
    throw new NotFoundError(
      `${url} holds no frames: among its ${otherNames.length} entries none is named like frame00000.pzf.`,
      { url },
    )
  }
  const problems: string[] = []
  const gaps = missingFrames(frameNumbers)
  if (gaps.length > 0) problems.push(`${describeRanges(gaps)} missing.`)
  const strangers = otherNames.filter(name => name.endsWith('.pzf') && !name.startsWith('.')).sort()
  if (strangers.length > 0) {
    const shown = strangers.slice(0, 3).join(', ')
    const more = strangers.length > 3 ? ` and ${strangers.length - 3} more` : ''
    problems.push(`Files not named like frame00000.pzf are ignored: ${shown}${more}.`)
  }
  return problems
}

/** The name PYME gives a frame: five digits, more where needed. */
export function frameFileName(index: number): string {
  return `frame${String(index).padStart(5, '0')}.pzf`
}

/** The number in a frame's name; undefined for any other spelling of it, so that two files never claim one number. */
export function frameNumberOf(name: string): number | undefined {
  const digits = /^frame(\d{5}|[1-9]\d{5,8})\.pzf$/.exec(name)?.[1]
  return digits === undefined ? undefined : Number(digits)
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
