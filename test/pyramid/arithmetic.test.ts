import { readFileSync } from 'node:fs'
import t from 'tap'
import { createReferenceKernels } from '../../src/kernels/reference.js'
import { commonSampleType, type Rect, rectAtLevel } from '../../src/plane.js'
import { Blender, featherWeights, pymeWeights } from '../../src/pyramid/blend.js'
import { DEFAULT_SETTINGS } from '../../src/pyramid/build-settings.js'
import { FrameCoverage, runLengths } from '../../src/pyramid/coverage.js'
import { automaticWindow, coarsen, HistogramBuilder, quantile } from '../../src/pyramid/histogram.js'
import {
  countLevels,
  gridOf,
  isInGrid,
  levelSize,
  type MosaicGeometry,
  roundHalfEven,
} from '../../src/pyramid/mosaic-geometry.js'
import { orientPlane } from '../../src/pyramid/orient-plane.js'
import { placeFrames } from '../../src/pyramid/placement.js'
import { reducePlane } from '../../src/pyramid/reduce.js'
import { nameWells, parseWell, wellInPath } from '../../src/pyramid/wells.js'
import { readNpy } from '../../src/sources/npy.js'
import { seededRandom } from '../seeded-random.js'
import { syntheticSource } from './synthetic-source.js'

function geometry(width: number, height: number, tileSize = 256): MosaicGeometry {
  const size = { width, height }
  return {
    originUm: { x: 0, y: 0 },
    pixelSizeUm: { x: 1, y: 1 },
    size,
    tileSize,
    levelCount: countLevels(size, tileSize),
  }
}

t.test('halves are rounded to the even neighbour, everything else to the nearest', async t => {
  const cases = [
    [0.5, 0],
    [1.5, 2],
    [2.5, 2],
    [-0.5, 0],
    [-1.5, -2],
    [-2.5, -2],
    [2.4999999, 2],
    [2.5000001, 3],
    [1e15 + 0.5, 1e15],
    [7, 7],
  ]
  for (const [value, rounded] of cases) t.equal(roundHalfEven(value) + 0, rounded, String(value))
})

t.test('levels go up until the whole mosaic is one tile, halves rounded up', async t => {
  t.equal(countLevels({ width: 256, height: 10 }, 256), 1)
  t.equal(countLevels({ width: 257, height: 10 }, 256), 2)
  t.equal(countLevels({ width: 28824, height: 28830 }, 256), 8)
  const plate = geometry(28824, 28831)
  t.same(levelSize(plate, 1), { width: 14412, height: 14416 })
  t.same(levelSize(plate, 7), { width: 226, height: 226 })
  t.same(gridOf(plate, 0), { columns: 113, rows: 113 })
  t.same(gridOf(plate, 7), { columns: 1, rows: 1 })
  t.ok(isInGrid(plate, { level: 0, column: 112, row: 112 }))
  for (const address of [
    { level: 0, column: 113, row: 0 },
    { level: 8, column: 0, row: 0 },
    { level: 0, column: -1, row: 0 },
    { level: 0, column: 0.5, row: 0 },
    { level: Number.NaN, column: 0, row: 0 },
  ]) {
    t.notOk(isInGrid(plate, address), JSON.stringify(address))
  }
  t.same(rectAtLevel({ x0: 3, y0: 4, x1: 9, y1: 12 }, 2), { x0: 0, y0: 1, x1: 3, y1: 3 })
})

t.test('the smallest type that holds all inputs exactly is stored', async t => {
  t.equal(commonSampleType(['uint16']), 'uint16')
  t.equal(commonSampleType(['uint8', 'uint16']), 'uint16')
  t.equal(commonSampleType(['uint8', 'int16']), 'int16')
  t.equal(commonSampleType(['uint16', 'int16']), 'int32')
  t.equal(commonSampleType(['uint16', 'float32']), 'float32')
  t.equal(commonSampleType(['uint32', 'float32']), 'float64')
  t.equal(commonSampleType(['uint32', 'int32']), 'float64')
  t.equal(commonSampleType(['float32', 'float64']), 'float64')
})

