import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setImmediate, setTimeout } from 'node:timers/promises'
import t from 'tap'
import type { BuildJob } from '../../src/engine/build-job.js'
import { lockFolder } from '../../src/engine/build-lock.js'
import type { BuildReport } from '../../src/engine/build-pyramid.js'
import { ThreadCrew } from '../../src/engine/crew.js'
import { SourceUnavailableError, UnsupportedDataError } from '../../src/errors.js'
import { compileKernels } from '../../src/kernels/wasm.js'
import { DEFAULT_SETTINGS } from '../../src/pyramid/build-settings.js'
import { openPyramid } from '../../src/pyramid/open-pyramid.js'
import { versionOf } from '../../src/pyramid/pyramid-record.js'
import { readRecord } from '../../src/pyramid/pyramid-store.js'
import type { FrameSource } from '../../src/sources/frame-source.js'
import { build, reproducibleFiles } from './build-for-test.js'
import { onDemandSource, rasterPositions } from './on-demand-source.js'

const MIB = 2 ** 20

/** sha256 of every file that the same series and settings always give, by path. */
function fingerprints(directory: string): Record<string, string> {
  const files = reproducibleFiles(directory)
  return Object.fromEntries(
    files.map(name => [
      name,
      createHash('sha256')
        .update(readFileSync(join(directory, name)))
        .digest('hex')
        .slice(0, 16),
    ]),
  )
}

/** 4 × 4 shards of which most share frames with their neighbours. */
const POSITIONS = rasterPositions(36, 6, 1000)
const FRAME_SIZE = { width: 1024, height: 1100 }
const mosaic = (options: Partial<Parameters<typeof onDemandSource>[0]> = {}): FrameSource =>
  onDemandSource({ frames: POSITIONS, frameSize: FRAME_SIZE, ...options })

/** A row of a few shards, where that is enough; made on the thread that asks, which takes less time than to start others. */
const ROW = POSITIONS.slice(0, 6)
const row = (options: Partial<Parameters<typeof onDemandSource>[0]> = {}): FrameSource => ({
  ...mosaic({ frames: ROW, ...options }),
  reader: undefined,
})

let expected: Record<string, string> = {}

t.test('the same bytes come of any number of workers, any memory, any order, and the thread that asks', async t => {
  const dir = t.testdir()
  await build([mosaic()], join(dir, 'one'), {}, { workers: 1 })
  expected = fingerprints(join(dir, 'one'))
  t.ok(Object.keys(expected).length > 25, 'several levels of shards')
  await build([mosaic()], join(dir, 'three'), {}, { workers: 3, memoryBytes: 300 * MIB })
  t.same(fingerprints(join(dir, 'three')), expected)
  const { reader, ...others } = mosaic()
  await build([{ ...others, reader: { ...reader!, isDecodedInRows: true } }], join(dir, 'rows'))
  t.same(fingerprints(join(dir, 'rows')), expected)
  await build([{ ...mosaic(), reader: undefined }], join(dir, 'inline'))
  t.same(fingerprints(join(dir, 'inline')), expected)
})

t.test('more frames over one place than memory holds are blended all the same', async t => {
  const dir = t.testdir()
  const pile = (): FrameSource =>
    onDemandSource({
      frames: Array.from({ length: 24 }, (_, i) => ({ xUm: (i % 3) * 40, yUm: i })),
      frameSize: { width: 512, height: 512 },
    })
  const tooLittle = await build([pile()], join(dir, 'none'), {}, { workers: 1, memoryBytes: MIB }).catch(error => error)
  const least = Number(/; (\d+)MiB would do/.exec(tooLittle.message)?.[1]) * MIB
  for (const blend of ['feather', 'last'] as const) {
    await build([pile()], join(dir, `much-${blend}`), { blend }, { workers: 1 })
    await build([pile()], join(dir, `little-${blend}`), { blend }, { workers: 1, memoryBytes: least + MIB })
    t.same(fingerprints(join(dir, `little-${blend}`)), fingerprints(join(dir, `much-${blend}`)), blend)
  }
})

t.test('a build that is stopped again and again ends in the same bytes', async t => {
  const output = join(t.testdir(), 'plate')
  let [stops, shards] = [0, 0]
  for (;;) {
    const stop = new AbortController()
    let progress = 0
    const run = build(
      [mosaic({ slowMs: 2 })],
      output,
      {},
      {
        signal: stop.signal,
        workers: 2,
        onProgress: () => void (++progress > 3 && stop.abort(new Error('stopped'))),
      },
    )
    const stopped = await run.then(
      () => false,
      error => (error as Error).message === 'stopped',
    )
    if (!stopped) break
    stops++
    const finished = readFileSync(join(output, 'tilestage/shards.ndjson'), 'utf8').split('\n').length
    t.ok(finished >= shards, 'what was finished stays')
    shards = finished
  }
  t.ok(stops > 2, `${stops} stops`)
  t.same(fingerprints(output), expected)
})

