import { formatNumber } from '../parts/number-format.js'
import type { FrameRow } from '../server/measure-api.js'

/** More frames than that at one place are only counted. */
const MAX_NAMED = 6

type NamedFrame = Pick<FrameRow, 'series' | 'frame'>

/** Which frames a sample comes from: `well_A1, frame 17`, where they overlap `well_A1, frames 6 + 7`. */
export function nameFrames(frames: readonly NamedFrame[]): string {
  // Channels of one exposure have a frame each, or share it.
  const bySeries = new Map<string, Set<number>>()
  for (const { series, frame } of frames) bySeries.set(series, (bySeries.get(series) ?? new Set()).add(frame))
  return [...bySeries].map(([series, numbers]) => `${series}, ${nameNumbers([...numbers])}`).join(' + ')
}

function nameNumbers(numbers: readonly number[]): string {
  if (numbers.length > MAX_NAMED) return `${formatNumber(numbers.length)} frames`
  return `${numbers.length === 1 ? 'frame' : 'frames'} ${numbers.join(' + ')}`
}
