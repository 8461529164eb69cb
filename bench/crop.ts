/**
 * How soon is the picture behind a dot of a chart there, and what does it cost?
 * `npm run bench:crop -- [seconds] [the cli.js of another build]`
 *
 * Crops of 96 px at random places of the sample plate, over HTTP from a server in a process of its own: 50 in a second,
 * whether or not the one before is there. Two builds take turns.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { seededRandom } from '../test/seeded-random.js'

const CLI = fileURLToPath(new URL('../cli.js', import.meta.url))
const PLATE = fileURLToPath(new URL('../../examples/plate', import.meta.url))
const PICTURE_PX = 96
const GAP_PX = 10
const HOVERS_PER_S = 50
const ROUNDS = 4

/** What is asked for: edges of what is shown, px of full resolution, and the rest of the address. */
const CROPS = [
  { name: '48 px of full resolution', edge: 48, look: '' },
  { name: '192 px, from a coarser level', edge: 192, look: '' },
  { name: 'two layers with their names', edge: 48, look: '&layers=0,0&lut=viridis,grey&labels=1' },
]

/** Whether a place was asked for before, or only others near it. */
const LOOKS = ['first look', 'second look'] as const

/** Linux counts processor time in hundredths of a second. */
const TICK_MS = 10

const seconds = Number(process.argv[2] ?? 20)
const programs = [CLI, ...process.argv.slice(3)]

interface Server {
  readonly child: ChildProcess
  readonly url: URL
}

/** Of one program and one look at one kind of crop, ms. */
interface Figures {
  readonly times: number[]
  readonly cpu: number[]
}

const scratch = mkdtempSync(join(tmpdir(), 'tilestage-bench-crop-'))
const plate = join(scratch, 'plate')
const series = ['A1', 'A2', 'B1'].map(well => join(PLATE, `well_${well}.pcs`))
const built = spawnSync(process.execPath, [CLI, 'build', ...series, '--output', plate], { stdio: 'ignore' })
if (built.status !== 0) throw new Error(`The sample plate was not built: status ${built.status}.`)
const servers: Server[] = []
try {
  for (const cli of programs) servers.push(await start(cli))
  console.log(
    `Crops of ${PICTURE_PX} px: median, 95th percentile and longest, ms; processor time of the server for a crop, ms`,
  )
  for (const crops of CROPS) {
    const figures = servers.map(() => LOOKS.map((): Figures => ({ times: [], cpu: [] })))
    for (let round = 0; round < ROUNDS; round++) {
      for (const [i, server] of servers.entries()) {
        const urls = await listUrls(server.url, crops, round)
        // The first round makes the program quick, and reads and decodes what others find in memory.
        for (const look of LOOKS.keys()) {
          const measured = await measure(server, urls)
          if (round === 0) continue
          figures[i][look].times.push(...measured.times)
          figures[i][look].cpu.push(...measured.cpu)
        }
      }
    }
    for (const [i, looks] of figures.entries()) {
      console.log(`${crops.name}${servers.length > 1 ? `, ${programs[i]}` : ''}`)
      for (const [look, { times, cpu }] of looks.entries())
        console.log(`  ${LOOKS[look]}: ${describe(times)}; processor ${cpu.map(ms => ms.toFixed(2)).join(', ')}`)
    }
  }
} finally {
  for (const { child } of servers) child.kill()
  rmSync(scratch, { recursive: true, force: true })
}

async function start(cli: string): Promise<Server> {
  const child = spawn(process.execPath, [cli, 'serve', plate, '--port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const text of child.stdout) return { child, url: new URL(String(text).trim()) }
  throw new Error(`${cli} did not start.`)
}

async function measure({ child }: Server, urls: readonly URL[]): Promise<Figures> {
  const asked: Promise<number>[] = []
  const cpuMs = processorMs(child)
  const started = performance.now()
  for (const [i, url] of urls.entries()) {
    await delay(Math.max(0, started + (i * 1000) / HOVERS_PER_S - performance.now()))
    asked.push(time(url))
  }
  const times = await Promise.all(asked)
  return { times, cpu: [(processorMs(child) - cpuMs) / times.length] }
}

/** Of all threads of a process so far. */
function processorMs({ pid }: ChildProcess): number {
  // Behind the name in brackets: user and system time are the 14th and 15th field of all.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS
}

async function listUrls(url: URL, { edge, look }: (typeof CROPS)[number], round: number): Promise<URL[]> {
  const { current } = await (await fetch(new URL('current', url))).json()
  const { wells } = await (await fetch(new URL(`pyramids/${current.id}/wells`, url))).json()
  const random = seededRandom(edge + round)
  const places = Math.ceil((seconds * HOVERS_PER_S) / (ROUNDS * LOOKS.length))
  return Array.from({ length: places }, (_, i) => {
    const { x0, y0, x1, y1 } = wells[i % wells.length].rect
    const x = Math.floor(x0 + random() * (x1 - x0 - edge))
    const y = Math.floor(y0 + random() * (y1 - y0 - edge))
    const square = `x=${x}&y=${y}&w=${edge}&h=${edge}&units=px&width=${PICTURE_PX}&height=${PICTURE_PX}`
    return new URL(`pyramids/${current.id}/crop.png?v=${current.version}&${square}&min=p0.1&max=p99.5${look}`, url)
  })
}

/** Milliseconds until all of an answer is there. */
async function time(url: URL): Promise<number> {
  const started = performance.now()
  const reply = await fetch(url)
  const body = Buffer.from(await reply.arrayBuffer())
  const took = performance.now() - started
  if (!reply.ok) throw new Error(`${url} is answered ${reply.status}: ${body}`)
  // A wrong answer is no measurement. Width and height stand behind the name of the first chunk.
  const width = body.readUInt32BE(16)
  if (width % PICTURE_PX > GAP_PX) throw new Error(`${url} is ${width} px wide.`)
  return took
}

function describe(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number): string =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))].toFixed(1)
  return `${at(0.5)}, ${at(0.95)}, ${at(1)}`
}
