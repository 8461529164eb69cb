// Runs the image as a lab would, as a user of its own on a read-only file system, and checks what it answers:
// node scripts/check-image.mjs [IMAGE], with podman, or with another engine: CONTAINER_ENGINE=docker
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const image = process.argv[2] ?? 'localhost/tilestage'
const command = process.env.CONTAINER_ENGINE ?? 'podman'
/** Neither root nor the user that the image names: no home, no line in /etc/passwd. */
const USER = 12345
const TOKEN = 'a token of the check'
const LONGEST_START_MS = 60_000

const work = mkdtempSync(join(tmpdir(), 'tilestage-image-'))
const data = join(work, 'data')
mkdirSync(data)
chmodSync(work, 0o755)
chmodSync(data, 0o777)
const name = `tilestage-check-${process.pid}`
process.on('exit', () => {
  spawnSync(command, ['rm', '--force', name], { stdio: 'ignore' })
  // Whoever started the engine need not own what a user of the container wrote.
  inImage("fs.rmSync('/data/plate_07', { recursive: true, force: true })", '--volume', `${data}:/data`)
  rmSync(work, { recursive: true, force: true })
})

/** What a podman needs that is itself in a container: no systemd, and no right to raise its limits. */
const INSIDE = `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
`
const LOCKED = ['--read-only', '--user', `${USER}:${USER}`, '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges']

/** Run the engine to its end. @returns what it wrote. */
function engine(...args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw error ?? new Error(`${command} ${args.join(' ')}: ${stderr}`)
  return stdout.trim()
}

function inImage(script, ...options) {
  return engine('run', '--rm', '--network', 'none', ...LOCKED, ...options, '--entrypoint', 'node', image, '-e', script)
}

const checked = text => console.log(`ok  ${text}`)

try {
  inImage('')
} catch (error) {
  if (command !== 'podman') throw error
  writeFileSync(join(work, 'containers.conf'), INSIDE)
  process.env.CONTAINERS_CONF = join(work, 'containers.conf')
  inImage('')
}

const size = Number(engine('image', 'inspect', '--format', '{{.Size}}', image))
const packages = inImage("console.log(fs.readdirSync('node_modules').join())").split(',')
assert.ok(packages.includes('fastify'))
assert.deepEqual(
  packages.filter(name => /^(typescript|esbuild|tap|assemblyscript|playwright-core|ol)$/.test(name)),
  [],
)
checked(`${Math.round(size / 1e6)} MB, nothing of development in it`)

engine(
  ...['run', '--rm', '--network', 'none', ...LOCKED, '--volume', `${data}:/data`, '--entrypoint', 'node', image],
  ...['dist/cli.js', 'build', '/app/examples/plate/well_A1.pcs', '--output', '/data/plate_07', '--progress', 'none'],
)
checked('a series is built below /data')

const port = await freePort()
const url = path => `http://127.0.0.1:${port}/${path}`
// The network of this machine: a sandbox may have no bridge to publish a port on.
const server = spawn(
  command,
  [
    ...['run', '--rm', '--name', name, '--network', 'host', ...LOCKED, '--volume', `${data}:/data:ro`],
    ...['--env', `TILESTAGE_PORT=${port}`, '--env', `TILESTAGE_TOKEN=${TOKEN}`, image, '/data/plate_07'],
  ],
  { stdio: ['ignore', 'ignore', 'pipe'] },
)
const ended = once(server, 'close')
let log = ''
server.stderr.on('data', bytes => {
  log += bytes
})
await started()

assert.equal(engine('exec', name, 'node', '-p', 'process.getuid()'), String(USER))
for (const folder of ['/', '/app', '/state', '/data', '/data/plate_07']) {
  assert.throws(() => engine('exec', name, 'node', '-e', `fs.writeFileSync('${folder}/x', '')`), /EROFS|EACCES/)
}
checked('/healthz answers; the server is not root, and can write nowhere')

if (command === 'podman') engine('healthcheck', 'run', name)
else while (engine('inspect', '--format', '{{.State.Health.Status}}', name) !== 'healthy') await sleep(1000)
checked('HEALTHCHECK finds it healthy')

const { pyramids } = await (await fetch(url('pyramids'))).json()
assert.deepEqual(
  pyramids.map(({ name, complete, current }) => ({ name, complete, current })),
  [{ name: 'plate_07', complete: true, current: true }],
)
for (const type of ['png', 'webp', 'jpg']) {
  const tile = await fetch(url(`tiles/1/0/0.${type}`))
  assert.equal(tile.status, 200)
  assert.equal(tile.headers.get('content-type'), `image/${type.replace('jpg', 'jpeg')}`)
  assert.ok((await tile.arrayBuffer()).byteLength > 1000)
}
assert.match(await (await fetch(url(''))).text(), /viewer\.js/)
checked('the page and tiles of /data/plate_07 are served')

const show = (folder, token) =>
  fetch(url(`set_tile_source?tile_dir=${folder}`), { redirect: 'manual', headers: { 'x-tilestage-token': token } })
assert.equal((await fetch(url('set_tile_source?tile_dir=/data/plate_07'), { redirect: 'manual' })).status, 401)
assert.equal((await show('/data/plate_07', TOKEN)).status, 303)
assert.equal((await show('/app/examples', TOKEN)).status, 403)
checked('what is shown changes with the token only, and to nothing outside /data')

const marked = await fetch(url(`pyramids/${pyramids[0].id}/rois`), {
  method: 'POST',
  headers: { 'x-tilestage-token': TOKEN, 'content-type': 'application/json' },
  body: JSON.stringify({ x: 10_050, y: 20_050 }),
})
assert.ok(marked.ok, await marked.text())
checked('ROIs are taken without a folder for them')

engine('stop', '--time', '20', name)
const [status] = await ended
assert.equal(status, 0, log)
checked('it stops on SIGTERM with status 0')

/** Wait for the server's first answer. */
async function started() {
  const limit = Date.now() + LONGEST_START_MS
  for (;;) {
    const reply = await fetch(url('healthz')).catch(() => undefined)
    if (reply?.ok) return
    if (server.exitCode !== null || Date.now() > limit) throw new Error(`The server does not answer: ${log}`)
    await sleep(100)
  }
}

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  await new Promise(resolve => probe.close(resolve))
  return port
}
