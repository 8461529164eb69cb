/**
 * How long does a build take, next to what it cannot do without: decoding every frame, reading the input and writing
 * the output bytes? `npm run bench:build -- [frames per series] [runs]`
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { decodePzf } from '../src/sources/pyme/pzf.js'
import { makePlate } from './make-plate.js'

const SERIES = 8
const EDGE = 512
const CLI = fileURLToPath(new URL('../cli.js', import.meta.url))
/** Loaded into the measured process: what the operating system counted for it, when it ends. */
const ACCOUNT = `data:text/javascript,${encodeURIComponent("process.on('exit', () => { const u = process.resourceUsage(); process.stderr.write('\\nusage ' + JSON.stringify([u.userCPUTime + u.systemCPUTime, u.maxRSS]) + '\\n') })")}`

const framesPerSeries = Number(process.argv[2] ?? 200)
const runs = Number(process.argv[3] ?? 3)
const plate = join(tmpdir(), `tilestage-bench-${SERIES}x${framesPerSeries}x${EDGE}`)

console.log(`Making ${SERIES} × ${framesPerSeries} frames of ${EDGE}² uint16 (kept in ${plate}) …`)
const folders = makePlate(plate, { series: SERIES, framesPerSeries, edge: EDGE })
const frames = folders.flatMap(folder =>
  readdirSync(folder)
    .filter(name => name.endsWith('.pzf'))
    .map(name => join(folder, name)),
)
const inputBytes = frames.reduce((sum, path) => sum + statSync(path).size, 0)
const sampleBytes = frames.length * EDGE * EDGE * 2

interface Measure {
  readonly wallS: number
  readonly cpuS: number
  readonly rssMb: number
}

function buildOnce(output: string): Measure & { readonly files: number; readonly bytes: number } {
  const started = performance.now()
  const child = spawnSync(
    process.execPath,
    ['--import', ACCOUNT, CLI, 'build', ...folders, '--output', output, '--progress', 'json'],
    { encoding: 'utf8', maxBuffer: 2 ** 28 },
  )
  const wallS = (performance.now() - started) / 1000
  if (child.status !== 0) throw new Error(`the build failed: ${child.stderr}`)
  const done = JSON.parse(child.stdout.trim().split('\n').at(-1) ?? '') as {
    files: number
    bytes: number
    frames: { used: number }
  }
  // A wrong answer is no measurement.
  if (done.frames.used !== frames.length) throw new Error(`${done.frames.used} of ${frames.length} frames were used`)
  const [cpuUs, rssKb] = JSON.parse(/usage (.*)/.exec(child.stderr)?.[1] ?? '[]') as number[]
  return { wallS, cpuS: cpuUs / 1e6, rssMb: rssKb / 1024, files: done.files, bytes: done.bytes }
}

/** CPU and wall of something done in this process. */
function time(work: () => void): number {
  const started = performance.now()
  work()
  return (performance.now() - started) / 1000
}

const scratch = mkdtempSync(join(tmpdir(), 'tilestage-bench-out-'))
try {
  const rows: { build: ReturnType<typeof buildOnce>; readS: number; decodeS: number; writeS: number }[] = []
  for (let run = 0; run < runs; run++) {
    const output = join(scratch, String(run))
    const build = buildOnce(output)
    rmSync(output, { recursive: true })
    const readS = time(() => {
      for (const path of frames) readFileSync(path)
    })
    const decodeS =
      time(() => {
        for (const path of frames) decodePzf(readFileSync(path), path)
      }) - readS
    const block = Buffer.alloc(Math.round(build.bytes / build.files), run)
    const writeS = time(() => {
      for (let file = 0; file < build.files; file++) writeFileSync(join(scratch, `block${file}`), block)
    })
    rows.push({ build, readS, decodeS, writeS })
    console.log(
      `run ${run + 1}: build ${build.wallS.toFixed(2)} s, decode ${decodeS.toFixed(2)} s, read ${readS.toFixed(2)} s, write ${writeS.toFixed(2)} s`,
    )
  }
  const median = (value: (row: (typeof rows)[number]) => number): number =>
    rows.map(value).sort((a, b) => a - b)[Math.floor(rows.length / 2)]
  const mb = (bytes: number): string => (bytes / 1e6).toFixed(0)
  console.log(`
Medians of ${runs} runs, Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model.trim()}
  input             ${frames.length} frames, ${mb(inputBytes)} MB of PZF, ${mb(sampleBytes)} MB of samples
  build             ${median(row => row.build.wallS).toFixed(2)} s wall, ${median(row => row.build.cpuS).toFixed(2)} s CPU, ${(sampleBytes / 1e6 / median(row => row.build.wallS)).toFixed(0)} MB/s of samples
  peak memory       ${median(row => row.build.rssMb).toFixed(0)} MB
  output            ${mb(rows[0].build.bytes)} MB in ${rows[0].build.files} files
  decode, 1 thread  ${median(row => row.decodeS).toFixed(2)} s, ${(sampleBytes / 1e6 / median(row => row.decodeS)).toFixed(0)} MB/s of samples
  read the input    ${median(row => row.readS).toFixed(2)} s
  write the output  ${median(row => row.writeS).toFixed(2)} s
  build / (decode + write) = ${median(row => row.build.wallS / (row.decodeS + row.writeS)).toFixed(2)}`)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
