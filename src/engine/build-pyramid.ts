import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { availableParallelism } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { CorruptDataError, UnsupportedDataError } from '../errors.js'
import type { SampleType } from '../plane.js'
import type { BuildFeed, BuildFeedEvents } from '../pyramid/build-feed.js'
import type { BuildSettings } from '../pyramid/build-settings.js'
import { SHARD_SIZE, type TileAddress } from '../pyramid/mosaic-geometry.js'
import { type Lattice, OutsideLatticeError, type Placement, placeFrames } from '../pyramid/placement.js'
import type { MosaicSelection } from '../pyramid/pyramid.js'
import type { PyramidRecord } from '../pyramid/pyramid-record.js'
import { readRecord, type SkippedFrame } from '../pyramid/pyramid-store.js'
import { nameOfShard, type ShardJournal } from '../pyramid/shard-journal.js'
import type { FrameSource } from '../sources/frame-source.js'
import { type BuildOutput, besideOutput, prepareOutput, refuseInsideInput, type WantedPyramid } from './build-output.js'
import { summarise } from './build-report.js'
import { CrewKeeper } from './crew-keeper.js'
import { fingerprintOf, fingerprintOfSettings, objectionTo, orderAsRecorded } from './fingerprint.js'
import { DEFAULT_MEMORY_BYTES } from './memory-plan.js'
import { openCheckedJournal } from './open-checked-journal.js'
import { nameOfOutput, PyramidWriter, type WrittenFile } from './pyramid-writer.js'
import { ShardRound, type Skip } from './shard-round.js'
import { ShardTree } from './shard-tree.js'

/** Free shards left of and above the frames of a series that grows. */
const MARGIN_SHARDS = 4

/** A mosaic that grows is as large as a multiple of this, so that its size changes seldom. */
const STEP_PX = 4 * SHARD_SIZE

/** How often growing series are looked at. */
const POLL_EVERY_MS = 50

/** Planning costs too: a round is not cut short before it worked so many times as long as it was planned. */
const LEAST_WORK = 4

/** The plan of so many frames is most of the heap, which V8 otherwise lets grow to twice of what is in it. */
const MANY_FRAMES = 5000
const KEEP_HEAP_SMALL = '--heap-growing-percent=30'

/** A journal that grows for hours is rewritten now and then. */
const MOST_WASTED_BYTES = 32 * 2 ** 20

/** Series that are still being acquired. */
export interface GrowingSeries {
  /** As they are now. */
  readonly sources: readonly FrameSource[]
  readonly settings: BuildSettings
  /** Whether all of them are complete, as far as is known now. */
  readonly isComplete: boolean
  /** Whether more series may appear. */
  readonly mayGetMore: boolean
  /** Look again. @returns whether anything changed. */
  poll(): Promise<boolean>
}

export interface BuildRequest {
  /** In order; the first names the dark level and pixel size of the pyramid. The caller closes them. */
  readonly sources: readonly FrameSource[]
  /** Folder of the pyramid. */
  readonly output: string
  readonly settings: BuildSettings
  /** Replace a pyramid of other series or settings. */
  readonly overwrite: boolean
  /** Stop at the first frame that cannot be read. */
  readonly strict: boolean
  /** Name and version of the program, written into the pyramid. */
  readonly software: string
  /** Threads that read and blend; as many as there are processors where it is not said. */
  readonly workers?: number
  /** Bound on what this process takes altogether. */
  readonly memoryBytes?: number
  /** Follow the series; `sources` and `settings` are those of now. */
  readonly growing?: GrowingSeries
  /** Use no kernels but those in plain TypeScript, on one thread: for comparison. */
  readonly plain?: boolean
  readonly onProgress?: (progress: BuildProgress) => void
  /**
   * Called whenever a plan lies in the output folder, before the first shard of it is made; waited for.
   *
   * @param feed undefined while another pyramid keeps the output's name until this one is ready.
   */
  readonly onStarted?: (feed: BuildFeed | undefined) => Promise<void>
  /** Called whenever the pyramid is complete, also where it was before: once, or more often where series grow; waited for. */
  readonly onComplete?: (report: BuildReport) => Promise<void>
  readonly onWarning?: (message: string) => void
  readonly signal?: AbortSignal
}

export interface BuildProgress {
  readonly framesDone: number
  readonly framesTotal: number
  /** Decoded samples of the frames done in this run, bytes. */
  readonly bytesDone: number
  /** Of `framesDone`, how many an earlier run had done. */
  readonly framesBefore: number
  /** Since the run began. */
  readonly seconds: number
}

export interface BuildReport {
  readonly record: PyramidRecord
  /** False where the pyramid was there already. */
  readonly built: boolean
  readonly skipped: readonly SkippedFrame[]
  /** Of the whole pyramid. */
  readonly files: number
  readonly bytes: number
}

