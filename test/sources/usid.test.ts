import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Dataset, File, ready } from 'h5wasm/node'
import t, { type Test } from 'tap'
import { bytesOfSamples, type SampleArray } from '../../src/plane.js'
import type { FrameSource } from '../../src/sources/frame-source.js'
import { hdf5Pool } from '../../src/sources/hdf5/hdf5-pool.js'
import { openSources } from '../../src/sources/open-source.js'
import type { SourceOptions } from '../../src/sources/source-options.js'
import { unpackFixture } from '../unpack-fixture.js'
import { stitchFrames } from './stitch-frames.js'

const truth = JSON.parse(readFileSync(new URL('../fixtures/usid/truth.json', import.meta.url), 'utf8'))
const RAW = '/Measurement_000/Channel_000/Raw_Data'

t.teardown(() => hdf5Pool.close())

function unpack(t: Test, name: string): string {
  return unpackFixture(t.testdir({}), `usid/${name}`)
}

async function open(path: string, options?: SourceOptions): Promise<FrameSource> {
  const { sources } = await openSources([path], options)
  return sources[0]
}

function sha256(samples: SampleArray): string {
  return createHash('sha256').update(bytesOfSamples(samples)).digest('hex')
}

interface Scan {
  readonly group?: string
  readonly positions: readonly (readonly [x: number, y: number])[]
  /** Of the positions, at each index. */
  readonly xs: readonly number[]
  readonly ys: readonly number[]
  readonly data: SampleArray | readonly number[]
  readonly columns?: number
  readonly unit?: string
}

/** A file with a Main dataset in each group, as pyUSID writes it. */
async function writeScans(path: string, scans: readonly Scan[]): Promise<string> {
  await ready
  const file = new File(path, 'w')
  for (const { group = 'Measurement_000', positions, xs, ys, data, columns = 1, unit = 'um' } of scans) {
    file.create_group(group)
    const table = (name: string, values: SampleArray, shape: number[], labels: string[], units: string[]): void => {
      const made = file.create_dataset({ name: `${group}/${name}`, data: values, shape })
      made.create_attribute('labels', labels)
      made.create_attribute('units', units)
    }
    const indices = Uint32Array.from(positions.flat())
    const values = Float32Array.from(positions.flatMap(([x, y]) => [xs[x], ys[y]]))
    const counts = Uint32Array.from({ length: columns }, (_, i) => i)
    table('Position_Indices', indices, [positions.length, 2], ['X', 'Y'], [unit, unit])
    table('Position_Values', values, [positions.length, 2], ['X', 'Y'], [unit, unit])
    table('Spectroscopic_Indices', counts, [1, columns], ['Bias'], ['V'])
    table('Spectroscopic_Values', Float32Array.from(counts), [1, columns], ['Bias'], ['V'])
    const main = file.create_dataset({
      ...{ name: `${group}/Main`, data: Float32Array.from(data), shape: [positions.length, columns] },
    })
    main.create_attribute('quantity', 'Height')
    main.create_attribute('units', 'nm')
    for (const name of ['Position_Indices', 'Position_Values', 'Spectroscopic_Indices', 'Spectroscopic_Values'])
      main.create_attribute(name, (file.get(`${group}/${name}`) as Dataset).create_reference(), [], 'Reference')
  }
  file.close()
  return path
}

/** Positions of a grid row by row, and coordinates one apart from where it begins. */
function grid(width: number, height: number, x = 0, y = 0): Pick<Scan, 'positions' | 'xs' | 'ys'> {
  return {
    positions: Array.from({ length: width * height }, (_, i) => [i % width, Math.floor(i / width)] as const),
    xs: Array.from({ length: width }, (_, i) => x + i),
    ys: Array.from({ length: height }, (_, i) => y + i),
  }
}

t.test('a Main dataset is an image, pixel by pixel', async t => {
  const source = await open(unpack(t, 'simulated_STEM_Image.h5'))
  const image = await stitchFrames(source)
  t.match(image, { width: 256, height: 256 })
  t.equal(sha256(image.samples), '4181a03441b5b8a8c5cb3b777a64b2f08cfa7cad91c7a823e4aef62a5da15eb7')
  t.same(source.series.channels, [{ name: 'Intensity', unit: 'a.u.' }])
})

t.test('a unit that makes atoms of an image is warned about, and can be said', async t => {
  const path = unpack(t, 'simulated_STEM_Image.h5')
  const [problem] = (await open(path)).series.problems
  t.match(problem, /units nm but extent 5e-9 along X, which is implausible; if these are metres, give --unit m\.$/)
  const { pixelSizeUm, problems } = (await open(path, { unitUm: 1e6 })).series
  t.equal(Number((1000 * pixelSizeUm!.x).toPrecision(5)), 0.019608)
  t.same(problems, [])
})

