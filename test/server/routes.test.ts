import { mkdir, readdir, readFile, realpath, stat, symlink } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'
import sharp from 'sharp'
import t from 'tap'
import { STATUS_OF } from '../../src/server/http/error-replies.js'
import { decodePzf } from '../../src/sources/pyme/pzf.js'
import { tileFile, writePymePyramid } from '../pyramid/write-pyme-pyramid.js'
import { decodePng } from './decode-png.js'
import { errorLines, PAGE_FILES, startTestApp } from './test-app.js'

const LEGACY = fileURLToPath(new URL('../fixtures/pyme-pyramids/legacy_schema_A1first4_t128', import.meta.url))
const TRANSCRIPTS = new URL('../fixtures/pyme/tileviewer_transcripts.json', import.meta.url)

/** Counts − dark with everything in it: negative, zero, beyond what PYME's square root can show. */
const value = (x: number, y: number): number => ((x * 7 + y * 13) % 2000) - 20 + (x === 5 && y === 7 ? 70_000 : 0.5)

const square = (column: number, row: number, edge: number): [number, number][] =>
  Array.from({ length: edge * edge }, (_, i) => [column + (i % edge), row + Math.floor(i / edge)])

/** Three wells of 5 × 5 tiles, 9 mm apart: the plate of the recorded requests. */
const PLATE = { tileSize: 256, tiles: [...square(0, 0, 5), ...square(108, 0, 5), ...square(0, 108, 5)], value }

/** A small one: two wells of 2 × 2 tiles, 5 × 2 in all. */
const SMALL = {
  tileSize: 16,
  tiles: [...square(0, 0, 2), ...square(3, 0, 2)],
  value: (x: number, y: number) => x + 100 * y + 0.5,
}

async function idOf(app: FastifyInstance, name: string): Promise<string> {
  const { pyramids } = (await app.inject('/pyramids')).json()
  return pyramids.find((pyramid: { name: string }) => pyramid.name === name).id
}

/** Every path below a folder, to see that nothing was created. */
async function everything(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.map(entry => relative(folder, join(entry.parentPath, entry.name))).sort()
}

t.test('both kinds of PYME pyramid are served whole: every tile equals its file', async t => {
  const folder = t.testdir({ page: PAGE_FILES, plate: {} })
  await writePymePyramid(join(folder, 'plate'), PLATE)
  const server = await startTestApp(t, { pyramids: [join(folder, 'plate'), LEGACY] })
  const { app } = server
  for (const [path, naming, tileCount] of [
    [join(folder, 'plate'), 'new', 131],
    [LEGACY, 'legacy', 35],
  ] as const) {
    const id = await idOf(app, path.split('/').at(-1) ?? '')
    await app.inject(`/set_tile_source?tile_dir=${encodeURIComponent(path)}`)
    const info = (await app.inject(`/pyramids/${id}`)).json()
    const { levels } = (await app.inject(`/pyramids/${id}/coverage`)).json()
    const edge = info.tileSize
    let compared = 0
    for (const { level, columns, rows, runs } of levels) {
      t.equal(
        runs.reduce((sum: number, run: number) => sum + run, 0),
        columns * rows,
        `runs of level ${level}`,
      )
      let place = 0
      for (const [i, run] of runs.entries()) {
        for (const end = place + run; place < end; place++) {
          const [column, row] = [place % columns, Math.floor(place / columns)]
          const address = `${info.levelCount - 1 - level}/${column}/${row}`
          if (i % 2 === 0) {
            // Looking at every one of thousands of empty places would tell nothing new.
            if (place % 997 === 0) t.equal((await app.inject(`/pyramids/${id}/tiles/${address}.bin`)).statusCode, 204)
            continue
          }
          const file = tileFile(path, level, column, row, naming)
          const truth = decodePzf(await readFile(file), file).samples
          const raw = (await app.inject(`/pyramids/${id}/tiles/${address}.bin`)).rawPayload
          const samples = new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + 4 * edge * edge))
          const same = samples.length === truth.length && samples.every((sample, j) => Object.is(sample, truth[j]))
          const png = (await app.inject(`/get_tile?layer=${level}&x=${column}&y=${row}`)).rawPayload
          const { grey } = await decodePng(png)
          const drawn = grey.every((g, j) => g === Math.min(255, Math.floor(Math.sqrt(Math.max(0, truth[j])))))
          if (!same || !drawn) t.fail(`${path} level ${level} column ${column} row ${row}`)
          compared++
        }
      }
    }
    t.equal(compared, tileCount)
  }
  t.same(errorLines(server), [])
})

