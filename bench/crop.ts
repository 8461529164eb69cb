/**
 * How soon is the picture behind a dot of a chart there? `npm run bench:crop -- [seconds]`
 *
 * Crops of 96 px at random places of the sample plate, over HTTP from a server in a process of its own: one after the
 * other, and 50 in a second, whether or not the one before is there.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { seededRandom } from '../test/seeded-random.js'

const CLI = fileURLToPath(new URL('../cli.js', import.meta.url))
const PLATE = fileURLToPath(new URL('../../examples/plate', import.meta.url))
const PLACES = 200
const PICTURE_PX = 96
const HOVERS_PER_S = 50
/** Edges of what is shown, px of full resolution: enlarged, and shrunk from a coarser level. */
const EDGES = [48, 192]

const seconds = Number(process.argv[2] ?? 10)

const scratch = mkdtempSync(join(tmpdir(), 'tilestage-bench-crop-'))
const plate = join(scratch, 'plate')
const series = ['A1', 'A2', 'B1'].map(well => join(PLATE, `well_${well}.pcs`))
const built = spawnSync(process.execPath, [CLI, 'build', ...series, '--output', plate], { stdio: 'ignore' })
if (built.status !== 0) throw new Error(`The sample plate was not built: status ${built.status}.`)
const server = spawn(process.execPath, [CLI, 'serve', plate, '--port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] })
try {
  for await (const text of server.stdout) {
    await measure(new URL(String(text).trim()))
    break
  }
} finally {
  server.kill()
  rmSync(scratch, { recursive: true, force: true })
}

async function measure(url: URL): Promise<void> {
  const { current } = await (await fetch(new URL('current', url))).json()
  const { wells } = await (await fetch(new URL(`pyramids/${current.id}/wells`, url))).json()
  console.log(`Crops of ${PICTURE_PX} px: median, 95th percentile and longest, ms`)
  for (const edge of EDGES) {
    const urls = listUrls(url, current, wells, edge)
    // The first look reads and decodes what all others find in memory, and a wrong answer is no measurement.
    for (const one of urls) await expectPicture(one)
    const one: number[] = []
    for (const address of [...urls, ...urls, ...urls]) one.push(await time(address))
    const many: Promise<number>[] = []
    const started = performance.now()
    for (let i = 0; i < seconds * HOVERS_PER_S; i++) {
      await delay(Math.max(0, started + (i * 1000) / HOVERS_PER_S - performance.now()))
      many.push(time(urls[(7 * i) % urls.length]))
    }
    const times = await Promise.all(many)
    const perS = times.length / ((performance.now() - started) / 1000)
    console.log(`  ${edge} px of full resolution, one after the other: ${describe(one)}`)
    console.log(`  ${edge} px of full resolution, ${perS.toFixed(1)} a second: ${describe(times)}`)
  }
}

function listUrls(
  url: URL,
  { id, version }: { readonly id: string; readonly version: string },
  wells: readonly { readonly rect: { x0: number; y0: number; x1: number; y1: number } }[],
  edge: number,
): URL[] {
  const random = seededRandom(edge)
  return Array.from({ length: PLACES }, (_, i) => {
    const { x0, y0, x1, y1 } = wells[i % wells.length].rect
    const x = Math.floor(x0 + random() * (x1 - x0 - edge))
    const y = Math.floor(y0 + random() * (y1 - y0 - edge))
    const square = `x=${x}&y=${y}&w=${edge}&h=${edge}&units=px&width=${PICTURE_PX}&height=${PICTURE_PX}`
    return new URL(`pyramids/${id}/crop.png?v=${version}&${square}&min=p0.1&max=p99.5`, url)
  })
}

async function expectPicture(url: URL): Promise<void> {
  const reply = await fetch(url)
  if (!reply.ok) throw new Error(`${url} is answered ${reply.status}: ${await reply.text()}`)
  const { width, height } = await sharp(await reply.arrayBuffer()).metadata()
  if (width !== PICTURE_PX || height !== PICTURE_PX) throw new Error(`${url} has ${width} × ${height} px.`)
}

/** Milliseconds until all of an answer is there. */
async function time(url: URL): Promise<number> {
  const started = performance.now()
  const reply = await fetch(url)
  await reply.arrayBuffer()
  if (!reply.ok) throw new Error(`${url} is answered ${reply.status}.`)
  return performance.now() - started
}

function describe(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number): string =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))].toFixed(1)
  return `${at(0.5)}, ${at(0.95)}, ${at(1)}`
}
