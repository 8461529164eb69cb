import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import t, { type Test } from 'tap'
import type { Rect, SampleType, Size } from '../../src/plane.js'
import type { TileAddress } from '../../src/pyramid/mosaic-geometry.js'
import { WorkBudget } from '../../src/server/work-budget.js'
import { readNpy } from '../../src/sources/npy.js'
import { build } from '../engine/build-for-test.js'
import { FIRST_PLANE } from '../pyramid/growing-plate.js'
import { type SyntheticFrame, syntheticSource } from '../pyramid/synthetic-source.js'
import { serveGrowing } from './serve-growing.js'
import { errorLines, PAGE_FILES, startTestApp, type TestApp } from './test-app.js'

const FRAME: Size = { width: 600, height: 200 }
const SIZE: Size = { width: 2840, height: 560 }
const PIXEL_UM = { x: 0.5, y: 0.25 }
const ORIGIN_UM = { x: 1000, y: -200 }
const DARK = 100

/** A frame and where it lies, px. */
interface Placed {
  readonly series: string
  readonly frame: number
  readonly channel: number
  readonly x0: number
  readonly y0: number
}

/** Overlapping frames with a hole among them; the last ones in a series of their own. */
const FRAMES: readonly Placed[] = [0, 1].flatMap(part => {
  let frame = 0
  const placed: Placed[] = []
  for (const x0 of part === 0 ? [0, 560, 1120] : [1680, 2240])
    for (const y0 of [0, 180, 360])
      for (const channel of [0, 1])
        if (!(x0 === 560 && y0 === 180) && !(x0 === 2240 && y0 === 360 && channel === 1))
          placed.push({ series: `run_${part + 1}`, frame: frame++, channel, x0, y0 })
  return placed
})

// biome-ignore lint/suspicious/noExplicitAny: answers are compared whole or by part
type Json = any

/** The sample at a place of a frame, of each test pyramid. */
const SAMPLES: Readonly<Record<'uint16' | 'float32', (frame: Placed, x: number, y: number) => number>> = {
  uint16: ({ frame, channel, series }, x, y) =>
    DARK + ((frame * 7919 + x * 31 + y * 17 + channel * 500 + (series === 'run_2' ? 333 : 0)) % 4000),
  float32: ({ frame }, x, y) =>
    x % 97 === 3 && y % 89 === 5 ? Number.NaN : Math.fround(((frame * 7919 + x * 31 + y * 17) % 4000) / 7 - 200),
}

/** A level as it must be stored, worked out pixel by pixel. */
interface TrueLevel extends Size {
  readonly values: Float64Array
  readonly covered: Uint8Array
}

function trueLevels(type: 'uint16' | 'float32', channel: number): TrueLevel[] {
  const values = new Float64Array(SIZE.width * SIZE.height).fill(Number.NaN)
  const covered = new Uint8Array(values.length)
  for (const placed of FRAMES.filter(placed => placed.channel === channel)) {
    for (let y = 0; y < FRAME.height; y++) {
      for (let x = 0; x < FRAME.width; x++) {
        const value = SAMPLES[type](placed, x, y)
        const at = (placed.y0 + y) * SIZE.width + placed.x0 + x
        covered[at] = 1
        // The later frame wins, but not with a sample that is missing.
        if (!Number.isNaN(value) || Number.isNaN(values[at])) values[at] = value
      }
    }
  }
  const levels: TrueLevel[] = [{ ...SIZE, values, covered }]
  while (levels.length < 4) levels.push(halve(levels.at(-1)!, type === 'uint16'))
  return levels
}

function halve(fine: TrueLevel, integer: boolean): TrueLevel {
  const [width, height] = [Math.ceil(fine.width / 2), Math.ceil(fine.height / 2)]
  const values = new Float64Array(width * height)
  const covered = new Uint8Array(values.length)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const { mean, seen } = meanOver(fine, { x0: 2 * x, y0: 2 * y, x1: 2 * x + 2, y1: 2 * y + 2 })
      values[y * width + x] = integer && seen ? roundHalfEven(mean) : integer ? mean : Math.fround(mean)
      covered[y * width + x] = Number(seen)
    }
  }
  return { width, height, values, covered }
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value)
  if (value - floor !== 0.5) return Math.round(value)
  return floor % 2 === 0 ? floor : floor + 1
}

/** The mean over an area whose edges may cut pixels, of what is covered and no NaN; NaN where that is nothing. */
function meanOver({ width, height, values, covered }: TrueLevel, area: Rect): { mean: number; seen: boolean } {
  let [sum, weights, seen] = [0, 0, false]
  for (let y = Math.max(0, Math.floor(area.y0)); y < Math.min(height, area.y1); y++) {
    for (let x = Math.max(0, Math.floor(area.x0)); x < Math.min(width, area.x1); x++) {
      if (covered[y * width + x] === 0) continue
      seen = true
      if (Number.isNaN(values[y * width + x])) continue
      const across = Math.min(x + 1, area.x1) - Math.max(x, area.x0)
      const down = Math.min(y + 1, area.y1) - Math.max(y, area.y0)
      sum += across * down * values[y * width + x]
      weights += across * down
    }
  }
  return { mean: sum / weights, seen }
}

/** What a crop must show: NaN where nothing is covered. */
function trueCrop(level: TrueLevel, scale: number, rect: Rect, size: Size): Float64Array {
  const crop = new Float64Array(size.width * size.height)
  const stepX = (rect.x1 - rect.x0) / scale / size.width
  const stepY = (rect.y1 - rect.y0) / scale / size.height
  for (let y = 0; y < size.height; y++) {
    for (let x = 0; x < size.width; x++) {
      const left = rect.x0 / scale + x * stepX
      const top = rect.y0 / scale + y * stepY
      const area = { x0: left, x1: left + stepX, y0: top, y1: top + stepY }
      if (stepX <= 1) area.x0 = Math.floor(left + stepX / 2)
      if (stepX <= 1) area.x1 = area.x0 + 1
      if (stepY <= 1) area.y0 = Math.floor(top + stepY / 2)
      if (stepY <= 1) area.y1 = area.y0 + 1
      crop[y * size.width + x] = meanOver(level, area).mean
    }
  }
  return crop
}

