import { parentPort, workerData } from 'node:worker_threads'
import { createKernels } from '../src/kernels/wasm.js'
import { PcsReader } from '../src/sources/pyme/pcs-reader.js'

// Decodes its share of the frames, two at a time as a build does, and nothing else.

export interface DecodeShare {
  readonly kernels: WebAssembly.Module
  readonly edge: number
  readonly frames: readonly { readonly folder: string; readonly index: number }[]
}

const { kernels: module, edge, frames } = workerData as DecodeShare
const frameBytes = 2 * edge * edge
const kernels = createKernels(module, 8 * frameBytes)
const files = [0, 1].map(() => kernels.allocate(2 * frameBytes))
const decoded = [0, 1].map(() => kernels.allocate(frameBytes))
const readers = new Map<string, PcsReader>()
const shape = { frameSize: { width: edge, height: edge }, sampleType: 'uint16' as const }

parentPort?.once('message', () => {
  for (let i = 0; i < frames.length; i += 2) {
    const inputs = frames.slice(i, i + 2).map(({ folder, index }, k) => {
      const reader = readers.get(folder) ?? new PcsReader({ url: folder, ...shape })
      readers.set(folder, reader)
      const [stream] = reader.readPzf(index, files[k])?.streams ?? []
      return stream.input
    })
    if (kernels.decodeHuffman(inputs, decoded.slice(0, inputs.length)).includes(false))
      throw new Error(`a frame near ${i} is damaged`)
  }
  parentPort?.postMessage('done')
})
parentPort?.postMessage('ready')