t.test('a raw tile that is partly covered carries its mask, a whole one does not', async t => {
  const folder = t.testdir({ page: PAGE_FILES, small: {} })
  await writePymePyramid(join(folder, 'small'), SMALL)
  const { app } = await startTestApp(t, { pyramids: [join(folder, 'small')] })
  const id = await idOf(app, 'small')
  const whole = await app.inject(`/pyramids/${id}/tiles/3/1/1.bin`)
  t.match(whole.headers, { 'content-type': 'application/octet-stream', 'content-length': String(4 * 256) })
  const partly = (await app.inject(`/pyramids/${id}/tiles/1/0/0.bin`)).rawPayload
  t.equal(partly.length, 5 * 256)
  t.equal([...partly.subarray(4 * 256, 4 * 256 + 16)].join(''), '1111111100001111')
  const png = await decodePng((await app.inject(`/pyramids/${id}/tiles/1/0/0.png`)).rawPayload)
  t.same(
    png.alpha.map(alpha => alpha / 255),
    new Uint8Array(partly.subarray(4 * 256)),
  )
})

t.test('an image shows the window and gamma of its URL, else the automatic window', async t => {
  const folder = t.testdir({ page: PAGE_FILES, small: {} })
  await writePymePyramid(join(folder, 'small'), SMALL)
  const { app } = await startTestApp(t, { pyramids: [join(folder, 'small')] })
  const id = await idOf(app, 'small')
  const { channels } = (await app.inject(`/pyramids/${id}`)).json()
  const { black, white } = channels[0].window
  for (const [query, min, max, gamma] of [
    ['', black, white, 1],
    ['?min=100&max=900', 100, 900, 1],
    ['?min=100', 100, white, 1],
    ['?max=5e2&gamma=0.5', black, 500, 0.5],
    ['?channel=0&depth=0&t=0&min=-10&max=%2B10.5&unknown=1', -10, 10.5, 1],
  ] as const) {
    for (const path of [`/pyramids/${id}/tiles/3/1/0.png`, '/tiles/3/1/0.png']) {
      const reply = await app.inject(path + query)
      t.equal(reply.headers['content-type'], 'image/png')
      const { grey } = await decodePng(reply.rawPayload)
      const expected = grey.map((_, i) => {
        const place = Math.min(1, Math.max(0, (SMALL.value(16 + (i % 16), Math.floor(i / 16)) - min) / (max - min)))
        return Math.round(255 * place ** gamma)
      })
      t.same(grey, expected, path + query)
    }
  }
  const empty = await app.inject('/tiles/3/2/0.png')
  t.equal(empty.statusCode, 200)
  t.ok(
    (await decodePng(empty.rawPayload)).alpha.every(alpha => alpha === 0),
    'an empty tile is transparent',
  )
})

t.test('what there is to know of a pyramid', async t => {
  const folder = t.testdir({ page: PAGE_FILES })
  const { app } = await startTestApp(t, { pyramids: [LEGACY] })
  t.ok(folder)
  const { pyramids } = (await app.inject('/pyramids')).json()
  t.match(pyramids, [{ name: 'legacy_schema_A1first4_t128', current: true, complete: true, width: 1024, height: 384 }])
  const { id, version } = pyramids[0]
  const info = (await app.inject(`/pyramids/${id}`)).json()
  t.match(info, {
    id,
    version,
    name: 'legacy_schema_A1first4_t128',
    current: true,
    complete: true,
    format: 'PYME pyramid',
    width: 1024,
    height: 384,
    tileSize: 128,
    levelCount: 4,
    originUm: { x: 10019.64245, y: 20009.231543 },
    pixelSizeUm: { x: 0.325, y: 0.325 },
    sampleType: 'float32',
    darkLevel: 0,
    channels: [{ name: 'Channel 1', color: null, window: { black: Number, white: Number } }],
    zPlanes: 1,
    timePoints: 1,
    covered: { x0: 0, y0: 0, x1: 1024, y1: 384 },
    wells: [],
    frames: null,
  })
  t.same((await app.inject('/current')).json(), {
    current: { id, name: info.name, version },
    revision: 1,
    changes: 0,
    refused: null,
  })
  const histogram = (await app.inject(`/pyramids/${id}/histogram?bins=100`)).json()
  t.match(histogram, { channel: 0, sampleType: 'float32', window: info.channels[0].window })
  t.ok(histogram.counts.length <= 100)
  t.equal(
    histogram.counts.reduce((sum: number, count: number) => sum + count, 0),
    histogram.total,
  )
  t.same((await app.inject(`/pyramids/${id}/coverage`)).json().levels[1], {
    level: 1,
    columns: 4,
    rows: 2,
    runs: [0, 8],
  })
  t.same((await app.inject('/healthz')).json(), { status: 'ok', program: 'tilestage', version: '1.2.3' })
})

