import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import t, { type Test } from 'tap'
import { openPyramid } from '../../src/pyramid/open-pyramid.js'
import { openSources } from '../../src/sources/open-source.js'
import { build } from '../engine/build-for-test.js'
import { composeNpy, describeArray } from '../sources/compose-npy.js'
import { unpackFixture } from '../unpack-fixture.js'
import { errorLines, PAGE_FILES, startTestApp, type TestApp } from './test-app.js'

const truth = JSON.parse(readFileSync(new URL('../fixtures/quickdraw/truth.json', import.meta.url), 'utf8'))

// biome-ignore lint/suspicious/noExplicitAny: answers are compared whole or by part
type Json = any

/** A server of one pyramid that was made of a file. */
async function serve(
  t: Test,
  path: string,
): Promise<{ app: TestApp; url: string; version: string; json(path: string): Promise<Json> }> {
  const output = join(t.testdirName, 'pyramid')
  const { sources } = await openSources([path])
  await build(sources, output)
  const app = await startTestApp(t, { pyramids: [output] })
  const { id, version } = app.registry.list()[0].pyramid
  const url = `/pyramids/${id}`
  return { app, url, version, json: async path => (await app.app.inject(`${url}${path}`)).json() }
}

t.test('the images of a stack are served by their numbers, with their rows of the table', async t => {
  const folder = t.testdir({ page: PAGE_FILES })
  const path = unpackFixture(folder, 'quickdraw/octopus.npy')
  const rows = readFileSync(unpackFixture(folder, 'quickdraw/octopus.ndjson'), 'utf8')
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
  const { app, url, version, json } = await serve(t, path)

  const info = await json('')
  t.match(info, { width: 504, height: 476, isUncalibrated: true })
  t.same(info.items, {
    count: 300,
    width: 28,
    height: 28,
    columns: 18,
    x: 0,
    y: 0,
    fields: ['word', 'countrycode', 'timestamp', 'recognized', 'key_id'],
  })

  const all = await json('/items?limit=3')
  t.match(all, { count: 300, total: 300, offset: 0 })
  t.same(
    all.items.map(({ n, row }: Json) => [n, row.key_id]),
    rows.slice(0, 3).map((row, n) => [n, row.key_id]),
  )
  const countries = all.fields.find(({ name }: Json) => name === 'countrycode')
  t.equal(countries.kind, 'text')
  t.same(Object.fromEntries(countries.values.map(({ value, count }: Json) => [value, count])), truth.country_counts)
  t.equal(all.fields.find(({ name }: Json) => name === 'recognized').kind, 'boolean')

  const german = truth.countries.flatMap((country: string, n: number) => (country === 'DE' ? [n] : []))
  t.same((await json('/items?countrycode=DE&numbers=1')).numbers, german)
  const page = await json('/items?countrycode=DE&offset=19&limit=5')
  t.match(page, {
    total: 21,
    count: 300,
    items: german.slice(19).map((n: number) => ({ n, row: { countrycode: 'DE' } })),
  })
  t.equal(page.items.length, 2)
  const both = await json('/items?countrycode=DE&recognized=true')
  t.equal(both.total, rows.filter(row => row.countrycode === 'DE' && row.recognized).length)
  t.match(await json('/items?country=DE'), {
    code: 'BAD_REQUEST',
    message: /no field "country"; the fields are word, countrycode/,
  })

  const { drawing: _, ...row } = rows[42]
  t.same(await json('/items/42'), {
    n: 42,
    rect: { x0: 168, y0: 56, x1: 196, y1: 84 },
    boxUm: { x: 168, y: 56, w: 28, h: 28 },
    row,
  })
  for (const [x, y, n] of [
    [0, 0, 0],
    [27.4, 27.4, 0],
    [28, 0, 1],
    [503, 0, 17],
    [0, 28, 18],
    [335, 475, 299],
  ])
    t.equal((await json(`/item?x=${x}&y=${y}&units=px`)).n, n, `${x}, ${y}`)
  t.match(await json('/item?x=336&y=475&units=px'), { code: 'NOT_FOUND', message: /behind the last one/ })
  for (const item of ['300', '999999', '9999999999999999', 'x', '-1', '1.tif'])
    t.match(
      await json(`/items/${item}`),
      { code: 'NOT_FOUND', message: new RegExp(`There is no image "?${item}`) },
      item,
    )
  t.equal((await app.app.inject(`${url}/items/300.png`)).statusCode, 404)

  const wrong: number[] = []
  for (const n of [0, 1, 17, 18, 255, 299]) {
    const { rawPayload } = await app.app.inject(`${url}/items/${n}.png?min=0&max=255`)
    const { data, info } = await sharp(rawPayload).toColourspace('b-w').raw().toBuffer({ resolveWithObject: true })
    const number = Array.from({ length: 9 }, (_, bit) => (data[bit * info.channels] > 127 ? 2 ** bit : 0)).reduce(
      (a, b) => a + b,
    )
    if (info.width !== 28 || info.height !== 28 || number !== n) wrong.push(n)
  }
  t.same(wrong, [], 'pictures show the numbers in their first rows')
  const large = await sharp((await app.app.inject(`${url}/items/1.png?width=96&height=96&min=0&max=255`)).rawPayload)
    .raw()
    .toBuffer({ resolveWithObject: true })
  t.match(large.info, { width: 96, height: 96 })
  // Pixel (0, 0) is ink, (1, 0) is none: enlarged, they are squares.
  t.same(
    [0, 2, 4, 6].map(x => large.data[x * large.info.channels] > 127),
    [true, true, false, false],
  )

  const kept = await app.app.inject(`${url}/items/7.webp?v=${version}`)
  t.match(kept.headers, { 'content-type': 'image/webp', 'cache-control': /max-age=31536000, immutable/, etag: /./ })
  const again = await app.app.inject({
    url: `${url}/items/7.webp?v=${version}`,
    headers: { 'if-none-match': String(kept.headers.etag) },
  })
  t.equal(again.statusCode, 304)
  const asked = await app.app.inject({ url: `${url}/items/7.jpg`, headers: { origin: 'http://localhost:8888' } })
  t.match(asked.headers, { 'access-control-allow-origin': /./, 'cache-control': 'no-cache' })
  t.equal((await app.app.inject(`${url}/items/7.png?width=100000`)).statusCode, 413)
  t.same(errorLines(app), [])
})

