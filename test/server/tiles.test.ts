import { open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import t, { type Test } from 'tap'
import { registry } from 'zarrita'
import { bytesOfSamples } from '../../src/plane.js'
import { decodeBlosc } from '../../src/pyramid/blosc.js'
import { ByteStore } from '../../src/pyramid/byte-store.js'
import { openPyramid } from '../../src/pyramid/open-pyramid.js'
import { OpenShard } from '../../src/pyramid/open-shard.js'
import { OpenShards } from '../../src/pyramid/open-shards.js'
import { presentTiles } from '../../src/pyramid/present-tiles.js'
import type { Pyramid } from '../../src/pyramid/pyramid.js'
import { encodeShard } from '../../src/pyramid/shard-file.js'
import { DecodedTiles } from '../../src/server/tiles/decoded-tiles.js'
import { TileCache } from '../../src/server/tiles/tile-cache.js'
import { build } from '../engine/build-for-test.js'
import { syntheticSource } from '../pyramid/synthetic-source.js'
import { errorLines, PAGE_FILES, startTestApp, type TestApp } from './test-app.js'

const LEGACY = fileURLToPath(new URL('../fixtures/pyme-pyramids/legacy_schema_A1first4_t128', import.meta.url))
const EDGE = 128
const PIXELS = EDGE * EDGE
const FRAME = { width: 380, height: 300 }
const FIRST_PLANE = { channel: 0, zPlane: 0, timePoint: 0 }
/** z of the level of full resolution: 1020 px are 8 tiles, so there are levels of 8, 4, 2 and 1. */
const FINEST = 3

/** Two channels; the first one has a second frame further to the right. */
const FRAMES = [
  { xUm: 0, yUm: 0, channel: 0 },
  { xUm: 0, yUm: 0, channel: 1 },
  { xUm: 640, yUm: 0, channel: 0 },
]

const sample = (frame: number, x: number, y: number): number => ((x * 3 + y * 5) % 200) + 300 * (frame % 2)

async function buildTwoChannels(folder: string): Promise<string> {
  const path = join(folder, 'two_channels')
  await build([syntheticSource({ frames: FRAMES, frameSize: FRAME, sample })], path, { tileSize: EDGE })
  return path
}

interface Served extends TestApp {
  readonly path: string
  /** Answer to a path below the pyramid's. */
  get(url: string, headers?: Record<string, string>): Promise<Awaited<ReturnType<TestApp['app']['inject']>>>
}

async function serveTwoChannels(t: Test): Promise<Served> {
  const folder = t.testdir({ page: PAGE_FILES })
  const path = await buildTwoChannels(folder)
  const server = await startTestApp(t, { pyramids: [path] })
  const [{ id }] = (await server.app.inject('/pyramids')).json().pyramids
  const get: Served['get'] = (url, headers = {}) => server.app.inject({ url: `/pyramids/${id}${url}`, headers })
  return { ...server, path, get }
}

/** RGBA of each pixel. */
async function rgbaOf(picture: Buffer): Promise<Uint8Array> {
  return sharp(picture).toColourspace('srgb').ensureAlpha().raw().toBuffer()
}

const samplesOf = (bytes: Buffer): Uint16Array =>
  new Uint16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + 2 * PIXELS))

t.test('a picture of several channels is the sum of their colours, and clear where none is covered', async t => {
  const server = await serveTwoChannels(t)
  const { get } = server
  const look = 'channel=0,1&min=0,300&max=200,500&lut=ff0000,00ff80'
  const tile = `/tiles/${FINEST}/2/1`
  const [first, second] = await Promise.all([0, 1].map(channel => get(`${tile}.bin?channel=${channel}`)))
  const covered = first.rawPayload.subarray(2 * PIXELS)
  t.equal(covered.length, PIXELS, 'the frames end in this tile')
  const rgba = await rgbaOf((await get(`${tile}.png?${look}`)).rawPayload)
  const [reds, greens] = [samplesOf(first.rawPayload), samplesOf(second.rawPayload)]
  let wrong = 0
  for (let i = 0; i < PIXELS; i++) {
    const step = (value: number): number => Math.round((255 * Math.min(200, Math.max(0, value))) / 200)
    const green = step(greens[i] - 300)
    const colours = [step(reds[i]), green, Math.round((green * 128) / 255)]
    const isShown = colours.every((value, channel) => Math.abs(value - rgba[4 * i + channel]) <= 1)
    if (rgba[4 * i + 3] !== 255 * covered[i] || (covered[i] === 1 && !isShown)) wrong++
  }
  t.equal(wrong, 0)

  const onlyFirst = `/tiles/${FINEST}/5/0`
  t.equal((await get(`${onlyFirst}.bin?channel=1`)).statusCode, 204)
  const both = await rgbaOf((await get(`${onlyFirst}.png?${look}`)).rawPayload)
  t.ok(
    both.some((value, i) => i % 4 === 0 && value > 1),
    'one covered channel is shown',
  )
  t.same(errorLines(server), [])
})