t.test('v decides how long a tile may be kept', async t => {
  t.testdir({ page: PAGE_FILES })
  const { app } = await startTestApp(t, { pyramids: [LEGACY] })
  const { id, version } = (await app.inject('/current')).json().current
  const tile = `/pyramids/${id}/tiles/3/0/0`
  for (const extension of ['png', 'bin']) {
    const exact = await app.inject(`${tile}.${extension}?v=${version}`)
    t.equal(exact.headers['cache-control'], 'public, max-age=31536000, immutable')
    const plain = await app.inject(`${tile}.${extension}`)
    t.equal(plain.headers['cache-control'], 'no-cache')
    const { etag } = plain.headers
    t.ok(etag)
    const again = await app.inject({ url: `${tile}.${extension}`, headers: { 'if-none-match': String(etag) } })
    t.match([again.statusCode, again.body, again.headers.etag], [304, '', etag])
    const other = await app.inject(`${tile}.${extension}?v=00000000.4`)
    t.equal(other.headers['cache-control'], 'no-store')
    t.notOk(other.headers.etag)
    t.same(other.rawPayload, plain.rawPayload)
    const scale = await app.inject(`${tile}.${extension}?v=00000000.5`)
    t.equal(scale.statusCode, 410, 'with another level count, z would mean another scale')
  }
  const views = await Promise.all(['', '?gamma=2', '?min=1', '?max=99'].map(query => app.inject(`${tile}.png${query}`)))
  t.equal(new Set(views.map(({ headers }) => headers.etag)).size, 4, 'each view has an ETag of its own')
})

t.test('HEAD is answered as GET is, without the body', async t => {
  t.testdir({ page: PAGE_FILES })
  const { app } = await startTestApp(t, { pyramids: [LEGACY] })
  const { id } = (await app.inject('/current')).json().current
  for (const url of [
    '/',
    '/viewer.js',
    '/current',
    '/pyramids',
    `/pyramids/${id}`,
    `/pyramids/${id}/tiles/3/0/0.bin`,
    '/tiles/0/0/0.png',
    '/get_tile?layer=0&x=0&y=0',
    '/healthz',
  ]) {
    const [head, get] = [await app.inject({ method: 'HEAD', url }), await app.inject({ method: 'GET', url })]
    t.match([head.statusCode, head.body], [200, ''], url)
    t.equal(head.headers['content-length'], get.headers['content-length'], url)
  }
  for (const url of ['/set_tile_source?tile_dir=x', '/events']) {
    t.equal((await app.inject({ method: 'HEAD', url })).statusCode, 405, `${url} is no question`)
  }
})

t.test('the page is served from memory, with its rules', async t => {
  t.testdir({ page: PAGE_FILES })
  const { app } = await startTestApp(t)
  for (const [url, type, body] of [
    ['/', 'text/html; charset=utf-8', PAGE_FILES['index.html']],
    ['/?pyramid=abc', 'text/html; charset=utf-8', PAGE_FILES['index.html']],
    ['/viewer.js', 'text/javascript; charset=utf-8', PAGE_FILES['viewer.js']],
    ['/viewer.css', 'text/css; charset=utf-8', PAGE_FILES['viewer.css']],
  ] as const) {
    const reply = await app.inject(url)
    t.match(reply.headers, {
      'content-type': type,
      'cache-control': 'no-cache',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'content-security-policy': /^default-src 'self';/,
    })
    t.notOk(reply.headers['x-frame-options'], 'notebooks show the page in a frame')
    t.notOk(reply.headers['x-powered-by'])
    t.equal(reply.body, body)
    const { etag } = reply.headers
    t.equal((await app.inject({ url, headers: { 'if-none-match': String(etag) } })).statusCode, 304)
    const zipped = await app.inject({ url, headers: { 'accept-encoding': 'gzip, br' } })
    t.equal(zipped.headers['content-encoding'], 'gzip')
    t.not(zipped.headers.etag, etag)
  }
  t.equal((await app.inject('/favicon.ico')).headers['content-type'], 'image/svg+xml')
})

t.test('a viewer that is not built is named when the server starts', async t => {
  t.testdir({ page: { 'index.html': '' } })
  await t.rejects(startTestApp(t), {
    code: 'NOT_FOUND',
    message: /The viewer is not built: .*viewer\.(js|css) does not exist/,
  })
})

