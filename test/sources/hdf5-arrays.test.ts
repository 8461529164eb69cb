import { createHash } from 'node:crypto'
import { readFileSync, renameSync, truncateSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { type Dataset, File, ready } from 'h5wasm/node'
import t, { type Test } from 'tap'
import { bytesOfSamples, type SampleArray } from '../../src/plane.js'
import type { FrameSource } from '../../src/sources/frame-source.js'
import {
  type ArrayView,
  blockSize,
  boxOf,
  isInBands,
  MAX_KEPT_BYTES,
  slabAround,
} from '../../src/sources/hdf5/array-view.js'
import { fitGrid } from '../../src/sources/hdf5/coordinates.js'
import { hdf5Pool } from '../../src/sources/hdf5/hdf5-pool.js'
import { cutBlocks } from '../../src/sources/image-blocks.js'
import { locateSeries, openSources } from '../../src/sources/open-source.js'
import type { SourceOptions } from '../../src/sources/source-options.js'
import { unpackFixture } from '../unpack-fixture.js'
import { checkFrameSource, type MadeSeries, type SeriesKind } from './frame-source-contract.js'
import { readInThread, sameSamples } from './read-as-worker.js'
import { stitchFrames } from './stitch-frames.js'
import { type ArrayParts, writeArray, writeArrays } from './write-array.js'

interface Truth {
  readonly shape?: number[]
  readonly dtype?: string
  readonly sha256_le?: string
  readonly lossy?: string
}

const truth: Record<string, Record<string, Truth>> = JSON.parse(
  readFileSync(new URL('../fixtures/h5/truth.json', import.meta.url), 'utf8'),
)
const UNREADABLE = ['/blosc_zlib', '/blosc_snappy', '/ca_blosc_zlib', '/ca_blosc_snappy', '/ca_lzo']
/** Types that are stored as another one: their bytes are not those of the file. */
const STORED_AS: Readonly<Record<string, (samples: SampleArray) => ArrayBufferView>> = {
  i1: samples => Int8Array.from(samples),
  u8: samples => BigUint64Array.from(samples, BigInt),
  i8: samples => BigInt64Array.from(samples, BigInt),
}

t.teardown(() => hdf5Pool.close())

async function open(path: string, options?: SourceOptions): Promise<FrameSource> {
  const { sources } = await openSources([path], options)
  return sources[0]
}

function unpack(t: Test, ...names: string[]): string[] {
  const folder = t.testdir({})
  return names.map(name => unpackFixture(folder, `h5/${name}`))
}

/** All planes of a file's first channel, one after the other. */
async function readPlanes(source: FrameSource): Promise<SampleArray[]> {
  const { zPlanes, timePoints = 1 } = source.series
  const planes: SampleArray[] = []
  for (let timePoint = 0; timePoint < timePoints; timePoint++)
    for (let zPlane = 0; zPlane < zPlanes; zPlane++)
      planes.push((await stitchFrames(source, { zPlane, timePoint })).samples)
  return planes
}

/** An array of uint16 in which every sample says where it is. */
function counted(length: number): Uint16Array {
  return Uint16Array.from({ length }, (_, i) => i)
}

const stack: SeriesKind = {
  name: 'HDF5 array',
  async make(t): Promise<MadeSeries> {
    const folder = t.testdir({})
    const path = join(folder, 'stack.h5')
    const [width, height] = [40, 30]
    let order = [0, 1, 2, 3]
    const write = (name: string): Promise<string> =>
      writeArray(join(folder, name), {
        data: Uint16Array.from(
          { length: 4 * width * height },
          (_, i) => 7919 * (order[Math.floor(i / (width * height))] + 1) + (i % (width * height)),
        ),
        shape: [4, height, width],
        chunks: [1, height, width],
      })
    await write('stack.h5')
    return {
      isOneFile: true,
      open: () => open(path),
      fileOf: () => path,
      async cutShort(_, keptBytes) {
        truncateSync(path, keptBytes)
      },
      async replace(index, other) {
        order = order.with(index, order[other])
        const beside = await write('next.h5')
        utimesSync(beside, new Date(), new Date(2030, 0))
        renameSync(beside, path)
      },
    }
  },
}

checkFrameSource(t, stack)

t.test('blocks lie edge to edge', async t => {
  t.same(cutBlocks({ width: 5, height: 3 }, { width: 4, height: 2 }), [
    { x: 0, y: 0, width: 4, height: 2 },
    { x: 4, y: 0, width: 1, height: 2 },
    { x: 0, y: 2, width: 4, height: 1 },
    { x: 4, y: 2, width: 1, height: 1 },
  ])
})

t.test('every readable array has the samples that were written, whatever its type, filter and layout', async t => {
  const names = ['filters.h5', 'dtypes.h5', 'layouts.h5', 'latest.h5', 'pytables.h5', 'userblock.h5']
  const [...paths] = unpack(t, ...names, 'external_raw.bin')
  let read = 0
  for (const [i, name] of names.entries()) {
    for (const [dataset, { shape = [], dtype = '', sha256_le, lossy }] of Object.entries(truth[name])) {
      if (!sha256_le || lossy || shape.length < 2 || UNREADABLE.includes(dataset) || dtype === '<f2') continue
      const source = await open(`${paths[i]}#${dataset}`)
      const back = STORED_AS[dtype.slice(1)] ?? ((samples: SampleArray) => bytesOfSamples(samples))
      const hash = createHash('sha256')
      for (const plane of await readPlanes(source)) {
        const { buffer, byteOffset, byteLength } = back(plane)
        hash.update(new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength))
      }
      t.equal(hash.digest('hex'), sha256_le, `${name} ${dataset}`)
      read++
    }
  }
  t.ok(read > 40, `${read} arrays`)
})

