import { parentPort, workerData } from 'node:worker_threads'
import { packError } from '../packed-error.js'
import { openPyramid } from '../pyramid/open-pyramid.js'
import { writePymeTiles } from '../pyramid/pyme-pyramid-writer.js'
import type { PymeTileResult, PymeTileTask } from './write-pyme-pyramid.js'

// Runs in a worker thread: writes its share of the tiles of a PYME pyramid, says how it went, and ends.

const { path, folder, tiles, fades } = workerData as PymeTileTask

function answer(result: PymeTileResult): void {
  parentPort?.postMessage(result)
}

try {
  const pyramid = await openPyramid(path)
  try {
    answer({ bytes: await writePymeTiles(pyramid, folder, tiles, { fades }) })
  } finally {
    await pyramid.close()
  }
} catch (error) {
  answer({ error: packError(error) })
}
