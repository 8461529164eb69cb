import { createHash } from 'node:crypto'
import { readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { registry } from 'zarrita'
import { bytesOfSamples, type Plane } from '../../src/plane.js'
import { openDatastack } from '../../src/sources/datastack/open-datastack.js'
import { examineFile } from '../../src/sources/file-version.js'
import type { FrameSource } from '../../src/sources/frame-source.js'
import { ZipArchive } from '../../src/sources/zip/zip-archive.js'
import { tilestage } from '../run-cli.js'
import { unpackFixture } from '../unpack-fixture.js'
import { checkFrameSource, type MadeSeries, type SeriesKind } from './frame-source-contract.js'
import { readInThread, sameSamples } from './read-as-worker.js'
import { type ArrayContent, arrayEntries, ROOT_ENTRY, writeDatastack } from './write-datastack.js'
import { writeZip, type ZipContent } from './write-zip.js'

const fixtures = fileURLToPath(new URL('../fixtures/datastack/', import.meta.url))
const truth = JSON.parse(readFileSync(join(fixtures, 'truth.json'), 'utf8'))
const ELEMENTS = ['S', 'Cl', 'K', 'Ca', 'Ba', 'Ti', 'Mn', 'Fe', 'Cu', 'Zn', 'Pb']
const PHOTO = ['Photo Red', 'Photo Green', 'Photo Blue']

const unpacked = t.testdir({})
const SECOND = unpackFixture(unpacked, 'datastack/v2_dask.datastack')
const THIRD = unpackFixture(unpacked, 'datastack/v3_spec.datastack')
const DUPLICATES = join(fixtures, 'v2_duplicate_entries.datastack')

function open(path: string, inside?: string): Promise<FrameSource> {
  return openDatastack(path, inside, inside === undefined ? path : `${path}#${inside}`)
}

/** The only block of a channel. */
async function planeOf(source: FrameSource, channel: number, zPlane = 0): Promise<Plane> {
  const { index } = source.series.frames.find(frame => frame.channel === channel && frame.zPlane === zPlane)!
  return await source.readFrame(index)
}

async function valuesOf(source: FrameSource, channel = 0, zPlane = 0): Promise<number[]> {
  return Array.from((await planeOf(source, channel, zPlane)).samples)
}

function sha256(...parts: readonly Uint8Array[]): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest('hex')
}

/** Three maps of 40 × 30 px, and what can befall their file. */
const datastack: SeriesKind = {
  name: 'DataStack',
  async make(t): Promise<MadeSeries> {
    const path = join(t.testdir({}), 'maps.datastack')
    const shown = [0, 1, 2]
    const maps: ArrayContent = {
      name: 'nmf_elementmaps',
      shape: [3, 30, 40],
      value: ([map, y, x]) => 1000 * shown[map] + 40 * y + x,
    }
    writeDatastack(path, [maps])
    return {
      isOneFile: true,
      open: () => open(path),
      fileOf: () => path,
      async cutShort(_, keptBytes) {
        truncateSync(path, keptBytes)
      },
      async replace(index, other) {
        shown[index] = other
        renameSync(writeDatastack(`${path}.next`, [maps]), path)
      },
    }
  },
}

checkFrameSource(t, datastack)

t.test('both generations: a layer for each element, the newest version, every sample as it was stored', async t => {
  for (const [path, expected] of [
    [SECOND, truth.v2.latest_sha],
    [THIRD, truth.v3.arrays.nmf_elementmaps.sha256],
  ]) {
    const source = await open(path)
    const { series } = source
    t.same(
      series.channels.map(({ name }) => name),
      [...ELEMENTS, ...PHOTO],
    )
    t.same(
      series.channels.map(({ active }) => active),
      series.channels.map((_, i) => i === 0),
    )
    t.match(series, {
      frameSize: { width: 320, height: 240 },
      sampleType: 'float32',
      isUncalibrated: true,
      problems: [],
    })
    const maps = await Promise.all(ELEMENTS.map((_, i) => planeOf(source, i)))
    t.equal(sha256(...maps.map(({ samples }) => bytesOfSamples(samples))), expected)
    const [red, green, blue] = await Promise.all(PHOTO.map((_, i) => valuesOf(source, 11 + i)))
    const photo = Uint8Array.from({ length: 3 * red.length }, (_, i) => [red, green, blue][i % 3][Math.floor(i / 3)])
    t.equal(sha256(photo), truth.v3.arrays.imvis_reg_highres.sha256)
    const inThread = await readInThread(source.reader!, [0, 10, 13])
    for (const [i, index] of [0, 10, 13].entries()) t.ok(sameSamples(inThread[i], await source.readFrame(index)))
  }
})