t.test('coverage by buckets equals coverage by brute force, at every level', async t => {
  const random = seededRandom(1)
  const plate = geometry(5000, 4300)
  const rects = Array.from({ length: 60 }, (): Rect => {
    const [x0, y0] = [Math.floor(random() * 4700), Math.floor(random() * 4000)]
    return { x0, y0, x1: x0 + 300, y1: y0 + 200 }
  })
  const coverage = new FrameCoverage(plate, rects)
  for (let level = 0; level < plate.levelCount; level++) {
    const { columns, rows } = gridOf(plate, level)
    const size = levelSize(plate, level)
    const brute = new Uint8Array(columns * rows * 65536)
    for (const rect of rects.map(whole => rectAtLevel(whole, level))) {
      t.ok(rect.x1 <= size.width && rect.y1 <= size.height)
      for (let y = rect.y0; y < rect.y1; y++) for (let x = rect.x0; x < rect.x1; x++) brute[y * columns * 256 + x] = 1
    }
    const present = new Uint8Array(columns * rows)
    let wrong = 0
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const expected = Uint8Array.from(
          { length: 65536 },
          (_, i) => brute[(row * 256 + (i >> 8)) * columns * 256 + column * 256 + (i & 255)],
        )
        const mask = coverage.tileMask({ level, column, row }) ?? new Uint8Array(65536).fill(1)
        if (Buffer.compare(mask, expected) !== 0) wrong++
        if (coverage.hasTile({ level, column, row }) !== expected.includes(1)) wrong++
        present[row * columns + column] = expected.includes(1) ? 1 : 0
      }
    }
    t.equal(wrong, 0, `level ${level}`)
    t.same(coverage.tileRuns(level), runLengths(present))
  }
})

t.test('a coarse pixel is covered exactly where one of its four children is', async t => {
  const coverage = new FrameCoverage(geometry(700, 500), [
    { x0: 3, y0: 5, x1: 131, y1: 77 },
    { x0: 401, y0: 203, x1: 700, y1: 500 },
  ])
  let fine = new Uint8Array(1024 * 512)
  coverage.fillMask(0, { x0: 0, y0: 0, x1: 1024, y1: 512 }, fine)
  for (let level = 1, width = 512; level < 3; level++, width /= 2) {
    const coarse = new Uint8Array((width * width) / 2)
    coverage.fillMask(level, { x0: 0, y0: 0, x1: width, y1: width / 2 }, coarse)
    const children = (i: number): number => 4 * width * Math.floor(i / width) + 2 * (i % width)
    t.ok(
      coarse.every(
        (covered, i) =>
          covered ===
          (fine[children(i)] |
            fine[children(i) + 1] |
            fine[children(i) + 2 * width] |
            fine[children(i) + 2 * width + 1]),
      ),
    )
    fine = coarse
  }
})

t.test('feather weights rise over a quarter of the edge, at most 100 px, and are never zero', async t => {
  t.same([...featherWeights(8).weights], [1, 2, 3, 3, 3, 3, 2, 1])
  t.equal(featherWeights(8).ramp, 3, 'whole numbers: the weight times the length of the ramp')
  t.same([...featherWeights(3).weights], [1, 1, 1])
  const { weights, ramp } = featherWeights(2048)
  t.same([weights[0], weights[100], weights[2047], ramp], [1, 101, 1, 101])
})

t.test("PYME's weights are the ones that it used", async t => {
  const { samples } = readNpy(
    readFileSync(new URL('../fixtures/pyme/frame_weights_256_axis.npy', import.meta.url)),
    'weights',
  )
  t.same([...pymeWeights(256, 256)], [...samples.subarray(0, 256)])
  t.same([...pymeWeights(256, 256)], [...samples.subarray(256)])
  t.same([...pymeWeights(4, 4)], [0, 1, 1, 1], 'a ramp of one pixel')
})

