import { cp, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { Agent, get, type IncomingMessage } from 'node:http'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import fastify from 'fastify'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { CorruptDataError, NotFoundError, SourceUnavailableError, UsageError } from '../../src/errors.js'
import type { Plane } from '../../src/plane.js'
import { FrameCoverage } from '../../src/pyramid/coverage.js'
import { HistogramBuilder } from '../../src/pyramid/histogram.js'
import { openPyramid } from '../../src/pyramid/open-pyramid.js'
import type { Pyramid } from '../../src/pyramid/pyramid.js'
import { EventReplay } from '../../src/server/events/event-replay.js'
import { EventStream } from '../../src/server/events/event-stream.js'
import { sendError } from '../../src/server/http/error-replies.js'
import { startServer } from '../../src/server/serve.js'
import { GrowingPlate } from '../pyramid/growing-plate.js'
import { tileFile, writePymePyramid } from '../pyramid/write-pyme-pyramid.js'
import { listen } from './listen.js'
import { errorLines, PAGE_FILES, startTestApp, type TestApp } from './test-app.js'

const LEGACY = fileURLToPath(new URL('../fixtures/pyme-pyramids/legacy_schema_A1first4_t128', import.meta.url))

/** A root file is looked at once a second. */
const NEXT_LOOK_MS = 1100

const ONE_TILE = { tileSize: 16, tiles: [[0, 0]], value: () => 5 } as const

interface Observed extends Pyramid {
  reads: number
  closed: boolean
}

/** A pyramid of 2 × 1 tiles in memory, of which `readTile` can be anything. */
function memoryPyramid(
  path: string,
  readTile: Pyramid['readTile'] = async () => plainTile(),
  facts: Partial<Pyramid> = {},
): Observed {
  const geometry = {
    originUm: { x: 0, y: 0 },
    pixelSizeUm: { x: 1, y: 1 },
    size: { width: 32, height: 16 },
    tileSize: 16,
    levelCount: 2,
  }
  const coverage = new FrameCoverage(geometry, [{ x0: 0, y0: 0, x1: 32, y1: 16 }])
  const builder = new HistogramBuilder('uint8')
  builder.add(new Uint8Array([0, 200]))
  const pyramid: Observed = {
    id: path.slice(1),
    name: path.slice(1),
    path,
    format: 'test',
    version: '0123abcd.2',
    complete: true,
    geometry,
    sampleType: 'uint8',
    pedestal: 0,
    channels: [{ name: 'Channel 1', color: undefined }],
    zPlanes: 1,
    timePoints: 1,
    wells: [],
    frames: undefined,
    placement: undefined,
    coverage: () => coverage,
    framesAt: () => undefined,
    histogram: async () => builder.finish(),
    ...facts,
    reads: 0,
    closed: false,
    async readTile(...args) {
      pyramid.reads++
      return readTile(...args)
    },
    async close() {
      pyramid.closed = true
    },
  }
  return pyramid
}

function plainTile(): Plane {
  return { width: 16, height: 16, sampleType: 'uint8', samples: new Uint8Array(256).fill(100) }
}

/** Async, since a bare `inject` begins only when it is awaited. */
async function ask(server: TestApp, url: string) {
  return server.app.inject(url)
}

function setSource(server: TestApp, path: string) {
  return ask(server, `/set_tile_source?tile_dir=${encodeURIComponent(path)}`)
}

/** Only roots and file names of real folders are checked before a pyramid is opened, so any folder will do. */
async function folders(t: Test, names: readonly string[]): Promise<string> {
  const folder = t.testdir({ page: PAGE_FILES })
  for (const name of names) await mkdir(join(folder, name))
  return folder
}

t.test('open pages hear of every swap, every refusal, and a beat in between', async t => {
  const folder = await folders(t, ['a'])
  await writePymePyramid(join(folder, 'a'), ONE_TILE)
  const server = await startTestApp(t, { pyramids: [LEGACY] })
  const url = await server.app.listen({ host: '127.0.0.1', port: 0 })
  const page = listen(url)
  const next = async () => (await page.next()).value
  t.match(await next(), { name: 'source', data: { current: { name: 'legacy_schema_A1first4_t128' }, revision: 1 } })
  await setSource(server, join(folder, 'a'))
  t.match(await next(), { name: 'source', data: { current: { name: 'a' }, revision: 2 } })
  await setSource(server, join(folder, 'nothing'))
  t.match(await next(), {
    name: 'refused',
    data: { tileDir: join(folder, 'nothing'), message: /does not exist/, number: 1 },
  })
  t.match(await next(), { name: 'beat', id: /-2$/, data: {} })
  const late = listen(url)
  t.match((await late.next()).value, { name: 'source' })
  t.match(
    (await late.next()).value,
    { name: 'refused', data: { number: 1 } },
    'a page opened later sees the banner too',
  )
  await setSource(server, join(folder, 'a'))
  const { revision } = (await server.app.inject('/current')).json()
  t.equal(revision, 2, 'the same source again is no change')
  await late.return(undefined)
  await page.return(undefined)
})

t.test('a listener that does not read is dropped, the others are not', async t => {
  t.testdir({ page: PAGE_FILES })
  const server = await startTestApp(t)
  const url = await server.app.listen({ host: '127.0.0.1', port: 0 })
  const { host, hostname, port } = new URL(url)
  const sleeper = connect(Number(port), hostname)
  sleeper.write(`GET /events HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
  await new Promise(resolve => sleeper.once('readable', resolve))
  const page = listen(url)
  await page.next()
  const before = await new Promise<number>(resolve =>
    server.app.server.getConnections((_error, count) => resolve(count)),
  )
  let connections = before
  for (let i = 0; i < 5000 && connections === before; i++) {
    server.registry.refuse('x'.repeat(10_000), 'refused')
    await page.next()
    connections = await new Promise(resolve => server.app.server.getConnections((_error, count) => resolve(count)))
  }
  t.equal(connections, before - 1)
  sleeper.destroy()
  server.registry.refuse('last', 'refused')
  t.match((await page.next()).value, { name: 'refused' })
  await page.return(undefined)
})

t.test('more listeners than there may be are sent to /current', async t => {
  const app = fastify()
  const events = new EventStream(1)
  app.get('/events', (_request, reply) => events.connect(reply, [{ name: 'source', data: {} }]))
  app.setErrorHandler((error, request, reply) => sendError(error, request, reply))
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const first = listen(url)
  await first.next()
  const second = await fetch(`${url}/events`)
  t.equal(second.status, 503)
  t.match(await second.json(), { code: 'TOO_MANY_LISTENERS', message: /1 pages listen already/ })
  events.close()
  t.equal((await first.next()).done, true)
})

t.test('closing ends event streams, waits for tiles under way, then closes the pyramids', async t => {
  const folder = await folders(t, ['slow'])
  let release = (): void => undefined
  const begun = new Promise<void>(resolve => {
    release = resolve
  })
  let finish = (): void => undefined
  const finished = new Promise<void>(resolve => {
    finish = resolve
  })
  const pyramid = memoryPyramid('/slow', async () => {
    release()
    await finished
    t.notOk(pyramid.closed, 'open while it is read')
    return plainTile()
  })
  const server = await startTestApp(t, { pyramids: [join(folder, 'slow')], open: async () => pyramid })
  const url = await server.app.listen({ host: '127.0.0.1', port: 0 })
  const page = listen(url)
  await page.next()
  const tile = fetch(`${url}/tiles/0/0/0.png?min=0&max=200`)
  await begun
  const { port, hostname } = new URL(url)
  const unused = connect(Number(port), hostname)
  await new Promise(resolve => unused.once('connect', resolve))
  const closing = server.app.close()
  t.equal((await page.next()).done, true, 'the stream ends')
  await new Promise(resolve => unused.once('close', resolve))
  finish()
  t.equal((await tile).status, 200, 'the tile is still answered')
  await closing
  t.ok(pyramid.closed)
  await t.rejects(fetch(url), 'nobody listens any more')
})

t.test('thirty requests for the same tile read it once', async t => {
  const folder = await folders(t, ['a'])
  const pyramid = memoryPyramid('/a')
  const server = await startTestApp(t, { pyramids: [join(folder, 'a')], open: async () => pyramid })
  const url = '/pyramids/a/tiles/1/1/0.bin'
  const replies = await Promise.all(Array.from({ length: 30 }, () => ask(server, url)))
  t.ok(replies.every(({ statusCode, rawPayload }) => statusCode === 200 && rawPayload.length === 256))
  t.equal(pyramid.reads, 1)
  await server.app.inject(url)
  t.equal(pyramid.reads, 1, 'and it is kept')
  const views = ['?min=0&max=9', '?min=0&max=9.0', '?min=0&max=8'].map(view => url.replace('.bin', `.png${view}`))
  const tags = await Promise.all(views.map(async view => (await ask(server, view)).headers.etag))
  t.equal(pyramid.reads, 1, 'pictures are drawn of the same samples')
  t.equal(tags[0], tags[1], 'the same view written otherwise is the same tile')
  t.not(tags[0], tags[2])
})

t.test('a tile that cannot be read is an error each time, until it can', async t => {
  const folder = await folders(t, ['a'])
  const failures: Error[] = [
    new CorruptDataError('/a/c/0/0/0/0/1 is damaged: its checksum is wrong.'),
    new SourceUnavailableError('/a/c/0/0/0/0/1 cannot be read: the disk reports an input/output error.'),
    new NotFoundError('/a/c/0/0/0/0/1 does not exist.'),
    new TypeError('secret of /a'),
  ]
  const pyramid = memoryPyramid('/a', async () => {
    const failure = failures.shift()
    if (failure) throw failure
    return plainTile()
  })
  const server = await startTestApp(t, { pyramids: [join(folder, 'a')], open: async () => pyramid })
  const url = '/pyramids/a/tiles/1/1/0.png?v=0123abcd.2'
  for (const [status, code, message] of [
    [422, 'CORRUPT_DATA', 'a/c/0/0/0/0/1 is damaged: its checksum is wrong.'],
    [503, 'SOURCE_UNAVAILABLE', 'a/c/0/0/0/0/1 cannot be read: the disk reports an input/output error.'],
    [404, 'NOT_FOUND', 'a/c/0/0/0/0/1 does not exist.'],
    [500, 'INTERNAL_ERROR', 'Internal error.'],
  ] as const) {
    const reply = await server.app.inject(url)
    t.equal(reply.statusCode, status)
    t.same(reply.json(), { code, message })
    t.equal(reply.headers['cache-control'], 'no-store')
    t.notOk(reply.headers.etag)
    t.equal(reply.headers['retry-after'], status === 503 ? '5' : undefined)
  }
  t.equal((await server.app.inject(url)).statusCode, 200)
  t.equal(errorLines(server).length, 2, 'a line for each failure of ours, 503 and 500')
})

t.test('a damaged PYME tile is never a picture, and whole again as soon as its file is', async t => {
  const folder = await folders(t, ['plate'])
  const plate = join(folder, 'plate')
  await writePymePyramid(plate, {
    ...ONE_TILE,
    tiles: [
      [0, 0],
      [1, 0],
    ],
  })
  const server = await startTestApp(t, { pyramids: [plate] })
  const { id } = (await server.app.inject('/current')).json().current
  const file = tileFile(plate, 0, 1, 0)
  const whole = await readFile(file)
  await writeFile(file, whole.subarray(0, whole.length - 1))
  for (const url of [
    `/pyramids/${id}/tiles/1/1/0.png`,
    `/pyramids/${id}/tiles/1/1/0.bin`,
    '/get_tile?layer=0&x=1&y=0',
  ]) {
    const reply = await server.app.inject(url)
    t.equal(reply.statusCode, 422, url)
    t.match(
      reply.json(),
      { code: 'CORRUPT_DATA', message: /^plate.0.000.001.000_img\.pzf/ },
      'the path above the pyramid is not told',
    )
  }
  await writeFile(file, whole)
  t.equal((await server.app.inject(`/pyramids/${id}/tiles/1/1/0.png`)).statusCode, 200)
})

t.test('a tile nobody waits for any more is given up, and nothing is logged as an error', async t => {
  const folder = await folders(t, ['a'])
  let begin = (): void => undefined
  const begun = new Promise<void>(resolve => {
    begin = resolve
  })
  let sawAbort = (): void => undefined
  const aborted = new Promise<void>(resolve => {
    sawAbort = resolve
  })
  const pyramid = memoryPyramid('/a', async (_selection, _address, options) => {
    begin()
    await new Promise((_resolve, reject) =>
      options?.signal?.addEventListener('abort', () => reject(options.signal?.reason)),
    ).finally(sawAbort)
    return undefined
  })
  const server = await startTestApp(t, { pyramids: [join(folder, 'a')], open: async () => pyramid })
  const url = new URL(await server.app.listen({ host: '127.0.0.1', port: 0 }))
  const socket = connect(Number(url.port), url.hostname)
  socket.write(`GET /pyramids/a/tiles/1/1/0.bin HTTP/1.1\r\nHost: ${url.host}\r\n\r\n`)
  await begun
  socket.destroy()
  await aborted
  await delay(20)
  t.same(errorLines(server), [])
})

t.test('an overwritten pyramid keeps its id, gets a new version, and its old tiles are gone', async t => {
  const folder = await folders(t, ['plate'])
  const plate = join(folder, 'plate')
  await writePymePyramid(plate, ONE_TILE)
  const server = await startTestApp(t, { pyramids: [plate] })
  const page = listen(await server.app.listen({ host: '127.0.0.1', port: 0 }))
  await page.next()
  const before = (await server.app.inject('/current')).json().current
  const tile = (version: string) => server.app.inject(`/pyramids/${before.id}/tiles/1/0/0.bin?v=${version}`)
  t.equal((await tile(before.version)).rawPayload.readFloatLE(), 5)

  await writePymePyramid(plate, { ...ONE_TILE, value: () => 6, metadata: { 'Pyramid.x0': 1 } })
  let event = (await page.next()).value
  while (event?.name === 'beat') event = (await page.next()).value
  t.match(event, { name: 'source', data: { current: { id: before.id }, revision: 2 } }, 'open pages hear of it unasked')
  const after = (await server.app.inject('/current')).json().current
  t.not(after.version, before.version)
  t.match([(await tile(before.version)).statusCode, (await tile(before.version)).json().code], [410, 'GONE'])
  t.equal((await tile(after.version)).rawPayload.readFloatLE(), 6)
  t.match((await server.app.inject(`/pyramids/${before.id}`)).json(), { version: after.version, originUm: { x: 1 } })

  await writeFile(join(plate, 'metadata.json'), '{"Pyramid.TileSize": ')
  await delay(NEXT_LOOK_MS)
  t.equal((await tile(after.version)).statusCode, 200, 'half-written metadata leaves the old version open')
  await delay(NEXT_LOOK_MS)
  await tile(after.version)
  t.equal(server.log.filter(({ msg }) => msg === 'changed pyramid not opened').length, 1, 'which is logged once')
  await writePymePyramid(plate, { ...ONE_TILE, value: () => 7, metadata: { 'Pyramid.x0': 2 } })
  await delay(NEXT_LOOK_MS)
  t.equal((await tile(after.version)).statusCode, 410)
  t.equal((await tile('')).statusCode, 400)
  await page.return(undefined)
})

t.test('a PYME tile that is read right after its pyramid was overwritten is of the new version', async t => {
  const folder = await folders(t, ['plate'])
  const plate = join(folder, 'plate')
  await writePymePyramid(plate, ONE_TILE)
  const server = await startTestApp(t, { pyramids: [plate] })
  const { id, version } = (await server.app.inject('/current')).json().current
  await writePymePyramid(plate, { ...ONE_TILE, value: () => 6, metadata: { 'Pyramid.x0': 1 } })
  t.equal((await ask(server, `/pyramids/${id}/tiles/1/0/0.bin?v=${version}`)).statusCode, 410)
  const { rawPayload } = await server.app.inject(`/pyramids/${id}/tiles/1/0/0.bin`)
  t.equal(rawPayload.readFloatLE(), 6)
})

t.test(
  'a tile that is read while its pyramid is overwritten is gone, not unavailable and not of the new one',
  async t => {
    const folder = await folders(t, ['a'])
    const root = join(folder, 'a', 'zarr.json')
    await writeFile(root, '1')
    let version = '11111111.2'
    const server = await startTestApp(t, {
      pyramids: [join(folder, 'a')],
      open: async path => {
        const opened = version
        const readTile = async () => {
          if (opened === version) return plainTile()
          throw new SourceUnavailableError('the folder was overwritten')
        }
        return memoryPyramid(path, readTile, { id: 'a', version })
      },
    })
    const tile = (v: string) => ask(server, `/pyramids/a/tiles/0/0/0.bin${v}`)
    t.equal((await tile('?v=11111111.2')).statusCode, 200)
    version = '22222222.2'
    await writeFile(root, 'another')
    const old = await ask(server, '/pyramids/a/tiles/1/0/0.bin?v=11111111.2')
    t.match([old.statusCode, old.headers.etag, old.headers['cache-control']], [410, undefined, 'no-store'])
    t.equal((await tile('?v=22222222.2')).statusCode, 200)
    t.same(errorLines(server), [])
  },
)

t.test('a folder that becomes a link while it is opened is refused: the link could lead out of the roots', async t => {
  const folder = await folders(t, ['in', 'out'])
  const closed: Observed[] = []
  const server = await startTestApp(t, {
    roots: [join(folder, 'in')],
    open: async () => {
      closed.push(memoryPyramid(join(folder, 'out')))
      return closed[0]
    },
  })
  const reply = await setSource(server, join(folder, 'in'))
  t.match([reply.statusCode, reply.json().message], [422, /was replaced by a link/])
  t.ok(closed[0].closed)
  t.match((await ask(server, '/current')).json(), { current: null })
})

t.test('old sources stay open for those who hold their URLs, sixteen of them, and never one that is read', async t => {
  const names = Array.from({ length: 20 }, (_, i) => `p${i}`)
  const folder = await folders(t, ['named', ...names])
  const opened = new Map<string, Observed>()
  let finish = (): void => undefined
  const finished = new Promise<void>(resolve => {
    finish = resolve
  })
  const open = async (path: string): Promise<Pyramid> => {
    const name = path.split('/').at(-1) ?? ''
    const pyramid = memoryPyramid(
      `/${name}`,
      async () => {
        await finished
        return plainTile()
      },
      { path },
    )
    opened.set(name, pyramid)
    return pyramid
  }
  const server = await startTestApp(t, { pyramids: [join(folder, 'named')], open })
  await setSource(server, join(folder, 'p0'))
  const reading = ask(server, '/pyramids/p0/tiles/1/0/0.bin')
  for (const name of names.slice(1)) await setSource(server, join(folder, name))
  const closed = [...opened].filter(([, pyramid]) => pyramid.closed).map(([name]) => name)
  t.same(closed, ['p1', 'p2'], 'the current one, sixteen others, the named one and the one being read stay')
  t.equal((await server.app.inject('/pyramids/p1')).statusCode, 404)
  t.equal((await server.app.inject('/pyramids/p5')).statusCode, 200)
  finish()
  t.equal((await reading).statusCode, 200)
})

t.test('of two swaps at the same time the later request wins, however long each takes to open', async t => {
  const folder = await folders(t, ['slow', 'fast'])
  let finish = (): void => undefined
  const finished = new Promise<void>(resolve => {
    finish = resolve
  })
  const open = async (path: string): Promise<Pyramid> => {
    const name = path.split('/').at(-1) ?? ''
    if (name === 'slow') await finished
    return memoryPyramid(`/${name}`, undefined, { path })
  }
  const server = await startTestApp(t, { open })
  const slow = setSource(server, join(folder, 'slow'))
  await delay(20)
  await setSource(server, join(folder, 'fast'))
  finish()
  t.equal((await slow).statusCode, 303)
  t.equal((await server.app.inject('/current')).json().current.name, 'fast')
})

const QUIET = {
  host: '127.0.0.1',
  port: 0,
  roots: [],
  allowedHosts: [],
  cacheBytes: 2 ** 20,
  pyramids: [],
  logger: pino({ level: 'silent' }),
  software: 'tilestage 1.2.3',
}

t.test('a started server tells where it is, and frees its port when it is closed', async t => {
  const assetsFolder = join(t.testdir({ page: PAGE_FILES }), 'page')
  const server = await startServer({ ...QUIET, assetsFolder, pyramids: [LEGACY] })
  t.match(server.url, /^http:\/\/127\.0\.0\.1:\d+\/$/)
  t.equal(server.token, undefined)
  const { port } = new URL(server.url)
  const agent = new Agent({ keepAlive: true })
  const reply = await new Promise<IncomingMessage>(resolve => get(`${server.url}healthz`, { agent }, resolve))
  reply.resume()
  await t.rejects(startServer({ ...QUIET, assetsFolder, port: Number(port) }), {
    name: 'PortInUseError',
    message: new RegExp(
      `^Port ${port} of 127\\.0\\.0\\.1 is in use by .*; stop that, or choose another port with --port\\.$`,
    ),
  })
  await server.close()
  agent.destroy()
  const probe = createServer().listen(Number(port), '127.0.0.1')
  await new Promise(resolve => probe.once('listening', resolve))
  probe.close()
})

t.test('an address that others reach needs a root, and gets a token', async t => {
  const folder = t.testdir({ page: PAGE_FILES })
  const shared = { ...QUIET, assetsFolder: join(folder, 'page'), host: '0.0.0.0' }
  await t.rejects(startServer(shared), {
    name: 'UsageError',
    message: /Others can reach 0\.0\.0\.0, so --root must say/,
  })
  await t.rejects(startServer({ ...shared, roots: [join(folder, 'missing')] }), NotFoundError)
  await t.rejects(startServer({ ...shared, roots: [folder], token: '' }), UsageError)
  const server = await startServer({ ...shared, roots: [folder] })
  t.teardown(() => server.close())
  t.match(server.token, /^[\w-]{32}$/)
  t.ok(server.url.endsWith(`/#token=${server.token}`), 'the address to open carries it where no server sees it')
  const { port } = new URL(server.url)
  const swap = (token: string) =>
    fetch(`http://127.0.0.1:${port}/set_tile_source?tile_dir=${folder}`, { headers: { 'x-tilestage-token': token } })
  t.equal((await swap('')).status, 401)
  t.equal((await swap(server.token ?? '')).status, 422)
})

t.test('what cannot be served is said before anything listens', async t => {
  const assetsFolder = join(t.testdir({ page: PAGE_FILES, empty: {} }), 'page')
  await t.rejects(startServer({ ...QUIET, assetsFolder, pyramids: [join(assetsFolder, '..', 'empty')] }), {
    message: /empty is not a pyramid: it is an empty folder/,
  })
  await t.rejects(startServer({ ...QUIET, assetsFolder, host: '203.0.113.1', roots: [assetsFolder] }), {
    name: 'SourceUnavailableError',
    message: /203\.0\.113\.1 is no address of this machine/,
  })
  t.equal((await openPyramid(LEGACY)).name, 'legacy_schema_A1first4_t128')
})

t.test('a page that was away is told what it missed, of states only the newest', async t => {
  const folder = await folders(t, ['a', 'b'])
  for (const name of ['a', 'b']) await writePymePyramid(join(folder, name), ONE_TILE)
  const server = await startTestApp(t, { pyramids: [LEGACY] })
  const url = await server.app.listen({ host: '127.0.0.1', port: 0 })
  const page = listen(url)
  const first = (await page.next()).value
  t.match(first?.id, /^[0-9a-f]{12}-0$/)
  await setSource(server, join(folder, 'a'))
  const second = (await page.next()).value
  t.match(second, { name: 'source', id: first?.id.replace(/0$/, '1') })
  await page.return(undefined)

  await setSource(server, join(folder, 'nothing'))
  await setSource(server, join(folder, 'b'))
  await setSource(server, join(folder, 'a'))
  const back = listen(url, second?.id)
  const [refused, source] = [(await back.next()).value, (await back.next()).value]
  t.match([refused?.name, source?.name], ['refused', 'source'])
  t.match(source?.data, { current: { name: 'a' }, revision: 4 })
  await back.return(undefined)

  const idle = listen(url, source?.id)
  t.match((await idle.next()).value, { name: 'beat', id: source?.id }, 'who missed nothing hears nothing')
  await idle.return(undefined)
  for (const unknown of ['000000000000-1', source?.id.replace(/-.*/, '-99'), 'x', '-', '']) {
    const lost = listen(url, unknown)
    t.match((await lost.next()).value, { name: 'reset', id: source?.id }, `"${unknown}" is no id of this server`)
    t.match((await lost.next()).value, { name: 'source', data: { current: { name: 'a' } } })
    await lost.return(undefined)
  }
})

t.test('of events only the last ones are kept, by their number and their size', async t => {
  const replay = new EventReplay(3, 400)
  const ids = ['a', 'b', 'c', 'd'].map(name => {
    replay.add(name, {})
    return replay.lastId
  })
  t.equal(replay.since(ids[0] ?? '')?.length, 3)
  t.match(replay.since(ids[2] ?? ''), [/^event: d\nid: .*-4\ndata: \{\}\n\n$/])
  t.same(replay.since(ids[3] ?? ''), [])
  t.equal(replay.since(replay.lastId.replace('-4', '-0')), undefined)
  replay.add('long', 'ä'.repeat(100))
  t.equal(replay.since(ids[2] ?? '')?.length, 2)
  replay.add('too long', 'ä'.repeat(200))
  t.equal(replay.since(ids[3] ?? ''), undefined)
  t.same(replay.since(replay.lastId), [])
})

function put(server: TestApp, payload: object) {
  return Promise.resolve(server.app.inject({ method: 'PUT', url: '/current', payload }))
}

t.test('PUT /current shows a folder or an open pyramid, and answers what is shown then', async t => {
  const folder = await folders(t, ['a'])
  await writePymePyramid(join(folder, 'a'), ONE_TILE)
  const server = await startTestApp(t, { pyramids: [LEGACY] })
  const { id } = (await ask(server, '/current')).json().current
  const reply = await put(server, { tile_dir: join(folder, 'a') })
  t.equal(reply.statusCode, 200)
  t.same(reply.json(), (await ask(server, '/current')).json())
  t.match(reply.json(), { current: { name: 'a' }, revision: 2, refused: null })
  const refused = await put(server, { tile_dir: join(folder, 'nothing') })
  t.match([refused.statusCode, refused.json().code], [404, 'NOT_FOUND'])
  t.match((await ask(server, '/current')).json(), { current: { name: 'a' }, refused: { number: 1 } })
  t.match((await put(server, { id })).json(), { current: { id }, revision: 3, refused: null })
  t.match((await put(server, { id })).json(), { revision: 3 }, 'the same again is no change')
  t.equal((await put(server, { id: 'none' })).statusCode, 404)
  for (const fields of [{}, { id, tile_dir: join(folder, 'a') }, { id: '' }, { id: [id, id] }])
    t.equal((await put(server, fields)).statusCode, 400, JSON.stringify(fields))
  t.match((await ask(server, '/current')).json(), { current: { id }, revision: 3 })
})

/** The status of a request whose target goes over the wire as it is written here. */
async function askRaw(url: string, target: string): Promise<number> {
  const { hostname, port, host } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.write(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
  let text = ''
  for await (const bytes of socket) text += bytes
  return Number(text.split(' ')[1])
}

t.test('a path that was pasted into a URL as it is leads where it is meant to, if that is clear', async t => {
  const names = [
    'a+b & c',
    'a b & d',
    'p+q',
    'p q',
    '50% x+y',
    'x&y',
    'R&D/plate',
    's+t',
    'two+2',
    'two+2&z',
    'two 2&z',
  ]
  const folder = await folders(t, ['R'])
  for (const name of names) {
    await mkdir(join(folder, name), { recursive: true })
    await writePymePyramid(join(folder, name), ONE_TILE)
  }
  const server = await startTestApp(t)
  const url = await server.app.listen({ host: '127.0.0.1', port: 0 })
  const showing = async (query: string): Promise<unknown> => {
    const status = await askRaw(url, `/set_tile_source?${query}`)
    return status === 303 ? server.registry.state.current?.name : status
  }
  for (const [query, expected] of [
    [`tile_dir=${folder}/a+b%20&%20c`, 'a+b & c'],
    [`tile_dir=${folder}/a+b+&+d`, 'a b & d'],
    [`tile_dir=${folder}/a%2Bb+%26+c`, 'a+b & c'],
    [`tile_dir=${folder}/p+q`, 'p q'],
    [`tile_dir=${folder}/p%2Bq`, 'p+q'],
    [`tile_dir=${folder}/s+t`, 's+t'],
    [`tile_dir=${folder}/R&D/plate`, 'plate'],
    [`tile_dir=${folder}/R`, 422],
    [`tile_dir=${folder}/50%%20x+y`, '50% x+y'],
    [`tile_dir=${folder}/x&y&token=secret&more`, 'x&y'],
    [`token=secret&tile_dir=${folder}/x&y`, 'x&y'],
    [`tile_dir=${folder}/two+2&z`, 400],
    [`tile_dir=${folder}/none+&+none`, 404],
    [`tile_dir=${folder}/a+b & c`, 400],
  ] as const)
    t.equal(await showing(query), expected, query)
  const ambiguous = await ask(server, `/set_tile_source?tile_dir=${folder}/two+2&z`)
  t.match(ambiguous.json().message, /could mean ".*two\+2" or ".*two\+2&z" or ".*two 2&z"; write a plus as %2B/)
})

t.test('another reading of a path opens nothing outside the roots', async t => {
  const folder = await folders(t, ['in', 'a&b'])
  await writePymePyramid(join(folder, 'a&b'), ONE_TILE)
  const server = await startTestApp(t, { roots: [join(folder, 'in')] })
  const reply = await ask(server, `/set_tile_source?tile_dir=${folder}/a&b`)
  t.match([reply.statusCode, reply.json().code], [403, 'OUTSIDE_ROOTS'])
})

t.test('a copy of a pyramid is open beside it, by an id of its own that stays', async t => {
  const folder = await folders(t, [])
  const plate = new GrowingPlate(join(folder, 'plate'), { columns: 1, rows: 1 })
  await plate.writePlan()
  await cp(join(folder, 'plate'), join(folder, 'copy'), { recursive: true })
  const server = await startTestApp(t, { pyramids: [join(folder, 'plate')] })
  const idOf = async (name: string): Promise<string> => {
    await setSource(server, join(folder, name))
    const { current } = (await ask(server, '/current')).json()
    t.equal(current.name, name)
    return current.id
  }
  const { id } = plate.record
  const copyId = await idOf('copy')
  t.match(copyId, /^[0-9a-f]{32}$/)
  t.same([await idOf('plate'), await idOf('copy')], [id, copyId])
  const { pyramids } = (await ask(server, '/pyramids')).json()
  t.same(
    pyramids.map(({ id, name }: { id: string; name: string }) => [id, name]),
    [
      [id, 'plate'],
      [copyId, 'copy'],
    ],
  )
  await rename(join(folder, 'plate'), join(folder, 'moved'))
  t.equal(await idOf('moved'), id, 'a pyramid that was moved keeps its id')
})

t.test('a server is started with a folder of pyramids, of which broken ones are left out', async t => {
  const assetsFolder = join(t.testdir({ page: PAGE_FILES, all: {}, none: { x: {} } }), 'page')
  const all = join(assetsFolder, '..', 'all')
  for (const name of ['p10', 'p2', '.p1']) {
    await mkdir(join(all, name))
    await writePymePyramid(join(all, name), ONE_TILE)
  }
  await mkdir(join(all, 'p0'))
  await writeFile(join(all, 'p0/metadata.json'), '{"Pyramid.TileSize": ')
  const server = await startServer({ ...QUIET, assetsFolder, pyramids: [all, LEGACY] })
  t.teardown(() => server.close())
  const { pyramids } = (await (await fetch(`${server.url}pyramids`)).json()) as { pyramids: unknown[] }
  t.match(pyramids, [
    { name: 'p2', current: true },
    { name: 'p10', current: false },
    { name: 'legacy_schema_A1first4_t128' },
  ])
  t.equal(pyramids.length, 3)
  await t.rejects(startServer({ ...QUIET, assetsFolder, pyramids: [join(assetsFolder, '..', 'none')] }), {
    message: /none is not a pyramid: it is a folder of 1 entry/,
  })
})
