import { createHash } from 'node:crypto'
import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { basename, join } from 'node:path'
import t, { type Test } from 'tap'
import { type DataServer, nameServers, parseServers } from '../../src/sources/cluster/data-server.js'
import { type Announcement, collectServers } from '../../src/sources/cluster/discover-servers.js'
import { matchSegment } from '../../src/sources/cluster/glob-pattern.js'
import { PATIENCE, type Patience } from '../../src/sources/cluster/patience.js'
import { findSeries } from '../../src/sources/find-series.js'
import type { FrameSource } from '../../src/sources/frame-source.js'
import { openSources } from '../../src/sources/open-source.js'
import { openPcsSeries } from '../../src/sources/pyme/pcs-series.js'
import { SeriesWatch } from '../../src/sources/series-watch.js'
import type { SourceOptions } from '../../src/sources/source-options.js'
import { DataServerForTest, type DataServerOptions, type Fault } from '../data-server/data-server.js'
import { splitSeries } from '../data-server/split-series.js'
import { reproducibleFiles } from '../engine/build-for-test.js'
import { PLATE, tilestage, tilestageProcess } from '../run-cli.js'
import { checkFrameSource } from './frame-source-contract.js'
import { decodePlanned, openReader, sameSamples } from './read-as-worker.js'
import { composePzf, plainEvents, plainMetadata, writeSeries } from './write-series.js'

const FIXTURES = new URL('../fixtures/pyme/', import.meta.url)
const WELLS = ['well_A1', 'well_A2', 'well_B1']

/** So that what fails fails soon. */
const QUICK: Patience = {
  ...PATIENCE,
  discoverMs: 100,
  connectMs: 1000,
  headersMs: 300,
  stallMs: 300,
  wholeMs: 1500,
  rounds: 3,
  backoffMs: 5,
  searchMs: 0,
}

async function serve(t: Test, root: string, options?: DataServerOptions): Promise<DataServerForTest> {
  const server = await DataServerForTest.start(root, options)
  t.teardown(() => server.stop())
  return server
}

function named(...servers: DataServerForTest[]): SourceOptions {
  return { cluster: { servers: parseServers(servers.map(({ address }) => address).join(',')), patience: QUICK } }
}

async function open(url: string, options: SourceOptions): Promise<FrameSource> {
  const { sources } = await openSources([url], options)
  t.equal(sources.length, 1)
  return sources[0]!
}

/** The plate on two servers, every series spread over both. @param run a folder for it. */
async function serveSplitPlate(t: Test, run = t.testdir({})): Promise<[DataServerForTest, DataServerForTest]> {
  const roots = [join(run, 'node0'), join(run, 'node1')] as const
  for (const well of WELLS) splitSeries(join(PLATE, `${well}.pcs`), roots, `multiwell/${well}.pcs`)
  return [await serve(t, roots[0]), await serve(t, roots[1])]
}

interface Transcript {
  readonly request: string
  readonly request_headers: Record<string, string>
  readonly request_body_text?: string
  readonly status: number
  readonly reason: string
  readonly headers: readonly (readonly [string, string])[]
  readonly body_len: number
  readonly body_sha256: string
  readonly body_text?: string
  readonly exception?: string
}

/** Ask as the transcript did, path and all left as they are. */
function replay(port: number, { request: line, request_headers: headers, request_body_text: body }: Transcript) {
  const [method, path] = line.split(' ')
  return new Promise<{ status: number; reason: string; headers: [string, string][]; body: Buffer } | string>(
    resolve => {
      const length = body === undefined ? {} : { 'Content-Length': String(body.length) }
      const sent = request({ port, host: '127.0.0.1', method, path, headers: { ...headers, ...length } }, response => {
        const chunks: Buffer[] = []
        response.on('data', chunk => chunks.push(chunk))
        response.on('end', () => {
          const raw = response.rawHeaders
          resolve({
            status: response.statusCode ?? 0,
            reason: response.statusMessage ?? '',
            headers: Array.from({ length: raw.length / 2 }, (_, i) => [raw[2 * i]!, raw[2 * i + 1]!]),
            body: Buffer.concat(chunks),
          })
        })
      })
      sent.on('error', error => resolve((error as NodeJS.ErrnoException).code ?? ''))
      sent.end(body)
    },
  )
}

