import { Worker } from 'node:worker_threads'
import { builtModule } from '../built-module.js'
import { SourceUnavailableError } from '../errors.js'
import type { Kernels } from '../kernels/kernels.js'
import { type PackedError, unpackError } from '../packed-error.js'
import type { FrameReader, FrameSource } from '../sources/frame-source.js'
import type { BuildJob, MadeShard, ShardTask } from './build-job.js'
import { FrameCache } from './frame-cache.js'
import { ShardMaker } from './shard-maker.js'

/** Whoever makes shards. */
export interface Crew {
  readonly workers: number
  /** Tasks that a worker may be given at once, so that it never waits for the next one. */
  readonly depth: number
  /**
   * Make a shard.
   *
   * @throws {WorkerLostError} the worker ended on this task or on one before it. @throws {SourceUnavailableError} it
   *   could not start. @throws what `ShardMaker.make` throws.
   */
  make(worker: number, task: ShardTask): Promise<MadeShard>
  /** End as soon as may be, whatever is being made. Nothing is written any more once it resolves. */
  close(): Promise<void>
}

/** A worker ended; another one takes its place. */
export class WorkerLostError extends Error {
  override readonly name = 'WorkerLostError'

  /** @param isCulprit whether it ended on this task, and not while this one was waiting. */
  constructor(
    message: string,
    readonly isCulprit: boolean,
  ) {
    super(message)
  }
}

/** What a worker thread is started with. */
export interface WorkerData {
  readonly job: BuildJob
  readonly kernels: WebAssembly.Module
  /** One number, in memory that both threads see: of the task that the worker began last, or `NONE_BEGUN`. */
  readonly begun: Int32Array
}

const NONE_BEGUN = -1

export interface TaskMessage {
  readonly id: number
  readonly task: ShardTask
}

export type ResultMessage =
  | { readonly id: number; readonly made: MadeShard }
  | { readonly id: number; readonly error: PackedError }

/** Samples lie outside these heaps; what is in them is small, and soon forgotten. */
const HEAP = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 8 }

/** The compiled module, also for callers that run from the sources. */
const WORKER = builtModule('engine/build-worker.js')

interface Waiting {
  readonly id: number
  resolve(made: MadeShard): void
  reject(error: unknown): void
}

interface Thread {
  readonly worker: Worker
  readonly begun: Int32Array
  /** In the order in which they were given. */
  readonly waiting: Waiting[]
}

/** Worker threads. One that ends, for want of memory say, is replaced. */
export class ThreadCrew implements Crew {
  readonly depth = 2
  readonly #data: Omit<WorkerData, 'begun'>
  /** Undefined where one ended; the next task starts another. */
  readonly #threads: (Thread | undefined)[]
  #tasks = 0
  #closed = false

  constructor(workers: number, job: BuildJob, kernels: WebAssembly.Module) {
    this.#data = { job, kernels }
    this.#threads = Array.from({ length: workers }, (_, i) => this.#start(i))
  }

  get workers(): number {
    return this.#threads.length
  }

  make(worker: number, task: ShardTask): Promise<MadeShard> {
    const thread = this.#threads[worker] ?? this.#start(worker)
    this.#threads[worker] = thread
    return new Promise((resolve, reject) => {
      const message: TaskMessage = { id: this.#tasks++, task }
      thread.waiting.push({ id: message.id, resolve, reject })
      thread.worker.postMessage(message)
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#threads.map(thread => thread?.worker.terminate()))
  }

  #start(place: number): Thread {
    const begun = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)).fill(NONE_BEGUN)
    const workerData: WorkerData = { ...this.#data, begun }
    const worker = new Worker(WORKER, { workerData, execArgv: [], resourceLimits: HEAP })
    const thread: Thread = { worker, begun, waiting: [] }
    let reason = 'it ended without a word'
    worker.on('message', (message: ResultMessage) => {
      const at = thread.waiting.findIndex(({ id }) => id === message.id)
      const [waiting] = thread.waiting.splice(at, 1)
      if ('made' in message) waiting.resolve(message.made)
      else waiting.reject(unpackError(message.error))
    })
    worker.on('error', error => {
      reason = error instanceof Error ? error.message : String(error)
    })
    worker.on('exit', () => {
      if (this.#closed) return
      this.#threads[place] = undefined
      for (const waiting of thread.waiting) waiting.reject(whyLost(thread, waiting, reason))
    })
    return thread
  }
}

function whyLost({ begun, waiting }: Thread, { id }: Waiting, reason: string): Error {
  const last = Atomics.load(begun, 0)
  if (last === NONE_BEGUN) {
    const [what] = reason.split('\n')
    return new SourceUnavailableError(
      `The threads that make shards cannot start (${what}); use fewer --workers if memory is short, else install tilestage again.`,
    )
  }
  // The one before it may be made, and only be on its way to the disk.
  const culprit = waiting.find(task => task.id === last) ?? waiting[0]
  return new WorkerLostError(reason, culprit.id === id)
}

/** Makes shards on the thread that asks, for frames that no other thread can read. */
export class InlineCrew implements Crew {
  readonly workers = 1
  readonly depth = 1
  readonly #maker: ShardMaker
  readonly #closing = new AbortController()
  #making: Promise<MadeShard> | undefined

  constructor(job: BuildJob, kernels: Kernels, sources: readonly FrameSource[]) {
    const { signal } = this.#closing
    const openReader = async (series: number): Promise<FrameReader> => ({
      async readFrame(index) {
        signal.throwIfAborted()
        return sources[series].readFrame(index, { signal })
      },
    })
    this.#maker = new ShardMaker(job, kernels, new FrameCache(job, kernels, openReader))
  }

  make(_worker: number, task: ShardTask): Promise<MadeShard> {
    this.#making = this.#make(task)
    return this.#making
  }

  /** Reads no further frame. A shard whose frames are all there is still written. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#making?.catch(() => undefined)
  }

  async #make(task: ShardTask): Promise<MadeShard> {
    const { made, written } = await this.#maker.make(task)
    await written
    return made
  }
}