t.test('colour images are drawn in colour, and a stack without a table has numbers only', async t => {
  const folder = t.testdir({ page: PAGE_FILES })
  const { app, url, json } = await serve(t, unpackFixture(folder, 'quickdraw/stack_rgb.npy'))
  t.match(await json('/items'), { count: 10, total: 10, fields: [], items: [{ n: 0, row: null }] })
  t.match(await json('/items?label=a'), { code: 'BAD_REQUEST', message: /no table of its images/ })
  const npy = readFileSync(join(folder, 'stack_rgb.npy')).subarray(128)
  const { data, info } = await sharp((await app.app.inject(`${url}/items/6.png`)).rawPayload)
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true })
  t.match(info, { width: 36, height: 24, channels: 3 })
  t.same(data, npy.subarray(6 * 24 * 36 * 3, 7 * 24 * 36 * 3))
})

t.test('a picture has no items, and says so', async t => {
  const folder = t.testdir({ page: PAGE_FILES })
  const path = join(folder, 'picture.npy')
  writeFileSync(path, composeNpy(describeArray('|u1', '300, 301'), new Uint8Array(300 * 301).fill(9)))
  const { json } = await serve(t, path)
  t.equal((await json('')).items, null)
  for (const place of ['/items', '/items/0', '/items/0.png', '/item?x=0&y=0'])
    t.match(await json(place), { code: 'NOT_FOUND', message: /is no stack of images/ }, place)
})

t.test('another table makes no sample anew, and a damaged one is an error', async t => {
  const folder = t.testdir({ page: PAGE_FILES })
  const path = unpackFixture(folder, 'quickdraw/octopus.npy')
  const table = join(folder, 'octopus.csv')
  const output = join(folder, 'pyramid')
  const rebuild = async (text: string) => {
    writeFileSync(table, text)
    const { record } = await build((await openSources([path])).sources, output)
    return record
  }
  const label = (n: number): string => (n % 3 === 0 ? 'cat' : 'dog')
  const lines = Array.from({ length: 300 }, (_, n) => `${label(n)}`)
  const first = await rebuild(`label\n${lines.join('\n')}\n`)
  const shard = readFileSync(join(output, '0/c/0/0/0/0/0'))
  const second = await rebuild(`label\n${lines.join('s\n')}s\n`)
  t.equal(second.id, first.id)
  t.same(readFileSync(join(output, '0/c/0/0/0/0/0')), shard)
  const pyramid = await openPyramid(output)
  t.equal((await pyramid.items?.table())?.row(0).label, 'cats')
  await pyramid.close()
  writeFileSync(join(output, 'tilestage/items.json'), '{"columns": []}')
  const damaged = await openPyramid(output)
  await t.rejects(damaged.items!.table(), { name: 'CorruptDataError', message: /its checksum is wrong/ })
  await damaged.close()
})
