import { randomUUID } from 'node:crypto'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import t from 'tap'
import { addressOf, checkBehindProxy, startProxy } from './behind-proxy.js'
import { buildSamplePlate, startSampleServer } from './sample-server.js'
import { PAGE_FILES } from './test-app.js'

const plate = await buildSamplePlate(t)
/** The same picture as another pyramid. */
const other = join(dirname(plate), 'other')
await cp(plate, other, { recursive: true })
const root = JSON.parse(await readFile(join(other, 'zarr.json'), 'utf8'))
root.attributes.tilestage.id = randomUUID()
await writeFile(join(other, 'zarr.json'), JSON.stringify(root))

const page = '<!doctype html><link rel="stylesheet" href="viewer.css"><script type="module" src="viewer.js"></script>'

for (const [name, habits] of [
  [
    'a notebook hub that cuts the prefix off and buffers',
    { prefix: '/user/ann/proxy/8979/', strips: true, buffers: true, forwards: false },
  ],
  ['a proxy that leaves the prefix', { prefix: '/tiles/', strips: false, buffers: false, forwards: false }],
  ['a trusted proxy of a shared host', { prefix: '/tiles/', strips: true, buffers: false, forwards: true }],
] as const) {
  t.test(`all works behind ${name}`, async t => {
    const assetsFolder = t.testdir({ ...PAGE_FILES, 'index.html': page })
    const server = await startSampleServer(t, plate, {
      assetsFolder,
      basePath: habits.prefix,
      allowedHosts: ['hub.example'],
      ...(habits.forwards && { trustProxy: true, roots: [dirname(plate)], token: 'secret' }),
    })
    const proxy = await startProxy(new URL(server.address), habits)
    t.teardown(() => {
      proxy.closeAllConnections()
      proxy.close()
    })
    const checks = await checkBehindProxy({
      url: new URL(habits.prefix, addressOf(proxy)),
      publicHost: 'hub.example',
      token: server.token,
      prefix: habits.prefix,
      buffers: habits.buffers,
      pyramids: [plate, other],
    })
    for (const { says, isTrue, found } of checks) t.ok(isTrue, `${says} (${found})`)
    t.ok(checks.length > 12)
  })
}
