/**
 * Does a large compressed array become a pyramid in one pass? `npm run bench:hdf5-array -- [edge] [runs]`
 *
 * An array of uint16, 500² px a chunk, gzipped, is made once and kept. Its own sequential decoding, by h5wasm in
 * bands of chunks, is what a build is held against. Exit status 1 where a sample of the pyramid differs.
 */
import { existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Dataset, File, ready } from 'h5wasm/node'
import { openPyramid } from '../src/pyramid/open-pyramid.js'
import { readRegion } from '../src/pyramid/read-region.js'
import { account, median } from './account.js'

const CLI = fileURLToPath(new URL('../cli.js', import.meta.url))
const CHUNK = 500
const MEMORY = '1GiB'

const edge = Number(process.argv[2] ?? 40_000)
const runs = Number(process.argv[3] ?? 1)
const folder = join(tmpdir(), 'tilestage-bench-hdf5')
const path = join(folder, `array-${edge}.h5`)
const output = join(folder, `array-${edge}`)

mkdirSync(folder, { recursive: true })
await ready
if (!existsSync(path)) makeArray()
const megabytes = (2 * edge * edge) / 1e6
const stored = statSync(path).size / 1e6
console.log(
  `${edge}² of uint16, ${megabytes.toFixed(0)} MB, gzipped ${stored.toFixed(0)} MB; ${cpus().length} × ${cpus()[0]!.model}`,
)

const decodings: number[] = []
const builds: number[] = []
for (let run = 0; run < runs; run++) {
  decodings.push(decode())
  rmSync(output, { recursive: true, force: true })
  const { wallS, cpuS, rssMb } = account(CLI, [
    'build',
    path,
    '--memory',
    MEMORY,
    '--progress',
    'none',
    '--output',
    output,
  ])
  builds.push(wallS)
  console.log(
    `decoded ${decodings.at(-1)!.toFixed(1)} s, built ${wallS.toFixed(1)} s (${cpuS.toFixed(1)} s of processors), ` +
      `${(wallS / decodings.at(-1)!).toFixed(2)} ×, peak memory ${rssMb.toFixed(0)} MB`,
  )
}
console.log(
  `medians: ${median(builds).toFixed(1)} s for a build with --memory ${MEMORY}, ${(median(builds) / median(decodings)).toFixed(2)} × its decoding, ` +
    `${(megabytes / median(builds)).toFixed(0)} MB/s`,
)
await comparePlaces()

/** What a sample is: a slope, and noise of six bits. */
function sampleAt(x: number, y: number): number {
  const noise = Math.imul((x * 73_856_093) ^ (y * 19_349_663), 0x9e3779b1) >>> 26
  return ((x + y) >> 4) + noise
}

function makeArray(): void {
  const beside = `${path}.${process.pid}`
  const file = new File(beside, 'w')
  const dataset = file.create_dataset({
    ...{ name: 'image', data: bandAt(0), shape: [CHUNK, edge], maxshape: [null, edge] },
    ...{ chunks: [CHUNK, CHUNK], compression: 'gzip', compression_opts: [1] },
  })
  for (let first = CHUNK; first < edge; first += CHUNK) {
    const band = bandAt(first)
    const end = first + band.length / edge
    dataset.resize([end, edge])
    dataset.write_slice([[first, end], []], band)
  }
  file.close()
  renameSync(beside, path)
}

/** A band of chunks. */
function bandAt(first: number): Uint16Array {
  const band = new Uint16Array(Math.min(CHUNK, edge - first) * edge)
  for (let i = 0; i < band.length; i++) band[i] = sampleAt(i % edge, first + Math.floor(i / edge))
  return band
}

/** @returns seconds. */
function decode(): number {
  const began = performance.now()
  const file = new File(path, 'r')
  const dataset = file.get('image') as Dataset
  let last = 0
  for (let first = 0; first < edge; first += CHUNK) {
    const band = dataset.slice([[first, Math.min(edge, first + CHUNK)]]) as Uint16Array
    last = band.at(-1)!
  }
  file.close()
  if (last !== sampleAt(edge - 1, edge - 1)) throw new Error('the array is another one')
  return (performance.now() - began) / 1000
}

/** Windows here and there, above all where blocks and tiles meet. */
async function comparePlaces(): Promise<void> {
  const pyramid = await openPyramid(output)
  const selection = { channel: 0, zPlane: 0, timePoint: 0 }
  let [compared, different] = [0, 0]
  for (let y0 = 968; y0 + 64 <= edge; y0 += 1000) {
    for (let x0 = 968; x0 + 64 <= edge; x0 += 1000) {
      const { plane } = await readRegion(pyramid, selection, 0, { x0, y0, x1: x0 + 64, y1: y0 + 64 })
      for (const [i, sample] of plane.samples.entries())
        if (sample !== sampleAt(x0 + (i % 64), y0 + Math.floor(i / 64))) different++
      compared += plane.samples.length
    }
  }
  await pyramid.close()
  console.log(`${compared} samples compared, ${different} differ`)
  if (different > 0 || compared === 0) process.exitCode = 1
}
