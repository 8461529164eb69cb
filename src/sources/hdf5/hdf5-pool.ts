import { isMainThread, Worker } from 'node:worker_threads'
import { builtModule } from '../../built-module.js'
import { CorruptDataError, SourceUnavailableError } from '../../errors.js'
import { errorClassOf } from '../../packed-error.js'
import type { Hdf5Call, Hdf5Failure, Hdf5Operation, Hdf5Operations, Hdf5Reply } from './hdf5-messages.js'

/** Compiled, wherever this file runs: a worker thread cannot load TypeScript. */
const THREAD_MODULE = builtModule('sources/hdf5/hdf5-thread.js')

/** What a thread needs for itself besides files: it starts with 16 MiB, and a slice and a chunk come and go. */
const MAX_IDLE_HEAP_BYTES = 160 * 2 ** 20
const IDLE_MS = 5000
/** A slab of a gibibyte takes less, even where gzip and a busy machine make it slow. */
const TIMEOUT_MS = 120_000
/** What is looked up takes HDF5 no time but that of the disk: who reads nothing for so long goes round in circles. */
const QUIET_MS = 8000
/** How often it is looked at in that time. */
const LOOKS = 8
const LOOKUPS: readonly Hdf5Operation[] = ['describe', 'readAttribute']

interface Task {
  readonly call: Hdf5Call
  resolve(answer: unknown): void
  reject(error: unknown): void
}

interface Thread {
  readonly worker: Worker
  task: Task | undefined
  timer: NodeJS.Timeout | undefined
  /** One number, which goes up before and after each read of the thread. */
  readonly steps: Int32Array
  /** Which file it has read last, and may have open still. */
  file: string
}

/**
 * Threads that read HDF5 files. They start when they are needed, end when they are not, and give back memory only by
 * ending. Nothing that happens in one of them stops the process or another one.
 */
export class Hdf5Pool {
  readonly #most: number
  readonly #timeoutMs: number
  readonly #quietMs: number
  readonly #threads = new Set<Thread>()
  readonly #waiting: Task[] = []
  #calls = 0
  #isClosed = false

  /**
   * @param options `threads`: how many may run at once. `timeoutMs`: a thread that has not answered by then is ended.
   *   `quietMs`: so is one that looks something up and has read nothing for so long.
   */
  constructor({
    threads = 1,
    timeoutMs = TIMEOUT_MS,
    quietMs = QUIET_MS,
  }: { readonly threads?: number; readonly timeoutMs?: number; readonly quietMs?: number } = {}) {
    this.#most = threads
    this.#timeoutMs = timeoutMs
    this.#quietMs = quietMs
  }

  /**
   * Have something done with a file.
   *
   * @param file as messages are to name it. @param roots folders in which files that it links to may
   *   lie; its own folder where undefined.
   * @throws {CorruptDataError | UnsupportedDataError | LimitExceededError | NotFoundError} as the library says; `cause`
   *   is what HDF5 said. @throws {SourceUnavailableError} the file cannot be read now, or the thread stopped or took too
   *   long.
   */
  call<Name extends Hdf5Operation>(
    file: string,
    roots: readonly string[] | undefined,
    operation: Name,
    ask: Hdf5Operations[Name]['ask'],
    signal?: AbortSignal,
  ): Promise<Hdf5Operations[Name]['answer']> {
    let abandon = (): void => {}
    const answer = new Promise<Hdf5Operations[Name]['answer']>((resolve, reject) => {
      signal?.throwIfAborted()
      if (this.#isClosed) throw new TypeError('the pool of HDF5 threads is closed')
      const call = { id: ++this.#calls, file, roots, operation, ask } as Hdf5Call
      const task: Task = { call, resolve: resolve as Task['resolve'], reject }
      abandon = () => this.#abandon(task, signal?.reason)
      signal?.addEventListener('abort', abandon)
      this.#waiting.push(task)
      this.#next()
    })
    return answer.finally(() => signal?.removeEventListener('abort', abandon))
  }

  /** End all threads. What is under way is rejected. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const task of this.#waiting.splice(0)) task.reject(stopped(task, 'it was closed'))
    await Promise.all([...this.#threads].map(thread => this.#end(thread, 'it was closed')))
  }

  /** What is being read already goes on: a thread cannot be interrupted, and nobody waits for its answer. */
  #abandon(task: Task, reason: unknown): void {
    const place = this.#waiting.indexOf(task)
    if (place >= 0) this.#waiting.splice(place, 1)
    task.reject(reason)
  }

  #next(): void {
    const [task] = this.#waiting
    if (!task) return
    const idle = [...this.#threads].filter(thread => !thread.task)
    const thread = idle.find(({ file }) => file === task.call.file) ?? idle[0] ?? this.#start()
    if (!thread) return
    this.#waiting.shift()
    this.#give(thread, task)
  }

  #give(thread: Thread, task: Task): void {
    clearTimeout(thread.timer)
    Object.assign(thread, { task, file: task.call.file })
    const now = performance.now()
    this.#guard(thread, now + this.#timeoutMs, { steps: Atomics.load(thread.steps, 0), sinceMs: now })
    thread.worker.ref()
    thread.worker.postMessage(task.call)
  }