t.test('wrong parameters are 400, places that do not exist 404, each in one sentence', async t => {
  t.testdir({ page: PAGE_FILES })
  const server = await startTestApp(t, { pyramids: [LEGACY] })
  const { app } = server
  const { id } = (await app.inject('/current')).json().current
  const tile = `/pyramids/${id}/tiles/0/0/0.png`
  const cases: [string, keyof typeof STATUS_OF, RegExp][] = [
    [`${tile}?min=`, 'BAD_REQUEST', /parameter min is empty/],
    [`${tile}?min=NaN`, 'BAD_REQUEST', /min is "NaN"; it must be a number/],
    [`${tile}?min=Infinity`, 'BAD_REQUEST', /must be a number/],
    [`${tile}?min=1e400`, 'BAD_REQUEST', /must be a number from -1e\+30 to 1e\+30/],
    [`${tile}?min=0x10`, 'BAD_REQUEST', /must be a number/],
    [`${tile}?min=1&min=2`, 'BAD_REQUEST', /min is given more than once/],
    [`${tile}?min=5&max=5`, 'BAD_REQUEST', /max is 5 and must be above min, which is 5/],
    [`${tile}?gamma=0`, 'BAD_REQUEST', /gamma is "0"; it must be a number from 0.01 to 100/],
    [`${tile}?gamma=-1`, 'BAD_REQUEST', /gamma/],
    [`${tile}?channel=1.5`, 'BAD_REQUEST', /channel is "1.5"; it must be a whole number/],
    [`${tile}?channel=${'9'.repeat(1000)}`, 'BAD_REQUEST', /channel/],
    [`${tile}?channel=1`, 'NOT_FOUND', /no channel 1; only 0 exists/],
    [`${tile}?channel=-1`, 'NOT_FOUND', /no channel -1/],
    [`${tile}?t=1`, 'NOT_FOUND', /no t 1/],
    [`${tile}?depth=7`, 'NOT_FOUND', /no depth 7/],
    [`${tile}?v=1&v=2`, 'BAD_REQUEST', /v is given more than once/],
    [`/pyramids/${id}/tiles/4/0/0.png`, 'NOT_FOUND', /z goes from 0 to 3/],
    [`/pyramids/${id}/tiles/3/8/0.png`, 'NOT_FOUND', /no tile 3\/8\/0/],
    [`/pyramids/${id}/tiles/3/0/3.bin`, 'NOT_FOUND', /no tile/],
    [`/pyramids/${id}/tiles/-1/0/0.png`, 'NOT_FOUND', /whole numbers/],
    [`/pyramids/${id}/tiles/0/0/1.5.png`, 'NOT_FOUND', /no tile file "1.5.png"/],
    [`/pyramids/${id}/tiles/0/0/.png`, 'NOT_FOUND', /whole numbers/],
    [
      `/pyramids/${id}/tiles/0/0/0`,
      'NOT_FOUND',
      /no tile file "0"; tiles here end in .png, .jpg, .webp, .bin, .blosc\./,
    ],
    [`/pyramids/${id}/tiles/0/0/0.gif`, 'NOT_FOUND', /no tile file "0.gif"/],
    ['/tiles/0/0/0.bin', 'NOT_FOUND', /tiles here end in .png, .jpg, .webp\./],
    [`/pyramids/${id}/tiles/0/0/99999999999999999999.png`, 'NOT_FOUND', /no tile/],
    ['/pyramids/unknown', 'NOT_FOUND', /no such pyramid open/],
    ['/pyramids/__proto__/coverage', 'NOT_FOUND', /no such pyramid open/],
    [`/pyramids/${'a'.repeat(500)}`, 'NOT_FOUND', /./],
    [`/pyramids/${id}/histogram?bins=0`, 'BAD_REQUEST', /bins is "0"; it must be a whole number from 1 to 65536/],
    [`/pyramids/${id}/histogram?channel=3`, 'NOT_FOUND', /no channel 3/],
    [`/pyramids/${id}/coverage?t=x`, 'BAD_REQUEST', /t is "x"/],
    ['/get_tile', 'BAD_REQUEST', /layer is missing/],
    ['/get_tile?layer=0&x=0&y=0&vmin=9&vmax=3', 'BAD_REQUEST', /vmax is 3 and must be above vmin/],
    ['/get_tile?layer=0&x=0&y=0&vmax=', 'BAD_REQUEST', /vmax is empty/],
    ['/set_tile_source?tile_dir=', 'BAD_REQUEST', /tile_dir is empty/],
    ['/set_tile_source?tile_dir=a&tile_dir=b', 'BAD_REQUEST', /more than once/],
    ['/set_tile_source?tile_dir=a%00b', 'BAD_REQUEST', /no path/],
    [`/set_tile_source?tile_dir=${'a'.repeat(5000)}`, 'BAD_REQUEST', /no path: "a{60}…"/],
    ['/nosuch', 'NOT_FOUND', /nothing here/],
    ['/static/../../../package.json', 'NOT_FOUND', /nothing here/],
    ['/%zz', 'BAD_REQUEST', /malformed/],
  ]
  for (const [url, code, message] of cases) {
    const reply = await app.inject(url)
    t.equal(reply.statusCode, STATUS_OF[code], url)
    t.match(reply.json(), { code, message }, url)
    t.match(reply.headers, { 'cache-control': 'no-store', 'content-type': /^application\/json/ }, url)
    t.notOk(reply.headers.etag, url)
    t.notMatch(reply.body, /\/fixtures\/|\.ts|node_modules/, 'no path of ours, no stack')
  }
  t.same(errorLines(server), [], 'a mistake of the client is no error of ours')
})

