/**
 * Is a build from an HDF5 spool that from a folder of frames, and how fast are its frames read, next to h5wasm by
 * itself? `npm run bench:hdf5 -- [frames] [runs]`
 *
 * Exit status 1 where a shard differs.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliDecompressSync } from 'node:zlib'
import { type Dataset, File, ready } from 'h5wasm/node'
import { openSpool } from '../src/sources/hdf5/pyme-spool.js'
import { account, median } from './account.js'
import { comparePyramids } from './compare-pyramids.js'

const CLI = fileURLToPath(new URL('../cli.js', import.meta.url))
const WELL = fileURLToPath(new URL('../../examples/plate/well_A1.pcs', import.meta.url))

const EDGE = 256
const FRAME_BYTES = 2 * EDGE * EDGE
/** Of the spool that PYME wrote: its chunks hold two frames, gzip after shuffle. */
const CHUNK_FRAMES = 2
const KNOWN_FRAMES = 25
const OPENED_FRAMES = 10_000

const frames = Number(process.argv[2] ?? 400)
const runs = Number(process.argv[3] ?? 7)

await ready

compareBuilds()

const path = makeSpool('frames.h5', frames, frames)
const source = await openSpool(path)
const indices = source.series.frames.map(({ index }) => index)

/** Slices of whole chunks, one after the other: the most that h5wasm gives. */
function readPlainly(): number {
  const file = new File(path, 'r')
  const images = file.get('ImageData') as Dataset
  let sum = 0
  for (let first = 0; first < frames; first += CHUNK_FRAMES)
    sum += (images.slice([[first, first + CHUNK_FRAMES]]) as Uint16Array).reduce((total, count) => total + count, 0)
  file.close()
  return sum
}

async function readOneByOne(): Promise<number> {
  let sum = 0
  for (const index of indices) sum += sumOf((await source.readFrame(index)).samples)
  return sum
}

async function readEightAtOnce(): Promise<number> {
  let sum = 0
  for (let i = 0; i < indices.length; i += 8) {
    const planes = await Promise.all(indices.slice(i, i + 8).map(index => source.readFrame(index)))
    for (const { samples } of planes) sum += sumOf(samples)
  }
  return sum
}

const ways = {
  'h5wasm itself': readPlainly,
  'one frame after the other': readOneByOne,
  'eight at once': readEightAtOnce,
}
const times = new Map(Object.keys(ways).map(name => [name, [] as number[]]))
const expected = readPlainly()
for (let run = 0; run <= runs; run++) {
  for (const [name, read] of Object.entries(ways)) {
    const began = performance.now()
    const sum = await read()
    if (sum !== expected) throw new Error(`${name} read other samples`)
    // The first run warms up.
    if (run > 0) times.get(name)!.push(performance.now() - began)
  }
}
const [plainMs] = [...times.values()].map(median)
console.log(
  `${frames} frames of ${EDGE}², gzip after shuffle, ${runs} alternating runs; ${cpus().length} × ${cpus()[0]!.model}`,
)
for (const [name, each] of times) {
  const ms = median(each)
  const rate = (frames * FRAME_BYTES) / ms / 1000
  console.log(
    `${name.padEnd(26)} ${ms.toFixed(0).padStart(6)} ms  ${rate.toFixed(0).padStart(4)} MB/s  ${(plainMs! / ms).toFixed(2)} ×`,
  )
}

const large = makeSpool('many.h5', OPENED_FRAMES, KNOWN_FRAMES)
const began = performance.now()
await openSpool(large)
console.log(`a series of ${OPENED_FRAMES} frames opens in ${(performance.now() - began).toFixed(0)} ms`)
console.log(`peak memory of the process ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB`)

/** The spool that PYME wrote of a well, and the folder that it wrote of the same. */
function compareBuilds(): void {
  const scratch = mkdtempSync(join(tmpdir(), 'tilestage-bench-hdf5-'))
  const spool = makeSpool('well_A1.h5', KNOWN_FRAMES, KNOWN_FRAMES)
  // The name of a pyramid is that of its folder, and written into it.
  const [fromFolder, fromSpool] = ['folder', 'spool'].map(name => join(scratch, name, 'plate'))
  const flags = ['--progress', 'none', '--output']
  account(CLI, ['build', WELL, ...flags, fromFolder!])
  account(CLI, ['build', spool, ...flags, fromSpool!])
  console.log(`tilestage build ${spool}`)
  comparePyramids(fromFolder!, fromSpool!)
  rmSync(scratch, { recursive: true })
}

/** The spool that PYME wrote, with more frames: those that it has, over and over. */
function makeSpool(name: string, count: number, written: number): string {
  const folder = join(tmpdir(), 'tilestage-bench-hdf5')
  mkdirSync(folder, { recursive: true })
  const made = join(folder, name)
  const fixture = new URL('../../test/fixtures/pyme/well_A1.h5.br', import.meta.url)
  writeFileSync(made, brotliDecompressSync(readFileSync(fixture)))
  const file = new File(made, 'a')
  const images = file.get('ImageData') as Dataset
  const known = images.slice([[0, KNOWN_FRAMES]]) as Uint16Array
  images.resize([count, EDGE, EDGE])
  for (let first = KNOWN_FRAMES; first < written; first += KNOWN_FRAMES) {
    const last = Math.min(written, first + KNOWN_FRAMES)
    images.write_slice([[first, last]], known.subarray(0, (last - first) * EDGE * EDGE))
  }
  file.close()
  return made
}

function sumOf(samples: { reduce(add: (total: number, count: number) => number, start: number): number }): number {
  return samples.reduce((total, count) => total + count, 0)
}
