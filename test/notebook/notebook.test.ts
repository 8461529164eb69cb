import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer, get, type RequestListener } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { openPyramid } from '../../src/pyramid/open-pyramid.js'
import { freePort } from '../free-port.js'
import { bundlePage, launchBrowser, untilReady } from '../public/browser.js'
import { servePage } from '../public/page-server.js'
import { comparePicture, contrastOf, truthOf } from '../public/picture-truth.js'
import { PLATE } from '../run-cli.js'
import { addressOf, startProxy } from '../server/behind-proxy.js'
import {
  type Executed,
  editNotebook,
  notebookEnvironment,
  PYTHON,
  runNotebook,
  type Settings,
  startedProcess,
} from './run-notebook.js'

const RESTART = fileURLToPath(new URL('restart-kernel.py', import.meta.url))
const HUB = 'hub.example'
/** The machine may be running other tests. */
const PATIENCE_MS = 180_000

let browser: Browser
t.before(async () => {
  // The hub has a name that is neither an address nor this machine's.
  browser = await launchBrowser([`--host-resolver-rules=MAP ${HUB} 127.0.0.1`])
})
t.teardown(() => browser.close())

/** A folder with the sample plate and a port of its own; what a notebook starts there ends with the test. */
async function notebookFolder(t: Test): Promise<{
  folder: string
  server: string
  port: number
  run: (runs?: readonly Settings[], environment?: Record<string, string>) => Promise<Executed[]>
}> {
  const folder = t.testdir()
  cpSync(PLATE, join(folder, 'plate'), { recursive: true })
  const port = await freePort()
  const server = `http://127.0.0.1:${port}`
  return {
    ...{ folder, server, port },
    async run(runs = [{}], environment = {}) {
      const own = runs.map(settings => ({ server: `"${server}"`, ...settings }))
      const executed = await runNotebook(folder, own, environment)
      for (const { printed } of executed) {
        const started = startedProcess(printed)
        if (started !== undefined) t.teardown(() => process.kill(started))
      }
      return executed
    },
  }
}

/** The name of the pyramid that everybody looks at. */
async function shownAt(server: string): Promise<string> {
  const { current } = (await (await fetch(`${server}/current`)).json()) as { current: { name: string } }
  return current.name
}

/** Answers every request with a notebook's outputs, as Jupyter shows them. */
const showNotebook =
  ({ html }: Executed): RequestListener =>
  (_, reply) =>
    reply.setHeader('content-type', 'text/html').end(`<!doctype html><meta charset="utf-8">${html}`)

/** Open a notebook. @returns the page in its frame, as if it were a page of its own. */
async function openFrame(t: Test, url: string): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1300, height: 1200 }, reducedMotion: 'reduce' })
  t.teardown(() => context.close())
  context.setDefaultTimeout(PATIENCE_MS)
  const page = await context.newPage()
  await page.goto(url)
  const element = await page.waitForSelector('iframe')
  t.match(await element.boundingBox(), { width: 1200, height: 1000 })
  const frame = await element.contentFrame()
  if (!frame) throw new Error('the frame shows nothing')
  const inFrame = Object.assign(Object.create(frame), { screenshot: () => element.screenshot() }) as unknown as Page
  await untilReady(inFrame)
  return inFrame
}

