/**
 * Does the server stay what it was? `npm run bench:soak -- [minutes] [viewers]`
 *
 * Viewers wander over what is current, each with its stream of events, and fetch what a page would; every few seconds
 * everybody is shown the other of two pyramids. Each answer is compared with the tile that it must be. Ends with status 1
 * where one failed or was of the wrong pyramid. Needs Linux with two cores.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { crc32 } from '@node-rs/crc32'
import { ByteStore } from '../src/pyramid/byte-store.js'
import { automaticWindow } from '../src/pyramid/histogram.js'
import { gridOf, type TileAddress } from '../src/pyramid/mosaic-geometry.js'
import { openPyramid } from '../src/pyramid/open-pyramid.js'
import type { Pyramid } from '../src/pyramid/pyramid.js'
import { RenderCrew } from '../src/render/render-crew.js'
import type { LayerStyle } from '../src/render/style.js'
import { DecodedTiles } from '../src/server/tiles/decoded-tiles.js'
import { seededRandom } from '../test/seeded-random.js'
import { listen } from '../test/server/listen.js'
import { account, median } from './account.js'
import { makePlate } from './make-plate.js'
import { loopDelayP99Ms, MeasuredServer } from './measured-server.js'

const CLI = fileURLToPath(new URL('../cli.js', import.meta.url))
const PORT = 18_990
const SERVER = `http://127.0.0.1:${PORT}`
const PLATE = { series: 2, framesPerSeries: 200, edge: 512, pictures: 200 }
const CACHE = '64MiB'
const FIRST_PLANE = { channel: 0, zPlane: 0, timePoint: 0 }
/** Tiles that a window shows. */
const VIEW = { columns: 4, rows: 3 }
/** Between two moves of a hand. */
const PAUSE_MS = 500
const SWAP_EVERY_MS = 3000
const SAMPLE_EVERY_MS = 1000
/** How much the last third may have more than the second. */
const GROWTH = 0.05
const WALK_CHANCES = { zoom: 0.3 }

const [minutesText = '10', viewersText = '50'] = process.argv.slice(2)
const [durationMs, viewerCount] = [60_000 * Number(minutesText), Number(viewersText)]

/** A pyramid, and what its tiles must be. */
class Truth {
  readonly #crew: RenderCrew
  readonly #tiles = new DecodedTiles(new ByteStore(0))
  readonly #sums = new Map<string, Promise<number>>()
  readonly #style: LayerStyle

  private constructor(
    readonly pyramid: Pyramid,
    style: LayerStyle,
    crew: RenderCrew,
  ) {
    this.#style = style
    this.#crew = crew
  }

  static async open(path: string, crew: RenderCrew): Promise<Truth> {
    const pyramid = await openPyramid(path)
    const { black, white } = automaticWindow(await pyramid.histogram(0), pyramid.sampleType)
    const style = { black, white, gamma: 1, stretch: 'linear', colours: 'grey', inverted: false } as const
    return new Truth(pyramid, style, crew)
  }

  /** Checksum of the bytes that a tile must have. */
  sumOf(address: TileAddress, format: 'bin' | 'png'): Promise<number> {
    const key = `${Object.values(address).join('/')}.${format}`
    const known = this.#sums.get(key)
    if (known) return known
    const sum = this.#bytesOf(address, format).then(bytes => crc32(bytes))
    this.#sums.set(key, sum)
    return sum
  }

  async #bytesOf(address: TileAddress, format: 'bin' | 'png'): Promise<Buffer> {
    const tile = await this.#tiles.read(this.pyramid, FIRST_PLANE, address, AbortSignal.timeout(60_000))
    if (!tile) throw new Error('the coverage names a tile that is not there')
    if (format === 'bin') return tile.bytes
    const { plane, mask } = tile
    const layers = [{ samples: plane.samples, mask, style: this.#style }]
    return this.#crew.render({ width: plane.width, height: plane.height, layers, format })
  }
}

/** What was seen. */
const seen = { requests: 0, failures: [] as string[], mixed: [] as string[], swapsMs: [] as number[] }

class Viewer {
  readonly #truths: ReadonlyMap<string, Truth>
  readonly #random: () => number
  /** Id and version of what it shows. */
  #shown: { readonly id: string; readonly version: string } | undefined
  #level = 0
  #column = 0
  #row = 0
  /** Told of every source. */
  onSource: (id: string) => void = () => undefined