t.test('a spectrum is no image, and the file is refused for it', async t => {
  const path = unpack(t, 'AFM_Force_Curve.h5')
  await t.rejects(open(path), {
    name: 'UnsupportedDataError',
    message: `${path} is a USID file without an image: ${RAW} is a 1 × 2045 spectrum, not an image.`,
  })
})

t.test('further dimensions are planes, and a result without them is seen at each', async t => {
  const source = await open(unpack(t, 'spectral_4d.h5'))
  const { zPlanes, timePoints, axes, channels, pixelSizeUm, metadata } = source.series
  const row = truth['spectral_4d.h5'][RAW]
  t.same([zPlanes, timePoints], [16, 3])
  t.match(axes, { zPlane: { name: 'Bias', unit: 'V' }, timePoint: { name: 'Cycle', unit: '', values: [0, 1, 2] } })
  t.same([axes!.zPlane!.values[0], axes!.zPlane!.values[15]], [-5, 5])
  t.same(pixelSizeUm, { x: row.x_um[1], y: row.y_um[1] })
  t.match(channels, [
    { name: 'Current', unit: 'nA', active: true },
    { name: 'Cluster labels', active: false },
  ])
  const planes: number[][] = []
  for (let timePoint = 0; timePoint < 3; timePoint++)
    for (let zPlane = 0; zPlane < 16; zPlane++)
      planes.push([...(await stitchFrames(source, { zPlane, timePoint })).samples])
  t.equal(planes[2 * 16 + 9][5 * 32 + 7], 205079)
  const whole = Float32Array.from({ length: 24 * 32 * 48 }, (_, i) => planes[i % 48][Math.floor(i / 48)])
  t.equal(sha256(whole), row.sha_s2f, 'every sample of all four dimensions')
  const [first, last] = [
    await stitchFrames(source, { channel: 1 }),
    await stitchFrames(source, { channel: 1, zPlane: 15, timePoint: 2 }),
  ]
  t.same(last.samples, first.samples)
  const { sha } = truth['spectral_4d.h5'][`${RAW}-Cluster_000/Labels`]
  t.equal(sha256(Uint32Array.from(first.samples)), sha)
  t.match(metadata.results, [{ path: `${RAW}-Cluster_000`, tool: 'Cluster', source_000: RAW }])
})

t.test('where y is the fastest, rows are still rows', async t => {
  const source = await open(unpack(t, 'y_fastest.h5'))
  const image = await stitchFrames(source)
  t.match(image, { width: 60, height: 40 })
  t.same(source.series.pixelSizeUm, { x: 0.002, y: 0.005 })
  t.equal(image.samples[3 * 60 + 11], 311)
  t.equal(sha256(image.samples), truth['y_fastest.h5'][RAW].sha_image_yx)
})

t.test('a movie has a plane for each of its times', async t => {
  const source = await open(unpack(t, 'movie.h5'))
  t.same(source.series.axes, { zPlane: { name: 'Time', unit: 's', values: [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5] } })
  const sums: number[] = []
  for (let zPlane = 0; zPlane < 8; zPlane++)
    sums.push([...(await stitchFrames(source, { zPlane })).samples].reduce((sum, value) => sum + value, 0))
  t.same(sums, truth['movie.h5'][RAW].frame_sums)
})

t.test('measurements side by side are one layer, placed to the pixel', async t => {
  const source = await open(unpack(t, 'tilescan.h5'))
  const { tiles, mosaic_sha, pixel_um } = truth['tilescan.h5']
  t.equal(source.series.channels.length, 1)
  t.same(source.series.pixelSizeUm, { x: pixel_um, y: pixel_um })
  t.same(
    source.series.frames.map(({ position }) => position),
    tiles.map((tile: { x0_um: number; y0_um: number }) => ({ xUm: tile.x0_um, yUm: tile.y0_um })),
  )
  const mosaic = await stitchFrames(source)
  t.match(mosaic, { width: 358, height: 243 })
  t.equal(sha256(mosaic.samples), mosaic_sha)
})

t.test('points that a scan did not reach are NaN, and what is no Main dataset is listed', async t => {
  const source = await open(unpack(t, 'incomplete.h5'))
  const [full, part] = [await stitchFrames(source), await stitchFrames(source, { channel: 1 })]
  const missing = [...part.samples].filter(Number.isNaN)
  t.same([full.samples.length, missing.length], [600, 13])
  t.equal(
    [...part.samples.slice(-30)].findIndex(Number.isNaN),
    truth['incomplete.h5']['/Measurement_001/Channel_000/Raw_Data'].last_row_valid,
  )
  t.same(source.series.problems, [
    '/Measurement_002/Channel_000/Raw_Data is not a Main dataset: it lacks Position_Values, Spectroscopic_Indices and Spectroscopic_Values.',
    '/Measurement_001/Channel_000/Raw_Data lacks 13 points of its grid, which stay empty.',
  ])
  t.same(
    source.series.channels.map(({ name }) => name),
    ['Z (Full)', 'Z (Raw_Data)'],
  )
})