t.test('a filter that cannot be read is refused before a pixel is', async t => {
  const [filters, pytables] = unpack(t, 'filters.h5', 'pytables.h5')
  for (const [path, dataset, filter] of [
    [filters, '/blosc_zlib', 'blosc (32001) with zlib'],
    [filters, '/blosc_snappy', 'blosc (32001) with snappy'],
    [pytables, '/ca_lzo', 'lzo (305)'],
  ]) {
    const message = `${path}: the dataset ${dataset} is compressed by ${filter}, which cannot be read; `
    const error = await open(`${path}#${dataset}`).catch((error: Error) => error)
    t.match(error, { name: 'UnsupportedDataError' })
    t.ok(String(error).includes(message), String(error))
  }
})

t.test('a damaged chunk costs its own pixels and no others', async t => {
  const [path, good] = unpack(t, 'bad_chunk.h5', 'filters.h5')
  const source = await open(path)
  const whole = (await stitchFrames(await open(`${good}#/contiguous`))).samples
  const bad: object[] = []
  const different: number[] = []
  // What was read last must not be seen as samples.
  const into = new Uint8Array(2 ** 16).fill(0xa5)
  for (const { index, offsetPx, size = source.series.frameSize } of source.series.frames) {
    const { x, y } = offsetPx!
    try {
      const { samples } = await source.readFrame(index, { into } as object)
      for (let i = 0; i < size.height; i++)
        for (let j = 0; j < size.width; j++)
          if (samples[i * size.width + j] !== whole[(y + i) * 128 + x + j]) different.push(index)
    } catch (error) {
      t.match(error, { name: 'CorruptDataError', message: /\/img cannot be read from 32, 48 on/ })
      bad.push(offsetPx!)
    }
  }
  t.same(different, [])
  t.same(bad, [{ x: 48, y: 32 }])
})

