import { builtModule } from '../built-module.js'
import type { MosaicGeometry } from '../pyramid/mosaic-geometry.js'
import { runInThread } from '../run-in-thread.js'
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
  return runInThread<Detected, DetectionProgress>(THREAD, task, signal, onProgress)
}
