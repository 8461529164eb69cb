import sharp from 'sharp'
import t from 'tap'
import type { Plane } from '../../src/plane.js'
import { matchesEtag } from '../../src/server/etag.js'
import { TileCache } from '../../src/server/tile-cache.js'
import { encodeGreyPng, shadePymeTile, shadeTile } from '../../src/server/tile-renderer.js'
import { decodePng } from './decode-png.js'

/** The signal of a caller who waits to the end. */
const patience = (): AbortSignal => new AbortController().signal

function row(samples: Plane['samples'], sampleType: Plane['sampleType']): Plane {
  return { width: samples.length, height: 1, sampleType, samples }
}

t.test('grey is the place between black and white, clipped, to the power of gamma, rounded', async t => {
  const plane = row(new Uint16Array([0, 100, 101, 150, 199, 200, 65535]), 'uint16')
  t.same([...shadeTile(plane, undefined, { min: 100, max: 200, gamma: 1 }).grey], [0, 0, 3, 128, 252, 255, 255])
  t.same([...shadeTile(plane, undefined, { min: 100, max: 200, gamma: 2 }).grey], [0, 0, 0, 64, 250, 255, 255])
  t.same([...shadeTile(plane, undefined, { min: 100, max: 200, gamma: 0.5 }).grey], [0, 0, 26, 180, 254, 255, 255])
})

t.test('windows may be narrow, negative or far outside', async t => {
  const plane = row(new Float32Array([-1.5, -1.25, -1, 0, Infinity, -Infinity]), 'float32')
  t.same([...shadeTile(plane, undefined, { min: -1.5, max: -1, gamma: 1 }).grey], [0, 128, 255, 255, 255, 0])
  t.same([...shadeTile(plane, undefined, { min: 1e29, max: 1e30, gamma: 1 }).grey], [0, 0, 0, 0, 255, 0])
  t.same([...shadeTile(plane, undefined, { min: -1e30, max: 1e30, gamma: 1 }).grey], [128, 128, 128, 128, 255, 0])
  t.same([...shadeTile(plane, undefined, { min: 0, max: Number.MIN_VALUE, gamma: 1 }).grey], [0, 0, 0, 0, 255, 0])
})

t.test('what is not covered and NaN are transparent, and a whole tile has no alpha', async t => {
  const plane = row(new Float32Array([1, Number.NaN, 1, 0]), 'float32')
  t.same(shadeTile(plane, new Uint8Array([1, 1, 0, 1]), { min: 0, max: 1, gamma: 1 }), {
    grey: new Uint8Array([255, 0, 0, 0]),
    alpha: new Uint8Array([255, 0, 0, 255]),
  })
  t.equal(
    shadeTile(row(new Uint8Array([1]), 'uint8'), new Uint8Array([1]), { min: 0, max: 1, gamma: 1 }).alpha,
    undefined,
  )
})

t.test("PYME's tiles are the square root of counts − dark, cut off, and white above 65,535", async t => {
  const plane = row(new Float32Array([-5, 0, 0.99, 1, 3.9, 4, 1060, 65024, 65535, 70000, Number.NaN]), 'float32')
  t.same([...shadePymeTile(plane, undefined, 0, undefined)], [0, 0, 0, 1, 1, 2, 32, 254, 255, 255, 0])
  const stored = row(new Uint16Array([0, 100, 104, 116]), 'uint16')
  t.same([...shadePymeTile(stored, undefined, 100, undefined)], [0, 0, 2, 4], 'the dark level is taken off')
  t.same(
    [...shadePymeTile(stored, undefined, 100, { min: 0, max: 16 })],
    [0, 0, 64, 255],
    'or linear between vmin and vmax',
  )
  t.same([...shadePymeTile(stored, new Uint8Array([0, 1, 1, 1]), 100, { min: -200, max: 16 })], [0, 236, 241, 255])
})

t.test('a PNG has one channel of 8 bits, and a second where something is transparent', async t => {
  const grey = new Uint8Array([0, 1, 127, 255])
  const opaque = await encodeGreyPng({ grey, alpha: undefined }, 2)
  t.match(await sharp(opaque).metadata(), { format: 'png', width: 2, height: 2, channels: 1, depth: 'uchar' })
  t.match(await decodePng(opaque), { width: 2, height: 2, grey, alpha: new Uint8Array([255, 255, 255, 255]) })
  const alpha = new Uint8Array([255, 0, 255, 0])
  const partly = await encodeGreyPng({ grey, alpha }, 2)
  t.match(await sharp(partly).metadata(), { channels: 2, hasAlpha: true })
  t.match(await decodePng(partly), { grey, alpha })
})

