import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { builtModule } from '../built-module.js'
import { LimitExceededError, SourceUnavailableError } from '../errors.js'
import { type PackedError, unpackError } from '../packed-error.js'
import type { SampleArray } from '../plane.js'
import type { ThreadPicture } from './draw-picture.js'
import { MAX_EDGE, type PictureJob } from './picture.js'
import { sideBySideSize } from './side-by-side.js'
import { stepStyleOf } from './steps.js'

export type RenderReply = { readonly bytes: Uint8Array<ArrayBuffer> } | { readonly error: PackedError }

/** Compiled, wherever this file runs: a worker thread cannot load TypeScript. */
const THREAD_MODULE = builtModule('render/render-thread.js')

/** More would only compete with whoever reads the samples and sends the pictures. */
const MOST_THREADS = 4

interface Task {
  readonly job: PictureJob
  /** When its thread got it, ms of `performance.now()`. */
  startedAtMs: number
  resolve(bytes: Buffer): void
  reject(error: unknown): void
}

interface Thread {
  readonly worker: Worker
  task: Task | undefined
}

/**
 * Threads that shade and encode pictures, so that the thread that answers requests does not. They start when there is
 * something to draw. A thread has one picture at a time; one that ends is replaced, and only its picture fails.
 *
 * What waits for a thread waits here, without a bound: callers bound what they have under way, as the cache of tiles
 * does.
 */
export class RenderCrew {
  readonly #most: number
  readonly #threads = new Set<Thread>()
  readonly #waiting: Task[] = []
  #isClosed = false
  /** Pictures that were drawn, and the seconds that their threads had them. */
  drawn = 0
  seconds = 0

  /** @param threads how many there may be. */
  constructor(threads = Math.min(MOST_THREADS, availableParallelism())) {
    this.#most = threads
  }

  /** Pictures that wait for a thread. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Pictures that are being drawn. */
  get drawing(): number {
    return [...this.#threads].filter(({ task }) => task).length
  }

  /**
   * Draw a picture. Samples and masks are copied when its turn comes, or taken where they are given away; until then
   * they must stay as they are.
   *
   * @param signal takes it out of the queue. What is being drawn already is drawn to its end, for nobody.
   * @throws {SourceUnavailableError} the thread ended, for want of memory say. @throws {LimitExceededError} the format
   *   does not go that far. @throws the signal's reason.
   */
  render(job: PictureJob, signal?: AbortSignal): Promise<Buffer> {
    let abandon = (): void => {}
    const drawn = new Promise<Buffer>((resolve, reject) => {
      signal?.throwIfAborted()
      checkJob(job)
      if (this.#isClosed) throw new TypeError('the crew that draws pictures is closed')
      const task = { job, resolve, reject, startedAtMs: 0 }
      abandon = () => this.#abandon(task, signal?.reason)
      signal?.addEventListener('abort', abandon)
      this.#waiting.push(task)
      this.#next()
    })
    return drawn.finally(() => signal?.removeEventListener('abort', abandon))
  }

  /** End all threads. Pictures that are not done are rejected. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const task of this.#waiting.splice(0)) task.reject(stopped(task, 'the server is closing'))
    await Promise.all([...this.#threads].map(thread => this.#end(thread, 'the server is closing')))
  }

  #abandon(task: Task, reason: unknown): void {
    const place = this.#waiting.indexOf(task)
    if (place >= 0) this.#waiting.splice(place, 1)
    task.reject(reason)
  }

  #next(): void {
    if (this.#waiting.length === 0) return
    const thread = [...this.#threads].find(({ task }) => !task) ?? this.#start()
    if (!thread) return
    const task = this.#waiting.shift()!
    task.startedAtMs = performance.now()
    thread.task = task
    thread.worker.ref()
    const { picture, memory } = packJob(task.job)
    thread.worker.postMessage(picture, memory)
  }

  #start(): Thread | undefined {
    if (this.#threads.size >= this.#most) return undefined
    const thread: Thread = { worker: new Worker(THREAD_MODULE, { execArgv: [] }), task: undefined }
    this.#threads.add(thread)
    thread.worker.on('message', (reply: RenderReply) => this.#take(thread, reply))
    thread.worker.on('error', error => this.#end(thread, 'it failed', error))
    thread.worker.on('exit', () => this.#end(thread, 'it ended without a word'))
    return thread
  }

  #take(thread: Thread, reply: RenderReply): void {
    const { task } = thread
    thread.task = undefined
    this.drawn++
    if (task) this.seconds += (performance.now() - task.startedAtMs) / 1000
    // An idle thread keeps no process from ending.
    thread.worker.unref()
    this.#next()
    if ('bytes' in reply) task?.resolve(Buffer.from(reply.bytes.buffer))
    else task?.reject(unpackError(reply.error))
  }

  async #end(thread: Thread, reason: string, cause?: unknown): Promise<void> {
    if (!this.#threads.delete(thread)) return
    thread.task?.reject(stopped(thread.task, reason, cause))
    this.#next()
    await thread.worker.terminate()
  }
}

/**
 * @throws {LimitExceededError} it is larger than its format can be. @throws {RangeError} its samples or masks have
 *   another size.
 */
function checkJob({ width, height, layers, format, sideBySide }: PictureJob): void {
  const pixels = width * height
  if (!(pixels > 0) || layers.length === 0)
    throw new RangeError(`a picture of ${width} × ${height} pixels and ${layers.length} layers`)
  for (const { samples, mask } of layers) {
    if (samples.length !== pixels || (mask && mask.length !== pixels))
      throw new RangeError(`${samples.length} samples, ${mask?.length ?? 'no'} bytes of mask and ${pixels} pixels`)
  }
  const edge = MAX_EDGE[format]
  const whole = sideBySide ? sideBySideSize({ width, height }, layers.length, sideBySide.gap) : { width, height }
  if (whole.width <= edge && whole.height <= edge) return
  throw new LimitExceededError(
    `A picture of ${whole.width} × ${whole.height} pixels cannot be a ${format} file, whose edges have up to ${edge} pixels.`,
  )
}

/** A job as it is sent, and the memory that goes with it: copies unless it is given away, since what is sent is gone. */
function packJob({ isGivenAway, ...job }: PictureJob): {
  readonly picture: ThreadPicture
  readonly memory: ArrayBuffer[]
} {
  const own = <T extends SampleArray>(samples: T): T => (isGivenAway ? samples : copyOf(samples))
  const layers = job.layers.map(({ samples, mask, style }) => ({
    samples: own(samples),
    mask: mask && own(mask),
    style: stepStyleOf(style),
  }))
  const memory = layers.flatMap(({ samples, mask }) => (mask ? [samples, mask] : [samples]).map(({ buffer }) => buffer))
  return { picture: { ...job, layers }, memory: memory as ArrayBuffer[] }
}

function copyOf<T extends SampleArray>(samples: T): T {
  // The `slice` of a Buffer would be the same memory again.
  return (samples instanceof Uint8Array ? new Uint8Array(samples) : samples.slice()) as T
}

/** What exactly happened is the cause, for the log: it may name folders of this machine. */
function stopped({ job: { width, height } }: Task, reason: string, cause?: unknown): SourceUnavailableError {
  return new SourceUnavailableError(
    `A picture of ${width} × ${height} pixels could not be drawn: the thread that draws stopped (${reason}).`,
    { cause },
  )
}