t.test('layers are the elements that they are called, and not turned or mirrored', async t => {
  const source = await open(THIRD)
  /** Mean of a disc, and of a ring around it. */
  const around = async (element: string, x0: number, y0: number): Promise<number[]> => {
    const { samples, width, height } = await planeOf(source, ELEMENTS.indexOf(element))
    const sums = { disc: [0, 0], ring: [0, 0] }
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const r = Math.hypot(x - x0, y - y0)
        const part = r < 15 ? sums.disc : r > 18 && r < 30 ? sums.ring : undefined
        if (!part) continue
        part[0] += samples[y * width + x]
        part[1]++
      }
    }
    return [sums.disc, sums.ring].map(([sum, count]) => Math.round((100 * sum) / count) / 100)
  }
  t.same(await around('Fe', 215, 149), [12.31, 6.04])
  t.same(await around('S', 40, 30), [5.04, 0.04])
  t.same(await around('Fe', 40, 30), [5.34, 6.7])
})

t.test('archives packed by deflate, and entries that were written twice', async t => {
  const archive = new ZipArchive(THIRD, examineFile(THIRD).stamp)
  const contents: ZipContent[] = []
  for (const name of (await archive.entries()).keys())
    contents.push({ name, bytes: (await archive.read(name, 2 ** 24))!, isDeflated: true })
  const deflated = await open(writeZip(join(t.testdir({}), 'deflated.datastack'), contents))
  const source = await open(THIRD)
  const different: number[] = []
  for (const { index } of source.series.frames)
    if (!sameSamples(await source.readFrame(index), await deflated.readFrame(index))) different.push(index)
  t.same(different, [])
  t.same(await valuesOf(await open(DUPLICATES, 'm')), new Array(16).fill(7))
})

t.test('an archive of 4.7 GB with 70,001 entries', async t => {
  const path = join(t.testdir({}), 'wide.datastack')
  const [metadata, chunk] = arrayEntries({ name: 'm', shape: [4, 5], value: ([y, x]) => 10 * y + x })
  const many = Array.from({ length: 69_999 }, (_, i) => ({ name: `n/${i}`, bytes: Buffer.alloc(0) }))
  writeZip(path, [...many, { ...metadata, at: 4_700_000_000 }, chunk])
  t.ok(statSync(path).size > 4_700_000_000)
  const source = await open(path, 'm')
  t.same((await valuesOf(source)).slice(5, 10), [10, 11, 12, 13, 14])
  t.same(await readInThread(source.reader!, [0]), [await source.readFrame(0)])
  rmSync(path)
})

t.test('a photo of finer pixels lies where it was registered, and the maps keep their values', async t => {
  const path = writeDatastack(join(t.testdir({}), 'photo.datastack'), [
    { name: 'nmf_elementmaps', shape: [2, 2, 4], value: ([map, y, x]) => 100 * map + 10 * y + x },
    { name: 'nmf_atomnums', shape: [2], dtype: '<i8', value: ([i]) => [26, 118][i] },
    { name: 'imvis_reg', shape: [6, 8, 3], dtype: '|u1', value: ([y, x, colour]) => 80 * colour + 10 * y + x },
    // Left, right, bottom, top, in pixels of the maps: half a pixel of theirs is one of the photo.
    { name: 'imvis_extent', shape: [4], dtype: '<i8', value: ([i]) => [1, 5, 2, -1][i] },
  ])
  const source = await open(path)
  const { series } = source
  t.same(
    series.channels.map(({ name }) => name),
    ['Fe', 'Og', ...PHOTO],
  )
  t.same(series.frameSize, { width: 8, height: 6 })
  t.match(series.frames[0], { size: { width: 8, height: 4 }, position: { xUm: 0, yUm: 0 } })
  t.match(series.frames[2], { size: undefined, position: { xUm: 2, yUm: -2 } })
  const doubled = [0, 0, 1, 1, 2, 2, 3, 3]
  t.same(
    await valuesOf(source, 1),
    [0, 0, 1, 1].flatMap(y => doubled.map(x => 100 + 10 * y + x)),
  )
  t.same((await valuesOf(source, 3)).slice(8, 16), [90, 91, 92, 93, 94, 95, 96, 97])
})

