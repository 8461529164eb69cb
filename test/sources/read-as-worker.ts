import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { allocateSamples, bytesOfSamples, type Plane, samplesFromBytes } from '../../src/plane.js'
import type { FrameReader, FrameReaderDescription } from '../../src/sources/frame-source.js'
import { decodeHuffman } from '../../src/sources/pyme/huffman.js'
import { arrangeSamples } from '../../src/sources/pyme/pzf.js'

/** As a worker does it, on this thread: nothing but plain data and the compiled module. */
export async function openReader({ module, data }: FrameReaderDescription): Promise<FrameReader> {
  const { openFrameReader }: { openFrameReader: (data: unknown) => FrameReader } = await import(module)
  return openFrameReader(structuredClone(data))
}

/** As a worker decodes a PZF frame, with our own Huffman decoder for a kernel. Undefined for other readers. */
export async function decodePlanned(
  reader: FrameReader,
  index: number,
  into: Uint8Array,
  file: string,
): Promise<Plane | undefined> {
  const plan = await reader.readPzf?.(index, into)
  if (!plan) return undefined
  const { width, height, sampleType } = plan.header
  const decoded = plan.stored ?? new Uint8Array(plan.decodedBytes)
  for (const { input, start, length } of plan.streams)
    decodeHuffman(input, decoded.subarray(start, start + length), file)
  const samples = allocateSamples(sampleType, width * height)
  if (plan.arranged) samples.set(samplesFromBytes(sampleType, decoded))
  else arrangeSamples(plan.header, decoded, samples)
  return { width, height, sampleType, samples }
}

const THREAD = `
  import { parentPort, workerData } from 'node:worker_threads'
  const { openFrameReader } = await import(workerData.module)
  const reader = openFrameReader(workerData.data)
  parentPort.postMessage(await Promise.all(workerData.indices.map(index => reader.readFrame(index))))
  process.exit()
`

/** Read frames all at once in a thread of their own. */
export async function readInThread(
  { module, data }: FrameReaderDescription,
  indices: readonly number[],
): Promise<readonly Plane[]> {
  const script = new URL(`data:text/javascript,${encodeURIComponent(THREAD)}`)
  // Without this process' loaders: what a worker runs is compiled.
  const thread = new Worker(script, { workerData: { module, data, indices }, execArgv: [], env: {} })
  const ended = once(thread, 'exit')
  const [planes] = (await once(thread, 'message')) as [readonly Plane[]]
  await ended
  return planes
}

export function sameSamples(a: Plane, b: Plane): boolean {
  return Buffer.compare(bytesOfSamples(a.samples), bytesOfSamples(b.samples)) === 0
}
