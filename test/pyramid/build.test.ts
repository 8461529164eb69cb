import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { CorruptDataError, UnsupportedDataError } from '../../src/errors.js'
import { bytesOfSamples, type Rect, SAMPLE_TYPES } from '../../src/plane.js'
import { type BuildSettings, DEFAULT_SETTINGS } from '../../src/pyramid/build-settings.js'
import { gridOf } from '../../src/pyramid/mosaic-geometry.js'
import { openTilestagePyramid, readRecord } from '../../src/pyramid/pyramid-store.js'
import { checksumOf } from '../../src/pyramid/side-file.js'
import type { FrameSource } from '../../src/sources/frame-source.js'
import { readNpy } from '../../src/sources/npy.js'
import { openSources } from '../../src/sources/open-source.js'
import { build } from '../engine/build-for-test.js'
import { seededRandom } from '../seeded-random.js'
import { naiveMosaic, naivePymeTiles, naiveReduce } from './naive-mosaic.js'
import { readWithZarrita } from './read-with-zarrita.js'
import { brokenFrame, syntheticSource } from './synthetic-source.js'

const PLANE = { channel: 0, zPlane: 0, timePoint: 0 }
const plate = ['well_A1', 'well_A2', 'well_B1'].map(
  name => new URL(`../../examples/plate/${name}.pcs`, import.meta.url).pathname,
)
const fixture = (name: string): Buffer => readFileSync(new URL(`../fixtures/pyme/${name}`, import.meta.url))

async function openPlate(): Promise<FrameSource[]> {
  return (await openSources(plate)).sources as FrameSource[]
}

/** Every tile of a pyramid, by level, as our reader sees it. */
async function* tilesOf(path: string, selection = PLANE) {
  const pyramid = await openTilestagePyramid(path)
  for (let level = 0; level < pyramid.geometry.levelCount; level++) {
    const { columns, rows } = gridOf(pyramid.geometry, level)
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const address = { level, column, row }
        yield { pyramid, address, tile: await pyramid.readTile(selection, address) }
      }
    }
  }
  await pyramid.close()
}

/** Path of every file below a folder to the hash of its bytes. */
function hashes(folder: string, prefix = ''): Record<string, string> {
  return Object.fromEntries(
    readdirSync(join(folder, prefix), { withFileTypes: true }).flatMap(entry => {
      const name = join(prefix, entry.name)
      if (entry.isDirectory()) return Object.entries(hashes(folder, name))
      return [
        [
          name,
          createHash('sha256')
            .update(readFileSync(join(folder, name)))
            .digest('hex'),
        ],
      ]
    }),
  )
}

t.test("the pyme blend of the three wells is PYME's own pyramid at every level", async t => {
  const truth = JSON.parse(fixture('concat_A1_A2_B1_t256.json').toString()) as {
    metadata: Record<string, number>
    x_px: number[]
    y_px: number[]
    tiles: Record<string, string>
  }
  const sources = await openPlate()
  const frames = []
  for (const source of sources) for (const { index } of source.series.frames) frames.push(await source.readFrame(index))
  const naive = naivePymeTiles(
    frames.map((plane, i) => ({ plane, x: truth.x_px[i], y: truth.y_px[i] })),
    100,
    256,
  )

  // The naive tiles are PYME's, bit by bit: [x, y] float32, so transposed.
  let different = 0
  for (const [name, sha256] of Object.entries(truth.tiles)) {
    const [, level, x, y] = /^(\d+)\/000\/(\d+)\/(\d+)_img/.exec(name)?.map(Number) ?? []
    const tile = naive.get(`${level},${x},${y}`) ?? new Float32Array(65536)
    const transposed = Float32Array.from(tile, (_, i) => tile[(i % 256) * 256 + Math.floor(i / 256)])
    if (createHash('sha256').update(bytesOfSamples(transposed)).digest('hex') !== sha256) different++
  }
  t.equal(Object.keys(truth.tiles).length, 131)
  t.equal(different, 0)

  const output = join(t.testdir(), 'plate')
  const { record } = await build(sources, output, { blend: 'pyme', sampleType: 'float32' })
  t.equal(record.levelCount, truth.metadata['Pyramid.Depth'] + 1)
  t.ok(Math.abs(record.originUm.x - truth.metadata['Pyramid.x0']) < 1e-9)
  t.ok(Math.abs(record.originUm.y - truth.metadata['Pyramid.y0']) < 1e-9)
  t.same(await differencesFromPyme(output, naive), { tiles: 131 - emptyTiles(naive), wrong: 0, missing: 0 })
})