t.test('what a photo covers is told where the file says it badly', async t => {
  const maps: ArrayContent = { name: 'nmf_elementmaps', shape: [1, 2, 4], value: () => 1 }
  const photo: ArrayContent = { name: 'reg_im', shape: [4, 8, 3], dtype: '|u1', value: () => 2 }
  const folder = t.testdir({})
  const odd = await open(writeDatastack(join(folder, 'none.datastack'), [maps, photo]))
  t.match(odd.series.problems, [/there is no reg_extent/, /^The 1 maps in nmf_elementmaps are numbered/])
  t.same(odd.series.frameSize, { width: 8, height: 4 })
  const extent: ArrayContent = { name: 'reg_extent', shape: [4], value: ([i]) => [0, 1e-9, 1e-9, 0][i] }
  const tiny = await open(writeDatastack(join(folder, 'tiny.datastack'), [maps, photo, extent]))
  t.match(
    tiny.series.problems[0],
    /^The photo reg_im is left out: .* on a grid of \d+ px an edge; up to 262144 are shown\.$/,
  )
  t.same(
    tiny.series.channels.map(({ name }) => name),
    ['Map 1'],
  )
})

t.test('the spectra: their sum, and each channel as a plane with its energy', async t => {
  const source = await open(SECOND, 'maxrf_cube')
  const { series } = source
  t.match(series, {
    zPlanes: 48,
    sampleType: 'float32',
    channels: [{ name: 'Sum' }, { name: 'Counts', active: false }],
  })
  t.match(series.axes, { zPlane: { name: 'Energy', unit: 'keV' } })
  t.equal(series.axes!.zPlane!.values.length, 48)
  t.equal(series.axes!.zPlane!.values[47], 40)
  const planes = await Promise.all(Array.from({ length: 48 }, (_, z) => planeOf(source, 1, z)))
  const cube = new Float32Array(60 * 80 * 48)
  for (const [z, { samples }] of planes.entries())
    for (let i = 0; i < samples.length; i++) cube[48 * i + z] = samples[i]
  t.equal(sha256(bytesOfSamples(cube)), truth.v2.arrays.maxrf_cube.sha256)
  const sums = Float32Array.from({ length: 60 * 80 }, (_, i) =>
    cube.subarray(48 * i, 48 * i + 48).reduce((a, b) => a + b),
  )
  for (const z of [0, 47]) {
    const { samples } = await planeOf(source, 0, z)
    t.ok(
      samples.every((value, i) => Math.abs(value / sums[i] - 1) < 1e-6),
      `plane ${z} has the sum, too`,
    )
  }
})

t.test('a file without maps shows its spectra, and one of photos its photo', async t => {
  const folder = t.testdir({})
  const cube: ArrayContent = {
    name: 'maxrf_cube_',
    dtype: '<u2',
    shape: [2, 3, 300],
    value: ([y, x, i]) => y + x + (i % 2),
  }
  const spectra = await open(writeDatastack(join(folder, 'a.datastack'), [cube]))
  t.match(spectra.series, { channels: [{ name: 'Sum' }], zPlanes: 1, sampleType: 'uint32' })
  t.match(spectra.series.problems, [/^Its 300 channels are shown as their sum; up to 256 are shown one by one\.$/])
  t.same(await valuesOf(spectra), [150, 450, 750, 450, 750, 1050])
  const photo: ArrayContent = {
    name: 'imvis_reg',
    dtype: '|u1',
    shape: [2, 3, 3],
    value: ([y, x, i]) => 100 * i + 10 * y + x,
  }
  const picture = await open(writeDatastack(join(folder, 'b.datastack'), [photo]))
  t.match(picture.series, { channels: [{ name: 'Red' }, { name: 'Green' }, { name: 'Blue' }], sampleType: 'uint8' })
  t.same(await valuesOf(picture, 2), [200, 201, 202, 210, 211, 212])
})

