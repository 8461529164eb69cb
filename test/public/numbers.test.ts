import t from 'tap'
import { brightness, colourStep, validContrast } from '../../public/contrast/contrast.js'
import { countSamples, percentile, resample, shareBelow } from '../../public/contrast/sample-histogram.js'
import { barLabel, roundLength } from '../../public/frame/scale-bar.js'
import { mergeCalls } from '../../public/parts/merge-calls.js'
import {
  formatArea,
  formatCoordinate,
  formatDuration,
  formatLength,
  formatNumber,
  formatPixelSize,
  formatResolution,
  formatSample,
  formatShare,
  formatSquare,
  parseNumber,
  showLengthsIn,
} from '../../public/parts/number-format.js'
import { nameOfAxis, nameOfPlane } from '../../public/picture/plane-names.js'
import { extentOfRect, isSameArea, mapFromPixel, pixelFromMap } from '../../public/picture/stage-geometry.js'
import { TileTexels } from '../../public/picture/tile-texels.js'
import { firstLook, staysInPlace, wellInView } from '../../public/picture/view-choices.js'
import { parseWellName, rowName, wellGrid } from '../../public/plate/well-grid.js'
import type { PyramidInfo } from '../../public/server/pyramid-api.js'
import { TileCoverage } from '../../public/tiles/tile-coverage.js'
import { COLOUR_TABLES } from '../../src/render/colour-maps.js'

/** Thin no-break spaces read badly in a test. */
const plain = (text: string): string => text.replaceAll('\u202f', ' ')

const PYRAMID: PyramidInfo = {
  id: 'id',
  name: 'plate',
  version: 'v',
  complete: true,
  format: 'tilestage',
  width: 1000,
  height: 1000,
  tileSize: 256,
  levelCount: 3,
  originUm: { x: 0, y: 0 },
  pixelSizeUm: { x: 1, y: 1 },
  sampleType: 'uint16',
  darkLevel: 100,
  channels: [],
  zPlanes: 1,
  timePoints: 1,
  covered: null,
  wells: [],
  frames: null,
}

t.test('thousands are set apart by thin no-break spaces, and minus is a minus sign', async t => {
  t.equal(formatNumber(10212.44, 1), '10\u202f212.4')
  t.equal(formatNumber(999), '999')
  t.equal(formatNumber(-1234567), '\u22121\u202f234\u202f567')
  t.equal(formatNumber(-0.04, 1), '0.0', 'zero has no sign')
})

t.test('a coordinate has as many decimals as a screen pixel can tell apart', async t => {
  t.equal(plain(formatCoordinate(10212.437, 0.04)), '10 212.44 µm')
  t.equal(plain(formatCoordinate(10212.437, 0.26)), '10 212.4 µm')
  t.equal(plain(formatCoordinate(10212.437, 5)), '10 212 µm')
})

t.test('electron microscopes are read out in nm, and pixels of unknown size in pixels', async t => {
  t.equal(plain(formatCoordinate(0.0024512, 1.96e-5)), '2.45 nm')
  t.equal(plain(formatResolution(1.96e-5)), '0.0196 nm')
  t.equal(plain(formatPixelSize(2e-5, 5e-5)), '0.02 × 0.05 nm/px')
  showLengthsIn('px')
  t.teardown(() => showLengthsIn('µm'))
  t.equal(plain(formatCoordinate(1234.4, 2)), '1 234 px')
  t.equal(plain(formatLength(0.25)), '0.250 px')
  t.equal(plain(formatSquare(1e7)), '10 000 000 px²')
  t.equal(plain(barLabel(200)), '200 px')
  t.equal(formatPixelSize(1, 1), 'pixel size unknown')
})

