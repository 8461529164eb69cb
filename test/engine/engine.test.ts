import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { BuildReport } from '../../src/engine/build-pyramid.js'
import { SourceUnavailableError, UnsupportedDataError } from '../../src/errors.js'
import { versionOf } from '../../src/pyramid/pyramid-record.js'
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

let expected: Record<string, string> = {}

t.test('the same bytes come of any number of workers, any memory, and the thread that asks', async t => {
  const dir = t.testdir()
  await build([mosaic()], join(dir, 'one'), {}, { workers: 1 })
  expected = fingerprints(join(dir, 'one'))
  t.ok(Object.keys(expected).length > 25, 'several levels of shards')
  await build([mosaic()], join(dir, 'three'), {}, { workers: 3, memoryBytes: 300 * MIB })
  t.same(fingerprints(join(dir, 'three')), expected)
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

t.test('a journal that lost lines, and shards that were cut off, are made good', async t => {
  const output = join(t.testdir(), 'plate')
  await build([mosaic()], output)
  const root = join(output, 'zarr.json')
  const document = JSON.parse(readFileSync(root, 'utf8'))
  document.attributes.tilestage.complete = false
  writeFileSync(root, JSON.stringify(document))
  const journal = join(output, 'tilestage/shards.ndjson')
  const lines = readFileSync(journal, 'utf8').split('\n')
  writeFileSync(journal, [...lines.slice(3, 9), lines[10]?.slice(0, 40)].join('\n'))
  const shard = join(output, '0/c/0/0/0/0/1')
  writeFileSync(shard, readFileSync(shard).subarray(0, 1000))
  await build([mosaic()], output)
  t.same(fingerprints(output), expected)
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