t.test('the pyme blend holds for counts up to 65,535 and a dark level that is no whole number', async t => {
  const random = seededRandom(11)
  const samples = Array.from({ length: 6 }, () =>
    Uint16Array.from({ length: 96 * 80 }, () => (random() < 0.1 ? 65535 : Math.floor(random() * 65536))),
  )
  const frames = samples.map((_, i) => ({ xUm: (i % 3) * 70.3, yUm: Math.floor(i / 3) * 61.7 }))
  const source = syntheticSource({
    frames,
    frameSize: { width: 96, height: 80 },
    darkLevel: 99.5,
    sample: (frame, x, y) => samples[frame][y * 96 + x],
  })
  const output = join(t.testdir(), 'bright')
  const { record } = await build([source], output, { blend: 'pyme', sampleType: 'float32', tileSize: 128 })
  const placed = await Promise.all(
    frames.map(async ({ xUm, yUm }, i) => ({
      plane: await source.readFrame(i),
      x: Math.round(xUm),
      y: Math.round(yUm),
    })),
  )
  t.equal(record.levelCount, 2)
  const naive = naivePymeTiles(placed, 99.5, 128)
  t.match(await differencesFromPyme(output, naive), { wrong: 0, missing: 0 })
})

function emptyTiles(naive: Map<string, Float32Array>): number {
  return [...naive.values()].filter(tile => tile.every(value => value === 0)).length
}

/** NaN stands for PYME's 0. */
async function differencesFromPyme(output: string, naive: Map<string, Float32Array>) {
  const found = { tiles: 0, wrong: 0, missing: 0 }
  for await (const { address, tile } of tilesOf(output)) {
    const expected = naive.get(`${address.level},${address.column},${address.row}`)
    if (!tile) {
      if (expected?.some(value => value !== 0)) found.missing++
      continue
    }
    if (tile.samples.some(value => value !== 0 && !Number.isNaN(value))) found.tiles++
    tile.samples.forEach((sample, i) => {
      const [value, wanted] = [Number.isNaN(sample) ? 0 : sample, expected?.[i] ?? 0]
      if (!(Math.abs(value - wanted) <= Math.max(1e-3, 1e-6 * Math.abs(wanted)))) found.wrong++
    })
  }
  return found
}

t.test('zarrita reads every level of the plate and agrees with a naive float64 mosaic', async t => {
  const sources = await openPlate()
  const output = join(t.testdir(), 'plate')
  const { record, bytes, files } = await build(sources, output)
  t.equal(record.sampleType, 'uint16')
  t.equal(record.pedestal, 100)
  t.same(
    record.wells.map(({ name, frames }) => [name, frames]),
    [
      ['A1', 25],
      ['A2', 25],
      ['B1', 25],
    ],
  )
  t.same(record.frames, { used: 75, skipped: 0 })
  t.ok(files < 40 && bytes < 8e6, 'nothing empty is stored')
  t.equal(record.levelCount, 8)
  for (const well of record.wells) {
    // Whole blocks of the coarsest level, so that the naive reduction needs nothing from outside.
    const align = (value: number, up: boolean) => (up ? Math.ceil(value / 128) : Math.floor(value / 128)) * 128
    const region = {
      x0: align(well.x0, false),
      y0: align(well.y0, false),
      x1: align(well.x1, true),
      y1: align(well.y1, true),
    }
    let naive = await naiveMosaic(sources, record.originUm, record.pixelSizeUm, region)
    for (let level = 0; level < record.levelCount; level++) {
      const scale = 2 ** level
      const part: Rect = { x0: region.x0 / scale, y0: region.y0 / scale, x1: region.x1 / scale, y1: region.y1 / scale }
      const read = await readWithZarrita(output, level, PLANE, part)
      t.same(read.shape, [1, 1, 1, Math.ceil(record.size.height / scale), Math.ceil(record.size.width / scale)])
      let [wrong, off] = [0, 0]
      for (let y = 0; y < read.height; y++) {
        for (let x = 0; x < read.width; x++) {
          const i = y * naive.width + x
          const difference = Math.abs(read.samples[y * read.width + x] - naive.values[i])
          if (naive.seen[i] <= 1 ? difference !== 0 : difference > 1) wrong++
          if (difference !== 0) off++
        }
      }
      t.equal(wrong, 0, `well ${well.name}, level ${level}: ${off} samples are one count off`)
      naive = naiveReduce(naive)
    }
  }
})

t.test('the default build shows the ground truth: no pixel lost, no dark rim, noise as the camera has it', async t => {
  const truth = readNpy(gunzipSync(fixture('gt_A1.npy.gz')), 'gt_A1.npy')
  const { frames } = JSON.parse(fixture('series_truth.json').toString()).series.A1 as {
    frames: { gt_x: number; gt_y: number }[]
  }
  const [a1] = await openPlate()
  const output = join(t.testdir(), 'a1')
  const { record } = await build([a1], output)
  const { samples, width, height } = await readWithZarrita(output, 0, PLANE)
  // What a camera without noise would have seen at the same places; the truth is indexed [x, y].
  const noiseless: FrameSource = {
    ...a1,
    async readFrame(index) {
      const { gt_x, gt_y } = frames[index]
      const at = (i: number) => truth.samples[(gt_x + (i % 256)) * truth.shape[1] + gt_y + Math.floor(i / 256)]
      return {
        width: 256,
        height: 256,
        sampleType: 'uint16',
        samples: Uint16Array.from({ length: 65536 }, (_, i) => at(i)),
      }
    },
  }
  const { values: photons, seen } = await naiveMosaic([noiseless], record.originUm, record.pixelSizeUm, {
    x0: 0,
    y0: 0,
    x1: width,
    y1: height,
  })
  const all = { count: 0, sum: 0, squares: 0 }
  const border = { count: 0, sum: 0, squares: 0 }
  let strange = 0
  for (let i = 0; i < samples.length; i++) {
    if (seen[i] === 0) {
      if (samples[i] !== 0) strange++
      continue
    }
    // A count of n photons has a standard deviation of √n.
    const error = (samples[i] - 100 - photons[i]) / Math.sqrt(Math.max(1, photons[i]))
    const isBorder = i % width === 0 || seen[i - 1] === 0 || seen[i + 1] === 0 || !(seen[i - width] && seen[i + width])
    for (const group of isBorder ? [all, border] : [all]) {
      group.count++
      group.sum += error
      group.squares += error * error
    }
  }
  t.equal(strange, 0, 'nothing where no frame was taken')
  t.ok(all.count > 1.2e6 && border.count > 4000)
  t.ok(Math.abs(all.sum / all.count) < 0.01, `mean error ${(all.sum / all.count).toFixed(4)} standard deviations`)
  t.ok(all.squares / all.count < 1.02, `${(all.squares / all.count).toFixed(3)} of the shot noise's variance`)
  t.ok(Math.abs(border.sum / border.count) < 0.06, `mean error at borders ${(border.sum / border.count).toFixed(4)}`)
})

