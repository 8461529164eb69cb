import { workerData } from 'node:worker_threads'
import { openPyramid } from '../pyramid/open-pyramid.js'
import { writePymeTiles } from '../pyramid/pyme-pyramid-writer.js'
import { answerFromThread } from '../run-in-thread.js'
import type { PymeTileTask } from './write-pyme-pyramid.js'

// Runs in a worker thread: writes its share of the tiles of a PYME pyramid, says how many bytes they are, and ends.

const { path, folder, tiles, fades } = workerData as PymeTileTask

await answerFromThread(async () => {
  const pyramid = await openPyramid(path)
  try {
    return await writePymeTiles(pyramid, folder, tiles, { fades })
  } finally {
    await pyramid.close()
  }
})
