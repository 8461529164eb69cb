import t from 'tap'
import { ByteStore } from '../../src/pyramid/byte-store.js'
import { matchesEtag } from '../../src/server/http/etag.js'
import { TileCache } from '../../src/server/tiles/tile-cache.js'

/** The signal of a caller who waits to the end. */
const patience = (): AbortSignal => new AbortController().signal

t.test('concurrent misses of a key share one computation', async t => {
  const cache = new TileCache(new ByteStore(1e6))
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
  const cache = new TileCache(new ByteStore(1e6))
  const failing = async (): Promise<Buffer> => {
    throw new Error('disk away')
  }
  const both = [cache.getOrCompute('a', failing, patience()), cache.getOrCompute('a', failing, patience())]
  for (const one of both) await t.rejects(one, { message: 'disk away' })
  t.equal((await cache.getOrCompute('a', async () => Buffer.from('b'), patience())).toString(), 'b')
})

t.test('a computation goes on while anybody waits, and is aborted with the last', async t => {
  const cache = new TileCache(new ByteStore(1e6))
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
  const cache = new TileCache(new ByteStore(1e6))
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
  const cache = new TileCache(new ByteStore(10_000))
  for (let i = 0; i < 100; i++) await cache.getOrCompute(`k${i}`, async () => Buffer.alloc(1000), patience())
  const kept = Array.from({ length: 100 }, (_, i) => cache.get(`k${i}`)).filter(bytes => bytes !== undefined)
  t.ok(kept.length > 0 && kept.length <= 10)
  t.ok(cache.get('k99'), 'the newest stays')
  const none = new TileCache(new ByteStore(0))
  await none.getOrCompute('a', async () => Buffer.alloc(1), patience())
  t.equal(none.get('a'), undefined)
})

t.test('If-None-Match may hold several tags, weak ones and a star', async t => {
  for (const header of ['"a"', 'W/"a"', '"b", "a"', '"b" ,W/"a"', '*', ' * ']) t.ok(matchesEtag(header, '"a"'), header)
  for (const header of [undefined, '', 'a', '"b"', '"a', '"aa"']) t.notOk(matchesEtag(header, '"a"'), String(header))
  for (const header of ['W/"a,1,b"', '"c", "a,1,b"']) t.ok(matchesEtag(header, '"a,1,b"'), header)
})