t.test('series of different frame sizes, dark levels and sample types become one mosaic', async t => {
  const a = syntheticSource({
    url: 'a',
    darkLevel: 100,
    frames: [{ xUm: 0, yUm: 0 }],
    sample: (_, x, y) => 1000 + x + y,
  })
  const b = syntheticSource({
    url: 'b',
    darkLevel: 90,
    sampleType: 'uint8',
    frameSize: { width: 30, height: 20 },
    frames: [{ xUm: 100, yUm: 5 }],
    sample: () => 95,
  })
  const output = join(t.testdir(), 'mixed')
  const { record } = await build([a, b], output)
  t.equal(record.sampleType, 'uint16')
  const { samples, width } = await readWithZarrita(output, 0, PLANE)
  t.equal(samples[3 * width + 7], 1010, 'a pixel seen once keeps its counts')
  t.equal(samples[6 * width + 101], 105, 'and is moved by the difference of the dark levels')
  t.equal(samples[3 * width + 90], 0, 'what was not imaged is 0')
})

t.test('overlaps: feather and mean weigh, last takes the later frame, repeated frames are averaged', async t => {
  const frames = [
    { xUm: 0, yUm: 0 },
    { xUm: 0, yUm: 0 },
    { xUm: 40, yUm: 0 },
  ]
  const source = syntheticSource({ frames, sample: frame => [100, 103, 200][frame] })
  const at = async (blend: BuildSettings['blend'], x: number) => {
    const output = join(t.testdirName, blend)
    if (!existsSync(output)) await build([source], output, { blend })
    return (await readWithZarrita(output, 0, PLANE)).samples[20 * 104 + x]
  }
  t.testdir()
  t.equal(await at('mean', 10), 102, '101.5 is rounded to the even neighbour')
  t.equal(await at('mean', 50), 134)
  t.equal(await at('last', 10), 103)
  t.equal(await at('last', 50), 200)
  const [first, third] = [14 / 17, 11 / 17]
  t.equal(await at('feather', 50), Math.round((first * 203 + third * 200) / (2 * first + third)))
})

t.test('channels, z-planes and time points are planes of their own', async t => {
  const frames = [0, 1, 0, 1].map((channel, i) => ({ xUm: 0, yUm: 0, channel, zPlane: i >> 1 }))
  const source = syntheticSource({ url: 'a', frames, sample: frame => 10 * (frame + 1) })
  const later = syntheticSource({ url: 'b', frames, sample: frame => 100 * (frame + 1) })
  const output = join(t.testdir(), 'planes')
  const { record } = await build([source, later], output, { join: { kind: 'time' } })
  t.match(record, { zPlanes: 2, timePoints: 2 })
  const values: Record<string, number> = {}
  for (const timePoint of [0, 1]) {
    for (const channel of [0, 1]) {
      for (const zPlane of [0, 1]) {
        const { samples } = await readWithZarrita(output, 0, { timePoint, channel, zPlane })
        values[`t${timePoint}c${channel}z${zPlane}`] = samples[100]
      }
    }
  }
  t.same(values, { t0c0z0: 10, t0c1z0: 20, t0c0z1: 30, t0c1z1: 40, t1c0z0: 100, t1c1z0: 200, t1c0z1: 300, t1c1z1: 400 })
  const pyramid = await openTilestagePyramid(output)
  t.equal((await pyramid.histogram(1)).max, 400)
  t.throws(() => pyramid.coverage({ timePoint: 2, channel: 0, zPlane: 0 }), RangeError)
  await t.rejects(pyramid.readTile(PLANE, { level: 0, column: 1, row: 0 }), RangeError)
  await pyramid.close()
})