t.test('NeXus data lies where its axes say', async t => {
  const [path] = unpack(t, 'nxdata.h5')
  const source = await open(path)
  const { pixelSizeUm, frames, channels } = source.series
  t.same(pixelSizeUm, { x: 0.5, y: 0.5 })
  t.same(frames[0].position, { xUm: 10, yUm: -3 })
  t.same(channels, [{ name: 'counts', unit: 'counts' }])
  const sha = createHash('sha256').update(bytesOfSamples((await stitchFrames(source)).samples))
  t.equal(sha.digest('hex'), truth['filters.h5']['/contiguous'].sha256_le)
  t.same((await open(`${path}#/entry/data/counts`)).series.pixelSizeUm, { x: 0.5, y: 0.5 })
  t.same((await open(path, { unitUm: 1000 })).series.pixelSizeUm, { x: 500, y: 500 })
})

t.test('axes beside rows and columns are planes, the last of them the fastest', async t => {
  const path = await writeArray(join(t.testdir({}), 'a.h5'), { data: counted(2 * 3 * 9 * 10), shape: [2, 3, 9, 10] })
  const source = await open(path)
  t.match(source.series, { zPlanes: 3, timePoints: 2, isUncalibrated: true, pixelSizeUm: { x: 1, y: 1 } })
  const firsts = (await readPlanes(source)).map(samples => samples[0])
  t.same(firsts, [0, 90, 180, 270, 360, 450])
})

t.test('three samples of eight bits a pixel are red, green and blue', async t => {
  const data = Uint8Array.from({ length: 9 * 10 * 3 }, (_, i) => i)
  const source = await open(
    await writeArray(join(t.testdir({}), 'a.h5'), { data, shape: [9, 10, 3], chunks: [9, 10, 3] }),
  )
  t.same(
    source.series.channels,
    [
      ['R', 'ff0000'],
      ['G', '00ff00'],
      ['B', '0000ff'],
    ].map(([name, color]) => ({ name, color, active: true })),
  )
  for (const channel of [0, 1, 2]) {
    const { samples } = await stitchFrames(source, { channel })
    t.same([...samples.slice(0, 3)], [channel, channel + 3, channel + 6])
  }
})

t.test('what a pixel has several of is colours or layers, and what was assumed is said', async t => {
  const path = join(t.testdir({}), 'a.h5')
  const understood = async (shape: number[], parts: Partial<ArrayParts> = {}, options?: SourceOptions) => {
    const count = shape.reduce((product, length) => product * length, 1)
    const data = parts.data ? parts.data.slice(0, count) : Uint8Array.from({ length: count }, (_, i) => i)
    const source = await open(await writeArray(path, { ...parts, data, shape }), options)
    const { channels, zPlanes, problems, frameSize } = source.series
    const firsts: number[] = []
    for (const channel of channels.keys()) firsts.push((await stitchFrames(source, { channel })).samples[1]!)
    const [assumed = ''] = problems.map(problem => /: (took .*)\.$/.exec(problem)?.[1] ?? problem)
    const names = channels.map(({ name }) => name).join()
    return [names, zPlanes, `${frameSize.height} × ${frameSize.width}`, firsts.join(), assumed]
  }
  const floats = { data: Float32Array.from({ length: 1000 }, (_, i) => i) }
  const colours = 'took its last axis to be colours; where it is the columns of an image, --axes zyx says so'
  t.same(await understood([9, 10, 3], floats), ['R,G,B', 1, '9 × 10', '3,4,5', colours])
  t.same(await understood([9, 10, 4]), ['R,G,B', 1, '9 × 10', '4,5,6', colours])
  const layers = colours.replace('colours', '2 layers')
  t.same(await understood([9, 10, 2], floats), ['images 0,images 1', 1, '9 × 10', '2,3', layers])
  t.same(await understood([9, 10, 2], floats, { axes: 'yxn' }), ['images', 2, '9 × 10', '2', ''])
  const images = 'took it for 3 images; where they are the colours of one, --axes cyx says so'
  t.same(await understood([3, 9, 10]), ['images', 3, '9 × 10', '1', images])
  t.same(await understood([3, 9, 10], {}, { axes: 'cyx' }), ['R,G,B', 1, '9 × 10', '1,91,181', ''])
  const planes = { CLASS: 'IMAGE', IMAGE_SUBCLASS: 'IMAGE_TRUECOLOR', INTERLACE_MODE: 'INTERLACE_PLANE' }
  t.same(await understood([3, 9, 10], { attributes: planes }), ['R,G,B', 1, '9 × 10', '1,91,181', ''])
  const lines = { ...planes, INTERLACE_MODE: 'INTERLACE_LINE' }
  t.same(await understood([9, 3, 10], { attributes: lines }), ['R,G,B', 1, '9 × 10', '1,11,21', ''])
  const tags = { axistags: '{"axes": [{"key": "c", "typeFlags": 1}, {"key": "y"}, {"key": "x"}]}' }
  const classes = 'images 0,images 1,images 2'
  t.same(await understood([3, 9, 10], { ...floats, attributes: tags }), [classes, 1, '9 × 10', '1,91,181', ''])
  await t.rejects(open(path, { axes: 'yx' }), {
    message: `${path}: /images has 3 axes (3 × 9 × 10), and --axes yx names 2.`,
  })
})