t.test('PNG, WebP and JPEG show the same picture; only JPEG has a background where nothing is', async t => {
  const { get, app } = await serveTwoChannels(t)
  const look = 'min=0&max=200&lut=viridis'
  const tile = `/tiles/${FINEST}/1/1`
  const png = await rgbaOf((await get(`${tile}.png?${look}`)).rawPayload)
  for (const [extension, type] of [
    ['webp', 'image/webp'],
    ['jpg', 'image/jpeg'],
  ]) {
    const reply = await get(`${tile}.${extension}?${look}&quality=95`)
    t.match([reply.statusCode, reply.headers['content-type']], [200, type])
    const rgba = await rgbaOf(reply.rawPayload)
    const apart = rgba.reduce((sum, value, i) => sum + Math.abs(value - png[i]), 0) / rgba.length
    t.ok(rgba.length === png.length && apart < 8, `${extension} is ${apart} apart`)
    const rough = await get(`${tile}.${extension}?${look}&quality=5`)
    t.ok(rough.rawPayload.length < reply.rawPayload.length, 'quality has an effect')
    t.equal((await app.inject(`/tiles/${FINEST}/1/1.${extension}`)).headers['content-type'], type, 'current as well')
  }
  const nothing = `/tiles/${FINEST}/3/2`
  for (const [file, expected] of [
    ['.png', [0, 0, 0, 0]],
    ['.webp', [0, 0, 0, 0]],
    ['.jpg', [0, 0, 0, 255]],
    ['.jpg?background=ffffff', [255, 255, 255, 255]],
    ['.png?background=0080ff', [0, 128, 255, 255]],
  ] as const) {
    const rgba = await rgbaOf((await get(nothing + file)).rawPayload)
    const [, , , alpha] = rgba
    // What is clear has no colour.
    t.same(alpha === 0 ? [0, 0, 0, 0] : [...rgba.subarray(0, 4)], expected, file)
    t.equal(rgba.length, 4 * PIXELS)
  }
})

t.test('.blosc is the stored chunk, which Zarr readers and we decode to the samples of .bin', async t => {
  const server = await serveTwoChannels(t)
  const { get, path } = server
  const codec = (await registry.get('blosc')?.())?.fromConfig(
    { cname: 'lz4', clevel: 5, shuffle: 'shuffle', typesize: 2, blocksize: 0 },
    {} as never,
  )
  const pyramid = await openPyramid(path)
  t.teardown(() => pyramid.close())
  for (const { column, row } of presentTiles(pyramid.coverage(FIRST_PLANE), pyramid.geometry, 0)) {
    const tile = `/tiles/${FINEST}/${column}/${row}`
    const [chunk, bin] = [await get(`${tile}.blosc`), await get(`${tile}.bin`)]
    t.match(chunk.headers, { 'content-type': 'application/octet-stream', etag: /blosc/ })
    const samples = bin.rawPayload.subarray(0, 2 * PIXELS)
    const decoded = (await codec?.decode(new Uint8Array(chunk.rawPayload) as never)) as unknown as Uint8Array
    t.ok(samples.equals(decoded), `${tile} by c-blosc`)
    t.ok(samples.equals(decodeBlosc(chunk.rawPayload, 2 * PIXELS, 2, 'a tile')), `${tile} by us`)
  }
  t.equal((await get(`/tiles/${FINEST}/3/2.blosc`)).statusCode, 204)
  t.equal((await get(`/tiles/${FINEST}/8/0.blosc`)).statusCode, 404)
  t.equal((await server.app.inject(`/tiles/${FINEST}/0/0.blosc`)).statusCode, 404, 'not of whatever is current')

  const shard = join(path, '0/c/0/0/0/0/0')
  const bytes = await readFile(shard)
  bytes[40] ^= 1
  await writeFile(shard, bytes)
  const damaged = await get(`/tiles/${FINEST}/0/0.blosc`)
  t.match([damaged.statusCode, damaged.json().code], [422, 'CORRUPT_DATA'])
})

