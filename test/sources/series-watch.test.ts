import { appendFileSync, mkdirSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { followNamedSeries } from '../../src/commands/build-flags.js'
import { findCommand, parseFlags } from '../../src/config.js'
import { openPcsSeries } from '../../src/sources/pyme/pcs-series.js'
import { SeriesWatch } from '../../src/sources/series-watch.js'
import { composePzf, plainEvents, plainMetadata, writeSeries } from './write-series.js'

/** A watch whose time goes on only when the test says so. */
interface Stand {
  readonly watch: SeriesWatch
  /** Let time go by, then poll. */
  after(ms: number): Promise<boolean>
  /** The numbers of the frames of each source. */
  frames(): number[][]
}

async function stand(patterns: readonly string[]): Promise<Stand> {
  let now = 0
  const watch = await SeriesWatch.open([patterns], {}, () => now)
  return {
    watch,
    after(ms) {
      now += ms
      return watch.poll()
    },
    frames: () => watch.sources.map(({ series }) => series.frames.map(({ index }) => index)),
  }
}

const frameName = (index: number): string => `frame${String(index).padStart(5, '0')}.pzf`

function writeFrame(folder: string, index: number, bytes: Uint8Array = composePzf()): void {
  writeFileSync(join(folder, frameName(index)), bytes)
}

function writeEvents(folder: string, frameCount: number): void {
  writeFileSync(join(folder, 'events.json.new'), JSON.stringify(plainEvents(frameCount)))
  renameSync(join(folder, 'events.json.new'), join(folder, 'events.json'))
}

/** Metadata and nothing else. */
function beginSeries(folder: string): string {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'metadata.json'), JSON.stringify(plainMetadata))
  return folder
}

function endSeries(folder: string): void {
  writeFileSync(join(folder, 'final_metadata.json'), JSON.stringify(plainMetadata))
}

/** What a series opened from its finished folder has. */
async function isAsOpened(t: Test, { watch }: Stand, folder: string): Promise<void> {
  t.equal(watch.sources.length, 1)
  t.same(watch.sources[0]!.series, (await openPcsSeries(folder)).series)
  t.equal(watch.isComplete, true)
  t.same(watch.waiting, [])
}

t.test('a finished series is complete at once, one without final_metadata.json when it was quiet for 5 s', async t => {
  const run = t.testdir({})
  const ended = writeSeries(join(run, 'ended.pcs'), [0, 1], { 'final_metadata.json': plainMetadata })
  const atOnce = await stand([ended])
  await isAsOpened(t, atOnce, ended)
  t.equal(atOnce.watch.mayGetMore, false)
  t.equal(await atOnce.after(200), false)

  const open = writeSeries(join(run, 'open.pcs'), [0, 1])
  const later = await stand([open])
  t.same(later.frames(), [[0]], 'the newest frame may be half written')
  t.equal(await later.after(200), true)
  t.same(later.frames(), [[0, 1]])
  t.equal(later.watch.isComplete, false)
  for (let ms = 200; ms < 4800; ms += 200) t.equal(await later.after(200), false)
  t.equal(await later.after(200), true)
  await isAsOpened(t, later, open)
})

t.test('events that are rewritten with each move place frame after frame', async t => {
  const folder = beginSeries(join(t.testdir({}), 'a.pcs'))
  const series = await stand([folder])
  t.match(series.watch.waiting, [/a\.pcs has no events\.json/])
  const readers = new Set<string>()
  for (let frame = 0; frame < 5; frame++) {
    writeEvents(folder, frame + 1)
    writeFrame(folder, frame)
    await series.after(200)
    await series.after(200)
    t.same(series.frames(), [[0, 1, 2, 3, 4].slice(0, frame + 1)])
    t.equal(series.watch.isComplete, false)
    t.same(series.watch.waiting, [])
    t.same(series.watch.sources[0]!.series.frames[frame]!.position, { xUm: 10 * frame, yUm: 20 * frame })
    readers.add(JSON.stringify(series.watch.sources[0]!.reader))
  }
  t.equal(readers.size, 1, 'threads that read it know how to read on')
  endSeries(folder)
  await series.after(200)
  await series.after(200)
  await isAsOpened(t, series, folder)
})

