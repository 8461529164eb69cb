/**
 * How long does each kernel take, as machine code and in plain TypeScript? `npm run bench:kernels -- [runs]`
 */
import { readdirSync, readFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Kernels, WeightedSource } from '../src/kernels/kernels.js'
import { createReferenceKernels } from '../src/kernels/reference.js'
import { compileKernels, createKernels } from '../src/kernels/wasm.js'
import { featherWeights } from '../src/pyramid/blend.js'
import { largestFrame } from '../src/pyramid/blosc.js'
import { planPzfDecode } from '../src/sources/pyme/pzf.js'
import { makePlate } from './make-plate.js'

const FRAME = 512
const FRAMES = 8
const FRAME_BYTES = 2 * FRAME * FRAME
const TILE = 256
const TILE_BYTES = 2 * TILE * TILE
/** Two neighbours of a 15 % overlap. */
const OVERLAP = 77
/** A run repeats a kernel until this has passed, so that the clock's steps do not count. */
const LEAST_MS = 25

const runs = Number(process.argv[2] ?? 7)

const [folder] = makePlate(join(tmpdir(), `tilestage-bench-kernels-${FRAMES}x${FRAME}`), {
  series: 1,
  framesPerSeries: FRAMES,
  edge: FRAME,
})
const streams = readdirSync(folder)
  .filter(name => name.endsWith('.pzf'))
  .map(name => planPzfDecode(readFileSync(join(folder, name)), name).streams[0].input)

interface Work {
  readonly name: string
  /** Of samples, in one call of `run`. */
  readonly bytes: number
  run(): void
}

/** The same work for either kind of kernels, and what it must have left behind. */
function workOf(kernels: Kernels): { readonly works: readonly Work[]; readonly results: () => Uint8Array[] } {
  const samplesIn = (length: number): Uint16Array => {
    const { buffer, byteOffset } = kernels.allocate(2 * length)
    return new Uint16Array(buffer, byteOffset, length)
  }
  const inputs = streams.map(stream => {
    const input = kernels.allocate(stream.length)
    input.set(stream)
    return input
  })
  const frames = inputs.map(() => samplesIn(FRAME * FRAME))
  const outputs = frames.map(({ buffer, byteOffset }) => new Uint8Array(buffer, byteOffset, FRAME_BYTES))
  kernels.decodeHuffman(inputs, outputs)

  const weights = samplesIn(FRAME)
  weights.set(featherWeights(FRAME).weights)
  const cell = (count: number): WeightedSource[] =>
    frames.slice(0, count).map((samples, i) => ({
      samples,
      offset: i % 2 === 0 ? FRAME - OVERLAP : 0,
      stride: FRAME,
      weightsX: weights,
      offsetX: i % 2 === 0 ? FRAME - OVERLAP : 0,
      weightsY: weights,
      offsetY: 0,
    }))
  const [two, four] = [cell(2), cell(4)]
  const blended = samplesIn(OVERLAP * FRAME)
  const blendedOfFour = samplesIn(OVERLAP * OVERLAP)

  const tile = samplesIn(TILE * TILE)
  kernels.copy(tile, 0, TILE, frames[0], 0, FRAME, TILE, TILE)
  const copied = samplesIn(TILE * TILE)
  const halves = samplesIn((TILE * TILE) / 4)
  const mask = kernels.allocate(TILE * TILE).fill(1, TILE * 100)
  const countBytes = kernels.allocate(4 * 65536)
  const counts = new Uint32Array(countBytes.buffer, countBytes.byteOffset, 65536)
  const encoded = kernels.allocate(largestFrame(TILE_BYTES, 2))
  const grey = kernels.allocate(TILE * TILE)
  const table = kernels.allocate(65536).fill(255, 400)
  for (let i = 0; i < 400; i++) table[i] = Math.max(0, i - 145)
  const rows = kernels.allocate(TILE * (TILE + 1))
  rows.set(frames[2].subarray(0, rows.length))
  const filtered = kernels.allocate(TILE * (TILE + 1))
  const edges = samplesIn(TILE * TILE)
  kernels.copy(edges, TILE * 100, TILE, tile, 0, TILE, TILE, 100)

  const works: Work[] = [
    { name: '1 frame decoded', bytes: FRAME_BYTES, run: () => kernels.decodeHuffman([inputs[0]], [outputs[0]]) },
    {
      name: `${FRAMES} frames decoded together`,
      bytes: FRAMES * FRAME_BYTES,
      run: () => kernels.decodeHuffman(inputs, outputs),
    },
    {
      name: `blend of 2, ${OVERLAP} × ${FRAME}`,
      bytes: 2 * OVERLAP * FRAME,
      run: () => kernels.average(blended, 0, OVERLAP, OVERLAP, FRAME, two),
    },
    {
      name: `blend of 4, ${OVERLAP} × ${OVERLAP}`,
      bytes: 2 * OVERLAP * OVERLAP,
      run: () => kernels.average(blendedOfFour, 0, OVERLAP, OVERLAP, OVERLAP, four),
    },
    {
      name: 'copy of a tile',
      bytes: TILE_BYTES,
      run: () => kernels.copy(copied, 0, TILE, frames[1], FRAME, FRAME, TILE, TILE),
    },
    { name: 'sum of a tile', bytes: TILE_BYTES, run: () => void kernels.sum(frames[1], FRAME, FRAME, TILE, TILE) },
    {
      name: 'tile halved',
      bytes: TILE_BYTES,
      run: () => kernels.reduce(tile, TILE, undefined, undefined, halves, 0, TILE / 2),
    },
    {
      name: 'partly covered tile halved',
      bytes: TILE_BYTES,
      run: () => kernels.reduce(edges, TILE, mask, undefined, halves, 0, TILE / 2),
    },
    { name: 'histogram of a tile', bytes: TILE_BYTES, run: () => kernels.histogram(tile, undefined, counts) },
    { name: 'histogram of a covered part', bytes: TILE_BYTES, run: () => kernels.histogram(tile, mask, counts) },
    { name: 'tile encoded', bytes: TILE_BYTES, run: () => void kernels.encodeTile(tile, encoded, 0) },
    { name: 'partly covered tile encoded', bytes: TILE_BYTES, run: () => void kernels.encodeTile(edges, encoded, 0) },
    { name: 'tile looked up', bytes: TILE_BYTES, run: () => kernels.lookUp(tile, table, grey) },
    { name: 'rows filtered', bytes: TILE * TILE, run: () => kernels.filterAverage(rows, TILE, 1, filtered) },
  ]
  const bytesOf = (samples: Uint16Array): Uint8Array =>
    new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength)
  return {
    works,
    results: () => [...outputs, ...[blended, blendedOfFour, copied, halves].map(bytesOf), grey, filtered],
  }
}

