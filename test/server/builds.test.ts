import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { builtModule } from '../../src/built-module.js'
import { plainMetadata, writeSeries } from '../sources/write-series.js'
import { listen } from './listen.js'
import { errorLines, PAGE_FILES, startTestApp, type TestApp } from './test-app.js'

type StartOptions = NonNullable<Parameters<typeof startTestApp>[1]>

interface BuildServer extends TestApp {
  readonly folder: string
  /** Ask for a build as a script does. */
  build(fields: object): Promise<LightMyRequestResponse>
  ask(url: string, method?: 'GET' | 'DELETE'): Promise<LightMyRequestResponse>
  /** What is told of a build as soon as it is in a state. */
  until(n: number, state: string): Promise<Record<string, unknown>>
}

/** A server whose clients may build in `out`, with series in `in` and one in `elsewhere`. */
async function start(t: Test, { roots, ...options }: StartOptions = {}): Promise<BuildServer> {
  const folder = t.testdir({ page: PAGE_FILES, out: {}, in: {}, elsewhere: {} })
  writeSeries(join(folder, 'in/a.pcs'), [0, 1, 2])
  writeSeries(join(folder, 'in/b.pcs'), [0, 1])
  writeSeries(join(folder, 'elsewhere/secret.pcs'), [0, 1])
  const server = await startTestApp(t, {
    outputRoot: join(folder, 'out'),
    roots: roots?.map(root => join(folder, root)),
    ...options,
  })
  const ask: BuildServer['ask'] = async (url, method = 'GET') => server.app.inject({ url, method })
  return {
    ...server,
    folder,
    ask,
    build: async payload => server.app.inject({ url: '/builds', method: 'POST', payload }),
    async until(n, state) {
      for (;;) {
        const build = (await ask(`/builds/${n}`)).json()
        if (build.state === state) return build
        if (build.state && !['queued', 'running'].includes(build.state)) throw new Error(JSON.stringify(build))
        await delay(20)
      }
    },
  }
}

/** What a microscope writes last. */
function endSeries(folder: string): void {
  writeFileSync(join(folder, 'final_metadata.json'), JSON.stringify(plainMetadata))
}

t.test('without an output root nothing is built, and the answer names the flag', async t => {
  const { build, ask } = await start(t, { outputRoot: undefined })
  for (const reply of [
    await build({}),
    await ask('/builds'),
    await ask('/builds/1'),
    await ask('/builds/1', 'DELETE'),
  ]) {
    t.equal(reply.statusCode, 501)
    t.match(reply.json(), { code: 'NOT_CONFIGURED', message: /start it with --output-root DIR/ })
  }
})

t.test('a client has pyramids built, which are served, and shown where that is wanted', async t => {
  const { app, build, ask, folder } = await start(t)
  const reply = await build({ series: [join(folder, 'in/a.pcs')], output: 'plates/one', wait: true })
  t.match([reply.statusCode, reply.headers.location], [200, 'builds/1'])
  const { id } = reply.json()
  t.same(reply.json(), {
    ...{ n: 1, state: 'done', output: 'plates/one', id, framesDone: 3, framesTotal: 3, secondsLeft: 0 },
    ...{ exitCode: 0, code: null, status: null, message: null, warnings: [] },
  })
  t.ok(existsSync(join(folder, 'out/plates/one/zarr.json')))
  t.match((await ask(`/pyramids/${id}`)).json(), { name: 'one', complete: true, current: false })
  t.equal((await ask('/current')).json().current, null)

  const form = new URLSearchParams({
    output: 'two',
    show: '1',
    wait: '1',
    merge: 'true',
    format: 'pyme',
    'pixel-size': '0.5',
  })
  for (const name of ['b', 'a']) form.append('series', join(folder, `in/${name}.pcs`))
  const second = await app.inject({
    ...{ url: '/builds', method: 'POST', payload: form.toString() },
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  })
  t.match(second.json(), { n: 2, state: 'done', framesDone: 5 })
  t.match((await ask('/current')).json(), { current: { name: 'two', id: second.json().id } })
  t.match((await ask(`/pyramids/${second.json().id}`)).json(), { format: 'PYME pyramid' })

  t.same(
    (await ask('/builds')).json().builds.map(({ n }: { n: number }) => n),
    [1, 2],
  )
})