t.test('planes are called by what was varied, where that is known', async t => {
  const axes = { zPlane: { name: 'Bias', unit: 'V', values: [-1.5, 2] }, timePoint: null }
  const pyramid = { zPlanes: 2, timePoints: 8, axes } as unknown as PyramidInfo
  t.equal(nameOfAxis(pyramid, 'zPlane'), 'Bias')
  t.equal(plain(nameOfPlane(pyramid, 'zPlane', 0)), '−1.5 V')
  t.equal(nameOfAxis(pyramid, 'timePoint'), 'time')
  t.equal(nameOfPlane(pyramid, 'timePoint', 2), '3 of 8')
})

t.test('lengths are nm below 1 µm and mm from 1 000 µm, with three significant digits', async t => {
  t.equal(plain(formatLength(0.325)), '325 nm')
  t.equal(plain(formatLength(94.83)), '94.8 µm')
  t.equal(plain(formatLength(9369.5)), '9.37 mm')
  t.equal(plain(formatArea(9367.8, 9369.75)), '9.37 × 9.37 mm')
  t.equal(plain(formatPixelSize(0.325, 0.325)), '0.325 µm/px')
  t.equal(plain(formatPixelSize(0.05, 0.08)), '0.05 × 0.08 µm/px')
})

t.test('integer counts have no decimals, floating point four significant digits', async t => {
  t.equal(plain(formatSample(65535, true)), '65 535')
  t.equal(plain(formatSample(0.0123456, false)), '0.01235')
  t.equal(formatSample(0, false), '0')
})

t.test('a share that is there but small is not shown as zero', async t => {
  t.equal(plain(formatShare(0)), '0.0 %')
  t.equal(plain(formatShare(0.0004)), '< 0.1 %')
  t.equal(plain(formatShare(0.0154)), '1.5 %')
})

t.test('numbers are read as they are written', async t => {
  t.equal(parseNumber(formatNumber(-10212.4, 1)), -10212.4)
  t.equal(parseNumber(' 1 234,5 '), 1234.5)
  t.equal(parseNumber('12 counts'), undefined)
  t.equal(parseNumber(''), undefined)
})

t.test('a scale bar is the longest of 1, 2 or 5 × 10ⁿ that fits', async t => {
  const cases = [
    [89, 50],
    [50, 50],
    [49.9, 20],
    [1000, 1000],
    [999, 500],
    [0.19, 0.1],
    [0.3, 0.2],
  ] as const
  for (const [most, bar] of cases) t.equal(roundLength(most), bar, `${most} µm`)
  t.equal(plain(barLabel(0.2)), '200 nm')
  t.equal(plain(barLabel(50)), '50 µm')
  t.equal(plain(barLabel(2000)), '2 mm')
})

t.test('the time left is told no more exactly than it is known', async t => {
  const cases = [
    [0, '0 s'],
    [3.2, '4 s'],
    [89, '89 s'],
    [100, '2 min'],
    [3600, '60 min'],
    [7200, '2 h'],
    [7800, '2 h 10 min'],
  ] as const
  for (const [seconds, text] of cases) t.equal(plain(formatDuration(seconds)), text)
})

t.test('the centre of pixel (0, 0) lies at the origin, and y points down', async t => {
  const geometry = { originUm: { x: 100, y: 200 }, pixelSizeUm: { x: 0.5, y: 0.25 } }
  t.same(mapFromPixel(geometry, 0.5, 0.5), [100, -200])
  t.same(pixelFromMap(geometry, [105, -201]), { x: 10.5, y: 4.5 })
  t.same(extentOfRect(geometry, { x0: 0, y0: 0, x1: 10, y1: 10 }), [99.75, -202.375, 104.75, -199.875])
})

t.test('two pyramids cover the same area when they share more than half of the smaller one', async t => {
  t.ok(isSameArea([0, 0, 10, 10], [4, 0, 14, 10]))
  t.notOk(isSameArea([0, 0, 10, 10], [6, 0, 16, 10]))
  t.notOk(isSameArea([0, 0, 10, 10], [20, 20, 30, 30]))
  t.ok(isSameArea([0, 0, 100, 100], [10, 10, 20, 20]), 'a part of the plate')
})