interface Regions extends TestApp {
  readonly ids: Readonly<Record<'uint16' | 'float32', string>>
  readonly truth: Readonly<Record<'uint16' | 'float32', readonly TrueLevel[]>>
  readonly second: readonly TrueLevel[]
  ask(type: 'uint16' | 'float32', url: string): Promise<Awaited<ReturnType<TestApp['app']['inject']>>>
  json(type: 'uint16' | 'float32', url: string): Promise<Json>
}

/** Two pyramids of the same frames, with one channel and with two. */
async function serveRegions(t: Test): Promise<Regions> {
  const folder = t.testdir({ page: PAGE_FILES })
  const ids = { uint16: '', float32: '' }
  const paths: string[] = []
  for (const type of ['uint16', 'float32'] as const) {
    const names = ['run_1', 'run_2']
    const sources = names.map(name => {
      const placed = FRAMES.filter(({ series, channel }) => series === name && (type === 'uint16' || channel === 0))
      return syntheticSource({
        url: `/data/well_${name === 'run_1' ? 'A1' : 'A2'}/${name}`,
        frames: placed.map(
          ({ x0, y0, channel }): SyntheticFrame => ({
            xUm: ORIGIN_UM.x + x0 * PIXEL_UM.x,
            yUm: ORIGIN_UM.y + y0 * PIXEL_UM.y,
            channel,
          }),
        ),
        sample: (frame, x, y) => SAMPLES[type](placed[frame], x, y),
        frameSize: FRAME,
        sampleType: type,
        pixelSizeUm: PIXEL_UM,
        darkLevel: type === 'uint16' ? DARK : 0,
      })
    })
    const path = join(folder, type === 'uint16' ? 'plate 7 µ' : 'signed')
    await build(sources, path, { blend: 'last', join: { kind: 'merge' } })
    paths.push(path)
  }
  const server = await startTestApp(t, { pyramids: paths })
  for (const { pyramid } of server.registry.list()) ids[pyramid.sampleType as 'uint16' | 'float32'] = pyramid.id
  const ask: Regions['ask'] = async (type, url) => server.app.inject(`/pyramids/${ids[type]}${url}`)
  return {
    ...server,
    ids,
    truth: { uint16: trueLevels('uint16', 0), float32: trueLevels('float32', 0) },
    second: trueLevels('uint16', 1),
    ask,
    json: async (type, url) => (await ask(type, url)).json(),
  }
}

/** Query of a rectangle of pixels, in pixels or in µm. */
function asQuery({ x0, y0, x1, y1 }: Rect, units: 'px' | 'um'): string {
  if (units === 'px') return `x=${x0}&y=${y0}&w=${x1 - x0}&h=${y1 - y0}&units=px`
  const [x, y] = [ORIGIN_UM.x + x0 * PIXEL_UM.x, ORIGIN_UM.y + y0 * PIXEL_UM.y]
  return `x=${x}&y=${y}&w=${(x1 - x0) * PIXEL_UM.x}&h=${(y1 - y0) * PIXEL_UM.y}`
}

/** Samples of a page of a TIFF as sharp (libtiff) reads them. */
async function readTiff(tiff: Buffer, type: SampleType, page = 0): Promise<{ size: Size; values: number[] }> {
  const image = sharp(tiff, { page, limitInputPixels: false }).toColourspace(type === 'uint16' ? 'grey16' : 'b-w')
  const depth = type === 'uint16' ? 'ushort' : 'float'
  const { data, info } = await image.raw({ depth }).toBuffer({ resolveWithObject: true })
  const bytes = data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength)
  const values = Array.from(type === 'uint16' ? new Uint16Array(bytes) : new Float32Array(bytes))
  return { size: { width: info.width, height: info.height }, values }
}

/** The fields of each directory of a little-endian TIFF: a text, or the first number. */
function readTags(tiff: Buffer): Map<number, string | number>[] {
  const directories: Map<number, string | number>[] = []
  for (let at = tiff.readUInt32LE(4); at !== 0; ) {
    const count = tiff.readUInt16LE(at)
    const fields = new Map<number, string | number>()
    for (let entry = at + 2; entry < at + 2 + 12 * count; entry += 12) {
      const [type, length] = [tiff.readUInt16LE(entry + 2), tiff.readUInt32LE(entry + 4)]
      const bytes = length * [0, 1, 1, 2, 4, 8][type]
      const value = bytes <= 4 ? entry + 8 : tiff.readUInt32LE(entry + 8)
      const read = {
        2: () => tiff.toString('latin1', value, value + bytes - 1),
        3: () => tiff.readUInt16LE(value),
        4: () => tiff.readUInt32LE(value),
        5: () => tiff.readUInt32LE(value) / tiff.readUInt32LE(value + 4),
      }[type]
      fields.set(tiff.readUInt16LE(entry), read!())
    }
    directories.push(fields)
    at = tiff.readUInt32LE(at + 2 + 12 * count)
  }
  return directories
}