t.test('no value of any parameter makes the server fail', async t => {
  t.testdir({ page: PAGE_FILES })
  const server = await startTestApp(t, { pyramids: [LEGACY] })
  const { app } = server
  const { id } = (await app.inject('/current')).json().current
  const nasty = [
    '',
    '0',
    '-0',
    '-1',
    '1e9',
    '9007199254740993',
    'NaN',
    'null',
    '[]',
    '{}',
    '%00',
    '%0d%0a',
    '..%2f..',
    '%F0%9F%94%AC',
    "'%22%3E",
    '+',
    '0 ',
    '١',
  ]
  const urls: [string, string[]][] = [
    [`/pyramids/${id}/tiles/1/0/0.png`, ['min', 'max', 'gamma', 'channel', 't', 'depth', 'v']],
    [`/pyramids/${id}/tiles/1/0/0.bin`, ['channel', 'v']],
    [`/pyramids/${id}/histogram`, ['bins', 'channel']],
    ['/get_tile?layer=0&x=0&y=0', ['vmin', 'vmax', 'layer']],
    ['/set_tile_source', ['tile_dir', 'token']],
  ]
  for (const [url, names] of urls) {
    for (const name of names) {
      for (const text of nasty) {
        const reply = await app.inject(`${url}${url.includes('?') ? '&' : '?'}${name}=${text}`)
        if (reply.statusCode >= 500) t.fail(`${url} ${name}=${text}: ${reply.statusCode} ${reply.body}`)
      }
    }
  }
  for (const text of nasty) {
    for (const path of [
      `/pyramids/${text}`,
      `/pyramids/${id}/tiles/${text}/0/0.png`,
      `/tiles/0/0/${text}.png`,
      `/tiles/0/0/0.${text}`,
    ]) {
      const { statusCode } = await app.inject(path)
      if (statusCode >= 500) t.fail(`${path}: ${statusCode}`)
    }
  }
  t.same(errorLines(server), [])
})

t.test('other methods are 405 and name those that there are', async t => {
  t.testdir({ page: PAGE_FILES })
  const { app } = await startTestApp(t, { pyramids: [LEGACY] })
  const { id } = (await app.inject('/current')).json().current
  for (const url of [
    '/',
    '/viewer.js',
    '/tiles/0/0/0.png',
    '/pyramids',
    `/pyramids/${id}`,
    `/pyramids/${id}/tiles/0/0/0.bin`,
    `/pyramids/${id}/coverage`,
    `/pyramids/${id}/histogram`,
    '/events',
    '/healthz',
  ]) {
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'] as const) {
      const reply = await app.inject({ method, url, payload: '{', headers: { 'content-type': 'application/json' } })
      t.match([reply.statusCode, reply.json().code], [405, 'METHOD_NOT_ALLOWED'], `${method} ${url}`)
      t.match(reply.headers.allow, /^GET/)
    }
  }
  t.equal((await app.inject({ method: 'DELETE', url: '/set_tile_source' })).headers.allow, 'GET, POST')
  t.equal((await app.inject({ method: 'POST', url: '/nosuch' })).statusCode, 404)
})

t.test("PYME's requests may come as forms, or as JSON", async t => {
  t.testdir({ page: PAGE_FILES })
  const { app } = await startTestApp(t, { pyramids: [LEGACY] })
  const post = (url: string, payload: string, type = 'application/x-www-form-urlencoded') =>
    app.inject({ method: 'POST', url, payload, headers: { 'content-type': type } })
  const form = await post('/get_tile', 'layer=0&x=1&y=1')
  t.same(form.rawPayload, (await app.inject('/get_tile?layer=0&x=1&y=1')).rawPayload)
  t.equal((await post('/set_tile_source', `tile_dir=${encodeURIComponent(LEGACY)}`)).statusCode, 303)
  t.match((await post('/get_tile?x=1', 'layer=0&x=1&y=1')).json(), {
    message: /x is given in the query and in the body/,
  })
  t.equal((await post('/set_tile_source', JSON.stringify({ tile_dir: LEGACY }), 'application/json')).statusCode, 303)
  t.match((await post('/set_tile_source', '[1]', 'application/json')).json(), { message: /no form and no JSON object/ })
  t.equal((await post('/set_tile_source', '{"tile_dir": ', 'application/json')).statusCode, 400)
  t.equal((await post('/set_tile_source', 'tile_dir=x', 'text/plain')).statusCode, 415)
  t.equal((await post('/set_tile_source', `tile_dir=${'a'.repeat(20_000)}`)).statusCode, 413)
})

