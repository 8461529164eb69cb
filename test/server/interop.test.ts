import { once } from 'node:events'
import { readdir, readFile, readlink, rename, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { get, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { FetchStore } from '@zarrita/storage'
import type { InjectOptions, Response } from 'light-my-request'
import sharp from 'sharp'
import t, { type Test } from 'tap'
import * as zarr from 'zarrita'
import type { Rect, Size } from '../../src/plane.js'
import type { Pyramid } from '../../src/pyramid/pyramid.js'
import { ShardJournal } from '../../src/pyramid/shard-journal.js'
import { lastHalving } from '../../src/server/interop/halved-tile.js'
import { build } from '../engine/build-for-test.js'
import { FIRST_PLANE, GrowingPlate } from '../pyramid/growing-plate.js'
import { type SyntheticFrame, syntheticSource } from '../pyramid/synthetic-source.js'
import { writePymePyramid } from '../pyramid/write-pyme-pyramid.js'
import { errorLines, PAGE_FILES, startTestApp, type TestApp } from './test-app.js'

const FRAME: Size = { width: 300, height: 200 }
const SIZE: Size = { width: 860, height: 600 }
const TILE = 128

/** Two channels of 3 × 3 frames; of the second one, the frame in the middle is missing. */
const FRAMES: readonly (SyntheticFrame & { channel: number })[] = [0, 1].flatMap(channel =>
  [0, 280, 560].flatMap(xUm =>
    [0, 200, 400].filter(yUm => channel === 0 || xUm !== 280 || yUm !== 200).map(yUm => ({ xUm, yUm, channel })),
  ),
)

/** No two neighbours are alike, nor two corners. */
function sampleAt(x: number, y: number, channel: number): number {
  return (x * 31 + y * 17 + ((x * y) >> 5) + channel * 500) % 3000
}

/** Black, white: a look whose greys are the same wherever they are looked at. */
const LOOK = 'min=0&max=3000'

interface Interop extends TestApp {
  readonly pyramid: Pyramid
  readonly path: string
  ask(url: string, options?: InjectOptions): Promise<Response>
}

async function buildPlate(path: string, settings: Parameters<typeof build>[2] = {}): Promise<void> {
  const frames = FRAMES.map(frame => ({ ...frame }))
  const source = syntheticSource({
    url: `/data/${path.split('/').at(-1)}`,
    frames,
    frameSize: FRAME,
    sample: (frame, x, y) => sampleAt(frames[frame].xUm + x, frames[frame].yUm + y, frames[frame].channel),
  })
  await build([source], path, { blend: 'last', tileSize: TILE, ...settings }, { overwrite: true })
}

async function serve(t: Test): Promise<Interop> {
  const path = join(t.testdir({ page: PAGE_FILES }), 'plate')
  await buildPlate(path)
  const server = await startTestApp(t, { pyramids: [path] })
  const [{ pyramid }] = server.registry.list()
  const ask: Interop['ask'] = (url, options) =>
    server.app.inject({ url: url.replace('$ID', pyramid.id), ...options }) as Promise<Response>
  return { ...server, pyramid, path, ask }
}

/** Red, green, blue and alpha of every pixel; all 0 where it is transparent. */
interface Pixels extends Size {
  readonly rgba: Buffer
}

async function pixelsOf({ rawPayload, statusCode, payload }: Response): Promise<Pixels> {
  if (statusCode !== 200) throw new Error(`${statusCode} ${payload}`)
  const { data, info } = await sharp(rawPayload)
    .ensureAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true })
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 0) data.fill(0, i, i + 4)
  return { width: info.width, height: info.height, rgba: data }
}

function cutOut({ width, rgba }: Pixels, { x0, y0, x1, y1 }: Rect): Pixels {
  const out = Buffer.alloc(4 * (x1 - x0) * (y1 - y0))
  for (let y = y0; y < y1; y++) rgba.copy(out, 4 * (x1 - x0) * (y - y0), 4 * (y * width + x0), 4 * (y * width + x1))
  return { width: x1 - x0, height: y1 - y0, rgba: out }
}

/** Mirror left to right, then turn clockwise a quarter at a time, pixel by pixel. */
function turn(pixels: Pixels, isMirrored: boolean, quarters: number): Pixels {
  const moved = (size: Size, from: Pixels, place: (x: number, y: number) => [number, number]): Pixels => {
    const rgba = Buffer.alloc(from.rgba.length)
    for (let y = 0; y < size.height; y++) {
      for (let x = 0; x < size.width; x++) {
        const [fromX, fromY] = place(x, y)
        const at = 4 * (fromY * from.width + fromX)
        from.rgba.copy(rgba, 4 * (y * size.width + x), at, at + 4)
      }
    }
    return { ...size, rgba }
  }
  const { width, height } = pixels
  let turned = isMirrored ? moved({ width, height }, pixels, (x, y) => [width - 1 - x, y]) : pixels
  for (let i = 0; i < quarters; i++) {
    const from = turned
    turned = moved({ width: from.height, height: from.width }, from, (x, y) => [y, from.height - 1 - x])
  }
  return turned
}