t.test('a NaN sample is dark in an integer pyramid, whether one frame or several saw the pixel', async t => {
  const frame = (x: number) => {
    const plane = { width: 4, height: 1, sampleType: 'float32' as const, samples: new Float32Array(4).fill(Number.NaN) }
    return { plane, x, y: 0, dark: 10, gain: undefined }
  }
  const canvas = { width: 6, height: 1, sampleType: 'uint16' as const, samples: new Uint16Array(6) }
  new Blender('feather', 10, createReferenceKernels()).blendInto(canvas, { x0: 0, y0: 0, x1: 6, y1: 1 }, [
    frame(0),
    frame(2),
  ])
  t.same([...canvas.samples], [10, 10, 10, 10, 10, 10])
})

t.test('a reduced sample is the mean of its covered children, halves to even; NaN counts as not covered', async t => {
  const reduce = (values: number[], mask: number[], type: 'uint16' | 'float32' = 'uint16', absentAs?: number): number =>
    reducePlane(
      {
        width: 2,
        height: 2,
        sampleType: type,
        samples: type === 'uint16' ? Uint16Array.from(values) : Float32Array.from(values),
      },
      Uint8Array.from(mask),
      absentAs,
    ).samples[0]
  t.equal(reduce([1, 2, 3, 4], [1, 1, 1, 1]), 2)
  t.equal(reduce([1, 2, 4, 7], [1, 1, 1, 1]), 4)
  t.equal(reduce([9, 500, 500, 500], [1, 0, 0, 0]), 9)
  t.equal(reduce([65535, 65534, 0, 0], [1, 1, 0, 0]), 65534)
  t.equal(reduce([5, 5, 5, 5], [0, 0, 0, 0]), 0)
  t.equal(reduce([1, Number.NaN, 2, Number.NaN], [1, 1, 1, 1], 'float32'), 1.5)
  t.ok(Number.isNaN(reduce([1, 1, 1, 1], [0, 0, 0, 0], 'float32')))
  t.equal(reduce([500, 0, 0, 0], [1, 0, 0, 0], 'uint16', 100), 200, 'PYME counts what is absent as nothing above dark')
})

t.test('flips come first, then the rotation, clockwise', async t => {
  const plane = { width: 3, height: 2, sampleType: 'uint8' as const, samples: Uint8Array.from([1, 2, 3, 4, 5, 6]) }
  const turn = (flipX: boolean, flipY: boolean, rotate: 0 | 90 | 180 | 270): unknown[] => {
    const { width, height, samples } = orientPlane(plane, { flipX, flipY, rotate })
    return [width, height, [...samples]]
  }
  t.same(turn(false, false, 0), [3, 2, [1, 2, 3, 4, 5, 6]])
  t.same(turn(true, false, 0), [3, 2, [3, 2, 1, 6, 5, 4]])
  t.same(turn(false, true, 0), [3, 2, [4, 5, 6, 1, 2, 3]])
  t.same(turn(false, false, 90), [2, 3, [4, 1, 5, 2, 6, 3]])
  t.same(turn(false, false, 180), [3, 2, [6, 5, 4, 3, 2, 1]])
  t.same(turn(false, false, 270), [2, 3, [3, 6, 2, 5, 1, 4]])
  t.same(turn(true, false, 90), [2, 3, [6, 3, 5, 2, 4, 1]])
})

t.test('histograms count covered samples; percentiles and the first contrast follow from them', async t => {
  const builder = new HistogramBuilder('uint16')
  builder.add(Uint16Array.from([100, 100, 101, 5000, 9999]), Uint8Array.from([1, 1, 1, 1, 0]))
  const histogram = builder.finish()
  t.match(histogram, { min: 100, max: 5000, total: 4, binStart: 100, binWidth: 1 })
  t.equal(histogram.counts[0], 2)
  t.equal(histogram.counts.length, 4901)
  t.equal(quantile(histogram, 0.5), 100)
  t.equal(quantile(histogram, 0.75), 101)
  t.equal(quantile(histogram, 1), 5000)

  const noise = new HistogramBuilder('uint16')
  noise.add(Uint16Array.from({ length: 10000 }, (_, i) => 1000 + i))
  t.same(automaticWindow(noise.finish(), 'uint16'), { black: 1009, white: 10989 })
  t.equal(coarsen(noise.finish(), 512).counts.length, 500)
  t.equal(
    coarsen(noise.finish(), 512).counts.reduce((a, b) => a + b),
    10000,
  )

  const flat = new HistogramBuilder('uint8')
  flat.add(Uint8Array.from([250, 250]))
  t.same(
    automaticWindow(flat.finish(), 'uint8'),
    { black: 239, white: 255 },
    'at least 16 counts apart, inside the type',
  )

  const signed = new HistogramBuilder('int16')
  signed.add(Int16Array.from([-300, 200]))
  t.match(signed.finish(), { min: -300, max: 200, binStart: -300 })
  t.same(new HistogramBuilder('float32').finish().total, 0)
})