interface Transcript {
  readonly request: string
  readonly status: number
  readonly headers: readonly (readonly [string, string])[]
  readonly note?: string
  readonly body_text?: string
}

/** Where PYME's status is an accident, ours says what happened. */
const OUR_STATUS: Readonly<Record<string, number>> = {
  'GET /get_tile?layer=a&x=0&y=0': 400,
  'GET /get_tile?layer=0&x=0': 400,
  'GET /get_tile?layer=0&x=0&y=0&foo=1': 200,
  'GET /set_tile_source': 400,
  'GET /set_tile_source?tile_dir=/srv/pyme/tmp/this_dir_did_not_exist': 404,
  'GET /set_tile_source?tile_dir=/proc/nope/x': 404,
  'GET /set_tile_source?tile_dir=/etc': 422,
  'GET /set_tile_source?tile_dir=%3Cscript%3Ealert(1)%3C/script%3E': 404,
  'GET /set_tile_source?tile_dir=pyme-cluster://TESTCLUSTER/multiwell/well_A1.pcs': 422,
  'GET /toggle_roi?x=10070&y=20050&hit_radius=5': 303,
  'GET /add_roi?x=abc&y=1': 400,
  'GET /add_roi?x=nan&y=1': 400,
  'GET /set_roi_locations?locations_file=/nonexistent.hdf': 404,
  'GET /set_roi_locations?locations_file=/nonexistent.csv': 404,
  'GET /run_recipe_for_locations?recipe_path=/nonexistent.yaml': 501,
  // Parts of PYME's page; ours has others.
  'GET /static/openseadragon.min.js': 404,
  'GET /static/../../../__init__.py': 404,
}

/** Where PYME's type is another one, or that of a failure. */
const OUR_TYPE: Readonly<Record<string, string>> = {
  'GET /get_tile?layer=0&x=0&y=0&foo=1': 'image/png',
  'GET /favicon.ico': 'image/svg+xml',
}

/** The ROIs of a recorded answer, finite ones only. */
function recordedLocations(text: string): number[][] {
  const cells = [...text.matchAll(/<tr><td>\d+<\/td><td>(.*?)<\/td><td>(.*?)<\/td><\/tr>/g)]
  if (text.startsWith('<')) return cells.map(([, x, y]) => [Number(x), Number(y)])
  return JSON.parse(text.replaceAll('NaN', 'null')).filter((pair: unknown[]) => pair.every(Number.isFinite))
}

