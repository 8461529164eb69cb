import { parentPort, workerData } from 'node:worker_threads'
import { createKernels } from '../kernels/wasm.js'
import { packError } from '../packed-error.js'
import type { FrameReader } from '../sources/frame-source.js'
import type { ResultMessage, TaskMessage, WorkerData } from './crew.js'
import { FrameCache } from './frame-cache.js'
import { ShardMaker } from './shard-maker.js'

// Runs in a worker thread: makes the shards that the main thread asks for, one after the other.

const { job, kernels: module, begun } = workerData as WorkerData
const port = parentPort
if (!port) throw new TypeError('build-worker runs in a worker thread')

const kernels = createKernels(module, job.memory.arenaBytes)
const maker = new ShardMaker(job, kernels, new FrameCache(job, kernels, openReader))
let turn = Promise.resolve()

port.on('message', (message: TaskMessage) => {
  turn = turn.then(() => make(message))
})

/** Resolves when the next shard may be begun: this one may still be on its way to the disk. */
async function make({ id, task }: TaskMessage): Promise<void> {
  // Should this thread end, it says on which shard.
  Atomics.store(begun, 0, id)
  const fail = (error: unknown): void => answer({ id, error: packError(error) })
  try {
    const { made, written } = await maker.make(task)
    written.then(() => answer({ id, made }), fail)
  } catch (error) {
    fail(error)
  }
}

function answer(message: ResultMessage): void {
  const thumbnail = 'made' in message ? message.made.thumbnail : undefined
  port?.postMessage(message, thumbnail ? [thumbnail.samples] : [])
}

async function openReader(series: number): Promise<FrameReader> {
  const description = job.series[series].reader
  if (!description) throw new TypeError(`${job.series[series].url} has no reader for another thread`)
  const { openFrameReader } = (await import(description.module)) as { openFrameReader(data: unknown): FrameReader }
  return openFrameReader(description.data)
}