t.test('a change of a shard changes the versions of the tiles above and in it, and of no others', async t => {
  // Two shards of 8 × 8 tiles side by side: tiles of level 3 are as large as a shard, the tile of level 4 holds both.
  const levels = [0, 1, 2, 3, 4].map(level => ({
    level,
    columns: 16 / 2 ** level,
    rows: 1,
    runs: [0, 16 / 2 ** level],
  }))
  const [finest, ...others] = levels
  const shards = { '0/0': 'a', '0/1': 'b' }
  const coverage = new TileCoverage({ version: 'v', plan: 3, levels: [{ ...finest!, shards }, ...others] }, 256)
  const row = 0
  const versions = (): (string | undefined)[] =>
    [0, 1, 2, 3].flatMap(level => [0, 8 / 2 ** level].map(column => coverage.version({ level, column, row })))
  t.same(versions(), ['a', 'b', 'a', 'b', 'a', 'b', 'a', 'b'])
  const whole = coverage.version({ level: 4, column: 0, row })
  coverage.setShardVersion({ level: 0, row, column: 1, version: 'c' })
  t.same(versions(), ['a', 'c', 'a', 'c', 'a', 'c', 'a', 'c'])
  t.equal(coverage.version({ level: 4, column: 0, row }), 'c')
  t.not(whole, 'c')
  coverage.setShardVersion({ level: 4, row, column: 0, version: 'd' })
  coverage.read({ version: 'v', plan: 4, levels: [{ ...finest!, shards: { '0/0': 'a', '0/1': 'c' } }, ...others] })
  t.equal(
    coverage.version({ level: 4, column: 0, row }),
    'c',
    'its own shard was written, and nothing below it changed',
  )
  t.equal(coverage.plan, 4)
  const nothing = new TileCoverage({ version: 'v', plan: 1, levels }, 256)
  t.same(
    [0, 3, 4].map(level => nothing.version({ level, column: 0, row })),
    [undefined, undefined, undefined],
  )
})

t.test('of a burst of calls the first is done at once and the rest once, never two at a time', async t => {
  const runs: (() => void)[] = []
  const call = mergeCalls(() => new Promise<void>(resolve => runs.push(resolve)), 1)
  const turn = (): Promise<void> => new Promise(resolve => setTimeout(resolve, 20))
  call()
  t.equal(runs.length, 1)
  for (let i = 0; i < 5; i++) call()
  await turn()
  t.equal(runs.length, 1, 'the first is not done yet')
  runs[0]?.()
  await turn()
  t.equal(runs.length, 2)
  runs[1]?.()
  await turn()
  t.equal(runs.length, 2, 'nothing was called for meanwhile')
  call()
  t.equal(runs.length, 3)
  runs[2]?.()
})

t.test('coverage runs say which tiles hold samples', async t => {
  const runs = [0, 1, 2, 2, 1]
  const coverage = new TileCoverage({ version: 'v', levels: [{ level: 1, columns: 3, rows: 2, runs }] }, 256)
  const present = [0, 1].map(row => [0, 1, 2].map(column => coverage.has({ level: 1, column, row })))
  t.same(present, [
    [true, false, false],
    [true, true, false],
  ])
  t.equal(coverage.firstGroup, undefined, 'level 0 has no tiles')
  const groups = [1, 1, 2, 1, 2, 1, 1, 1, 5]
  const plate = new TileCoverage({ version: 'v', levels: [{ level: 0, columns: 5, rows: 3, runs: groups }] }, 256)
  t.same(plate.firstGroup, { x0: 1, y0: 0, x1: 3, y1: 2 }, 'tiles may touch at a corner')
  t.notOk(coverage.has({ level: 1, column: 3, row: 0 }), 'outside the grid')
  t.notOk(coverage.has({ level: 0, column: 0, row: 0 }), 'a level without tiles')
})