t.test('the server for tests answers as PYME did when it was recorded', async t => {
  const { transcripts }: { transcripts: Transcript[] } = JSON.parse(
    readFileSync(new URL('cluster_transcripts.json', FIXTURES), 'utf8'),
  )
  const root = t.testdir({ LOGS: { pymebox: {} }, variants: { 'a1_clusterh5.h5': '' } })
  cpSync(PLATE, join(root, 'multiwell'), { recursive: true })
  cpSync(new URL('a1_quant.pcs', FIXTURES), join(root, 'variants/a1_quant.pcs'), { recursive: true })
  const server = await serve(t, root, {
    shownRoot: '/srv/pyme/cluster_root',
    spools: { 'variants/a1_clusterh5.h5': join(PLATE, 'well_A1.pcs') },
  })
  // Beyond the root, where the server is, and the file behind a spool.
  const left = [/pattern=\/etc/, /pattern=\.\./, /__status/, /a1_clusterh5\.h5 /]
  let replayed = 0
  for (const transcript of transcripts) {
    if (left.some(each => each.test(transcript.request))) continue
    const answer = await replay(server.port, transcript)
    replayed++
    if (typeof answer === 'string') {
      t.match(transcript.exception, /RemoteDisconnected/, transcript.request)
      continue
    }
    // The path of the root was made another when it was recorded, and the lengths were not.
    const isDisclosing = transcript.body_text?.includes('/srv/pyme')
    const changing = ['Date', 'Last-Modified', ...(isDisclosing ? ['Content-Length'] : [])]
    const steady = (headers: readonly (readonly [string, string])[]) =>
      headers.map(([name, value]) => [name, changing.includes(name) ? '' : value])
    t.equal(answer.status, transcript.status, transcript.request)
    t.equal(answer.reason, transcript.reason, transcript.request)
    t.same(steady(answer.headers), steady(transcript.headers), transcript.request)
    const text = answer.body.toString()
    if (isDisclosing) t.equal(text, transcript.body_text, transcript.request)
    else if (transcript.request.includes('/__glob'))
      t.same(JSON.parse(text).sort(), JSON.parse(transcript.body_text ?? '').sort())
    else {
      t.equal(answer.body.length, transcript.body_len, transcript.request)
      t.equal(createHash('sha256').update(answer.body).digest('hex'), transcript.body_sha256, transcript.request)
    }
  }
  t.equal(replayed, transcripts.length - 4)
})

t.test('every way to name the series of a cluster leads to them', async t => {
  const root = t.testdir({ 'notes.txt': 'ink', multiwell: {}, variants: { 'a1.h5': '' } })
  cpSync(PLATE, join(root, 'multiwell'), { recursive: true })
  const server = await serve(t, root, { spools: { 'variants/a1.h5': join(PLATE, 'well_A1.pcs') } })
  const onNetwork = (...names: string[]): SourceOptions => {
    const servers = names.map((service): DataServer => ({ host: '127.0.0.1', port: server.port, service }))
    return { cluster: { discover: async () => ({ servers, waitedMs: 1234 }), patience: QUICK } }
  }
  const pymebox = onNetwork('PYMEDataServer [TESTCLUSTER]:pymebox - PID:20485')
  const locate = async (url: string, options: SourceOptions) => {
    const { locations } = await findSeries(url, options)
    return locations.map(location => location.url)
  }
  const wells = (name: string) => WELLS.map(well => `pyme-cluster://${name}/multiwell/${well}.pcs`)
  for (const name of ['TESTCLUSTER', 'CLUST', 'pymebox', '']) {
    t.same(await locate(`pyme-cluster://${name}/multiwell/*.pcs`, pymebox), wells(name))
    t.same(await locate(`PYME-CLUSTER://${name}/multiwell`, pymebox), wells(name))
    t.same(await locate(`pyme-cluster://${name}//mult*/well_[!B]?.pcs/`, pymebox), wells(name).slice(0, 2))
    t.same(await locate(`pyme-cluster://${name}/multiwell/well_A2.pcs`, pymebox), wells(name).slice(1, 2))
    t.same(await locate(`pyme-cluster://${name}/variants/*`, pymebox), [`pyme-cluster://${name}/variants/a1.h5`])
  }
  t.same(await locate('pyme-cluster://whatever/multiwell/*.pcs', named(server)), wells('whatever'))

  const twice = await openSources(
    ['pyme-cluster://A/multiwell/*1.pcs', 'PYME-CLUSTER:///multiwell/well_A1.pcs'],
    named(server),
  )
  t.equal(twice.sources.length, 2)
  t.same(twice.warnings, [
    'pyme-cluster:///multiwell/well_A1.pcs is the same series as pyme-cluster://A/multiwell/well_A1.pcs and is taken once.',
  ])

  const noServer = (url: string, options: SourceOptions, message: string) =>
    t.rejects(openSources([url], options), { name: 'SourceUnavailableError', message })
  await noServer(
    'pyme-cluster://LAB/a.pcs',
    pymebox,
    'No data server with "LAB" in its name was found on the network within 1.2 s, but "PYMEDataServer [TESTCLUSTER]:pymebox - PID:20485", so pyme-cluster://LAB/a.pcs cannot be opened; --cluster HOST:PORT names servers that do not announce themselves.',
  )
  await noServer(
    'pyme-cluster:///a.pcs',
    onNetwork(),
    'No data server was found on the network within 1.2 s, so pyme-cluster:///a.pcs cannot be opened; --cluster HOST:PORT names servers that do not announce themselves.',
  )
  const notFound = (url: string, name: string, message: string) =>
    t.rejects(openSources([url], named(server)), { name, message })
  const at = `on ${server.address}`
  const around = 'multiwell there holds 3 entries, 3 of them series such as well_A1.pcs.'
  await notFound(
    'pyme-cluster://X/multiwell/*.psc',
    'NotFoundError',
    `pyme-cluster://X/multiwell/*.psc matches nothing ${at}; ${around}`,
  )
  await notFound(
    'pyme-cluster://X/multiwell/well_C1.pcs',
    'NotFoundError',
    `pyme-cluster://X/multiwell/well_C1.pcs does not exist ${at}; ${around}`,
  )
  await notFound(
    'pyme-cluster://X/*',
    'NotFoundError',
    `pyme-cluster://X/* matches multiwell, notes.txt, variants, which are no series, ${at}; the root there holds 3 entries, none of which is a series.`,
  )
  for (const url of [
    'Pyme-Cluster://X/a.pcs',
    'pyme-cluster:/X/a.pcs',
    'pyme-cluster://X',
    'pyme-cluster://X/',
    'pyme-cluster://X/../a.pcs',
  ])
    await t.rejects(findSeries(url, named(server)), { name: 'UsageError' }, url)
})