t.test('each field of a compound is a layer', async t => {
  const source = await open(unpack(t, 'compound_main.h5'))
  t.match(source.series.channels, [
    { name: 'Amplitude', unit: 'V', active: true },
    { name: 'Phase', unit: 'rad', active: false },
  ])
  const [amplitude, phase] = [await stitchFrames(source), await stitchFrames(source, { channel: 1 })]
  t.match(amplitude, { width: 20, height: 16 })
  t.notSame(amplitude.samples, phase.samples)
})

t.test('points in any order are placed by their indices', async t => {
  const { positions, xs, ys } = grid(4, 3)
  // Every other row backwards, as a scanner that does not fly back.
  const serpentine = positions.map(([x, y]) => [y % 2 ? 3 - x : x, y] as const)
  const data = serpentine.map(([x, y]) => 10 * y + x)
  const source = await open(await writeScans(join(t.testdir({}), 'scan.h5'), [{ positions: serpentine, xs, ys, data }]))
  t.same([...(await stitchFrames(source)).samples], [0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23])
})

t.test('an axis that runs backwards is turned around', async t => {
  const { positions, xs, ys } = grid(3, 2)
  const data = [0, 1, 2, 3, 4, 5]
  const path = await writeScans(join(t.testdir({}), 'scan.h5'), [{ positions, xs, ys: ys.toReversed(), data }])
  const source = await open(path)
  t.same([...(await stitchFrames(source)).samples], [3, 4, 5, 0, 1, 2])
  t.same(source.series.frames[0].position, { xUm: 0, yUm: 0 })
})

t.test('several measurements of one place are time points', async t => {
  const scans = [0, 1, 2].map(i => ({
    ...{ group: `Measurement_00${i}`, ...grid(3, 2), data: new Float32Array(6).fill(i) },
  }))
  const source = await open(await writeScans(join(t.testdir({}), 'scan.h5'), scans))
  t.equal(source.series.timePoints, 3)
  t.same(source.series.axes?.timePoint, {
    ...{ name: 'Measurement', unit: '', values: ['Measurement_000', 'Measurement_001', 'Measurement_002'] },
  })
  for (const timePoint of [0, 1, 2])
    t.same([...(await stitchFrames(source, { timePoint })).samples], new Array(6).fill(timePoint))
})

t.test('pixels of another size are left out, and can be named', async t => {
  const wide = grid(3, 2)
  const scans = [
    { ...grid(3, 2), data: [0, 1, 2, 3, 4, 5] },
    { ...wide, xs: wide.xs.map(x => 2 * x), group: 'Measurement_001', data: [5, 4, 3, 2, 1, 0] },
  ]
  const path = await writeScans(join(t.testdir({}), 'scan.h5'), scans)
  const { series } = await open(path)
  t.equal(series.frames.length, 1)
  t.match(series.problems, [
    /Measurement_001\/Main has pixels of another size than .*; name it by #\/Measurement_001\/Main/,
  ])
  const named = await open(`${path}#/Measurement_001`)
  t.same(named.series.pixelSizeUm, { x: 2, y: 1 })
  t.same([...(await stitchFrames(named)).samples], [5, 4, 3, 2, 1, 0])
})

t.test('without a unit of length only pixels are known', async t => {
  const path = await writeScans(join(t.testdir({}), 'scan.h5'), [
    { ...grid(3, 2, 8, 4), data: [0, 1, 2, 3, 4, 5], unit: 'a.u.' },
  ])
  const { series } = await open(path)
  t.match(series, { isUncalibrated: true, pixelSizeUm: { x: 1, y: 1 } })
  t.match(series.problems, [/positions in "a\.u\.", which is no unit of length/])
  t.match((await open(path, { unitUm: 1e-3 })).series, { pixelSizeUm: { x: 0.001, y: 0.001 } })
})

t.test('a few points here and there, and points along a line, are refused', async t => {
  const folder = t.testdir({})
  const diagonal = Array.from({ length: 9 }, (_, i) => [i, i] as const)
  const coordinates = diagonal.map(([x]) => x)
  const data = new Float32Array(9)
  const scattered = await writeScans(join(folder, 'scattered.h5'), [
    { positions: diagonal, xs: coordinates, ys: coordinates, data },
  ])
  await t.rejects(open(scattered), {
    name: 'UnsupportedDataError',
    message: /a sample of 9 scattered points, not a grid/,
  })
  const line = await writeScans(join(folder, 'line.h5'), [{ ...grid(9, 1), data }])
  await t.rejects(open(line), { name: 'UnsupportedDataError', message: /a line of 9 points, not an image/ })
})