/** Milliseconds of the processor's time for one call: others may be using the machine. */
function time(work: Work, calls: number): number {
  const started = process.cpuUsage()
  for (let i = 0; i < calls; i++) work.run()
  const { user, system } = process.cpuUsage(started)
  return (user + system) / 1000 / calls
}

const wasm = workOf(createKernels(compileKernels(), 64 * 2 ** 20))
const reference = workOf(createReferenceKernels())
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]

const ratio = streams.reduce((sum, { length }) => sum + length, 0) / (FRAMES * FRAME_BYTES)
console.log(`${FRAMES} frames of ${FRAME}² uint16, Huffman streams of ${(100 * ratio).toFixed(0)} % of their samples`)
console.log(`Medians of ${runs} runs, Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model.trim()}\n`)
console.log(`${''.padEnd(30)}      wasm                  TypeScript`)
for (const [i, work] of wasm.works.entries()) {
  const other = reference.works[i]
  // Warmed up, and long enough.
  const calls = [work, other].map(work => Math.max(1, Math.ceil(LEAST_MS / time(work, 3))))
  const pairs = Array.from({ length: runs }, () => [time(work, calls[0]), time(other, calls[1])])
  const [fast, slow] = [median(pairs.map(pair => pair[0])), median(pairs.map(pair => pair[1]))]
  const figures = (ms: number): string =>
    `${(1000 * ms).toFixed(1).padStart(8)} µs ${(work.bytes / 1000 / ms).toFixed(0).padStart(6)} MB/s`
  console.log(`${work.name.padEnd(30)} ${figures(fast)} ${figures(slow)} ${(slow / fast).toFixed(1).padStart(6)} ×`)
}
// A wrong answer is no measurement.
wasm.results().forEach((result, i) => {
  if (Buffer.compare(result, reference.results()[i]) !== 0) throw new Error(`result ${i} differs from the reference`)
})