/** As if its build had been killed at the very end. */
function markUnfinished(output: string): void {
  const root = join(output, 'zarr.json')
  const document = JSON.parse(readFileSync(root, 'utf8'))
  document.attributes.tilestage.complete = false
  writeFileSync(root, JSON.stringify(document))
}

t.test('a build that is not finished has the version that a server names', async t => {
  const output = join(t.testdir(), 'plate')
  const stop = new AbortController()
  const request = { signal: stop.signal, onProgress: () => stop.abort(new Error('stopped')) }
  await t.rejects(build([mosaic()], output, {}, request), /stopped/)
  const [record, pyramid] = [await readRecord(output), await openPyramid(output)]
  t.equal(pyramid.complete, false)
  t.equal(pyramid.version, record && versionOf(record))
  await pyramid.close()
})

t.test('a journal that lost lines, and shards that were cut off, are made good', async t => {
  const output = join(t.testdir(), 'plate')
  await build([mosaic()], output)
  markUnfinished(output)
  const journal = join(output, 'tilestage/shards.ndjson')
  const lines = readFileSync(journal, 'utf8').split('\n')
  writeFileSync(journal, [...lines.slice(3, 9), lines[10]?.slice(0, 40)].join('\n'))
  const shard = join(output, '0/c/0/0/0/0/1')
  writeFileSync(shard, readFileSync(shard).subarray(0, 1000))
  await build([mosaic()], output)
  t.same(fingerprints(output), expected)
})

t.test('a shard that got other bytes of the same length while nobody built is made again', async t => {
  const dir = t.testdir()
  const output = join(dir, 'plate')
  const shard = join(output, '0/c/0/0/0/0/1')
  const change = (): void => writeFileSync(shard, readFileSync(shard).reverse())
  await build([row()], output)
  const before = fingerprints(output)
  change()
  markUnfinished(output)
  await build([row()], output)
  t.same(fingerprints(output), before)
  // Times of files are as coarse as 10 ms.
  await setTimeout(20)
  change()
  const added = [...ROW, { xUm: 6000, yUm: 5 }]
  await build([row({ frames: added })], output)
  await build([row({ frames: added })], join(dir, 'fresh'))
  t.same(fingerprints(output), fingerprints(join(dir, 'fresh')))
})

t.test('a folder of the user whose name is a number stays, whatever levels come and go', async t => {
  const output = join(t.testdir(), 'plate')
  const { record } = await build([row()], output)
  const notes = join(output, String(record.levelCount), 'notes.txt')
  mkdirSync(join(notes, '..'))
  writeFileSync(notes, 'mine')
  const added = [...ROW, { xUm: 500, yUm: 500 }]
  t.equal((await build([row({ frames: added })], output)).record.levelCount, record.levelCount)
  t.equal(readFileSync(notes, 'utf8'), 'mine')
})

t.test('what does not fit together leaves no folder behind, and takes nothing from one that is there', async t => {
  const dir = t.testdir()
  const twice = [row(), row({ url: '/on-demand/b' })]
  await t.rejects(build(twice, join(dir, 'new')), /--merge/)
  t.same(readdirSync(dir), [])
  const output = join(dir, 'plate')
  await build([row()], output)
  markUnfinished(output)
  const before = fingerprints(output)
  await t.rejects(build(twice, output, { blend: 'mean' }, { overwrite: true }), /--merge/)
  t.same(fingerprints(output), before)
})