t.test('a series spread over two servers has the frames and positions that PYME gives it', async t => {
  const [first, second] = await serveSplitPlate(t)
  const url = 'pyme-cluster:///multiwell/well_A1.pcs'
  const source = await open(url, named(first, second))
  const onDisk = await openPcsSeries(join(PLATE, 'well_A1.pcs'))
  const withoutStamps = ({ series }: FrameSource) => ({
    ...series,
    fingerprint: '',
    frames: series.frames.map(frame => ({ ...frame, stamp: '' })),
  })
  t.same(withoutStamps(source), withoutStamps(onDisk))
  t.equal(source.url, url)
  const truth = JSON.parse(readFileSync(new URL('series_truth.json', FIXTURES), 'utf8')).series.A1.frames
  t.same(
    source.series.frames.map(({ stagePosition: { xUm, yUm } }) => [xUm, yUm]),
    truth.map(({ x_um, y_um }: { x_um: number; y_um: number }) => [x_um, y_um]),
  )
  const reader = await openReader(source.reader!)
  const into = new Uint8Array(2 ** 18)
  const requests = [first, second].map(({ requests }) => requests.length)
  for (const { index } of source.series.frames) {
    const expected = await onDisk.readFrame(index)
    t.ok(sameSamples(await source.readFrame(index), expected), `frame ${index}`)
    const planned = await decodePlanned(reader, index, into, url)
    t.ok(planned && sameSamples(planned, expected), `frame ${index}, planned`)
  }
  const asked = [first, second].flatMap(({ requests: all }, i) => all.slice(requests[i]))
  t.equal(asked.filter(line => line.endsWith('.pzf')).length, 50, 'each frame is asked of a server that has it')
  t.equal(asked.length, 52, 'and the reader of another thread lists each server once')
  t.equal(await reader.readPzf?.(0, new Uint8Array(1000)), undefined, 'too little room')
  await t.rejects(source.readFrame(25), RangeError)
  await source.close()
})

t.test(
  'an acquisition that takes the name of another one is told from it, also where all sizes are the same',
  async t => {
    const root = t.testdir({})
    const server = await serve(t, root)
    const write = (start: number): string =>
      writeSeries(join(root, 'a.pcs'), [0, 1], { 'metadata.json': { ...plainMetadata, StartTime: start } })
    const stamps = async (): Promise<string[]> => {
      const { series } = await open('pyme-cluster:///a.pcs', named(server))
      return [series.fingerprint, ...series.frames.map(({ stamp }) => stamp)]
    }
    write(1000)
    const first = await stamps()
    t.same(await stamps(), first)
    write(1001)
    const second = await stamps()
    for (const [i, stamp] of second.entries()) t.not(stamp, first[i])
  },
)

t.test('an HDF5 spool is read through its server, which tells no sizes', async t => {
  const root = t.testdir({ variants: { 'a1.h5': '' } })
  const folder = join(PLATE, 'well_A1.pcs')
  const server = await serve(t, root, { spools: { 'variants/a1.h5': folder } })
  const source = await open('pyme-cluster:///variants/a1.h5', named(server))
  const onDisk = await openPcsSeries(folder)
  t.equal(source.series.name, 'a1')
  t.same(
    source.series.frames.map(({ position }) => position),
    onDisk.series.frames.map(({ position }) => position),
  )
  for (const index of [0, 24]) t.ok(sameSamples(await source.readFrame(index), await onDisk.readFrame(index)))
  const watch = await SeriesWatch.open([['pyme-cluster:///variants/*.h5']], named(server), () => 0)
  t.equal(watch.sources[0]?.series.frames.length, 24, 'all but the newest, which may be being written')
  await watch.close()
})

t.test(
  'opening takes two listings, three JSON files and two heads of frames, however many frames there are',
  async t => {
    const root = t.testdir({})
    writeSeries(
      join(root, 'a.pcs'),
      Array.from({ length: 300 }, (_, i) => i),
      { 'final_metadata.json': plainMetadata },
    )
    const server = await serve(t, root)
    const source = await open('pyme-cluster:///a.pcs', named(server))
    t.equal(source.series.frames.length, 300)
    t.same(server.requests.toSorted(), [
      'GET /a.pcs/',
      'GET /a.pcs/',
      'GET /a.pcs/events.json',
      'GET /a.pcs/final_metadata.json',
      'GET /a.pcs/frame00000.pzf',
      'GET /a.pcs/frame00001.pzf',
      'GET /a.pcs/metadata.json',
      'HEAD /a.pcs/frame00300.pzf',
    ])
  },
)