t.test('names of axes say which are rows and columns, and element_size_um how large pixels are', async t => {
  const path = await writeArray(join(t.testdir({}), 'a.h5'), {
    ...{ data: counted(9 * 10 * 11), shape: [9, 10, 11] },
    attributes: { DIMENSION_LABELS: ['x', 'y', 'energy'], element_size_um: Float32Array.of(1, 0.2, 0.1) as never },
  })
  const source = await open(path)
  t.match(source.series, { zPlanes: 11, pixelSizeUm: { x: 0.1, y: 0.2 }, axes: { zPlane: { name: 'energy' } } })
  const { width, height, samples } = await stitchFrames(source, { zPlane: 4 })
  t.same([width, height, samples[0], samples[1], samples[width]], [9, 10, 4, 4 + 110, 4 + 11])
})

t.test('of several images one is to be named, and what has none says what there is', async t => {
  const folder = t.testdir({})
  const image = { data: counted(90), shape: [9, 10] }
  const path = await writeArrays(join(folder, 'a.h5'), [
    { ...image, name: 'first' },
    { ...image, name: 'second' },
    { name: 'table', data: counted(12), shape: [6, 2] },
  ])
  await t.rejects(open(path), {
    name: 'UnsupportedDataError',
    message: `${path} holds 2 images; name one of them: ${path}#/first, ${path}#/second.`,
  })
  t.equal((await open(`${path}#second`)).series.frames.length, 1)
  await t.rejects(open(`${path}#/third`), {
    name: 'NotFoundError',
    message: /holds no \/third; at its top there are first/,
  })
  const other = await writeArray(join(folder, 'b.h5'), { name: 'table', data: counted(12), shape: [6, 2] })
  await t.rejects(open(other), { name: 'UnsupportedDataError', message: /without an image \(it holds table\)/ })
})

t.test(
  'arrays of five axes, names with the sign that parts them from the file, and other endings are read',
  async t => {
    const data = counted(2 * 9 * 10)
    const attributes = { axistags: '{"axes":[{"key":"t"},{"key":"z"},{"key":"y"},{"key":"x"},{"key":"c"}]}' }
    const path = join(t.testdir({}), 'run #2.nxs')
    await writeArray(path, { name: 'plate #1', data, shape: [2, 1, 9, 10, 1], attributes })
    for (const name of [path, `${path}#plate #1`]) {
      const source = await open(name)
      t.match(source.series, { zPlanes: 2, axes: { zPlane: { name: 't' } }, channels: [{ name: 'plate #1' }] })
      t.same(
        (await readPlanes(source)).map(samples => samples[1]),
        [1, 91],
        name,
      )
    }
  },
)

