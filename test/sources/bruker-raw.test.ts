import { createHash } from 'node:crypto'
import { copyFileSync, readFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { bytesOfSamples } from '../../src/plane.js'
import { openRaw } from '../../src/sources/bruker/open-raw.js'
import { findSeries } from '../../src/sources/find-series.js'
import type { FrameSource } from '../../src/sources/frame-source.js'
import type { SourceOptions } from '../../src/sources/source-options.js'
import { tilestage } from '../run-cli.js'
import { unpackFixture } from '../unpack-fixture.js'
import { checkFrameSource, type MadeSeries, type SeriesKind } from './frame-source-contract.js'

const fixtures = fileURLToPath(new URL('../fixtures/datastack/', import.meta.url))
const truth = JSON.parse(readFileSync(join(fixtures, 'scan.truth.json'), 'utf8'))

/** What stands in a header beside what a test says. */
const USUAL = {
  width: 4,
  height: 3,
  depth: 2,
  offset: 0,
  'data-length': 2,
  'data-type': 'unsigned',
  'byte-order': 'little-endian',
  'record-by': 'vector',
}

function describe(changes: object): string {
  const lines = Object.entries({ ...USUAL, ...changes }).map(([key, value]) => `${key}\t${value}\n`)
  return `key\tvalue\n${lines.join('')}`
}

function writePair(folder: string, bytes: Uint8Array, changes: object = {}): string {
  writeFileSync(join(folder, 'scan.raw'), bytes)
  writeFileSync(join(folder, 'scan.rpl'), describe(changes))
  return join(folder, 'scan.rpl')
}

function open(path: string): Promise<FrameSource> {
  return openRaw(path, path)
}

/** The samples of a channel of the series, 0 for the sum and 1 for the counts. */
async function valuesOf(source: FrameSource, channel: number, zPlane = 0): Promise<number[]> {
  const { index } = source.series.frames.find(frame => frame.channel === channel && frame.zPlane === zPlane)!
  return Array.from((await source.readFrame(index)).samples)
}

/** A scan of 40 × 30 px with 3 channels. */
const pair: SeriesKind = {
  name: 'Bruker raw',
  async make(t): Promise<MadeSeries> {
    const folder = t.testdir({})
    const images = [0, 1, 2].map(channel => Uint16Array.from({ length: 1200 }, (_, i) => 5000 * channel + i))
    const bytes = (): Buffer => Buffer.concat(images.map(bytesOfSamples))
    const path = writePair(folder, bytes(), { width: 40, height: 30, depth: 3, 'record-by': 'image' })
    const raw = join(folder, 'scan.raw')
    return {
      isOneFile: true,
      open: () => open(path),
      fileOf: () => raw,
      async cutShort(_, keptBytes) {
        truncateSync(raw, keptBytes)
      },
      // The frame that is replaced is of the sum, and the other one of the first channel.
      async replace() {
        images[1].fill(0)
        images[2].fill(0)
        writeFileSync(`${raw}.next`, bytes())
        renameSync(`${raw}.next`, raw)
      },
    }
  },
}

checkFrameSource(t, pair)

t.test('pixels and channels are as large as the header says, where that is a length and an energy', async t => {
  const bytes = new Uint8Array(48)
  const opened = async (changes: object, options?: SourceOptions) => {
    const path = writePair(t.testdir({}), bytes, changes)
    const { pixelSizeUm, isUncalibrated = false, frames, axes, problems } = (await openRaw(path, path, options)).series
    return { pixelSizeUm, isUncalibrated, first: frames[0]!.position, energies: axes?.zPlane?.values, problems }
  }
  const edges = {
    'width-scale': 50,
    'height-scale': 0.1,
    'width-units': 'µm',
    'height-units': 'mm',
    'width-origin': 200,
  }
  const energies = { 'depth-scale': 0.01, 'depth-units': 'keV', 'depth-origin': -0.48 }
  const calibrated = {
    pixelSizeUm: { x: 50, y: 100 },
    isUncalibrated: false,
    first: { xUm: 200, yUm: 0 },
    problems: [],
  }
  t.same(await opened({ ...edges, ...energies }), { ...calibrated, energies: [-0.48, -0.47] })
  t.same((await opened({ 'ev-per-chan': 10 })).energies, [0, 0.01])
  const squares = { 'width-scale': 0.5, 'height-scale': 0.5 }
  t.match(await opened({ ...squares, 'width-units': 'nm' }), { pixelSizeUm: { x: 0.0005, y: 0.0005 } })
  t.match(await opened(squares), {
    isUncalibrated: true,
    problems: [/^Its pixels are 0\.5 × 0\.5, which is no size .* --unit/],
  })
  t.match(await opened(squares, { unitUm: 1000 }), { pixelSizeUm: { x: 500, y: 500 }, problems: [] })
  t.match(await opened({ ...squares, 'width-units': 'm' }), {
    isUncalibrated: true,
    problems: [/which is implausible/],
  })
  const plain = { 'width-scale': 1, 'height-scale': 1, 'width-units': '<undefined>' }
  t.match(await opened(plain), { isUncalibrated: true, problems: [] })
  t.match(await opened({ 'width-scale': 2, 'width-units': 'mm' }), {
    problems: [/^Its pixels are 2 mm × of no height/],
  })
})

t.test('a scan by the name of either file: every count, and their sums', async t => {
  const folder = t.testdir({})
  const raw = unpackFixture(folder, 'datastack/scan.raw')
  copyFileSync(join(fixtures, 'scan.rpl'), join(folder, 'scan.rpl'))
  const [width, height, depth] = [80, 60, 48]
  for (const path of [raw, join(folder, 'scan.rpl')]) {
    const source = await open(path)
    t.match(source.series, {
      ...{ name: 'scan', frameSize: { width, height }, sampleType: 'uint32', zPlanes: depth, isUncalibrated: true },
      channels: [
        { name: 'Sum', active: true },
        { name: 'Counts', active: false },
      ],
    })
    const cube = new Uint16Array(width * height * depth)
    for (let z = 0; z < depth; z++) {
      for (const [i, value] of (await valuesOf(source, 1, z)).entries()) cube[depth * i + z] = value
    }
    t.equal(createHash('sha256').update(bytesOfSamples(cube)).digest('hex'), truth.sha256)
    const sums = await valuesOf(source, 0)
    t.equal(
      sums.reduce((a, b) => a + b),
      truth.sum,
    )
    t.same(
      sums,
      sums.map((_, i) => cube.subarray(depth * i, depth * (i + 1)).reduce((a, b) => a + b)),
    )
    t.same(await valuesOf(source, 0, 47), sums)
  }
  const found = await Promise.all([raw, join(folder, 'scan.rpl'), folder].map(name => findSeries(name)))
  t.equal(new Set(found.flatMap(({ locations }) => locations.map(({ identity }) => identity))).size, 1)
  t.equal(found[2].locations.length, 1)
})

t.test('offset, length, type, byte order and order of the samples are as the header says', async t => {
  const counts = Array.from({ length: 24 }, (_, i) => i)
  /** The samples as they are stored, behind `offset` other bytes. */
  const stored = (
    bytes: number,
    offset: number,
    write: (view: DataView, at: number, i: number) => void,
  ): Uint8Array => {
    const buffer = new Uint8Array(offset + 24 * bytes).fill(0xa5, 0, offset)
    const view = new DataView(buffer.buffer, offset)
    for (const i of counts) write(view, i * bytes, i)
    return buffer
  }
  const cases: [object, Uint8Array, string, (i: number) => number][] = [
    [{ offset: 7 }, stored(2, 7, (view, at, i) => view.setUint16(at, 300 * i, true)), 'uint32', i => 300 * i],
    [{ 'byte-order': 'big-endian' }, stored(2, 0, (view, at, i) => view.setUint16(at, i, false)), 'uint32', i => i],
    [
      { 'data-type': 'signed', 'data-length': 4, 'byte-order': 'big-endian' },
      stored(4, 0, (view, at, i) => view.setInt32(at, -i, false)),
      'float64',
      i => -i,
    ],
    [
      { 'data-type': 'signed', 'data-length': 1, 'byte-order': 'dont-care' },
      stored(1, 0, (view, at, i) => view.setInt8(at, -i)),
      'int32',
      i => -i,
    ],
    [
      { 'data-type': 'float', 'data-length': 4 },
      stored(4, 0, (view, at, i) => view.setFloat32(at, i / 4, true)),
      'float32',
      i => i / 4,
    ],
    [
      { 'data-type': 'float', 'data-length': 8, 'byte-order': 'big-endian' },
      stored(8, 0, (view, at, i) => view.setFloat64(at, i / 10, false)),
      'float64',
      i => i / 10,
    ],
    [{ 'data-length': 8 }, stored(8, 0, (view, at, i) => view.setBigUint64(at, BigInt(i), true)), 'float64', i => i],
  ]
  for (const [changes, bytes, sampleType, value] of cases) {
    for (const order of ['vector', 'image']) {
      const source = await open(writePair(t.testdir({}), bytes, { ...changes, 'record-by': order }))
      const what = `${JSON.stringify(changes)} by ${order}`
      t.equal(source.series.sampleType, sampleType, what)
      const at = (pixel: number, channel: number): number =>
        value(order === 'vector' ? 2 * pixel + channel : pixel + 12 * channel)
      const pixels = counts.slice(0, 12)
      t.same(
        await valuesOf(source, 1, 1),
        pixels.map(pixel => at(pixel, 1)),
        what,
      )
      t.same(
        await valuesOf(source, 0),
        pixels.map(pixel => at(pixel, 0) + at(pixel, 1)),
        what,
      )
    }
  }
})

t.test('large scans come in blocks, with more channels than are shown one by one as their sums', async t => {
  const [width, height, depth] = [1030, 3, 300]
  const bytes = Uint8Array.from({ length: width * height * depth }, (_, i) => (Math.floor(i / depth) % 7) + (i % 2))
  const source = await open(
    writePair(t.testdir({}), bytes, { width, height, depth, 'data-length': 1, 'byte-order': 'dont-care' }),
  )
  t.match(source.series, { zPlanes: 1, channels: [{ name: 'Sum' }], frameSize: { width: 1024, height: 3 } })
  t.match(source.series.problems, [/^Its 300 channels are shown as their sum; up to 256 are shown one by one\.$/])
  t.same(
    source.series.frames.map(({ position, size }) => [position.xUm, size]),
    [
      [0, undefined],
      [1024, { width: 6, height: 3 }],
    ],
  )
  const { samples } = await source.readFrame(1)
  t.same(
    Array.from(samples),
    Array.from({ length: 18 }, (_, i) => 300 * ((Math.floor(i / 6) * width + 1024 + (i % 6)) % 7) + 150),
  )
})

t.test('files that contradict each other, or say too little, are refused in a sentence', async t => {
  const cases: [object, number, string, RegExp][] = [
    [
      {},
      47,
      'CorruptDataError',
      /scan\.raw has 47 bytes, but .*scan\.rpl describes 48: 4 × 3 × 2 uint16 after 0 bytes\.$/,
    ],
    [{ offset: 1 }, 48, 'CorruptDataError', /describes 49/],
    [{ width: 'wide' }, 48, 'CorruptDataError', /scan\.rpl says that width is wide; it is a whole number from 1 on\.$/],
    [{ height: 0 }, 48, 'CorruptDataError', /says that height is 0/],
    [{ depth: 2 ** 30 }, 48, 'LimitExceededError', /says that depth is 1073741824; up to 1048576 are read\.$/],
    [{ 'data-length': 3 }, 48, 'UnsupportedDataError', /describes unsigned samples of 3 bytes/],
    [{ 'data-type': 'float' }, 48, 'UnsupportedDataError', /describes float samples of 2 bytes/],
    [
      { 'data-type': 'complex' },
      48,
      'CorruptDataError',
      /says that data-type is complex; it is one of unsigned, signed, float\.$/,
    ],
    [{ 'byte-order': 'dont-care' }, 48, 'CorruptDataError', /does not say the byte-order of samples of 2 bytes/],
    [
      { 'record-by': 'dont-care' },
      48,
      'CorruptDataError',
      /does not say whether its 2 channels are recorded by vector or by image\.$/,
    ],
  ]
  for (const [changes, length, name, message] of cases) {
    const path = writePair(t.testdir({}), new Uint8Array(length), changes)
    await t.rejects(open(path), { name, message })
  }
  const folder = t.testdir({ 'a.raw': 'x', 'b.rpl': describe({}) })
  await t.rejects(open(join(folder, 'a.raw')), {
    name: 'NotFoundError',
    message: /a\.rpl does not exist; it tells how/,
  })
  await t.rejects(open(join(folder, 'b.rpl')), { name: 'NotFoundError', message: /b\.raw does not exist/ })
  const image = await open(
    writePair(t.testdir({}), new Uint8Array(12).fill(3), {
      ...{ depth: 1, 'data-length': 1, 'byte-order': 'dont-care', 'record-by': 'dont-care' },
    }),
  )
  t.same(await valuesOf(image, 0), new Array(12).fill(3))
  t.match(image.series, { channels: [{ name: 'Counts' }], sampleType: 'uint8' })
})

t.test('the command line builds a scan, with a slider through its channels', async t => {
  const folder = t.testdir({})
  unpackFixture(folder, 'datastack/scan.raw')
  copyFileSync(join(fixtures, 'scan.rpl'), join(folder, 'scan.rpl'))
  const { status, stderr } = await tilestage(['build', join(folder, 'scan.raw'), '--output', join(folder, 'out')])
  t.equal(status, 0, stderr)
  const { ome } = JSON.parse(readFileSync(join(folder, 'out/zarr.json'), 'utf8')).attributes
  t.match(JSON.stringify(ome), /Sum/)
})
