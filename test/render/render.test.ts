import type { Worker } from 'node:worker_threads'
import sharp from 'sharp'
import t, { type Test } from 'tap'
import { LimitExceededError, SourceUnavailableError } from '../../src/errors.js'
import type { SampleArray, Size } from '../../src/plane.js'
import { HistogramBuilder } from '../../src/pyramid/histogram.js'
import { COLOUR_TABLES } from '../../src/render/colour-maps.js'
import type { PictureJob, PictureLayer } from '../../src/render/picture.js'
import { pymeStyle } from '../../src/render/pyme-style.js'
import { RenderCrew } from '../../src/render/render-crew.js'
import { sideBySideSize } from '../../src/render/side-by-side.js'
import type { LayerStyle } from '../../src/render/style.js'
import { seededRandom } from '../seeded-random.js'
import { parsePng } from './parse-png.js'

const crew = new RenderCrew(2)
t.teardown(() => crew.close())

const LINEAR: LayerStyle = { black: 0, white: 255, gamma: 1, stretch: 'linear', colours: 'grey', inverted: false }

/** RGBA bytes of a picture, as another program sees it. */
async function decode(picture: Buffer): Promise<Buffer> {
  return sharp(picture).toColourspace('srgb').ensureAlpha().raw().toBuffer()
}

/** RGBA bytes of a pixel; undefined: transparent, of whatever colour. */
type ColourOf = (pixel: number) => ArrayLike<number> | undefined

/** Draw a PNG and check that it is a proper one, of this colour type, that shows these colours. */
async function checkPng(
  t: Test,
  job: Omit<PictureJob, 'format'>,
  colourType: number,
  colourOf: ColourOf,
): Promise<void> {
  const { layers, height, sideBySide } = job
  const { width } = sideBySide ? sideBySideSize(job, layers.length, sideBySide.gap) : job
  const png = await crew.render({ ...job, format: 'png' })
  t.match(parsePng(png), { width, height, depth: 8, colourType })
  const pixels = await decode(png)
  const wrong: number[] = []
  for (let i = 0; i < width * height; i++) {
    const colour = colourOf(i)
    const isRight = colour ? [0, 1, 2, 3].every(c => pixels[4 * i + c] === colour[c]) : pixels[4 * i + 3] === 0
    if (!isRight) wrong.push(i)
  }
  t.same(wrong.slice(0, 5), [], `${width} × ${height}, colour type ${colourType}`)
}

/** The red bytes of one row of samples drawn as PNG, and whether each pixel is opaque. */
async function drawRow(
  samples: SampleArray,
  style: Partial<LayerStyle>,
  mask?: Uint8Array,
): Promise<{ readonly red: number[]; readonly opaque: boolean[] }> {
  const layers = [{ samples, mask, style: { ...LINEAR, ...style } }]
  const pixels = await decode(await crew.render({ width: samples.length, height: 1, layers, format: 'png' }))
  const pixelsAt = Array.from(samples, (_, i) => pixels.subarray(4 * i, 4 * i + 4))
  return { red: pixelsAt.map(([red]) => red), opaque: pixelsAt.map(pixel => pixel[3] === 255) }
}

const grey = (value: number): number[] => [value, value, value, 255]
const entryOf = (map: 'magma' | 'viridis', step: number): Uint8Array => COLOUR_TABLES[map].subarray(4 * step)

const SIZES = [
  [1, 1],
  [2, 3],
  [255, 257],
  [256, 256],
  [1000, 3],
]

