import { Worker } from 'node:worker_threads'
import { builtModule } from '../built-module.js'
import { type PackedError, unpackError } from '../packed-error.js'
import type { MosaicGeometry } from '../pyramid/mosaic-geometry.js'
import type { Detected, DetectionProgress, DetectionSettings } from './detection.js'

/** The compiled module, also for callers that run from the sources. */
const THREAD = builtModule('detect/detect-thread.js')

/** What the thread is started with. */
export interface DetectTask {
  /** Real path of the pyramid. */
  readonly path: string
  /** What its pixels were when the detection was asked for. */
  readonly geometry: MosaicGeometry
  readonly settings: DetectionSettings
}

export type DetectMessage =
  | { readonly progress: DetectionProgress }
  | { readonly detected: Detected }
  | { readonly error: PackedError }

/**
 * Run a detector in a thread of its own, which opens the pyramid for itself: nobody else waits for it.
 *
 * @param signal ends the thread, whatever it is doing. @throws its reason then; otherwise as `detect`.
 */
export function detectInThread(
  task: DetectTask,
  onProgress: (progress: DetectionProgress) => void,
  signal: AbortSignal,
): Promise<Detected> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const thread = new Worker(THREAD, { workerData: task, execArgv: [] })
    const end = (): void => void thread.terminate()
    let detected: Detected | undefined
    let failure: unknown
    signal.addEventListener('abort', end)
    thread.on('message', (message: DetectMessage) => {
      if ('progress' in message) onProgress(message.progress)
      else if ('detected' in message) detected = message.detected
      else failure = unpackError(message.error)
    })
    thread.on('error', error => {
      failure = error
    })
    thread.on('exit', () => {
      signal.removeEventListener('abort', end)
      if (signal.aborted) reject(signal.reason)
      else if (detected) resolve(detected)
      else reject(failure ?? new Error('the thread of a detector ended without a word'))
    })
  })
}