t.test('a large image comes in pieces that differ in size, and is one picture wherever it is placed', async t => {
  const image = { width: 2500, height: 1300 }
  const edge = 1024
  const value = (x: number, y: number): number => (x * 31 + y * 17) % 1009
  const pieces = [0, edge].flatMap(y =>
    [0, edge, 2 * edge].map(x => ({
      offsetPx: { x, y },
      size: { width: Math.min(edge, image.width - x), height: Math.min(edge, image.height - y) },
    })),
  )
  const isMissing = (x: number, y: number): boolean => x > 2100 && x < 2110 && y === 1200
  const source = syntheticSource({
    frames: pieces.map(piece => ({ xUm: 50, yUm: -20, ...piece })),
    frameSize: { width: edge, height: edge },
    pixelSizeUm: { x: 0.2, y: 0.5 },
    sampleType: 'float32',
    sample: (i, x, y) => {
      const { offsetPx } = pieces[i]!
      return isMissing(offsetPx.x + x, offsetPx.y + y) ? Number.NaN : value(offsetPx.x + x, offsetPx.y + y)
    },
  })
  const isTrue = async (path: string): Promise<number> => {
    const { samples, width, height } = await readWithZarrita(path, 0, PLANE)
    t.same([width, height], [image.width, image.height])
    let wrong = 0
    for (let i = 0; i < samples.length; i++) {
      const [x, y] = [i % width, Math.floor(i / width)]
      if (!Object.is(samples[i], isMissing(x, y) ? Number.NaN : value(x, y))) wrong++
    }
    return wrong
  }
  const path = join(t.testdir(), 'image')
  await build([source], path)
  t.equal(await isTrue(path), 0)
  const pyramid = await openTilestagePyramid(path)
  t.same(pyramid.geometry.originUm, { x: 50, y: -20 })
  t.same(pyramid.placement?.rect(5), { x0: 2048, y0: 1024, x1: 2500, y1: 1300 }, 'the table keeps the size of a piece')
  await pyramid.close()

  await build([source], join(t.testdirName, 'other-pixels'), { pixelSizeUm: { x: 3, y: 3 } })
  t.equal(
    await isTrue(join(t.testdirName, 'other-pixels')),
    0,
    'pieces stay together when pixels are said to be larger',
  )
  await build([source], join(t.testdirName, 'pyme'), { blend: 'last', stageSign: { x: -1, y: 1 } })
  t.equal(await isTrue(join(t.testdirName, 'pyme')), 0)
  const turned = { orientation: { flipX: true, flipY: false, rotate: 0 } } as const
  await t.rejects(build([source], join(t.testdirName, 'turned'), turned), {
    name: 'UnsupportedDataError',
    message: /^synthetic is an image and no series of camera frames/,
  })
})

t.test(
  'an image that gets more planes stays where it lies: no room is left for a stage that does not move',
  async t => {
    const withPlanes = (count: number, complete: boolean): FrameSource => {
      const frames = Array.from({ length: count }, (_, zPlane) => ({
        xUm: 0,
        yUm: 0,
        zPlane,
        offsetPx: { x: 0, y: 0 },
      }))
      return syntheticSource({ frames, sample: frame => frame + 1, complete, fingerprint: `${count} planes` })
    }
    let now = withPlanes(2, false)
    const growing = {
      ...{ settings: DEFAULT_SETTINGS, mayGetMore: false },
      get sources() {
        return [now]
      },
      get isComplete() {
        return now.series.complete
      },
      async poll() {
        if (now.series.complete) return false
        now = withPlanes(3, true)
        return true
      },
    }
    const path = join(t.testdir(), 'growing')
    const { record } = await build([now], path, {}, { growing })
    t.same([record.size, record.zPlanes], [{ width: 64, height: 48 }, 3])
    for (const zPlane of [0, 1, 2])
      t.equal((await readWithZarrita(path, 0, { ...PLANE, zPlane })).samples[0], zPlane + 1)
  },
)

t.test('units, names of planes and what is not calibrated are kept with the pyramid', async t => {
  const axes = {
    zPlane: { name: 'Bias', unit: 'V', values: [-1, 1] },
    timePoint: { name: 'Cycle', unit: '', values: ['first', 'second'] },
  }
  const planes = [0, 1].flatMap(timePoint => [0, 1].map(zPlane => ({ xUm: 0, yUm: 0, timePoint, zPlane })))
  const maps = syntheticSource({
    url: 'maps',
    frames: planes.flatMap(plane => [0, 1].map(channel => ({ ...plane, channel }))),
    sample: frame => frame,
    channels: [
      { name: 'Amplitude', unit: 'V', active: true },
      { name: 'Phase', unit: 'rad', active: false },
    ],
    ...{ axes, timePoints: 2, isUncalibrated: true },
  })
  const path = join(t.testdir(), 'maps')
  const { record } = await build([maps], path)
  t.same([record.channels.map(({ unit }) => unit), record.timePoints, record.zPlanes], [['V', 'rad'], 2, 2])
  const pyramid = await openTilestagePyramid(path)
  t.same(pyramid.axes, axes)
  t.same(pyramid.channels[1], { name: 'Phase', unit: 'rad', active: false, color: undefined })
  t.equal(pyramid.geometry.isUncalibrated, true)
  await pyramid.close()
  for (const [i, { timePoint, zPlane }] of planes.entries())
    t.equal((await readWithZarrita(path, 0, { channel: 1, timePoint, zPlane })).samples[0], 2 * i + 1)
  const { ome } = JSON.parse(readFileSync(join(path, 'zarr.json'), 'utf8')).attributes
  t.same(ome.multiscales[0].axes[4], { name: 'x', type: 'space' }, 'no unit is made up')
  t.same(
    ome.omero.channels.map(({ active }: { active: boolean }) => active),
    [true, false],
  )

  const measured = await build([maps], join(t.testdirName, 'measured'), { pixelSizeUm: { x: 2, y: 2 } })
  t.equal(measured.record.isUncalibrated, undefined, '--pixel-size tells how large a pixel is')
  const phase = syntheticSource({ url: 'phase', frames: [{ xUm: 640, yUm: 0 }], channels: [{ name: 'Phase' }] })
  await t.rejects(build([maps, phase], join(t.testdirName, 'both')), {
    message: 'maps does not say how large a pixel is, and phase does; give it with --pixel-size.',
  })
  const both = await build([maps, phase], join(t.testdirName, 'both'), { pixelSizeUm: { x: 1, y: 1 } })
  t.same(
    both.record.channels.map(({ name }) => name),
    ['Amplitude', 'Phase'],
    'one name is one channel',
  )
  await t.rejects(build([maps], join(t.testdirName, 'time'), { join: { kind: 'time' } }), {
    message: 'maps holds 2 time points already; --as time is for series of one.',
  })
})

