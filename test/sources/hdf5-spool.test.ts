import { copyFileSync, readdirSync, readFileSync, renameSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Dataset, File, ready } from 'h5wasm/node'
import t, { type Test } from 'tap'
import { Hdf5File } from '../../src/sources/hdf5/hdf5-file.js'
import type { Hdf5Dataset } from '../../src/sources/hdf5/hdf5-messages.js'
import { openSpool } from '../../src/sources/hdf5/pyme-spool.js'
import { openSpoolFile } from '../../src/sources/hdf5/spool-content.js'
import { findSpoolMoves } from '../../src/sources/hdf5/spool-moves.js'
import { SpoolWatch } from '../../src/sources/hdf5/spool-watch.js'
import { openSources } from '../../src/sources/open-source.js'
import type { AcquisitionEvent } from '../../src/sources/pyme/events.js'
import { openPcsSeries } from '../../src/sources/pyme/pcs-series.js'
import { SeriesWatch } from '../../src/sources/series-watch.js'
import { PLATE, tilestage } from '../run-cli.js'
import { unpackFixture } from '../unpack-fixture.js'
import { checkFrameSource, type MadeSeries, type SeriesKind } from './frame-source-contract.js'
import { decodePlanned, openReader, readInThread, sameSamples } from './read-as-worker.js'
import { composePzf, plainEvents, plainMetadata, writeSeries } from './write-series.js'
import { appendToSpool, overwriteFrame, plainPlane, writeSpool } from './write-spool.js'

const SHARDS = /^c\//

function planes(...values: number[]): ReturnType<typeof plainPlane>[] {
  return values.map(value => plainPlane(value))
}

/** The moves for the frames from `first` on. */
function movesFrom(first: number, count: number): [string, string, number][] {
  return plainEvents(first + count).slice(2 * first)
}

const spool: SeriesKind = {
  name: 'PYME HDF5 series',
  async make(t): Promise<MadeSeries> {
    const values = [100, 200, 300, 400, 500]
    const frames = values.map(value => plainPlane(value, 64, 48))
    const path = await writeSpool(join(t.testdir({}), 'spool.h5'), { frames })
    return {
      isOneFile: true,
      open: () => openSpool(path),
      fileOf: () => path,
      async cutShort(_, keptBytes) {
        truncateSync(path, keptBytes)
      },
      async replace(index, other) {
        copyFileSync(path, `${path}.next`)
        await overwriteFrame(`${path}.next`, index, frames[other])
        renameSync(`${path}.next`, path)
      },
    }
  },
}

checkFrameSource(t, spool)

t.test('a spool and one of a data server are the same series as the folder, frame by frame', async t => {
  const pcs = await openPcsSeries(join(PLATE, 'well_A1.pcs'))
  for (const name of ['well_A1.h5', 'a1_clusterh5.h5']) {
    const source = await openSpool(unpackFixture(t.testdir({}), `pyme/${name}`))
    const { series } = source
    const placed = ({ frames }: typeof series): unknown[] => frames.map(({ stamp: _, ...frame }) => frame)
    t.same(placed(series), placed(pcs.series))
    t.same(series.metadata, pcs.series.metadata)
    const { frames: _, fingerprint: __, name: ___, problems: ____, ...facts } = pcs.series
    t.match(series, facts)
    const read = await readInThread(
      source.reader!,
      series.frames.map(({ index }) => index),
    )
    const reader = await openReader(source.reader!)
    const different: number[] = []
    for (const [i, { index }] of series.frames.entries()) {
      const plane = await pcs.readFrame(index)
      const planned = await decodePlanned(reader, index, new Uint8Array(2 ** 20), name)
      t.equal(planned !== undefined, name === 'a1_clusterh5.h5')
      const all = [await source.readFrame(index), read[i], planned ?? plane]
      if (!all.every(other => sameSamples(other, plane))) different.push(index)
    }
    t.same(different, [], name)
  }
})