t.test('float histograms widen as samples come and leave NaN out', async t => {
  const builder = new HistogramBuilder('float32')
  builder.add(Float32Array.from([0, 1, Number.NaN, Number.POSITIVE_INFINITY]))
  builder.add(Float32Array.from({ length: 1000 }, (_, i) => i / 100))
  const { counts, ...histogram } = builder.finish()
  t.match(histogram, { total: 1002, min: 0 })
  t.equal(counts.length, 4096)
  t.equal(
    counts.reduce((a, b) => a + b),
    1002,
  )
  t.ok(Math.abs(quantile({ counts, ...histogram }, 0.5) - 5) < 0.05)
  const flat = new HistogramBuilder('float64')
  flat.add(Float64Array.from([3, 3]))
  const window = automaticWindow(flat.finish(), 'float64')
  t.ok(window.white > window.black)
})

t.test('a frame 25.6 µm right of the first lands 256 pixels right at 0.1 µm per pixel', async t => {
  const source = syntheticSource({
    pixelSizeUm: { x: 0.1, y: 0.2 },
    frames: [
      { xUm: 1000, yUm: -50 },
      { xUm: 1025.6, yUm: -49 },
    ],
  })
  const { frames, geometry } = placeFrames([source], DEFAULT_SETTINGS)
  t.same(
    frames.map(({ rect }) => rect),
    [
      { x0: 0, y0: 0, x1: 64, y1: 48 },
      { x0: 256, y0: 5, x1: 320, y1: 53 },
    ],
  )
  t.same(geometry.originUm, { x: 1000, y: -50 })
  t.same(geometry.size, { width: 320, height: 53 })
})

t.test(
  'the camera ROI moves frames of different series against each other, but under the pyme blend only the origin',
  async t => {
    const plain = syntheticSource({ url: 'a', frames: [{ xUm: 0, yUm: 0 }] })
    const shifted = syntheticSource({ url: 'b', frames: [{ xUm: 100, yUm: 0 }], cameraRoi: { x: 10, y: 4 } })
    const withRoi = {
      ...shifted,
      series: {
        ...shifted.series,
        frames: shifted.series.frames.map(frame => ({ ...frame, position: { xUm: 110, yUm: 4 } })),
      },
    }
    t.match(placeFrames([plain, withRoi], DEFAULT_SETTINGS).frames[1].rect, { x0: 110, y0: 4 })
    const pyme = placeFrames([withRoi, { ...plain, url: 'c' }], { ...DEFAULT_SETTINGS, blend: 'pyme' })
    t.match(pyme.frames[0].rect, { x0: 100, y0: 0 })
    t.same(pyme.geometry.originUm, { x: 10, y: 4 })
  },
)

t.test(
  'frames before DataStartsAt are not placed and do not move the origin, but they do under the pyme blend',
  async t => {
    const source = syntheticSource({
      dataStartsAt: 1,
      frames: [
        { xUm: -500, yUm: 0 },
        { xUm: 7, yUm: 3 },
      ],
    })
    const { frames, geometry } = placeFrames([source], DEFAULT_SETTINGS)
    t.same(
      frames.map(({ index }) => index),
      [1],
    )
    t.same(geometry.originUm, { x: 7, y: 3 })
    t.match(placeFrames([source], { ...DEFAULT_SETTINGS, blend: 'pyme' }).frames[0].rect, { x0: 507, y0: 3 })
  },
)

