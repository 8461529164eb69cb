import { parentPort, Worker } from 'node:worker_threads'
import { type PackedError, packError, unpackError } from './packed-error.js'

/** What a thread says: how far it is, as often as it likes, and in the end what came of it. */
type ThreadMessage<Result, Progress> =
  | { readonly progress: Progress }
  | { readonly result: Result }
  | { readonly error: PackedError }

/**
 * Have a thread of its own do one thing, and end.
 *
 * @param module compiled; it calls `answerFromThread`. @param workerData what it is started with.
 * @param signal ends the thread, whatever it is doing.
 * @throws the signal's reason then; otherwise what the thread's work throws.
 */
export function runInThread<Result, Progress = never>(
  module: URL,
  workerData: unknown,
  signal: AbortSignal,
  onProgress: (progress: Progress) => void = () => undefined,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const thread = new Worker(module, { workerData, execArgv: [] })
    const end = (): void => void thread.terminate()
    let outcome: { readonly result: Result } | undefined
    let failure: unknown
    signal.addEventListener('abort', end)
    thread.on('message', (message: ThreadMessage<Result, Progress>) => {
      if ('progress' in message) onProgress(message.progress)
      else if ('result' in message) outcome = message
      else failure = unpackError(message.error)
    })
    thread.on('error', error => {
      failure = error
    })
    thread.on('exit', () => {
      signal.removeEventListener('abort', end)
      if (signal.aborted) reject(signal.reason)
      else if (outcome) resolve(outcome.result)
      else reject(failure ?? new Error(`the thread ${module.pathname.split('/').at(-1)} ended without a word`))
    })
  })
}

/** In the thread: do the work, and say what came of it. */
export async function answerFromThread<Result, Progress = never>(
  work: (onProgress: (progress: Progress) => void) => Promise<Result>,
): Promise<void> {
  const tell = (message: ThreadMessage<Result, Progress>): void => parentPort?.postMessage(message)
  try {
    tell({ result: await work(progress => tell({ progress })) })
  } catch (error) {
    tell({ error: packError(error) })
  }
}