t.test('every sample type and tile size is stored and read back, by us and by zarrita', async t => {
  const dir = t.testdir()
  for (const sampleType of Object.keys(SAMPLE_TYPES) as (keyof typeof SAMPLE_TYPES)[]) {
    const value = (x: number, y: number) => (x * 3 + y) % 200
    const source = syntheticSource({
      sampleType,
      frames: [
        { xUm: 0, yUm: 0 },
        { xUm: 300, yUm: 250 },
      ],
      sample: (_, x, y) => value(x, y),
    })
    const output = join(dir, sampleType)
    await build([source], output, { tileSize: sampleType === 'float64' ? 128 : 256 })
    const { samples, width, fill } = await readWithZarrita(output, 0, PLANE)
    t.equal(samples[7 * width + 9], value(9, 7), sampleType)
    t.equal(samples[290 * width + 350], value(50, 40))
    t.ok(
      SAMPLE_TYPES[sampleType].integer
        ? fill === 0 && samples[200] === 0
        : Number.isNaN(fill) && Number.isNaN(samples[200]),
    )
    const pyramid = await openTilestagePyramid(output)
    const histogram = await pyramid.histogram(0)
    t.equal(histogram.total, 2 * 64 * 48, 'only covered samples are counted')
    t.equal(histogram.max, 199)
    await pyramid.close()
  }
})

t.test('NaN inside frames weighs nothing, and is NaN where no frame saw the pixel', async t => {
  const source = syntheticSource({
    sampleType: 'float32',
    frames: [
      { xUm: 0, yUm: 0 },
      { xUm: 32, yUm: 0 },
    ],
    sample: (frame, x) => (x < 40 && frame === 1 ? Number.NaN : frame + 1),
  })
  const output = join(t.testdir(), 'nan')
  await build([source], output)
  const { samples } = await readWithZarrita(output, 0, PLANE)
  t.same([samples[10], samples[50], samples[75]], [1, 1, 2])
  t.ok(Number.isNaN(samples[68]))
  await build([source], join(t.testdirName, 'last'), { blend: 'last' })
  const later = (await readWithZarrita(join(t.testdirName, 'last'), 0, PLANE)).samples
  t.same([later[10], later[50], later[75]], [1, 1, 2], 'the later frame has no sample there')
})

t.test('dark, gain and illumination images correct counts before they are blended', async t => {
  const source = syntheticSource({ darkLevel: 5, frames: [{ xUm: 0, yUm: 0 }], sample: (_, x) => 100 + x })
  const image = (value: (i: number) => number) => ({
    width: 64,
    height: 48,
    sampleType: 'float64' as const,
    samples: Float64Array.from({ length: 64 * 48 }, (_, i) => value(i)),
  })
  const dir = t.testdir()
  const settings = {
    dark: image(() => 20),
    gain: image(i => (i % 64 === 3 ? 2 : 1)),
    illumination: image(i => (i % 64 === 4 ? 0.5 : 1)),
    sampleType: 'float32' as const,
  }
  await build([source], join(dir, 'corrected'), settings)
  const { samples } = await readWithZarrita(join(dir, 'corrected'), 0, PLANE)
  t.same([...samples.subarray(2, 6)], [82, 166, 168, 85])
  await t.rejects(
    build([source], join(dir, 'odd'), { gain: { ...image(() => 1), width: 48, height: 64 } }),
    /The --gain image has 48 × 64 px where the frames of synthetic have 64 × 48/,
  )
  t.notOk(existsSync(join(dir, 'odd')), 'nothing was written')
})

t.test('samples that do not fit the stored type are clipped and counted', async t => {
  const source = syntheticSource({ frames: [{ xUm: 0, yUm: 0 }], sample: (_, x) => (x === 0 ? 300 : 7) })
  const output = join(t.testdir(), 'small')
  const { record } = await build([source], output, { sampleType: 'uint8' })
  t.equal(record.clippedSamples, 48)
  t.equal((await readWithZarrita(output, 0, PLANE)).samples[0], 255)
})

