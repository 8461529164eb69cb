import { setImmediate } from 'node:timers/promises'
import type { Test } from 'tap'
import { TilestageError } from '../../src/errors.js'
import type { Plane } from '../../src/plane.js'
import type { FrameSource } from '../../src/sources/frame-source.js'
import { decodePlanned, openReader, readInThread, sameSamples } from './read-as-worker.js'

/** A format, as the suite makes series of it. */
export interface SeriesKind {
  /** For the names of the tests. */
  readonly name: string
  /** Make a series of at least three different frames that the suite may harm. What it starts is ended with `t`. */
  make(t: Test): Promise<MadeSeries>
}

/** A series of our own, and what can befall it. Every change is one that a reader can tell from times and sizes. */
export interface MadeSeries {
  /** Open it as it is now. The suite closes it. */
  open(): Promise<FrameSource>
  /** What the message about an unreadable frame must name: its file or URL. */
  fileOf(index: number): string
  /** Keep only the first bytes of the file that holds a frame. */
  cutShort(index: number, keptBytes: number): Promise<void>
  /** Give a frame the samples of another one, in one go: nobody sees half of it. */
  replace(index: number, other: number): Promise<void>
  /** Take a frame away; undefined where the format has no way to do so. */
  readonly remove?: (index: number) => Promise<void>
  /** Whether frames share a file, so that what befalls one may befall all. */
  readonly isOneFile: boolean
}

/** Lengths that end within the samples, behind the header, within the header and before it. */
const CUT_LENGTHS = [1000, 64, 10, 0]

/** Larger than any frame of the suite. */
const PZF_BYTES = 2 ** 22