const isSame = (a: Pixels, b: Pixels): boolean => a.width === b.width && a.height === b.height && a.rgba.equals(b.rgba)

/** For tests that change nothing. */
const server = await serve(t)
const { ask, pyramid } = server

t.test('a Deep Zoom Image is the mosaic: every tile is the part of its level that it stands for', async t => {
  const description = await ask('/pyramids/$ID.dzi?format=webp&lut=viridis')
  t.equal(description.headers['content-type'], 'application/xml; charset=utf-8')
  t.match(description.payload, /TileSize="128" Overlap="0" Format="webp">\s*<Size Width="860" Height="600"\/>/)
  t.equal((await ask('/pyramids/$ID.dzi?format=gif')).statusCode, 400)
  t.equal((await ask('/pyramids/$ID.dzi?lut=rainbow')).statusCode, 400)

  const last = 10
  t.equal(lastHalving(pyramid.geometry.size), last)
  const look = `${LOOK}&channel=1`
  for (let level = last; level >= 0; level--) {
    const scale = 2 ** (last - level)
    const [width, height] = [Math.ceil(SIZE.width / scale), Math.ceil(SIZE.height / scale)]
    const stored = Math.min(last - level, pyramid.geometry.levelCount - 1)
    const whole = `x=0&y=0&w=${width * scale}&h=${height * scale}&units=px`
    const size = stored === last - level ? `level=${stored}` : `width=${width}&height=${height}`
    const truth = await pixelsOf(await ask(`/pyramids/$ID/crop.png?${whole}&${size}&${look}`))
    t.same([truth.width, truth.height], [width, height])
    for (let row = 0; row * TILE < height; row++) {
      for (let column = 0; column * TILE < width; column++) {
        const tile = await pixelsOf(await ask(`/pyramids/$ID_files/${level}/${column}_${row}.png?${look}`))
        const [x0, y0] = [column * TILE, row * TILE]
        const rect = { x0, y0, x1: Math.min(width, x0 + TILE), y1: Math.min(height, y0 + TILE) }
        if (!isSame(tile, cutOut(truth, rect))) t.fail(`level ${level} ${column}_${row}`)
      }
    }
  }
  const full = await pixelsOf(await ask(`/pyramids/$ID_files/10/0_0.png?${LOOK}`))
  for (const [x, y] of [
    [0, 0],
    [127, 3],
    [40, 100],
  ])
    t.equal(full.rgba[4 * (y * TILE + x)], Math.round((sampleAt(x, y, 0) / 3000) * 255), 'and as the camera saw it')

  const whole = await ask(`/pyramids/$ID_files/10/1_1.jpg?${LOOK}&v=${pyramid.version}`)
  t.match(whole.headers, { 'content-type': 'image/jpeg', 'cache-control': 'public, max-age=31536000, immutable' })
  const edge = await ask(`/pyramids/$ID_files/10/6_4.webp?${LOOK}`)
  t.equal(edge.headers['cache-control'], 'no-cache')
  const again = await ask(`/pyramids/$ID_files/10/6_4.webp?${LOOK}`, {
    headers: { 'if-none-match': edge.headers.etag },
  })
  t.equal(again.statusCode, 304)
  const xyz = await ask(`/pyramids/$ID/tiles/3/1/1.png?${LOOK}`)
  t.equal((await ask(`/pyramids/$ID_files/10/1_1.png?${LOOK}`)).headers.etag, xyz.headers.etag, 'one tile, one ETag')
  for (const file of [
    '11/0_0.png',
    '10/7_0.png',
    '10/0_5.png',
    '0/1_0.png',
    '10/0_0.bin',
    '10/0_0',
    '-1/0_0.png',
    'x/0_0.png',
    '10/a_b.png',
    '10/0_0_0.png',
  ])
    t.equal((await ask(`/pyramids/$ID_files/${file}`)).statusCode, 404, file)
  t.equal((await ask('/pyramids/other_files/0/0_0.png')).statusCode, 404)
  t.equal((await ask('/pyramids/other.dzi')).statusCode, 404)
  t.equal((await ask('/pyramids/$ID.dzi', { method: 'POST' })).statusCode, 405)
  t.same(errorLines(server), [])
})