t.test('blosc, bzip2 and no filter open; lzo is refused by name', async t => {
  const folder = t.testdir({})
  const pcs = await openPcsSeries(join(PLATE, 'well_A1.pcs'))
  for (const name of ['a1_blosc5.h5', 'a1_bzip23.h5', 'a1_zlib0.h5']) {
    const source = await openSpool(unpackFixture(folder, `pyme/${name}`))
    t.equal(source.series.frames.length, 3)
    for (const { index, position } of source.series.frames) {
      t.ok(sameSamples(await source.readFrame(index), await pcs.readFrame(index)), `${name} ${index}`)
      t.same(position, pcs.series.frames[index].position)
    }
  }
  const lzo = unpackFixture(folder, 'pyme/a1_lzo1.h5')
  await t.rejects(openSpool(lzo), {
    name: 'UnsupportedDataError',
    message: new RegExp(`^${lzo}: the dataset /ImageData is compressed by lzo \\(305\\), which cannot be read; gzip, `),
  })
})

t.test('starts of the camera that were numbered too late do not move the frames', t => {
  const [late, restarted] = ['well_A1.pcs', 'well_B1.pcs'].map(well => {
    const events: [string, string, number][] = JSON.parse(readFileSync(join(PLATE, well, 'events.json'), 'utf8'))
    const log = events.map(([name, description, timeS]): AcquisitionEvent => ({ name, description, timeS }))
    const { StartTime, ...metadata } = JSON.parse(readFileSync(join(PLATE, well, 'metadata.json'), 'utf8'))
    return { log, clock: { startTimeS: StartTime, cycleTimeS: metadata['Camera.CycleTime'] } }
  })
  for (const { log, clock } of [late, restarted]) {
    const right = findSpoolMoves(log, clock, 25, 'a.h5')
    t.same(right.problems, [])
    const numbered = log.map(event => (event.name === 'StartAq' ? { ...event, description: '25' } : event))
    const mended = findSpoolMoves(numbered, clock, 25, 'a.h5')
    t.same(mended.moves, right.moves)
    t.match(mended.problems, [/^Its log has the camera start at frame 25 \(StartAq\)/])
  }
  t.end()
})

t.test('metadata: keys of groups are dotted, Python objects are named and left alone', async t => {
  const metadata = {
    ...plainMetadata,
    'Sample.Well': 'B7',
    'Camera.Name': { ascii: 'plain bytes.' },
    'Multiview.ActiveViews': { ascii: '(lp0\nVleft\np1\na.' },
    'Multiview.ROI0Origin': { ascii: '(I1\nI2\ntp0\n.' },
  }
  const path = await writeSpool(join(t.testdir({}), 'a.h5'), { frames: planes(1, 2), metadata })
  const { series } = await openSpool(path)
  t.same(series.metadata, { ...plainMetadata, 'Sample.Well': 'B7', 'Camera.Name': 'plain bytes.' })
  t.equal(series.well, 'B7')
  t.same(series.problems, [
    'Metadata stored as Python objects is not read: Multiview.ActiveViews, Multiview.ROI0Origin.',
  ])
})

t.test('a file that is no series, or does not say where its frames lie, says what is in it', async t => {
  await ready
  const folder = t.testdir({})
  const other = join(folder, 'other.h5')
  const file = new File(other, 'w')
  file.create_group('entry')
  file.create_dataset({ name: 'counts', data: [1, 2, 3] })
  file.close()
  await t.rejects(openSources([other]), {
    name: 'UnsupportedDataError',
    message: `${other} is an HDF5 file without an image (it holds counts, entry): no PYME series, no USID, no NeXus data, and no array of numbers with 2 to 5 axes.`,
  })
  const cases: [what: object, error: string, message: RegExp][] = [
    [{ events: [] }, 'UnsupportedDataError', /holds no ScannerXPos event .*; it holds no events at all\.$/],
    [
      {
        events: [
          ['ScannerXPos', '1', 1000.5],
          ['StartAq', '0', 1000],
        ],
      },
      'UnsupportedDataError',
      /holds no ScannerYPos event that says where the stage was; its events are ScannerXPos, StartAq\.$/,
    ],
    [{ metadata: { StartTime: 1 } }, 'UnsupportedDataError', /the metadata has no usable Camera.CycleTime\.$/],
  ]
  for (const [i, [what, name, message]] of cases.entries()) {
    const path = await writeSpool(join(folder, `case${i}.h5`), { frames: planes(1, 2), ...what })
    await t.rejects(openSources([path]), { name, message })
  }
  const announced = await writeSpool(join(folder, 'announced.h5'), { frames: planes(1, 2) })
  const grown = new File(announced, 'a')
  const images = grown.get('ImageData') as Dataset
  images.resize([2 ** 24, ...images.shape!.slice(1)])
  grown.close()
  await t.rejects(openSources([announced]), {
    name: 'LimitExceededError',
    message: /says that it holds 16777216 frames .*; up to 1048576 of 1 GiB are read\.$/,
  })
})