t.test('events and metadata that come last place all frames at once', async t => {
  const folder = join(t.testdir({}), 'a.pcs')
  mkdirSync(folder)
  const series = await stand([folder])
  t.match(series.watch.waiting, [/has neither metadata\.json nor final_metadata\.json/])
  for (const frame of [0, 1, 2]) writeFrame(folder, frame)
  await series.after(200)
  t.same(series.frames(), [])
  beginSeries(folder)
  await series.after(200)
  t.match(series.watch.waiting, [/has no events\.json/])
  endSeries(folder)
  writeEvents(folder, 3)
  t.equal(await series.after(200), true)
  t.same(series.frames(), [[0, 1, 2]])
  await series.after(200)
  await isAsOpened(t, series, folder)
})

t.test('a frame is listed when its file is whole: it stopped growing, or the next one is there', async t => {
  const folder = beginSeries(join(t.testdir({}), 'a.pcs'))
  writeEvents(folder, 4)
  const series = await stand([folder])
  const bytes = composePzf()
  writeFrame(folder, 0, Buffer.alloc(0))
  for (let i = 0; i < 6; i++) await series.after(200)
  t.same(series.frames(), [], 'an empty file is no frame, however old')
  for (let end = 10; end < bytes.length; end += 20) {
    writeFrame(folder, 0, bytes.subarray(0, end))
    await series.after(90)
    t.same(series.frames(), [], 'half of a file is no frame')
  }
  writeFrame(folder, 0, bytes)
  writeFrame(folder, 1, bytes.subarray(0, 10))
  t.equal(await series.after(90), true)
  t.same(series.frames(), [[0]])
  writeFrame(folder, 2, Buffer.alloc(0))
  await series.after(200)
  t.same(series.frames(), [[0, 1]])
  const { stamp } = series.watch.sources[0]!.series.frames[1]!
  writeFrame(folder, 1)
  t.equal(await series.after(200), true)
  t.not(
    series.watch.sources[0]!.series.frames[1]!.stamp,
    stamp,
    'one that was half written after all has another stamp',
  )
})

t.test('a frame behind the last move waits half a second for its own', async t => {
  const folder = beginSeries(join(t.testdir({}), 'a.pcs'))
  writeEvents(folder, 2)
  for (const frame of [0, 1, 2, 3]) writeFrame(folder, frame)
  const series = await stand([folder])
  t.same(series.frames(), [[0, 1]])
  await series.after(200)
  writeEvents(folder, 3)
  await series.after(200)
  t.same(series.frames(), [[0, 1, 2]])
  await series.after(200)
  t.same(series.frames(), [[0, 1, 2, 3]], 'no move came: it was taken where the stage stood')
  t.same(series.watch.sources[0]!.series.frames[3]!.position, { xUm: 20, yUm: 40 })
  writeEvents(folder, 4)
  await series.after(200)
  t.same(series.watch.sources[0]!.series.frames[3]!.position, { xUm: 30, yUm: 60 }, 'or so it seemed')
})

t.test('a frame that changes has another stamp, however long it has been there', async t => {
  const folder = writeSeries(join(t.testdir({}), 'a.pcs'), [0, 1, 2], { 'final_metadata.json': plainMetadata })
  const series = await stand([folder])
  const before = series.watch.sources[0]!.series
  await series.after(60_000)
  await series.after(200)
  t.equal(series.watch.sources[0]!.series, before)
  // In place, so that the folder does not show it; a clock that jumped back is as good as any other time.
  writeFrame(folder, 1, composePzf({ fill: 7 }))
  utimesSync(join(folder, frameName(1)), 1000, 1000)
  t.equal(await series.after(200), true)
  t.equal(series.watch.isComplete, false, 'it may be being written again')
  await series.after(200)
  await isAsOpened(t, series, folder)
  const { frames } = series.watch.sources[0]!.series
  t.same(
    frames.map(({ stamp }, i) => stamp === before.frames[i]!.stamp),
    [true, false, true],
  )
})