t.test('a frame that cannot be read is left out everywhere, named, and does not move the others', async t => {
  const frames = [0, 60, 5000].map(xUm => ({ xUm, yUm: 0 }))
  const source = syntheticSource({ frames, sample: frame => (frame === 0 ? 50 : frame === 2 ? brokenFrame(2) : 70) })
  const output = join(t.testdir(), 'gaps')
  const { record, skipped } = await build([source], output)
  t.match(skipped, [{ series: 'synthetic', frame: 2, reason: /damaged/ }])
  t.same(record.frames, { used: 2, skipped: 1 })
  t.equal(record.size.width, 5064, 'the plan stands')
  const pyramid = await openTilestagePyramid(output)
  t.notOk(pyramid.coverage(PLANE).hasTile({ level: 0, column: 19, row: 0 }))
  t.ok(pyramid.coverage(PLANE).hasTile({ level: 0, column: 0, row: 0 }))
  t.equal((await pyramid.histogram(0)).total, (60 + 64) * 48)
  await pyramid.close()

  await t.rejects(build([source], join(t.testdirName, 'strict'), {}, { strict: true }), CorruptDataError)
  const hopeless = syntheticSource({ frames, sample: brokenFrame })
  await t.rejects(
    build([hopeless], join(t.testdirName, 'none')),
    /None of the 3 frames can be read; the first failure: frame/,
  )
  t.match(await readRecord(join(t.testdirName, 'none')), { complete: false })
  await t.rejects(openTilestagePyramid(join(t.testdirName, 'none')), /build was not finished/)
})