t.test('a pyramid is looked at from the beginning of its build, and pages hear how far it is', async t => {
  const { app, build, ask, until, folder } = await start(t)
  const page = listen(await app.listen({ host: '127.0.0.1', port: 0 }))
  const next = async (name: string, isMeant: (data: never) => boolean): Promise<unknown> => {
    for (;;) {
      const { value } = await page.next()
      if (value?.name === name && isMeant(value.data as never)) return value.data
    }
  }
  await next('source', () => true)
  const reply = await build({
    series: ['a', 'b'].map(name => join(folder, `in/${name}.pcs`)),
    merge: true,
    output: 'live',
    watch: true,
    show: true,
  })
  t.match([reply.statusCode, reply.headers.location], [202, 'builds/1'])
  const { id } = reply.json()
  t.match(reply.json(), { state: 'running', code: null, exitCode: null })
  t.match(await next('source', () => true), { current: { id, name: 'live' } })
  t.match((await ask(`/pyramids/${id}`)).json(), { complete: false, growth: { plan: 1 } })
  await next('build', ({ framesDone }: { framesDone: number }) => framesDone === 5)
  t.match((await ask(`/pyramids/${id}`)).json(), { growth: { framesDone: 5, framesTotal: 5 } })

  for (const name of ['a', 'b']) endSeries(join(folder, 'in', `${name}.pcs`))
  t.match(await next('build', ({ complete }: { complete: boolean }) => complete), { n: 1, id, framesTotal: 5 })
  t.match((await ask(`/pyramids/${id}`)).json(), { complete: true, current: true })
  t.match(await until(1, 'done'), { exitCode: 0, status: null })
  await page.return(undefined)
})

t.test('one build runs at a time; others wait, are cancelled, and forgotten', async t => {
  const { build, ask, until, folder } = await start(t)
  const growing = { series: [join(folder, 'in/a.pcs')], watch: true }
  const plain = { series: [join(folder, 'in/b.pcs')] }
  t.equal((await build({ ...growing, output: 'p/1' })).statusCode, 202)
  t.match((await build({ ...plain, output: 'p/2' })).json(), { n: 2, state: 'queued', framesDone: null, id: null })
  for (const output of ['p/1', 'p/1/inside', 'p', 'p/2', join(folder, 'out/p/2')]) {
    const reply = await build({ ...plain, output })
    t.match([reply.statusCode, reply.json().code], [409, 'OUTPUT_IN_USE'], output)
  }
  for (let n = 3; n <= 17; n++) t.equal((await build({ ...plain, output: `q/${n}` })).statusCode, 202)
  const tooMany = await build({ ...plain, output: 'r' })
  t.match([tooMany.statusCode, tooMany.json().code], [429, 'TOO_MANY_BUILDS'])
  for (let n = 4; n <= 17; n++) t.equal((await ask(`/builds/${n}`, 'DELETE')).statusCode, 202)
  t.match((await ask('/builds/17')).json(), { state: 'cancelled', exitCode: null, status: null })

  t.equal((await ask('/builds/1', 'DELETE')).statusCode, 202)
  t.match(await until(1, 'cancelled'), { exitCode: 143, code: null, message: /asked for again, it goes on/ })
  t.match(await until(3, 'done'), { framesDone: 2 })
  t.equal((await ask('/builds/2')).json().state, 'done', 'they run in the order in which they were asked for')
  t.equal((await ask('/builds/2', 'DELETE')).statusCode, 204)
  for (const n of ['2', '0', '99', 'x', '-1', '1.5']) t.equal((await ask(`/builds/${n}`)).statusCode, 404, n)
})

t.test('what cannot be built is answered with the status and the sentence of its reason', async t => {
  const server = await start(t)
  const { build, until, folder } = server
  mkdirSync(join(folder, 'in/empty'))
  writeSeries(join(folder, 'in/bad.pcs'), [0, 1], { 'metadata.json': '{"StartTime": ' })
  writeSeries(join(folder, 'in/gaps.pcs'), [0, 1, 2], { 'frame00001.pzf': Buffer.from('no frame') })
  const from = (name: string, fields = {}) => build({ series: join(folder, 'in', name), output: name, ...fields })
  for (const [name, status, code, message] of [
    ['none.pcs', 404, 'NOT_FOUND', /none\.pcs does not exist; .* holds/],
    ['empty', 422, 'UNSUPPORTED_DATA', /empty is an empty folder; a series is a folder with/],
    ['bad.pcs', 422, 'CORRUPT_DATA', /metadata\.json/],
  ] as const) {
    const reply = await from(name)
    t.match([reply.statusCode, reply.json()], [status, { code, message }], name)
    const { n } = (await server.ask('/builds')).json().builds.at(-1)
    t.equal(reply.headers.location, `builds/${n}`)
    t.match(await until(n, 'failed'), { status, code, message, exitCode: 1 }, 'and it is remembered')
  }
  t.match((await from('a.pcs', { strict: true, wait: 1 })).json(), { state: 'done' })
  const other = await from('a.pcs', { blend: 'last' })
  t.match([other.statusCode, other.json().message], [422, /^a\.pcs already holds a pyramid of other settings/])
  t.match((await from('a.pcs', { blend: 'last', overwrite: true, wait: 1 })).json(), { state: 'done', exitCode: 0 })
  const wrong = await from('b.pcs', { blend: 'first' })
  t.match([wrong.statusCode, wrong.json()], [400, { code: 'BAD_REQUEST', message: /--blend first is not possible/ }])
  t.match((await from('gaps.pcs', { wait: 1 })).json(), {
    ...{ state: 'done', exitCode: 2, status: null, message: '1 frame was skipped; tilestage info names them.' },
    framesDone: 3,
  })
  t.same(errorLines(server), [])
})