t.test('Deep Zoom tiles and IIIF images of a plate that grows show what is built by now', async t => {
  const plate = new GrowingPlate(join(t.testdir({ page: PAGE_FILES }), 'plate'), { columns: 1, rows: 1 })
  await plate.writePlan()
  const journal = await ShardJournal.open(plate.directory)
  t.teardown(() => journal.close())
  const server = await startTestApp(t, { pyramids: [plate.directory] })
  const [{ pyramid }] = server.registry.list()
  const ask = (url: string): Promise<Response> => server.app.inject(url.replace('$ID', pyramid.id)) as Promise<Response>
  const urls = [
    `/pyramids/$ID_files/11/0_0.png?${LOOK}`,
    `/pyramids/$ID_files/1/0_0.png?${LOOK}`,
    `/iiif/3/$ID/0,0,256,256/max/0/default.png?${LOOK}`,
    `/iiif/3/$ID/10,10,99,99/max/0/default.png?${LOOK}`,
  ]
  for (const url of urls) {
    const nothing = await ask(url)
    t.equal(nothing.headers['cache-control'], 'no-store')
    t.ok(
      (await pixelsOf(nothing)).rgba.every(value => value === 0),
      `nothing of ${url}`,
    )
  }
  journal.append(await plate.writeShard({ selection: FIRST_PLANE, level: 0, row: 0, column: 0 }))
  await pyramid.growth!.look()
  for (const url of urls) t.ok((await pixelsOf(await ask(url))).rgba.includes(255), `something of ${url}`)
  const xyz = await ask(`/pyramids/$ID/tiles/3/0/0.png?${LOOK}`)
  t.equal((await ask(urls[0])).headers.etag, xyz.headers.etag)
  t.equal((await ask('/pyramids/$ID/zarr/0/c/0/0/0/0/0')).statusCode, 200, 'and the OME-Zarr has its shard')
  t.equal((await ask('/pyramids/$ID/zarr/1/c/0/0/0/0/0')).statusCode, 404)
  t.same(errorLines(server), [])
})

/** Ask over a real connection. */
async function fetchFrom(
  server: Interop,
  key: string,
  options: { method?: string; headers?: Record<string, string> } = {},
): Promise<{ status: number; headers: Record<string, string>; bytes: Buffer }> {
  const reply = await fetch(await urlOf(server, key), options)
  const headers: Record<string, string> = {}
  reply.headers.forEach((value, name) => {
    headers[name] = value
  })
  return { status: reply.status, headers, bytes: Buffer.from(await reply.arrayBuffer()) }
}

async function urlOf({ app, pyramid }: Interop, key: string): Promise<string> {
  if (!app.server.listening) await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  return `http://127.0.0.1:${port}/pyramids/${pyramid.id}/zarr/${key}`
}

const SHARD = '0/c/0/0/0/0/0'

t.test('zarrita reads the OME-Zarr over HTTP, chunk by chunk, and finds the samples', async t => {
  for (const search of ['', `?v=${server.pyramid.version}`]) {
    for (const useSuffixRequest of [false, true]) {
      const asked: string[] = []
      const store = new FetchStore(`${await urlOf(server, '')}${search}`, {
        useSuffixRequest,
        fetch: wanted => {
          asked.push(`${wanted.method} ${wanted.headers.get('range') ?? 'whole'}`)
          return fetch(wanted)
        },
      })
      const root = await zarr.open(zarr.root(store), { kind: 'group' })
      t.match(root.attrs, { ome: { version: '0.5', multiscales: [{ datasets: [{ path: '0' }] }] } })
      const array = await zarr.open(root.resolve('0'), { kind: 'array' })
      t.same(array.shape, [1, 2, 1, SIZE.height, SIZE.width])
      asked.length = 0
      const part = await zarr.get(array, [0, 1, 0, zarr.slice(100, 180), zarr.slice(700, 860)])
      t.same(part.shape, [80, 160])
      const wrong = [...(part.data as Uint16Array)].findIndex(
        (sample, i) => sample !== sampleAt(700 + (i % 160), 100 + Math.floor(i / 160), 1),
      )
      t.equal(wrong, -1)
      t.notOk(asked.includes('GET whole'), 'no shard is read whole')
      t.equal(asked.includes('HEAD whole'), !useSuffixRequest)
    }
  }
  t.same(errorLines(server), [])
})

