/**
 * Is a build from a cluster that from the disk, and how fast is reading from it? `npm run bench:cluster -- [frames] [rounds]`
 *
 * 1. The sample plate spread over two data servers, and the same plate on disk: every file of both pyramids compared.
 * 2. All frames of a series, by the reader of the build and by plain parallel GETs of node:http, in turn.
 * 3. Opening a series of 10,000 frames, from the disk and from two servers.
 *
 * Exit status 1 where a shard differs.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ClusterReader } from '../src/sources/cluster/cluster-reader.js'
import { parseServers } from '../src/sources/cluster/data-server.js'
import { PATIENCE } from '../src/sources/cluster/patience.js'
import { mapConcurrently } from '../src/sources/map-concurrently.js'
import { openSources } from '../src/sources/open-source.js'
import { splitSeries } from '../test/data-server/split-series.js'
import { account, median } from './account.js'
import { comparePyramids } from './compare-pyramids.js'
import { makePlate } from './make-plate.js'
import { startDataServers } from './start-data-servers.js'

const CLI = fileURLToPath(new URL('../cli.js', import.meta.url))
const PLATE = fileURLToPath(new URL('../../examples/plate', import.meta.url))
const EDGE = 512
const CONCURRENT_FRAMES = 8
const MANY_FRAMES = 10_000

const [frameCount = 400, rounds = 7] = process.argv.slice(2).map(Number)
const scratch = mkdtempSync(join(tmpdir(), 'tilestage-bench-cluster-'))

try {
  await compareBuilds()
  await measureReading()
  await measureOpening()
} finally {
  rmSync(scratch, { recursive: true })
}

/** Two folders, each for a server. */
function makeRoots(name: string): readonly [string, string] {
  const roots = [join(scratch, name, 'node0'), join(scratch, name, 'node1')] as const
  for (const root of roots) mkdirSync(root, { recursive: true })
  return roots
}

async function compareBuilds(): Promise<void> {
  const roots = makeRoots('split')
  for (const name of readdirSync(PLATE)) splitSeries(join(PLATE, name), roots, `multiwell/${name}`)
  const servers = await startDataServers(roots)
  // The name of a pyramid is that of its folder, and written into it.
  const [fromDisk, fromCluster] = ['disk', 'cluster'].map(name => join(scratch, name, 'plate'))
  const flags = ['--progress', 'none', '--output']
  const disk = account(CLI, ['build', join(PLATE, '*.pcs'), ...flags, fromDisk])
  const url = 'pyme-cluster:///multiwell/*.pcs'
  const cluster = account(CLI, ['build', url, '--cluster', servers.addresses, ...flags, fromCluster])
  await servers.stop()
  console.log(`tilestage build '${url}' --cluster ${servers.addresses}`)
  console.log(`from two servers ${cluster.wallS.toFixed(2)} s, from disk ${disk.wallS.toFixed(2)} s`)
  comparePyramids(fromDisk, fromCluster)
}

async function measureReading(): Promise<void> {
  const plate = join(tmpdir(), `tilestage-bench-cluster-1x${frameCount}x${EDGE}`)
  console.log(`\nMaking ${frameCount} frames of ${EDGE}² uint16 (kept in ${plate}) …`)
  const [folder] = makePlate(plate, { series: 1, framesPerSeries: frameCount, edge: EDGE })
  const path = relative(plate, folder)
  const names = readdirSync(folder).filter(name => name.endsWith('.pzf'))
  const megabytes = names.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0) / 1e6
  const servers = await startDataServers([plate])
  const frameSize = { width: EDGE, height: EDGE }
  const [server] = parseServers(servers.addresses)
  const data = { filter: '', path, servers: [server], patience: PATIENCE, frameSize, sampleType: 'uint16' as const }
  const reader = new ClusterReader(data)
  const free = Array.from({ length: CONCURRENT_FRAMES }, () => new Uint8Array(2 * EDGE * EDGE + 2 ** 16))
  const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENT_FRAMES })

  const readAll = async (): Promise<void> => {
    await mapConcurrently([...names.keys()], CONCURRENT_FRAMES, async index => {
      const into = free.pop()!
      if (!(await reader.readPzf(index, into))) throw new Error(`frame ${index} does not fit`)
      free.push(into)
    })
  }
  const getAll = async (): Promise<void> => {
    await mapConcurrently(names, CONCURRENT_FRAMES, name => getPlainly(agent, server.port, `/${path}/${name}`))
  }
  const times = { reader: [] as number[], plain: [] as number[] }
  for (let round = 0; round <= rounds; round++) {
    const tasks = [['reader', readAll] as const, ['plain', getAll] as const]
    // Each goes first in every other round; the first one is for warming up.
    for (const [name, work] of round % 2 === 0 ? tasks : tasks.reverse()) {
      const seconds = await time(work)
      if (round > 0) times[name].push(seconds)
    }
  }
  agent.destroy()
  await servers.stop()
  const [readerS, plainS] = [median(times.reader), median(times.plain)]
  const rate = (seconds: number): string => `${(megabytes / seconds).toFixed(0)} MB/s (${seconds.toFixed(2)} s)`
  console.log(`${megabytes.toFixed(0)} MB, ${CONCURRENT_FRAMES} at a time, medians of ${rounds}:`)
  console.log(`  reader of the build, frames checked: ${rate(readerS)}`)
  console.log(`  plain GETs of node:http:             ${rate(plainS)}`)
  console.log(`  ratio ${(plainS / readerS).toFixed(2)} (goal ≥ 0.8)`)
}

function getPlainly(agent: Agent, port: number, path: string): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    get({ agent, host: '127.0.0.1', port, path }, response => {
      const chunks: Uint8Array[] = []
      response.on('data', chunk => chunks.push(chunk))
      response.on('end', () => resolve(Buffer.concat(chunks)))
      response.on('error', reject)
    }).on('error', reject)
  })
}

async function measureOpening(): Promise<void> {
  const plate = join(tmpdir(), `tilestage-bench-cluster-1x${MANY_FRAMES}x64`)
  const [folder] = makePlate(plate, { series: 1, framesPerSeries: MANY_FRAMES, edge: 64, pictures: 20 })
  const roots = makeRoots('many')
  splitSeries(folder, roots, 'many.pcs')
  const servers = await startDataServers(roots)
  const options = { cluster: { servers: parseServers(servers.addresses) } }
  const measure = async (name: string): Promise<number> => {
    const open = async (): Promise<void> => {
      const { sources } = await openSources([name], options)
      const found = sources[0].series.frames.length
      if (found !== MANY_FRAMES) throw new Error(`${name} has ${found} frames`)
    }
    const times: number[] = []
    for (let round = 0; round < rounds; round++) times.push(await time(open))
    return median(times)
  }
  const disk = await measure(folder)
  const cluster = await measure('pyme-cluster:///many.pcs')
  await servers.stop()
  console.log(`\nOpening ${MANY_FRAMES} frames, medians of ${rounds}:`)
  console.log(`  from disk          ${disk.toFixed(2)} s (goal < 1)`)
  console.log(`  from two servers   ${cluster.toFixed(2)} s (goal < 3)`)
}

async function time(work: () => Promise<void>): Promise<number> {
  const started = performance.now()
  await work()
  return (performance.now() - started) / 1000
}