t.test('regions', async t => {
  const server = await serveRegions(t)
  const { ask, json, truth, second, ids } = server

  t.test('value tells the sample, its counts, its place, and the frames it was blended from', async t => {
    for (const [x, y] of [
      [0, 0],
      [570, 190],
      [1130, 365],
      [2047, 255],
      [2048, 256],
      [2839, 559],
    ]) {
      const at = y * SIZE.width + x
      const value = await json('uint16', `/value?x=${ORIGIN_UM.x + x * 0.5 + 0.2}&y=${ORIGIN_UM.y + y * 0.25 - 0.1}`)
      t.match(value, {
        level: 0,
        pixel: { x, y },
        centreUm: { x: 1000 + x / 2, y: -200 + y / 4 },
        pixelSizeUm: PIXEL_UM,
      })
      const frames = (channel: number) =>
        FRAMES.filter(
          f => f.channel === channel && x >= f.x0 && y >= f.y0 && x < f.x0 + FRAME.width && y < f.y0 + FRAME.height,
        ).map(({ series, frame, x0, y0 }) => ({
          series,
          frame,
          positionUm: { x: 1000 + x0 / 2, y: -200 + y0 / 4 },
          stageUm: { x: 1000 + x0 / 2, y: -200 + y0 / 4 },
        }))
      for (const [channel, level] of [truth.uint16[0], second[0]].entries()) {
        const isCovered = level.covered[at] === 1
        t.match(value.channels[channel], {
          channel,
          covered: isCovered,
          stored: isCovered ? level.values[at] : null,
          counts: isCovered ? level.values[at] - DARK : null,
          frames: frames(channel),
        })
        t.equal(value.channels[channel].frames.length, frames(channel).length)
      }
    }
    const coarse = await json('uint16', '/value?x=1403&y=501&units=px&level=2&channel=0')
    t.match(coarse, {
      pixel: { x: 350, y: 125 },
      centreUm: { x: 1000 + 1401.5 / 2, y: -200 + 501.5 / 4 },
      channels: [{ stored: truth.uint16[2].values[125 * truth.uint16[2].width + 350] }],
    })
    t.equal(coarse.channels.length, 1)
    const hole = await json('uint16', '/value?x=800&y=250&units=px')
    t.match(hole.channels, [
      { covered: false, stored: null, frames: [] },
      { covered: false, stored: null, frames: [] },
    ])
    const missing = await json('float32', '/value?x=3&y=5&units=px')
    t.match(missing.channels, [{ covered: true, stored: null, counts: null, frames: [{ frame: 0 }] }])
  })

  t.test('stats are those of a plain loop over the covered pixels, at any level', async t => {
    const cases: [type: 'uint16' | 'float32', level: number, rect: Rect][] = [
      ['uint16', 0, { x0: 0, y0: 0, x1: SIZE.width, y1: 300 }],
      ['uint16', 0, { x0: 500, y0: 150, x1: 1301, y1: 401 }],
      ['uint16', 0, { x0: 2040, y0: 250, x1: 2055, y1: 259 }],
      ['uint16', 0, { x0: 2700, y0: 500, x1: 5000, y1: 9000 }],
      ['uint16', 0, { x0: -500, y0: -500, x1: 1, y1: 1 }],
      ['uint16', 2, { x0: 501, y0: 152, x1: 1303, y1: 400 }],
      ['float32', 0, { x0: 3, y0: 0, x1: 777, y1: 300 }],
      ['float32', 0, { x0: 3, y0: 5, x1: 4, y1: 6 }],
      ['float32', 1, { x0: 2000, y0: 0, x1: 2840, y1: 560 }],
    ]
    for (const [type, level, rect] of cases) {
      const dark = type === 'uint16' ? DARK : 0
      const { width, height, values, covered } = truth[type][level]
      const found: number[] = []
      const near = (edge: number, count: number): number => Math.min(count, Math.max(0, Math.floor(edge / 2 ** level)))
      for (let y = near(rect.y0, height); y < near(rect.y1 + 2 ** level, height); y++) {
        for (let x = near(rect.x0, width); x < near(rect.x1 + 2 ** level, width); x++) {
          const [left, top] = [(x + 0.5) * 2 ** level, (y + 0.5) * 2 ** level]
          const isIn = left >= rect.x0 && top >= rect.y0 && left < rect.x1 && top < rect.y1
          const value = values[y * width + x] - dark
          if (isIn && covered[y * width + x] === 1 && !Number.isNaN(value)) found.push(value)
        }
      }
      const sorted = Float64Array.from(found).sort()
      const quantile = (q: number): number => {
        const place = q * (found.length - 1)
        const [below, above] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]]
        return below + (above - below) * (place % 1)
      }
      const sum = found.reduce((all, value) => all + value, 0)
      const mean = sum / found.length
      const expected = {
        min: sorted[0],
        max: sorted.at(-1),
        sum,
        mean,
        sd: Math.sqrt(found.reduce((all, value) => all + (value - mean) ** 2, 0) / found.length),
        median: quantile(0.5),
        p1: quantile(0.01),
        p99: quantile(0.99),
      }
      const above = sorted[Math.floor(found.length / 3)] ?? 0
      const over = sorted.filter(value => value > above).length
      const area = PIXEL_UM.x * PIXEL_UM.y * 4 ** level
      for (const units of ['px', 'um'] as const) {
        const stats = await json(type, `/stats?${asQuery(rect, units)}&level=${level}&above=${above}`)
        const what = `${type} ${level} ${JSON.stringify(rect)} ${units}`
        t.equal(stats.count, found.length, what)
        for (const [name, value] of Object.entries(expected)) {
          if (found.length === 0) t.equal(stats[name], null, `${name} of ${what}`)
          else t.ok(Math.abs(stats[name] - value!) <= 1e-9 * Math.max(1, Math.abs(value!)), `${name} of ${what}`)
        }
        t.equal(stats.areaUm2, found.length * area)
        t.same(stats.above, {
          counts: above,
          count: over,
          areaUm2: over * area,
          fraction: found.length > 0 ? over / found.length : null,
        })
      }
    }
  })

  t.test('the histogram of a rectangle counts its pixels', async t => {
    const rect = { x0: 530, y0: 150, x1: 700, y1: 300 }
    const histogram = await json('uint16', `/histogram?${asQuery(rect, 'um')}&bins=65536`)
    const { values, covered, width } = truth.uint16[0]
    const counts = new Map<number, number>()
    for (let y = rect.y0; y < rect.y1; y++)
      for (let x = rect.x0; x < rect.x1; x++)
        if (covered[y * width + x]) counts.set(values[y * width + x], (counts.get(values[y * width + x]) ?? 0) + 1)
    t.match(histogram, { channel: 0, sampleType: 'uint16', level: 0, pixels: rect, binWidth: 1, window: {} })
    for (const [i, count] of histogram.counts.entries())
      if (count !== (counts.get(histogram.binStart + i) ?? 0)) t.fail(`value ${histogram.binStart + i}`)
    const whole = await json('uint16', '/histogram')
    t.equal(whole.level, undefined)
    t.equal(
      whole.total,
      covered.reduce((sum, one) => sum + one, 0),
    )
  })

  t.test('placement lists every frame, filtered and in pages, and wells have boxes to ask for', async t => {
    const all = await json('uint16', '/placement?limit=10000')
    t.equal(all.total, FRAMES.length)
    for (const [i, { series, frame, channel, x0, y0 }] of FRAMES.entries()) {
      const positionUm = { x: 1000 + x0 / 2, y: -200 + y0 / 4 }
      const rect = { x0, y0, x1: x0 + FRAME.width, y1: y0 + FRAME.height }
      const well = series === 'run_1' ? 'A1' : 'A2'
      t.match(all.frames[i], {
        series,
        frame,
        channel,
        positionUm,
        stageUm: positionUm,
        rect,
        well,
        used: true,
        reason: null,
      })
    }
    const page = await json('uint16', '/placement?series=run_2&limit=3&offset=2')
    t.match([page.total, page.offset], [FRAMES.filter(({ series }) => series === 'run_2').length, 2])
    t.same(page.frames, all.frames.filter((row: { series: string }) => row.series === 'run_2').slice(2, 5))
    const touching = await json('uint16', `/placement?${asQuery({ x0: 590, y0: 10, x1: 600, y1: 20 }, 'um')}`)
    t.same(
      touching.frames,
      all.frames.filter((row: { rect: Rect }) => row.rect.y0 === 0 && row.rect.x0 <= 560),
    )
    const csv = await ask('uint16', '/placement.csv?well=A2')
    t.match(csv.headers, { 'content-type': /^text\/csv/, 'x-total-count': '11' })
    t.equal(csv.body.split('\r\n')[1], 'run_2,0,1840,-200,1840,-200,1680,0,2280,200,0,0,0,A2,1,')
    const { wells } = await json('uint16', '/wells')
    t.same(wells[0], {
      name: 'A1',
      rect: { x0: 0, y0: 0, x1: 1720, y1: 560 },
      boxUm: { x: 1000, y: -200, w: 860, h: 140 },
      frames: 16,
    })
  })

  const crops: [rect: Rect, size: Partial<Size>][] = [
    [{ x0: 490, y0: 150, x1: 760, y1: 260 }, {}],
    [
      { x0: 2000, y0: 200, x1: 2111, y1: 311 },
      { width: 111, height: 111 },
    ],
    [{ x0: 490, y0: 151, x1: 1291, y1: 460 }, { width: 400 }],
    [
      { x0: 3, y0: 5, x1: 1604, y1: 500 },
      { width: 200, height: 160 },
    ],
    [{ x0: 1, y0: 0, x1: 1025, y1: 512 }, { height: 128 }],
    [{ x0: 1020, y0: 300, x1: 1031, y1: 307 }, { width: 100 }],
    [
      { x0: 1000, y0: 300, x1: 1100, y1: 320 },
      { width: 30, height: 77 },
    ],
    [{ x0: -50, y0: -30, x1: 80, y1: 40 }, {}],
    [{ x0: 2800, y0: 500, x1: 2999, y1: 655 }, { width: 61 }],
  ]
  const sizeOf = ({ x0, y0, x1, y1 }: Rect, { width, height }: Partial<Size>): Size => {
    const [w, h] = [x1 - x0, y1 - y0]
    if (width !== undefined) return { width, height: height ?? Math.max(1, Math.round((h * width) / w)) }
    return height === undefined ? { width: w, height: h } : { width: Math.round((w * height) / h), height }
  }
  /** The coarsest level with as many pixels. */
  const levelOf = (rect: Rect, { width, height }: Size): number => {
    let level = 0
    const enough = (scale: number): boolean =>
      (rect.x1 - rect.x0) / scale >= width && (rect.y1 - rect.y0) / scale >= height
    while (enough(2 ** (level + 1)) && level < 3) level++
    return level
  }

  t.test('crops of any rectangle and size are what a plain loop makes of them', async t => {
    for (const type of ['uint16', 'float32'] as const) {
      for (const [rect, wanted] of crops) {
        const size = sizeOf(rect, wanted)
        const level = levelOf(rect, size)
        const expected = trueCrop(truth[type][level], 2 ** level, rect, size)
        const query = new URLSearchParams(
          Object.entries({ ...size, ...wanted })
            .filter(([name]) => name in wanted)
            .map(([name, value]) => [name, String(value)]),
        )
        const what = `${type} ${JSON.stringify(rect)} ${query}`
        const tiff = await ask(type, `/crop.tif?${asQuery(rect, 'um')}&channel=0&${query}`)
        t.equal(tiff.statusCode, 200, what)
        const read = await readTiff(tiff.rawPayload, type)
        t.same(read.size, size, what)
        const isWrong = (got: number, value: number): boolean => {
          if (Number.isNaN(value)) return type === 'uint16' ? got !== 0 : !Number.isNaN(got)
          return type === 'uint16' ? Math.abs(got - value) > 0.5 + 1e-6 : Math.abs(got - value) > 1e-4
        }
        const wrong = read.values.filter((got, i) => isWrong(got, expected[i])).length
        t.equal(wrong, 0, `samples of ${what}`)

        const view = type === 'uint16' ? [100, 4100] : [-200, 400]
        const png = await ask(type, `/crop.png?${asQuery(rect, 'px')}&min=${view[0]}&max=${view[1]}&${query}`)
        const { data, info } = await sharp(png.rawPayload)
          .ensureAlpha()
          .toColourspace('srgb')
          .raw()
          .toBuffer({ resolveWithObject: true })
        t.match(info, { ...size, channels: 4 })
        const differing = expected.filter((value, i) => {
          if (Number.isNaN(value)) return data[4 * i + 3] !== 0
          const grey = 255 * Math.min(1, Math.max(0, (value - view[0]) / (view[1] - view[0])))
          return data[4 * i + 3] !== 255 || Math.abs(data[4 * i] - grey) > 0.6
        }).length
        t.equal(differing, 0, `pixels of ${what}`)
        const again = await ask(type, `/crop.png?${asQuery(rect, 'px')}&min=${view[0]}&max=${view[1]}&${query}`)
        t.ok(again.rawPayload.equals(png.rawPayload), 'the same bytes where it is kept')
      }
    }
  })

  t.test('a TIFF has the stored samples of any level bit by bit, every channel a page', async t => {
    for (const level of [0, 1, 3]) {
      const scale = 2 ** level
      const rect = { x0: 488, y0: 64, x1: 2104, y1: 560 }
      const tiff = (await ask('uint16', `/crop.tif?${asQuery(rect, 'um')}&level=${level}`)).rawPayload
      for (const [page, levels] of [truth.uint16, second].entries()) {
        const { width, values, covered } = levels[level]
        const read = await readTiff(tiff, 'uint16', page)
        t.same(read.size, { width: 1616 / scale, height: 496 / scale })
        const wrong = read.values.filter((got, i) => {
          const x = rect.x0 / scale + (i % read.size.width)
          const y = rect.y0 / scale + Math.floor(i / read.size.width)
          return got !== (covered[y * width + x] ? values[y * width + x] : 0)
        })
        t.equal(wrong.length, 0, `level ${level}, page ${page}`)
      }
    }
    const rect = { x0: 0, y0: 0, x1: 700, y1: 300 }
    const floats = await readTiff((await ask('float32', `/crop.tif?${asQuery(rect, 'px')}`)).rawPayload, 'float32')
    const { width, values, covered } = truth.float32[0]
    const wrong = floats.values.filter((got, i) => {
      const at = Math.floor(i / 700) * width + (i % 700)
      return !Object.is(got, covered[at] ? values[at] : Number.NaN)
    })
    t.equal(wrong.length, 0)
  })

  t.test('an array for numpy has the same samples, channel by channel', async t => {
    const rect = { x0: 488, y0: 64, x1: 2104, y1: 560 }
    for (const [type, level, channels] of [
      ['uint16', 0, [0, 1]],
      ['uint16', 1, [1]],
      ['float32', 3, [0]],
    ] as const) {
      const query = `${asQuery(rect, 'um')}&level=${level}&channel=${channels}`
      const reply = await ask(type, `/crop.npy?${query}`)
      t.equal(reply.statusCode, 200)
      t.match(reply.headers['content-disposition'], /um\.npy"/)
      const array = readNpy(reply.rawPayload, 'crop.npy')
      const tiff = (await ask(type, `/crop.tif?${query}`)).rawPayload
      const pages = await Promise.all(channels.map((_, page) => readTiff(tiff, type, page)))
      const { width, height } = pages[0].size
      t.same(array.shape, [channels.length, height, width])
      t.equal(array.sampleType, type)
      const expected = pages.flatMap(({ values }) => [...values])
      t.ok(expected.length === array.samples.length && expected.every((value, i) => Object.is(value, array.samples[i])))
    }
  })

  t.test('a TIFF tells its pixel size, where it is from and how much is missing', async t => {
    const reply = await ask('uint16', '/crop.tif?x=1270&y=-175&w=60&h=100&width=60')
    t.match(reply.headers, {
      'content-type': 'image/tiff',
      'cache-control': 'no-cache',
      'content-disposition':
        'attachment; filename="plate_7___x1270.25_y-174.875_um.tif"; filename*=UTF-8\'\'plate%207%20%C2%B5_x1270.25_y-174.875_um.tif',
    })
    const meta = await sharp(reply.rawPayload).metadata()
    t.match(meta, { format: 'tiff', width: 60, height: 200, depth: 'ushort', pages: 2 })
    const tags = readTags(reply.rawPayload)
    t.equal(tags.length, 2)
    const uncovered = trueCrop(truth.uint16[0], 1, { x0: 540, y0: 100, x1: 660, y1: 500 }, { width: 60, height: 200 })
    const xml = String(tags[0].get(270))
    t.equal(tags[1].get(270), undefined)
    for (const part of [
      'Name="plate 7 &#181;"',
      'Type="uint16"',
      'SizeX="60" SizeY="200" SizeC="2"',
      'PhysicalSizeX="1" PhysicalSizeXUnit="&#181;m" PhysicalSizeY="0.5"',
      'PositionX="1270.25" PositionXUnit="&#181;m" PositionY="-174.875"',
      '<Channel ID="Channel:0:1" Name="Channel 2"',
      `<M K="uncovered">${uncovered.filter(Number.isNaN).length},`,
      '<M K="rectangle">540,100,660,500</M>',
      '<M K="darkLevel">100</M>',
    ])
      t.ok(xml.includes(part), part)
    t.match(
      [tags[0].get(282), tags[0].get(283), tags[0].get(296), tags[0].get(286), tags[0].get(287)],
      [10_000, 20_000, 3, 0.126975, undefined],
      'a negative position is in the XML only',
    )
    t.equal(tags[0].get(305), 'tilestage 1.2.3')
  })

  t.test('jpg and webp draw the background, and pictures are kept by their version', async t => {
    const hole = asQuery({ x0: 700, y0: 230, x1: 800, y1: 290 }, 'px')
    const jpg = await ask('uint16', `/crop.jpg?${hole}&background=00ff00&width=40`)
    const { data, info } = await sharp(jpg.rawPayload).raw().toBuffer({ resolveWithObject: true })
    t.match([info.width, info.height, info.channels], [40, 24, 3])
    t.ok(data[0] < 20 && data[1] > 235 && data[2] < 20, 'green where nothing was imaged')
    t.match(await sharp((await ask('uint16', `/crop.webp?${hole}`)).rawPayload).metadata(), {
      format: 'webp',
      width: 100,
      height: 60,
      hasAlpha: true,
    })
    const { version } = await json('uint16', '')
    for (const format of ['png', 'tif']) {
      const url = `/crop.${format}?${asQuery({ x0: 0, y0: 0, x1: 50, y1: 50 }, 'px')}`
      const named = await ask('uint16', `${url}&v=${version}`)
      t.match(named.headers, { 'cache-control': 'public, max-age=31536000, immutable' })
      const { etag } = named.headers
      const again = await server.app.inject({
        url: `/pyramids/${ids.uint16}${url}`,
        headers: { 'if-none-match': String(etag) },
      })
      t.match([again.statusCode, again.body], [304, ''])
      t.not((await ask('uint16', `${url}&${format === 'png' ? 'gamma=2' : 'level=1'}`)).headers.etag, etag)
      t.equal((await ask('uint16', `${url}&v=x`)).statusCode, 410)
    }
    const size = await sharp(
      (await ask('uint16', `/crop.png?${asQuery({ x0: 0, y0: 0, x1: 9000, y1: 4500 }, 'px')}`)).rawPayload,
    ).metadata()
    t.match(size, { width: 2048, height: 1024 }, 'without a size, no more than a screen')
  })

  t.test('a crop beyond the mosaic has its full size, and tells how much of it lies outside', async t => {
    const { width, height } = await json('uint16', '')
    const of = async (query: string) => {
      const reply = await ask('uint16', `/crop.png?${query}&units=px`)
      const size = await sharp(reply.rawPayload).metadata()
      return [size.width, size.height, reply.headers['x-tilestage-padding']]
    }
    const beyond = `x=${width - 60}&y=${height - 30}&w=80&h=80`
    t.same(await of('x=-20&y=5&w=100&h=50'), [100, 50, 'left=20, top=0, right=0, bottom=0'])
    t.same(await of(`${beyond}&width=40&height=96`), [40, 96, 'left=0, top=0, right=10, bottom=60'])
    t.same(await of(`${beyond}&width=40&layers=0,1`), [90, 40, 'left=0, top=0, right=10, bottom=25'])
    t.same(await of(`x=0&y=0&w=${width}&h=${height}&height=56`), [284, 56, undefined])
    const npy = await ask('uint16', '/crop.npy?x=0&y=-8&w=16&h=16&units=px')
    t.equal(npy.headers['x-tilestage-padding'], 'left=0, top=8, right=0, bottom=0')
  })

  t.test('layers stand side by side, at one size and with their own styles', async t => {
    const rect = { x0: 1100, y0: 300, x1: 1300, y1: 400 }
    const url = `${asQuery(rect, 'um')}&width=100&layers=0,1,${ids.float32}&min=100,100,-200&max=4100,4100,400&gap=7`
    const plain = await sharp((await ask('uint16', `/crop.png?${url}`)).rawPayload)
      .raw()
      .toBuffer({ resolveWithObject: true })
    t.match(plain.info, { width: 3 * 100 + 2 * 7, height: 50, channels: 4 })
    const single = async (type: 'uint16' | 'float32', query: string) =>
      sharp((await ask(type, `/crop.png?${asQuery(rect, 'um')}&width=100&${query}`)).rawPayload)
        .ensureAlpha()
        .toColourspace('srgb')
        .raw()
        .toBuffer()
    const panels = [
      await single('uint16', 'channel=0&min=100&max=4100'),
      await single('uint16', 'channel=1&min=100&max=4100'),
      await single('float32', 'min=-200&max=400'),
    ]
    for (const [i, panel] of panels.entries()) {
      const there = await sharp(plain.data, { raw: { width: 314, height: 50, channels: 4 } })
        .extract({ left: i * 107, top: 0, width: 100, height: 50 })
        .raw()
        .toBuffer()
      const differing = panel.filter((byte, at) => {
        const isCovered = panel[at | 3] === 255
        return at % 4 === 3 || isCovered ? byte !== there[at] : false
      })
      t.equal(differing.length, 0, `layer ${i}`)
    }
    t.equal(plain.data[4 * 103 + 3], 0, 'the gap is transparent')
    t.match((await ask('uint16', `/crop.jpg?${url}&labels=1&background=ffffff`)).statusCode, 200)
    t.match((await ask('uint16', `/crop.webp?${url}`)).headers['content-type'], 'image/webp')
  })

  t.test('names stand inside their layers: two of 96 px and the gap are 202 px wide', async t => {
    const box = asQuery({ x0: 1200, y0: 20, x1: 1248, y1: 68 }, 'um')
    const url = `/crop.png?${box}&width=96&height=96&layers=0,1&gap=10&min=100&max=4100&lut=grey,viridis`
    const draw = async (labels: string) =>
      sharp((await ask('uint16', `${url}&labels=${labels}`)).rawPayload)
        .ensureAlpha()
        .raw()
        .toBuffer({ resolveWithObject: true })
    const [{ data: plain, info }, { data: named, info: namedInfo }] = [await draw('0'), await draw('1')]
    t.match(info, { width: 202, height: 96 })
    t.match(namedInfo, { width: 202, height: 96 })
    // What is transparent may have any colour.
    const places = [...plain.keys()].filter(i => named[i | 3] === 255 && plain[i] !== named[i])
    const x = (i: number): number => Math.floor(i / 4) % 202
    const y = (i: number): number => Math.floor(i / 4 / 202)
    t.ok(
      places.every(i => y(i) < 20 && (x(i) < 96 || x(i) >= 106)),
      'nothing is written below the names or in the gap',
    )
    for (const left of [0, 106]) {
      const letters = places.filter(i => x(i) >= left && x(i) < left + 96 && named[i] > 240)
      t.ok(letters.length > 50, `there are letters right of ${left}`)
    }
  })

  t.test('wrong parameters are refused with a sentence', async t => {
    const box = 'x=10&y=10&w=20&h=20&units=px'
    const wrong: [url: string, status: number, message: RegExp][] = [
      ['/value?x=1', 400, /y is missing/],
      ['/value?x=a&y=1', 400, /x is "a"/],
      ['/value?x=1&y=1&x=2', 400, /more than once/],
      ['/value?x=0&y=0', 404, /outside the mosaic .* 999.75 to 2419.75 µm in x/],
      ['/value?x=1e30&y=0', 404, /outside/],
      ['/value?x=5&y=5&units=mm', 400, /units is "mm"/],
      ['/value?x=5&y=5&units=px&level=9', 404, /no level 9/],
      ['/value?x=5&y=5&units=px&channel=2', 404, /no channel 2/],
      ['/value?x=5&y=5&units=px&channel=0,0', 400, /twice/],
      ['/value?x=5&y=5&units=px&channel=0,', 400, /empty/],
      ['/stats?x=1&y=1&w=1', 400, /h is missing/],
      ['/stats?x=10&y=10&w=0&h=1&units=px', 400, /w must be above 0/],
      ['/stats?x=10&y=10&w=-5&h=1&units=px', 400, /w must be above 0/],
      ['/stats?x=10.1&y=10&w=0.2&h=1&units=px', 400, /no pixel's centre/],
      ['/stats?x=10&y=10&w=1e20&h=1&units=px', 400, /no mosaic/],
      ['/stats?x=-10&y=10&w=5&h=5&units=px', 404, /outside the mosaic/],
      [`/stats?${box}&above=x`, 400, /above is "x"/],
      [`/stats?${box}&t=1`, 404, /no t 1/],
      ['/histogram?x=1', 400, /w is missing/],
      ['/placement?limit=0', 400, /limit is "0"/],
      ['/placement?offset=-1', 400, /offset/],
      ['/placement?x=1&y=1&w=1&h=1', 404, /outside/],
      [`/crop.png?${box}&width=0`, 400, /width is "0"/],
      [`/crop.png?${box}&width=1.5`, 400, /width is "1.5"/],
      [`/crop.png?${box}&width=70000`, 413, /up to 65535 along an edge/],
      [`/crop.webp?${box}&width=16384`, 413, /up to 16383/],
      [`/crop.jpg?${box}&width=65501&height=1`, 413, /up to 65500/],
      [`/crop.jpg?${box}&width=32750&height=1&layers=0,1`, 413, /up to 65500/],
      [`/crop.png?${box}&width=20000`, 413, /67108864 are made/],
      [`/crop.tif?${box}&width=6000&height=6000`, 413, /72000000 in all/],
      [`/crop.tif?${box}&level=0&width=5`, 400, /do not go with it/],
      [`/crop.npy?${box}&width=5`, 400, /do not go with it/],
      ['/crop.npy?x=10&y=10&w=1&h=1&units=px&channel=2', 404, /no channel 2/],
      ['/crop.tif?x=10&y=10&w=1&h=1&units=px&level=3', 404, /No pixel of level 3/],
      [`/crop.png?${box}&min=5&max=5`, 400, /must be above min/],
      [`/crop.png?${box}&layers=0,1&channel=0`, 400, /channel does not go with it/],
      [`/crop.png?${box}&layers=0,,1`, 400, /names ""/],
      [`/crop.png?${box}&layers=../x`, 400, /names "..\/x"/],
      [`/crop.png?${box}&layers=0,7`, 404, /no channel 7/],
      [`/crop.png?${box}&layers=nosuchpyramid`, 404, /no such pyramid/],
      [`/crop.png?${box}&layers=0,1&min=1,2,3`, 400, /3 values for 2 layers/],
      [`/crop.png?${box}&layers=0,1&gap=-1`, 400, /gap is "-1"/],
      [`/crop.png?${box}&layers=0,1&labels=maybe`, 400, /labels is "maybe"/],
      [`/crop.gif?${box}`, 404, /nothing here/],
    ]
    for (const [url, status, message] of wrong) {
      const reply = await ask('uint16', url)
      t.equal(reply.statusCode, status, url)
      t.match(reply.json().message, message, url)
      t.match(reply.headers['cache-control'], 'no-store')
    }
  })

  t.test('none of it is a failure of ours', async t => t.same(errorLines(server), []))
})

