import { once } from 'node:events'
import { cp, readdir, realpath, rename, symlink } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { InjectOptions } from 'fastify'
import t, { type Test } from 'tap'
import { readServerSettings } from '../../src/commands/serve.js'
import { findCommand, parseFlags } from '../../src/config.js'
import { readBasePath } from '../../src/server/access/base-path.js'
import { clientOf, RateLimit } from '../../src/server/access/rate-limit.js'
import { UrlSigner } from '../../src/server/access/url-signer.js'
import { startServer } from '../../src/server/serve.js'
import { writePymePyramid } from '../pyramid/write-pyme-pyramid.js'
import { tilestageProcess } from '../run-cli.js'
import { listen } from './listen.js'
import { buildSamplePlate, startSampleServer } from './sample-server.js'
import { errorLines, PAGE_FILES, startTestApp, type TestApp } from './test-app.js'

const SMALL = { tileSize: 16, tiles: [[0, 0]] as [number, number][], value: (x: number, y: number) => x + y }

const TOKEN = { 'x-tilestage-token': 'right' }

/** PYME's questions may come as forms. */
const PYME_READS = ['/get_tile', '/get_roi_locations', '/roi_list']

/** A server on which one small pyramid is current. */
async function serveSmall(t: Test, options: Parameters<typeof startTestApp>[1] = {}): Promise<TestApp> {
  const folder = t.testdir({ page: PAGE_FILES, small: {} })
  await writePymePyramid(join(folder, 'small'), SMALL)
  return startTestApp(t, { pyramids: [join(folder, 'small')], ...options })
}

async function statusOf({ app }: TestApp, request: InjectOptions | string): Promise<number> {
  return (await app.inject(request)).statusCode
}

t.test('a private server tells nothing of its data without the token', async t => {
  const server = await serveSmall(t, { policy: { loopback: false, isPrivate: true, token: 'right' } })
  for (const url of [
    '/pyramids',
    '/current',
    '/tiles/0/0/0.png',
    '/get_tile?layer=0&x=0&y=0',
    '/events',
    '/metrics',
    '/set_tile_source?tile_dir=/',
    '/nothing/here',
    '/pyramids?token=wrong',
    '/docs/../pyramids',
  ]) {
    const reply = await server.app.inject(url)
    t.equal(reply.statusCode, 401, url)
    t.equal(reply.json().code, 'TOKEN_NEEDED')
    t.match(reply.headers, { 'www-authenticate': /Bearer/, 'cache-control': 'no-store' })
  }
  t.equal(await statusOf(server, { method: 'POST', url: '/pyramids' }), 401)
  t.equal(await statusOf(server, { method: 'HEAD', url: '/pyramids' }), 401)
  for (const url of [
    '/',
    '/viewer.js',
    '/viewer.css',
    '/favicon.ico',
    '/healthz',
    '/readyz',
    '/docs',
    '/openapi.json',
  ]) {
    t.equal(await statusOf(server, url), 200, url)
  }
  for (const request of [
    { url: '/tiles/0/0/0.png', headers: TOKEN },
    { url: '/tiles/0/0/0.png', headers: { authorization: 'Bearer right' } },
    { url: '/metrics', headers: TOKEN },
    { url: '/pyramids?token=right' },
  ]) {
    t.equal(await statusOf(server, request), 200, JSON.stringify(request))
  }
  const { pyramids } = (await server.app.inject({ url: '/pyramids', headers: TOKEN })).json()
  for (const extension of ['png', 'png', 'bin']) {
    const url = `/pyramids/${pyramids[0].id}/tiles/0/0/0.${extension}?v=${pyramids[0].version}`
    const { headers } = await server.app.inject({ url, headers: TOKEN })
    t.equal(headers['cache-control'], 'private, max-age=31536000, immutable', 'no proxy keeps it for others')
  }
  t.notMatch(JSON.stringify(server.log), 'right')
})

t.test('figures need no token where only this machine can ask', async t => {
  const server = await serveSmall(t, { policy: { isPrivate: true, token: 'right' } })
  t.equal(await statusOf(server, '/metrics'), 200)
  t.equal(await statusOf(server, '/pyramids'), 401)
})