t.test('every pixel of a PNG is as drawn: grey, with a colour map, and of several colours', async t => {
  const random = seededRandom(1)
  const contents: ((i: number) => number)[] = [
    () => Math.floor(256 * random()),
    () => 7,
    i => (i >> 3) & 255,
    () => (random() < 0.01 ? 200 : 0),
  ]
  for (const [width, height] of SIZES) {
    for (const content of contents) {
      const samples = Uint8Array.from({ length: width * height }, (_, i) => content(i))
      const layerIn = (style: Partial<LayerStyle>): PictureLayer => ({
        samples,
        mask: undefined,
        style: { ...LINEAR, ...style },
      })
      const check = (layers: PictureLayer[], colourType: number, colourOf: ColourOf): Promise<void> =>
        checkPng(t, { width, height, layers }, colourType, colourOf)
      await check([layerIn({})], 0, i => grey(samples[i]))
      await check([layerIn({ colours: 'viridis' })], 3, i => entryOf('viridis', samples[i]))
      const [red, blue] = [layerIn({ colours: '#ff0000' }), layerIn({ colours: '#0000ff', inverted: true })]
      await check([red, blue], 2, i => [samples[i], 0, 255 - samples[i], 255])
    }
  }
})

t.test('what is not covered is transparent, without a further channel as long as a value is free for it', async t => {
  const random = seededRandom(2)
  for (const [width, height] of SIZES) {
    const mask = Uint8Array.from({ length: width * height }, (_, i) => Number(i % width <= i / width))
    const check = async (levels: number, colourTypes: readonly number[]): Promise<void> => {
      const samples = Uint8Array.from({ length: width * height }, () => Math.floor(levels * random()))
      const layerIn = (style: Partial<LayerStyle>): PictureLayer => ({ samples, mask, style: { ...LINEAR, ...style } })
      const seen =
        (colourOf: ColourOf): ColourOf =>
        i =>
          mask[i] === 0 ? undefined : colourOf(i)
      const size = { width, height }
      const [greyType, mapType, rgbType] = colourTypes
      await checkPng(
        t,
        { ...size, layers: [layerIn({})] },
        greyType,
        seen(i => grey(samples[i])),
      )
      const magma = layerIn({ colours: 'magma' })
      await checkPng(
        t,
        { ...size, layers: [magma] },
        mapType,
        seen(i => entryOf('magma', samples[i])),
      )
      const dark = layerIn({ black: 1000, white: 2000, colours: '#ff0000' })
      await checkPng(
        t,
        { ...size, layers: [layerIn({}), dark] },
        rgbType,
        seen(i => grey(samples[i])),
      )
    }
    await check(250, [0, 3, 2])
    // Half the pixels of a large picture have all values, and nothing is free.
    if (width * height > 60_000) await check(256, [4, 6, 6])
  }
  await checkPng(
    t,
    { width: 2, height: 1, layers: [{ samples: Uint8Array.of(1, 2), mask: new Uint8Array(2), style: LINEAR }] },
    0,
    () => undefined,
  )
})

t.test(
  'several channels add up, each of red, green and blue to 255 at most, and show where any is covered',
  async t => {
    const layers: PictureLayer[] = [
      {
        samples: Uint8Array.of(255, 100, 255, 9),
        mask: Uint8Array.of(1, 1, 0, 0),
        style: { ...LINEAR, colours: '#ff8000' },
      },
      {
        samples: Uint16Array.of(65535, 100, 51, 9),
        mask: Uint8Array.of(1, 1, 1, 0),
        style: { ...LINEAR, colours: '#00ffff' },
      },
      { samples: Int32Array.of(0, 1000, 0, 9), mask: Uint8Array.of(1, 0, 0, 0), style: { ...LINEAR, colours: 'grey' } },
    ]
    const expected = [[255, 255, 255, 255], [100, 150, 100, 255], [0, 51, 51, 255], undefined]
    await checkPng(t, { width: 2, height: 2, layers }, 2, i => expected[i])
    const whole = layers.map((layer, i) => (i === 2 ? { ...layer, mask: undefined } : layer))
    const opaque = [[255, 255, 255, 255], [255, 255, 255, 255], [0, 51, 51, 255], grey(9)]
    await checkPng(t, { width: 2, height: 2, layers: whole }, 2, i => opaque[i])
  },
)

t.test('any number of channels adds up', async t => {
  const layers = Array.from({ length: 11 }, (_, i): PictureLayer => {
    const colours = (['#170000', '#001700', '#0000ff'] as const)[i % 3]
    return {
      samples: Uint8Array.of(255, 0, 255),
      mask: i === 4 ? Uint8Array.of(1, 1, 0) : undefined,
      style: { ...LINEAR, colours },
    }
  })
  const expected = [
    [4 * 0x17, 4 * 0x17, 255, 255],
    [0, 0, 0, 255],
    [4 * 0x17, 3 * 0x17, 255, 255],
  ]
  await checkPng(t, { width: 3, height: 1, layers }, 2, i => expected[i])
})