t.test('frames and series that were added change only the shards that they touch', async t => {
  const dir = t.testdir()
  const output = join(dir, 'plate')
  const first = await build([mosaic({ frames: POSITIONS.slice(0, 30) })], output)
  const before = fingerprints(output)
  const extended = await build([mosaic()], output)
  t.equal(extended.record.id, first.record.id)
  t.equal(extended.record.revision, first.record.revision, 'shards that stay keep their versions')
  t.not(versionOf(extended.record), versionOf(first.record))
  t.same(fingerprints(output), expected)
  const kept = Object.keys(before).filter(name => /^0\/c/.test(name) && before[name] === expected[name])
  t.ok(kept.length >= 4, 'shards of rows that the last frames do not touch')

  const other = onDemandSource({ url: '/on-demand/b', frames: [{ xUm: 9000, yUm: 300 }], frameSize: FRAME_SIZE })
  const started = Date.now()
  // Named first, and still appended: the order of the blend does not change.
  const both = await build([other, mosaic()], output)
  t.same(
    both.record.series.map(({ name }) => name),
    ['series', 'b'],
  )
  for (const name of Object.keys(expected).filter(name => /^0\/c/.test(name)))
    t.ok(statSync(join(output, name)).mtimeMs < started, `${name} was not touched`)
  await build([mosaic(), other], join(dir, 'fresh'))
  t.same(fingerprints(output), fingerprints(join(dir, 'fresh')))
})