t.test('of a growing pyramid, a crop shows what is built, nobody keeps it, and the rest is wanted', async t => {
  const server = await serveGrowing(t)
  const [{ pyramid }] = server.registry.list()
  const wanted: TileAddress[] = []
  pyramid.growth!.onWanted = (_selection, address) => void wanted.push(address)
  await server.build({ selection: FIRST_PLANE, level: 0, row: 0, column: 0 })
  const url = `/pyramids/${pyramid.id}/crop.tif?units=px&x=1000&y=100&w=2000&h=100&v=${pyramid.version}`
  const tiff = await server.app.inject(url)
  t.match([tiff.statusCode, tiff.headers['cache-control'], tiff.headers.etag], [200, 'no-store', undefined])
  const { values } = await readTiff(tiff.rawPayload, 'uint16')
  const { plane, mask } = server.plate.levels[0]
  const wrong = values.filter((got, i) => {
    const [x, y] = [1000 + (i % 2000), 100 + Math.floor(i / 2000)]
    const at = y * plane.width + x
    return got !== (x < 2048 && mask[at] ? plane.samples[at] : 0)
  })
  t.equal(wrong.length, 0)
  t.ok(wanted.length > 0 && wanted.every(({ column }) => column >= 8), 'tiles that are not built are wanted')
})