t.test('texels keep every value, what is not covered, and the nearest samples of neighbours', async t => {
  const mask = Uint8Array.of(1, 0, 1, 1)
  const bytes = new TileTexels(2, 2, 'bytes')
  bytes.put({ samples: Uint16Array.of(0x1234, 7, 3, 65535), mask }, 1)
  bytes.put({ samples: Uint16Array.of(1, 2, 3, 4), mask: undefined }, 1, 1, 0)
  bytes.put({ samples: Uint16Array.of(5, 6, 7, 8), mask: undefined }, 1, -1, -1)
  const texel = (row: number, column: number): number[] => [...bytes.texels].slice(16 * row + 4 * column).slice(0, 4)
  t.ok(
    bytes.texels.subarray(0, 64).every(part => part === 0),
    'a channel without a tile is uncovered',
  )
  t.same(texel(5, 1), [0x34, 0x12, 0, 255])
  t.same(texel(5, 2), [7, 0, 0, 0])
  t.same(texel(6, 2), [255, 255, 0, 255])
  t.same(
    [texel(5, 3), texel(6, 3)],
    [
      [1, 0, 0, 255],
      [3, 0, 0, 255],
    ],
    'the neighbour on the right',
  )
  t.same(texel(4, 0), [8, 0, 0, 255], 'and the one at the corner')
  t.same(texel(7, 1), [0, 0, 0, 0], 'where none was put')
  const floats = new TileTexels(1, 1, 'floats')
  floats.put({ samples: Float32Array.of(Number.NaN), mask: undefined }, 0)
  t.same([...floats.texels.subarray(8, 10)], [0, 0])
  floats.put({ samples: Float32Array.of(-1.5), mask: undefined }, 0)
  t.same([...floats.texels.subarray(8, 10)], [-1.5, 1])
})

t.test('a histogram of integers is exact, counts covered samples alone, and gives percentiles', async t => {
  const samples = Uint16Array.of(10, 10, 12, 500, 14, 14, 14, 14)
  const mask = Uint8Array.of(1, 1, 1, 0, 1, 1, 1, 1)
  const block = { samples, mask, stride: 4, x0: 0, y0: 0, x1: 4, y1: 2 }
  const histogram = countSamples([block], true)
  t.ok(histogram)
  if (!histogram) return
  t.same(
    [histogram.start, histogram.binWidth, [...Array.from(histogram.counts)], histogram.total],
    [10, 1, [2, 0, 1, 0, 4], 7],
  )
  t.equal(percentile(histogram, 0.001), 10)
  t.equal(percentile(histogram, 0.999), 14)
  t.equal(shareBelow(histogram, 12), 2 / 7)
  t.same([...resample(histogram, 10, 15, 5)], [2, 0, 1, 0, 4])
  t.equal(
    resample(histogram, 8, 18, 3).reduce((sum, count) => sum + count),
    7,
    'no count is lost',
  )
  t.equal(countSamples([{ ...block, x0: 3, x1: 4, y1: 1 }], true), undefined, 'nothing covered')
})

t.test('brightness runs from black to white along t^gamma, and integers keep a window of one count', async t => {
  const contrast = { black: 100, white: 200, gamma: 2, stretch: 'linear', colours: 'grey', inverted: false } as const
  t.same(
    [50, 100, 150, 200, 300].map(value => brightness(value, contrast)),
    [0, 0, 0.25, 1, 1],
  )
  t.equal(colourStep(0.25, false), 64)
  t.equal(colourStep(0.25, true), 191)
  t.match(validContrast({ ...contrast, black: 150.4, white: 100, gamma: 99 }, true), {
    black: 150,
    white: 151,
    gamma: 5,
  })
})

t.test('colour maps begin and end where their authors say', async t => {
  const ends = (map: keyof typeof COLOUR_TABLES): number[][] => [
    [...COLOUR_TABLES[map].subarray(0, 3)],
    [...COLOUR_TABLES[map].subarray(-4, -1)],
  ]
  t.same(ends('grey'), [
    [0, 0, 0],
    [255, 255, 255],
  ])
  t.same(ends('magma'), [
    [0, 0, 4],
    [252, 253, 191],
  ])
  t.same(ends('viridis'), [
    [68, 1, 84],
    [253, 231, 37],
  ])
})