checkFrameSource(t, {
  name: 'PYME series on a cluster',
  async make(t) {
    const run = t.testdir({})
    const roots = [join(run, 'node0'), join(run, 'node1')] as const
    splitSeries(join(PLATE, 'well_A1.pcs'), roots, 'a.pcs')
    const servers = named(await serve(t, roots[0]), await serve(t, roots[1]))
    const name = (index: number): string => `frame${String(index).padStart(5, '0')}.pzf`
    const fileOf = (index: number): string => join(roots[index % 2]!, 'a.pcs', name(index))
    return {
      isOneFile: false,
      open: () => open('pyme-cluster:///a.pcs', servers),
      fileOf: index => `pyme-cluster:///a.pcs/${name(index)}`,
      async cutShort(index, keptBytes) {
        truncateSync(fileOf(index), keptBytes)
      },
      async replace(index, other) {
        copyFileSync(fileOf(other), fileOf(index))
      },
      async remove(index) {
        rmSync(fileOf(index))
      },
    }
  },
})

t.test('a server without globs, or with trouble in them, is walked by its listings', async t => {
  const [first, second] = await serveSplitPlate(t)
  const urls = WELLS.slice(0, 2).map(well => `pyme-cluster:///multiwell/${well}.pcs`)
  const troubles: Fault[] = [
    { kind: 'status', status: 404 },
    { kind: 'status', status: 500 },
    { kind: 'drop' },
    { kind: 'answer', body: '{"no": "list"}' },
    { kind: 'answer', body: '[' },
    { kind: 'cut', afterBytes: 5 },
  ]
  for (const fault of troubles) {
    for (const server of [first, second]) {
      server.behave()
      server.misbehave(/__glob/, fault.kind === 'cut' ? { kind: 'drop' } : fault)
    }
    const { locations, warnings } = await findSeries('pyme-cluster:///m*/well_A*', named(first, second))
    t.same(
      locations.map(({ url }) => url),
      urls,
      JSON.stringify(fault),
    )
    t.same(warnings, [])
  }
})

t.test('what servers claim is not believed where it leads out of the cluster', async t => {
  const [server] = await serveSplitPlate(t)
  server.misbehave(/__glob/, {
    kind: 'answer',
    body: JSON.stringify([
      'multiwell/../../well_A9.pcs',
      '/etc/well_A9.pcs',
      'multiwell/well_B1.pcs',
      7,
      'multiwell/well_A1.pcs',
    ]),
  })
  const { locations } = await findSeries('pyme-cluster:///multiwell/well_A*', named(server))
  t.same(
    locations.map(({ url }) => url),
    ['pyme-cluster:///multiwell/well_A1.pcs'],
    'only what matches the pattern',
  )
  server.misbehave(/well_A1\.pcs\/$/, {
    kind: 'answer',
    body: JSON.stringify({
      'metadata.json': [0, 1060],
      'events.json': [0, 1],
      '../frame00000.pzf': [0, 1],
      'a/b': [0, 1],
      '..': [1, 1],
      'frame00000.pzf': [0, 74924],
      'frame00002.pzf': 'x',
      'frame00004.pzf': [0, -1],
      '': [0, 0],
    }),
  })
  const listed = await findSeries('pyme-cluster:///multiwell/well_A1.pcs', named(server))
  t.equal(listed.locations.length, 1)
  for (const to of ['http://127.0.0.1:1/', '//127.0.0.1:1/multiwell/', 'http://[', 'ftp://127.0.0.1/']) {
    server.behave()
    server.misbehave(/well_A2\.pcs\/$/, { kind: 'redirect', to })
    await t.rejects(findSeries('pyme-cluster:///multiwell/well_A2.pcs', named(server)), {
      name: 'SourceUnavailableError',
      message: `pyme-cluster:///multiwell/well_A2.pcs cannot be looked at: ${server.address} redirects to another server, which is not followed.`,
    })
  }
  server.behave()
  server.misbehave(/well_A2\.pcs\/$/, { kind: 'redirect', to: '/multiwell/well_A2.pcs/' })
  await t.rejects(findSeries('pyme-cluster:///multiwell/well_A2.pcs', named(server)), {
    message: /redirects in a circle/,
  })
  server.behave()
  server.misbehave(/well_A2\.pcs\/$/, { kind: 'redirect', to: '/multiwell/well_A1.pcs/' }, 1)
  await t.resolves(
    findSeries('pyme-cluster:///multiwell/well_A2.pcs', named(server)),
    'the same server may send elsewhere',
  )
  // Python writes what is no UTF-8 in a name as half a character, which no request can hold.
  server.misbehave(/multiwell\/$/, { kind: 'answer', body: '{"a\\udcff.pcs/":[7,5],"well_A1.pcs/":[7,5]}' })
  const odd = await findSeries('pyme-cluster:///multiwell', named(server))
  t.same(
    odd.locations.map(({ url }) => url),
    ['pyme-cluster:///multiwell/well_A1.pcs'],
  )
  server.misbehave(/well_B1\.pcs\/$/, { kind: 'answer', body: `{"a":[${'{},'.repeat(2 ** 23)}0]}` })
  await t.rejects(findSeries('pyme-cluster:///multiwell/well_B1.pcs', named(server)), {
    message: /answered with something that is no listing/,
  })
  server.misbehave(/well_A2\.pcs\/$/, { kind: 'answer', body: '<html>a page</html>' })
  await t.rejects(findSeries('pyme-cluster:///multiwell/well_A2.pcs', named(server)), {
    message: /answered with something that is no listing/,
  })
})