/** What every reader must do, whatever its format. */
export function checkFrameSource(t: Test, kind: SeriesKind): void {
  const { name } = kind

  /** A test with a series of its own, opened. */
  function check(what: string, body: (t: Test, source: FrameSource, made: MadeSeries) => Promise<void>): void {
    t.test(`${name}: ${what}`, async t => {
      const made = await kind.make(t)
      const source = await made.open()
      await body(t, source, made)
      await source.close()
    })
  }

  check('every frame has the size and type of its series, and reads the same twice', async (t, source) => {
    const { frames, frameSize, sampleType } = source.series
    const odd: number[] = []
    for (const { index, size = frameSize } of frames) {
      const plane = await source.readFrame(index)
      const again = await source.readFrame(index)
      const sameShape = plane.width === size.width && plane.height === size.height && plane.sampleType === sampleType
      const whole = plane.samples.length === size.width * size.height
      if (!sameShape || !whole || !sameSamples(plane, again)) odd.push(index)
    }
    t.same(odd, [])
  })

  check('frames are in order of their numbers and lie at finite positions', async (t, source) => {
    const { frames, pixelSizeUm, cameraRoi, channels, zPlanes } = source.series
    t.ok(frames.length > 2)
    t.same(
      frames.map(frame => frame.index),
      frames.map(frame => frame.index).sort((a, b) => a - b),
    )
    for (const { index, position, stagePosition, offsetPx, channel, zPlane, timePoint } of frames) {
      t.ok(Number.isFinite(position.xUm) && Number.isFinite(position.yUm), `frame ${index} lies somewhere`)
      t.ok(channel >= 0 && channel < channels.length && zPlane >= 0 && zPlane < zPlanes && timePoint >= 0)
      if (pixelSizeUm === undefined) continue
      t.equal(position.xUm, stagePosition.xUm + pixelSizeUm.x * (cameraRoi.x + (offsetPx?.x ?? 0)))
      t.equal(position.yUm, stagePosition.yUm + pixelSizeUm.y * (cameraRoi.y + (offsetPx?.y ?? 0)))
    }
  })

  check('opened twice, it is the same series', async (t, source, made) => {
    const again = await made.open()
    t.same(again.series, source.series)
    t.match(source.series.fingerprint, /./)
    await again.close()
  })

  check('the last frame reads, and numbers that are no frame are a RangeError', async (t, source) => {
    const last = source.series.frames.at(-1)!.index
    await t.resolves(source.readFrame(last))
    for (const index of [last + 1, -1, 0.5, Number.NaN]) await t.rejects(source.readFrame(index), RangeError)
  })

  check('a frame cut short after the series was opened is an error that names its file', async (t, source, made) => {
    const [first, { index }] = source.series.frames
    for (const length of CUT_LENGTHS) {
      await made.cutShort(index, length)
      const error = await failureOf(() => source.readFrame(index))
      t.match(error, { name: 'CorruptDataError' }, `${length} bytes`)
      t.ok(String(error).includes(made.fileOf(index)), String(error))
    }
    if (!made.isOneFile) await t.resolves(source.readFrame(first.index), 'the other frames still read')
  })

  check('a frame that was replaced has its new samples, or is refused', async (t, source, made) => {
    const reader = await openReader(source.reader!)
    const [{ index }, { index: other }] = source.series.frames
    const [before, after] = await Promise.all([source.readFrame(index), source.readFrame(other)])
    t.notOk(sameSamples(before, after), 'the frames differ')
    await reader.readFrame(index)
    await made.replace(index, other)
    for (const { readFrame } of [bound(source), bound(reader)]) {
      const plane = await planeOrRefusal(t, readFrame(index))
      if (plane) t.ok(sameSamples(plane, after), 'nothing is remembered')
    }
    const reopened = await made.open()
    t.ok(sameSamples(await reopened.readFrame(index), after))
    t.not(reopened.series.fingerprint, source.series.fingerprint)
    const changed = reopened.series.frames.filter(({ stamp }, i) => stamp !== source.series.frames[i].stamp)
    t.ok(changed.some(frame => frame.index === index))
    if (!made.isOneFile) t.equal(changed.length, 1, 'no other frame seems to have changed')
    await reopened.close()
  })

  check('a frame that is replaced while it is read is the old or the new one', async (t, source, made) => {
    const [{ index }, { index: other }] = source.series.frames
    const [before, after] = await Promise.all([source.readFrame(index), source.readFrame(other)])
    const read = (): Promise<Plane | undefined> => planeOrRefusal(t, source.readFrame(index))
    const reading = [0, 1, 2, 3].map(read)
    const replacing = made.replace(index, other)
    for (let i = 0; i < 4; i++) {
      await setImmediate()
      reading.push(read())
    }
    for (const plane of await Promise.all(reading))
      if (plane) t.ok(sameSamples(plane, before) || sameSamples(plane, after), 'not a mixture')
    await replacing
  })

  check('a frame that went away is an error, and not listed any more', async (t, source, made) => {
    if (!made.remove) {
      t.pass('frames do not go away')
      return
    }
    const [, { index }] = source.series.frames
    await made.remove(index)
    const error = await failureOf(() => source.readFrame(index))
    t.type(error, TilestageError)
    t.ok(String(error).includes(made.fileOf(index)), String(error))
    const reopened = await made.open()
    t.same(
      reopened.series.frames.map(frame => frame.index),
      source.series.frames.map(frame => frame.index).filter(other => other !== index),
    )
    t.not(reopened.series.fingerprint, source.series.fingerprint)
    await reopened.close()
  })

  check('a read that is aborted ends with the reason of the abort, and the next one reads', async (t, source) => {
    const reader = await openReader(source.reader!)
    const { index } = source.series.frames[0]
    const whole = await source.readFrame(index)
    const reason = new Error('looked elsewhere')
    for (const { readFrame } of [bound(source), bound(reader)]) {
      await t.rejects(readFrame(index, { signal: AbortSignal.abort(reason) }), reason)
      const atOnce = new AbortController()
      const reading = readFrame(index, { signal: atOnce.signal })
      atOnce.abort(reason)
      await t.rejects(reading, reason)
      const later = new AbortController()
      const outcome = readFrame(index, { signal: later.signal }).catch(error => error)
      await setImmediate()
      later.abort(reason)
      const ended = await outcome
      t.ok(ended === reason || sameSamples(ended, whole), 'one or the other')
      const plane = await readFrame(index, { signal: new AbortController().signal })
      t.ok(sameSamples(plane, whole))
    }
  })

  check('many frames read at once are the same as one after the other, and stay as they were', async (t, source) => {
    const indices = source.series.frames.map(frame => frame.index)
    const together = await Promise.all(indices.map(index => source.readFrame(index)))
    const different: number[] = []
    for (const [i, index] of indices.entries()) {
      if (!sameSamples(await source.readFrame(index), together[i])) different.push(index)
    }
    t.same(different, [])
  })

  check('another thread reads the same frames', async (t, source) => {
    const indices = source.series.frames.map(frame => frame.index)
    const planes = await readInThread(source.reader!, indices)
    const different: number[] = []
    for (const [i, index] of indices.entries()) {
      const { width, height, sampleType } = planes[i]
      const plane = await source.readFrame(index)
      t.match({ width: plane.width, height: plane.height, sampleType: plane.sampleType }, { width, height, sampleType })
      if (!sameSamples(planes[i], plane)) different.push(index)
    }
    t.same(different, [])
  })

  check('a reader for worker threads gives the same frames and the same errors', async (t, source, made) => {
    const reader = await openReader(source.reader!)
    // What was there before must never be seen as samples.
    const into = new Uint8Array(PZF_BYTES).fill(0xa5)
    const different: number[] = []
    for (const { index } of source.series.frames) {
      const plane = await source.readFrame(index)
      const planned = await decodePlanned(reader, index, into, made.fileOf(index))
      if (!sameSamples(await reader.readFrame(index), plane) || (planned && !sameSamples(planned, plane)))
        different.push(index)
    }
    t.same(different, [])
    await t.rejects(reader.readFrame(source.series.frames.at(-1)!.index + 1), { name: 'NotFoundError' })
    const { index } = source.series.frames[1]
    for (const length of CUT_LENGTHS) {
      await made.cutShort(index, length)
      const message = String(await failureOf(() => source.readFrame(index)))
      t.match(message, /CorruptDataError/)
      t.equal(String(await failureOf(() => reader.readFrame(index))), message, `${length} bytes`)
      if (!reader.readPzf) continue
      const planned = await failureOf(() => decodePlanned(reader, index, into, made.fileOf(index)))
      t.equal(String(planned), message, 'planned')
    }
  })

  check('closing twice is fine, and what is read meanwhile or later is right or refused', async (t, source) => {
    const { index } = source.series.frames[0]
    const whole = await source.readFrame(index)
    const reading = source.readFrame(index).catch(error => error)
    await t.resolves(Promise.all([source.close(), source.close()]))
    await t.resolves(source.close())
    for (const outcome of [await reading, await source.readFrame(index).catch(error => error)]) {
      if (outcome instanceof Error) t.match(outcome.message, /./)
      else t.ok(sameSamples(outcome, whole))
    }
  })
}

/** Both kinds of readers, seen as one. */
function bound(reader: Pick<FrameSource, 'readFrame'>): Pick<FrameSource, 'readFrame'> {
  return { readFrame: (index, options) => reader.readFrame(index, options) }
}

/** @returns undefined where the reader refuses the frame, as it may, in our own words. */
async function planeOrRefusal(t: Test, reading: Promise<Plane>): Promise<Plane | undefined> {
  const outcome = await reading.catch((error: unknown) => error)
  if (!(outcome instanceof Error)) return outcome as Plane
  // Those of a compiled module are of classes of their own.
  t.match(outcome, { code: /^[A-Z_]+$/, message: /\.$/ })
  return undefined
}

async function failureOf(work: () => unknown): Promise<unknown> {
  try {
    await work()
    return undefined
  } catch (error) {
    return error
  }
}
