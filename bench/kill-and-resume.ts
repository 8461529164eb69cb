/**
 * Does a build that is killed anywhere, and begun again until it ends, give the same bytes as one that is left alone?
 * `npm run bench:kill -- [kills] [frames per series] [seed]`
 *
 * Real builds of the real program die by SIGKILL at random moments, go on with another number of workers and another
 * bound on memory each time, and are killed again until one ends; then every file is compared. Exit status 1 where one
 * differs.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { seededRandom } from '../test/seeded-random.js'
import { makePlate } from './make-plate.js'

const CLI = fileURLToPath(new URL('../cli.js', import.meta.url))
const SERIES = 4
const EDGE = 512
const WORKERS = ['1', '2', '3']
const MEMORY = ['300MiB', '400MiB', '512MiB', '1GiB']

const [kills = 20, framesPerSeries = 100, seed = 1] = process.argv.slice(2).map(Number)
const random = seededRandom(seed)
const pick = (choices: readonly string[]): string => choices[Math.floor(random() * choices.length)]

const plate = join(tmpdir(), `tilestage-bench-kill-${SERIES}x${framesPerSeries}x${EDGE}`)
console.log(`Making ${SERIES} × ${framesPerSeries} frames of ${EDGE}² uint16 (kept in ${plate}) …`)
const folders = makePlate(plate, { series: SERIES, framesPerSeries, edge: EDGE })
const scratch = mkdtempSync(join(tmpdir(), 'tilestage-bench-kill-out-'))

let differences = 0
try {
  // The name of a pyramid is that of its folder, and written into it.
  const undisturbed = join(scratch, 'undisturbed', 'plate')
  const started = performance.now()
  await build(undisturbed, [])
  const wholeMs = performance.now() - started
  const expected = hashFiles(undisturbed)
  console.log(`Left alone it takes ${(wholeMs / 1000).toFixed(2)} s and writes ${expected.size} files.`)

  for (let killed = 0, pyramid = 1; killed < kills; pyramid++) {
    const output = join(scratch, String(pyramid), 'plate')
    let before = 0
    for (;;) {
      const flags = ['--workers', pick(WORKERS), '--memory', pick(MEMORY)]
      // The last pyramid is finished, however many kills it had.
      const afterMs = killed < kills ? random() * wholeMs : undefined
      const ended = await build(output, flags, afterMs)
      if (ended) break
      killed++
      const files = countFiles(output)
      console.log(
        `kill ${killed}: pyramid ${pyramid}, ${flags.join(' ')}, after ${Math.round(afterMs ?? 0)} ms: ${files} files, ${files - before} more`,
      )
      before = files
    }
    const found = hashFiles(output)
    const wrong = [...new Set([...expected.keys(), ...found.keys()])].filter(
      name => expected.get(name) !== found.get(name),
    )
    differences += wrong.length
    console.log(`pyramid ${pyramid}: ${wrong.length === 0 ? 'the same bytes' : `DIFFERENT: ${wrong.join(', ')}`}`)
    rmSync(output, { recursive: true })
  }
  console.log(differences === 0 ? `${kills} kills, no difference.` : `${differences} files differ.`)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
process.exit(differences === 0 ? 0 : 1)

/** @returns whether the build ended by itself, and not by our kill. */
async function build(output: string, flags: readonly string[], killAfterMs?: number): Promise<boolean> {
  const args = [CLI, 'build', ...folders, '--output', output, '--progress', 'none', ...flags]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let messages = ''
  child.stderr.on('data', bytes => {
    messages += bytes
  })
  const over = new AbortController()
  if (killAfterMs !== undefined) {
    setTimeout(killAfterMs, undefined, { signal: over.signal }).then(
      () => child.kill('SIGKILL'),
      () => undefined,
    )
  }
  const [status, signal] = (await once(child, 'close')) as [number | null, string | null]
  over.abort()
  if (signal === 'SIGKILL' && killAfterMs !== undefined) return false
  if (status !== 0) throw new Error(`the build ended with ${status ?? signal}: ${messages}`)
  return true
}

function listFiles(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  return entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name))
}

function countFiles(folder: string): number {
  try {
    return listFiles(folder).length
  } catch {
    // Killed before there was anything.
    return 0
  }
}

function hashFiles(folder: string): Map<string, string> {
  return new Map(
    listFiles(folder).map(path => {
      const name = relative(folder, path)
      return [
        name,
        createHash('sha256')
          .update(withoutTraces(name, readFileSync(path)))
          .digest('hex'),
      ]
    }),
  )
}

/** Two files say when, how fast and as which pyramid something was built; the rest of them is compared. */
function withoutTraces(name: string, bytes: Buffer): Buffer | string {
  if (name === 'zarr.json') {
    const { attributes, ...rest } = JSON.parse(bytes.toString())
    const { id, revision, created, seconds, report, ...record } = attributes.tilestage
    if (record.complete !== true) throw new Error('a build that ended left an incomplete pyramid')
    return JSON.stringify({ ...rest, attributes: { ...attributes, tilestage: record } })
  }
  if (name === join('tilestage', 'report.json')) {
    const { throughput, ...report } = JSON.parse(bytes.toString())
    return JSON.stringify(report)
  }
  return bytes
}