t.test('.blosc of a pyramid that is stored otherwise is made', async t => {
  t.testdir({ page: PAGE_FILES })
  const { app } = await startTestApp(t, { pyramids: [LEGACY] })
  const [{ id }] = (await app.inject('/pyramids')).json().pyramids
  const [chunk, bin] = await Promise.all(
    ['blosc', 'bin'].map(async extension => (await app.inject(`/pyramids/${id}/tiles/2/1/0.${extension}`)).rawPayload),
  )
  t.ok(bin.subarray(0, 4 * PIXELS).equals(decodeBlosc(chunk, 4 * PIXELS, 4, 'a tile')))
})

t.test('a tile that is asked for again is answered alike, and no request gets the headers of another', async t => {
  const { get } = await serveTwoChannels(t)
  const { version } = (await get('')).json()
  for (const file of [
    '/tiles/3/0/0.png',
    '/tiles/3/3/2.png',
    `/tiles/3/0/0.jpg?v=${version}`,
    '/tiles/3/0/0.png?v=a.4',
  ]) {
    const asked = await get(file, { origin: 'http://localhost:8888' })
    t.equal(asked.headers['access-control-allow-origin'], 'http://localhost:8888')
    const again = await get(file)
    t.equal(again.headers['access-control-allow-origin'], undefined)
    for (const name of ['etag', 'cache-control', 'content-type', 'content-length'])
      t.equal(again.headers[name], asked.headers[name], `${file} ${name}`)
    t.ok(again.rawPayload.equals(asked.rawPayload))
    const { etag } = again.headers
    const unchanged = await get(file, { 'if-none-match': String(etag) })
    t.equal(unchanged.statusCode, etag === undefined ? 200 : 304)
    if (etag !== undefined) t.equal(unchanged.rawPayload.length, 0)
  }
})

t.test('TileJSON leads to the tiles, in the look that was asked for', async t => {
  const { get, app } = await serveTwoChannels(t)
  const { id, version } = (await get('')).json()
  const reply = await get('/tilejson.json?format=webp&channel=0,1&lut=ff0000,00ff00&unknown=1', {
    host: 'localhost:81',
  })
  const tileJson = reply.json()
  const start = `http://localhost:81/pyramids/${id}/tiles/`
  t.match(tileJson, {
    tilejson: '3.0.0',
    name: 'two_channels',
    scheme: 'xyz',
    minzoom: 0,
    maxzoom: FINEST,
    tiles: [`${start}{z}/{x}/{y}.webp?channel=0%2C1&lut=ff0000%2C00ff00&v=${version}`],
    tilestage: { id, version, tileSize: EDGE, width: 1020, height: 300, pixelSizeUm: { x: 1, y: 1 } },
  })
  const [west, south, east, north] = tileJson.bounds
  // The world is 8 tiles of 128 px wide; its upper edge lies at 85.05° north.
  t.ok(west === -180 && Math.abs(east - (360 * (1020 / 1024) - 180)) < 1e-9)
  t.ok(Math.abs(north - 85.0511287798) < 1e-9 && south < north && south > 0)
  const url = tileJson.tiles[0].replace('{z}', '3').replace('{x}', '0').replace('{y}', '0')
  const tile = await app.inject(url.slice('http://localhost:81'.length))
  t.match(tile.headers, { 'content-type': 'image/webp', 'cache-control': /immutable/ })
  for (const wrong of ['format=gif', 'min=5&max=1', 'lut=pink'])
    t.equal((await get(`/tilejson.json?${wrong}`)).statusCode, 400, wrong)
})

/** A pyramid that counts how often a tile is read. */
async function countReads(path: string): Promise<{ readonly pyramid: Pyramid; readonly reads: { count: number } }> {
  const pyramid = await openPyramid(path)
  const reads = { count: 0 }
  const readTile = pyramid.readTile.bind(pyramid)
  pyramid.readTile = (...wanted) => {
    reads.count++
    return readTile(...wanted)
  }
  return { pyramid, reads }
}

const patience = (): AbortSignal => new AbortController().signal

t.test('samples are read once, whoever asks for them and how often', async t => {
  const { pyramid, reads } = await countReads(await buildTwoChannels(t.testdir()))
  t.teardown(() => pyramid.close())
  const tiles = new DecodedTiles(new ByteStore(1e7))
  const address = { level: 0, column: 2, row: 1 }
  const read = () => tiles.read(pyramid, FIRST_PLANE, address, patience())
  const all = await Promise.all(Array.from({ length: 30 }, read))
  const [tile] = all
  t.ok(all.every(one => one === tile) && (await read()) === tile)
  t.equal(reads.count, 1)
  t.ok(tile?.mask)
  if (tile?.mask) t.ok(tile.bytes.equals(Buffer.concat([bytesOfSamples(tile.plane.samples), tile.mask])))
  t.equal(await tiles.read(pyramid, FIRST_PLANE, { level: 0, column: 3, row: 2 }, patience()), undefined)
})

