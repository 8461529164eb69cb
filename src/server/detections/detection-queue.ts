import { EventEmitter } from 'node:events'
import type { FastifyBaseLogger } from 'fastify'
import { NotFoundError } from '../../errors.js'
import { describeError, type HiddenPath } from '../http/error-replies.js'
import { RequestRefusal } from '../http/request-refusal.js'
import type { RoiShape } from '../rois/roi.js'
import { addRois, replaceRois } from '../rois/roi-list.js'
import type { RoiStore } from '../rois/roi-store.js'

const MAX_WAITING = 16

/** Detections that are done and still told of, with all that they found. */
const MAX_DONE = 16

const TELL_EVERY_MS = 250

export type DetectionState = 'queued' | 'running' | 'done' | 'failed' | 'cancelled'

/** How far a detection is, as everybody is told. */
export interface DetectionStatus {
  /** Counts the detections of this server. */
  readonly n: number
  /** Id of the pyramid. */
  readonly pyramid: string
  readonly detector: string
  readonly level: number
  readonly state: DetectionState
  /** Null where the detector does not say. */
  readonly tilesDone: number | null
  readonly tilesTotal: number | null
  readonly found: number | null
  /** The threshold that was used, counts; null where there is none. */
  readonly threshold: number | null
  /** Why it failed. */
  readonly message: string | null
}

/** What a detector may say meanwhile. */
export type DetectionReport = Partial<Pick<DetectionStatus, 'tilesDone' | 'tilesTotal' | 'found' | 'threshold'>>

/** A detection that was asked for. */
export interface DetectionJob {
  readonly pyramid: string
  readonly detector: string
  readonly level: number
  /** Whether what is found becomes ROIs, and whether all others go then. */
  readonly addsRois: boolean
  readonly replaces: boolean
  /** Paths that messages do not tell. */
  readonly hidden: readonly HiddenPath[]
  run(report: (report: DetectionReport) => void, signal: AbortSignal): Promise<readonly RoiShape[]>
}

interface Detection {
  readonly job: DetectionJob
  status: DetectionStatus
  /** What was found, where it did not become ROIs. */
  locations: readonly RoiShape[] | undefined
  /** What `message` says, for whoever waits. */
  failure: unknown
  readonly abort: AbortController
  readonly ended: Promise<void>
  end(): void
}

/** Detections of one server: one runs, the others wait for it. `events` tells of each step. */
export class DetectionQueue {
  readonly events = new EventEmitter<{ detection: [DetectionStatus] }>()
  readonly #rois: RoiStore
  readonly #log: FastifyBaseLogger
  readonly #all = new Map<number, Detection>()
  #last = 0
  #running: Detection | undefined
  #isClosed = false

  constructor(rois: RoiStore, log: FastifyBaseLogger) {
    this.#rois = rois
    this.#log = log
  }

  /** How many run or wait. */
  get pending(): number {
    return this.#waiting().length + (this.#running ? 1 : 0)
  }

  /** @throws {RequestRefusal} too many wait already. */
  add(job: DetectionJob): DetectionStatus {
    if (this.#isClosed || this.#waiting().length >= MAX_WAITING) {
      throw new RequestRefusal('TOO_MANY_DETECTIONS', `${MAX_WAITING} detections wait already; try again later.`)
    }
    const { pyramid, detector, level } = job
    const n = ++this.#last
    const unknown = { tilesDone: null, tilesTotal: null, found: null, threshold: null, message: null }
    let end = (): void => {}
    const ended = new Promise<void>(resolve => {
      end = resolve
    })
    const detection: Detection = {
      job,
      status: { n, pyramid, detector, level, state: 'queued', ...unknown },
      locations: undefined,
      failure: undefined,
      abort: new AbortController(),
      ended,
      end,
    }
    this.#all.set(n, detection)
    this.#update(detection, {})
    void this.#next()
    return detection.status
  }

