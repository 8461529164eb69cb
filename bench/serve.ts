/**
 * How fast are tiles? `npm run bench:serve -- [seconds a run] [runs]`
 *
 * The same pixels through tilestage, nginx (our PNGs as files) and iipsrv (JPEG tiles of a pyramidal TIFF): one process
 * and one core each, wrk on another core, servers in turn within each run. Needs Linux with two cores.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { automaticWindow } from '../src/pyramid/histogram.js'
import { openPyramid } from '../src/pyramid/open-pyramid.js'
import { presentTiles } from '../src/pyramid/present-tiles.js'
import type { Pyramid } from '../src/pyramid/pyramid.js'
import { readRegion } from '../src/pyramid/read-region.js'
import { account, median } from './account.js'
import { makePlate } from './make-plate.js'
import { type Load, load, loopDelayP99Ms, MeasuredServer, WALK_SCRIPT } from './measured-server.js'

const CLI = fileURLToPath(new URL('../cli.js', import.meta.url))
const IIPSRV = '/usr/lib/iipimage-server/iipsrv.fcgi'
const PLATE = { series: 1, framesPerSeries: 200, edge: 512 }
/** Of the last two, iipsrv itself listens one above. */
const PORTS = { tilestage: 18_979, uncached: 18_980, nginx: 18_981, iipsrv: 18_982, uncachedIipsrv: 18_984 }
const FIRST_PLANE = { channel: 0, zPlane: 0, timePoint: 0 }
const IDLE_S = 4

const [secondsText = '2', runsText = '5'] = process.argv.slice(2)
const [seconds, runs] = [Number(secondsText), Number(runsText)]
expectPrograms()
const scratch = mkdtempSync(join(tmpdir(), 'tilestage-bench-serve-'))
const servers: MeasuredServer[] = []
try {
  await measure()
} finally {
  await Promise.all(servers.map(server => server.stop()))
  rmSync(scratch, { recursive: true, force: true })
}

function expectPrograms(): void {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin']
  const isThere = (program: string): boolean => folders.some(folder => existsSync(join(folder, program)))
  const missing = [
    ...['wrk', 'nginx', 'taskset'].filter(program => !isThere(program)),
    ...(existsSync(IIPSRV) ? [] : ['iipsrv']),
  ]
  if (missing.length === 0) return
  console.error(`${missing.join(', ')} missing: apt-get install wrk nginx-light iipimage-server util-linux`)
  process.exit(1)
}

/** One row of the table. */
interface Scenario {
  readonly name: string
  readonly server: MeasuredServer
  readonly port: number
  readonly paths: readonly string[]
}

