/**
 * How long does a build take, next to what it cannot do without: decoding every frame on as many workers, reading the
 * input and writing the output bytes? And next to the same build in plain TypeScript on one thread?
 * `npm run bench:build -- [frames per series] [runs]`
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { compileKernels } from '../src/kernels/wasm.js'
import { type Account, account, median } from './account.js'
import type { DecodeShare } from './decode-worker.js'
import { makePlate } from './make-plate.js'

const SERIES = 8
const EDGE = 512
const CLI = fileURLToPath(new URL('../cli.js', import.meta.url))
const PLAIN = fileURLToPath(new URL('plain-build.js', import.meta.url))
const DECODER = new URL('decode-worker.js', import.meta.url)

const [framesPerSeries = 200, runs = 5] = process.argv.slice(2).map(Number)
const workers = availableParallelism()
const plate = join(tmpdir(), `tilestage-bench-${SERIES}x${framesPerSeries}x${EDGE}`)

console.log(`Making ${SERIES} × ${framesPerSeries} frames of ${EDGE}² uint16 (kept in ${plate}) …`)
const folders = makePlate(plate, { series: SERIES, framesPerSeries, edge: EDGE })
const frames = folders.flatMap(folder => Array.from({ length: framesPerSeries }, (_, index) => ({ folder, index })))
const files = folders.flatMap(folder =>
  readdirSync(folder)
    .filter(name => name.endsWith('.pzf'))
    .map(name => join(folder, name)),
)
const inputBytes = files.reduce((sum, path) => sum + statSync(path).size, 0)
const sampleBytes = frames.length * EDGE * EDGE * 2
const scratch = mkdtempSync(join(tmpdir(), 'tilestage-bench-out-'))

interface Build extends Account {
  readonly files: number
  readonly bytes: number
}

function build(count: number): Build {
  const output = join(scratch, 'plate')
  const taken = account(CLI, ['build', ...folders, '--output', output, '--progress', 'json', '--workers', `${count}`])
  const done = JSON.parse(taken.stdout.trim().split('\n').at(-1) ?? '') as Build & { frames: { used: number } }
  if (done.frames.used !== frames.length) throw new Error(`${done.frames.used} of ${frames.length} frames were used`)
  rmSync(output, { recursive: true })
  return { ...taken, files: done.files, bytes: done.bytes }
}

function plainBuild(): Account {
  const output = join(scratch, 'plain')
  const taken = account(PLAIN, [output, ...folders])
  rmSync(output, { recursive: true })
  return taken
}

/** Seconds to decode all frames on `count` threads that are up and running. */
async function decode(count: number): Promise<number> {
  const kernels = compileKernels()
  const threads = Array.from({ length: count }, (_, i) => {
    const share = frames.slice((i * frames.length) / count, ((i + 1) * frames.length) / count)
    const workerData: DecodeShare = { kernels, edge: EDGE, frames: share }
    return new Worker(DECODER, { workerData })
  })
  const heard = (): Promise<unknown> =>
    Promise.all(
      threads.map(thread => new Promise((resolve, reject) => thread.once('message', resolve).once('error', reject))),
    )
  await heard()
  const started = performance.now()
  const all = heard()
  for (const thread of threads) thread.postMessage('go')
  await all
  const seconds = (performance.now() - started) / 1000
  await Promise.all(threads.map(thread => thread.terminate()))
  return seconds
}

function seconds(work: () => void): number {
  const started = performance.now()
  work()
  return (performance.now() - started) / 1000
}

try {
  const rows: { all: Build; one: Build; decodeS: number; decodeOneS: number; readS: number; writeS: number }[] = []
  for (let run = 0; run < runs; run++) {
    const all = build(workers)
    const decodeS = await decode(workers)
    const one = build(1)
    const decodeOneS = await decode(1)
    const readS = seconds(() => {
      for (const path of files) readFileSync(path)
    })
    const block = Buffer.alloc(Math.round(all.bytes / all.files), run)
    const writeS = seconds(() => {
      for (let file = 0; file < all.files; file++) writeFileSync(join(scratch, `block${file}`), block)
    })
    rows.push({ all, one, decodeS, decodeOneS, readS, writeS })
    console.log(
      `run ${run + 1}: ${workers} workers ${all.wallS.toFixed(2)} s, one ${one.wallS.toFixed(2)} s, decode ${decodeS.toFixed(2)} and ${decodeOneS.toFixed(2)} s, read ${readS.toFixed(2)} s, write ${writeS.toFixed(2)} s`,
    )
  }
  const plain = plainBuild()
  const of = (value: (row: (typeof rows)[number]) => number): number => median(rows.map(value))
  const mb = (bytes: number): string => (bytes / 1e6).toFixed(0)
  const rate = (s: number): string => `${mb(sampleBytes / s)} MB/s of samples`
  const [allS, oneS, decodeS] = [of(row => row.all.wallS), of(row => row.one.wallS), of(row => row.decodeS)]
  console.log(`
Medians of ${runs} runs, Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model.trim()}
  input                  ${frames.length} frames, ${mb(inputBytes)} MB of PZF, ${mb(sampleBytes)} MB of samples
  build, ${workers} workers       ${allS.toFixed(2)} s wall, ${of(row => row.all.cpuS).toFixed(2)} s CPU, ${of(row => row.all.rssMb).toFixed(0)} MB, ${rate(allS)}
  build, one worker      ${oneS.toFixed(2)} s wall, ${of(row => row.one.cpuS).toFixed(2)} s CPU, ${of(row => row.one.rssMb).toFixed(0)} MB
  build, plain, one run  ${plain.wallS.toFixed(2)} s wall, ${plain.cpuS.toFixed(2)} s CPU, ${plain.rssMb.toFixed(0)} MB
  output                 ${mb(rows[0].all.bytes)} MB in ${rows[0].all.files} files
  decode, ${workers} workers      ${decodeS.toFixed(2)} s, ${rate(decodeS)}, ${mb(sampleBytes / decodeS / workers)} MB/s a worker
  read the input         ${of(row => row.readS).toFixed(2)} s
  write the output       ${of(row => row.writeS).toFixed(2)} s
  build / decode = ${of(row => row.all.wallS / row.decodeS).toFixed(2)}, build / (2.5 decode + write) = ${of(row => row.all.wallS / (2.5 * row.decodeS + row.writeS)).toFixed(2)}
  one worker / ${workers} workers = ${of(row => row.one.wallS / row.all.wallS).toFixed(2)}, decode alone: ${of(row => row.decodeOneS / row.decodeS).toFixed(2)}, plain / ${workers} workers = ${(plain.wallS / allS).toFixed(1)}`)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