t.test('what a crop is made from is bounded, in all of its layers together', async t => {
  const directory = join(t.testdir({ page: PAGE_FILES }), 'plate')
  const corners = [0, 20_000].flatMap(um => [0, 1].map(channel => ({ xUm: um, yUm: um, channel })))
  await build([syntheticSource({ frames: corners, sample: (frame, x) => 100 * frame + x })], directory)
  const server = await startTestApp(t, { pyramids: [directory] })
  const [{ pyramid }] = server.registry.list()
  const ask = (url: string) => server.app.inject(`/pyramids/${pyramid.id}/${url}`)
  const half = 'x=0&y=0&w=14000&h=14000&units=px&width=1&height=14000'
  t.equal((await ask(`crop.png?${half}&layers=0`)).statusCode, 200)
  for (const url of [
    `crop.png?${half}&layers=0,1`,
    `crop.png?${half}&channel=0,1`,
    `crop.tif?${half}`,
    'crop.png?x=0&y=0&w=20000&h=20000&units=px&width=20000&height=1',
  ]) {
    const reply = await ask(url)
    t.equal(reply.statusCode, 413, url)
    t.match(reply.json().message, /made from \d{9} px of all its channels and layers, and up to 268435456 are read/)
  }
  const image = await server.app.inject(`/iiif/3/${pyramid.id};channel=0,1/0,0,14000,14000/1,14000/0/default.png`)
  t.equal(image.statusCode, 413, image.body)
})

