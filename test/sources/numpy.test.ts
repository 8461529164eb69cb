import { createHash } from 'node:crypto'
import { readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { allocateSamples, bytesOfSamples, type Plane, type SampleArray } from '../../src/plane.js'
import type { FrameSource } from '../../src/sources/frame-source.js'
import { readItemTable } from '../../src/sources/item-table.js'
import { locateSeries, openSources } from '../../src/sources/open-source.js'
import type { SourceOptions } from '../../src/sources/source-options.js'
import { unpackFixture } from '../unpack-fixture.js'
import { composeNpy, describeArray } from './compose-npy.js'
import { checkFrameSource, type MadeSeries, type SeriesKind } from './frame-source-contract.js'
import { writeZip } from './write-zip.js'

const truth = JSON.parse(readFileSync(new URL('../fixtures/quickdraw/truth.json', import.meta.url), 'utf8'))

async function open(path: string, options?: SourceOptions): Promise<FrameSource> {
  const { sources } = await openSources([path], options)
  return sources[0]
}

/** All frames of a channel, where they lie in the sheet; what no frame covers is 77. */
async function readSheet({ series, readFrame }: FrameSource, channel = 0): Promise<Plane> {
  const ends = series.frames.map(({ offsetPx, size = series.frameSize }) => ({
    x: (offsetPx?.x ?? 0) + size.width,
    y: (offsetPx?.y ?? 0) + size.height,
  }))
  const width = Math.max(...ends.map(({ x }) => x))
  const height = Math.max(...ends.map(({ y }) => y))
  const samples = allocateSamples(series.sampleType, width * height).fill(77)
  for (const { index, offsetPx, channel: own } of series.frames) {
    if (own !== channel) continue
    const frame = await readFrame(index)
    const { x, y } = offsetPx!
    for (let row = 0; row < frame.height; row++)
      samples.set(frame.samples.subarray(row * frame.width, (row + 1) * frame.width), (y + row) * width + x)
  }
  return { width, height, sampleType: series.sampleType, samples }
}

function bound(source: FrameSource): FrameSource {
  return {
    ...source,
    url: source.url,
    format: source.format,
    series: source.series,
    close: () => source.close(),
    readFrame: (index, options) => source.readFrame(index, options),
  }
}

/** One image of a sheet. */
function itemOf({ width, samples }: Plane, source: FrameSource, n: number): SampleArray {
  const { items } = source.series
  const [w, h, columns] = [items!.width, items!.height, items!.columns]
  const item = samples.slice(0, w * h)
  for (let row = 0; row < h; row++) {
    const start = (Math.floor(n / columns) * h + row) * width + (n % columns) * w
    item.set(samples.subarray(start, start + w), row * w)
  }
  return item
}

function sumOf(samples: SampleArray): number {
  return Array.from(samples).reduce((a, b) => a + b)
}

const npyStack: SeriesKind = {
  name: 'numpy stack',
  async make(t): Promise<MadeSeries> {
    const path = join(t.testdir({}), 'stack.npy')
    const samples = Uint8Array.from({ length: 4 * 700 * 700 }, (_, i) => Math.floor(i / 490_000) * 50 + (i % 47))
    writeFileSync(path, composeNpy(describeArray('|u1', '4, 700, 700'), samples))
    return {
      isOneFile: true,
      open: () => open(path),
      fileOf: () => path,
      async cutShort(_index, keptBytes) {
        truncateSync(path, keptBytes)
      },
      async replace(index, other) {
        const bytes = readFileSync(path)
        bytes.copyWithin(128 + index * 490_000, 128 + other * 490_000, 128 + (other + 1) * 490_000)
        writeFileSync(`${path}.next`, bytes)
        renameSync(`${path}.next`, path)
      },
    }
  },
}

checkFrameSource(t, npyStack)

t.test('rows of 784 samples are images of 28 × 28 px whose first rows tell their numbers', async t => {
  const path = unpackFixture(t.testdir({}), 'quickdraw/octopus.npy')
  const source = await open(path)
  t.match(source.series.items, { count: 300, width: 28, height: 28, columns: 18 })
  t.match(source.series, { isUncalibrated: true, sampleType: 'uint8', pixelSizeUm: { x: 1, y: 1 } })
  t.match(source.series.problems, [/was taken for 300 images of 28 × 28 px; .*--shape 300x784/])
  const sheet = await readSheet(bound(source))
  t.match(sheet, { width: 504, height: 476 })
  const wrong: number[] = []
  for (let n = 0; n < 300; n++) {
    const item = itemOf(sheet, source, n)
    const number = Array.from(item.subarray(0, 9), (ink, bit) => (ink > 0 ? 2 ** bit : 0)).reduce((a, b) => a + b)
    const sum = sumOf(item)
    if (number !== n || sum !== truth.sums[n]) wrong.push(n)
  }
  t.same(wrong, [])
  // Nothing lies behind the last image.
  t.equal(sheet.samples[475 * 504 + 12 * 28 - 1] === 77, false)
  t.equal(sheet.samples[475 * 504 + 12 * 28], 77)
  const picture = await open(path, { shape: { width: 784, height: 300 } })
  t.same(picture.series.items, undefined)
  t.equal(
    createHash('sha256')
      .update(bytesOfSamples((await picture.readFrame(0)).samples))
      .digest('hex'),
    truth.sha256,
  )
})

t.test('stacks of other types and orders have their samples', async t => {
  const folder = t.testdir({})
  const bigEndian = await open(unpackFixture(folder, 'quickdraw/stack_u2_be.npy'))
  t.equal(itemOf(await readSheet(bound(bigEndian)), bigEndian, 5)[6 * 50 + 7], truth.files['stack_u2_be.npy'].at_5_6_7)
  const fortran = await open(unpackFixture(folder, 'quickdraw/stack_fortran_f4.npy'))
  t.equal(itemOf(await readSheet(bound(fortran)), fortran, 3)[4 * 30 + 5], truth.files['stack_fortran_f4.npy'].at_3_4_5)
  const rgb = await open(unpackFixture(folder, 'quickdraw/stack_rgb.npy'))
  t.same(
    rgb.series.channels.map(({ name }) => name),
    ['R', 'G', 'B'],
  )
  const sheets = [await readSheet(bound(rgb), 0), await readSheet(bound(rgb), 1), await readSheet(bound(rgb), 2)]
  const interleaved = Array.from({ length: 10 }, (_, n) => {
    const colours = sheets.map(sheet => itemOf(sheet, rgb, n))
    return Array.from({ length: 24 * 36 * 3 }, (_, i) => colours[i % 3][Math.floor(i / 3)])
  })
  t.equal(
    createHash('sha256').update(Uint8Array.from(interleaved.flat())).digest('hex'),
    truth.files['stack_rgb.npy'].sha256,
  )
})

t.test('an array in Fortran order has the samples that it has in C order, whatever is read at once', async t => {
  const folder = t.testdir({})
  const shapes: [number, number, number][] = [
    [2500, 9, 7],
    [3, 2100, 50],
    [1, 40, 2300],
    [5, 3, 1],
  ]
  for (const [count, height, width] of shapes) {
    const value = (n: number, y: number, x: number): number => (n * 31 + y * 7 + x * 3) % 65_000
    const length = count * height * width
    const c = Uint16Array.from({ length }, (_, i) =>
      value(Math.floor(i / width / height), Math.floor(i / width) % height, i % width),
    )
    const f = Uint16Array.from({ length }, (_, i) =>
      value(i % count, Math.floor(i / count) % height, Math.floor(i / count / height)),
    )
    const shape = `${count}, ${height}, ${width}`
    writeFileSync(join(folder, 'c.npy'), composeNpy(describeArray('<u2', shape), c))
    writeFileSync(join(folder, 'f.npy'), composeNpy(describeArray('<u2', shape, 'True'), f))
    const sheets = [
      await readSheet(bound(await open(join(folder, 'c.npy')))),
      await readSheet(bound(await open(join(folder, 'f.npy')))),
    ]
    t.same(sheets[0].samples, sheets[1].samples, shape)
    t.equal(sheets[0].samples[0], 0)
  }
})

t.test('what is a picture and what is a stack is told by the axes', async t => {
  const folder = t.testdir({})
  const path = join(folder, 'array.npy')
  const understood = async (shape: string, options?: SourceOptions) => {
    const bytes = shape.split(',').reduce((product, length) => product * Number(length), 1)
    writeFileSync(path, composeNpy(describeArray('|u1', shape), new Uint8Array(bytes)))
    const { series } = await open(path, options)
    return [
      series.items?.count ?? 1,
      series.items?.width,
      series.items?.height,
      series.channels.length,
      series.problems.length,
    ]
  }
  for (const shape of ['1024, 1024', '480, 640', '300, 401', '28, 28', '2, 50'])
    t.same(await understood(shape), [1, undefined, undefined, 1, 0], shape)
  t.same(await understood('300, 400'), [1, undefined, undefined, 1, 1], 'a picture that may be a stack says so')
  t.same(await understood('300, 400', { shape: { width: 20, height: 20 } }), [300, 20, 20, 1, 0])
  t.same(await understood('1797, 64'), [1797, 8, 8, 1, 1])
  t.same(await understood('12, 6', { shape: { width: 3, height: 2 } }), [12, 3, 2, 1, 0])
  t.same(await understood('20, 30, 3'), [1, undefined, undefined, 3, 1], 'a picture in colour says so')
  t.same(await understood('20, 30, 3', { axes: 'nyx' }), [20, 3, 30, 1, 0])
  t.same(await understood('20, 30, 4'), [1, undefined, undefined, 3, 2], 'alpha is left out')
  t.same(await understood('20, 30, 2'), [1, undefined, undefined, 2, 1])
  t.same(await understood('3, 20, 30'), [3, 30, 20, 1, 1], 'images that may be colours say so')
  t.same(await understood('3, 20, 30', { axes: 'cyx' }), [1, undefined, undefined, 3, 0])
  t.same(await understood('7, 5, 20, 30', { axes: 'ncyx' }), [7, 30, 20, 5, 0])
  t.same(await understood('7, 20, 30, 1'), [7, 30, 20, 1, 0])
  t.same(await understood('7, 600, 3', { shape: { width: 30, height: 20 } }), [7, 30, 20, 3, 0])
  t.same(await understood('600', { shape: { width: 30, height: 20 } }), [1, undefined, undefined, 1, 0])
})

t.test('an archive gives the array that is named, or the largest one', async t => {
  const folder = t.testdir({})
  const path = unpackFixture(folder, 'quickdraw/octopus.npz')
  const source = await open(path)
  t.match(source.series.items, { count: 50, width: 28, height: 28, columns: 8 })
  t.match(source.series.problems, [/images was taken; .*octopus\.npz#labels names another/])
  const sheet = await readSheet(bound(source))
  t.same(
    Array.from({ length: 50 }, (_, n) => sumOf(itemOf(sheet, source, n))),
    truth.sums.slice(0, 50),
  )
  t.same((await open(`${path}#images`)).series.problems, [])
  await t.rejects(open(`${path}#labels`), { name: 'UnsupportedDataError', message: /holds samples of the type "<U/ })
  await t.rejects(open(`${path}#masks`), { name: 'NotFoundError', message: /no array masks; it has images, labels/ })
  const stored = join(folder, 'stored.npz')
  const npy = composeNpy(
    describeArray('|u1', '4, 2, 2'),
    Uint8Array.from({ length: 16 }, (_, i) => i),
  )
  writeZip(stored, [{ name: 'a.npy', bytes: npy }])
  t.same(
    (await (await open(stored)).readFrame(0)).samples,
    new Uint8Array([0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]),
  )
})

t.test('what is no stack of images is refused with the file, what was found and what is possible', async t => {
  const folder = t.testdir({})
  const file = (name: string, bytes: Uint8Array): string => {
    writeFileSync(join(folder, name), bytes)
    return join(folder, name)
  }
  const ones = new Uint8Array(48).fill(1)
  const short = readFileSync(unpackFixture(folder, 'quickdraw/octopus.npy')).subarray(0, 117_664)
  const npz = readFileSync(unpackFixture(folder, 'quickdraw/octopus.npz'))
  const cases: [path: string, name: string, message: RegExp, options?: SourceOptions][] = [
    [unpackFixture(folder, 'quickdraw/bad_object.npy'), 'UnsupportedDataError', /Python objects, which only Python/],
    [file('short.npy', short), 'CorruptDataError', /117536 bytes of samples.*300 × 784 of u1.*means 235200/],
    [
      file('line.npy', composeNpy(describeArray('|u1', '48,'), ones)),
      'UnsupportedDataError',
      /one axis \(48\); arrays of/,
    ],
    [
      file('deep.npy', composeNpy(describeArray('|u1', '2, 2, 2, 6'), ones)),
      'UnsupportedDataError',
      /4 axes \(2 × 2 × 2 × 6\)/,
    ],
    [
      file('rows.npy', composeNpy(describeArray('|u1', '4, 12'), ones)),
      'UnsupportedDataError',
      /rows of 12 samples, which are no images of 3x5/,
      { shape: { width: 5, height: 3 } },
    ],
    [file('complex.npy', composeNpy(describeArray('<c8', '2, 3'), ones)), 'UnsupportedDataError', /type "<c8"/],
    [file('text.npy', ones), 'CorruptDataError', /is not an npy file/],
    [file('text.npz', ones), 'UnsupportedDataError', /is no ZIP archive/],
    [file('cut.npz', npz.subarray(0, 6000)), 'UnsupportedDataError', /no ZIP archive, or its end is missing/],
    [
      writeZip(join(folder, 'empty.npz'), [{ name: 'readme.txt', bytes: ones }]),
      'UnsupportedDataError',
      /has no \.npy file in it/,
    ],
  ]
  for (const [path, name, message, options] of cases) await t.rejects(open(path, options), { name, message }, path)
})

t.test('a table beside the file, or one that is named, has a row for each image', async t => {
  const folder = t.testdir({})
  const path = unpackFixture(folder, 'quickdraw/octopus.npy')
  const beside = unpackFixture(folder, 'quickdraw/octopus.ndjson')
  const { series } = await open(path)
  t.match(series.problems.at(-1), /drawing is left out/)
  const columns = new Map(series.items?.table?.map(({ name, values }) => [name, values]))
  t.same([...columns.keys()], ['word', 'countrycode', 'timestamp', 'recognized', 'key_id'])
  t.same(columns.get('countrycode'), truth.countries)
  t.equal(typeof columns.get('recognized')?.[0], 'boolean')

  const lines = readFileSync(beside, 'utf8').trimEnd().split('\n')
  writeFileSync(beside, lines.slice(1).join('\n'))
  const without = await open(path)
  t.equal(without.series.items?.table, undefined)
  t.match(without.series.problems.at(-1), /octopus\.ndjson has 299 rows for 300 images; .* It is left out/)
  t.not(without.series.fingerprint, series.fingerprint)
  t.same(
    without.series.frames.map(({ stamp }) => stamp),
    series.frames.map(({ stamp }) => stamp),
    'no sample changed',
  )
  await t.rejects(open(path, { table: beside }), { name: 'UnsupportedDataError', message: /299 rows for 300 images/ })

  const csv = join(folder, 'labels.csv')
  const rows = Array.from({ length: 300 }, (_, n) => `${n},"a, b",0${n},${n % 2 ? '' : n / 2}`)
  writeFileSync(csv, `\uFEFFn,text,code,half\r\n${rows.join('\r\n')}\r\n`)
  const named = (await open(path, { table: csv })).series.items?.table
  t.same(
    named?.map(({ name, values }) => [name, values[0], values[5], values[8]]),
    [
      ['n', 0, 5, 8],
      ['text', 'a, b', 'a, b', 'a, b'],
      ['code', '00', '05', '08'],
      ['half', 0, null, 4],
    ],
  )
  const bad: [name: string, text: string, error: string, message: RegExp][] = [
    ['a.csv', 'a,a\n1,2\n', 'CorruptDataError', /two columns of one name/],
    ['b.csv', 'a,b\n1\n', 'CorruptDataError', /is no CSV/],
    ['c.ndjson', '{"a": 1}\nnone\n', 'CorruptDataError', /line 2 is no JSON object/],
    ['d.xlsx', 'a', 'UnsupportedDataError', /\.ndjson, \.jsonl, \.csv, \.tsv are read/],
  ]
  for (const [name, text, error, message] of bad) {
    writeFileSync(join(folder, name), text)
    await t.rejects(open(path, { table: join(folder, name) }), { name: error, message }, name)
  }
  await t.rejects(open(path, { table: join(folder, 'none.csv') }), { name: 'NotFoundError' })
})

t.test('a table is read as spreadsheets and Python write it', async t => {
  const folder = t.testdir({})
  const columnsOf = async (name: string, content: string | Buffer) => {
    writeFileSync(join(folder, name), content)
    const { columns } = await readItemTable(join(folder, name), 2)
    return Object.fromEntries(columns.map(({ name, values }) => [name, values]))
  }
  const expected = { name: ['Müller', 'b'], n: [1, 2] }
  const utf16 = (text: string): Buffer => Buffer.from(`\ufeff${text}`, 'utf16le')
  t.same(await columnsOf('excel.csv', utf16('name\tn\r\nMüller\t1\r\nb\t2\r\n')), expected)
  t.same(await columnsOf('excel.ndjson', utf16('{"name":"Müller","n":1}\n{"name":"b","n":2}\n').swap16()), expected)
  t.same(await columnsOf('windows.csv', Buffer.from('sep=;\r\nname;n\r\nMüller;1\r\nb;2\r\n', 'latin1')), expected)
  t.same(await columnsOf('a.tsv', 'name\tn\nMüller\t1\nb\t2\n'), expected)
  t.same(await columnsOf('quoted.csv', '"a,b";n\n"x;\n""y""";1\nz;2\n'), { 'a,b': ['x;\n"y"', 'z'], n: [1, 2] })
  t.same(await columnsOf('pandas.csv', ',x\n0,0.30000000000000004\n1,nan\n'), {
    'column 1': [0, 1],
    x: [0.30000000000000004, null],
  })
  const numpy = await columnsOf('numpy.csv', '# x,y\n1.000000000000000000e+00,007\n2.5e-03,8\n')
  t.same(numpy, { x: [1, 0.0025], y: ['007', '8'] })
  const binary = columnsOf('binary.csv', Buffer.from([97, 10, 0, 10, 98]))
  await t.rejects(binary, { name: 'CorruptDataError', message: /binary\.csv is no table: it holds bytes of zero/ })
})

t.test('a stack that is followed has the labels that its table has by now', async t => {
  const folder = t.testdir({ 'a.csv': 'label\none\ntwo\n' })
  const path = join(folder, 'a.npy')
  writeFileSync(path, composeNpy(describeArray('|u1', '2, 8, 8'), new Uint8Array(128)))
  const { locations } = await locateSeries([path])
  const followed = locations[0].follow(false)
  const labels = () => followed.source?.series.items?.table?.[0].values
  t.ok(await followed.look(0, 0))
  t.same(labels(), ['one', 'two'])
  t.notOk(await followed.look(0, 0))
  writeFileSync(join(folder, 'a.csv'), 'label\none\nthree\n')
  t.ok(await followed.look(0, 0))
  t.same(labels(), ['one', 'three'])
  rmSync(join(folder, 'a.csv'))
  t.ok(await followed.look(0, 0))
  t.equal(labels(), undefined)
  await followed.close()
})

t.test('a stack may have as many images as frames are listed, and no more', async t => {
  const folder = t.testdir({})
  // Sparse: nothing but the header is stored.
  const write = (shape: readonly number[]): string => {
    const path = join(folder, `${shape.join('x')}.npy`)
    writeFileSync(path, composeNpy(describeArray('|u1', shape.join()), new Uint8Array()))
    truncateSync(path, shape.reduce((product, length) => product * length, 1) + 128)
    return path
  }
  const source = await open(write([200_000, 700, 700]))
  t.equal(source.series.frames.length, 200_000)
  t.same(source.series.frameSize, { width: 700, height: 700 })
  for (const shape of [
    [1_000_000_000, 1, 2049],
    [3_000_000, 3_000_000],
    [400_000, 700, 700, 3],
  ]) {
    const message = /npy has \d+ images of \d+ × \d+ px, which come in more than 1048576 blocks; no more are read\.$/
    await t.rejects(open(write(shape)), { name: 'LimitExceededError', message })
  }
})