  /**
   * End a thread that takes too long.
   *
   * @param deadlineMs when. @param last how far it had come, and since when; both times are of `performance.now()`.
   */
  #guard(thread: Thread, deadlineMs: number, last: { readonly steps: number; readonly sinceMs: number }): void {
    const isLookup = thread.task !== undefined && LOOKUPS.includes(thread.task.call.operation)
    const look = (): void => {
      const now = performance.now()
      const steps = Atomics.load(thread.steps, 0)
      const isQuiet = steps === last.steps && steps % 2 === 0
      if (isLookup && isQuiet && now - last.sinceMs >= this.#quietMs) {
        this.#blame(thread, 'it came to no end')
        this.#end(thread, 'it came to no end')
      } else if (now >= deadlineMs) {
        this.#end(thread, `it gave no answer within ${Math.round(this.#timeoutMs / 1000)} s`)
      } else this.#guard(thread, deadlineMs, isQuiet ? last : { steps, sinceMs: now })
    }
    const left = Math.max(0, deadlineMs - performance.now())
    thread.timer = setTimeout(look, isLookup ? Math.min(left, this.#quietMs / LOOKS) : left)
  }

  #start(): Thread | undefined {
    if (this.#threads.size >= this.#most) return undefined
    // Odd until it is ready to read.
    const steps = new Int32Array(new SharedArrayBuffer(4)).fill(1)
    const worker = new Worker(THREAD_MODULE, { execArgv: [], stdout: true, stderr: true, workerData: steps })
    const thread: Thread = { worker, task: undefined, timer: undefined, steps, file: '' }
    this.#threads.add(thread)
    worker.on('message', (reply: Hdf5Reply) => this.#take(thread, reply))
    worker.on('error', error => {
      const message = error instanceof Error ? error.message : String(error)
      // What a file has WebAssembly do that it must not, it would do again.
      if (error instanceof Error && error.name === 'RuntimeError') this.#blame(thread, message)
      this.#end(thread, message)
    })
    worker.on('exit', () => this.#end(thread, 'it ended without a word'))
    return thread
  }

  #take(thread: Thread, reply: Hdf5Reply): void {
    const { task } = thread
    if (task?.call.id !== reply.id) return
    clearTimeout(thread.timer)
    thread.task = undefined
    if ('answer' in reply) task.resolve(reply.answer)
    else task.reject(unpack(reply.failure, task.call.file))
    if (reply.heapBytes > MAX_IDLE_HEAP_BYTES) this.#end(thread, 'it had grown')
    else {
      // An idle thread keeps no process from ending.
      thread.worker.unref()
      thread.timer = setTimeout(() => this.#end(thread, 'it had nothing to do'), IDLE_MS).unref()
    }
    this.#next()
  }

  /** The file is why the thread cannot go on. */
  #blame({ task }: Thread, message: string): void {
    if (!task) return
    const url = task.call.file
    const [first] = message.split('\n', 1)
    task.reject(
      new CorruptDataError(`${url} is damaged: HDF5 could not go on reading it (${first}).`, { url, cause: message }),
    )
  }

  async #end(thread: Thread, reason: string): Promise<void> {
    if (!this.#threads.delete(thread)) return
    clearTimeout(thread.timer)
    thread.task?.reject(stopped(thread.task, reason))
    thread.task = undefined
    this.#next()
    await thread.worker.terminate()
  }
}

function stopped({ call: { file } }: Task, reason: string): SourceUnavailableError {
  return new SourceUnavailableError(`${file} could not be read: the thread for HDF5 was stopped (${reason}).`, {
    url: file,
  })
}

function unpack({ name, message, reason }: Hdf5Failure, url: string): Error {
  const Class = errorClassOf(name)
  if (Class) return new Class(message, { url, cause: reason })
  return new RangeError(message)
}

/** The one of this thread: a build has workers that each read frames, and one thread beside each keeps it busy. */
export const hdf5Pool = new Hdf5Pool({ threads: isMainThread ? 2 : 1 })