t.test('events without a time place no frame, and are told', async t => {
  const events = plainEvents(3)
  events[2]![2] = Number.NaN
  const source = await openSpool(await writeSpool(join(t.testdir({}), 'a.h5'), { frames: planes(1, 2, 3), events }))
  t.same(
    source.series.frames.map(({ stagePosition: { xUm, yUm } }) => [xUm, yUm]),
    [
      [0, 0],
      [0, 20],
      [20, 40],
    ],
  )
  t.match(source.series.problems, ['Entries of Events that have no time were ignored: 1.'])
})

t.test('no other file is read as a part of a spool, not even one beside it', async t => {
  const folder = t.testdir({})
  const path = unpackFixture(folder, 'h5/layouts.h5')
  unpackFixture(folder, 'h5/external_raw.bin')
  const { shape } = (await openSpoolFile(path).describe('/external', 0)) as Hdf5Dataset
  const slab = { offset: shape!.map(() => 0), count: shape! }
  await t.resolves(new Hdf5File(path).read('/external', slab))
  await t.rejects(openSpoolFile(path).read('/external', slab), {
    name: 'UnsupportedDataError',
    message: /\/external leads to .*external_raw\.bin, which lies outside of the folders that may be read\.$/,
  })
})

t.test('spools are found by name, by glob and by folder; other HDF5 files are left out', async t => {
  await ready
  const folder = t.testdir({})
  for (const name of ['a2.h5', 'a10.hdf5', 'a1.H5']) await writeSpool(join(folder, name), { frames: planes(1, 2) })
  const file = new File(join(folder, 'results.h5'), 'w')
  file.create_group('fits')
  file.close()
  writeSeries(join(folder, 'b.pcs'), [0])
  const open = async (pattern: string): Promise<{ names: string[]; warnings: string[] }> => {
    const { sources, warnings } = await openSources([join(folder, pattern)])
    return { names: sources.map(({ series }) => series.name), warnings }
  }
  t.same(await open('.'), { names: ['a1', 'a2', 'a10', 'b'], warnings: [] })
  t.same(await open('*.h5'), {
    names: ['a2'],
    warnings: [
      `${join(folder, '*.h5')} also matches what is no series and is left out: ${join(folder, 'results.h5')}.`,
    ],
  })
  t.same((await open('a1.H5')).names, ['a1'])
})

/** A watch with a clock of its own. */
function follow(t: Test, path: string): { watch: SpoolWatch; lookAt(ms: number): Promise<boolean> } {
  const watch = new SpoolWatch(path, true)
  t.teardown(() => watch.close())
  return { watch, lookAt: ms => watch.look(ms, 0) }
}

t.test('a growing spool lists a frame when its place is known, and keeps the stamps of the old ones', async t => {
  const path = join(t.testdir({}), 'live.h5')
  const { watch, lookAt } = follow(t, path)
  t.equal(await lookAt(0), true)
  t.match(watch.error, { name: 'NotFoundError' }, 'before there is a file')
  await writeSpool(path, { frames: planes(1, 2, 3), events: plainEvents(3), isClosed: false })
  await lookAt(1000)
  t.equal(watch.error, undefined)
  const numbers = (): number[] | undefined => watch.source?.series.frames.map(({ index }) => index)
  t.same(numbers(), [0, 1], 'the newest may not be whole')
  t.equal(await lookAt(1100), true)
  t.same(numbers(), [0, 1, 2])
  t.equal(watch.source?.series.complete, false)
  const before = watch.source!
  t.equal(await lookAt(1200), false)
  t.equal(watch.source, before, 'the same object while nothing changes')
  await appendToSpool(path, planes(4, 5, 6), movesFrom(3, 2))
  await lookAt(2000)
  t.same(numbers(), [0, 1, 2, 3, 4], 'frame 5 has no move of its own yet')
  await lookAt(2500)
  t.same(numbers(), [0, 1, 2, 3, 4, 5])
  t.same(watch.source!.series.frames.slice(0, 3), before.series.frames)
  t.same((await watch.source!.readFrame(5)).samples, plainPlane(6).samples)
  t.same((await before.readFrame(1)).samples, plainPlane(2).samples, 'the older object still reads')
  await appendToSpool(path, [], [], true)
  await lookAt(3000)
  t.equal(watch.source?.series.complete, false)
  await lookAt(3100)
  t.equal(watch.source?.series.complete, true)
  t.same((await openSpool(path)).series, watch.source?.series, 'as one that is opened when it is complete')
})