t.test('work is given up when the client goes away, and a crop of a damaged pyramid is an error', async t => {
  const directory = join(t.testdir({ page: PAGE_FILES }), 'plate')
  const frames = [0, 2000, 4000].map((xUm): SyntheticFrame => ({ xUm, yUm: 0 }))
  const source = syntheticSource({ frames, sample: (_, x, y) => (x * 7 + y * 3) % 251, frameSize: FRAME })
  await build([source], directory)
  const server = await startTestApp(t, { pyramids: [directory] })
  const [{ pyramid }] = server.registry.list()
  const url = `/pyramids/${pyramid.id}/crop.tif?units=px&x=0&y=0&w=4600&h=200&level=0`
  const address = await server.app.listen({ host: '127.0.0.1', port: 0 })
  const leaving = new AbortController()
  const asked = fetch(`${address}${url}`, { signal: leaving.signal }).then(reply => reply.arrayBuffer())
  leaving.abort()
  await t.rejects(asked, { name: 'AbortError' })
  t.equal((await server.app.inject(url)).statusCode, 200, 'others are answered')
  t.same(errorLines(server), [])

  const path = join(directory, '0/c/0/0/0/0/0')
  const shard = await readFile(path)
  shard[100] ^= 1
  await writeFile(path, shard)
  for (const format of ['tif', 'png', 'jpg']) {
    const reply = await server.app.inject(url.replace('tif', format))
    t.match([reply.statusCode, reply.json().code], [422, 'CORRUPT_DATA'], format)
    t.notMatch(reply.body, directory)
  }
  t.equal((await server.app.inject(`/pyramids/${pyramid.id}/stats?units=px&x=0&y=0&w=50&h=50`)).statusCode, 422)
})