t.test('pictures stand side by side, each in its colours, and nothing between them', async t => {
  const random = seededRandom(3)
  const [width, height, gap] = [50, 20, 3]
  const samples = Uint8Array.from({ length: width * height }, () => 200 * random())
  const mask = Uint8Array.from(samples, (_, i) => Number(i % width > 9))
  const maps = ['grey', 'viridis', 'magma'] as const
  const colourOf = (map: (typeof maps)[number], step: number) => (map === 'grey' ? grey(step) : entryOf(map, step))
  for (const [left, right, colourType] of [
    ['grey', 'grey', 0],
    ['magma', 'magma', 3],
    ['grey', 'viridis', 2],
  ] as const) {
    const layers = [
      { samples, mask: undefined, style: { ...LINEAR, colours: left } },
      { samples, mask, style: { ...LINEAR, colours: right } },
    ]
    await checkPng(t, { width, height, layers, sideBySide: { gap, names: undefined } }, colourType, i => {
      const [x, y] = [i % (2 * width + gap), Math.floor(i / (2 * width + gap))]
      if (x < width) return colourOf(left, samples[y * width + x])
      const at = y * width + x - width - gap
      return x < width + gap || mask[at] === 0 ? undefined : colourOf(right, samples[at])
    })
  }
})

t.test('a name is as wide as it fits, readable on any ground, and left out where it would take half', async t => {
  const draw = async (edge: number, name: string, style: Partial<LayerStyle> = {}): Promise<Buffer> => {
    const layer = { samples: new Uint8Array(edge * edge).fill(255), mask: undefined, style: { ...LINEAR, ...style } }
    const sideBySide = { gap: 0, names: [name] }
    return decode(await crew.render({ width: edge, height: edge, layers: [layer], sideBySide, format: 'png' }))
  }
  /** Of the darkened corner, px. */
  const groundOf = (pixels: Buffer, edge: number): Size => {
    const isDark = (i: number): boolean => pixels[4 * i] < 128
    let [width, height] = [0, 0]
    while (width < edge && isDark(width)) width++
    while (height < edge && isDark(edge * height)) height++
    return { width, height }
  }
  for (const edge of [96, 200, 400]) {
    const short = groundOf(await draw(edge, 'Fe'), edge)
    const long = groundOf(await draw(edge, `Magnesium ${'and much else '.repeat(20)}`), edge)
    t.ok(short.width > 10 && short.width < edge / 3, `${edge} px: a short one takes ${short.width}`)
    t.ok(long.width > 0.8 * edge && long.width <= edge, `${edge} px: a long one takes ${long.width}`)
    t.equal(long.height, short.height, 'all stand on one line')
    t.ok(long.height < edge / 5, `${edge} px: ${long.height} high`)
  }
  for (const name of ['Ωμέγα', '日本語', 'שלום', '<b>&amp;', '😀', '\u0000\n', '']) {
    const { width } = groundOf(await draw(96, name), 96)
    t.ok(width > 6, `${JSON.stringify(name)} takes ${width}`)
  }
  const coloured = await draw(96, 'Fe', { colours: '#ff0000' })
  t.same([...coloured.subarray(0, 4)], [Math.round(0.3 * 255), 0, 0, 255], 'the ground shows what is below')
  t.ok(
    (await draw(20, 'Fe')).every(byte => byte === 255),
    'a tiny picture has none',
  )
})