t.test('a spool whose writer went away is complete when nothing was written for long', async t => {
  const folder = t.testdir({})
  const path = await writeSpool(join(folder, 'left.h5'), { frames: planes(1, 2), isClosed: false })
  const { watch, lookAt } = follow(t, path)
  await lookAt(0)
  await lookAt(4999)
  t.equal(watch.source?.series.complete, false)
  await lookAt(5000)
  t.equal(watch.source?.series.complete, true)
  utimesSync(path, new Date(), new Date(Date.now() - 61_000))
  const old = new SpoolWatch(path, false)
  await old.look(0, 0)
  t.equal(old.source?.series.complete, true, 'at once where that was long ago')
})

t.test('an acquisition that takes the place of another one changes the stamps of its frames', async t => {
  const path = await writeSpool(join(t.testdir({}), 'again.h5'), { frames: planes(1, 2, 3, 4, 5, 6) })
  const { watch, lookAt } = follow(t, path)
  await lookAt(0)
  await lookAt(100)
  const before = watch.source!.series
  const bytes = readFileSync(await writeSpool(`${path}.next`, { frames: planes(11, 12, 13, 14, 15, 16) }))
  writeFileSync(path, bytes)
  t.equal(await lookAt(1000), true)
  await lookAt(1100)
  const after = watch.source!.series
  t.equal(after.frames.length, 6)
  t.ok(after.frames.every(({ stamp }, i) => stamp !== before.frames[i].stamp))
  t.same((await watch.source!.readFrame(3)).samples, plainPlane(14).samples)
})

t.test('a damaged spool is waited for while it is new, and an error where it is old', async t => {
  const folder = t.testdir({})
  const path = await writeSpool(join(folder, 'cut.h5'), { frames: planes(1, 2) })
  truncateSync(path, 3000)
  const watch = await SeriesWatch.open([[path]])
  t.match(watch.waiting, [/cut\.h5 is damaged and cannot be opened/])
  await watch.close()
  utimesSync(path, new Date(), new Date(Date.now() - 61_000))
  await t.rejects(SeriesWatch.open([[path]]), { name: 'CorruptDataError' })
})

t.test('a pyramid built from a spool has the shards of the one built from the folder', async t => {
  const folder = t.testdir({})
  const build = async (series: string, output: string): Promise<Map<string, Buffer>> => {
    const { status, stderr } = await tilestage(['build', series, '--output', output, '--progress', 'none'], {
      cwd: folder,
    })
    t.equal(status, 0, stderr)
    const files = readdirSync(join(folder, output), { recursive: true, encoding: 'utf8', withFileTypes: true })
    const paths = files.filter(file => file.isFile()).map(file => join(file.parentPath, file.name))
    const shards = paths.filter(path => SHARDS.test(path.slice(join(folder, output).length + 3)))
    return new Map(shards.map(path => [path.slice(join(folder, output).length), readFileSync(path)]))
  }
  const expected = await build(join(PLATE, 'well_A1.pcs'), 'from-folder')
  t.ok(expected.size > 0)
  for (const name of ['well_A1.h5', 'a1_clusterh5.h5'])
    t.same(await build(unpackFixture(folder, `pyme/${name}`), `from-${name}`), expected, name)
})

t.test('PZF rows are checked as PZF files are', async t => {
  const source = await openSpool(unpackFixture(t.testdir({}), 'pyme/a1_clusterh5.h5'))
  const reader = await openReader({
    module: source.reader!.module,
    data: { ...(source.reader!.data as object), frameSize: { width: 4, height: 3 } },
  })
  const message =
    /a1_clusterh5\.h5: frame 3 has 256 × 256 pixels of uint16, and the other frames of its series have 4 × 3/
  await t.rejects(reader.readFrame(3), { name: 'CorruptDataError', message })
  await t.rejects(decodePlanned(reader, 3, new Uint8Array(2 ** 20), ''), { name: 'CorruptDataError', message })
  t.equal(await reader.readPzf?.(3, new Uint8Array(composePzf().length)), undefined, 'too small a place')
  await t.rejects(reader.readFrame(25), { name: 'NotFoundError', message: /a1_clusterh5\.h5 holds no frame 25\.$/ })
})