t.test("the requests recorded from PYME's viewer have the same meaning here", async t => {
  const folder = t.testdir({
    page: PAGE_FILES,
    pyramids: { concat_A1_A2_B1_t256: {} },
    pyramids_extra: { A1_t256: {} },
    tmp: {},
  })
  const plate = join(folder, 'pyramids', 'concat_A1_A2_B1_t256')
  await writePymePyramid(plate, PLATE)
  await writePymePyramid(join(folder, 'pyramids_extra', 'A1_t256'), { ...PLATE, tiles: square(0, 0, 5) })
  const server = await startTestApp(t, { pyramids: [plate] })
  const before = await everything(folder)
  const here = (await readdir(process.cwd())).sort()
  const recorded: { transcripts: Transcript[] } = JSON.parse(await readFile(TRANSCRIPTS, 'utf8'))
  t.equal(recorded.transcripts.length, 50)
  let source = plate
  // The hit radius of toggle_roi works here.
  let toggled: number[][] = []
  for (const { request, status, headers, note, body_text: text = '' } of recorded.transcripts) {
    const line = request.replace(/ HTTP.*/, '')
    const [method, recordedUrl] = line.split(' ') as ['GET' | 'HEAD' | 'POST', string]
    const url = recordedUrl.replace('/srv/pyme/', `${folder}/`)
    const reply = await server.app.inject({ method, url })
    const expected = OUR_STATUS[line] ?? status
    t.equal(reply.statusCode, expected, `${line} (${note})`)
    if (expected === 303 && url.includes('tile_dir=')) source = decodeURIComponent(url.split('tile_dir=')[1])
    if (url.includes('hit_radius')) toggled = [[10070, 20050]]
    if (url === '/clear_rois') toggled = []
    if (expected >= 400) {
      t.match(reply.json(), { code: String, message: /^\S.*\S\.$/ })
      t.notMatch(reply.body, /Traceback|at .*\.ts/)
      continue
    }
    const type = headers.find(([name]) => name === 'Content-Type')?.[1] ?? ''
    t.equal(reply.headers['content-type']?.toString().split(';')[0], OUR_TYPE[line] ?? type.split(';')[0])
    if (url === '/get_roi_locations' || url === '/roi_list') {
      t.same(recordedLocations(reply.body), [...recordedLocations(text), ...toggled], `${line} (${note})`)
      if (toggled.length === 0 && text.startsWith('[')) t.equal(reply.body, text, 'to the last digit')
    }
    const location = headers.find(([name]) => name === 'Location')?.[1]
    if (location) {
      t.equal(new URL(String(reply.headers.location), `http://127.0.0.1:8979${recordedUrl}`).href, location)
    }
    if (method === 'GET' && url.startsWith('/get_tile')) {
      t.match(await sharp(reply.rawPayload).metadata(), { width: 256, height: 256, channels: 1, depth: 'uchar' })
      const { layer, x, y } = Object.fromEntries(new URLSearchParams(url.split('?')[1]))
      const { grey } = await decodePng(reply.rawPayload)
      const file = tileFile(source, Number(layer), Number(x), Number(y))
      const samples = await readFile(file).then(
        bytes => decodePzf(bytes, file).samples,
        () => undefined,
      )
      const [low, high] = url.includes('vmax=1060') ? [0, 1060] : [0, undefined]
      const truth = grey.map((_, i) => {
        const counts = Math.max(low, samples?.[i] ?? 0)
        return high === undefined
          ? Math.min(255, Math.floor(Math.sqrt(counts)))
          : Math.round((255 * Math.min(high, counts)) / high)
      })
      t.same(grey, truth, 'the picture is that of the source')
    }
  }
  t.same(await everything(folder), before, 'nothing was created')
  t.same((await readdir(process.cwd())).sort(), here, 'nor in the working directory')
  t.same(errorLines(server), [])
})

t.test('a source that is refused changes nothing', async t => {
  const folder = t.testdir({
    page: PAGE_FILES,
    empty: {},
    file: 'x',
    broken: { 'metadata.json': '{"Pyramid.TileSize": 3}' },
  })
  const server = await startTestApp(t, { pyramids: [LEGACY] })
  const { current } = (await server.app.inject('/current')).json()
  let number = 0
  for (const [name, status, message] of [
    ['missing', 404, /missing does not exist/],
    ['empty', 422, /an empty folder/],
    ['file', 422, /is a file/],
    ['broken', 422, /TileSize 3/],
  ] as const) {
    const tileDir = join(folder, name)
    const reply = await server.app.inject(`/set_tile_source?tile_dir=${encodeURIComponent(tileDir)}`)
    t.equal(reply.statusCode, status)
    t.match(reply.json().message, message)
    t.match((await server.app.inject('/current')).json(), {
      current,
      revision: 1,
      refused: { tileDir, message: reply.json().message, number: ++number },
    })
  }
  t.notOk(await stat(join(folder, 'missing')).catch(() => undefined))
  await server.app.inject(`/set_tile_source?tile_dir=${encodeURIComponent(LEGACY)}`)
  t.equal((await server.app.inject('/current')).json().refused, null, 'a source that is set takes the banner away')
})

t.test('with roots, only what lies below them after links are followed is opened', async t => {
  const folder = await realpath(t.testdir({ page: PAGE_FILES, root: { sub: {} }, outside: {}, rootling: {} }))
  for (const name of ['root/plate', 'outside/plate', 'rootling/plate']) {
    await mkdir(join(folder, name))
    await writePymePyramid(join(folder, name), SMALL)
  }
  await symlink(join(folder, 'outside'), join(folder, 'root', 'way-out'))
  await symlink(join(folder, 'root'), join(folder, 'way-in'))
  await symlink(join(folder, 'root', 'plate'), join(folder, 'root', 'sub', 'link'))
  const { app, log } = await startTestApp(t, { roots: [join(folder, 'root')] })
  const cases: [string, number][] = [
    ['root/plate', 303],
    ['root/sub/../plate', 303],
    ['root/sub/link', 303],
    ['way-in/plate', 303],
    ['root/missing', 404],
    ['way-in/missing/deep', 404],
    ['root', 422],
    ['outside/plate', 403],
    ['outside/missing', 403],
    ['rootling/plate', 403],
    ['root/way-out/plate', 403],
    ['root/way-out/missing', 403],
    ['root/../outside/plate', 403],
    ['', 403],
  ]
  for (const [path, status] of cases) {
    const reply = await app.inject(`/set_tile_source?tile_dir=${encodeURIComponent(`${folder}/${path}`)}`)
    t.equal(reply.statusCode, status, path)
  }
  const relativePath = relative(process.cwd(), join(folder, 'root', 'plate'))
  t.equal((await app.inject(`/set_tile_source?tile_dir=${encodeURIComponent(relativePath)}`)).statusCode, 303)
  const link = await app.inject(`/set_tile_source?tile_dir=${encodeURIComponent(`${folder}/way-in`)}`)
  t.match(link.json().message, /way-in is not a pyramid/, 'where a link leads is not told')
  t.ok(log.length > 0)
})