t.test('a pixel size that the user gives scales the camera ROI too', async t => {
  const source = syntheticSource({ pixelSizeUm: undefined, cameraRoi: { x: 10, y: 4 }, frames: [{ xUm: 100, yUm: 0 }] })
  const { geometry } = placeFrames([source], { ...DEFAULT_SETTINGS, pixelSizeUm: { x: 0.5, y: 0.25 } })
  t.same(geometry.originUm, { x: 105, y: 1 })
})

t.test('an origin may be given, and must not cut a frame off', async t => {
  const source = syntheticSource({ frames: [{ xUm: 10, yUm: 20 }] })
  t.match(placeFrames([source], { ...DEFAULT_SETTINGS, originUm: { x: 0, y: 0 } }).frames[0].rect, { x0: 10, y0: 20 })
  t.throws(
    () => placeFrames([source], { ...DEFAULT_SETTINGS, originUm: { x: 11, y: 0 } }),
    /--origin 11,0 lies right of or below/,
  )
})

t.test('pixel sizes that differ are refused above 0.1 %, named above 0.001 %, and can be overruled', async t => {
  const first = syntheticSource({ url: 'a', frames: [{ xUm: 0, yUm: 0 }] })
  const second = (x: number) => syntheticSource({ url: 'b', frames: [{ xUm: 500, yUm: 0 }], pixelSizeUm: { x, y: 1 } })
  t.throws(
    () => placeFrames([first, second(1.002)], DEFAULT_SETTINGS),
    /b has pixels of 1.002 × 1 µm where a has 1 × 1 µm/,
  )
  t.match(placeFrames([first, second(1.0005)], DEFAULT_SETTINGS).warnings, [/b has pixels of 1.0005 × 1 µm/])
  t.same(placeFrames([first, second(1.000001)], DEFAULT_SETTINGS).warnings, [])
  t.equal(
    placeFrames([first, second(2)], { ...DEFAULT_SETTINGS, pixelSizeUm: { x: 0.5, y: 0.5 } }).frames[1].rect.x0,
    1000,
  )
  const unknown = syntheticSource({ url: 'c', frames: [{ xUm: 0, yUm: 0 }], pixelSizeUm: undefined })
  t.throws(() => placeFrames([unknown], DEFAULT_SETTINGS), /c does not say how large a pixel is .* --pixel-size/)
})

t.test('frames so far apart that their grid could not be served are refused when they are placed', async t => {
  const at = (xUm: number, yUm: number) =>
    syntheticSource({
      frames: [
        { xUm: 0, yUm: 0 },
        { xUm, yUm },
      ],
    })
  t.throws(() => placeFrames([at(2 ** 27, 0)], DEFAULT_SETTINGS), /more than the 67108864 px that a mosaic may measure/)
  t.throws(
    () => placeFrames([at(2 ** 22, 2 ** 22)], DEFAULT_SETTINGS),
    /more than 67108864 tiles; .*larger --tile-size/,
  )
  t.ok(placeFrames([at(2 ** 22, 2 ** 22)], { ...DEFAULT_SETTINGS, tileSize: 1024 }))
})

t.test('positions far beyond any stage are refused instead of planned', async t => {
  const source = syntheticSource({
    frames: [
      { xUm: 0, yUm: 0 },
      { xUm: 1e12, yUm: 0 },
    ],
  })
  t.throws(() => placeFrames([source], DEFAULT_SETTINGS), /look at the positions and the pixel size/)
})

t.test('two series over the same area are refused until somebody says how they relate', async t => {
  const series = (url: string, xUm: number) =>
    syntheticSource({ url, frames: [0, 50, 100].map(x => ({ xUm: xUm + x, yUm: 0 })) })
  const over = [series('dapi', 0), series('gfp', 5)]
  t.throws(
    () => placeFrames(over, DEFAULT_SETTINGS),
    /dapi and gfp cover the same area .* --channel NAME=GLOB .* --as time .* --merge/,
  )
  t.same(placeFrames(over, { ...DEFAULT_SETTINGS, join: { kind: 'merge' } }).timePoints, 1)
  t.same(placeFrames(over, { ...DEFAULT_SETTINGS, join: { kind: 'time' } }).timePoints, 2)
  const channels = placeFrames(over, { ...DEFAULT_SETTINGS, join: { kind: 'channels', names: ['DAPI', 'GFP'] } })
  t.same(
    channels.channels.map(({ name }) => name),
    ['DAPI', 'GFP'],
  )
  t.same(
    channels.frames.map(({ selection }) => selection.channel),
    [0, 0, 0, 1, 1, 1],
  )
  t.equal(
    placeFrames([series('a', 0), series('b', 140)], DEFAULT_SETTINGS).frames.length,
    6,
    'neighbours that share a border are fine',
  )
})