t.test('files of the OME-Zarr are answered whole and by range, with what caches and readers need', async t => {
  const server = await serve(t)
  const { path, pyramid } = server
  const file = await readFile(join(path, SHARD))
  const size = file.length
  const whole = await fetchFrom(server, SHARD)
  t.equal(whole.status, 200)
  t.ok(whole.bytes.equals(file))
  t.match(whole.headers, {
    'content-type': 'application/octet-stream',
    'content-length': String(size),
    'accept-ranges': 'bytes',
    'cache-control': 'no-cache',
    'last-modified': (await stat(join(path, SHARD))).mtime.toUTCString(),
  })
  const etag = whole.headers.etag
  const root = await fetchFrom(server, 'zarr.json')
  t.match(root.headers['content-type'], /^application\/json/)
  t.ok(root.bytes.equals(await readFile(join(path, 'zarr.json'))))

  const head = await fetchFrom(server, SHARD, { method: 'HEAD', headers: { range: 'bytes=0-3' } })
  t.equal(head.status, 200)
  t.match(head.headers, {
    'content-length': String(size),
    etag,
    'accept-ranges': 'bytes',
  })
  t.equal((await fetchFrom(server, '0/c/0/0/0/9/9', { method: 'HEAD' })).status, 404)

  const ranges: [asked: string, first: number, end: number][] = [
    ['bytes=0-0', 0, 1],
    ['bytes=10-99', 10, 100],
    ['bytes=10-', 10, size],
    [`bytes=${size - 1}-${size + 1000}`, size - 1, size],
    ['bytes=-20', size - 20, size],
    [`bytes=-${size + 5}`, 0, size],
    ['Bytes=5-6', 5, 7],
    [`bytes=0-${'9'.repeat(400)}`, 0, size],
  ]
  for (const [range, first, end] of ranges) {
    const part = await fetchFrom(server, SHARD, { headers: { range } })
    t.equal(part.status, 206, range)
    t.equal(part.headers['content-range'], `bytes ${first}-${end - 1}/${size}`)
    t.equal(part.headers['content-length'], String(end - first))
    t.ok(part.bytes.equals(file.subarray(first, end)), range)
  }
  for (const range of [`bytes=${size}-`, `bytes=${size + 1}-${size + 2}`, 'bytes=-0', `bytes=${'9'.repeat(400)}-`]) {
    const beyond = await fetchFrom(server, SHARD, { headers: { range } })
    t.equal(beyond.status, 416, range)
    t.equal(beyond.headers['content-range'], `bytes */${size}`)
    t.equal(beyond.headers['cache-control'], 'no-store')
    t.equal(JSON.parse(beyond.bytes.toString()).code, 'RANGE_NOT_SATISFIABLE')
  }
  for (const range of ['bytes=0-1,5-6', 'bytes=-', 'bytes=9-3', 'lines=0-1', 'bytes=a-b', 'bytes 0-1', '0-1'])
    t.equal((await fetchFrom(server, SHARD, { headers: { range } })).status, 200, `${range} asks for all of it`)
  const range = 'bytes=0-9'
  t.equal((await fetchFrom(server, SHARD, { headers: { range, 'if-range': etag } })).status, 206)
  t.equal((await fetchFrom(server, SHARD, { headers: { range, 'if-range': '"another"' } })).status, 200)
  t.equal((await fetchFrom(server, SHARD, { headers: { range, 'if-none-match': etag } })).status, 304)

  const named = await fetchFrom(server, `${SHARD}?v=${pyramid.version}`)
  t.equal(named.headers['cache-control'], 'public, max-age=31536000, immutable')
  t.equal((await fetchFrom(server, `${SHARD}?v=00000000.4`)).headers['cache-control'], 'no-store')
  await buildPlate(path, { tileSize: 256 })
  t.equal((await fetchFrom(server, `${SHARD}?v=${pyramid.version}`)).status, 410, 'overwritten a moment ago')
  t.not((await fetchFrom(server, SHARD)).headers.etag, etag)
  t.same(errorLines(server), [])
  await rename(path, `${path}.old`)
  t.equal((await fetchFrom(server, SHARD)).status, 503, 'a folder that is away for a moment is not empty')
})