async function measure(): Promise<void> {
  const folders = makePlate(join(scratch, 'plate'), PLATE)
  const path = join(scratch, 'pyramid')
  account(CLI, ['build', ...folders, '--output', path, '--progress', 'none'])
  const pyramid = await openPyramid(path)
  const addresses = presentTiles(pyramid.coverage(FIRST_PLANE), pyramid.geometry, 0)
  const zoom = pyramid.geometry.levelCount - 1
  const tile = addresses[Math.floor(addresses.length / 2)]
  const urlOf = ({ column, row }: typeof tile, extension: string): string =>
    `/pyramids/${pyramid.id}/tiles/${zoom}/${column}/${row}.${extension}`
  const walk = (extension: string): string[] => addresses.map(address => urlOf(address, extension))

  const tilestage = await startTilestage(path, PORTS.tilestage, [])
  const uncached = await startTilestage(path, PORTS.uncached, ['--cache', '0'])
  const bytes = await savePictures(walk('png'))
  const nginx = await startNginx()
  const iipsrv = await startIipsrv(PORTS.iipsrv, 10)
  const uncachedIipsrv = await startIipsrv(PORTS.uncachedIipsrv, 0)
  const window = automaticWindow(await pyramid.histogram(0), pyramid.sampleType)
  const columns = Math.ceil(pyramid.geometry.size.width / pyramid.geometry.tileSize)
  const jpegs = await savePyramidalTiff(pyramid, `${window.black},${window.white}`)
  await pyramid.close()

  const hot = urlOf(tile, 'png')
  const scenarios: readonly Scenario[] = [
    { name: 'nginx, one PNG as a file', server: nginx, port: PORTS.nginx, paths: [hot] },
    { name: 'nginx, all PNGs as files', server: nginx, port: PORTS.nginx, paths: walk('png') },
    { name: 'tilestage, one PNG, hot', server: tilestage, port: PORTS.tilestage, paths: [hot] },
    { name: 'tilestage, all PNGs, hot', server: tilestage, port: PORTS.tilestage, paths: walk('png') },
    { name: 'tilestage, PNG, cold', server: uncached, port: PORTS.uncached, paths: walk('png') },
    { name: 'tilestage, .bin, from disk', server: uncached, port: PORTS.uncached, paths: walk('bin') },
    { name: 'tilestage, .blosc', server: uncached, port: PORTS.uncached, paths: walk('blosc') },
    {
      name: 'iipsrv, one JPEG, hot',
      server: iipsrv,
      port: PORTS.iipsrv,
      paths: [jpegs(tile.row * columns + tile.column)],
    },
    {
      name: 'iipsrv, JPEG, cold',
      server: uncachedIipsrv,
      port: PORTS.uncachedIipsrv,
      paths: addresses.map(({ row, column }) => jpegs(row * columns + column)),
    },
  ]
  console.log(
    `${addresses.length} tiles of ${pyramid.geometry.tileSize}² ${pyramid.sampleType}; a PNG has ${(bytes / addresses.length / 1000).toFixed(1)} kB; medians of ${runs} runs of ${seconds} s\n`,
  )
  for (const connections of [1, 16]) printTable(connections, await runAll(scenarios, connections))
  await printLoopDelay(scenarios[4])
}

async function startServer(...commands: Parameters<typeof MeasuredServer.start>[0]): Promise<MeasuredServer> {
  const server = await MeasuredServer.start(commands)
  servers.push(server)
  return server
}

function startTilestage(pyramid: string, port: number, flags: readonly string[]): Promise<MeasuredServer> {
  const command = [process.execPath, CLI, 'serve', pyramid, '--port', String(port), '--log-level', 'error', ...flags]
  return startServer({ command, port })
}

function startNginx(): Promise<MeasuredServer> {
  return startServer(nginxCommand(PORTS.nginx, `root ${join(scratch, 'files')};`, 'types { image/png png; }'))
}

/** iipsrv speaks FastCGI, so a web server stands in front of it; the time of both counts. */
function startIipsrv(port: number, cacheMb: number): Promise<MeasuredServer> {
  const [front, behind] = [port, port + 1]
  const pass = `location / { fastcgi_pass iipsrv; fastcgi_keep_conn on; fastcgi_param QUERY_STRING $query_string; fastcgi_param REQUEST_METHOD GET; }`
  return startServer(
    {
      command: [IIPSRV, '--bind', `127.0.0.1:${behind}`],
      port: behind,
      env: { VERBOSITY: '0', LOGFILE: join(scratch, 'iipsrv.log'), MAX_IMAGE_CACHE_SIZE: String(cacheMb) },
    },
    nginxCommand(front, pass, `upstream iipsrv { server 127.0.0.1:${behind}; keepalive 32; }`),
  )
}

function nginxCommand(
  port: number,
  server: string,
  http: string,
): { readonly command: readonly string[]; readonly port: number } {
  const file = join(scratch, `nginx-${port}.conf`)
  const settings =
    'access_log off; sendfile on; tcp_nopush on; open_file_cache max=10000; keepalive_requests 1000000000;'
  writeFileSync(
    file,
    `master_process off; daemon off; pid ${file}.pid; error_log ${file}.log;
events { worker_connections 1024; }
http { ${settings} ${http} server { listen 127.0.0.1:${port}; ${server} } }
`,
  )
  return { command: ['nginx', '-e', `${file}.log`, '-c', file], port }
}