t.test('a reversed stage axis mirrors positions, not pixels', async t => {
  const source = syntheticSource({
    frames: [
      { xUm: 0, yUm: 0 },
      { xUm: 100, yUm: 10 },
    ],
  })
  const { frames } = placeFrames([source], { ...DEFAULT_SETTINGS, stageSign: { x: -1, y: 1 } })
  t.same(
    frames.map(({ rect }) => [rect.x0, rect.y0]),
    [
      [100, 0],
      [0, 10],
    ],
  )
})

t.test('a rotation by 90° swaps the frame edges and the pixel sizes', async t => {
  const source = syntheticSource({
    pixelSizeUm: { x: 1, y: 2 },
    frames: [
      { xUm: 0, yUm: 0 },
      { xUm: 100, yUm: 100 },
    ],
  })
  const { frames, geometry } = placeFrames([source], {
    ...DEFAULT_SETTINGS,
    orientation: { flipX: false, flipY: false, rotate: 90 },
  })
  t.same(geometry.pixelSizeUm, { x: 2, y: 1 })
  t.same(frames[1].rect, { x0: 50, y0: 100, x1: 98, y1: 164 })
})

t.test(
  "unsigned pyramids keep the first series' dark level as pedestal; signed and float ones are counts above dark",
  async t => {
    const at = (sampleType: 'uint16' | 'int16' | 'float32') =>
      placeFrames([syntheticSource({ sampleType, darkLevel: 100.25, frames: [{ xUm: 0, yUm: 0 }] })], DEFAULT_SETTINGS)
    t.equal(at('uint16').pedestal, 100.25)
    t.equal(at('int16').pedestal, 0)
    t.equal(at('float32').pedestal, 0)
  },
)

t.test('wells are named by the metadata, the path, the lattice of positions, or the series', async t => {
  t.equal(parseWell('b07'), 'B7')
  t.equal(parseWell('AF48'), 'AF48')
  for (const odd of ['A0', 'A49', 'AG1', 'well', '']) t.equal(parseWell(odd), undefined, odd)
  t.equal(wellInPath('/data/plate_3/well_B07.pcs'), 'B7')
  t.equal(wellInPath('/data/C03/run_t1_v2.pcs'), 'C3', 'small letters are no rows')
  t.equal(wellInPath('/data/DATA1/run.pcs'), undefined)

  const at = (series: number, x: number, y: number) => ({ series, rect: { x0: x, y0: y, x1: x + 500, y1: y + 500 } })
  const source = (name: string, well?: string) => ({ name, path: `/d/${name}.pcs`, well })
  const pixel = { x: 1, y: 1 }
  t.same(nameWells([source('one', 'h12')], [at(0, 0, 0)], pixel).names, ['H12'])
  const lattice = nameWells([source('one')], [at(0, 0, 0), at(0, 400, 0), at(0, 9000, 100), at(0, 9000, 18000)], pixel)
  t.same(lattice, { names: ['A1', 'A1', 'A2', 'C2'], pitchUm: 9000 })
  t.same(nameWells([source('one'), source('two')], [at(0, 0, 0), at(1, 7900, 0)], pixel).names, ['one', 'two'])
  const overEachOther = [at(0, 0, 0), at(0, 400, 0), at(1, 403, 2), at(1, 1, 0), at(2, 4000, 0)]
  const series = [source('t0'), source('t1'), source('elsewhere')]
  t.same(nameWells(series, overEachOther, pixel).names, ['t0', 't0', 't0', 't0', 'elsewhere'])
})
