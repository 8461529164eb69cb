import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parentPort, workerData } from 'node:worker_threads'
import { TilestageError } from '../../errors.js'
import { Hdf5Jail } from './hdf5-jail.js'
import { Hdf5Library } from './hdf5-library.js'
import type { Hdf5Call, Hdf5Operation, Hdf5Operations, Hdf5Reply } from './hdf5-messages.js'
import { HeapLimit } from './heap-limit.js'

// Runs in a worker thread of its own: does what `Hdf5Pool` posts, one call after the other.

const port = parentPort
if (!port) throw new TypeError('hdf5-thread runs in a worker thread')

const plugins = join(dirname(fileURLToPath(import.meta.resolve('h5wasm-plugins'))), 'plugins')
const steps = workerData as Int32Array
const jail = new Hdf5Jail(plugins, steps)
jail.install()
const heap = new HeapLimit()
heap.install()

const { ready } = await import('h5wasm/node')
const module = await ready
module.insert_plugin_search_path(plugins, 0)
while (module.get_plugin_search_paths().length > 1) module.remove_plugin_search_path(1)
const library = new Hdf5Library(module, jail, heap)

// It was odd, for what is read until here takes as long as it takes.
Atomics.add(steps, 0, 1)

port.on('message', (call: Hdf5Call) => {
  const reply = answer(call)
  port.postMessage(reply, 'answer' in reply ? buffersOf(reply.answer) : [])
})

function answer(call: Hdf5Call): Hdf5Reply {
  const { id } = call
  try {
    return { id, answer: library.perform(call), heapBytes: library.heapBytes }
  } catch (error) {
    // The thread ends, and the pool starts another one.
    if (!(error instanceof TilestageError || error instanceof RangeError)) throw error
    const { name, message } = error
    return { id, failure: { name, message, reason: library.reason }, heapBytes: library.heapBytes }
  }
}

/** Handed over instead of copied. */
function buffersOf(answer: Hdf5Operations[Hdf5Operation]['answer']): ArrayBuffer[] {
  if (Array.isArray(answer)) return answer.map(row => row.buffer as ArrayBuffer)
  return 'bytes' in answer && answer.bytes instanceof Uint8Array ? [answer.bytes.buffer as ArrayBuffer] : []
}
