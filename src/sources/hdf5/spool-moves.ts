import { type AcquisitionClock, type AcquisitionEvent, findStageMoves, type StageMoves } from '../pyme/events.js'

/**
 * Find the moves of the stage in the events of a spool, as `findStageMoves` does in `events.json`.
 *
 * PYME's HDF5 writer puts the number of frames that it has stored into each `StartAq` event. Where it stored the
 * events last, all of them name the frame behind the last one, and by PYME's rules every frame would lie where the
 * stage stood first. Such numbers are left out: a camera starts with frame 0, and where it was started again, each
 * frame has its own move if there are as many moves as frames.
 *
 * @param frameCount the number of the last frame, and one.
 * @returns a sentence in `problems` where that was done.
 * @throws as `findStageMoves`.
 */
export function findSpoolMoves(
  events: readonly AcquisitionEvent[],
  clock: AcquisitionClock,
  frameCount: number,
  url: string,
): { moves: StageMoves; problems: string[] } {
  const starts = events.filter(({ name }) => name === 'StartAq')
  const first = starts[0]
  if (!first || !isTooEarly(first, clock, frameCount))
    return { moves: findStageMoves(events, clock, url), problems: [] }
  const isVoid = (event: AcquisitionEvent): boolean =>
    event.name === 'StartAq' && Number(event.description) >= frameCount
  const mended = events
    .filter(event => event === first || !isVoid(event))
    .map(event => (event === first ? { ...event, description: '0' } : event))
  const moves = findStageMoves(mended, clock, url)
  const hasOneMoveEach = moves.x.frames.length === frameCount && moves.y.frames.length === frameCount
  const problems = [
    `Its log has the camera start at frame ${first.description} (StartAq) before so many can have been taken; it is taken to have started at frame 0.`,
  ]
  if (starts.length === 1 || !hasOneMoveEach) return { moves, problems }
  const frames = Array.from({ length: frameCount }, (_, frame) => frame)
  return { moves: { ...moves, x: { ...moves.x, frames }, y: { ...moves.y, frames } }, problems }
}

/** Whether a start names a frame that is not there, at a time when it could not have been there yet. */
function isTooEarly(
  { description, timeS }: AcquisitionEvent,
  { startTimeS, cycleTimeS }: AcquisitionClock,
  frameCount: number,
): boolean {
  if (startTimeS === undefined || cycleTimeS === undefined || cycleTimeS <= 0) return false
  const frame = Number(description)
  return frame > 0 && frame >= frameCount && frame > (timeS - startTimeS) / cycleTimeS + 0.5
}