t.test('files that no listing has yet are asked for', async t => {
  const root = t.testdir({})
  let now = 0
  const folder = writeSeries(join(root, 'a.pcs'), [0, 2], { 'events.json': undefined })
  const server = await serve(t, root, { clock: () => now })
  await replay(server.port, { request: 'GET /a.pcs/ HTTP/1.1', request_headers: {} } as Transcript)
  writeSeries(
    folder,
    Array.from({ length: 20 }, (_, i) => i),
    { 'final_metadata.json': plainMetadata },
  )
  const source = await open('pyme-cluster:///a.pcs', named(server))
  t.equal(source.series.frames.length, 20)
  t.same(source.series.problems, [])
  t.ok(await source.readFrame(19))
  now = 30_000
  const later = await open('pyme-cluster:///a.pcs', named(server))
  t.equal(later.series.fingerprint, source.series.fingerprint, 'as the listing has them at last')
})

/** A series on one server, of which the second frame is to be read. */
async function serveOne(t: Test): Promise<{ server: DataServerForTest; source: FrameSource; file: string }> {
  const root = t.testdir({})
  splitSeries(join(PLATE, 'well_A1.pcs'), [root, root], 'a.pcs')
  const server = await serve(t, root)
  return {
    server,
    source: await open('pyme-cluster:///a.pcs', named(server)),
    file: 'pyme-cluster:///a.pcs/frame00001.pzf',
  }
}

t.test('a frame that does not arrive whole is asked for again, then refused: never half a frame', async t => {
  const { server, source, file } = await serveOne(t)
  const good = await source.readFrame(1)
  const size = readFileSync(join(PLATE, 'well_A1.pcs/frame00001.pzf')).length
  const unavailable = (what: string) => ({
    name: 'SourceUnavailableError',
    message: `${file} cannot be read: ${server.address} ${what}.`,
  })
  const cases: [fault: Fault, error: { name: string; message: string | RegExp }][] = [
    [{ kind: 'silence' }, unavailable('did not answer within 0.3 s')],
    [{ kind: 'stall', afterBytes: 1000 }, unavailable('sent nothing more for 0.3 s')],
    [{ kind: 'cut', afterBytes: 1000 }, unavailable('closed the connection')],
    [{ kind: 'lie', extraBytes: 10 }, unavailable('sent nothing more for 0.3 s')],
    [
      { kind: 'lie', extraBytes: -10 },
      { name: 'SourceUnavailableError', message: /sent what is no HTTP/ },
    ],
    [{ kind: 'status', status: 500 }, unavailable('answered 500')],
    [{ kind: 'status', status: 403 }, unavailable('answered 403')],
    [{ kind: 'drop' }, unavailable('closed the connection')],
    [
      { kind: 'lie', extraBytes: 10_000_000 },
      {
        name: 'LimitExceededError',
        message: `${file} is too long: ${server.address} has ${size + 10_000_000} bytes of it; up to 1310720 are read.`,
      },
    ],
    [
      { kind: 'endless' },
      {
        name: 'LimitExceededError',
        message: `${file} is too long: ${server.address} sent more than the 1310720 bytes of it that are read.`,
      },
    ],
    [
      { kind: 'half', bytes: 1000, length: 'told' },
      { name: 'CorruptDataError', message: new RegExp(`${file} is truncated: it has 1000 bytes`) },
    ],
    [
      { kind: 'half', bytes: 1000, length: 'untold' },
      { name: 'CorruptDataError', message: new RegExp(`${file} is truncated: it has 1000 bytes`) },
    ],
    [
      { kind: 'half', bytes: 0, length: 'told' },
      { name: 'CorruptDataError', message: new RegExp(`${file} is truncated: it has 0 bytes`) },
    ],
    [
      { kind: 'status', status: 404 },
      { name: 'NotFoundError', message: `${file} does not exist on ${server.address}.` },
    ],
  ]
  const reader = await openReader(source.reader!)
  const into = new Uint8Array(2 ** 20)
  for (const [fault, error] of cases) {
    const what = JSON.stringify(fault)
    server.behave()
    server.misbehave(/frame00001/, fault)
    await t.rejects(source.readFrame(1), error, what)
    into.fill(0x55)
    // A server without a length is not known to send too much before it does.
    if (fault.kind !== 'endless' && !(fault.kind === 'lie' && fault.extraBytes > 1000))
      await t.rejects(Promise.resolve(reader.readPzf?.(1, into)), error, `${what}, planned`)
    server.behave()
    const isPassing = fault.kind !== 'status' || fault.status === 500
    if (isPassing && fault.kind !== 'endless' && !(fault.kind === 'lie' && fault.extraBytes > 1000)) {
      t.ok(sameSamples(await source.readFrame(1), good), `${what}, then well`)
      t.ok(await decodePlanned(reader, 1, into, file), `${what}, then well, planned`)
      server.misbehave(/frame00001/, fault, 1)
      t.ok(sameSamples(await source.readFrame(1), good), `${what}, once`)
      server.misbehave(/frame00001/, fault, 1)
      const planned = await decodePlanned(reader, 1, into, file)
      t.ok(planned && sameSamples(planned, good), `${what}, once, planned`)
    }
  }
})

