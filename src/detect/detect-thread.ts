import { isDeepStrictEqual } from 'node:util'
import { workerData } from 'node:worker_threads'
import { SourceUnavailableError } from '../errors.js'
import { openPyramid } from '../pyramid/open-pyramid.js'
import { answerFromThread } from '../run-in-thread.js'
import { detect } from './detect.js'
import type { DetectTask } from './detect-in-thread.js'
import type { Detected, DetectionProgress } from './detection.js'

// Runs in a worker thread: looks for objects in one pyramid, tells what it found, and ends.

const { path, geometry, settings } = workerData as DetectTask

await answerFromThread<Detected, DetectionProgress>(async onProgress => {
  const pyramid = await openPyramid(path)
  try {
    if (isDeepStrictEqual(pyramid.geometry, geometry)) return await detect(pyramid, settings, onProgress)
    throw new SourceUnavailableError(`${path} was changed meanwhile; ask for the detection again.`, { url: path })
  } finally {
    await pyramid.close()
  }
})