t.test('parameters are judged before anything is begun', async t => {
  const { build, ask, folder } = await start(t)
  const series = join(folder, 'in/a.pcs')
  symlinkSync(join(folder, 'elsewhere'), join(folder, 'out/link'))
  symlinkSync(join(folder, 'nowhere'), join(folder, 'out/dangling'))
  mkdirSync(join(folder, 'out/plate'))
  writeFileSync(join(folder, 'out/plate/zarr.json'), '{}')
  for (const [fields, status, message] of [
    [{ output: 'x' }, 400, /series is missing/],
    [{ series }, 400, /output is missing/],
    [{ series, output: '' }, 400, /output is empty/],
    [{ series: [], output: 'x' }, 400, /series is missing/],
    [{ series: [''], output: 'x' }, 400, /series cannot be ""/],
    [{ series: ['--strict'], output: 'x' }, 400, /series cannot be "--strict"/],
    [{ series: Array(2001).fill('a'), output: 'x' }, 400, /2001 series are named; 2000 are possible/],
    [{ series, output: 'x', dark: '--overwrite' }, 400, /dark cannot be "--overwrite"/],
    [{ series, output: 'x', blnd: 'last' }, 400, /"blnd" is not possible; builds have none of that name\..* blend,/],
    [{ series, output: 'x', progress: 'none' }, 400, /"progress" is not possible; the server decides that/],
    [{ series, output: 'x', workers: 64 }, 400, /"workers" is not possible/],
    [{ series, output: 'x', 'output-root': '/' }, 400, /builds have none of that name/],
    [{ series, output: 'x', show: 'yes' }, 400, /show is "yes"; it is 1 or 0/],
    [{ series, output: 'x', blend: ['last', 'mean'] }, 400, /--blend is given twice/],
    [{ series, output: 'x', origin: { x: 1 } }, 400, /origin is neither text nor a number/],
    [{ series, output: 'a\0b' }, 400, /No folder is called/],
    [{ series, output: '.' }, 403, /does not lie inside the folder/],
    [{ series, output: '..' }, 403, /--output-root/],
    [{ series, output: '../elsewhere/x' }, 403, /--output-root/],
    [{ series, output: '/tmp/x' }, 403, /--output-root/],
    [{ series, output: 'link' }, 403, /--output-root/],
    [{ series, output: 'link/x' }, 403, /--output-root/],
    [{ series, output: 'dangling/x' }, 404, /What dangling leads to does not exist/],
    [{ series, output: '.plate.old' }, 400, /may begin with a dot/],
    [{ series, output: 'plate/0/x' }, 409, /lies in a folder that is a pyramid/],
  ] as const) {
    const reply = await build(fields)
    t.match([reply.statusCode, reply.json().message], [status, message], JSON.stringify(fields).slice(0, 80))
  }
  t.same((await ask('/builds')).json(), { builds: [] })
})