  /** Those of a pyramid, the oldest first. */
  list(pyramid: string): DetectionStatus[] {
    return [...this.#all.values()].filter(({ job }) => job.pyramid === pyramid).map(({ status }) => status)
  }

  /** @throws {NotFoundError} there is none of this number for the pyramid, or none any more. */
  get(pyramid: string, n: number): DetectionStatus & { readonly locations?: readonly RoiShape[] } {
    const { status, locations } = this.#find(pyramid, n)
    return locations ? { ...status, locations } : status
  }

  /**
   * End a detection, or keep it from starting; one that has ended stays as it is.
   *
   * @throws {NotFoundError} as `get`.
   */
  async cancel(pyramid: string, n: number): Promise<DetectionStatus> {
    const detection = this.#find(pyramid, n)
    detection.abort.abort(new Error('cancelled'))
    if (detection.status.state === 'queued') this.#settle(detection, { state: 'cancelled' })
    await detection.ended
    return detection.status
  }

  /**
   * Wait for the end of a detection.
   *
   * @param signal cancels it. @throws why it failed. @throws the signal's reason.
   */
  async finish({ pyramid, n }: DetectionStatus, signal: AbortSignal): Promise<DetectionStatus> {
    const detection = this.#find(pyramid, n)
    const cancel = (): void => void this.cancel(pyramid, n)
    signal.addEventListener('abort', cancel)
    if (signal.aborted) cancel()
    await detection.ended
    signal.removeEventListener('abort', cancel)
    signal.throwIfAborted()
    if (detection.status.state === 'cancelled') {
      throw new RequestRefusal('DETECTOR_FAILED', 'The detection was cancelled.')
    }
    if (detection.failure !== undefined) throw detection.failure
    return detection.status
  }

  /** End everything. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#waiting(), this.#running].map(one => one && this.cancel(one.job.pyramid, one.status.n)))
  }

  #waiting(): Detection[] {
    return [...this.#all.values()].filter(({ status }) => status.state === 'queued')
  }

  #find(pyramid: string, n: number): Detection {
    const detection = this.#all.get(n)
    if (detection?.job.pyramid === pyramid) return detection
    throw new NotFoundError(`There is no detection ${n} of this pyramid; the last ${MAX_DONE} are remembered.`)
  }

  async #next(): Promise<void> {
    const [detection] = this.#waiting()
    if (this.#running || !detection) return
    this.#running = detection
    this.#update(detection, { state: 'running' })
    try {
      const found = await this.#run(detection)
      this.#settle(detection, { state: 'done', found })
    } catch (error) {
      if (detection.abort.signal.aborted) this.#settle(detection, { state: 'cancelled' })
      else {
        detection.failure = error
        const { code, message } = describeError(error, detection.job.hidden)
        if (code === 'INTERNAL_ERROR') this.#log.error({ err: error }, 'detection failed')
        this.#settle(detection, { state: 'failed', message })
      }
    } finally {
      this.#running = undefined
      void this.#next()
    }
  }

  async #run(detection: Detection): Promise<number> {
    const { job, abort } = detection
    let toldAtMs = 0
    const shapes = await job.run(report => {
      const isDue = performance.now() - toldAtMs >= TELL_EVERY_MS
      if (isDue) toldAtMs = performance.now()
      this.#update(detection, report, isDue)
    }, abort.signal)
    abort.signal.throwIfAborted()
    if (!job.addsRois) detection.locations = shapes
    else {
      await this.#rois.change(job.pyramid, list => (job.replaces ? replaceRois(list, shapes) : addRois(list, shapes)))
    }
    return shapes.length
  }

  #update(detection: Detection, change: Partial<DetectionStatus>, tell = true): void {
    detection.status = { ...detection.status, ...change }
    if (tell) this.events.emit('detection', detection.status)
  }

  #settle(detection: Detection, change: Partial<DetectionStatus>): void {
    this.#update(detection, change)
    detection.end()
    const done = [...this.#all.values()].filter(({ status }) => status.state !== 'queued' && status.state !== 'running')
    for (const { status } of done.slice(0, Math.max(0, done.length - MAX_DONE))) this.#all.delete(status.n)
  }
}
