import { Worker } from 'node:worker_threads'
import type { Kernels } from '../kernels/kernels.js'
import type { FrameReader } from '../sources/frame-source.js'
import type { BuildJob, MadeShard, ShardTask } from './build-job.js'
import { FrameCache } from './frame-cache.js'
import { type PackedError, unpackError } from './packed-error.js'
import { ShardMaker } from './shard-maker.js'

/** Whoever makes shards. */
export interface Crew {
  readonly workers: number
  /** Tasks that a worker may be given at once, so that it never waits for the next one. */
  readonly depth: number
  /**
   * Make a shard.
   *
   * @throws {WorkerLostError} the worker ended on this task or on one before it. @throws what `ShardMaker.make` throws.
   */
  make(worker: number, task: ShardTask): Promise<MadeShard>
  /** End at once, whatever is being made. */
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
}

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
const WORKER = new URL('../../dist/engine/build-worker.js', import.meta.url)

interface Waiting {
  readonly id: number
  resolve(made: MadeShard): void
  reject(error: unknown): void
}

interface Thread {
  readonly worker: Worker
  /** In the order in which they were given. */
  readonly waiting: Waiting[]
}

/** Worker threads. One that ends, for want of memory say, is replaced. */
export class ThreadCrew implements Crew {
  readonly depth = 2
  readonly #data: WorkerData
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
    const worker = new Worker(WORKER, { workerData: this.#data, execArgv: [], resourceLimits: HEAP })
    const thread: Thread = { worker, waiting: [] }
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
      for (const [i, waiting] of thread.waiting.entries()) waiting.reject(new WorkerLostError(reason, i === 0))
    })
    return thread
  }
}

/** Makes shards on the thread that asks, for frames that no other thread can read. */
export class InlineCrew implements Crew {
  readonly workers = 1
  readonly depth = 1
  readonly #maker: ShardMaker

  constructor(job: BuildJob, kernels: Kernels, openReader: (series: number) => Promise<FrameReader>) {
    this.#maker = new ShardMaker(job, kernels, new FrameCache(job, kernels, openReader))
  }

  async make(_worker: number, task: ShardTask): Promise<MadeShard> {
    const { made, written } = await this.#maker.make(task)
    await written
    return made
  }

  async close(): Promise<void> {}
}
