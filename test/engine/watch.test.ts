import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { type BuildRequest, buildPyramid, type GrowingSeries } from '../../src/engine/build-pyramid.js'
import { SourceUnavailableError } from '../../src/errors.js'
import { bytesOfSamples } from '../../src/plane.js'
import type { BuildFeed } from '../../src/pyramid/build-feed.js'
import { type BuildSettings, DEFAULT_SETTINGS } from '../../src/pyramid/build-settings.js'
import { openPyramid } from '../../src/pyramid/open-pyramid.js'
import type { CoveredTile, Pyramid } from '../../src/pyramid/pyramid.js'
import { readRecord } from '../../src/pyramid/pyramid-store.js'
import { readCoveredTile } from '../../src/pyramid/read-covered-tile.js'
import { readShardEntry, writeShardEntry } from '../../src/pyramid/shard-entry.js'
import { checksumOfShard, JOURNAL_FILE, nameOfShard, type ShardEntry } from '../../src/pyramid/shard-journal.js'
import type { FrameSource } from '../../src/sources/frame-source.js'
import { CLI, PLATE, tilestage } from '../run-cli.js'
import { reproducibleFiles } from './build-for-test.js'
import { onDemandSource } from './on-demand-source.js'

const FRAME_SIZE = { width: 600, height: 500 }
const SLOW_MS = 30
const FIRST_PLANE = { channel: 0, zPlane: 0, timePoint: 0 }

type Point = { readonly xUm: number; readonly yUm: number }

/** What the series look like at one moment. */
interface Moment {
  readonly a: readonly Point[]
  readonly b?: readonly Point[]
  /** Frames of series a of which only a part is there. */
  readonly broken?: readonly number[]
}

const started: readonly Point[] = Array.from({ length: 20 }, (_, i) => ({
  xUm: 20_000 + (i % 5) * 520,
  yUm: 20_000 + Math.floor(i / 5) * 430,
}))
const moved = started.map(({ xUm, yUm }, i) => (i === 7 ? { xUm: xUm + 37, yUm: yUm - 21 } : { xUm, yUm }))
const further = [...moved, { xUm: 24_400, yUm: 20_100 }, { xUm: 24_900, yUm: 23_000 }]
const withinMargin = [...further, { xUm: 15_000, yUm: 17_000 }]
const beyondMargin = [...withinMargin, { xUm: 9_000, yUm: 20_500 }, { xUm: 20_000, yUm: 8_000 }]
const other: readonly Point[] = [
  { xUm: 26_000, yUm: 21_000 },
  { xUm: 26_700, yUm: 21_300 },
]

const MOMENTS: readonly Moment[] = [
  { a: started.slice(0, 9) },
  { a: started },
  { a: moved },
  { a: further, broken: [21] },
  { a: further },
  { a: further, b: other.slice(0, 1) },
  { a: withinMargin, b: other },
  { a: beyondMargin, b: other },
  { a: [...beyondMargin, { xUm: 9_600, yUm: 21_000 }], b: other },
]

/** Of `MOMENTS`, the first with a frame beyond the margin. */
const BEYOND = 7

/** @param slowMs that a frame takes; where series grow, so that some rounds are cut short. */
function sourcesOf({ a, b, broken }: Moment, isComplete: boolean, slowMs = 0): FrameSource[] {
  const make = (url: string, frames: readonly Point[], broken: readonly number[] | undefined): FrameSource =>
    onDemandSource({
      ...{ url, frames, broken, frameSize: FRAME_SIZE, slowMs, complete: isComplete },
      fingerprint: JSON.stringify([url, frames, broken]),
    })
  // The name of what came later sorts before the first: it is appended all the same.
  return [make('/on-demand/z', a, broken), ...(b ? [make('/on-demand/b', b, undefined)] : [])]
}

function request(output: string, settings: BuildSettings, sources: readonly FrameSource[]): BuildRequest {
  return { output, settings, sources, overwrite: false, strict: false, software: 'tilestage test', workers: 2 }
}