t.test('a picture on a background is opaque', async t => {
  const [samples, mask] = [Uint8Array.of(10, 20, 30, 40), Uint8Array.of(1, 0, 1, 0)]
  const jobOn = (background: string | undefined, colours: LayerStyle['colours']): Omit<PictureJob, 'format'> => ({
    ...{ width: 2, height: 2, background },
    layers: [{ samples, mask, style: { ...LINEAR, colours } }],
  })
  await checkPng(t, jobOn('000000', 'grey'), 0, i => grey(mask[i] * samples[i]))
  await checkPng(t, jobOn('0a141e', 'grey'), 2, i => (mask[i] ? grey(samples[i]) : [10, 20, 30, 255]))
  await checkPng(t, jobOn('ffffff', 'magma'), 2, i => (mask[i] ? entryOf('magma', samples[i]) : grey(255)))
})

t.test('JPEG and WebP show the same, nearly, JPEG on a background and grey in one channel', async t => {
  const [width, height] = [64, 48]
  const samples = Uint16Array.from({ length: width * height }, (_, i) => 2 * (i % width))
  const mask = Uint8Array.from(samples, (_, i) => Number(i < (width * height) / 2))
  const draw = (format: 'jpg' | 'webp', colours: LayerStyle['colours'], background?: string): Promise<Buffer> =>
    crew.render({
      ...{ width, height, format, background, quality: 95 },
      layers: [{ samples, mask, style: { ...LINEAR, colours } }],
    })
  const near = (found: Buffer, at: number, expected: ArrayLike<number>): boolean =>
    [0, 1, 2, 3].every(c => Math.abs(found[4 * at + c] - expected[c]) <= 12)
  const last = width * height - 1

  const jpg = await draw('jpg', 'grey')
  t.match(await sharp(jpg).metadata(), { format: 'jpeg', width, height, channels: 1 })
  t.ok(near(await decode(jpg), 40, grey(80)))
  t.ok(near(await decode(jpg), last, grey(0)), 'black by itself')
  t.ok(near(await decode(await draw('jpg', 'viridis', 'ff0000')), last, [255, 0, 0, 255]))
  t.ok(near(await decode(await draw('jpg', 'viridis', 'ff0000')), 40, entryOf('viridis', 80)))
  const webp = await draw('webp', 'viridis')
  t.match(await sharp(webp).metadata(), { format: 'webp', width, height, hasAlpha: true })
  t.ok(near(await decode(webp), 40, entryOf('viridis', 80)))
  t.equal((await decode(webp))[4 * last + 3], 0)
  const coarse = await crew.render({
    ...{ width, height, format: 'jpg', quality: 1 },
    layers: [{ samples, mask, style: LINEAR }],
  })
  t.ok(coarse.length < jpg.length)
})

t.test(
  'the step of a value is its place between black and white, stretched, to the power of gamma, rounded',
  async t => {
    const values = [0, 99, 100, 101, 150, 199, 200, 201, 65535]
    const stretches: Record<string, (t: number) => number> = {
      linear: t => t,
      sqrt: Math.sqrt,
      log: t => Math.log(1 + 1000 * t) / Math.log(1001),
    }
    for (const [name, stretch] of Object.entries(stretches)) {
      for (const gamma of [1, 2, 0.45]) {
        for (const inverted of [false, true]) {
          const style: Partial<LayerStyle> = { black: 100, white: 200, gamma, inverted, stretch: name as 'linear' }
          const expected = values.map(value => {
            const shown = stretch(Math.min(1, Math.max(0, (value - 100) / 100))) ** gamma
            return Math.floor((inverted ? 1 - shown : shown) * 255 + 0.5)
          })
          for (const samples of [Uint16Array.from(values), Uint32Array.from(values), Float64Array.from(values)])
            t.same(
              (await drawRow(samples, style)).red,
              expected,
              `${name}, gamma ${gamma}, ${samples.constructor.name}`,
            )
        }
      }
    }
    const signed = { black: -100.5, white: 99.5 }
    const expected = [0, 0, 1, 127, 129, 255, 255]
    for (const type of [Int16Array, Int32Array, Float32Array]) {
      const samples = type.from([-32768, -101, -100, -1, 1, 100, 32767])
      t.same((await drawRow(samples, signed)).red, expected, type.name)
    }
  },
)