t.test('integers of 64 bits are told that they may be rounded', async t => {
  const data = BigInt64Array.from({ length: 90 }, (_, i) => -BigInt(i))
  const { series } = await open(await writeArray(join(t.testdir({}), 'a.h5'), { data, shape: [9, 10] }))
  t.equal(series.sampleType, 'float64')
  t.match(series.problems, [/Integers of 64 bits become float64.*: images\.$/])
})

t.test('a worker thread reads blocks of an array that is larger than a block', async t => {
  const [width, height] = [1500, 1100]
  const path = await writeArray(join(t.testdir({}), 'a.h5'), {
    ...{ data: counted(width * height), shape: [height, width], chunks: [16, 1500] },
  })
  const source = await open(path)
  t.ok(source.series.frames.length > 1)
  const indices = source.series.frames.map(({ index }) => index)
  const planes = await readInThread(source.reader!, indices)
  const different: number[] = []
  for (const index of indices) if (!sameSamples(planes[index], await source.readFrame(index))) different.push(index)
  t.same(different, [])
  const { samples } = await stitchFrames(source)
  t.equal(Buffer.compare(bytesOfSamples(samples), bytesOfSamples(counted(width * height))), 0)
})

t.test('an array that is overwritten, or grows, is seen as it is', async t => {
  const path = join(t.testdir({}), 'a.h5')
  await writeArray(path, { data: counted(90), shape: [1, 9, 10] })
  const { locations } = await locateSeries([path])
  const followed = locations[0].follow(true)
  t.ok(await followed.look(0, 0))
  const first = followed.source!
  t.same((await first.readFrame(0)).samples[5], 5)
  t.equal(first.series.complete, false)
  await writeArray(path, { data: counted(180).map(count => count + 1000), shape: [2, 9, 10] })
  utimesSync(path, new Date(), new Date(2030, 0))
  t.ok(await followed.look(100, 0))
  const { series } = followed.source!
  t.equal(series.zPlanes, 2)
  t.not(series.fingerprint, first.series.fingerprint)
  t.same(
    (await readPlanes(followed.source!)).map(plane => plane[5]),
    [1005, 1095],
  )
  await followed.look(100_000, 0)
  t.equal(followed.source!.series.complete, true)
  await followed.close()
})

t.test('what shares chunks is decoded together, as far as memory goes', async t => {
  const view = (shape: number[], chunks: number[], x: number, y: number, plane?: number): ArrayView => ({
    ...{ dataset: '/a', shape, chunks, elementBytes: 2 },
    x: { axis: x, stride: 1, length: shape[x] },
    y: { axis: y, stride: 1, length: shape[y] },
    planes: plane === undefined ? [] : [{ axis: plane, stride: 1, length: shape[plane] }],
  })
  const large = view([40000, 40000], [500, 500], 1, 0)
  t.same(blockSize(large), { width: 1000, height: 1000 })
  const slabOf = (one: ArrayView, plane: number) =>
    slabAround(one, boxOf(one, { x: 0, y: 0, ...blockSize(one) }, plane))
  t.same(slabOf(large, 0), { offset: [0, 0], count: [1000, 1000] })
  t.same(slabOf(view([100, 512, 512], [8, 256, 256], 2, 1, 0), 11), { offset: [8, 0, 0], count: [8, 256, 256] })
  const deep = slabOf(view([512, 512, 4096], [512, 512, 4096], 1, 0, 2), 100)
  t.same(deep.count.slice(0, 2), [512, 512])
  t.ok(deep.count[2]! >= 64 && deep.offset[2]! <= 100 && deep.offset[2]! + deep.count[2]! > 100)
})