t.test('other settings, series that are missing and frames that changed are refused, with what differs', async t => {
  const output = join(t.testdir(), 'plate')
  const frames = POSITIONS.slice(0, 4)
  await build([mosaic({ frames })], output)
  const before = fingerprints(output)
  const refusals: [() => Promise<BuildReport>, RegExp][] = [
    [() => build([mosaic({ frames })], output, { tileSize: 512 }), /tileSize: 256 there, 512 asked for.*--overwrite/],
    [
      () => build([mosaic({ frames, url: '/on-demand/x' })], output),
      /on-demand\/series is in it and was not named.*--overwrite/,
    ],
    [() => build([mosaic({ frames, broken: [2] })], output), /frames that changed since \(the first is frame 2 of/],
  ]
  for (const [refused, message] of refusals) await t.rejects(refused(), { constructor: UnsupportedDataError, message })
  t.same(fingerprints(output), before)
})

t.test('frames left of the first ones make the mosaic anew, under the same id', async t => {
  const dir = t.testdir()
  const output = join(dir, 'plate')
  const frames = [
    { xUm: 5000, yUm: 100 },
    { xUm: 5900, yUm: 100 },
  ]
  const { record } = await build([mosaic({ frames })], output)
  const warnings: string[] = []
  const grown = [...frames, { xUm: 0, yUm: 0 }]
  const after = await build([mosaic({ frames: grown })], output, {}, { onWarning: message => warnings.push(message) })
  t.match(warnings, [/left of or above .* made anew beside/])
  t.equal(after.record.id, record.id)
  await build([mosaic({ frames: grown })], join(dir, 'fresh'))
  t.same(fingerprints(output), fingerprints(join(dir, 'fresh')))
  t.same(readdirSync(dir).sort(), ['fresh', 'plate'], 'nothing is left beside')
})

t.test('a frame that one shard could not read is in none', async t => {
  const dir = t.testdir()
  const broken = [8, 24]
  const report = await build([mosaic({ broken })], join(dir, 'threads'), {}, { workers: 2 })
  t.same(
    report.skipped.map(({ frame, reason }) => [frame, reason]),
    broken.map(frame => [frame, `frame ${frame} is damaged.`]),
  )
  await build([{ ...mosaic({ broken }), reader: undefined }], join(dir, 'inline'))
  t.same(fingerprints(join(dir, 'threads')), fingerprints(join(dir, 'inline')))
  await t.rejects(build([mosaic({ broken })], join(dir, 'strict'), {}, { strict: true }), /frame \d+ is damaged/)
})

t.test('a frame that was out of reach is tried by the next build, a damaged one once it was mended', async t => {
  const dir = t.testdir()
  const [away, damaged] = [join(dir, 'away'), join(dir, 'damaged')]
  const whole = row()
  const unreachable: FrameSource = {
    ...whole,
    async readFrame(index) {
      if (index === 3) throw new SourceUnavailableError('frame 3 is out of reach.')
      return whole.readFrame(index)
    },
  }
  const first = await build([unreachable], away)
  t.same(first.record.frames, { used: 5, skipped: 1, unavailable: 1 })
  const second = await build([whole], away)
  t.match(second, { built: true, skipped: [], record: { id: first.record.id, revision: first.record.revision } })
  t.not(versionOf(second.record), versionOf(first.record), 'tiles that a browser keeps are asked for again')
  t.equal((await build([whole], away)).built, false)

  const broken = row({ broken: [3] })
  t.same((await build([broken], damaged)).record.frames, { used: 5, skipped: 1 })
  t.equal((await build([broken], damaged)).built, false)
  await build([whole], damaged)
  await build([whole], join(dir, 'fresh'))
  for (const output of [away, damaged]) t.same(fingerprints(output), fingerprints(join(dir, 'fresh')))
})

t.test('the thread that asks reads no frame more once a build was stopped', async t => {
  const output = join(t.testdir(), 'plate')
  const stop = new AbortController()
  const whole = row()
  let reads = 0
  const source: FrameSource = {
    ...whole,
    async readFrame(index) {
      if (++reads === 2) stop.abort(new Error('stopped'))
      return whole.readFrame(index)
    },
  }
  await t.rejects(build([source], output, {}, { signal: stop.signal }), /stopped/)
  await setTimeout(100)
  t.equal(reads, 2)
  const left = readdirSync(output, { recursive: true }).map(String)
  t.same(
    left.filter(name => name.endsWith('.tmp')),
    [],
  )
})

t.test(
  'a worker that ends, or fills its memory, costs one more try; then the build stops and can be gone on with',
  async t => {
    const dir = t.testdir()
    for (const fate of [{ deadly: [17] }, { greedy: [17] }]) {
      const output = join(dir, Object.keys(fate)[0] ?? '')
      await t.rejects(build([mosaic(fate)], output, {}, { workers: 2 }), {
        constructor: SourceUnavailableError,
        message: /The worker that made the shard 0\/c\/0\/0\/0\/\d+\/\d+ ended twice .*--workers.*--memory/,
      })
      t.notOk(existsSync(join(output, '.tilestage-building')), 'the folder is free')
      // The stamp of the frame is the same, as if the machine had more memory now.
      await build([mosaic()], output)
      t.same(fingerprints(output), expected)
    }
  },
)

t.test('the shard that a worker ended on is named, and not the one it had made before', async t => {
  const output = join(t.testdir(), 'plate')
  const source = mosaic({ frames: [0, 4096].map(xUm => ({ xUm, yUm: 0 })), deadly: [1] })
  await t.rejects(build([source], output, {}, { workers: 1 }), /made the shard 0\/c\/0\/0\/0\/0\/2 ended twice/)
})

t.test('a worker that cannot start is told as such', async t => {
  const { blend, tileSize, orientation } = DEFAULT_SETTINGS
  const job: BuildJob = {
    ...{ blend, tileSize, orientation, directory: t.testdir(), pedestal: 0, series: [] },
    sampleType: 'uint16',
    ...{ dark: undefined, gain: undefined, illumination: undefined },
    memory: { slots: 1, slotBytes: 16, fileBytes: 16, files: 2, arenaBytes: 2 ** 33 },
  }
  const crew = new ThreadCrew(1, job, compileKernels())
  const path = join(job.directory, '0')
  const task = { kind: 'leaf', path, row: 0, column: 0, frames: [], block: undefined, wantsThumbnail: false } as const
  await t.rejects(crew.make(0, task), {
    constructor: SourceUnavailableError,
    message: /^The threads that make shards cannot start \(.*memory.*\); .*--workers/,
  })
  await crew.close()
})

t.test('of builds that find the lock of a dead one at the same time, one takes it over', async t => {
  const dead = `${spawnSync(process.execPath, ['--version']).pid} ${hostname()} 1`
  const [lock, next] = ['.tilestage-building', '.tilestage-building.next']
  const found = [{ [lock]: dead }, { [lock]: dead, [next]: dead }, { [lock]: '' }, { [lock]: dead }]
  const dir = t.testdir(Object.fromEntries(found.map((left, i) => [i, left])))
  for (const folder of found.map((_, i) => join(dir, String(i)))) {
    const takeAfter = async (turns: number): Promise<() => Promise<void>> => {
      for (let turn = 0; turn < turns; turn++) await setImmediate()
      return lockFolder(folder)
    }
    const taken = await Promise.allSettled(Array.from({ length: 12 }, (_, i) => takeAfter(i)))
    const releases = taken.flatMap(result => (result.status === 'fulfilled' ? [result.value] : []))
    t.equal(releases.length, 1)
    for (const result of taken)
      if (result.status === 'rejected') t.match(result.reason, { message: /Another build writes to/ })
    for (const release of releases) await release()
    t.same(readdirSync(folder), [])
  }
})

t.test('a disk that takes no more, and a folder that is removed, stop the build with a sentence', async t => {
  const dir = t.testdir()
  const removed = join(dir, 'removed')
  await t.rejects(
    build(
      [mosaic({ slowMs: 5 })],
      removed,
      {},
      { onProgress: () => rmSync(removed, { recursive: true, force: true }) },
    ),
    /removed|does not exist/,
  )
  t.notOk(existsSync(join(removed, '0')), 'it is not made again')
})