t.test('large images come in blocks of whole chunks, of every type and order', async t => {
  const value = ([y, x]: readonly number[]): number => (7 * y + x) % 100
  const path = writeDatastack(join(t.testdir({}), 'large.datastack'), [
    { name: 'plain', shape: [1100, 2300], dtype: '|u1', chunks: [300, 700], value },
    { name: 'turned', shape: [70, 90], dtype: '>f4', order: 'F', chunks: [32, 64], value },
    { name: 'signed', shape: [70, 90], dtype: '|i1', value: place => value(place) - 50 },
    { name: 'flags', shape: [70, 90], dtype: '|b1', value: place => value(place) % 2 },
    { name: 'long', shape: [70, 90], dtype: '<i8', value: place => -1e15 - value(place) },
  ])
  const source = await open(path, 'plain')
  t.same(source.series.frameSize, { width: 700, height: 900 })
  t.equal(source.series.frames.length, 8)
  for (const { index, offsetPx, position, size = source.series.frameSize } of source.series.frames) {
    const { samples } = await source.readFrame(index)
    const { x, y } = offsetPx!
    t.same(position, { xUm: x, yUm: y })
    t.equal(samples.length, size.width * size.height)
    const wrong = samples.findIndex(
      (sample, i) => sample !== value([y + Math.floor(i / size.width), x + (i % size.width)]),
    )
    t.equal(wrong, -1)
  }
  const last = value([69, 89])
  for (const [name, sampleType, expected] of [
    ['turned', 'float32', last],
    ['signed', 'int16', last - 50],
    ['flags', 'uint8', last % 2],
    ['long', 'float64', -1e15 - last],
  ] as const) {
    const other = await open(path, name)
    t.equal(other.series.sampleType, sampleType)
    t.equal((await valuesOf(other)).at(-1), expected)
  }
})

t.test('a large chunk is unpacked in bands, whatever order its blocks lie in', async t => {
  const shape = [2, 1100, 1000]
  const samples = Float32Array.from({ length: 2_200_000 }, (_, i) => ((i * i) % 9973) / 8)
  const compressor = { id: 'blosc', cname: 'lz4', clevel: 5, shuffle: 1, blocksize: 0 }
  const metadata = {
    zarr_format: 2,
    shape,
    chunks: shape,
    dtype: '<f4',
    order: 'C',
    compressor,
    filters: null,
    fill_value: 0,
  }
  const blosc = (await registry.get('blosc')!()).fromConfig(compressor, {} as never)
  const packed = Buffer.from((await blosc.encode(new Uint8Array(samples.buffer))) as Uint8Array)
  const first = { name: 'nmf_elementmaps/.zarray', bytes: Buffer.from(JSON.stringify(metadata)) }
  const chunk = { name: 'nmf_elementmaps/0.0.0' }
  const folder = t.testdir({})
  const contents = { straight: packed, turned: turnBlocks(packed), stored: storeBlocks(bytesOfSamples(samples)) }
  for (const [name, bytes] of Object.entries(contents)) {
    const source = await open(writeZip(join(folder, `${name}.datastack`), [ROOT_ENTRY, first, { ...chunk, bytes }]))
    t.ok(source.reader!.heldBytes! < 100e6, 'less than the chunk is held')
    const maps = await Promise.all([0, 1].map(map => planeOf(source, map)))
    t.equal(sha256(...maps.map(plane => bytesOfSamples(plane.samples))), sha256(bytesOfSamples(samples)), name)
  }
  const damaged = writeZip(join(folder, 'damaged.datastack'), [
    ROOT_ENTRY,
    first,
    { ...chunk, bytes: packed, declared: { crc32: 1 } },
  ])
  await t.rejects(
    open(damaged).then(source => source.readFrame(0)),
    { name: 'CorruptDataError', message: /its checksum is another one/ },
  )
})

