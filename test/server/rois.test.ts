import { mkdir, readdir, readFile, realpath, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'
import { File, ready } from 'h5wasm/node'
import t, { type Test } from 'tap'
import { formatPythonFloat } from '../../src/server/rois/pyme-roi-text.js'
import { listen } from './listen.js'
import { errorLines, PAGE_FILES, startTestApp } from './test-app.js'

const LEGACY = fileURLToPath(new URL('../fixtures/pyme-pyramids/legacy_schema_A1first4_t128', import.meta.url))

async function startWithPyramid(t: Test, options: Parameters<typeof startTestApp>[1] = {}) {
  const folder = await realpath(t.testdir({ page: PAGE_FILES, state: {}, tables: {} }))
  const stateFolder = join(folder, 'state')
  const server = await startTestApp(t, { pyramids: [LEGACY], stateFolder, ...options })
  const { id } = (await server.app.inject('/current')).json().current
  return { ...server, server, folder, stateFolder, id, url: `/pyramids/${id}/rois` }
}

const JSON_TYPE = { 'content-type': 'application/json' }

function send(app: FastifyInstance, method: 'POST' | 'PUT' | 'PATCH', url: string, body: unknown, headers = {}) {
  return app.inject({ method, url, payload: JSON.stringify(body), headers: { ...JSON_TYPE, ...headers } })
}

t.test('points and rectangles are added, moved, renamed and removed; ids stay', async t => {
  const { app, url } = await startWithPyramid(t)
  t.same((await app.inject(url)).json(), { revision: 0, count: 0, rois: [] })
  const one = await send(app, 'POST', url, { x: 10050.5, y: 20050 })
  t.equal(one.statusCode, 201)
  t.same(one.json(), { revision: 1, count: 1, rois: [{ id: 1, x: 10050.5, y: 20050 }] })
  const more = await send(app, 'POST', url, [{ x: 1, y: 2, w: 30, h: 40, name: 'nucleus <b>' }, [-5, 1e3]])
  t.same(more.json().rois, [
    { id: 2, x: 1, y: 2, w: 30, h: 40, name: 'nucleus <b>' },
    { id: 3, x: -5, y: 1000 },
  ])
  t.same((await send(app, 'PATCH', `${url}/2`, { x: 7, name: 'moved' })).json(), {
    revision: 3,
    count: 3,
    rois: [{ id: 2, x: 7, y: 2, w: 30, h: 40, name: 'moved' }],
  })
  t.same((await send(app, 'PATCH', `${url}/2`, { w: null, h: null, name: null })).json().rois, [{ id: 2, x: 7, y: 2 }])
  t.same((await send(app, 'PUT', `${url}/3`, { x: 0, y: 0, name: 'here' })).json().rois, [
    { id: 3, x: 0, y: 0, name: 'here' },
  ])
  t.equal((await app.inject({ method: 'DELETE', url: `${url}/1` })).json().count, 2)
  t.equal((await app.inject({ method: 'DELETE', url: `${url}/1` })).statusCode, 404)
  t.equal((await send(app, 'PUT', `${url}/0x2`, { x: 0, y: 0 })).statusCode, 404)
  const form = { method: 'POST', url, headers: { 'content-type': 'application/x-www-form-urlencoded' } } as const
  t.same((await app.inject({ ...form, payload: 'x=3.5&y=-4e1&name=form' })).json().rois, [
    { id: 4, x: 3.5, y: -40, name: 'form' },
  ])
  const back = (await app.inject(url)).json()
  const replaced = await send(app, 'POST', `${url}?replace=1`, { rois: [...back.rois.slice(1), { x: 9, y: 9 }] })
  t.same(
    replaced.json().rois.map(({ id }: { id: number }) => id),
    [3, 4, 5],
    'what a page sends back keeps its id',
  )
  t.same((await app.inject({ method: 'DELETE', url })).json(), { revision: 9, count: 0, rois: [] })
  t.equal((await send(app, 'POST', url, { x: 0, y: 0 })).json().rois[0].id, 6, 'an id is never given again')
})

t.test('what makes no sense is refused with a sentence, and changes nothing', async t => {
  const { app, url, server } = await startWithPyramid(t)
  for (const [body, message] of [
    [{ x: 1 }, /^The ROI has no y\./],
    [{ x: 'one', y: 1 }, /x is "one"; it must be a number of µm/],
    [{ x: 1e12, y: 1 }, /x is "1000000000000"|x is 1000000000000/],
    [[[1, 2], [1]], /^ROI 2 is neither/],
    [[[1, null]], /^ROI 1 has no y/],
    [[{ x: 1, y: 2, w: 3 }], /^ROI 1 has a width w alone/],
    [[{ x: 1, y: 2, w: -3, h: 1 }], /w is -3; it must be a number of µm from 0/],
    [{ x: 1, y: 2, name: 'a\nb' }, /name is no text of up to 100 characters in one line/],
    [[{ x: 1, y: 2, name: 'a'.repeat(101) }], /ROI 1: the name/],
    [5, /no form and no JSON object/],
    [{ x: true, y: 2 }, /x is "true"/],
  ] as const) {
    const reply = await send(app, 'POST', url, body)
    t.match([reply.statusCode, reply.json().code], [400, 'BAD_REQUEST'], JSON.stringify(body))
    t.match(reply.json().message, message)
  }
  const tooMany = await send(app, 'POST', url, Array(100_001).fill([1, 2]))
  t.match(tooMany.json(), { code: 'LIMIT_EXCEEDED', message: /100001 ROIs; a list holds up to 100000/ })
  t.equal((await send(app, 'POST', url, 'x'.repeat(9 * 2 ** 20))).statusCode, 413)
  t.equal((await app.inject({ method: 'POST', url: `${url}?replace=yes&x=1&y=1` })).statusCode, 400)
  t.equal((await send(app, 'POST', '/pyramids/nosuch/rois', { x: 1, y: 1 })).statusCode, 404)
  t.equal((await app.inject({ method: 'PUT', url })).statusCode, 405)
  t.equal((await app.inject(url)).json().revision, 0)
  t.same(errorLines(server), [])
})

t.test('no name is a formula to a spreadsheet, and all come back as they were', async t => {
  const { app, url } = await startWithPyramid(t)
  const names = ['=1+1', '@SUM(A1)', '+a', '-5', "'=x", "'quoted'", '=a,"b"']
  await send(
    app,
    'POST',
    url,
    names.map(name => ({ x: -1, y: 2, name })),
  )
  const csv = (await app.inject(`${url}.csv`)).body
  t.match(csv, `-1,2,,,'=1+1\r\n-1,2,,,'@SUM(A1)\r\n-1,2,,,'+a\r\n-1,2,,,'-5\r\n-1,2,,,''=x\r\n-1,2,,,'quoted'\r\n`)
  const headers = { 'content-type': 'text/csv' }
  const { rois } = (await app.inject({ method: 'POST', url, payload: csv, headers })).json()
  t.same(
    rois.map(({ name }: { name: string }) => name),
    names,
  )
})

t.test('a table goes in and out as CSV', async t => {
  const { app, url } = await startWithPyramid(t)
  const post = (payload: string) =>
    app.inject({ method: 'POST', url, payload, headers: { 'content-type': 'text/csv; charset=utf-8' } })
  const table = '\ufeffname, y ,Y_um,score,x_um,w_um,h_um\r\n"a, ""b""",0,2.5,9,1.5,,\r\n\r\nplain,0,4,9,3,10,20\r\n'
  t.same((await post(table)).json().rois, [
    { id: 1, x: 1.5, y: 2.5, name: 'a, "b"' },
    { id: 2, x: 3, y: 4, w: 10, h: 20, name: 'plain' },
  ])
  const csv = 'x_um,y_um,w_um,h_um,name\r\n1.5,2.5,,,"a, ""b"""\r\n3,4,10,20,plain\r\n'
  const asked = await app.inject({ url, headers: { accept: 'text/csv' } })
  t.equal(asked.body, csv)
  t.match(asked.headers, { 'content-type': /^text\/csv/, vary: /Accept/ })
  t.equal((await app.inject(`${url}.csv`)).body, csv)
  await app.inject({ method: 'DELETE', url })
  t.same(
    (await post(csv)).json().rois.map(({ id: _, ...shape }: { id: number }) => shape),
    [
      { x: 1.5, y: 2.5, name: 'a, "b"' },
      { x: 3, y: 4, w: 10, h: 20, name: 'plain' },
    ],
    'what came out goes in',
  )
  t.same((await post('# x,y\n7,8\n')).json().rois, [{ id: 5, x: 7, y: 8 }])
  t.match((await post('a,b\n1,2')).json().message, /no columns x_um and y_um; there are a, b/)
  t.match((await post('x,y\n1,2\n1,nan')).json().message, /^Row 2: y is "nan"/)
  t.match((await post('x,y\n"1,2')).json().message, /^The table is no CSV/)
  t.match((await post('')).json().message, /it is empty/)
})

t.test('lists are files of the state folder, and are there after a restart', async t => {
  const { app, id, url, stateFolder } = await startWithPyramid(t)
  t.same(await readdir(stateFolder), [], 'nothing is made before there is something to keep')
  // All at once: none of them is lost.
  await Promise.all(Array.from({ length: 40 }, (_, i) => send(app, 'POST', url, { x: i, y: -i })))
  const before = (await app.inject(url)).json()
  t.match(before, { revision: 40, count: 40 })
  t.same(await readdir(join(stateFolder, 'rois')), [`${id}.json`])
  const second = await startTestApp(t, { pyramids: [LEGACY], stateFolder })
  t.same((await second.app.inject(url)).json(), before)
  await send(second.app, 'POST', url, { x: 0, y: 1 })
  t.equal((await app.inject(url)).json().count, 41, 'what another server wrote is read')
  await send(app, 'POST', url, { x: 0, y: 2 })
  t.equal((await second.app.inject(url)).json().count, 42)
  const both = Array.from({ length: 40 }, (_, i) => send([app, second.app][i % 2], 'POST', url, { x: i, y: 3 }))
  await Promise.all(both)
  for (const server of [app, second.app]) t.equal((await server.inject(url)).json().count, 82, 'nothing is lost')
})

t.test('a damaged list is set aside, never lost', async t => {
  for (const text of ['{"version": 1', '[]', '{"version":1,"revision":1,"nextId":1,"rois":[{"id":1,"x":1,"y":2}]}']) {
    const { app, id, url, stateFolder, log } = await startWithPyramid(t)
    await mkdir(join(stateFolder, 'rois'), { recursive: true })
    await writeFile(join(stateFolder, 'rois', `${id}.json`), text)
    t.same((await app.inject(url)).json(), { revision: 0, count: 0, rois: [] })
    await send(app, 'POST', url, { x: 1, y: 2 })
    const names = (await readdir(join(stateFolder, 'rois'))).sort()
    t.match(names, [`${id}.json`, /\.json\.damaged-/])
    t.equal(await readFile(join(stateFolder, 'rois', names[1]), 'utf8'), text)
    t.equal(log.filter(({ msg }) => msg.startsWith('ROI list not readable')).length, 1)
  }
})

t.test('where the disk takes nothing, lists live in memory', async t => {
  const folder = await realpath(t.testdir({ page: PAGE_FILES, file: 'x' }))
  for (const stateFolder of [undefined, join(folder, 'file')]) {
    const { app, log } = await startTestApp(t, { pyramids: [LEGACY], stateFolder })
    for (let i = 1; i <= 3; i++) t.equal((await app.inject(`/add_roi?x=${i}&y=0`)).statusCode, 303)
    t.equal((await app.inject('/get_roi_locations')).body, '[[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]]')
    t.equal(log.filter(({ msg }) => msg.startsWith('ROI lists are not saved')).length, 1, 'said once')
  }
})

t.test('whoever names a revision changes that one or nothing', async t => {
  const { app, url } = await startWithPyramid(t)
  const { etag } = (await send(app, 'POST', url, { x: 1, y: 2 })).headers
  t.equal((await app.inject(url)).headers.etag, etag)
  const late = { 'if-match': '"0"' }
  t.match((await send(app, 'POST', url, [], late)).json(), { code: 'CHANGED_MEANWHILE', message: /at revision 1/ })
  t.equal((await send(app, 'PATCH', `${url}/1`, { x: 5 }, late)).statusCode, 412)
  t.equal((await app.inject({ method: 'DELETE', url, headers: late })).statusCode, 412)
  t.equal((await send(app, 'PATCH', `${url}/1`, { x: 5 }, { 'if-match': etag })).statusCode, 200)
})

t.test('every open page hears of a change', async t => {
  const { app, id } = await startWithPyramid(t)
  const address = await app.listen({ port: 0, host: '127.0.0.1', listenTextResolver: () => 'listening' })
  const events = listen(`${address}/`)
  await events.next()
  await app.inject('/add_roi?x=1&y=2')
  await app.inject('/toggle_roi?x=1&y=2')
  const heard = []
  for await (const { name, data } of events) {
    if (name === 'rois') heard.push(data)
    if (heard.length === 2) break
  }
  t.same(heard, [
    { id, revision: 1, count: 1 },
    { id, revision: 2, count: 0 },
  ])
})

t.test("PYME's program gets n × 2 finite numbers, without a header or token on loopback", async t => {
  const { app, url } = await startWithPyramid(t)
  const headers = { host: 'localhost:8979', 'user-agent': 'python-requests/2.31.0', accept: '*/*' }
  const get = (path: string) => app.inject({ url: path, headers })
  t.same((await get('/get_roi_locations')).body, '[]')
  t.equal((await get(`/set_tile_source?tile_dir=${encodeURIComponent(LEGACY)}`)).statusCode, 303)
  await send(app, 'POST', url, [{ x: 10, y: 20, w: 5, h: 1 }, [10019.64245, 20009.231543]])
  const locations = JSON.parse((await get('/get_roi_locations')).body)
  t.same(locations, [
    [12.5, 20.5],
    [10019.64245, 20009.231543],
  ])
  t.ok(locations.every((pair: unknown[]) => pair.length === 2 && pair.every(Number.isFinite)))
})

t.test("PYME's changes work as GET and as a form, and lead to the list below any prefix", async t => {
  const { app } = await startWithPyramid(t)
  const steps: [string, number[][]][] = [
    ['/add_roi?x=100&y=200', [[100, 200]]],
    ['/toggle_roi?x=109&y=200', []],
    ['/toggle_roi?x=100&y=200', [[100, 200]]],
    // Both lie within the radius: the nearer one goes.
    [
      '/add_roi?x=104&y=200',
      [
        [100, 200],
        [104, 200],
      ],
    ],
    ['/toggle_roi?x=105&y=200', [[100, 200]]],
    [
      '/toggle_roi?x=103&y=200&hit_radius=2.5',
      [
        [100, 200],
        [103, 200],
      ],
    ],
    ['/clear_rois', []],
  ]
  for (const method of ['GET', 'POST'] as const) {
    for (const [path, expected] of steps) {
      const [url, payload] = method === 'GET' ? [path] : path.split('?')
      const type = { 'content-type': 'application/x-www-form-urlencoded' }
      const reply = await app.inject({ method, url, payload, headers: method === 'POST' ? type : {} })
      t.match([reply.statusCode, reply.headers.location], [303, 'roi_list'], `${method} ${path}`)
      t.same((await app.inject('/get_roi_locations')).json(), expected, `${method} ${path}`)
    }
  }
  for (const url of ['/add_roi?x=nan&y=1', '/add_roi?x=inf&y=1', '/add_roi?x=1', '/toggle_roi?x=1&y=1&hit_radius=-1']) {
    t.equal((await app.inject(url)).statusCode, 400, url)
  }
  t.equal((await app.inject({ method: 'HEAD', url: '/add_roi?x=1&y=1' })).statusCode, 405, 'a question changes nothing')
  t.equal((await app.inject('/get_roi_locations')).body, '[]')
})

t.test('without a pyramid there are no ROIs and nothing to add them to', async t => {
  t.testdir({ page: PAGE_FILES })
  const { app } = await startTestApp(t)
  t.equal((await app.inject('/get_roi_locations')).body, '[]')
  t.equal((await app.inject('/roi_list')).statusCode, 200)
  t.match((await app.inject('/add_roi?x=1&y=1')).json(), { code: 'NOT_FOUND', message: /No pyramid is shown yet/ })
})

t.test('ROIs of a file replace those there are, whatever its format', async t => {
  const { app, folder } = await startWithPyramid(t)
  const tables = join(folder, 'tables')
  await writeTable(join(tables, 'pyme.hdf'), 'roi_locations', [
    [1.5, 2.5],
    [3, 4],
  ])
  await writeTable(join(tables, 'other.h5'), 'cells', [[5, 6]])
  await writeFile(join(tables, 'a.csv'), 'x,y\n7,8\n')
  await writeFile(join(tables, 'a.json'), '[[9, 10]]')
  await writeFile(join(tables, 'a.txt'), 'x,y\n7,8\n')
  await writeFile(join(tables, 'bad.csv'), 'x,y\n7,nan\n')
  await writeFile(join(tables, 'bad.hdf'), 'no HDF5')
  const set = (name: string, more = '') =>
    app.inject(`/set_roi_locations?locations_file=${encodeURIComponent(join(tables, name))}${more}`)
  for (const [name, more, expected] of [
    [
      'pyme.hdf',
      '',
      [
        [1.5, 2.5],
        [3, 4],
      ],
    ],
    ['other.h5', '&tablename=cells', [[5, 6]]],
    ['a.csv', '', [[7, 8]]],
    ['a.json', '', [[9, 10]]],
  ] as const) {
    t.equal((await set(name, more)).statusCode, 303, name)
    t.same((await app.inject('/get_roi_locations')).json(), expected, name)
  }
  for (const [name, code, message] of [
    ['missing.hdf', 'NOT_FOUND', /missing\.hdf does not exist/],
    ['missing.csv', 'NOT_FOUND', /missing\.csv does not exist/],
    ['a.txt', 'UNSUPPORTED_DATA', /a\.txt has no extension of a list of ROIs; \.hdf, \.h5/],
    ['bad.csv', 'CORRUPT_DATA', /bad\.csv: Row 1: y is "nan"/],
    ['bad.hdf', 'CORRUPT_DATA', /bad\.hdf/],
    ['other.h5', 'NOT_FOUND', /holds no \/roi_locations/],
  ] as const) {
    t.match((await set(name)).json(), { code, message }, name)
  }
  t.same((await app.inject('/get_roi_locations')).json(), [[9, 10]], 'what failed changed nothing')
})

t.test('with roots, ROIs are read below them only', async t => {
  const folder = await realpath(t.testdir({ page: PAGE_FILES, root: {}, outside: {} }))
  await writeFile(join(folder, 'outside', 'a.csv'), 'x,y\n1,2\n')
  await writeFile(join(folder, 'root', 'a.csv'), 'x,y\n1,2\n')
  await symlink(join(folder, 'outside', 'a.csv'), join(folder, 'root', 'link.csv'))
  const { app } = await startTestApp(t, { pyramids: [LEGACY], roots: [join(folder, 'root')] })
  for (const [path, status] of [
    ['root/a.csv', 303],
    ['outside/a.csv', 403],
    ['outside/missing.csv', 403],
    ['root/link.csv', 403],
    ['root/../outside/a.csv', 403],
  ] as const) {
    const url = `/set_roi_locations?locations_file=${encodeURIComponent(`${folder}/${path}`)}`
    t.equal((await app.inject(url)).statusCode, status, path)
  }
})

t.test('every change needs the right to change', async t => {
  const { app, url } = await startWithPyramid(t, { policy: { loopback: false, token: 'right' } })
  const host = { host: '192.168.1.7:8979' }
  const changes = [
    ['POST', url],
    ['DELETE', url],
    ['DELETE', `${url}/1`],
    ['PUT', `${url}/1`],
    ['PATCH', `${url}/1`],
    ...['/add_roi?x=1&y=1', '/toggle_roi?x=1&y=1', '/clear_rois', '/set_roi_locations', '/run_recipe_for_locations']
      .flatMap(path => [
        ['GET', path],
        ['POST', path],
      ])
      .values(),
  ] as ['GET' | 'POST', string][]
  for (const [method, path] of changes) {
    t.equal((await app.inject({ method, url: path, headers: host })).statusCode, 401, `${method} ${path}`)
  }
  for (const path of [url, `${url}.csv`, '/get_roi_locations', '/roi_list']) {
    t.equal((await app.inject({ url: path, headers: host })).statusCode, 200, path)
  }
  t.equal((await app.inject({ url: '/add_roi?x=1&y=1&token=right', headers: host })).statusCode, 303)
  const withToken = { ...host, ...JSON_TYPE, 'x-tilestage-token': 'right' }
  t.equal((await app.inject({ method: 'POST', url, payload: '[[1,2]]', headers: withToken })).statusCode, 201)
})

t.test('numbers look as Python prints them', async t => {
  for (const [value, text] of [
    [10050.5, '10050.5'],
    [19050, '19050.0'],
    [-3, '-3.0'],
    [0, '0.0'],
    [-0, '-0.0'],
    [0.1, '0.1'],
    [1e-4, '0.0001'],
    [1e-5, '1e-05'],
    [-1.25e-7, '-1.25e-07'],
    [1e9, '1000000000.0'],
    [1e16, '1e+16'],
  ] as const) {
    t.equal(formatPythonFloat(value), text)
  }
})

/** A table as PYME's recipes write it: a dataset of a compound type. */
async function writeTable(path: string, name: string, rows: readonly (readonly [number, number])[]): Promise<void> {
  await ready
  const file = new File(path, 'w')
  const columns = { x_um: Float64Array.from(rows, ([x]) => x), y_um: Float64Array.from(rows, ([, y]) => y) }
  file.create_dataset({
    name,
    data: new Map(Object.entries(columns)),
    shape: [rows.length],
    dtype: [
      ['x_um', '<d'],
      ['y_um', '<d'],
    ],
  })
  file.close()
}