t.test('a signed URL is read without the token: that one, for a while, and nothing is changed by it', async t => {
  const server = await serveSmall(t, { policy: { isPrivate: true, token: 'right' } })
  const sign = (payload: object, headers: Record<string, string> = TOKEN) =>
    server.app.inject({ method: 'POST', url: '/signatures', headers, payload })
  t.equal((await sign({ url: 'tiles/0/0/0.png' }, {})).statusCode, 401)
  for (const url of ['tiles/0/0/0.png?min=1&max=9', '/tiles/0/0/0.png', '/get_tile?layer=0&x=0&y=0']) {
    const { url: signed } = (await sign({ url, seconds: 60 })).json()
    t.ok(signed.startsWith(url), 'relative where it was, and as it was')
    const request = signed.replace(/^(?!\/)/, '/')
    t.equal(await statusOf(server, request), 200, signed)
    t.equal(await statusOf(server, { method: 'HEAD', url: request }), 200)
    const forged = request.replace(
      /signature=(.)/,
      (_: string, first: string) => `signature=${first === 'A' ? 'B' : 'A'}`,
    )
    t.equal(await statusOf(server, forged), 401)
    t.equal(await statusOf(server, request.replace('0.png', '0.bin').replace('layer=0', 'layer=1')), 401)
    t.equal(await statusOf(server, `${request}&channel=0`), 401)
    t.equal(await statusOf(server, `${request}&signature=x`), 401)
    t.equal(await statusOf(server, request.replace(/expires=\d+/, 'expires=9999999999')), 401)
    t.equal(await statusOf(server, { method: 'POST', url: request }), 401)
  }
  const { url: change } = (await sign({ url: '/set_tile_source?tile_dir=/' })).json()
  t.equal(await statusOf(server, change), 401)
  for (const payload of [
    {},
    { url: '' },
    { url: 'https://elsewhere.example/' },
    { url: '//elsewhere.example/' },
    { url: '/\\elsewhere.example' },
    { url: '/tiles/%E0%A4%A' },
    { url: 'a b' },
    { url: '/x', seconds: 0 },
    { url: '/x', seconds: 'soon' },
    { url: '/x', seconds: 1e9 },
  ]) {
    t.equal((await sign(payload)).statusCode, 400, JSON.stringify(payload))
  }
  const signer = new UrlSigner('right')
  t.ok(signer.isSigned(signer.sign('a/b?x=1+2', 100), 100))
  t.notOk(signer.isSigned(signer.sign('a/b?x=1+2', 100), 101))
  t.ok(signer.isSigned(signer.sign('a/b?x=1+2', 100).replace('1+2', '1%202').replace('a/b', '/%61/b'), 100))
  t.notOk(signer.isSigned(signer.sign('a/b', 100).replace('a/b', 'a%2Fb'), 100))
  t.notOk(signer.isSigned(signer.sign('a/b', 100).replace('a/b', 'x/%2e%2e/a/b'), 100))
  t.notOk(signer.isSigned(signer.sign('a/b', 100).replace('a/b', 'x\\..\\a/b'), 100))
  t.ok(signer.isSigned(signer.sign('./a/b', 100).replace('./', '/'), 100))
  t.notOk(new UrlSigner('other').isSigned(signer.sign('a/b', 100), 100))
})

t.test('what needs the token is what is documented as a change, and all but questions are', async t => {
  const { app } = await serveSmall(t, { policy: { loopback: false, token: 'right' } })
  await app.ready()
  const { paths } = app.swagger() as { paths: Record<string, Record<string, { readonly security?: unknown }>> }
  for (const [path, operations] of Object.entries(paths)) {
    for (const [method, { security }] of Object.entries(operations)) {
      const url = path.replaceAll(/\{\w+\}/g, '0')
      const reply = await app.inject({ method: method.toUpperCase() as 'GET', url, payloadAsStream: true })
      reply.stream().destroy()
      t.equal(reply.statusCode === 401, security !== undefined, `${method} ${path}: ${reply.statusCode}`)
      const isQuestion = ['get', 'head', 'options'].includes(method) || PYME_READS.includes(path)
      if (!isQuestion) t.ok(security, `${method} ${path} is a change`)
    }
  }
})

t.test('nothing can be signed where there is no token', async t => {
  const server = await serveSmall(t)
  const reply = await server.app.inject({ method: 'POST', url: '/signatures', payload: { url: '/tiles/0/0/0.png' } })
  t.equal(reply.statusCode, 501)
  t.equal(reply.json().code, 'NOT_CONFIGURED')
})

