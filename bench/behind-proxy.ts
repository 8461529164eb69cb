/**
 * Does everything work behind proxies? `npm run check:proxy`
 *
 * The program behind a small proxy that cuts the prefix off and buffers, behind one that leaves it, and behind nginx,
 * where that is installed, with the configuration of docs/shared-host.md. Prints what was checked; status 1 where
 * something does not hold.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort } from '../test/free-port.js'
import { addressOf, checkBehindProxy, type ProxiedServer, startProxy } from '../test/server/behind-proxy.js'

const CLI = fileURLToPath(new URL('../cli.js', import.meta.url))
const PLATE = fileURLToPath(new URL('../../examples/plate', import.meta.url))
const SHARED_HOST = fileURLToPath(new URL('../../docs/shared-host.md', import.meta.url))

const scratch = realpathSync(mkdtempSync(join(tmpdir(), 'tilestage-proxy-')))
const children: ChildProcess[] = []
let failures = 0

function makePyramids(): [string, string] {
  const [plate, other] = [join(scratch, 'plate'), join(scratch, 'other')]
  const series = ['A1', 'A2', 'B1'].map(well => join(PLATE, `well_${well}.pcs`))
  const { status } = spawnSync(process.execPath, [CLI, 'build', ...series, '--output', plate], { stdio: 'inherit' })
  if (status !== 0) throw new Error(`the sample plate was not built: status ${status}`)
  cpSync(plate, other, { recursive: true })
  const root = JSON.parse(readFileSync(join(other, 'zarr.json'), 'utf8'))
  root.attributes.tilestage.id = randomUUID()
  writeFileSync(join(other, 'zarr.json'), JSON.stringify(root))
  return [plate, other]
}

/** Start the program. @returns its printed URL. */
async function serve(...args: readonly string[]): Promise<URL> {
  const child = spawn(process.execPath, [CLI, 'serve', '--port', '0', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  for await (const text of child.stdout) return new URL(String(text).trim())
  throw new Error('the server ended before it listened')
}

async function report(title: string, proxied: ProxiedServer): Promise<void> {
  console.log(`\n${title}`)
  for (const { says, isTrue, found } of await checkBehindProxy(proxied)) {
    console.log(`  ${isTrue ? 'yes' : 'NO '}  ${says}${isTrue ? '' : `: ${found}`}`)
    if (!isTrue) failures++
  }
}

/** nginx with the configuration of the documentation, but for its ports. @returns where it listens. */
async function startNginx(backend: URL): Promise<URL> {
  const documented = /^```nginx\n(.*?)^```$/ms.exec(readFileSync(SHARED_HOST, 'utf8'))?.[1]
  if (!documented) throw new Error('docs/shared-host.md has no configuration of nginx')
  const port = await freePort()
  const site = documented.replace('listen 80;', `listen 127.0.0.1:${port};`).replace('127.0.0.1:8979', backend.host)
  const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  mkdirSync(join(scratch, 'nginx'))
  const config = join(scratch, 'nginx', 'nginx.conf')
  const temporary = places.map(place => `${place}_temp_path ${join(scratch, 'nginx', place)};`).join(' ')
  const logs = `access_log off; error_log ${join(scratch, 'nginx', 'error.log')};`
  writeFileSync(
    config,
    `daemon off; pid ${join(scratch, 'nginx', 'pid')}; events {}\nhttp { ${logs} ${temporary}\n${site} }\n`,
  )
  children.push(spawn('nginx', ['-e', join(scratch, 'nginx', 'error.log'), '-c', config], { stdio: 'inherit' }))
  const url = new URL(`http://127.0.0.1:${port}/`)
  for (let tries = 0; tries < 50; tries++) {
    if (
      await fetch(url).then(
        () => true,
        () => false,
      )
    )
      return url
    await delay(100)
  }
  throw new Error('nginx does not answer')
}

try {
  const pyramids = makePyramids()
  const hub = { prefix: '/user/ann/proxy/8979/', publicHost: 'hub.example' }
  for (const habits of [
    { prefix: hub.prefix, strips: true, buffers: true, forwards: false },
    { prefix: hub.prefix, strips: false, buffers: false, forwards: false },
  ]) {
    const basePath = habits.strips ? [] : ['--base-path', hub.prefix]
    const server = await serve(pyramids[0], '--allowed-host', hub.publicHost, ...basePath)
    const proxy = await startProxy(server, habits)
    const title = `a proxy that ${habits.strips ? 'cuts the prefix off' : 'leaves the prefix'}${habits.buffers ? ' and buffers' : ''}`
    await report(title, { ...hub, url: new URL(hub.prefix, addressOf(proxy)), buffers: habits.buffers, pyramids })
    proxy.closeAllConnections()
    proxy.close()
  }
  if (spawnSync('nginx', ['-v']).status === 0) {
    const shared = ['--trust-proxy', '--root', scratch, '--base-path', '/tiles/', '--allowed-host', 'lab.example']
    const server = await serve(pyramids[0], ...shared)
    const token = new URLSearchParams(server.hash.slice(1)).get('token') ?? undefined
    const url = new URL('/tiles/', await startNginx(server))
    const proxied = { url, publicHost: 'lab.example', prefix: '/tiles/', buffers: false, pyramids }
    await report('nginx, as in docs/shared-host.md', { ...proxied, ...(token && { token }) })
  } else console.log('\nnginx is not installed')
} finally {
  for (const child of children) child.kill()
  rmSync(scratch, { recursive: true, force: true })
}
process.exitCode = failures > 0 ? 1 : 0
