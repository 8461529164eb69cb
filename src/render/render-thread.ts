import { parentPort } from 'node:worker_threads'
import { packError } from '../packed-error.js'
import { drawPicture, type ThreadPicture } from './draw-picture.js'
import type { RenderReply } from './render-crew.js'

// Runs in a worker thread: draws one picture after the other.

const port = parentPort
port?.on('message', async (picture: ThreadPicture) => {
  try {
    const bytes = await drawPicture(picture)
    port.postMessage({ bytes } satisfies RenderReply, [bytes.buffer])
  } catch (error) {
    port.postMessage({ error: packError(error) } satisfies RenderReply)
  }
})