  constructor(truths: ReadonlyMap<string, Truth>, seed: number) {
    this.#truths = truths
    this.#random = seededRandom(seed)
  }

  /** Follow the events until the server ends. */
  async follow(signal: AbortSignal): Promise<void> {
    try {
      for await (const { name, data } of listen(`${SERVER}/`)) {
        const { current } = data as { readonly current?: { readonly id: string; readonly version: string } }
        if (name !== 'source' || !current) continue
        this.#shown = current
        this.onSource(current.id)
      }
    } catch (error) {
      if (!signal.aborted) seen.failures.push(`events: ${error}`)
    }
  }

  async wander(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.#shown) await this.#look(this.#shown)
      await delay(PAUSE_MS * (0.5 + this.#random()))
      this.#move()
    }
  }

  #move(): void {
    const { geometry } = [...this.#truths.values()][0].pyramid
    const step = (): number => Math.floor(3 * this.#random()) - 1
    const zoom = this.#random() < WALK_CHANCES.zoom ? step() : 0
    const level = Math.min(geometry.levelCount - 1, Math.max(0, this.#level + zoom))
    const { columns, rows } = gridOf(geometry, level)
    const scale = 2 ** (this.#level - level)
    const within = (place: number, count: number): number => Math.min(count - 1, Math.max(0, Math.floor(place)))
    this.#column = within((this.#column + step()) * scale, columns)
    this.#row = within((this.#row + step()) * scale, rows)
    this.#level = level
  }

  async #look({ id, version }: { readonly id: string; readonly version: string }): Promise<void> {
    const truth = this.#truths.get(id)
    if (!truth) throw new Error(`${id} is none of the two pyramids`)
    const { pyramid } = truth
    const { columns, rows } = gridOf(pyramid.geometry, this.#level)
    const format = this.#random() < 0.5 ? 'bin' : 'png'
    const wanted: TileAddress[] = []
    for (let row = this.#row; row < Math.min(rows, this.#row + VIEW.rows); row++)
      for (let column = this.#column; column < Math.min(columns, this.#column + VIEW.columns); column++)
        wanted.push({ level: this.#level, column, row })
    const covered = wanted.filter(address => pyramid.coverage(FIRST_PLANE).hasTile(address))
    await Promise.all(covered.map(address => this.#fetch(truth, version, address, format)))
    const [first] = covered
    if (first) await this.#fetchCurrent(version, first)
  }

  async #fetch(truth: Truth, version: string, address: TileAddress, format: 'bin' | 'png'): Promise<void> {
    const { pyramid } = truth
    const path = `/pyramids/${pyramid.id}${pathOf(pyramid, address)}.${format}?v=${version}`
    const answer = await ask(path)
    if (answer && answer.sum !== (await truth.sumOf(address, format))) seen.mixed.push(path)
  }

  /** The current pyramid may be another than the viewer knows; what it may keep under a version must be of that version. */
  async #fetchCurrent(version: string, address: TileAddress): Promise<void> {
    const truths = [...this.#truths.values()]
    const path = `${pathOf(truths[0].pyramid, address)}.png?v=${version}`
    const answer = await ask(path)
    if (!answer) return
    const possible = answer.isNamed ? truths.filter(({ pyramid }) => pyramid.version === version) : truths
    const covering = possible.filter(({ pyramid }) => pyramid.coverage(FIRST_PLANE).hasTile(address))
    const sums = await Promise.all(covering.map(truth => truth.sumOf(address, 'png')))
    if (covering.length === possible.length && !sums.includes(answer.sum)) seen.mixed.push(path)
  }
}

function pathOf({ geometry }: Pyramid, { level, column, row }: TileAddress): string {
  return `/tiles/${geometry.levelCount - 1 - level}/${column}/${row}`
}

/** @returns undefined where the request failed. */
async function ask(path: string): Promise<{ readonly sum: number; readonly isNamed: boolean } | undefined> {
  seen.requests++
  try {
    const reply = await fetch(`${SERVER}${path}`)
    const bytes = new Uint8Array(await reply.arrayBuffer())
    if (reply.status === 200)
      return { sum: crc32(bytes), isNamed: /immutable/.test(reply.headers.get('cache-control') ?? '') }
    seen.failures.push(`${path}: ${reply.status} ${Buffer.from(bytes)}`)
  } catch (error) {
    seen.failures.push(`${path}: ${error}`)
  }
  return undefined
}

/** Show everybody another pyramid. @returns how long it took until all had heard of it, ms. */
async function swap(viewers: readonly Viewer[], { pyramid }: Truth): Promise<number> {
  const told = viewers.map(
    viewer =>
      new Promise<void>(resolve => {
        viewer.onSource = id => {
          if (id === pyramid.id) resolve()
        }
      }),
  )
  const started = performance.now()
  const reply = await fetch(`${SERVER}/set_tile_source?tile_dir=${encodeURIComponent(pyramid.path)}`, {
    redirect: 'manual',
  })
  if (reply.status !== 303) seen.failures.push(`set_tile_source: ${reply.status} ${await reply.text()}`)
  await Promise.all(told)
  return performance.now() - started
}

async function soak(scratch: string, crew: RenderCrew): Promise<void> {
  const paths = makePlate(join(scratch, 'plate'), PLATE).map((series, i) => {
    const path = join(scratch, `pyramid-${i}`)
    account(CLI, ['build', series, '--output', path, '--progress', 'none'])
    return path
  })
  const truths = await Promise.all(paths.map(path => Truth.open(path, crew)))
  const byId = new Map(truths.map(truth => [truth.pyramid.id, truth]))
  const command = [process.execPath, CLI, 'serve', ...paths, '--port', String(PORT), '--cache', CACHE]
  const server = await MeasuredServer.start([{ command: [...command, '--log-level', 'error'], port: PORT }])
  const stop = new AbortController()
  const rssMb: number[] = []
  try {
    const viewers = Array.from({ length: viewerCount }, (_, i) => new Viewer(byId, i + 1))
    for (const viewer of viewers) void viewer.follow(stop.signal)
    const walking = viewers.map(viewer => viewer.wander(stop.signal))
    await loopDelayP99Ms(PORT)
    const end = performance.now() + durationMs
    let nextSwap = performance.now() + SWAP_EVERY_MS
    while (performance.now() < end) {
      await delay(SAMPLE_EVERY_MS)
      rssMb.push(server.rssMb)
      if (performance.now() < nextSwap) continue
      seen.swapsMs.push(await swap(viewers, truths[(seen.swapsMs.length + 1) % truths.length]))
      nextSwap = performance.now() + SWAP_EVERY_MS
    }
    const loopMs = await loopDelayP99Ms(PORT)
    stop.abort()
    await Promise.all(walking)
    report(rssMb, loopMs)
  } finally {
    stop.abort()
    await server.stop()
    for (const { pyramid } of truths) await pyramid.close()
  }
}

function report(rssMb: readonly number[], loopMs: number): void {
  const third = Math.floor(rssMb.length / 3)
  const second = median(rssMb.slice(third, 2 * third))
  const last = median(rssMb.slice(2 * third))
  const { requests, failures, mixed, swapsMs } = seen
  console.log(
    `${viewerCount} viewers, ${durationMs / 60_000} minutes: ${requests} requests, ${failures.length} failed, ${mixed.length} of a wrong pyramid`,
  )
  for (const one of [...failures, ...mixed].slice(0, 5)) console.log(`  ${one}`)
  console.log(
    `${swapsMs.length} swaps, all viewers told after ${median(swapsMs).toFixed(0)} ms (median), ${Math.max(...swapsMs).toFixed(0)} ms (longest)`,
  )
  console.log(
    `memory ${second.toFixed(0)} MB in the second third, ${last.toFixed(0)} MB in the last, ${Math.max(...rssMb).toFixed(0)} MB at most (--cache ${CACHE})`,
  )
  console.log(`event loop, p99: ${loopMs.toFixed(1)} ms, of which 10 ms are how often it is looked at`)
  if (failures.length > 0 || mixed.length > 0 || last > (1 + GROWTH) * second) process.exitCode = 1
}

const scratch = mkdtempSync(join(tmpdir(), 'tilestage-bench-soak-'))
const crew = new RenderCrew(1)
try {
  await soak(scratch, crew)
} finally {
  await crew.close()
  rmSync(scratch, { recursive: true, force: true })
}
