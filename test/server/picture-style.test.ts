import { join } from 'node:path'
import t from 'tap'
import { NotFoundError, UsageError } from '../../src/errors.js'
import { openPyramid } from '../../src/pyramid/open-pyramid.js'
import type { Parameters } from '../../src/server/http/parameters.js'
import { ServedPyramid } from '../../src/server/pyramids/served-pyramid.js'
import { type PictureStyle, readPictureStyle } from '../../src/server/tiles/picture-style.js'
import { build } from '../engine/build-for-test.js'
import { syntheticSource } from '../pyramid/synthetic-source.js'

/** Three channels of two z-planes; channel c has the samples 1000·c … 1000·c + 999, each as often. */
async function serveThreeChannels(): Promise<ServedPyramid> {
  const output = join(t.testdir(), 'plate')
  const planes = [0, 1, 2, 3, 4, 5].map(i => ({ xUm: 0, yUm: 0, channel: i % 3, zPlane: Math.floor(i / 3) }))
  const source = syntheticSource({
    frames: planes,
    frameSize: { width: 100, height: 50 },
    sample: (frame, x, y) => 1000 * (frame % 3) + ((100 * y + x) % 1000),
  })
  await build([source], output)
  const served = new ServedPyramid(await openPyramid(output), '', [], true)
  t.teardown(() => served.retire())
  return served
}

const served = await serveThreeChannels()
const read = (query: Parameters): Promise<PictureStyle> => readPictureStyle(query, served)

t.test('without a word the first channel is shown grey in its automatic window', async t => {
  const { layers, ...rest } = await read({})
  const { black, white } = await served.window(0)
  const style = { black, white, gamma: 1, stretch: 'linear', colours: 'grey', inverted: false }
  t.same(layers, [{ selection: { channel: 0, zPlane: 0, timePoint: 0 }, style }])
  t.match(rest, { isAutomatic: true, background: undefined, quality: undefined })
})

t.test('all can be said of one channel', async t => {
  const query = { channel: '2', depth: '1', t: '0', min: '-1', max: '2.5', gamma: '0.5', stretch: 'log', invert: '1' }
  const { layers, ...rest } = await read({ ...query, lut: 'magma', background: '#FFFFFF', quality: '70' })
  const style = { black: -1, white: 2.5, gamma: 0.5, stretch: 'log', colours: 'magma', inverted: true }
  t.same(layers, [{ selection: { channel: 2, zPlane: 1, timePoint: 0 }, style }])
  t.match(rest, { isAutomatic: false, background: 'ffffff', quality: 70 })
})

t.test('black and white may be percentiles of the channel, which make the picture depend on the samples', async t => {
  const { layers, isAutomatic } = await read({ channel: '1,2', min: 'p0', max: 'p50,p99.9' })
  t.same(
    layers.map(({ style: { black, white } }) => [black, white]),
    [
      [1000, 1499],
      [2000, 2998],
    ],
  )
  t.ok(isAutomatic)
  t.same((await read({ min: '5', max: 'p100' })).layers[0].style, {
    ...layers[0].style,
    black: 5,
    white: 999,
    colours: 'grey',
  })
  for (const min of ['p', 'p101', 'p-1', 'p1e1', 'pp1', 'p1,'])
    await t.rejects(read({ min }), { message: /min (is "p|lists 2)|is empty/ }, min)
})

t.test('of several channels each has its value in the lists, or all have one', async t => {
  const { layers } = await read({ channel: '2,0', min: '5,6', max: '100', lut: '#FF8000,viridis', stretch: 'sqrt' })
  const common = { white: 100, gamma: 1, stretch: 'sqrt', inverted: false }
  t.same(
    layers.map(({ selection, style }) => [selection.channel, style]),
    [
      [2, { ...common, black: 5, colours: '#ff8000' }],
      [0, { ...common, black: 6, colours: 'viridis' }],
    ],
  )
})

t.test('several channels have different colours and each its own window by themselves', async t => {
  const { layers } = await read({ channel: '0,1,2' })
  t.same(new Set(layers.map(({ style }) => style.colours)), new Set(['#3d8bff', '#f0561d', '#f5ea6b']))
  t.ok(layers.every(({ style }, i) => style.black >= 1000 * i && style.white < 1000 * (i + 1)))
  const [alone] = (await read({ channel: '1,2' })).layers
  t.equal(alone.style.colours, layers[1].style.colours, 'a channel keeps its colour')
})

t.test('equalize comes with the histogram of the channel, always the same object', async t => {
  const query = { channel: '1', stretch: 'equalize', min: '0', max: '5' }
  const [first, second] = [await read(query), await read(query)]
  t.equal(first.layers[0].style.histogram?.total, 2 * 100 * 50)
  t.equal(first.layers[0].style.histogram, second.layers[0].style.histogram)
  t.ok(first.isAutomatic, 'it depends on the samples')
})

t.test('the key is the same for the same picture, however it is written, and another for another', async t => {
  const { black, white } = await served.window(0)
  const same = [
    {},
    { channel: '0' },
    { min: String(black), max: `${white}.0` },
    { gamma: '1', lut: 'grey', invert: '0' },
  ]
  t.equal(new Set(await Promise.all(same.map(async query => (await read(query)).key))).size, 1)
  const others = [
    ...[{}, { channel: '1' }, { channel: '0,1' }, { channel: '1,0' }, { depth: '1' }, { min: '-3' }, { max: '70' }],
    ...[{ gamma: '2' }, { stretch: 'sqrt' }, { stretch: 'equalize' }, { lut: 'viridis' }, { lut: '00ff00' }],
    ...[{ invert: '1' }, { background: 'ffffff' }, { quality: '50' }],
  ]
  t.equal(new Set(await Promise.all(others.map(async query => (await read(query)).key))).size, others.length)
})

t.test('a wrong parameter is refused with a sentence that says what is possible', async t => {
  const wrong: [Parameters, string | RegExp][] = [
    [
      { lut: 'jet' },
      /^The parameter lut is "jet"; it is one of grey, magma, inferno, viridis, cividis, blue-red, or six/,
    ],
    [{ lut: 'ff00f' }, /six hex digits/],
    [{ stretch: 'cube' }, 'The parameter stretch is "cube"; it is one of linear, sqrt, log, equalize.'],
    [{ gamma: '0' }, /gamma .* 0\.01 to 100/],
    [{ min: '5', max: '5' }, 'max is 5 and must be above min, which is 5.'],
    [{ channel: '0,1', min: '1,2', max: '5,2' }, 'max is 2 and must be above min, which is 2.'],
    [{ channel: '0,1', min: '1,2,3' }, 'The parameter min lists 3 values, but there are 2 channels in the picture.'],
    [{ lut: 'grey,magma' }, 'The parameter lut lists 2 values, but there is 1 channel in the picture.'],
    [{ channel: '0,1', min: '1,' }, 'The parameter min is empty.'],
    [{ min: ['1', '2'] }, 'The parameter min is given more than once.'],
    [{ channel: '0,0' }, /twice/],
    [{ channel: 'x' }, /channel/],
    [{ invert: '2' }, /invert/],
    [{ background: 'white' }, /^The parameter background is "white"; it is six hex digits/],
    [{ quality: '0' }, /quality .* 1 to 100/],
  ]
  for (const [query, message] of wrong) {
    await t.rejects(read(query), { constructor: UsageError, message }, JSON.stringify(query))
  }
  for (const query of [{ channel: '3' }, { channel: '0,3' }, { depth: '2' }, { t: '1' }])
    await t.rejects(read(query), NotFoundError, JSON.stringify(query))
})