t.test('two builds of the same series write the same shards, and each frame is read once', async t => {
  const dir = t.testdir()
  const make = () =>
    syntheticSource({
      frames: Array.from({ length: 40 }, (_, i) => ({ xUm: (i % 8) * 400, yUm: Math.floor(i / 8) * 500 })),
      frameSize: { width: 450, height: 550 },
      sample: (frame, x, y) => frame * 100 + ((x * y) % 97),
    })
  const [first, second] = [make(), make()]
  await build([first], join(dir, 'one'))
  await build([second], join(dir, 'two'))
  const shards = (name: string) =>
    Object.fromEntries(Object.entries(hashes(join(dir, name))).filter(([path]) => /\/c\//.test(path)))
  t.ok(Object.keys(shards('one')).length > 4)
  t.same(shards('one'), shards('two'))
  t.equal(first.reads, 40)
})

t.test('an output that holds something else is left alone, whatever the flags', async t => {
  const source = syntheticSource({ frames: [{ xUm: 0, yUm: 0 }] })
  const dir = t.testdir({
    photos: { 'holiday.jpg': 'x' },
    file: 'x',
    array: { 'zarr.json': '{"zarr_format":3,"node_type":"array"}' },
  })
  for (const name of ['photos', 'array']) {
    const before = hashes(join(dir, name))
    await t.rejects(build([source], join(dir, name), {}, { overwrite: true }), /holds something else .* left alone/)
    t.same(hashes(join(dir, name)), before)
  }
  await t.rejects(build([source], join(dir, 'file')), /is a file; --output names a folder/)
  await t.rejects(
    build([{ ...source, url: join(dir, 'photos') }], join(dir, 'photos', 'inside')),
    /lies inside the series/,
  )
  t.same(readdirSync(join(dir, 'photos')), ['holiday.jpg'])
})

t.test('the same build again does nothing; another one needs --overwrite, keeps the id and leaves no rest', async t => {
  const dir = t.testdir()
  const output = join(dir, 'plate')
  const source = syntheticSource({ frames: [{ xUm: 0, yUm: 0 }], sample: () => 5 })
  const { record } = await build([source], output)
  const before = hashes(output)
  t.match(await build([source], output), { built: false, record: { id: record.id } })
  t.same(hashes(output), before)
  await t.rejects(
    build([source], output, { blend: 'last' }),
    /already holds a pyramid of other settings \(blend: feather there, last asked for\); .* --overwrite/,
  )
  t.same(hashes(output), before)

  const broken = syntheticSource({ url: 'other', frames: [{ xUm: 0, yUm: 0 }], sample: brokenFrame })
  await t.rejects(build([broken], output, {}, { overwrite: true }), CorruptDataError)
  t.same(hashes(output), before, 'a failed replacement loses nothing')

  const again = await build([source], output, { blend: 'last' }, { overwrite: true })
  t.equal(again.record.id, record.id)
  t.not(again.record.revision, record.revision)
  t.same(readdirSync(dir), ['plate'])
})

t.test(
  'a build that is stopped says so to nobody else: the folder is unfinished, and the next build takes it over',
  async t => {
    const output = join(t.testdir(), 'stopped')
    const stop = new AbortController()
    const source = syntheticSource({
      frames: Array.from({ length: 12 }, (_, i) => ({ xUm: i * 2100, yUm: 0 })),
      sample: () => 5,
    })
    const stopped = build(
      [source],
      output,
      {},
      { signal: stop.signal, onProgress: ({ framesDone }) => framesDone === 6 && stop.abort() },
    )
    await t.rejects(stopped, { name: 'AbortError' })
    t.match(await readRecord(output), { complete: false })
    t.match(await build([source], output), { built: true, record: { complete: true, frames: { used: 12 } } })
  },
)

t.test('damage on disk is an error, never an empty or a wrong tile', async t => {
  const dir = t.testdir()
  const good = join(dir, 'good')
  const source = syntheticSource({
    frames: [
      { xUm: 0, yUm: 0 },
      { xUm: 300, yUm: 0 },
    ],
    sample: (_, x, y) => x * y,
  })
  await build([source], good)
  const shard = '0/c/0/0/0/0/0'
  const readAfter = async (name: string, damage: (folder: string) => void) => {
    const folder = join(dir, name)
    cpSync(good, folder, { recursive: true })
    damage(folder)
    const pyramid = await openTilestagePyramid(folder)
    try {
      return await pyramid.readTile(PLANE, { level: 0, column: 1, row: 0 })
    } finally {
      await pyramid.close()
    }
  }
  const flip = (path: string, at: number) => {
    const bytes = readFileSync(path)
    bytes[at < 0 ? bytes.length + at : at] ^= 4
    writeFileSync(path, bytes)
  }
  await t.rejects(
    readAfter('missing', folder => rmSync(join(folder, shard))),
    /is missing although frames lie there/,
  )
  await t.rejects(
    readAfter('cut', folder => truncateSync(join(folder, shard), 1000)),
    CorruptDataError,
  )
  await t.rejects(
    readAfter('stub', folder => truncateSync(join(folder, shard), 10)),
    /is cut off/,
  )
  await t.rejects(
    readAfter('tile', folder => flip(join(folder, shard), statSync(join(folder, shard)).size - 1500)),
    /checksum of a tile is wrong/,
  )
  await t.rejects(
    readAfter('index', folder => flip(join(folder, shard), -20)),
    /checksum of its index is wrong/,
  )
  await t.rejects(
    readAfter('placement', folder => flip(join(folder, 'tilestage/placement.json'), 40)),
    /placement.json is damaged: its checksum is wrong/,
  )
  const root = (folder: string, edit: (record: Record<string, unknown>) => void) => {
    const document = JSON.parse(readFileSync(join(folder, 'zarr.json'), 'utf8'))
    edit(document.attributes.tilestage)
    writeFileSync(join(folder, 'zarr.json'), JSON.stringify(document))
  }
  for (const [field, value] of Object.entries({
    size: { width: 1e12, height: 5 },
    tileSize: 3,
    levelCount: 99,
    sampleType: 'complex64',
    pixelSizeUm: { x: 0, y: 1 },
    channels: [],
    id: '../../etc',
  })) {
    await t.rejects(
      readAfter(`hostile-${field}`, folder => root(folder, record => Object.assign(record, { [field]: value }))),
      new RegExp(`tilestage.${field} makes no sense`),
    )
  }
  await t.rejects(
    readAfter('newer', folder => root(folder, record => Object.assign(record, { formatVersion: 2 }))),
    UnsupportedDataError,
  )
  await t.rejects(
    readAfter('text', folder => writeFileSync(join(folder, 'zarr.json'), '{')),
    /is not valid JSON/,
  )
  t.ok(await readAfter('untouched', () => undefined))
})

t.test('metadata of a hostile writer, with right checksums, is corrupt and nothing worse', async t => {
  const dir = t.testdir()
  const good = join(dir, 'good')
  await build([syntheticSource({ frames: [{ xUm: 0, yUm: 0 }], sample: () => 5 })], good)
  type Json = Record<string, unknown>
  const side = (name: string) => join(dir, 'bad', 'tilestage', `${name}.json`)
  const readAfter = async (edits: {
    record?: (record: Json) => void
    placement?: (table: Json) => unknown
    histograms?: (stored: Json) => unknown
  }) => {
    rmSync(join(dir, 'bad'), { recursive: true, force: true })
    cpSync(good, join(dir, 'bad'), { recursive: true })
    const root = join(dir, 'bad', 'zarr.json')
    const document = JSON.parse(readFileSync(root, 'utf8'))
    for (const name of ['placement', 'histograms'] as const) {
      const before = JSON.parse(readFileSync(side(name), 'utf8'))
      const text = JSON.stringify(edits[name] ? edits[name](before) : before)
      writeFileSync(side(name), text)
      document.attributes.tilestage[name].crc32c = checksumOf(text)
    }
    edits.record?.(document.attributes.tilestage)
    writeFileSync(root, JSON.stringify(document))
    const pyramid = await openTilestagePyramid(join(dir, 'bad'))
    await pyramid.readTile(PLANE, { level: 0, column: 0, row: 0 })
    await pyramid.close()
  }
  await t.resolves(readAfter({}))
  const records: Json[] = [
    { wells: [null] },
    { wells: [{ name: 'A1', frames: 1, x0: 0, y0: 0, x1: 1e9, y1: 1 }] },
    { series: [null] },
    { series: [{ width: -1, height: 1 }] },
    { frames: null },
    { placement: null },
    { histograms: { crc32c: 5 } },
    { size: { width: 2 ** 26, height: 2 ** 26 }, levelCount: 19 },
  ]
  for (const change of records) {
    const [field] = Object.keys(change)
    await t.rejects(
      readAfter({ record: record => Object.assign(record, change) }),
      { name: 'CorruptDataError', message: new RegExp(`tilestage.${field} makes no sense`) },
      JSON.stringify(change),
    )
  }
  const columns = (name: string, value: unknown) => (table: Json) => ({
    columns: { ...(table.columns as Json), [name]: value },
  })
  const tables = [
    () => null,
    () => [],
    () => ({ columns: null }),
    columns('used', undefined),
    columns('xPx', [-1]),
    columns('yPx', [0.5]),
    columns('series', ['length']),
    columns('channel', [1]),
    columns('zPlane', [null]),
    columns('timePoint', [1e300]),
    columns('frame', [0, 1]),
  ]
  for (const placement of tables) {
    await t.rejects(readAfter({ placement }), { name: 'CorruptDataError', message: /placement table makes no sense/ })
  }
  const histogram = (change: Json) => (stored: Json) => {
    const { channels } = stored as { channels: [{ levels: [Json] }] }
    Object.assign(channels[0].levels[0], change)
    return stored
  }
  const stores = [
    () => null,
    () => ({ channels: [] }),
    () => ({ channels: [{ levels: [] }] }),
    histogram({ counts: 5 }),
    histogram({ counts: [-1] }),
    histogram({ binWidth: 0 }),
    histogram({ total: null }),
    histogram({ min: 'x' }),
  ]
  for (const histograms of stores) {
    await t.rejects(readAfter({ histograms }), { name: 'CorruptDataError', message: /has not a histogram of every/ })
  }
})

t.test('a pipe, a device or a folder in the place of a file is an error at once', async t => {
  const dir = t.testdir()
  const source = syntheticSource({ frames: [{ xUm: 0, yUm: 0 }], sample: () => 5 })
  for (const name of ['zarr.json', 'tilestage/placement.json', '0/c/0/0/0/0/0']) {
    const output = join(dir, name.replaceAll('/', '-'))
    await build([source], output)
    const path = join(output, name)
    for (const replace of [
      () => execFileSync('mkfifo', [path]),
      () => symlinkSync('/dev/zero', path),
      () => mkdirSync(path),
    ]) {
      rmSync(path, { recursive: true })
      replace()
      const read = async () => {
        const pyramid = await openTilestagePyramid(output)
        await pyramid.readTile(PLANE, { level: 0, column: 0, row: 0 })
      }
      await t.rejects(read(), { name: 'UnsupportedDataError', message: /where a file is expected/ })
    }
  }
})

t.test('a pyramid that was overwritten while it was open gives tiles of its own or none', async t => {
  const output = join(t.testdir(), 'p')
  const frames = [
    { xUm: 0, yUm: 0 },
    { xUm: 2500, yUm: 0 },
    { xUm: 5000, yUm: 0 },
  ]
  await build([syntheticSource({ frames, sample: () => 5 })], output)
  const before = await openTilestagePyramid(output)
  const tile = (column: number) => before.readTile(PLANE, { level: 0, column, row: 0 })
  utimesSync(join(output, 'zarr.json'), 1, 1)
  t.equal((await tile(0))?.samples[0], 5, 'a root file that was only touched is no other pyramid')
  await build([syntheticSource({ frames, sample: () => 9 })], output, { blend: 'mean' }, { overwrite: true })
  t.equal((await tile(0))?.samples[0], 5, 'its shard is still open')
  await t.rejects(tile(10), { name: 'SourceUnavailableError', message: /was overwritten or taken away/ })
  rmSync(output, { recursive: true })
  await t.rejects(tile(19), { name: 'SourceUnavailableError', message: /was overwritten or taken away/ })
  await before.close()
})

t.test('the metadata is OME-Zarr 0.5: pixel centres, micrometres, a finite window', async t => {
  const output = join(t.testdir(), 'meta')
  const source = syntheticSource({
    pixelSizeUm: { x: 0.5, y: 0.25 },
    frames: [
      { xUm: 100, yUm: 200 },
      { xUm: 300, yUm: 200 },
    ],
    sample: (_, x) => 40 + x,
  })
  await build([source], output)
  const { zarr_format, attributes } = JSON.parse(readFileSync(join(output, 'zarr.json'), 'utf8'))
  t.equal(zarr_format, 3)
  t.equal(attributes.ome.version, '0.5')
  const [{ axes, datasets }] = attributes.ome.multiscales
  t.same(
    axes.map(({ name }: { name: string }) => name),
    ['t', 'c', 'z', 'y', 'x'],
  )
  t.same(datasets[1], {
    path: '1',
    coordinateTransformations: [
      { type: 'scale', scale: [1, 1, 1, 0.5, 1] },
      { type: 'translation', translation: [0, 0, 0, 200.125, 100.25] },
    ],
  })
  const [channel] = attributes.ome.omero.channels
  t.match(channel, { color: 'FFFFFF', window: { min: 0, max: 65535, start: 40, end: 103 } })
})
