import { isDeepStrictEqual } from 'node:util'
import { parentPort, workerData } from 'node:worker_threads'
import { SourceUnavailableError } from '../errors.js'
import { packError } from '../packed-error.js'
import { openPyramid } from '../pyramid/open-pyramid.js'
import { detect } from './detect.js'
import type { DetectMessage, DetectTask } from './detect-in-thread.js'

// Runs in a worker thread: looks for objects in one pyramid, tells what it found, and ends.

const { path, geometry, settings } = workerData as DetectTask

function tell(message: DetectMessage): void {
  parentPort?.postMessage(message)
}

try {
  const pyramid = await openPyramid(path)
  try {
    if (!isDeepStrictEqual(pyramid.geometry, geometry)) {
      throw new SourceUnavailableError(`${path} was changed meanwhile; ask for the detection again.`, { url: path })
    }
    tell({ detected: await detect(pyramid, settings, progress => tell({ progress })) })
  } finally {
    await pyramid.close()
  }
} catch (error) {
  tell({ error: packError(error) })
}