/**
 * Build the pyramid of several series: plan, shards of every plane, side files, and the completion marker last. Shards
 * that are there already and fit the plan are kept: so a build goes on where another one stopped, and takes in what was
 * added.
 *
 * A frame that cannot be read is skipped and reported (with `strict` it stops the build).
 *
 * @returns when the pyramid is complete; with `growing`, when in addition nothing more can come.
 * @throws {TilestageError} the series do not fit together, the output cannot be used, or no frame can be read; nothing
 *   that was there before is lost, and the same call goes on.
 */
export async function buildPyramid(request: BuildRequest): Promise<BuildReport> {
  await refuseInsideInput(
    request.output,
    request.sources.map(({ url }) => url),
  )
  const frames = request.sources.reduce((sum, { series }) => sum + series.frames.length, 0)
  if (frames > MANY_FRAMES) setFlagsFromString(KEEP_HEAP_SMALL)
  refuseOtherSizes(request)
  const prepared = await prepareOutput(request.output, wantedPyramid(request), request.overwrite)
  if (!('directory' in prepared)) {
    const report = { record: prepared, built: false, skipped: [], files: 0, bytes: 0 }
    await request.onComplete?.(report)
    if (!request.growing || (request.growing.isComplete && !request.growing.mayGetMore)) return report
    // Nothing is known of it that would have to be done; what comes is waited for.
    const output = await prepareOutput(request.output, { ...wantedPyramid(request), isAlready: () => false }, false)
    if (!('directory' in output)) throw new RangeError('a folder to go on in was refused')
    return runBuild(request, output, report)
  }
  return runBuild(request, prepared, undefined)
}

/** @throws {UnsupportedDataError} a correction image that does not fit the frames. */
function refuseOtherSizes({ sources, settings }: BuildRequest): void {
  for (const flag of ['dark', 'gain', 'illumination'] as const) {
    const plane = settings[flag]
    if (typeof plane !== 'object') continue
    for (const { series, url } of sources) {
      const { width, height } = series.frameSize
      if (plane.width === width && plane.height === height) continue
      throw new UnsupportedDataError(
        `The --${flag} image has ${plane.width} × ${plane.height} px where the frames of ${url} have ${width} × ${height}.`,
        { url },
      )
    }
  }
}

async function runBuild(
  request: BuildRequest,
  output: BuildOutput,
  done: BuildReport | undefined,
): Promise<BuildReport> {
  const build = new PyramidBuild(request, output, done)
  try {
    return await build.run()
  } finally {
    await build.close()
  }
}

export function wantedPyramid({ sources, settings, growing }: BuildRequest): WantedPyramid {
  return {
    objectionTo: known => objectionTo(known, sources, settings, growing !== undefined),
    isAlready: ({ record }) => {
      const ordered = orderAsRecorded(sources, settings, record)
      const isSame = record.fingerprint === fingerprintOf(ordered.sources, ordered.settings)
      // Frames that were missing or out of reach may be there now, and nothing tells but to read them.
      return record.complete && isSame && !record.frames.unavailable
    },
  }
}

/** What one look at the series asks for. */
interface Plan {
  readonly sources: readonly FrameSource[]
  readonly settings: BuildSettings
  readonly placement: Placement
}

class PyramidBuild {
  readonly #request: BuildRequest
  readonly #crews: CrewKeeper
  readonly #feed = new Feed()
  /** Why frames were left out, by what they are. */
  readonly #skips = new Map<string, Skip>()
  readonly #shown = new Set<number>()
  #output: BuildOutput
  #journal: ShardJournal | undefined
  /** Of the pyramid as it is, where it is complete. */
  #report: BuildReport | undefined
  #originUm: Lattice['originUm']
  #marginPx: number
  #sampleType: SampleType | undefined
  /** Time spent on rounds, s: what a growing series was waited for is nobody's speed. */
  #workedS = 0
  #framesMade = 0
  #bytesMade = 0
  /** What was written of the pyramid's folder so far. */
  #written = new Map<string, WrittenFile>()
  #revision = randomBytes(4).toString('hex')

  constructor(request: BuildRequest, output: BuildOutput, report: BuildReport | undefined) {
    const before = output.known?.record
    this.#request = request
    this.#output = output
    this.#report = report
    this.#originUm = before?.originUm
    this.#sampleType = before?.sampleType
    const { growing, sources, settings } = request
    const grows = growing !== undefined && !growing.isComplete && settings.originUm === undefined
    const mayMove = sources.some(({ series }) => series.frames.some(({ offsetPx }) => offsetPx === undefined))
    // Pieces of images lie where they lie; where a stage goes next, nobody knows.
    this.#marginPx = before?.marginPx ?? (grows && mayMove ? MARGIN_SHARDS * SHARD_SIZE : 0)
    // Shards that stay keep their versions.
    if (before) this.#revision = before.revision
    const { workers = availableParallelism(), memoryBytes = DEFAULT_MEMORY_BYTES, plain = false } = request
    this.#crews = new CrewKeeper(workers, memoryBytes, plain)
  }