t.test('the colours for signed data are grey in the middle, and equally far from it on both sides', async t => {
  const map = COLOUR_TABLES['blue-red']
  const colour = (step: number): number[] => [...map.subarray(4 * step, 4 * step + 3)]
  t.same(colour(127), [206, 206, 206])
  t.same(colour(128), [206, 206, 206])
  for (const away of [20, 60, 100, 127]) {
    const [blue, red] = [colour(127 - away), colour(128 + away)] as [number[], number[]]
    t.ok((blue[2] as number) > (blue[0] as number) && (red[0] as number) > (red[2] as number))
    t.ok(Math.abs(luminance(blue) - luminance(red)) < 0.04, `${away} steps away both are equally light`)
  }
})

/** Relative luminance of red, green and blue (sRGB), 0 … 1. */
function luminance(colour: readonly number[]): number {
  const [red = 0, green = 0, blue = 0] = colour.map(part => (part / 255) ** 2.2)
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

t.test('wells are placed by their names, and listed where a name says no place', async t => {
  t.same(parseWellName('B07'), { row: 1, column: 6 })
  t.same(parseWellName('AF48'), { row: 31, column: 47 })
  for (const name of ['AG1', 'A0', 'A49', 'slide 1', '7B']) t.equal(parseWellName(name), undefined, name)
  t.equal(rowName(27), 'AB')
  const well = (name: string) => ({ name, frames: 1, x0: 0, y0: 0, x1: 1, y1: 1 })
  t.match(wellGrid(['A2', 'C3'].map(well)), { firstRow: 0, endRow: 3, firstColumn: 1, endColumn: 3 })
  t.equal(wellGrid(['A1', 'control'].map(well)), undefined)
  t.equal(wellGrid(['A1', 'A01'].map(well)), undefined, 'two at one place')
})

t.test('a sparse plate is first looked at one well at a time, a dense one as a whole', async t => {
  const well = (x0: number, size: number) => ({ name: 'A1', frames: 1, x0, y0: 0, x1: x0 + size, y1: size })
  const plate = (size: number) => ({ ...PYRAMID, wells: [well(0, size), well(1000 - size, size)] })
  t.match(
    firstLook(plate(50), () => undefined),
    { x0: 0, x1: 50 },
  )
  t.match(
    firstLook(plate(300), () => undefined),
    { x0: 0, x1: 1000 },
  )
  t.match(
    firstLook({ ...PYRAMID, covered: { x0: 10, y0: 20, x1: 30, y1: 40 } }, () => undefined),
    { x0: 10, x1: 30 },
  )
  const group = { x0: 100, y0: 100, x1: 200, y1: 200 }
  t.same(
    firstLook({ ...PYRAMID, covered: { x0: 0, y0: 0, x1: 1000, y1: 1000 } }, () => group),
    group,
    'no well is named',
  )
  t.equal(wellInView(plate(50), { x0: 0, y0: 0, x1: 60, y1: 60 })?.name, 'A1')
  t.equal(wellInView(plate(50), { x0: -500, y0: -500, x1: 540, y1: 540 }), undefined, 'a view of the plate')
})

t.test('a view is kept where the other pyramid has what is looked at', async t => {
  const part = { ...PYRAMID, width: 100, height: 100 }
  t.ok(staysInPlace(PYRAMID, { x: 50, y: 50 }, part))
  t.notOk(staysInPlace(PYRAMID, { x: 500, y: 500 }, part), 'outside of the part')
  t.notOk(
    staysInPlace(PYRAMID, { x: 50, y: 50 }, { ...PYRAMID, originUm: { x: 5000, y: 0 } }),
    'elsewhere on the stage',
  )
})