t.test('windows may be narrow, negative or far outside, and samples infinite', async t => {
  const samples = new Float32Array([-1.5, -1.25, -1, 0, Infinity, -Infinity])
  const draw = async (black: number, white: number): Promise<number[]> => (await drawRow(samples, { black, white })).red
  t.same(await draw(-1.5, -1), [0, 128, 255, 255, 255, 0])
  t.same(await draw(1e29, 1e30), [0, 0, 0, 0, 255, 0])
  t.same(await draw(-1e30, 1e30), [128, 128, 128, 128, 255, 0])
  t.same(await draw(0, Number.MIN_VALUE), [0, 0, 0, 0, 255, 0])
})

t.test('NaN is transparent, and the mask that was given stays as it is', async t => {
  const samples = Float32Array.of(1, Number.NaN, 1, 0)
  const mask = Uint8Array.of(1, 1, 0, 1)
  t.same((await drawRow(samples, { white: 1 }, mask)).opaque, [true, false, false, true])
  t.same((await drawRow(samples, { white: 1 })).opaque, [true, false, true, true])
  t.same(mask, Uint8Array.of(1, 1, 0, 1))
  t.equal(samples.length, 4, 'nor are the samples taken away')
})

t.test('equalized, the brightness is the share of the samples in the window at or below a value', async t => {
  const values = [5, 10, 10, 20, 20, 20, 30, 90]
  for (const type of [Uint8Array, Uint16Array, Int16Array] as const) {
    const builder = new HistogramBuilder(type === Uint8Array ? 'uint8' : type === Uint16Array ? 'uint16' : 'int16')
    builder.add(type.from(values))
    const histogram = builder.finish()
    const style: Partial<LayerStyle> = { stretch: 'equalize', black: 10, white: 30, histogram }
    const shares = [0, 2 / 6, 2 / 6, 5 / 6, 1, 1]
    const expected = shares.map(share => Math.round(255 * share))
    t.same((await drawRow(type.of(9, 10, 15, 20, 30, 100), style)).red, expected, type.name)
    t.same((await drawRow(type.of(20, 20), style)).red, [expected[3], expected[3]], 'in any tile the same')
    const empty = { ...style, black: 40, white: 80 }
    t.same((await drawRow(type.of(40, 60, 80), empty)).red, [0, 128, 255], 'linear where nothing was counted')
  }
})

t.test('equalized floats count as if they lay in the middles of their bins, from the darkest bin on', async t => {
  const builder = new HistogramBuilder('float32')
  builder.add(Float32Array.from({ length: 10_001 }, (_, i) => (i / 10_000) ** 2))
  const histogram = builder.finish()
  const style: Partial<LayerStyle> = { stretch: 'equalize', black: 0, white: 1, histogram }
  const { red } = await drawRow(Float32Array.of(0, 0.01, 0.25, 0.64, 1, 2), style)
  const darkest = histogram.counts[0] / histogram.total
  for (const [i, share] of [darkest, 0.1, 0.5, 0.8, 1, 1].entries())
    t.ok(Math.abs(red[i] - (255 * (share - darkest)) / (1 - darkest)) < 2, `${share}`)
})

t.test("PYME's grey is the square root of counts − dark, cut off, and white above 65,535", async t => {
  const all = Uint16Array.from({ length: 65536 }, (_, i) => i)
  const layer = (samples: SampleArray, mask?: Uint8Array): PictureLayer[] => [{ samples, mask, style: pymeStyle(100) }]
  const root = (i: number): number => Math.min(255, Math.floor(Math.sqrt(Math.max(0, i - 100))))
  await checkPng(t, { width: 256, height: 256, layers: layer(all) }, 0, i => grey(root(i)))
  const counts = Float32Array.of(-5, 0, 0.99, 1, 3.9, 4, 1060, 65024, 65535, 70000)
  t.same((await drawRow(counts, pymeStyle(0))).red, [0, 0, 0, 1, 1, 2, 32, 254, 255, 255])
  t.same((await drawRow(Uint16Array.of(0, 100, 104, 116), pymeStyle(100, { min: 0, max: 16 }))).red, [0, 0, 64, 255])
  const partly = {
    ...{ width: 2, height: 1, background: '000000' },
    layers: layer(Uint16Array.of(500, 500), Uint8Array.of(0, 1)),
  }
  await checkPng(t, partly, 0, i => grey(20 * i))
})