/** Write our PNGs where nginx finds them under the same paths. @returns bytes of all. */
async function savePictures(paths: readonly string[]): Promise<number> {
  let bytes = 0
  for (const path of paths) {
    const reply = await fetch(`http://127.0.0.1:${PORTS.tilestage}${path}`)
    if (reply.status !== 200) throw new Error(`${path} is answered with ${reply.status}`)
    const picture = new Uint8Array(await reply.arrayBuffer())
    const file = join(scratch, 'files', path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, picture)
    bytes += picture.length
  }
  return bytes
}

/** Write the mosaic as iipsrv likes it best: tiled, with levels, not compressed. @returns the path of a tile by its number. */
async function savePyramidalTiff(pyramid: Pyramid, window: string): Promise<(tile: number) => string> {
  const file = join(scratch, 'mosaic.tif')
  const { geometry } = pyramid
  const { width, height } = geometry.size
  const { plane } = await readRegion(pyramid, FIRST_PLANE, 0, { x0: 0, y0: 0, x1: width, y1: height })
  const edge = geometry.tileSize
  await sharp(plane.samples as Uint16Array, { raw: { width, height, channels: 1 }, limitInputPixels: false })
    .toColourspace('grey16')
    .tiff({ tile: true, tileWidth: edge, tileHeight: edge, pyramid: true, compression: 'none' })
    .toFile(file)
  return tile => `/?FIF=${file}&MINMAX=1:${window}&JTL=${geometry.levelCount - 1},${tile}`
}

interface Row {
  readonly scenario: Scenario
  readonly loads: Load[]
}

/** All scenarios in turn, again and again, so that what else the machine does falls on all alike. */
async function runAll(scenarios: readonly Scenario[], connections: number): Promise<Row[]> {
  const script = join(scratch, 'walk.lua')
  writeFileSync(script, WALK_SCRIPT)
  const rows = scenarios.map((scenario, i) => ({ scenario, paths: join(scratch, `paths-${i}`), loads: [] as Load[] }))
  for (const { scenario, paths } of rows) writeFileSync(paths, `${scenario.paths.join('\n')}\n`)
  for (let run = -1; run < runs; run++) {
    for (const { scenario, paths, loads } of rows) {
      const one = await load(scenario.server, { port: scenario.port, paths, script, connections, seconds })
      // The first run warms caches and compilers up.
      if (run >= 0) loads.push(one)
    }
  }
  return rows
}

function printTable(connections: number, rows: readonly Row[]): void {
  const of = ({ loads }: Row, figure: keyof Load): number => median(loads.map(one => one[figure]))
  const reference = of(rows[0], 'requestsPerS')
  console.log(
    `| ${connections === 1 ? '1 connection' : `${connections} connections`} | requests/s | of nginx | p50 ms | p99 ms | µs CPU | MB |`,
  )
  console.log('| --- | --- | --- | --- | --- | --- | --- |')
  for (const row of rows) {
    const cells = [
      row.scenario.name,
      Math.round(of(row, 'requestsPerS')).toLocaleString('en'),
      `${Math.round((100 * of(row, 'requestsPerS')) / reference)} %`,
      of(row, 'p50Ms').toFixed(2),
      of(row, 'p99Ms').toFixed(2),
      of(row, 'cpuUsPerRequest').toFixed(0),
      row.scenario.server.rssMb.toFixed(0),
    ]
    console.log(`| ${cells.join(' | ')} |`)
  }
  console.log()
}

/** How late the event loop is while it does nothing, and while pictures are drawn as fast as it goes. */
async function printLoopDelay({ server, port, paths }: Scenario): Promise<void> {
  // Every reading begins a new measurement.
  await loopDelayP99Ms(port)
  await delay(1000 * IDLE_S)
  const idle = await loopDelayP99Ms(port)
  const [script, list] = [join(scratch, 'walk.lua'), join(scratch, 'paths-loop')]
  writeFileSync(list, `${paths.join('\n')}\n`)
  await load(server, { port, paths: list, script, connections: 16, seconds: 2 * seconds })
  const busy = await loopDelayP99Ms(port)
  console.log(
    `event loop, p99: idle ${idle.toFixed(1)} ms, drawing PNGs for 16 connections ${busy.toFixed(1)} ms, ${(busy - idle).toFixed(1)} ms more`,
  )
}