/** Series that go on to the next moment at every second look. */
class ScriptedSeries implements GrowingSeries {
  readonly settings = DEFAULT_SETTINGS
  sources = sourcesOf(MOMENTS[0], false, SLOW_MS)
  #looks = 0
  #at = 0

  /** @param beforeNext waited for before anything changes. */
  constructor(readonly beforeNext: () => Promise<void>) {}

  get isComplete(): boolean {
    return this.#at === MOMENTS.length - 1
  }

  get mayGetMore(): boolean {
    return !this.isComplete
  }

  async poll(): Promise<boolean> {
    await this.beforeNext()
    if (this.isComplete || ++this.#looks % 2 > 0) return false
    this.#at++
    this.sources = sourcesOf(MOMENTS[this.#at], this.isComplete, SLOW_MS)
    return true
  }
}

/** Every file that the same series give at the same origin, by path; journal entries without their fingerprints. */
function contents(directory: string): Record<string, string | undefined> {
  const files = reproducibleFiles(directory)
  return Object.fromEntries(
    files.map(name => [
      name,
      name === JOURNAL_FILE
        ? JSON.stringify(journalOf(directory).map(entry => ({ ...entry, fingerprint: '' })))
        : checksumOfShard(readFileSync(join(directory, name))),
    ]),
  )
}

function journalOf(directory: string): (ShardEntry | undefined)[] {
  const lines = readFileSync(join(directory, JOURNAL_FILE), 'utf8').split('\n').slice(0, -1)
  return lines.map(line => readShardEntry(line.slice(9)))
}

/** Every tile that has something to show, of full resolution and of levels that are made from it in different ways. */
async function* tilesOf(pyramid: Pyramid): AsyncGenerator<[string, CoveredTile]> {
  const { signal } = new AbortController()
  const { levelCount, size, tileSize } = pyramid.geometry
  for (const level of new Set([0, 1, 3, levelCount - 1])) {
    const edge = tileSize * 2 ** level
    for (let row = 0; row * edge < size.height; row++) {
      for (let column = 0; column * edge < size.width; column++) {
        if (!pyramid.coverage(FIRST_PLANE).hasTile({ level, row, column })) continue
        const tile = await readCoveredTile(pyramid, FIRST_PLANE, { level, row, column }, signal)
        if (tile) yield [`${level}/${row}/${column}`, tile]
      }
    }
  }
}

/** Tiles of offline builds of some moments, each at the same origin (µm). */
async function tilesOfMoments(
  dir: string,
  moments: readonly Moment[],
  originUm: Seen['originUm'],
): Promise<ReadonlyMap<string, CoveredTile>[]> {
  const all: ReadonlyMap<string, CoveredTile>[] = []
  for (const moment of moments) {
    const output = join(dir, `${originUm.x}-${MOMENTS.indexOf(moment)}`)
    const settings = { ...DEFAULT_SETTINGS, originUm }
    // Without a reader for threads it is built on this one, which takes less time than to start others.
    const sources = sourcesOf(moment, true).map(source => ({ ...source, reader: undefined }))
    await buildPyramid(request(output, settings, sources))
    const found = await look(output)
    if (found) all.push(found.tiles)
  }
  return all
}

/**
 * Pixels of a tile that no moment has there. Each is of one moment even in coarse tiles, whose means do not cross the
 * borders of level-0 shards.
 */
function countFalse(tile: CoveredTile, moments: readonly CoveredTile[]): number {
  if (moments.some(moment => isSame(moment, tile))) return 0
  const { plane, mask } = tile
  let wrong = 0
  for (let i = 0; i < plane.samples.length; i++) {
    if (mask?.[i] === 0) continue
    if (!moments.some(moment => moment.mask?.[i] !== 0 && moment.plane.samples[i] === plane.samples[i])) wrong++
  }
  return wrong
}

function isSame(a: CoveredTile, b: CoveredTile): boolean {
  const bytes = ({ plane, mask }: CoveredTile): Buffer =>
    Buffer.concat([bytesOfSamples(plane.samples), mask ?? new Uint8Array(plane.samples.length).fill(1)])
  return bytes(a).equals(bytes(b))
}

interface Seen {
  readonly originUm: { readonly x: number; readonly y: number }
  readonly tiles: ReadonlyMap<string, CoveredTile>
}

/** Open what lies there now and read all of it. */
async function look(output: string): Promise<Seen | undefined> {
  const record = await readRecord(output)
  if (!record) return undefined
  const pyramid = await openPyramid(output)
  const tiles = new Map<string, CoveredTile>()
  try {
    for await (const [name, tile] of tilesOf(pyramid)) tiles.set(name, tile)
    return { originUm: record.originUm, tiles }
  } catch (error) {
    // It was finished, or another one took its name, while it was read.
    if (!(error instanceof SourceUnavailableError)) throw error
    return undefined
  } finally {
    await pyramid.close()
  }
}

/** What the build tells is on the disk when it tells it. */
function checkFeed(t: Test, feed: BuildFeed): { readonly shards: () => number } {
  let shards = 0
  feed.on('shard', entry => {
    shards++
    const journal = readFileSync(join(feed.directory, JOURNAL_FILE))
    const last = journal.toString('utf8', journal.lastIndexOf('\n', -2) + 1)
    if (last.slice(9) !== `${writeShardEntry(entry)}\n`)
      t.fail(`${nameOfShard(entry)} is not the last line of the journal`)
    const path = join(feed.directory, nameOfShard(entry))
    if (entry.bytes === 0) return
    const file = readFileSync(path)
    if (file.length !== entry.bytes || checksumOfShard(file) !== entry.crc32) t.fail(`${path} is not what was told`)
  })
  feed.on('progress', ({ framesDone, framesTotal, secondsLeft }) => {
    if (framesDone > framesTotal || framesDone < 0) t.fail(`${framesDone} of ${framesTotal} frames`)
    if (secondsLeft !== undefined && !(secondsLeft >= 0)) t.fail(`${secondsLeft} s left`)
  })
  return { shards: () => shards }
}

t.test('series that grow, move, mend and outgrow their lattice end in the bytes of an offline build', async t => {
  const dir = t.testdir()
  const output = join(dir, 'plate')
  const seen: Seen[] = []
  let looking: Promise<void> = Promise.resolve()
  const lookOnce = (): void => {
    looking = looking.then(() => look(output)).then(found => void (found && seen.push(found)))
  }
  const growing = new ScriptedSeries(() => looking)
  const ids = new Set<string>()
  const warnings: string[] = []
  const finished: string[] = []
  let told: { shards(): number } | undefined
  let framesDone = 0
  const report = await buildPyramid({
    ...request(output, growing.settings, growing.sources),
    growing,
    onWarning: message => {
      warnings.push(message)
      framesDone = 0
    },
    onProgress: progress => {
      if (progress.framesDone < framesDone) t.fail(`${framesDone} frames were done, then ${progress.framesDone}`)
      framesDone = progress.framesDone
    },
    onStarted: async feed => {
      ids.add((await readRecord(output))?.id ?? 'none')
      if (feed && !told) {
        told = checkFeed(t, feed)
        feed.on('shard', () => void (Number(told?.shards()) % 24 === 0 && lookOnce()))
        feed.on('finished', directory => {
          finished.push(directory)
          const root = JSON.parse(readFileSync(join(directory, 'zarr.json'), 'utf8'))
          t.ok(root.attributes.tilestage.complete, 'the root says so when it is told')
        })
      }
      lookOnce()
    },
  })
  await looking
  const { record } = report

  t.same([...ids], [record.id], 'one id from the first plan to the last')
  t.same(finished, [output])
  t.equal(warnings.filter(warning => /made anew beside/.test(warning)).length, 1, warnings.join('\n'))
  t.same(
    record.series.map(({ name, frames }) => [name, frames]),
    [
      ['z', 26],
      ['b', 2],
    ],
  )
  t.same(record.frames, { used: 28, skipped: 0 }, 'the frame that was broken for a while is in it')
  t.same(readdirSync(dir), ['plate'], 'nothing is left beside')
  await buildPyramid(
    request(join(dir, 'offline'), { ...DEFAULT_SETTINGS, originUm: record.originUm }, sourcesOf(MOMENTS[8], true)),
  )
  t.same(contents(output), contents(join(dir, 'offline')))

  const [first] = seen
  const before = await tilesOfMoments(dir, MOMENTS.slice(0, BEYOND), first.originUm)
  const after = await tilesOfMoments(dir, MOMENTS.slice(BEYOND), record.originUm)
  let tiles = 0
  for (const { originUm, tiles: shown } of seen) {
    const moments = originUm.x === first.originUm.x ? before : after
    for (const [name, tile] of shown) {
      tiles++
      const wrong = countFalse(
        tile,
        moments.map(moment => moment.get(name)).filter(tile => tile !== undefined),
      )
      if (wrong > 0) t.fail(`${wrong} pixels of tile ${name} were never there`)
    }
  }
  t.ok(seen.length > 4 && tiles > 100, `${tiles} tiles in ${seen.length} looks`)
})

t.test('a pyramid that is complete is followed on from where it was', async t => {
  const output = join(t.testdir(), 'plate')
  const settings = DEFAULT_SETTINGS
  const first = await buildPyramid(request(output, settings, sourcesOf(MOMENTS[1], true)))
  const before = statSync(join(output, '0/c/0/0/0/0/0')).mtimeMs
  let polls = 0
  const growing: GrowingSeries = {
    sources: sourcesOf(MOMENTS[1], true),
    settings,
    isComplete: true,
    get mayGetMore() {
      return polls < 2
    },
    async poll() {
      polls++
      if (polls === 2) Object.assign(growing, { sources: sourcesOf({ a: further.with(7, started[7]) }, true) })
      return polls >= 2
    },
  }
  const built: boolean[] = []
  const last = await buildPyramid({
    ...request(output, settings, growing.sources),
    growing,
    onComplete: async report => void built.push(report.built),
  })
  t.same(built, [false, true])
  t.equal(last.record.id, first.record.id)
  t.equal(last.record.frames.used, 22)
  t.equal(statSync(join(output, '0/c/0/0/0/0/0')).mtimeMs, before, 'a shard that nothing new touches is not made again')
})

t.test('an error while the series are looked at ends the build, and the folder is free', async t => {
  const output = join(t.testdir(), 'plate')
  const sources = sourcesOf({ a: started }, false, SLOW_MS)
  const growing: GrowingSeries = {
    ...{ sources, settings: DEFAULT_SETTINGS, isComplete: false, mayGetMore: true },
    poll: async () => {
      throw new SourceUnavailableError('the share is away.')
    },
  }
  await t.rejects(buildPyramid({ ...request(output, DEFAULT_SETTINGS, sources), growing }), /the share is away/)
  t.notOk(readdirSync(output).includes('.tilestage-building'))
})

/** Kill a build as soon as its journal has so many lines. */
async function killAt(lines: number, child: ChildProcess, output: string): Promise<void> {
  const closed = once(child, 'close')
  while (child.exitCode === null && countLines(output) < lines) await setTimeout(1)
  child.kill('SIGKILL')
  await closed
}

function countLines(output: string): number {
  try {
    return readFileSync(join(output, JOURNAL_FILE), 'latin1').split('\n').length - 1
  } catch {
    return 0
  }
}

t.test('tilestage build goes on where it was killed, to the same bytes', async t => {
  const dir = t.testdir()
  const args = (output: string): string[] => ['build', join(PLATE, '*.pcs'), '--output', output, '--progress', 'none']
  t.equal((await tilestage(args(join(dir, 'whole')))).status, 0)
  const expected = contents(join(dir, 'whole'))
  const output = join(dir, 'killed')
  for (const lines of [2, 11]) await killAt(lines, spawn(process.execPath, [CLI, ...args(output)]), output)
  const { status, stderr } = await tilestage(args(output))
  t.equal(status, 0, stderr)
  t.same(contents(output), expected)
})