t.test('concurrent misses of a key share one computation', async t => {
  const cache = new TileCache(1e6)
  let computations = 0
  const compute = async (): Promise<Buffer> => {
    computations++
    return Buffer.from('tile')
  }
  const all = await Promise.all(Array.from({ length: 30 }, () => cache.getOrCompute('a', compute, patience())))
  t.equal(computations, 1)
  t.ok(all.every(bytes => bytes.equals(Buffer.from('tile'))))
  await cache.getOrCompute('a', compute, patience())
  t.equal(computations, 1, 'and the result is kept')
})

t.test('a computation that failed is tried again', async t => {
  const cache = new TileCache(1e6)
  const failing = async (): Promise<Buffer> => {
    throw new Error('disk away')
  }
  const both = [cache.getOrCompute('a', failing, patience()), cache.getOrCompute('a', failing, patience())]
  for (const one of both) await t.rejects(one, { message: 'disk away' })
  t.equal((await cache.getOrCompute('a', async () => Buffer.from('b'), patience())).toString(), 'b')
})

t.test('a computation goes on while anybody waits, and is aborted with the last', async t => {
  const cache = new TileCache(1e6)
  const [first, second] = [new AbortController(), new AbortController()]
  let aborted = false
  const compute = (signal: AbortSignal): Promise<Buffer> =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        aborted = true
        reject(signal.reason)
      })
    })
  const waiting = [first, second].map(({ signal }) => cache.getOrCompute('a', compute, signal))
  const outcomes = Promise.allSettled(waiting)
  first.abort()
  await t.rejects(waiting[0], { name: 'AbortError' })
  t.notOk(aborted)
  second.abort()
  t.ok(aborted)
  await outcomes
  t.equal((await cache.getOrCompute('a', async () => Buffer.from('b'), patience())).toString(), 'b')
  await t.rejects(cache.getOrCompute('c', compute, AbortSignal.abort()), { name: 'AbortError' })
})

t.test('a thousand tiles at once are computed a few at a time, and those given up never start', async t => {
  const cache = new TileCache(1e6)
  let [running, most, started] = [0, 0, 0]
  const compute = async (): Promise<Buffer> => {
    started++
    most = Math.max(most, ++running)
    await new Promise(resolve => setImmediate(resolve))
    running--
    return Buffer.alloc(1)
  }
  const patient = Array.from({ length: 500 }, (_, i) => cache.getOrCompute(`p${i}`, compute, patience()))
  const impatient = Array.from({ length: 500 }, () => new AbortController())
  const givenUp = impatient.map(({ signal }, i) => cache.getOrCompute(`i${i}`, compute, signal))
  const outcomes = Promise.allSettled(givenUp)
  for (const controller of impatient) controller.abort()
  await Promise.all(patient)
  t.ok((await outcomes).every(({ status }) => status === 'rejected'))
  t.equal(most, 16)
  t.equal(started, 500)
})

t.test('the cache keeps to its bound in bytes', async t => {
  const cache = new TileCache(10_000)
  for (let i = 0; i < 100; i++) await cache.getOrCompute(`k${i}`, async () => Buffer.alloc(1000), patience())
  const kept = Array.from({ length: 100 }, (_, i) => cache.get(`k${i}`)).filter(bytes => bytes !== undefined)
  t.ok(kept.length > 0 && kept.length <= 10)
  t.ok(cache.get('k99'), 'the newest stays')
  const none = new TileCache(0)
  await none.getOrCompute('a', async () => Buffer.alloc(1), patience())
  t.equal(none.get('a'), undefined)
})

t.test('If-None-Match may hold several tags, weak ones and a star', async t => {
  for (const header of ['"a"', 'W/"a"', '"b", "a"', '"b" ,W/"a"', '*', ' * ']) t.ok(matchesEtag(header, '"a"'), header)
  for (const header of [undefined, '', 'a', '"b"', '"a', '"aa"']) t.notOk(matchesEtag(header, '"a"'), String(header))
})