t.test('a server that is restarted is asked again, on connections of its new life', async t => {
  const { server, source, file } = await serveOne(t)
  const good = await source.readFrame(1)
  await server.stop()
  const reading = source.readFrame(1)
  await server.restart()
  t.ok(sameSamples(await reading, good))
  await server.stop()
  await t.rejects(source.readFrame(1), {
    name: 'SourceUnavailableError',
    message: `${file} cannot be read: ${server.address} refuses connections.`,
  })
  await server.restart()
  t.ok(sameSamples(await source.readFrame(1), good))
})

t.test('where one server fails another that has a copy is asked', async t => {
  const run = t.testdir({ node0: {}, node1: {} })
  const folder = join(PLATE, 'well_A1.pcs')
  for (const node of ['node0', 'node1']) cpSync(folder, join(run, node, 'a.pcs'), { recursive: true })
  const servers = [await serve(t, join(run, 'node0')), await serve(t, join(run, 'node1'))] as const
  const source = await open('pyme-cluster:///a.pcs', named(...servers))
  const good = await (await openPcsSeries(folder)).readFrame(1)
  const faults: Fault[] = [
    { kind: 'status', status: 404 },
    { kind: 'status', status: 500 },
    { kind: 'half', bytes: 900, length: 'told' },
    { kind: 'cut', afterBytes: 900 },
    { kind: 'silence' },
  ]
  for (const fault of faults) {
    for (const bad of servers) {
      for (const server of servers) server.behave()
      bad.misbehave(/frame00001/, fault)
      t.ok(sameSamples(await source.readFrame(1), good), JSON.stringify(fault))
    }
  }
  for (const server of servers) server.behave()
  // Whose answers take long is asked last.
  servers[0].misbehave(/frame/, { kind: 'slow', ms: 250 })
  const again = await open('pyme-cluster:///a.pcs', named(...servers))
  for (let i = 0; i < 12; i++) await again.readFrame(2)
  const before = servers[1].requests.length
  for (let i = 0; i < 8; i++) await again.readFrame(3)
  t.ok(servers[1].requests.length - before > 4, 'nearly always, however busy the machine is')
})

t.test('a server that is down is a warning while others have everything, and gaps where they have not', async t => {
  const run = t.testdir({})
  const [first, second] = await serveSplitPlate(t, run)
  const options = named(first, second)
  cpSync(PLATE, join(run, 'all/multiwell'), { recursive: true })
  const all = await serve(t, join(run, 'all'))
  await second.stop()
  const down = `The data server ${second.address} refuses connections; what only it has is missing.`
  const { sources, warnings } = await openSources(['pyme-cluster:///multiwell/*.pcs'], named(all, second))
  t.same(warnings, [down])
  t.same(
    sources.map(({ series }) => series.frames.length),
    [25, 25, 25],
  )
  t.same(sources[0]?.series.problems, [down])
  await t.rejects(openSources(['pyme-cluster:///multiwell/*.pcs'], options), {
    name: 'SourceUnavailableError',
    message: /well_A1\.pcs has no events\.json/,
  })
  await first.stop()
  const both = `${first.address} refuses connections, ${second.address} refuses connections`
  await t.rejects(openSources(['pyme-cluster:///multiwell/*.pcs'], options), {
    name: 'SourceUnavailableError',
    message: `pyme-cluster:///multiwell/*.pcs cannot be searched for: ${both}.`,
  })
  await t.rejects(openSources(['pyme-cluster:///multiwell/well_A1.pcs'], options), {
    name: 'SourceUnavailableError',
    message: `pyme-cluster:///multiwell/well_A1.pcs cannot be looked at: ${both}.`,
  })
})

t.test('reading stops when it is aborted, whatever the server does', async t => {
  const { server, source } = await serveOne(t)
  const reason = new Error('looked elsewhere')
  await t.rejects(source.readFrame(1, { signal: AbortSignal.abort(reason) }), reason)
  for (const fault of [
    { kind: 'silence' },
    { kind: 'stall', afterBytes: 100 },
    { kind: 'status', status: 500 },
  ] as const) {
    server.behave()
    server.misbehave(/frame00001/, fault)
    const controller = new AbortController()
    const reading = source.readFrame(1, { signal: controller.signal })
    setTimeout(() => controller.abort(reason), 3)
    await t.rejects(reading, reason)
  }
  server.behave()
  await t.resolves(source.readFrame(1))
})