t.test('who guesses tokens may not go on guessing, whatever else comes from elsewhere', async t => {
  for (const isPrivate of [true, false]) {
    const server = await serveSmall(t, { policy: { loopback: false, isPrivate, token: 'right' } })
    const set = (token: string, remoteAddress: string) =>
      server.app.inject({
        method: 'POST',
        url: '/set_tile_source',
        remoteAddress,
        headers: { 'x-tilestage-token': token },
        payload: { tile_dir: '/nowhere' },
      })
    for (let i = 0; i < 20; i++) t.equal((await set('of yesterday', '10.0.0.1')).statusCode, 401)
    t.equal((await set('right', '10.0.0.1')).statusCode, 404, 'a page left open since the token was another one')
    for (let i = 1; i < 10; i++) t.equal((await set(`guess ${i}`, '10.0.0.1')).statusCode, 401)
    const refused = await set('right', '10.0.0.1')
    t.equal(refused.statusCode, 429)
    t.equal(refused.json().code, 'TOO_MANY_REQUESTS')
    t.ok(Number(refused.headers['retry-after']) > 0)
    t.equal((await set('right', '::ffff:10.0.0.1')).statusCode, 429, 'the same client in other clothes')
    t.equal((await set('right', '10.0.0.2')).statusCode, 404)
    t.equal(await statusOf(server, { url: '/healthz', remoteAddress: '10.0.0.1' }), 200)
  }
})

t.test('changes and all requests are bounded for each client where others reach the server', async t => {
  const shared = await serveSmall(t, {
    policy: { loopback: false, token: 'right' },
    app: { requestsPerSecond: 100 },
  })
  const ask = (url: string, remoteAddress: string) => statusOf(shared, { url, headers: TOKEN, remoteAddress })
  const changes = await Promise.all(Array.from({ length: 120 }, () => ask('/set_tile_source', '10.0.0.1')))
  t.equal(changes.filter(status => status === 400).length, 100)
  t.equal(changes.filter(status => status === 429).length, 20)
  t.equal(await ask('/set_tile_source', '10.0.0.2'), 400)
  // More than a busy machine answers while as many are allowed.
  const all = await Promise.all(Array.from({ length: 1000 }, () => ask('/healthz', '10.0.0.3')))
  t.ok(all.filter(status => status === 429).length >= 25)
  const local = await serveSmall(t)
  const free = await Promise.all(Array.from({ length: 300 }, () => statusOf(local, '/set_tile_source')))
  t.ok(free.every(status => status === 400))
})