/** The same frame with its blocks the other way around, as threads may leave them. */
function turnBlocks(frame: Buffer): Buffer {
  const count = Math.ceil(frame.readUInt32LE(4) / frame.readUInt32LE(8))
  const starts = Array.from({ length: count }, (_, i) => frame.readUInt32LE(16 + 4 * i))
  const blocks = starts.map((start, i) => frame.subarray(start, starts[i + 1] ?? frame.length))
  const head = Buffer.from(frame.subarray(0, 16 + 4 * count))
  let end = head.length
  for (let i = count - 1; i >= 0; i--) {
    head.writeUInt32LE(end, 16 + 4 * i)
    end += blocks[i].length
  }
  return Buffer.concat([head, ...blocks.reverse()])
}

/** A frame that is not packed at all. */
function storeBlocks(bytes: Uint8Array): Buffer {
  const head = Buffer.alloc(16)
  head.set([2, 1, 0x02, 4])
  head.writeUInt32LE(bytes.length, 4)
  head.writeUInt32LE(2 ** 18, 8)
  head.writeUInt32LE(bytes.length + 16, 12)
  return Buffer.concat([head, bytes])
}

t.test('what is no image, or not there, is said in a sentence', async t => {
  const folder = t.testdir({ 'a.datastack': 'no archive at all, but long enough to be one' })
  const some = writeDatastack(join(folder, 'b.datastack'), [{ name: 'line', shape: [5], value: () => 0 }])
  const empty = writeZip(join(folder, 'c.datastack'), [])
  const refused: [string, string | undefined, string, string][] = [
    [join(folder, 'a.datastack'), undefined, 'UnsupportedDataError', 'is no ZIP archive, or its end is missing'],
    [join(folder, 'none.datastack'), undefined, 'NotFoundError', 'does not exist'],
    [some, undefined, 'UnsupportedDataError', `but line; one of them is shown as ${some}#line.`],
    [some, 'line', 'UnsupportedDataError', 'is no image but 5 float32; images have two or three axes of numbers.'],
    [some, 'other', 'NotFoundError', `${some}#other does not exist.`],
    [empty, undefined, 'UnsupportedDataError', 'holds no zarr arrays.'],
    [SECOND, 'nmf_elements', 'UnsupportedDataError', 'is no image but 11 texts'],
  ]
  for (const [path, inside, name, message] of refused) {
    const error = await open(path, inside).catch(failure => failure)
    t.equal(error.name, name)
    t.ok(error.message.includes(message) && error.message.includes(path), error.message)
  }
})

/** A file with one map whose array is described by `metadata`, and whose chunk is stored as `chunk`. */
function writeOdd(t: Test, metadata: object, chunk: Partial<ZipContent> = {}): string {
  const described = {
    zarr_format: 2,
    shape: [4, 4],
    chunks: [4, 4],
    dtype: '<f4',
    order: 'C',
    compressor: null,
    filters: null,
    fill_value: 0,
  }
  const folder = t.testdir({})
  return writeZip(join(folder, 'odd.datastack'), [
    ROOT_ENTRY,
    { name: 'm/.zarray', bytes: Buffer.from(JSON.stringify({ ...described, ...metadata })) },
    { name: 'm/0.0', bytes: Buffer.alloc(64), ...chunk },
  ])
}