  async run(): Promise<BuildReport> {
    const { growing, signal } = this.#request
    let planned = this.#report ? this.#fingerprintNow() : undefined
    for (;;) {
      signal?.throwIfAborted()
      const settles = growing?.isComplete ?? true
      const fingerprint = this.#fingerprintNow()
      if (fingerprint !== planned || (settles && !this.#report))
        planned = (await this.#round(settles)) ? fingerprint : undefined
      else if (growing && (growing.mayGetMore || !growing.isComplete)) await this.#nextChange(growing)
      else break
    }
    if (!this.#report) throw new RangeError('a build ended without a report')
    return this.#report
  }

  /** End the workers and let other builds in; what is there is gone on with by the next build. */
  async close(): Promise<void> {
    await this.#crews.close()
    await this.#journal?.close()
    await this.#output.release()
  }

  #fingerprintNow(): string {
    const { sources, settings } = this.#request.growing ?? this.#request
    return fingerprintOf(sources, settings)
  }

  /**
   * Bring every shard to where the series are now.
   *
   * @param settles whether the pyramid is complete then.
   * @returns false where the series changed meanwhile and the round was cut short.
   */
  async #round(settles: boolean): Promise<boolean> {
    const started = performance.now()
    const { growing, strict, onProgress, onStarted, signal } = this.#request
    const grows = growing !== undefined && !settles
    const plan = await this.#plan(grows)
    const { placement, sources, settings } = plan
    this.#report = undefined
    const { directory, id, isBeside, known } = this.#output
    await this.#output.begin()
    const writer = new PyramidWriter(directory, this.#written, {
      ...{ id, sources, settings },
      name: nameOfOutput(this.#request.output),
      revision: this.#revision,
      fingerprint: fingerprintOf(sources, settings),
      software: this.#request.software,
      marginPx: this.#marginPx,
      levelsBefore: known?.record.levelCount ?? 0,
    })
    await writer.writePlan(placement)
    const plannedMs = performance.now() - started
    this.#journal ??= await openCheckedJournal(directory, known?.record.complete ?? false, signal)
    const round = new ShardRound({
      ...{ directory, sources, settings, grows, strict, onProgress, signal },
      tree: new ShardTree(
        placement,
        fingerprintOfSettings(settings),
        sources.some(({ reader }) => reader?.isDecodedInRows),
      ),
      journal: this.#journal,
      skips: this.#skips,
      shown: this.#shown,
      crews: this.#crews,
      feed: this.#feed,
      startedMs: started,
    })
    this.#feed.follow(directory, round, isBeside)
    await onStarted?.(isBeside ? undefined : this.#feed)
    const watch = growing && cutShortOnChange(growing, round, LEAST_WORK * plannedMs)
    try {
      await round.run()
    } finally {
      await watch?.stop()
    }
    this.#workedS += (performance.now() - started) / 1000
    this.#framesMade += round.framesDone
    this.#bytesMade += round.bytesDone
    if (round.wasCutShort) return false
    if (settles) await this.#settle(plan, writer, round)
    else if (isBeside) await this.#takePlace()
    else if (this.#journal.wastedBytes > MOST_WASTED_BYTES) await this.#journal.compact(shard => round.plans(shard))
    return true
  }

  /** Place what there is. A mosaic that frames outgrew to the left or above is begun anew, beside the old one. */
  async #plan(grows: boolean): Promise<Plan> {
    const now = this.#request.growing ?? this.#request
    const before = this.#output.known?.record
    const ordered = orderAsRecorded(now.sources, now.settings, before)
    const place = (originUm: Lattice['originUm']): Plan => {
      const lattice = { originUm, marginPx: this.#marginPx, stepPx: grows ? STEP_PX : 1 }
      const placement = placeFrames(ordered.sources, ordered.settings, lattice)
      this.#originUm = placement.geometry.originUm
      return { ...ordered, placement }
    }
    try {
      const plan = place(this.#originUm)
      const { sampleType } = plan.placement
      const isSameType = this.#sampleType === undefined || this.#sampleType === sampleType
      this.#sampleType = sampleType
      if (isSameType) return plan
      await this.#beginAnew('The series that were added have samples of another type.')
    } catch (error) {
      if (!(error instanceof OutsideLatticeError)) throw error
      await this.#beginAnew(error.message)
    }
    return place(undefined)
  }

  async #beginAnew(reason: string): Promise<void> {
    const { onWarning, growing, output } = this.#request
    onWarning?.(`${reason} The pyramid is made anew beside the old one, which stays until then.`)
    if (growing) this.#marginPx = Math.max(2 * this.#marginPx, MARGIN_SHARDS * SHARD_SIZE)
    this.#revision = randomBytes(4).toString('hex')
    await this.close()
    this.#journal = undefined
    this.#written = new Map()
    this.#shown.clear()
    const before = await readRecord(output)
    if (!before) throw new RangeError(`${output} held a pyramid a moment ago`)
    // What an earlier try left beside has another lattice.
    this.#output = await besideOutput(output, before, { objectionTo: () => 'of before', isAlready: () => false })
  }

  /** Everything is there: write the side files and the completion marker. */
  async #settle({ placement, sources }: Plan, writer: PyramidWriter, round: ShardRound): Promise<void> {
    const journal = this.#journal
    if (!journal) throw new RangeError('there is no journal to settle')
    const left = round.skipped
    if (placement.frames.length === left.length) {
      throw new CorruptDataError(
        `None of the ${placement.frames.length} frames can be read; the first failure: ${left[0]?.reason}`,
      )
    }
    // The summary takes memory too, and there is nothing left to make.
    if (!this.#request.growing) await this.#crews.close()
    for (const shard of journal.known()) if (!round.plans(shard)) writer.removeShard(nameOfShard(shard))
    const compacted = await journal.compact(shard => round.plans(shard))
    const seconds = this.#workedS
    const throughput = { frames: this.#framesMade, sampleBytes: this.#bytesMade, seconds }
    const summary = await summarise(placement, journal.entries(), throughput)
    const unavailable = left.filter(({ isUnavailable }) => isUnavailable).length
    const record = await writer.finish(placement, { ...summary, unavailable, seconds })
    await this.#takePlace()
    let [files, bytes] = [writer.files + 1, writer.bytes + compacted.bytes]
    for (const shard of journal.known()) {
      files += shard.bytes > 0 ? 1 : 0
      bytes += shard.bytes
    }
    const skipped = left.map(({ series, frame, reason }) => ({
      series: sources[series].series.name,
      ...{ frame, reason },
    }))
    this.#report = { record, built: true, skipped, files, bytes }
    this.#feed.emit('finished', this.#output.directory)
    await this.#request.onComplete?.(this.#report)
  }

  /** A pyramid that was made beside another one takes its name. */
  async #takePlace(): Promise<void> {
    if (!this.#output.isBeside) return
    await this.#journal?.close()
    this.#journal = undefined
    await this.#crews.close()
    await this.#output.settle()
    this.#output = { ...this.#output, directory: this.#request.output, isBeside: false }
  }

  /** Wait until the series change. */
  async #nextChange(growing: GrowingSeries): Promise<void> {
    do
      await setTimeout(POLL_EVERY_MS, undefined, { signal: this.#request.signal }).catch(
        rethrowReason(this.#request.signal),
      )
    while (!(await growing.poll()))
  }
}

/** Frames arrive while older ones are built: after a while, ms, the round is cut short and planned anew. */
function cutShortOnChange(growing: GrowingSeries, round: ShardRound, afterMs: number): { stop(): Promise<void> } {
  const stopped = new AbortController()
  const failures: unknown[] = []
  const watching = (async () => {
    await setTimeout(afterMs, undefined, { signal: stopped.signal })
    while (!(await growing.poll())) await setTimeout(POLL_EVERY_MS, undefined, { signal: stopped.signal })
    round.cutShort()
  })().catch(error => {
    if (stopped.signal.aborted) return
    failures.push(error)
    round.cutShort()
  })
  return {
    async stop() {
      stopped.abort()
      await watching
      for (const failure of failures) throw failure
    },
  }
}

/** A timer that was stopped throws an error of its own. */
function rethrowReason(signal: AbortSignal | undefined): (error: unknown) => never {
  return error => {
    throw signal?.aborted ? signal.reason : error
  }
}

/** What whoever shows the pyramid hears of the build. */
class Feed extends EventEmitter<BuildFeedEvents> implements BuildFeed {
  directory = ''
  #round: ShardRound | undefined
  #isMuted = false

  /** @param isMuted whether nobody can see the shards yet: who listens has another pyramid of that name. */
  follow(directory: string, round: ShardRound, isMuted: boolean): void {
    this.directory = directory
    this.#round = round
    this.#isMuted = isMuted
  }

  override emit<K extends keyof BuildFeedEvents>(event: K, ...args: BuildFeedEvents[K]): boolean {
    if (event === 'shard' && this.#isMuted) return false
    // Typed emitters do not know that the arguments fit the event.
    return super.emit(event, ...(args as never))
  }

  prioritise(selection: MosaicSelection, { level, row, column }: TileAddress): void {
    this.#round?.prioritise(selection, level, row, column)
  }
}