t.test('on an address that others reach, changing the source needs the token', async t => {
  t.testdir({ page: PAGE_FILES })
  const server = await startTestApp(t, { policy: { loopback: false, token: 'right' } })
  const { app } = server
  const url = `/set_tile_source?tile_dir=${encodeURIComponent(LEGACY)}`
  const headers = { host: '192.168.1.7:8979', 'sec-fetch-site': 'same-origin' }
  const refused = await app.inject({ url, headers })
  t.match([refused.statusCode, refused.json().code], [401, 'TOKEN_NEEDED'])
  t.equal((await app.inject({ url: `${url}&token=wrong`, headers })).statusCode, 401)
  t.equal((await app.inject('/current')).json().refused, null, 'strangers cannot put up a banner')
  t.equal((await app.inject({ url: `${url}&token=right`, headers })).statusCode, 303)
  t.equal((await app.inject({ url, headers: { ...headers, 'x-tilestage-token': 'right' } })).statusCode, 303)
  t.equal((await app.inject({ url, headers: { ...headers, authorization: 'Bearer right' } })).statusCode, 303)
  t.equal((await app.inject({ url: '/pyramids', headers })).statusCode, 200, 'reading needs none')
  t.notMatch(JSON.stringify(server.log), /right|wrong/, 'no token is logged')
})

t.test('on loopback, pages of other sites can neither change the source nor rebind a name', async t => {
  t.testdir({ page: PAGE_FILES })
  const { app } = await startTestApp(t, { pyramids: [LEGACY] })
  const url = `/set_tile_source?tile_dir=${encodeURIComponent(LEGACY)}`
  const refused = await app.inject({ url, headers: { 'sec-fetch-site': 'cross-site' } })
  t.match([refused.statusCode, refused.json().code], [403, 'CROSS_SITE'])
  t.equal((await app.inject('/current')).json().refused, null)
  t.equal((await app.inject(url)).statusCode, 303, 'programs send no such header')
  for (const path of ['/', '/current', '/nosuch', url]) {
    const rebound = await app.inject({ url: path, headers: { host: 'evil.example:8979' } })
    t.match(
      [rebound.statusCode, rebound.json().code, rebound.json().message],
      [403, 'HOST_NOT_ALLOWED', /--allowed-host/],
    )
  }
})

t.test('pages of this machine may read, and are told so', async t => {
  t.testdir({ page: PAGE_FILES })
  const { app } = await startTestApp(t, { pyramids: [LEGACY] })
  const origin = 'http://localhost:8888'
  const allowed = async (url: string, from: string) =>
    (await app.inject({ url, headers: { origin: from } })).headers['access-control-allow-origin']
  t.equal(await allowed('/current', origin), origin)
  t.equal(await allowed('/tiles/0/0/0.png', origin), origin)
  t.equal(await allowed('/nosuch', origin), origin)
  t.equal(await allowed('/current', 'http://evil.example'), undefined)
  t.equal(await allowed(`/set_tile_source?tile_dir=${encodeURIComponent(LEGACY)}`, origin), undefined)
})

t.test('without a pyramid the page is there and the tiles are not', async t => {
  t.testdir({ page: PAGE_FILES })
  const { app } = await startTestApp(t)
  t.equal((await app.inject('/')).statusCode, 200)
  t.same((await app.inject('/current')).json(), { current: null, revision: 0, changes: 0, refused: null })
  t.same((await app.inject('/pyramids')).json(), { pyramids: [] })
  for (const url of ['/tiles/0/0/0.png', '/get_tile?layer=0&x=0&y=0']) {
    t.match((await app.inject(url)).json(), { code: 'NOT_FOUND', message: /No pyramid is shown yet/ })
  }
})