t.test('the notebook builds the sample plate, starts a server, and shows true counts in its frame', async t => {
  const { folder, server, run } = await notebookFolder(t)
  const [executed] = (await run()) as [Executed]
  t.equal(executed.failure, undefined)
  t.match(executed.printed, /^3 series, 75 frames\n/)
  const output = join(folder, 'tiles/three_wells')
  t.match(executed.html, `75 frames, built in `)
  t.match(executed.html, `: ${output}`)
  t.equal(await shownAt(server), 'three_wells')
  const jupyter = createServer(showNotebook(executed)).listen(0, '127.0.0.1')
  await once(jupyter, 'listening')
  t.teardown(() => jupyter.close())
  const frame = await openFrame(t, `http://localhost:${addressOf(jupyter).port}/notebooks/plate.ipynb`)
  const pyramid = await openPyramid(output)
  t.teardown(() => pyramid.close())
  const { covered } = await comparePicture(t, frame, truthOf(pyramid), await contrastOf(frame), 'the plate')
  t.ok(covered > 1000)

  const a1 = { output_directory: `"${join(folder, 'elsewhere/A1')}"`, series_glob_pattern: '["plate/*A1.pcs"]' }
  const [second] = (await run([a1])) as [Executed]
  t.equal(second.failure, undefined)
  t.match(second.printed, /^1 series, 25 frames\n$/, 'no second server is started')
  t.equal(await shownAt(server), 'A1', 'but the running one swapped')
  await frame.waitForFunction(() => document.title.includes('A1'))

  const [third] = (await run()) as [Executed]
  t.match(third.html, 'already built')
  t.equal(await shownAt(server), 'three_wells')
})

t.test(
  'behind JupyterHub the frame goes through its proxy, by any name, also where that holds events back',
  async t => {
    const { folder, server, port, run } = await notebookFolder(t)
    const prefix = '/user/ann/'
    const [executed] = (await run([{}], { JUPYTERHUB_SERVICE_PREFIX: prefix })) as [Executed]
    t.equal(executed.failure, undefined)
    t.match(executed.html, `src="${prefix}proxy/${port}/"`)
    const habits = { prefix: `${prefix}proxy/${port}/`, strips: true, buffers: true, forwards: false }
    const proxy = await startProxy(new URL(server), habits, showNotebook(executed))
    t.teardown(() => {
      proxy.closeAllConnections()
      proxy.close()
    })
    const frame = await openFrame(t, `http://${HUB}:${addressOf(proxy).port}${prefix}notebooks/plate.ipynb`)
    const pyramid = await openPyramid(join(folder, 'tiles/three_wells'))
    t.teardown(() => pyramid.close())
    const { covered } = await comparePicture(t, frame, truthOf(pyramid), await contrastOf(frame), 'the plate')
    t.ok(covered > 1000)
    const a2 = { output_directory: '"tiles/A2"', series_glob_pattern: '"plate/*A2.pcs"' }
    await run([a2], { JUPYTERHUB_SERVICE_PREFIX: prefix })
    await frame.waitForFunction(() => document.title.includes('A2'))
    t.pass('a swap is seen, though no event comes through')
  },
)

t.test('VS Code and a Jupyter with a proxy are found by what they say of themselves', async t => {
  const { folder, server, port, run } = await notebookFolder(t)
  const [code] = (await run([{}], { VSCODE_PROXY_URI: 'https://code.example/proxy/{{port}}' })) as [Executed]
  t.match(code.html, `src="https://code.example/proxy/${port}/"`)
  const asked = (host: string): Promise<number> => statusFor(`${server}/healthz`, host)
  t.same(await Promise.all(['code.example', 'evil.example'].map(asked)), [200, 403])

  const tokens: unknown[] = []
  let hasProxy = true
  const jupyter = createServer((request, reply) => {
    tokens.push(request.headers.authorization)
    // Without a proxy it sends everybody to the address without a slash, and has nothing there.
    reply.writeHead(hasProxy && request.url === `/lab/proxy/${port}/` ? 200 : 302, { location: '/lab/nothing' }).end()
  }).listen(0, '127.0.0.1')
  await once(jupyter, 'listening')
  t.teardown(() => jupyter.close())
  const url = new URL('lab/', addressOf(jupyter)).href
  mkdirSync(join(folder, 'runtime'), { recursive: true })
  const runBelow = (): Promise<Executed[]> =>
    runNotebook(folder, [{ server: `"${server}"` }], {}, ({ pid }) => {
      const said = { url, base_url: '/lab/', hostname: 'localhost', token: 'secret' }
      writeFileSync(join(folder, 'runtime', `jpserver-${pid}.json`), JSON.stringify(said))
    })
  t.match((await runBelow())[0]?.html, `src="/lab/proxy/${port}/"`)
  hasProxy = false
  t.match((await runBelow())[0]?.html, `src="${server}/"`)
  t.same(tokens, ['token secret', 'token secret'])
})