t.test('samples and pictures together keep to one bound', async t => {
  const { pyramid } = await countReads(await buildTwoChannels(t.testdir()))
  t.teardown(() => pyramid.close())
  const store = new ByteStore(300_000)
  const [tiles, cache] = [new DecodedTiles(store), new TileCache(store)]
  for (let round = 0; round < 3; round++) {
    for (const address of presentTiles(pyramid.coverage(FIRST_PLANE), pyramid.geometry, 0)) {
      await tiles.read(pyramid, FIRST_PLANE, address, patience())
      const size = 10 ** (address.column % 6)
      await cache.getOrCompute(
        `tile/${round}/${address.column}/${address.row}`,
        async () => Buffer.alloc(size),
        patience(),
      )
      if (store.bytes > 300_000) t.fail(`${store.bytes} bytes are kept`)
    }
  }
  t.ok(store.bytes > 200_000, 'and use it')
})

t.test('ten thousand requests that are given up at once leave nothing behind', async t => {
  const { pyramid, reads } = await countReads(await buildTwoChannels(t.testdir()))
  t.teardown(() => pyramid.close())
  const store = new ByteStore(1e7)
  const [tiles, cache] = [new DecodedTiles(store), new TileCache(store)]
  const addresses = presentTiles(pyramid.coverage(FIRST_PLANE), pyramid.geometry, 0)
  const draw = (i: number, signal: AbortSignal): Promise<Buffer> =>
    cache.getOrCompute(
      `tile/${i}`,
      async unwanted => (await tiles.read(pyramid, FIRST_PLANE, addresses[i % addresses.length], unwanted))!.bytes,
      signal,
    )
  const clients = Array.from({ length: 10_000 }, () => new AbortController())
  const drawn = Promise.allSettled(clients.map(({ signal }, i) => draw(i, signal)))
  for (const client of clients) client.abort()
  t.ok((await drawn).every(({ status }) => status === 'rejected'))
  t.equal(cache.pending, 0)
  t.equal(tiles.pending, 0)
  t.ok(reads.count <= 16, `${reads.count} reads had begun`)
  const later = await Promise.all(addresses.map((_, i) => draw(i, patience())))
  t.ok(
    later.every(bytes => bytes.length >= 2 * PIXELS),
    'and all can be drawn then',
  )
  t.equal(cache.pending + tiles.pending, 0)
})

t.test('no more files stay open than are allowed, and those that are read are not closed under the reader', async t => {
  const folder = t.testdir()
  const shape = { tileSize: 128, sampleType: 'uint8' } as const
  const names = ['a', 'b', 'c', 'd'].map(name => join(folder, name))
  for (const [i, name] of names.entries())
    await writeFile(
      name,
      encodeShard(Array.from({ length: 256 }, (_, k) => (k === 0 ? new Uint8Array(PIXELS).fill(i) : undefined))),
    )
  const shards = new OpenShards(2, [])
  const opened: OpenShard[] = []
  const version = {}
  const read = (name: string, version: object): Promise<number | undefined> =>
    shards.read(
      name,
      version,
      async () => {
        const shard = await OpenShard.open(name, shape)
        opened.push(shard)
        return shard
      },
      async shard => (await shard.readTile(0))?.[0],
    )
  for (let round = 0; round < 3; round++)
    t.same(await Promise.all(names.map(name => read(name, version))), [0, 1, 2, 3])
  t.equal(opened.filter(shard => !shard.isClosed).length, 2)
  const before = opened.length
  t.equal(await read(names[3], version), 3)
  t.equal(opened.length, before, 'an open one is used again')
  t.equal(await read(names[3], {}), 3)
  t.equal(opened.length, before + 1, 'but not for another version of the file')
  await t.rejects(read(join(folder, 'none'), version), /does not exist/)
  await (await open(join(folder, 'none'), 'w')).close()
  await t.rejects(read(join(folder, 'none'), version), /is cut off/, 'a failure is not kept')
  shards.closeBelow(folder)
  await new Promise(resolve => setImmediate(resolve))
  t.ok(opened.every(shard => shard.isClosed))
})