t.test('a series that grows on two servers is followed, and new ones are found', async t => {
  const run = t.testdir({ node0: {}, node1: {} })
  const roots = [join(run, 'node0'), join(run, 'node1')]
  const servers = [await serve(t, roots[0]!), await serve(t, roots[1]!)] as const
  let now = 0
  const watch = await SeriesWatch.open([['pyme-cluster:///day/*.pcs']], named(...servers), () => now)
  const after = (ms: number): Promise<boolean> => {
    now += ms
    return watch.poll()
  }
  const put = (node: number, path: string, content: unknown): void => {
    const file = join(roots[node]!, 'day', path)
    mkdirSync(join(file, '..'), { recursive: true })
    writeFileSync(file, Buffer.isBuffer(content) ? content : JSON.stringify(content))
  }
  const frames = () => watch.sources.map(({ series }) => series.frames.map(({ index }) => index))
  /** Until the search, which goes on behind, has found it. */
  const until = async (isThere: () => boolean): Promise<void> => {
    while (!isThere()) {
      await new Promise(resolve => setTimeout(resolve, 5))
      await after(500)
    }
    t.ok(isThere())
  }
  t.match(watch.waiting, [/day\/\*\.pcs matches nothing on .*; day does not exist there\./])
  t.equal(watch.mayGetMore, true)
  put(0, 'a.pcs/metadata.json', plainMetadata)
  await until(() => /a\.pcs holds no frames|has no events/.test(watch.waiting.join()))
  for (let frame = 0; frame < 5; frame++) {
    put(frame % 2, `a.pcs/frame0000${frame}.pzf`, composePzf())
    put(1, 'a.pcs/events.json', plainEvents(frame + 1))
    await after(1000)
    await after(1000)
    t.same(frames(), [[0, 1, 2, 3, 4].slice(0, frame + 1)])
    t.equal(watch.isComplete, false)
  }
  const asked = servers[0].requests.length
  for (let i = 0; i < 4; i++) await after(100)
  t.ok(servers[0].requests.slice(asked).filter(line => line.endsWith('a.pcs/')).length <= 1, 'not listed at every poll')
  // Half a frame, by its size: it changes when the rest is there.
  put(1, 'a.pcs/frame00005.pzf', composePzf().subarray(0, 70))
  put(1, 'a.pcs/events.json', plainEvents(6))
  await after(1000)
  t.same(frames(), [[0, 1, 2, 3, 4]])
  put(1, 'a.pcs/frame00005.pzf', composePzf())
  await after(1000)
  await after(1000)
  t.same(frames(), [[0, 1, 2, 3, 4, 5]])
  const [source] = watch.sources
  await servers[1].stop()
  await after(1000)
  await after(1000)
  t.same(frames(), [[0, 1, 2, 3, 4, 5]], 'what a server had stays while it is away')
  await servers[1].restart()
  put(0, 'a.pcs/final_metadata.json', plainMetadata)
  await after(1000)
  await after(1000)
  t.equal(watch.isComplete, true)
  t.same(watch.waiting, [])
  t.ok(await source?.readFrame(5))
  put(1, 'b.pcs/metadata.json', plainMetadata)
  put(1, 'b.pcs/final_metadata.json', plainMetadata)
  put(1, 'b.pcs/events.json', plainEvents(1))
  put(1, 'b.pcs/frame00000.pzf', composePzf())
  await until(() => watch.sources.length === 2 && watch.isComplete)
  t.same(frames(), [[0, 1, 2, 3, 4, 5], [0]])
  rmSync(join(roots[1]!, 'day/b.pcs'), { recursive: true })
  await after(1000)
  t.match(watch.waiting, [/b\.pcs does not exist on/])
  await watch.close()
})

t.test('a server whose listings stall holds up nobody who follows series', async t => {
  const [first, second] = await serveSplitPlate(t)
  let now = 0
  const watch = await SeriesWatch.open([['pyme-cluster:///multiwell/*.pcs']], named(first, second), () => now)
  t.equal(watch.isComplete, true)
  second.misbehave(/\/$/, { kind: 'silence' })
  writeFileSync(join(first.root, 'multiwell/well_A1.pcs/frame00025.pzf'), composePzf({ width: 256, height: 256 }))
  for (let i = 0; i < 3; i++) {
    now += 1000
    await watch.poll()
  }
  t.equal(watch.sources[0]?.series.frames.length, 26)
  await watch.close()
})