/** Ask with a Host header of one's own, which `fetch` does not allow. */
function statusFor(url: string, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    get(url, { headers: { host }, agent: false }, answer => resolve(answer.resume().statusCode ?? 0)).on(
      'error',
      reject,
    )
  })
}

t.test('a shared host is swapped with its token, and says where it is not', async t => {
  const { folder, run } = await notebookFolder(t)
  const assetsFolder = await bundlePage(join(folder, 'page'))
  const shared = await servePage(assetsFolder, [], { trustProxy: true, roots: [folder], token: 'open sesame' })
  t.teardown(() => shared.close())
  const server = `"${shared.url.replace(/\/#.*$/, '')}"`
  const runs: Settings[] = [{ server, token: '"wrong"' }, { server }, { server: '"http://nowhere.invalid:8979"' }]
  const executed = await run(runs, { TILESTAGE_TOKEN: 'open sesame' })
  const [wrong, right, away] = executed as [Executed, Executed, Executed]
  t.match(wrong.failure, /^tilestage: .*token/)
  t.notMatch(wrong.html, 'iframe')
  t.equal(right.failure, undefined)
  t.match(right.html, new RegExp(`src=${server.slice(0, -1)}/"`))
  t.notMatch(right.html, 'sesame', 'the token is not saved with the notebook')
  t.equal(await shownAt(server.slice(1, -1)), 'three_wells')
  t.match(away.failure, /^tilestage: http:\/\/nowhere\.invalid:8979 does not answer; /)
})

t.test('what cannot be done is one sentence', async t => {
  const { folder, server, port, run } = await notebookFolder(t)
  writeFileSync(join(folder, 'file'), '')
  const other = createServer((_, reply) => reply.writeHead(404).end('<h1>Not found</h1>')).listen(port, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  const runs: [Settings, RegExp | string][] = [
    [{ series_glob_pattern: '"plaet/*.pcs"' }, /^tilestage: .*plaet\/\*\.pcs.*$/],
    [{ output_directory: '"file"' }, /^tilestage: .*file is .*$/],
    [{ build_options: '["--blend", "soft"]' }, /^tilestage: --blend soft is not possible; .*$/],
    [{}, `tilestage: What answers at ${server} is no tile server; choose another port.`],
  ]
  const executed = await run(runs.map(([settings]) => settings))
  for (const [i, [, sentence]] of runs.entries()) t.match(executed[i]?.failure, sentence)
  const [missing] = await run([{}], { TILESTAGE: join(folder, 'nothing') })
  t.match(missing?.failure, /^tilestage: .*nothing is not here; .*$/)
})

t.test('a kernel that is restarted while it builds goes on with the build', async t => {
  const { folder, server } = await notebookFolder(t)
  const settings = { server: `"${server}"` }
  // It follows the acquisition, and so does not end by itself.
  const path = editNotebook(folder, { ...settings, build_options: '["--watch"]' })
  const again = `output_directory, series_glob_pattern, server = "tiles/three_wells", "plate/*.pcs", "${server}"\nbuild_options, token = [], None`
  const child = spawn(PYTHON, [RESTART, path, again], {
    cwd: folder,
    env: { ...process.env, ...notebookEnvironment(folder) },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let printed = ''
  child.stdout.on('data', text => {
    printed += text
  })
  const [status] = await once(child, 'close')
  const started = startedProcess(printed)
  if (started !== undefined) t.teardown(() => process.kill(started))
  t.equal(status, 0)
  t.match(printed, '3 series, 75 frames')
  t.match(printed, /75 frames, (already )?built/)
  t.equal(await shownAt(server), 'three_wells', 'the server outlived the kernel')
})