t.test('an account fills again by the second, and is of a whole IPv6 network', async t => {
  const limit = new RateLimit({ perSecond: 50, burst: 2 })
  t.same([limit.take('a'), limit.take('a')], [0, 0])
  t.ok(limit.secondsToWait('a') > 0)
  t.equal(limit.take('b'), 0)
  await delay(50)
  t.equal(limit.take('a'), 0)
  for (const [address, client] of [
    ['10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:db8:1:2::6', '2001:db8:1:2'],
    ['2001:db8::6', '2001:db8:0:0'],
    ['::1', '0:0:0:0'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
  ]) {
    t.equal(clientOf(address), client, address)
  }
})

t.test('pages of this machine and of the named origins may read, and what comes of a change nobody', async t => {
  const server = await serveSmall(t, { policy: { corsOrigins: ['https://lab.example'] } })
  const allowed = async (origin: string, request: InjectOptions): Promise<unknown> =>
    (await server.app.inject({ ...request, headers: { origin, ...request.headers } })).headers[
      'access-control-allow-origin'
    ]
  const preflight = (url: string, method: string): InjectOptions => ({
    method: 'OPTIONS',
    url,
    headers: { 'access-control-request-method': method, 'access-control-request-headers': 'x-tilestage-token' },
  })
  for (const [origin, mayRead] of [
    ['https://lab.example', true],
    ['http://localhost:8888', true],
    ['http://lab.example', false],
    ['https://lab.example:444', false],
    ['https://lab.example.evil.example', false],
    ['null', false],
  ] as const) {
    const answer = mayRead ? origin : undefined
    t.equal(await allowed(origin, { url: '/tiles/0/0/0.png' }), answer, origin)
    t.equal(await allowed(origin, { url: '/tiles/9/9/9.png' }), answer, 'errors, too')
    t.equal(await allowed(origin, preflight('/tiles/0/0/0.png', 'GET')), answer)
    t.equal(await allowed(origin, preflight('/current', 'PUT')), undefined)
    t.equal(await allowed(origin, { url: '/set_tile_source?tile_dir=/' }), undefined)
    t.equal(await allowed(origin, { url: '/current', method: 'PUT' }), undefined)
  }
  const reply = await server.app.inject({
    ...preflight('/tiles/0/0/0.png', 'GET'),
    headers: { origin: 'https://lab.example', 'access-control-request-method': 'GET' },
  })
  t.equal(reply.statusCode, 204)
  t.match(reply.headers, { 'access-control-allow-methods': 'GET, HEAD', 'access-control-allow-headers': /Range/ })
  t.match(reply.headers.vary, 'Origin')
  const open = await serveSmall(t, { policy: { corsOrigins: ['*'] } })
  const headers = { origin: 'https://anything.example' }
  const read = await open.app.inject({ url: '/tiles/0/0/0.png', headers })
  t.equal(read.headers['access-control-allow-origin'], 'https://anything.example')
})

t.test('everything is answered below a path prefix, and without it', async t => {
  const { app } = await serveSmall(t, { app: { basePath: '/tiles/' } })
  for (const url of ['/', '/?pyramid=x', '/current', '/tiles/0/0/0.png', '/docs/start.js', '/healthz']) {
    t.equal((await app.inject(url)).statusCode, 200, url)
    t.equal((await app.inject(`/tiles${url}`)).statusCode, 200, `below the prefix: ${url}`)
  }
  t.equal((await app.inject('/tiles/nothing')).statusCode, 404)
  t.equal((await app.inject('/other/current')).statusCode, 404)
  const reply = await app.inject('/tiles')
  t.equal(reply.statusCode, 308)
  t.equal(new URL(String(reply.headers.location), 'http://lab.example/tiles').pathname, '/tiles/')
})

t.test('a path prefix and origins are told to be wrong before anything listens', async t => {
  t.same(['/', '', 'tiles', '/tiles', '//a/b//'].map(readBasePath), ['/', '/', '/tiles/', '/tiles/', '/a/b/'])
  for (const text of ['/a b/', '/../', '/a//b/', '/a?b', '/ü/', '/%2e/']) {
    t.throws(() => readBasePath(text), {
      message: `--base-path ${text} is not possible; it is a path such as /tiles/.`,
    })
  }
  const terminal = {
    env: {},
    stdout: process.stdout,
    stderr: process.stderr,
    signal: new AbortController().signal,
    software: 'tilestage 1',
  }
  for (const origin of ['lab.example', 'https://lab.example/page', 'ftp://lab.example']) {
    const flags = parseFlags(findCommand('serve'), ['--cors', origin], {})
    t.throws(() => readServerSettings(flags, terminal), {
      name: 'UsageError',
      message: `--cors ${origin} is not possible; it is an origin such as https://lab.example, or *.`,
    })
  }
})

t.test('what a proxy says counts only where it is trusted', async t => {
  const forwarded = { 'x-forwarded-host': 'lab.example', 'x-forwarded-for': '1.2.3.4, 10.0.0.1' }
  const plain = await serveSmall(t)
  t.equal(await statusOf(plain, { url: '/healthz', headers: forwarded }), 200)
  t.equal(await statusOf(plain, { url: '/healthz', headers: { ...forwarded, host: 'lab.example' } }), 403)
  const behind = await serveSmall(t, {
    policy: { loopback: false, token: 'right', allowedHosts: ['lab.example'] },
    app: { trustProxy: true },
  })
  t.equal(await statusOf(behind, { url: '/healthz', headers: forwarded }), 200)
  t.equal(await statusOf(behind, { url: '/healthz', headers: { 'x-forwarded-host': 'evil.example' } }), 403)
  // The last address is what the proxy saw; those before it are what the client claims.
  const guess = (claimed: string, seen: string) =>
    statusOf(behind, {
      method: 'POST',
      url: '/set_tile_source',
      headers: { 'x-tilestage-token': `guess ${claimed}`, 'x-forwarded-for': `${claimed}, ${seen}` },
    })
  for (let i = 0; i < 10; i++) t.equal(await guess(`1.2.3.${i}`, '10.0.0.1'), 401)
  t.equal(await guess('9.9.9.9', '10.0.0.1'), 429)
  t.equal(await guess('9.9.9.9', '10.0.0.2'), 401)
})

t.test('a server behind a trusted proxy is one that others reach', async t => {
  const folder = t.testdir({ page: PAGE_FILES })
  const config = {
    host: '127.0.0.1',
    port: 0,
    allowedHosts: [],
    cacheBytes: 2 ** 20,
    pyramids: [],
    software: 'tilestage 1',
    assetsFolder: join(folder, 'page'),
    trustProxy: true,
    basePath: '/tiles/',
  }
  const logger = (await startTestApp(t)).app.log
  await t.rejects(startServer({ ...config, roots: [], logger }), /proxy, so --root must say/)
  const server = await startServer({ ...config, roots: [folder], logger })
  t.teardown(() => server.close())
  t.match(server.url, /^http:\/\/127\.0\.0\.1:\d+\/tiles\/#token=[\w-]{32}$/)
  const reply = await fetch(new URL('set_tile_source?tile_dir=/', server.url))
  t.equal(reply.status, 401)
})

t.test('readiness follows the disk of the current pyramid', async t => {
  const server = await serveSmall(t)
  const folder = join(t.testdirName, 'small')
  t.equal(await statusOf(server, '/readyz'), 200)
  await rename(folder, `${folder}.gone`)
  const reply = await server.app.inject('/readyz')
  t.equal(reply.statusCode, 503)
  t.equal(reply.json().code, 'NOT_READY')
  t.notMatch(reply.json().message, t.testdirName)
  t.equal(await statusOf(server, '/healthz'), 200)
  await rename(`${folder}.gone`, folder)
  t.equal(await statusOf(server, '/readyz'), 200)
  t.same(errorLines(server), [])
})

t.test('figures tell of requests by group and status, and of the process', async t => {
  const server = await serveSmall(t)
  for (const url of ['/tiles/0/0/0.png', '/tiles/0/0/0.png', '/tiles/9/9/9.png', '/current', '/nothing']) {
    await server.app.inject(url)
  }
  await server.app.inject({ method: 'DELETE', url: '/current' })
  const { headers, body } = await server.app.inject('/metrics')
  t.match(headers['content-type'], 'text/plain; version=0.0.4')
  const figure = (name: string): number =>
    Number(
      body
        .split('\n')
        .find(line => line.startsWith(`${name} `))
        ?.split(' ')[1],
    )
  t.equal(figure('tilestage_requests_total{group="Tiles",status="2xx"}'), 2)
  t.equal(figure('tilestage_requests_total{group="Tiles",status="4xx"}'), 1)
  t.equal(figure('tilestage_requests_total{group="Other",status="4xx"}'), 2)
  t.equal(figure('tilestage_pyramids_open'), 1)
  t.equal(figure('tilestage_event_listeners'), 0)
  for (const name of ['process_cpu_seconds_total', 'process_resident_memory_bytes', 'nodejs_eventloop_lag_p99_seconds'])
    t.ok(figure(name) >= 0, name)
  t.notMatch(body, t.testdirName)
})

/** Until both sides have closed, whether that was an error or not. */
function closed(socket: Socket): Promise<void> {
  socket.on('error', () => undefined)
  return new Promise(resolve => socket.once('close', () => resolve()))
}

/** Send bytes and read until the server closes. */
async function exchange(address: string, bytes: string): Promise<string> {
  const socket = connect(Number(new URL(address).port), '127.0.0.1')
  socket.write(bytes)
  let answer = ''
  socket.on('data', part => {
    answer += part
  })
  await closed(socket)
  return answer
}

const plate = await buildSamplePlate(t)

t.test('what is no HTTP is told so as JSON, and nothing is logged as a failure', async t => {
  const { address, log } = await startSampleServer(t, plate)
  for (const [bytes, status, code] of [
    ['nonsense\r\n\r\n', 400, 'BAD_REQUEST'],
    ['GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: x\r\n\r\n', 400, 'BAD_REQUEST'],
    ['POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n', 400, 'BAD_REQUEST'],
    [`GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`, 431, 'HEADERS_TOO_LARGE'],
    [`GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ${'x'.repeat(20_000)}\r\n\r\n`, 431, 'HEADERS_TOO_LARGE'],
  ] as const) {
    const answer = await exchange(address, bytes)
    t.match(answer, `HTTP/1.1 ${status} `)
    t.match(answer, `"code":"${code}"`)
  }
  const socket = connect(Number(new URL(address).port), '127.0.0.1')
  socket.write('GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n')
  let stream = String((await once(socket, 'data'))[0])
  socket.on('data', part => {
    stream += part
  })
  socket.write('nonsense\r\n\r\n')
  await closed(socket)
  t.notMatch(stream, 'BAD_REQUEST', 'not in the middle of another answer')
  t.same(
    log.filter(({ level }) => level >= 50),
    [],
  )
})

t.test(
  'a client that sends thousands of requests and reads nothing is let go, one that pipelines a few is not',
  async t => {
    const { address } = await startSampleServer(t, plate)
    const request = (max: number) => `GET /tiles/0/0/0.png?min=0&max=${max} HTTP/1.1\r\nHost: localhost\r\n\r\n`
    const socket = connect(Number(new URL(address).port), '127.0.0.1').pause()
    const end = closed(socket)
    socket.write(Array.from({ length: 20_000 }, (_, i) => request(1000 + i)).join(''))
    await delay(300)
    socket.resume()
    await end
    const answers = await exchange(
      address,
      `${request(1000).repeat(50)}GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
    )
    t.equal(answers.split('HTTP/1.1 200 OK').length - 1, 51)
  },
)

t.test('SIGTERM answers what is under way, ends event streams, and the program ends well', async t => {
  let work: Promise<void> | undefined
  const load = async (url: string, stop: () => void): Promise<void> => {
    const events = listen(url)
    t.equal((await events.next()).value?.name, 'source')
    const idle: Socket = connect(Number(new URL(url).port), '127.0.0.1')
    await once(idle, 'connect')
    idle.on('error', () => undefined)
    const { pyramids } = (await (await fetch(new URL('pyramids', url))).json()) as { pyramids: { id: string }[] }
    const tiles = Array.from(
      { length: 40 },
      (_, i) => `pyramids/${pyramids[0].id}/tiles/0/0/0.png?min=0&max=${300 + i}`,
    )
    const replies = tiles.map(tile =>
      fetch(new URL(tile, url)).then(async reply => ({ reply, bytes: await reply.arrayBuffer() })),
    )
    await Promise.race(replies)
    stop()
    // Those that came after it may find nobody; no answer that began is cut off.
    const settled = await Promise.allSettled(replies)
    const answered = settled.filter(result => result.status === 'fulfilled').map(({ value }) => value)
    t.ok(answered.length > 0)
    for (const { reply, bytes } of answered) {
      t.equal(reply.status, 200)
      t.equal(bytes.byteLength, Number(reply.headers.get('content-length')))
    }
    for await (const { name } of events) t.equal(name, 'beat')
  }
  const { status, stderr } = await tilestageProcess(['serve', plate, '--port', '0'], {
    onOutput(stdout, child) {
      const url = /http:\S+/.exec(stdout)?.[0]
      if (url && !work) work = load(url, () => child.kill('SIGTERM'))
    },
  })
  await work
  t.same({ status, stderr }, { status: 0, stderr: '' })
})

t.test('links inside of a pyramid lead nowhere outside of the roots', async t => {
  const folder = await realpath(t.testdir({ page: PAGE_FILES, root: {}, elsewhere: {} }))
  const ours = join(folder, 'root', 'ours')
  const pyme = join(folder, 'root', 'pyme')
  await cp(plate, ours, { recursive: true })
  await writePymePyramid(pyme, SMALL)
  const roots = [join(folder, 'root')]
  const leadAway = async (path: string): Promise<void> => {
    const away = join(folder, 'elsewhere', path.replaceAll('/', '-'))
    await rename(path, away)
    await symlink(away, path)
  }
  const start = async (startRoots: readonly string[]): Promise<(path: string) => Promise<number>> => {
    const server = await startTestApp(t, { roots: startRoots })
    return async path => {
      const set = await server.app.inject(`/set_tile_source?tile_dir=${encodeURIComponent(path)}`)
      if (set.statusCode !== 303) return set.statusCode
      const reply = await server.app.inject('/tiles/0/0/0.png?min=0&max=1')
      if (reply.statusCode !== 200) t.match(reply.json(), { code: 'UNSUPPORTED_DATA' })
      return reply.statusCode
    }
  }
  const seen = await start(roots)
  t.equal(await seen(ours), 200)
  t.equal(await seen(pyme), 200)
  const level = (await readdir(ours)).filter(name => /^\d+$/.test(name)).sort((a, b) => Number(b) - Number(a))[0]
  await leadAway(join(ours, level))
  const tiles = (await readdir(pyme, { recursive: true })).filter(name => name.endsWith('.pzf'))
  for (const tile of tiles) await leadAway(join(pyme, tile))
  t.equal(await (await start(roots))(ours), 422)
  t.equal(await (await start(roots))(pyme), 422)
  t.equal(await (await start([]))(ours), 200, 'without roots, links are what the user wants')
  t.equal(await (await start([folder]))(pyme), 200, 'they may lead to another place below a root')
  await leadAway(join(ours, 'tilestage', 'placement.json'))
  t.equal(await (await start(roots))(ours), 422)
})