t.test('with roots, series and images come from there and nothing else is looked at', async t => {
  const { build, folder } = await start(t, { roots: ['in'] })
  symlinkSync(join(folder, 'elsewhere/secret.pcs'), join(folder, 'in/z.pcs'))
  symlinkSync(join(folder, 'elsewhere'), join(folder, 'in/way'))
  // What is read along with a file may be a link as well.
  for (const name of ['z.rpl', 'z.npy']) writeFileSync(join(folder, 'in', name), '')
  for (const name of ['z.raw', 'z.csv']) symlinkSync('/etc/passwd', join(folder, 'in', name))
  const inside = (path: string): string => join(folder, 'in', path)
  const series = inside('a.pcs')
  for (const [fields, status, message] of [
    [{ series: join(folder, 'elsewhere/secret.pcs') }, 403, /secret\.pcs lies outside the folders/],
    [{ series: join(folder, 'elsewhere/*.pcs') }, 403, /lies outside/],
    [{ series: join(folder, 'nothing') }, 403, /lies outside/],
    [{ series: inside('z.pcs') }, 403, /z\.pcs lies outside/],
    [{ series: inside('z.rpl') }, 403, /z\.rpl lies outside/],
    [{ series: inside('z.npy') }, 403, /z\.npy lies outside/],
    [{ series: inside('*.pcs') }, 403, /\*\.pcs lies outside/],
    [{ series: inside('way/*.pcs') }, 403, /lies outside/],
    [{ series: `${folder}/in/../elsewhere/*.pcs` }, 400, /without \.\. and ~/],
    [{ series: '~/a.pcs' }, 400, /without \.\. and ~/],
    [{ channel: `DAPI=${join(folder, 'elsewhere/*.pcs')}` }, 403, /lies outside/],
    [{ series: 'pyme-cluster:///a.pcs' }, 403, /series on a cluster are built on the command line/],
    [{ series, cluster: '127.0.0.1:9' }, 403, /on a cluster/],
    [{ series, dark: join(folder, 'elsewhere/dark.npy') }, 403, /dark\.npy lies outside/],
    [{ series, gain: '/etc/passwd' }, 403, /lies outside/],
    [{ series: inside('none*') }, 404, /none\* matches no series/],
    [{ series: inside('{way,none}/*') }, 403, /^[^ ]*in.\{way,none\}.\* lies outside/],
    [{ series: inside('{way,none}/secret.pcs/fr*') }, 404, /^[^ ]* matches no series\.$/],
  ] as const) {
    const reply = await build({ output: 'x', ...fields })
    t.match([reply.statusCode, reply.json().message], [status, message], JSON.stringify(fields))
  }
  const channels = { channel: [`A=${inside('a*')}`, `B=${inside('b.pcs')}`], output: 'two', dark: 90, wait: 1 }
  t.match((await build(channels)).json(), { state: 'done', framesDone: 5 })
  symlinkSync(inside('a.pcs'), inside('link.pcs'))
  writeFileSync(inside('a.pcs/metadata.json'), 'damaged')
  const damaged = await build({ series: inside('link.pcs'), output: 'three' })
  t.match(
    damaged.json(),
    { code: 'CORRUPT_DATA', message: /in.link\.pcs.metadata\.json/ },
    'named as the client named it',
  )
})

t.test('builds need the right to change something; reading about them does not', async t => {
  const { build, ask, app, folder } = await start(t, { roots: ['in'], policy: { loopback: false, token: 'secret' } })
  const fields = { series: join(folder, 'in/none.pcs'), output: 'x' }
  t.equal((await build(fields)).statusCode, 401)
  t.equal((await ask('/builds/1', 'DELETE')).statusCode, 401)
  t.equal((await ask('/builds')).statusCode, 200)
  const headers = { authorization: 'Bearer secret' }
  const reply = await app.inject({ url: '/builds', method: 'POST', payload: fields, headers })
  t.equal(reply.statusCode, 404, 'with it, the series is looked for')
})

t.test('a build ends with its server, cleanly', async t => {
  const { app, build, until, folder } = await start(t)
  const series = join(folder, 'in/a.pcs')
  t.equal((await build({ series, output: 'x', watch: true })).statusCode, 202)
  const lock = join(folder, 'out/x/.tilestage-building')
  t.ok(existsSync(lock))
  const waiting = build({ series, output: 'y', wait: 1 })
  await until(2, 'queued')
  await app.close()
  t.notOk(existsSync(lock))
  t.match((await waiting).json(), { state: 'cancelled' })
})

t.test('a build ends with its server also when that is killed', async t => {
  const folder = t.testdir({})
  writeSeries(join(folder, 'a.pcs'), [0, 1])
  const args = ['build', join(folder, 'a.pcs'), '--output', join(folder, 'x'), '--watch', '--progress', 'json']
  const cli = fileURLToPath(builtModule('cli.js'))
  const build = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'pipe', 'ignore', 'ipc'] })
  await once(build.stdout as Readable, 'data')
  build.disconnect()
  t.same(await once(build, 'exit'), [143, null])
})
