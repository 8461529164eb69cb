import { symlinkSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, join, relative } from 'node:path'
import t, { type Test } from 'tap'
import { isSeries } from '../../src/sources/find-on-disk.js'
import { openSources } from '../../src/sources/open-source.js'
import { writeSeries } from './write-series.js'

/** A run of four wells and some other things. */
function writeRun(t: Test): string {
  const run = t.testdir({
    'notes.txt': 'ink',
    empty: {},
    pictures: { 'a.png': '' },
    ours: { 'zarr.json': '{}' },
    theirs: { 'metadata.json': '{"Pyramid.TileSize": 256}', '0': {} },
  })
  for (const well of ['A10', 'A2', 'A1']) writeSeries(join(run, `well_${well}.pcs`), [0, 1])
  writeSeries(join(run, 'unnamed'), [0])
  return run
}

async function openNames(patterns: readonly string[]): Promise<{ names: string[]; warnings: string[] }> {
  const { sources, warnings } = await openSources(patterns)
  return { names: sources.map(source => source.series.name), warnings }
}

t.test('a glob gives its series in natural order', async t => {
  const run = writeRun(t)
  t.same(await openNames([join(run, '*.pcs')]), { names: ['well_A1', 'well_A2', 'well_A10'], warnings: [] })
  t.same((await openNames([join(run, 'well_A{2,10}.pcs')])).names, ['well_A2', 'well_A10'])
  t.same((await openNames([`${run}/../${basename(run)}/**/well_A?.pcs/`])).names, ['well_A1', 'well_A2'])
})

t.test('arguments keep their order, and sources the name that the user typed', async t => {
  const run = relative('.', writeRun(t))
  const { sources } = await openSources([join(run, 'well_A10.pcs'), join(run, 'unnamed'), join(run, 'well_A?.pcs')])
  t.same(
    sources.map(source => source.url),
    ['well_A10.pcs', 'unnamed', 'well_A1.pcs', 'well_A2.pcs'].map(name => join(run, name)),
  )
})

t.test('a series named twice is taken once, with a warning', async t => {
  const run = writeRun(t)
  symlinkSync(join(run, 'well_A1.pcs'), join(run, 'again.pcs'))
  const { names, warnings } = await openNames([
    `${join(run, 'well_A1.pcs')}/`,
    join(run, 'well_A{1,2}.pcs'),
    join(run, 'again.pcs'),
  ])
  t.same(names, ['well_A1', 'well_A2'])
  t.equal(warnings.length, 2)
  t.match(warnings[0], /well_A1\.pcs is the same series as .*well_A1\.pcs\/ and is taken once\./)
})

t.test('links to series are found by a glob', async t => {
  const run = writeRun(t)
  symlinkSync(join(run, 'unnamed'), join(run, 'linked.pcs'))
  t.same((await openNames([join(run, 'l*.pcs')])).names, ['linked'])
})

t.test('what exists under its literal name is no glob, a folder on the way neither', async t => {
  const run = t.testdir({})
  writeSeries(join(run, 'run [1]', 'well_[A].pcs'), [0])
  writeSeries(join(run, 'run [1]', 'well_A.pcs'), [0])
  t.same((await openNames([join(run, 'run [1]', 'well_[A].pcs')])).names, ['well_[A]'])
  t.same((await openNames([join(run, 'run [1]', '*.pcs')])).names, ['well_[A]', 'well_A'])
})

t.test('a glob leaves out what is no series, and says so', async t => {
  const run = writeRun(t)
  const { names, warnings } = await openNames([join(run, '*')])
  t.same(names, ['unnamed', 'well_A1', 'well_A2', 'well_A10'])
  t.same(warnings, [
    `${join(run, '*')} also matches what is no series and is left out: ${['empty', 'ours', 'pictures', 'theirs'].map(name => join(run, name)).join(', ')}.`,
  ])
})

t.test('a name that leads nowhere says what is there instead', async t => {
  const run = writeRun(t)
  const there = `${run} holds 9 entries, 3 of them series such as well_A1.pcs.`
  const cases: [pattern: string, message: string][] = [
    [join(run, '*.h5'), `matches no folder and no file that can be read; ${there}`],
    [join(run, 'wel_A1.pcs'), `does not exist; ${there}`],
    [join(run, 'no', 'such', '*.pcs'), `matches no folder and no file that can be read; ${there}`],
    [join(run, 'empty', '*.pcs'), `matches no folder and no file that can be read; ${join(run, 'empty')} is empty.`],
    [
      join(run, 'pictures', '*.pcs'),
      `matches no folder and no file that can be read; ${join(run, 'pictures')} holds 1 entry, none of which is a series.`,
    ],
    [join(run, 'pict*'), `matches ${join(run, 'pictures')} and no series; ${there}`],
  ]
  for (const [pattern, message] of cases) {
    await t.rejects(openSources([pattern]), { name: 'NotFoundError', message: `${pattern} ${message}` })
  }
  await t.rejects(openSources(['~/no-such-series.pcs']), {
    message: new RegExp(`^${join(homedir(), 'no-such-series.pcs')} does not exist`),
  })
})

t.test('a folder of series stands for the series in it', async t => {
  const run = writeRun(t)
  const { sources, warnings } = await openSources([run])
  t.same(
    sources.map(({ url }) => url),
    (await openSources([join(run, '*.pcs')])).sources.map(({ url }) => url),
  )
  t.equal(sources.length, 3)
  t.same(warnings, [])
  t.equal(await isSeries(run), false)
})

t.test('a path that is no series says what it is', async t => {
  const run = writeRun(t)
  const cases: [name: string, what: string][] = [
    ['notes.txt', 'is a file'],
    ['empty', 'is an empty folder'],
    ['ours', 'is an OME-Zarr pyramid, which tilestage serve shows'],
    ['theirs', 'is a PYME pyramid, which tilestage serve shows'],
    ['pictures', 'is a folder of 1 entry that has not both frames and metadata'],
  ]
  for (const [name, what] of cases) {
    const path = join(run, name)
    await t.rejects(openSources([path]), {
      name: 'UnsupportedDataError',
      message: `${path} ${what}; a series is a folder with frame00000.pzf, metadata.json and events.json, or an HDF5 file, a .datastack file, a Bruker .raw file with its .rpl file or a numpy array.`,
    })
    t.equal(await isSeries(path), false)
  }
  t.equal(await isSeries(join(run, 'unnamed')), true)
  t.equal(await isSeries(join(run, 'well_A1.pcs')), true)
  t.equal(await isSeries(join(run, 'nothing.pcs')), false)
})

t.test('one series that cannot be opened fails them all, with the first in order', async t => {
  const run = writeRun(t)
  writeSeries(join(run, 'well_A3.pcs'), [0], { 'events.json': undefined })
  writeSeries(join(run, 'well_A4.pcs'), [0], { 'metadata.json': 'x' })
  await t.rejects(openSources([join(run, '*.pcs')]), {
    name: 'SourceUnavailableError',
    message: /well_A3\.pcs has no events\.json/,
  })
})