t.test('frames that vanish are no longer listed; a series that vanishes is said and stays', async t => {
  const folder = writeSeries(join(t.testdir({}), 'a.pcs'), [0, 1, 2], { 'final_metadata.json': plainMetadata })
  const series = await stand([folder])
  rmSync(join(folder, frameName(1)))
  await series.after(200)
  t.same(series.frames(), [[0, 2]])
  t.match(series.watch.sources[0]!.series.problems, ['Frame 1 is missing.'])
  const known = series.watch.sources[0]
  renameSync(folder, `${folder}.away`)
  t.equal(await series.after(200), true)
  t.same(series.watch.waiting, [`${folder} does not exist.`])
  t.equal(series.watch.isComplete, false)
  t.equal(await series.after(200), false)
  t.same(series.frames(), [[0, 2]])
  renameSync(`${folder}.away`, folder)
  await series.after(1000)
  await series.after(200)
  await isAsOpened(t, series, folder)
  t.same(series.watch.sources[0]!.series, { ...known!.series, complete: true })
  rmSync(folder, { recursive: true })
  writeSeries(folder, [0, 1, 2, 3], { 'final_metadata.json': { ...plainMetadata, 'Camera.ADOffset': 7 } })
  await series.after(200)
  await series.after(200)
  await isAsOpened(t, series, folder)
  t.equal(series.watch.sources[0]!.series.darkLevel, 7)
})

t.test('damage that may be a file half written is waited out, that of an ended series is refused', async t => {
  const run = t.testdir({})
  const folder = writeSeries(join(run, 'a.pcs'), [0, 1], { 'events.json': '[["ScannerXPos", "1"' })
  const series = await stand([folder])
  t.match(series.watch.waiting, [/events\.json is not valid JSON/])
  writeEvents(folder, 2)
  await series.after(200)
  t.same(series.frames(), [[0, 1]])
  appendFileSync(join(folder, 'events.json'), ',')
  t.equal(await series.after(200), true)
  t.match(series.watch.waiting, [/events\.json is not valid JSON/])
  t.same(series.frames(), [[0, 1]], 'what was known of it stays')
  writeEvents(folder, 2)
  endSeries(folder)
  await series.after(200)
  await series.after(200)
  await isAsOpened(t, series, folder)
  const ended = writeSeries(join(run, 'b.pcs'), [0], { 'events.json': '[', 'final_metadata.json': plainMetadata })
  await t.rejects(stand([ended]), { name: 'CorruptDataError', message: /b\.pcs.events\.json is not valid JSON/ })
})

t.test('an empty frame of a series that has ended is listed, so that it is reported', async t => {
  const folder = writeSeries(join(t.testdir({}), 'a.pcs'), [0, 1], {
    'frame00002.pzf': '',
    'final_metadata.json': plainMetadata,
  })
  const series = await stand([folder])
  await series.after(4000)
  t.same(series.frames(), [[0, 1]])
  await series.after(2000)
  t.same(series.frames(), [[0, 1, 2]])
  await isAsOpened(t, series, folder)
})

t.test('a glob and a folder get the series that appear later, known ones keep their place', async t => {
  const run = t.testdir({})
  const ended = { 'final_metadata.json': plainMetadata }
  writeSeries(join(run, 'day1', 'well_B1.pcs'), [0], ended)
  for (const pattern of [join(run, 'day*', 'well_*'), join(run, 'day1')]) {
    const series = await stand([pattern])
    const names = () => series.watch.sources.map(({ series }) => series.name)
    t.equal(series.watch.mayGetMore, true)
    t.equal(series.watch.isComplete, true)
    const [known] = series.watch.sources
    writeSeries(join(run, 'day1', 'well_A1.pcs'), [0], { ...ended, 'events.json': undefined })
    await series.after(500)
    t.same(names(), ['well_B1'])
    t.match(series.watch.waiting, [/well_A1\.pcs has no events\.json/])
    writeSeries(join(run, 'day1', 'well_A0.pcs'), [0], ended)
    await series.after(500)
    await series.after(200)
    t.same(names(), ['well_B1', 'well_A0'])
    writeEvents(join(run, 'day1', 'well_A1.pcs'), 1)
    await series.after(200)
    await series.after(200)
    t.same(names(), ['well_B1', 'well_A0', 'well_A1'])
    t.equal(series.watch.sources[0], known)
    t.equal(series.watch.isComplete, true)
    for (const name of ['well_A0.pcs', 'well_A1.pcs']) rmSync(join(run, 'day1', name), { recursive: true })
  }
})