t.test('nothing but the files of an OME-Zarr is handed out, and nothing from outside of it', async t => {
  const server = await serve(t)
  const { path, ask } = server
  await writeFile(join(path, '..', 'secret'), 'secret')
  await writeFile(join(path, 'notes.txt'), 'secret')
  await symlink(join(path, '..', 'secret'), join(path, '0/c/0/0/0/0/7'))
  await symlink(join(path, '..'), join(path, '9'))
  await writeFile(join(path, '..', 'zarr.json'), 'secret')
  await symlink('0', join(path, '0/c/0/0/0/0/8'))
  const keys = [
    '',
    '.',
    'tilestage/placement.json',
    'tilestage/report.json',
    'notes.txt',
    '../secret',
    '..%2fsecret',
    '%2e%2e/secret',
    '..%5csecret',
    '0%2f..%2fzarr.json',
    '0/c/0/0/0/0/0%2f..%2f1',
    '/etc/passwd',
    '%2fetc%2fpasswd',
    'zarr.json%00',
    'zarr.json/',
    '/zarr.json',
    '0',
    '0/c',
    '0/c/0/0/0/0',
    '0/c/0/0/0/0/0/0',
    '0/c/0/0/0/0/00',
    '00/zarr.json',
    '0/c/0/0/0/0/-1',
    '0/c/0/0/0/0/9999999999',
    '0/zarr.json.tmp',
    '0/c/0/0/0/0/7',
    '9/zarr.json',
    '7/zarr.json',
    '0/c/0/0/0/0/5',
    '.zarray',
    '.zgroup',
    '.zattrs',
    '.zmetadata',
  ]
  for (const key of keys) {
    const reply = await ask(`/pyramids/$ID/zarr/${key}`)
    t.equal(reply.statusCode, 404, key)
    t.notMatch(reply.payload, /secret"|^secret/)
    t.notOk(reply.payload.includes(path), 'and no folder is told')
  }
  t.equal((await ask('/pyramids/$ID/zarr/0/c/0/0/0/0/8')).statusCode, 200, 'a link inside the folder is fine')
  t.equal((await ask('/pyramids/none/zarr/zarr.json')).statusCode, 404)
  for (const method of ['POST', 'PUT', 'DELETE'] as const) {
    const refused = await ask('/pyramids/$ID/zarr/zarr.json', { method })
    t.equal(refused.statusCode, 405)
    t.equal(refused.headers.allow, 'GET, HEAD, OPTIONS')
  }

  const pyme = join(path, '..', 'pyme')
  await writePymePyramid(pyme, { tileSize: 16, tiles: [[0, 0]], value: () => 1 })
  await server.registry.addNamed(pyme)
  const other = server.registry.list().find(({ pyramid }) => pyramid.name === 'pyme')!
  const reply = await ask(`/pyramids/${other.pyramid.id}/zarr/zarr.json`)
  t.equal(reply.statusCode, 404)
  t.match(reply.json().message, /pyme is a PYME pyramid, which is no OME-Zarr/)
  t.same(errorLines(server), [])
})

t.test('pages of other origins may read the OME-Zarr where they may read at all, ranges included', async t => {
  const url = `/pyramids/$ID/zarr/${SHARD}`
  const plain = await ask(url, { method: 'OPTIONS' })
  t.equal(plain.statusCode, 204)
  t.equal(plain.headers.allow, 'GET, HEAD, OPTIONS')
  const preflight = { origin: 'http://localhost:3000', 'access-control-request-method': 'GET' }
  const allowed = await ask(url, {
    method: 'OPTIONS',
    headers: { ...preflight, 'access-control-request-headers': 'range' },
  })
  t.equal(allowed.statusCode, 204)
  t.equal(allowed.headers['access-control-allow-origin'], 'http://localhost:3000')
  t.match(allowed.headers['access-control-allow-headers'], /\bRange\b/)
  const strange = await ask(url, { method: 'OPTIONS', headers: { ...preflight, origin: 'https://elsewhere.org' } })
  t.equal(strange.headers['access-control-allow-origin'], undefined)
  const read = await ask(url, { headers: { origin: 'http://localhost:3000', range: 'bytes=0-3' } })
  t.equal(read.statusCode, 206)
  t.equal(read.headers['access-control-allow-origin'], 'http://localhost:3000')
  for (const header of ['Content-Range', 'Content-Length', 'ETag', 'Accept-Ranges'])
    t.ok(String(read.headers['access-control-expose-headers']).split(', ').includes(header), header)
  for (const other of ['/pyramids/$ID.dzi', '/iiif/3/$ID/info.json', '/iiif/3/$ID/full/!9,9/0/default.png']) {
    const reply = await ask(other, { headers: { origin: 'http://localhost:3000' } })
    t.equal(reply.headers['access-control-allow-origin'], 'http://localhost:3000', other)
  }
})

t.test(
  'a file is read as fast as it is taken, closed when nobody wants it, and breaks off where it became shorter',
  async t => {
    const server = await serve(t)
    const path = join(server.path, '0/c/0/0/0/0/3')
    const begin = async (): Promise<IncomingMessage> => {
      await writeFile(path, '')
      await truncate(path, 2 ** 28)
      const [reply] = await once(get(await urlOf(server, '0/c/0/0/0/0/3')), 'response')
      await once(reply, 'readable')
      return reply
    }
    const isOpen = async (): Promise<boolean> => {
      const files = await readdir('/proc/self/fd').catch(() => [])
      const targets = await Promise.all(files.map(fd => readlink(`/proc/self/fd/${fd}`).catch(() => '')))
      return targets.includes(path)
    }
    const left = await begin()
    const memory = process.memoryUsage().rss
    await delay(200)
    t.ok(process.memoryUsage().rss - memory < 2 ** 26, 'it is not taken into memory')
    left.destroy()
    while (await isOpen()) await delay(10)

    const cut = await begin()
    await truncate(path, 2 ** 20)
    await t.rejects(
      (async () => {
        for await (const _ of cut);
      })(),
      { code: 'ECONNRESET' },
    )
    while (await isOpen()) await delay(10)
    const known = await fetchFrom(server, SHARD)
    await fetchFrom(server, SHARD, { method: 'HEAD' })
    await fetchFrom(server, SHARD, { headers: { 'if-none-match': known.headers.etag } })
    await fetchFrom(server, SHARD, { headers: { range: 'bytes=99999999999-' } })
    const fds = await readdir('/proc/self/fd').catch(() => [])
    const targets = await Promise.all(fds.map(fd => readlink(`/proc/self/fd/${fd}`).catch(() => '')))
    t.equal(targets.filter(target => target === join(server.path, SHARD)).length, 0, 'whatever the answer was')
  },
)

t.test('IIIF images are the regions, sizes, turns and qualities that their addresses say', async t => {
  const image = async (path: string, look = LOOK): Promise<Pixels> => pixelsOf(await ask(`/iiif/3/$ID/${path}?${look}`))
  const crop = async ({ x0, y0, x1, y1 }: Rect, size: Size, look = LOOK): Promise<Pixels> => {
    const place = `x=${x0}&y=${y0}&w=${x1 - x0}&h=${y1 - y0}&units=px&width=${size.width}&height=${size.height}`
    return pixelsOf(await ask(`/pyramids/$ID/crop.png?${place}&${look}`))
  }
  const { width, height } = SIZE
  const full = { x0: 0, y0: 0, x1: width, y1: height }
  const cases: [region: string, size: string, rect: Rect, width: number, height: number][] = [
    ['full', 'max', full, 860, 600],
    ['square', '300,', { x0: 130, y0: 0, x1: 730, y1: 600 }, 300, 300],
    ['10,20,300,200', 'max', { x0: 10, y0: 20, x1: 310, y1: 220 }, 300, 200],
    ['10,20,300,200', ',50', { x0: 10, y0: 20, x1: 310, y1: 220 }, 75, 50],
    ['10,20,300,200', 'pct:33.3', { x0: 10, y0: 20, x1: 310, y1: 220 }, 100, 67],
    ['10,20,300,200', '91,200', { x0: 10, y0: 20, x1: 310, y1: 220 }, 91, 200],
    ['10,20,300,200', '!100,100', { x0: 10, y0: 20, x1: 310, y1: 220 }, 100, 67],
    ['10,20,300,200', '!900,900', { x0: 10, y0: 20, x1: 310, y1: 220 }, 300, 200],
    ['10,20,30,20', '^!90,900', { x0: 10, y0: 20, x1: 40, y1: 40 }, 90, 60],
    ['10,20,30,20', '^90,20', { x0: 10, y0: 20, x1: 40, y1: 40 }, 90, 20],
    ['10,20,30,20', '^,40', { x0: 10, y0: 20, x1: 40, y1: 40 }, 60, 40],
    ['10,20,30,20', '^pct:250', { x0: 10, y0: 20, x1: 40, y1: 40 }, 75, 50],
    ['800,500,1000,1000', 'max', { x0: 800, y0: 500, x1: 860, y1: 600 }, 60, 100],
    ['pct:50,25,10,50', 'max', { x0: 430, y0: 150, x1: 516, y1: 450 }, 86, 300],
    ['pct:.5,0,100,1.5', 'max', { x0: 4, y0: 0, x1: 860, y1: 9 }, 856, 9],
  ]
  for (const [region, size, rect, w, h] of cases) {
    const found = await image(`${region}/${size}/0/default.png`)
    t.same([found.width, found.height], [w, h], `${region}/${size}`)
    t.ok(isSame(found, await crop(rect, { width: w, height: h })), `${region}/${size} is that crop`)
  }

  const part = await image('200,150,250,90/!125,125/0/default.png', `${LOOK}&channel=1`)
  for (const isMirrored of [false, true]) {
    for (const quarters of [0, 1, 2, 3]) {
      const rotation = `${isMirrored ? '!' : ''}${90 * quarters}`
      const found = await image(`200,150,250,90/!125,125/${rotation}/default.png`, `${LOOK}&channel=1`)
      t.ok(isSame(found, turn(part, isMirrored, quarters)), `rotation ${rotation}`)
    }
  }

  const grey = await image('full/200,/0/default.png')
  const coloured = await image('full/200,/0/color.png', `${LOOK}&lut=viridis`)
  t.notOk(isSame(coloured, grey))
  t.ok(isSame(await image('full/200,/0/default.png', `${LOOK}&lut=viridis`), coloured))
  t.ok(isSame(await image('full/200,/0/gray.png', `${LOOK}&lut=viridis`), grey))
  const greyTile = `/iiif/3/$ID/0,0,128,128/128,128/0/gray.png?${LOOK}&lut=viridis`
  t.ok(isSame(await pixelsOf(await ask(greyTile)), await image('0,0,128,128/max/0/default.png')))
  const bitonal = await image('full/200,/0/bitonal.png')
  const threshold = Buffer.from(grey.rgba.map((value, i) => (i % 4 === 3 ? value : value >= 128 ? 255 : 0)))
  t.ok(isSame(bitonal, { ...grey, rgba: threshold }))
  t.ok(isSame(await image('full/200,/90/bitonal.png'), turn({ ...grey, rgba: threshold }, false, 1)))

  for (const [file, type] of [
    ['default.jpg', 'image/jpeg'],
    ['default.webp', 'image/webp'],
    ['bitonal.jpg', 'image/jpeg'],
    ['bitonal.webp', 'image/webp'],
  ]) {
    const reply = await ask(`/iiif/3/$ID/full/!50,50/90/${file}?channel=1&v=${pyramid.version}`)
    t.equal(reply.headers['content-type'], type)
    t.equal(reply.headers['cache-control'], 'public, max-age=31536000, immutable')
    const { width, height, rgba } = await pixelsOf(reply)
    t.same([width, height], [35, 50])
    if (type === 'image/jpeg') t.ok(rgba[4 * (25 * 35 + 17)] < 16, 'what was not imaged is black')
  }
  t.same(errorLines(server), [])
})

t.test('IIIF viewers find out what there is, and get tiles as fast as tiles', async t => {
  const leading = await ask('/iiif/3/$ID')
  t.equal(leading.statusCode, 303)
  t.equal(leading.headers.location, `./${pyramid.id}/info.json`)
  const reply = await ask('/iiif/3/$ID/info.json', { headers: { host: 'localhost:8979' } })
  t.equal(reply.headers['content-type'], 'application/ld+json;profile="http://iiif.io/api/image/3/context.json"')
  t.equal(reply.headers['cache-control'], 'no-store')
  const info = reply.json()
  t.equal(Object.keys(info)[0], '@context')
  t.match(info, {
    '@context': 'http://iiif.io/api/image/3/context.json',
    id: `http://localhost:8979/iiif/3/${pyramid.id}`,
    type: 'ImageService3',
    protocol: 'http://iiif.io/api/image',
    profile: 'level2',
    ...SIZE,
    maxArea: 2 ** 26,
    tiles: [{ width: TILE, scaleFactors: [1, 2, 4, 8] }],
  })
  t.same(info.sizes, [
    { width: 108, height: 75 },
    { width: 215, height: 150 },
    { width: 430, height: 300 },
    { width: 860, height: 600 },
  ])
  for (const { width, height } of info.sizes)
    t.equal((await ask(`/iiif/3/$ID/full/${width},${height}/0/default.jpg`)).statusCode, 200)
  for (const accept of ['application/json', 'text/html,*/*;q=0.8'])
    t.equal((await ask('/iiif/3/$ID/info.json', { headers: { accept } })).headers['content-type'], 'application/json')

  const last = lastHalving(SIZE)
  for (const [level, scale] of info.tiles[0].scaleFactors.entries()) {
    const [columns, rows] = [Math.ceil(SIZE.width / scale / TILE), Math.ceil(SIZE.height / scale / TILE)]
    for (const [column, row] of [
      [0, 0],
      [columns - 1, rows - 1],
    ]) {
      const [x, y] = [column * TILE * scale, row * TILE * scale]
      const [w, h] = [Math.min(TILE * scale, SIZE.width - x), Math.min(TILE * scale, SIZE.height - y)]
      const region = `${x},${y},${w},${h}/${Math.ceil(w / scale)},${Math.ceil(h / scale)}`
      const tile = await ask(`/iiif/3/$ID/${region}/0/default.png?${LOOK}`)
      const zoomed = await ask(`/pyramids/$ID_files/${last - level}/${column}_${row}.png?${LOOK}`)
      t.equal(tile.headers.etag, zoomed.headers.etag, `scale ${scale}, tile ${column}, ${row}`)
      t.ok(tile.rawPayload.equals(zoomed.rawPayload))
    }
  }

  const look = ';channel=0,1;lut=ff0000,00ff00;min=0;max=3000'
  const dressed = (await ask(`/iiif/3/$ID${look}/info.json`)).json()
  t.match(dressed, {
    id: new RegExp(`/iiif/3/${pyramid.id};channel=0%2C1;lut=ff0000%2C00ff00;min=0;max=3000$`),
    maxArea: 2 ** 25,
  })
  const path = new URL(dressed.id).pathname
  const composite = await pixelsOf(await ask(`${path}/0,0,300,200/max/0/default.png`))
  const crop = `/pyramids/$ID/crop.png?x=0&y=0&w=300&h=200&units=px&channel=0,1&lut=ff0000,00ff00&min=0&max=3000`
  t.ok(isSame(composite, await pixelsOf(await ask(crop))))
  t.equal((await ask(`/iiif/3/$ID${look}`)).headers.location, `.${path.slice('/iiif/3'.length)}/info.json`)

  t.testdir({ page: PAGE_FILES })
  const proxied = await startTestApp(t, { pyramids: [server.path], app: { basePath: '/scope/' } })
  const below = await proxied.app.inject(`/scope/iiif/3/${pyramid.id}/info.json`)
  t.match(below.json().id, new RegExp(`/scope/iiif/3/${pyramid.id}$`))

  const kept = await ask('/iiif/3/$ID/1,1,9,9/max/0/default.png')
  t.equal(kept.headers['cache-control'], 'no-cache')
  const again = { headers: { 'if-none-match': kept.headers.etag } }
  t.equal((await ask('/iiif/3/$ID/1,1,9,9/max/0/default.png', again)).statusCode, 304)
  t.equal((await ask('/iiif/3/$ID/1,1,9,9/max/90/default.png', again)).statusCode, 200)
  t.same(errorLines(server), [])
})

t.test('what is no IIIF image is refused with a sentence that says what is possible', async t => {
  const wrong = [
    'all/max/0/default.png',
    '0,0,0,10/max/0/default.png',
    '860,0,10,10/max/0/default.png',
    '-1,0,10,10/max/0/default.png',
    '1.5,0,10,10/max/0/default.png',
    '0,0,10/max/0/default.png',
    '9999999999,0,1,1/max/0/default.png',
    'pct:100,0,10,10/max/0/default.png',
    'pct:0,0,0.01,10/max/0/default.png',
    'pct:1e1,0,1,1/max/0/default.png',
    'full/full/0/default.png',
    'full/861,/0/default.png',
    'full/,601/0/default.png',
    'full/860,601/0/default.png',
    'full/pct:101/0/default.png',
    'full/pct:0/0/default.png',
    'full/0,0/0/default.png',
    'full/0,/0/default.png',
    'full/,/0/default.png',
    'full/!10,/0/default.png',
    'full/!0,10/0/default.png',
    'full/^20000,/0/default.png',
    'full/^9000,9000/0/default.png',
    '0,0,860,1/100,/0/default.png',
    'full/max/45/default.png',
    'full/max/360/default.png',
    'full/max/!/default.png',
    'full/max/-90/default.png',
    'full/max/0/native.png',
    'full/max/0/default.tif',
    'full/max/0/default',
    'full/max/0/default.png?min=5&max=1',
  ]
  for (const path of wrong) {
    const reply = await ask(`/iiif/3/$ID/${path}`)
    t.equal(reply.statusCode, 400, path)
    t.match(reply.json(), { code: 'BAD_REQUEST', message: /\.$/ })
    t.equal(reply.headers['cache-control'], 'no-store')
  }
  t.equal((await ask('/iiif/3/$ID/full/!9,9/0/default.png?channel=2')).statusCode, 404)
  for (const path of ['none', 'none/info.json', 'none/full/max/0/default.png'])
    t.equal((await ask(`/iiif/3/${path}`)).statusCode, 404, path)
  for (const look of [';', ';lut', ';lut=', ';size=3', ';lut=magma;lut=viridis', ';__proto__=1'])
    t.equal((await ask(`/iiif/3/$ID${look}/info.json`)).statusCode, 400, look)
  t.same(errorLines(server), [])
})