t.test('bands of rows are cut into parts of which a row of shards is kept', async t => {
  for (const band of [1, 16]) {
    const view: ArrayView = {
      ...{ dataset: '/a', shape: [4096, 40000], chunks: [band, 40000], elementBytes: 2, planes: [] },
      x: { axis: 1, stride: 1, length: 40000 },
      y: { axis: 0, stride: 1, length: 4096 },
    }
    t.ok(isInBands(view))
    const shards = cutBlocks({ width: 40000, height: 2048 }, blockSize(view))
    const slabs = shards.map(block => slabAround(view, boxOf(view, block, 0)))
    const parts = new Set(slabs.map(({ offset }) => offset[1]))
    t.same([...parts], [0, 10240, 20480, 30720])
    t.ok(slabs.every(({ count }) => 2048 * count[1]! * 2 <= MAX_KEPT_BYTES))
  }
})

t.test('coordinates that were rounded to float32 are those of an even grid', async t => {
  const single = (values: number[]): number[] => [...Float32Array.from(values)]
  const steps = Array.from({ length: 128 }, (_, i) => 73 + 0.2 * i)
  t.same(fitGrid(single(steps), true), { origin: 73, step: 0.2, isReversed: false, isUneven: false })
  t.same(fitGrid(single([0.3, 0.2, 0.1]), true), { origin: 0.1, step: 0.1, isReversed: true, isUneven: false })
  t.match(fitGrid([0, 1, 2, 7], false), { step: 1, isUneven: true })
  t.match(fitGrid([5], false), { origin: 5, step: 1, isUneven: false })
})

t.test('coordinates that are no numbers give no places, and none that no number holds are taken', async t => {
  const folder = t.testdir({})
  const write = (name: string, coordinates: readonly number[]): Promise<string> =>
    writeArrays(join(folder, name), [
      { name: 'images', data: counted(80), shape: [8, 10] },
      { name: 'y', data: Float64Array.from({ length: 8 }, (_, i) => i), shape: [8], attributes: { units: 'um' } },
      { name: 'x', data: Float64Array.from(coordinates), shape: [10], attributes: { units: 'm' } },
    ])
  const steps = Array.from({ length: 10 }, (_, i) => i)
  const root = async (path: string): Promise<string> => {
    await ready
    const file = new File(path, 'a')
    file.create_attribute('NX_class', 'NXdata')
    file.create_attribute('signal', 'images')
    file.create_attribute('axes', ['y', 'x'])
    file.close()
    return path
  }
  const { series } = await open(await root(await write('nan.h5', [Number.NaN, ...steps.slice(1)])))
  t.equal(series.isUncalibrated, true)
  t.same(series.frames[0].position, { xUm: 0, yUm: 0 })
  t.match(series.problems, [/coordinates that are no finite numbers, so that only pixels are known\.$/])
  await t.rejects(
    open(
      await root(
        await write(
          'far.h5',
          steps.map(step => step * 1e307),
        ),
      ),
    ),
    {
      name: 'CorruptDataError',
      message: /far\.h5 has pixels of .* µm on, which is no place for an image\.$/,
    },
  )
})

t.test('an object that is linked to from everywhere is not read from everywhere', async t => {
  const path = await writeArray(join(t.testdir({}), 'links.h5'), { data: counted(400), shape: [20, 20] })
  await ready
  const file = new File(path, 'a')
  const images = file.get('images') as Dataset
  for (let i = 0; i < 20; i++) images.create_attribute(`a${i}`, new Float64Array(7000))
  for (let i = 0; i < 150; i++) file.create_hard_link('/images', `/link ${i}`)
  file.close()
  await t.rejects(open(path), { name: 'LimitExceededError', message: /links\.h5 has attributes of more than 128 MiB/ })
})

t.test('names in a file do not steer the terminal that they are shown on', async t => {
  const path = await writeArrays(
    join(t.testdir({}), 'names.h5'),
    ['a\x1b[31m\n', 'b\x9b'].map(name => ({ name, data: counted(400), shape: [20, 20] })),
  )
  await t.rejects(open(path), { message: /names\.h5#\/a\\x1b\[31m\\x0a, .*#\/b\\x9b\.$/ })
})