t.test('a glob that matches nothing yet waits, also in folders that are still to come', async t => {
  const run = t.testdir({})
  const series = await stand([join(run, 'day*', '*.pcs')])
  t.match(series.watch.waiting, [/day\*.\*\.pcs matches no folder/])
  t.equal(series.watch.isComplete, false)
  mkdirSync(join(run, 'day2'))
  await series.after(2000)
  await series.after(2000)
  writeSeries(join(run, 'day2', 'a.pcs'), [0], { 'final_metadata.json': plainMetadata })
  await series.after(2000)
  t.match(series.watch.waiting, [/a\.pcs has no frame yet that is whole/])
  await series.after(200)
  t.same(series.frames(), [[0]])
  t.same(series.watch.waiting, [])
  await t.rejects(stand([join(run, 'a.pcs')]), { name: 'NotFoundError', message: /a\.pcs does not exist/ })
  const empty = await stand([run])
  t.match(empty.watch.waiting, [/is a folder of 1 entry that has not both frames and metadata/])
})

t.test('series know the groups of patterns that lead to them', async t => {
  const run = t.testdir({})
  for (const name of ['a.pcs', 'b.pcs']) writeSeries(join(run, name), [0], { 'final_metadata.json': plainMetadata })
  const watch = await SeriesWatch.open([[run, join(run, 'a.pcs')], [join(run, 'b*.pcs')], [join(run, '*.pcs')]])
  t.same(
    [watch.groupsOf(0), watch.groupsOf(1)],
    [
      [0, 2],
      [0, 1, 2],
    ],
  )
  t.same(watch.warnings, [`${join(run, 'a.pcs')} is the same series as ${join(run, 'a.pcs')} and is taken once.`])
  await watch.close()
})

t.test('a series that comes later gets the channel whose glob matches it, and no other way', async t => {
  const run = t.testdir({})
  const ended = { 'final_metadata.json': plainMetadata }
  const follow = (...args: string[]) => followNamedSeries(parseFlags(findCommand('build'), args, {}))
  writeSeries(join(run, 'red_1.pcs'), [0], ended)
  const { watch, join: relate } = await follow(
    '--channel',
    `Red=${join(run, 'red_*')}`,
    '--channel',
    `Blue=${run}/blue_*`,
  )
  t.same(relate(), { kind: 'channels', names: ['Red'] })
  t.match(watch.waiting, [/blue_\* matches no folder/])
  writeSeries(join(run, 'blue_1.pcs'), [0], ended)
  writeSeries(join(run, 'red_2.pcs'), [0], ended)
  while (watch.sources.length < 3) {
    await setTimeout(50)
    await watch.poll()
  }
  t.same(relate(), { kind: 'channels', names: watch.sources.map(({ url }) => (url.includes('blue') ? 'Blue' : 'Red')) })
  const nobodys = await follow(run, '--channel', `Red=${join(run, 'red_*')}`)
  t.throws(nobodys.join, { name: 'UsageError', message: /blue_1\.pcs belongs to no --channel/ })
  const twice = await follow('--channel', `Red=${run}/red_*`, '--channel', `All=${run}/*.pcs`)
  t.throws(twice.join, { name: 'UsageError', message: /red_1\.pcs is given to the channels Red and All/ })
  t.same((await follow(run, '--as', 'time')).join(), { kind: 'time' })
})