t.test('samples may be part of larger memory, and many pictures be asked for at once', async t => {
  const memory = new Uint16Array(new SharedArrayBuffer(2000)).map((_, i) => i)
  const shared = new Uint16Array(new SharedArrayBuffer(2000))
  shared.set(memory)
  const drawn = Array.from({ length: 50 }, (_, i) => drawRow(shared.subarray(i, i + 3), {}))
  for (const [i, { red }] of (await Promise.all(drawn)).entries()) t.same(red, [i, i + 1, i + 2])
})

t.test('the widest and highest pictures are drawn, and larger ones refused', async t => {
  const draw = (format: PictureJob['format'], width: number, height: number): Promise<Buffer> => {
    const samples = Uint8Array.from({ length: width * height }, (_, i) => i % 251)
    return crew.render({ ...{ width, height, format }, layers: [{ samples, mask: undefined, style: LINEAR }] })
  }
  for (const [width, height] of [
    [65_535, 5],
    [3, 65_535],
  ]) {
    const pixels = await decode(await draw('png', width, height))
    t.ok(Array.from({ length: width * height }, (_, i) => i).every(i => pixels[4 * i] === i % 251))
  }
  t.match(await sharp(await draw('webp', 16_383, 1)).metadata(), { width: 16_383, height: 1 })
  t.match(await sharp(await draw('jpg', 1, 65_500)).metadata(), { width: 1, height: 65_500 })
  const message = 'A picture of 16384 × 1 pixels cannot be a webp file, whose edges have up to 16383 pixels.'
  await t.rejects(draw('webp', 16_384, 1), { constructor: LimitExceededError, message })
  await t.rejects(draw('png', 65_536, 1), LimitExceededError)
  await t.rejects(draw('jpg', 1, 65_501), LimitExceededError)
})

t.test('pictures that nobody waits for any more are not drawn', async t => {
  const one = new RenderCrew(1)
  t.teardown(() => one.close())
  const job = (edge: number): PictureJob => ({
    ...{ width: edge, height: edge, format: 'png' },
    layers: [{ samples: new Uint8Array(edge * edge), mask: undefined, style: LINEAR }],
  })
  const abort = new AbortController()
  const [drawn, waiting] = [one.render(job(512), abort.signal), one.render(job(4), abort.signal)]
  const last = one.render(job(5))
  abort.abort()
  await t.rejects(drawn, { name: 'AbortError' })
  await t.rejects(waiting, { name: 'AbortError' })
  await t.rejects(one.render(job(4), abort.signal), { name: 'AbortError' })
  t.equal(parsePng(await last).width, 5)
  await t.rejects(one.render({ ...job(4), width: 5 }), RangeError)
  await t.rejects(one.render({ ...job(4), layers: [] }), RangeError)
})

t.test('a thread that dies fails the picture that it was drawing, and is replaced', async t => {
  const threads: Worker[] = []
  const note = (thread: Worker): unknown => threads.push(thread)
  process.on('worker', note)
  t.teardown(() => process.off('worker', note))
  const one = new RenderCrew(1)
  const good: PictureJob = {
    ...{ width: 1, height: 1, format: 'png' },
    layers: [{ samples: Uint8Array.of(1), mask: undefined, style: LINEAR }],
  }
  await one.render(good)
  const edge = 4096
  const large: PictureJob = {
    ...{ width: edge, height: edge, format: 'webp' },
    layers: [{ samples: new Uint8Array(edge * edge), mask: undefined, style: LINEAR }],
  }
  const [lost, next] = [one.render(large), one.render(good)]
  await threads[0].terminate()
  await t.rejects(lost, SourceUnavailableError)
  t.equal(parsePng(await next).width, 1)
  t.equal(threads.length, 2)
  const never = one.render(large)
  const waiting = one.render(good)
  await Promise.all([t.rejects(never, /closing/), t.rejects(waiting, /closing/), one.close()])
  await t.rejects(one.render(good), TypeError)
})