t.test('globs match as those of Python do', t => {
  const cases: [pattern: string, matches: string[], others: string[]][] = [
    ['*.pcs', ['a.pcs', 'A1 b.pcs'], ['.a.pcs', 'a.pcs2', 'apcs']],
    ['.*', ['.a'], ['a']],
    ['well_?[0-9]', ['well_A1', 'well_é9'], ['well_A', 'well_A10']],
    ['[!A-C]*', ['D1', 'a'], ['A1', 'C']],
    ['[]x]', [']', 'x'], ['[', '']],
    ['[!]x]', ['a'], [']', 'x']],
    ['a[b', ['a[b'], ['ab']],
    ['[z-a]', [], ['z', 'a', '-']],
    ['[a-]', ['a', '-'], ['b']],
    ['{a,b}', ['{a,b}'], ['a', 'b']],
    ['a.b+c', ['a.b+c'], ['aXb+c', 'a.bbc']],
    ['**a**b', ['xaxb', 'ab'], ['ba']],
  ]
  for (const [pattern, matching, others] of cases) {
    for (const name of matching) t.equal(matchSegment(pattern)(name), true, `${pattern} matches ${name}`)
    for (const name of others) t.equal(matchSegment(pattern)(name), false, `${pattern} does not match ${name}`)
  }
  t.equal(matchSegment(`${'*a'.repeat(20)}b`)('a'.repeat(60)), false, 'in no time')
  t.end()
})

t.test('--cluster names servers, with the port of PYME where there is none', t => {
  const names = (text: string) => nameServers(parseServers(text))
  t.equal(names('scope2'), 'scope2:15348')
  t.equal(
    names('10.0.0.7:81, [fe80::1]:82,scope-2.lab:15348,10.0.0.7:81'),
    '10.0.0.7:81, [fe80::1]:82 and scope-2.lab:15348',
  )
  for (const wrong of ['', 'a:', 'a:0', 'a:65536', 'a:b', 'http://a', 'a/b', 'a,', 'u@a', 'a b'])
    t.throws(() => parseServers(wrong), { name: 'UsageError' }, wrong)
  t.end()
})

t.test('servers that announce themselves are collected until no more of them come', async t => {
  const announce = (service: Partial<Announcement>): Announcement => ({
    name: 'x',
    port: 1,
    host: 'h.local',
    ...service,
  })
  const quick = { ...QUICK, discoverMs: 60_000, discoverQuietMs: 30 }
  let stopped = 0
  const { servers: found } = await collectServers(quick, heard => {
    heard(announce({ name: 'a', addresses: ['fe80::1', '10.0.0.7'] }))
    heard(announce({ name: 'a', addresses: ['10.0.0.8'], port: 2 }))
    setTimeout(
      () => heard(announce({ name: 'b', referer: { address: 'fe80::2', family: 'IPv6', port: 5353, size: 1 } })),
      10,
    )
    setTimeout(() => heard(announce({ name: 'c' })), 20)
    return () => stopped++
  })
  t.same(found, [
    { host: '10.0.0.8', port: 2, service: 'a' },
    { host: '[fe80::2]', port: 1, service: 'b' },
    { host: 'h.local', port: 1, service: 'c' },
  ])
  const nobody = await collectServers({ ...quick, discoverMs: 20 }, () => () => stopped++)
  t.same(nobody.servers, [])
  await t.rejects(
    collectServers(quick, (_, failed) => {
      setTimeout(() => failed(new Error('no network')), 1)
      return () => stopped++
    }),
    {
      name: 'SourceUnavailableError',
      message: /cannot be asked for data servers \(no network\); name them with --cluster/,
    },
  )
  t.equal(stopped, 3)
})

t.test('a build from two servers is byte for byte that from the disk', async t => {
  const run = t.testdir({})
  const servers = await serveSplitPlate(t, run)
  const cluster = servers.map(({ address }) => address).join(',')
  const build = async (name: string, ...args: string[]): Promise<string> => {
    const output = join(run, name)
    // Data servers are asked directly, whatever proxy there is for the world outside.
    const env = { HTTP_PROXY: 'http://127.0.0.1:1', http_proxy: 'http://127.0.0.1:1', NODE_USE_ENV_PROXY: '1' }
    const { status, stderr } = await tilestageProcess(['build', ...args, '--output', output, '--progress', 'none'], {
      env,
    })
    t.equal(status, 0, stderr)
    return output
  }
  const fromDisk = await build('disk', join(PLATE, '*.pcs'))
  const fromCluster = await build('cluster', 'pyme-cluster:///multiwell/*.pcs', '--cluster', cluster)
  const shards = (folder: string): string[] => reproducibleFiles(folder).filter(name => !name.startsWith('tilestage/'))
  t.same(shards(fromCluster), shards(fromDisk))
  t.ok(shards(fromDisk).some(name => basename(name) !== 'zarr.json'))
  for (const name of shards(fromDisk))
    t.ok(readFileSync(join(fromCluster, name)).equals(readFileSync(join(fromDisk, name))), name)
  const { status, stdout } = await tilestage(['info', 'pyme-cluster://lab/multiwell/well_A1.pcs', '--cluster', cluster])
  t.equal(status, 0)
  t.match(stdout, /well_A1 {2}PYME series {2}pyme-cluster:\/\/lab\/multiwell\/well_A1\.pcs/)
  const wrong = await tilestage(['info', 'pyme-cluster:///a.pcs', '--cluster', 'http://127.0.0.1:1'])
  t.equal(wrong.status, 64)
  t.match(wrong.stderr, /--cluster http:\/\/127\.0\.0\.1:1 is not possible; it is the data servers as HOST:PORT/)
})