t.test('damaged and hostile files are refused before memory is taken', async t => {
  const blosc = { compressor: { id: 'blosc', cname: 'lz4', clevel: 5, shuffle: 1, blocksize: 0 } }
  const bomb = Buffer.alloc(64)
  bomb.set([2, 1, 0x21, 4])
  bomb.writeUInt32LE(0x7fffffff, 4)
  bomb.writeUInt32LE(64, 12)
  const cases: [object, Partial<ZipContent>, string, RegExp][] = [
    [{}, { declared: { crc32: 1 } }, 'CorruptDataError', /m\/0\.0 is damaged: its checksum is another one\.$/],
    [{}, { bytes: Buffer.alloc(60) }, 'CorruptDataError', /#m has a chunk of 15 samples; 16 are expected\.$/],
    [{}, { declared: { flags: 1 } }, 'UnsupportedDataError', /m\/0\.0 is encrypted/],
    [{}, { declared: { method: 12 } }, 'UnsupportedDataError', /m\/0\.0 is packed by method 12/],
    [
      {},
      { bytes: Buffer.alloc(2 ** 24), isDeflated: true, declared: { bytes: 64 } },
      'CorruptDataError',
      /m\/0\.0 is damaged: it cannot be unpacked to the length/,
    ],
    [
      {},
      { isDeflated: true, declared: { bytes: 2 ** 31 } },
      'LimitExceededError',
      /m\/0\.0 has 2147483648 bytes; up to \d+ are read\.$/,
    ],
    [
      { shape: [1e6, 1e6], chunks: [1e5, 1e5] },
      {},
      'LimitExceededError',
      /#m has chunks of 40000000000 bytes; up to 268435456 are read\.$/,
    ],
    [{ shape: [2 ** 40, 4] }, {}, 'LimitExceededError', /#m has the shape 1099511627776 × 4; up to 16777216 an edge/],
    [
      { shape: [2048, 2048], chunks: [1, 1] },
      {},
      'LimitExceededError',
      /#m is cut into 4194304 chunks; up to 1048576 are read\.$/,
    ],
    [
      { shape: [4, -1] },
      {},
      'CorruptDataError',
      /#m has the shape \[4,-1\] and chunks of \[4,4\], which makes no array\.$/,
    ],
    [{ chunks: [4] }, {}, 'CorruptDataError', /which makes no array\.$/],
    [{ dtype: '<f2' }, {}, 'UnsupportedDataError', /#m has samples of float16, which are not read\.$/],
    [{ compressor: { id: 'pickle' } }, {}, 'UnsupportedDataError', /#m cannot be read: .*pickle/],
    [
      blosc,
      { bytes: bomb },
      'CorruptDataError',
      /#m has a chunk packed by blosc that unpacks to 2147483647 bytes; 64 are expected\.$/,
    ],
    [
      { compressor: { id: 'zstd', level: 0 } },
      { bytes: Buffer.from('28b52ffde0ffffffffff0f0000010000', 'hex') },
      'CorruptDataError',
      /packed by zstd that unpacks to \d+ bytes/,
    ],
    [
      { compressor: { id: 'gzip', level: 1 } },
      { bytes: Buffer.from('not gzip') },
      'CorruptDataError',
      /packed by gzip that unpacks to an unknown number of bytes/,
    ],
  ]
  for (const [metadata, chunk, name, message] of cases) {
    const path = writeOdd(t, metadata, chunk)
    const error = await open(path, 'm')
      .then(source => source.readFrame(0))
      .then(
        () => undefined,
        failure => failure,
      )
    t.equal(error?.name, name, error?.message)
    t.match(error?.message, message)
    t.ok(error?.message.includes(path), error?.message)
  }
  const cut = join(t.testdir({}), 'cut.datastack')
  const whole = readFileSync(DUPLICATES)
  for (const kept of [0, 10, whole.length - 30, whole.length - 1]) {
    writeFileSync(cut, whole.subarray(0, kept))
    await t.rejects(open(cut, 'm'), { name: 'UnsupportedDataError' })
  }
})

t.test('the command line describes a file, builds it and shows what is inside of it', async t => {
  const output = join(t.testdir({}), 'out')
  const described = await tilestage(['info', '--json', `${SECOND}#nmf_peakmaps`])
  t.match(JSON.parse(described.stdout).series[0].channels, [
    { name: 'Peak 1' },
    { name: 'Peak 2' },
    { name: 'Continuum' },
  ])
  const { status, stderr } = await tilestage(['build', THIRD, '--output', output])
  t.equal(status, 0, stderr)
  const built = JSON.parse((await tilestage(['info', '--json', output])).stdout)
  t.match(JSON.stringify(built), /Photo Green/)
})

t.test('maps that would come in too many blocks are refused before memory is taken for them', async t => {
  const metadata = {
    ...{ zarr_format: 2, shape: [256, 2 ** 19, 2 ** 19], chunks: [1, 8192, 8192], dtype: '<f4', order: 'C' },
    ...{ compressor: null, filters: null, fill_value: 0 },
  }
  const bytes = Buffer.from(JSON.stringify(metadata))
  const path = writeZip(join(t.testdir({}), 'huge.datastack'), [ROOT_ENTRY, { name: 'nmf_elementmaps/.zarray', bytes }])
  await t.rejects(open(path), {
    name: 'LimitExceededError',
    message: /huge\.datastack: its images come in 67108864 blocks; up to 1048576 are read\.$/,
  })
})