t.test('work that is too much at once waits in its order, and may be given up', async t => {
  const budget = new WorkBudget(10, 3)
  const { signal } = new AbortController()
  const order: string[] = []
  const begin = (name: string, cost: number, asked = signal) => {
    let end = (): void => {}
    const done = budget.run(cost, asked, async () => {
      order.push(name)
      await new Promise<void>(resolve => {
        end = resolve
      })
    })
    return { done, end: () => end() }
  }
  const turn = () => new Promise(resolve => setImmediate(resolve))
  const small = [begin('a', 1), begin('b', 1), begin('c', 1)]
  const givenUp = new AbortController()
  const huge = begin('huge', 1000, givenUp.signal)
  const last = begin('last', 1)
  await turn()
  t.same(order, ['a', 'b', 'c'], 'each takes three at least')
  givenUp.abort()
  await t.rejects(huge.done, { name: 'AbortError' })
  small[0].end()
  await turn()
  t.same(order, ['a', 'b', 'c', 'last'])
  for (const { end } of [...small, last]) end()
  await Promise.all([...small, last].map(({ done }) => done))
  const alone = begin('alone', 1000)
  await turn()
  alone.end()
  await alone.done
  await t.rejects(
    budget.run(1, signal, async () => Promise.reject(new Error('no'))),
    { message: 'no' },
  )
  await t.rejects(
    budget.run(1, AbortSignal.abort(), async () => 1),
    { name: 'AbortError' },
  )
})
