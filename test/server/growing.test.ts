import { EventEmitter } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { BuildFeed, BuildFeedEvents } from '../../src/pyramid/build-feed.js'
import type { TileAddress } from '../../src/pyramid/mosaic-geometry.js'
import type { MosaicSelection } from '../../src/pyramid/pyramid.js'
import { nameOfShard, ShardJournal, type ShardKey } from '../../src/pyramid/shard-journal.js'
import type { TilesEvent } from '../../src/server/events/tile-changes.js'
import { FIRST_PLANE, framesOf, GrowingPlate, maskOf } from '../pyramid/growing-plate.js'
import { decodePng } from './decode-png.js'
import { listen } from './listen.js'
import { serveGrowing } from './serve-growing.js'
import { errorLines, PAGE_FILES, startTestApp } from './test-app.js'

/** Of the plates below: 2 × 1 shards, z 4 is level 0. */
const LEVEL_COUNT = 5

/** A growing pyramid is looked at four times a second. */
const NEXT_LOOK_MS = 300

function leaf(row: number, column: number): ShardKey {
  return { selection: FIRST_PLANE, level: 0, row, column }
}

/** Everything that the server tells but beats. */
async function* news(url: string): AsyncGenerator<{ name: string; data: never }> {
  for await (const { name, data } of listen(url)) if (name !== 'beat') yield { name, data: data as never }
}

t.test('a growing pyramid is served: what is planned, what is there, and versions of each shard', async t => {
  const server = await serveGrowing(t)
  const { get, build, plate } = server
  const info = (await get('')).json()
  t.match(info, {
    complete: false,
    version: /^[0-9a-f]{8}\.5$/,
    growth: { plan: 1, framesDone: null, framesTotal: null, secondsLeft: null },
    frames: { used: plate.frames.length, skipped: 0 },
    channels: [{ window: { black: 0, white: 255 } }],
  })
  const empty = (await get('/coverage')).json()
  t.match(empty, { version: info.version, plan: 1 })
  t.same(
    empty.levels.map(({ shards }: { shards: object }) => Object.keys(shards)),
    Array(LEVEL_COUNT).fill([]),
  )
  t.ok(empty.levels[0].runs.length > 2, 'the runs are of what is planned')

  for (const url of ['/tiles/4/0/0.bin', '/tiles/4/0/0.bin?v=x.5', `/tiles/0/0/0.bin?v=${info.version}`]) {
    const reply = await get(url)
    t.match([reply.statusCode, reply.headers['cache-control'], reply.headers.etag], [204, 'no-store', undefined], url)
  }
  const blank = await get('/tiles/4/0/0.png?min=0&max=4000')
  t.match([blank.statusCode, blank.headers['cache-control']], [200, 'no-store'])
  t.ok(
    (await decodePng(blank.rawPayload)).alpha.every(alpha => alpha === 0),
    'a picture of nothing is transparent',
  )
  const pyme = await server.ask('/get_tile?layer=0&x=0&y=0')
  t.ok(
    (await decodePng(pyme.rawPayload)).grey.every(grey => grey === 0),
    'and black where PYME asks',
  )

  await build(leaf(0, 0))
  const coverage = (await get('/coverage')).json()
  t.same(
    coverage.levels.map(({ shards }: { shards: object }) => Object.keys(shards)),
    Array(LEVEL_COUNT).fill(['0/0']),
    'coarse shards have something to show as well',
  )
  t.same(
    coverage.levels.map(({ runs }: { runs: unknown }) => runs),
    empty.levels.map(({ runs }: { runs: unknown }) => runs),
  )
  for (const level of [0, 1, 4]) {
    const version: string = coverage.levels[level].shards['0/0']
    t.match(version, /^[0-9a-f]{8}-\w+\.5$/)
    const url = `/tiles/${LEVEL_COUNT - 1 - level}/0/0.bin`
    const exact = await get(`${url}?v=${version}`)
    t.match(exact.headers, { 'cache-control': 'public, max-age=31536000, immutable', etag: /^".+"$/ })
    const { etag } = exact.headers
    const again = await server.app.inject({
      url: `/pyramids/${server.id}${url}`,
      headers: { 'if-none-match': `${etag}` },
    })
    t.equal(again.statusCode, 304)
    t.match((await get(`${url}?v=${info.version}`)).headers['cache-control'], 'no-store')
    const tile = await server.registry.use(server.id, ({ pyramid }) =>
      pyramid.growth!.readCoveredTile(FIRST_PLANE, { level, row: 0, column: 0 }),
    )
    const bytes = Buffer.concat([Buffer.from(tile!.plane.samples.buffer), ...(tile?.mask ? [maskOf(tile)] : [])])
    t.ok(exact.rawPayload.equals(bytes))
  }
  const version: string = coverage.levels[0].shards['0/0']
  t.match((await get(`/tiles/4/0/0.png?min=0&max=4000&v=${version}`)).headers['cache-control'], /immutable/)
  t.equal(
    (await get(`/tiles/4/0/0.png?v=${version}`)).headers['cache-control'],
    'no-store',
    'the automatic contrast still changes',
  )
  t.equal((await get(`/tiles/4/0/0.bin?v=${version.replace('.5', '.6')}`)).statusCode, 410)
  t.equal((await get(`/tiles/4/0/0.bin?v=ffffffff${version.slice(8)}`)).statusCode, 410, 'of another build')
  t.equal((await get('/tiles/4/12/0.bin')).statusCode, 204, 'the other shard is not there yet')
  t.match((await get('/histogram?channel=0')).json(), { min: 100, window: { white: Number } })
  t.match((await server.ask('/pyramids')).json().pyramids, [{ complete: false, current: true }])
  t.same(errorLines(server), [])
})

t.test('pages hear of what changed a few times a second, and of the end after the last change', async t => {
  const server = await serveGrowing(t)
  const { plate, journal, get, ask, id } = server
  const page = news(await server.app.listen({ host: '127.0.0.1', port: 0 }))
  const next = async () => (await page.next()).value!
  t.match(await next(), { name: 'source', data: { current: { id }, revision: 1, changes: 0 } })
  // Nobody calls for a look here: the server looks by itself while a page listens.
  for (const key of plate.shards.filter(({ level }) => level < 2)) journal.append(await plate.writeShard(key))
  const versions = new Map<string, string>()
  /** Events until everything was told, as a page keeps them. */
  const follow = async (until: () => boolean): Promise<void> => {
    while (!until()) {
      const { name, data } = await next()
      t.equal(name, 'tiles')
      const { shards, plan, ...of } = data as TilesEvent
      t.same([of, plan], [{ id }, 1])
      t.equal(new Set(shards.map(({ level, row, column }) => `${level}/${row}/${column}`)).size, shards.length)
      for (const { level, row, column, version } of shards) versions.set(`${level}/${row}/${column}`, version)
    }
  }
  const places = ['0/0/0', '0/0/1', '1/0/0', '2/0/0', '3/0/0', '4/0/0']
  await follow(() => places.every(place => versions.has(place)))
  const told = (await get('/coverage')).json()
  for (const [level, { shards }] of told.levels.entries())
    for (const [place, version] of Object.entries(shards)) t.equal(versions.get(`${level}/${place}`), version, place)
  t.ok((await ask('/current')).json().changes > 0)

  const tiles = new Map<string, Buffer>()
  for (const url of ['/tiles/4/0/0.bin', '/tiles/3/2/1.bin', '/tiles/1/1/0.bin', '/tiles/0/0/0.bin'])
    tiles.set(url, (await get(url)).rawPayload)
  for (const key of plate.shards.filter(({ level }) => level >= 2)) journal.append(await plate.writeShard(key))
  await plate.finish(journal)
  let event = await next()
  while (event.name === 'tiles') event = await next()
  t.match(event, { name: 'source', data: { current: { id, version: /\.5$/ }, revision: 2 } })
  t.match((await get('')).json(), { complete: true, growth: null })
  for (const [url, bytes] of tiles) t.ok((await get(url)).rawPayload.equals(bytes), `${url} is what it was`)
  for (const v of [versions.get('0/0/0'), told.version]) {
    const late = await get(`/tiles/4/0/0.bin?v=${v}`)
    t.match([late.statusCode, late.headers['cache-control']], [200, 'no-store'], 'a page that is late still gets it')
  }
  await page.return(undefined as never)
  t.same(errorLines(server), [])
})

t.test('frames that arrive change the plan; a pyramid begun anew takes its old tiles with it', async t => {
  const server = await serveGrowing(t)
  const { plate, get, build, id } = server
  const few = framesOf(2, 1).slice(3)
  await plate.writePlan(few)
  await build(leaf(0, 0), few)
  const page = news(await server.app.listen({ host: '127.0.0.1', port: 0 }))
  t.match((await page.next()).value, { name: 'source' })
  const { version } = (await get('')).json()
  const before: string = (await get('/coverage')).json().levels[0].shards['0/0']
  t.equal((await get('/tiles/4/0/0.bin')).statusCode, 204)
  await plate.writePlan()
  let event = (await page.next()).value!
  while ((event.data as TilesEvent).plan < 3) event = (await page.next()).value!
  t.match(event, { name: 'tiles', data: { id, plan: 3, shards: [] } })
  t.match((await get('')).json(), { version, growth: { plan: 3 } })
  await build(leaf(0, 0))
  event = (await page.next()).value!
  t.match(event, { name: 'tiles', data: { plan: 3 } })
  t.equal((await get('/tiles/4/0/0.bin')).statusCode, 200)
  t.match((await get(`/tiles/4/0/0.bin?v=${before}`)).headers['cache-control'], 'no-store')

  const anew = new GrowingPlate(plate.directory, { columns: 2, rows: 1, revision: '0000bbbb', sample: () => 500 })
  await rm(join(plate.directory, 'tilestage'), { recursive: true })
  await rm(join(plate.directory, '0'), { recursive: true })
  const journal = await ShardJournal.open(plate.directory)
  t.teardown(() => journal.close())
  await anew.writePlan()
  journal.append(await anew.writeShard(leaf(0, 1)))
  while (event.name !== 'source') event = (await page.next()).value!
  t.match(event.data, { current: { id }, revision: 2 })
  t.equal((await get(`/tiles/4/0/0.bin?v=${before}`)).statusCode, 410)
  t.equal((await get(`/tiles/4/0/0.bin?v=${version}`)).statusCode, 410)
  t.equal((await get('/tiles/4/0/0.bin')).statusCode, 204)
  const tile = (await get('/tiles/4/12/0.bin')).rawPayload
  const { mask } = anew.finalTile({ level: 0, row: 0, column: 12 })
  t.equal(tile.readUInt16LE(2 * mask.indexOf(1)), 500)
  await page.return(undefined as never)
})

class Feed extends EventEmitter<BuildFeedEvents> implements BuildFeed {
  readonly wanted: { readonly selection: MosaicSelection; readonly address: TileAddress }[] = []
  constructor(readonly directory: string) {
    super()
  }
  prioritise(selection: MosaicSelection, address: TileAddress): void {
    this.wanted.push({ selection, address })
  }
}

t.test('a build in this process shows at once, hears what is wanted, and tells how far it is', async t => {
  const directory = join(t.testdir({ page: PAGE_FILES }), 'plate')
  const plate = new GrowingPlate(directory, { columns: 2, rows: 1 })
  const { id } = plate.record
  const server = await startTestApp(t)
  const feed = new Feed(directory)
  await t.rejects(server.registry.attach(feed), /does not exist/, 'there is nothing to show yet')
  await plate.writePlan()
  const journal = await ShardJournal.open(directory)
  t.teardown(() => journal.close())
  const page = news(await server.app.listen({ host: '127.0.0.1', port: 0 }))
  t.match((await page.next()).value, { name: 'source', data: { current: null } })
  await server.registry.attach(feed)
  t.match((await page.next()).value, { name: 'source', data: { current: { id } } })

  const get = async (url: string) => server.app.inject(`/pyramids/${id}${url}`)
  t.equal((await get('/tiles/4/12/0.bin')).statusCode, 204)
  await server.app.inject('/get_tile?layer=0&x=1&y=1')
  t.same(feed.wanted, [
    { selection: FIRST_PLANE, address: { level: 0, column: 12, row: 0 } },
    { selection: FIRST_PLANE, address: { level: 0, column: 1, row: 1 } },
  ])

  const entry = await plate.writeShard(leaf(0, 1))
  journal.append(entry)
  const thumbnail = plate.finalTile({ level: 3, row: 0, column: 1 })
  // The thumbnail is used: its shard is not there to be read.
  await rm(join(directory, nameOfShard(entry)))
  feed.emit('shard', entry, thumbnail)
  for (let done = 1; done <= 50; done++)
    feed.emit('progress', { framesDone: done, framesTotal: 50, secondsLeft: done < 50 ? 50 - done : undefined })
  t.match((await get('')).json().growth, { framesDone: 50, framesTotal: 50, secondsLeft: null })
  const events = [(await page.next()).value!, (await page.next()).value!]
  const [tiles, build] = events.sort((a, b) => b.name.localeCompare(a.name))
  t.match(tiles, { name: 'tiles', data: { id } })
  t.match((tiles.data as TilesEvent).shards.map(({ level }) => level).sort(), [0, 1, 2, 3, 4])
  t.same(build, { name: 'build', data: { id, framesDone: 50, framesTotal: 50, secondsLeft: null, complete: false } })
  const top = (await get('/tiles/1/1/0.bin')).rawPayload
  t.ok(top.equals(Buffer.concat([Buffer.from(thumbnail.samples.buffer), thumbnail.mask])))

  for (const key of plate.shards) journal.append(await plate.writeShard(key))
  await plate.finish(journal)
  feed.emit('finished', directory)
  let event = (await page.next()).value!
  while (event.name === 'tiles') event = (await page.next()).value!
  t.match(event, { name: 'source', data: { current: { id }, revision: 2 } })
  t.match((await page.next()).value, { name: 'build', data: { id, complete: true } })
  t.ok((await get('/tiles/1/1/0.bin')).rawPayload.equals(top))
  await page.return(undefined as never)
  t.same(errorLines(server), [])
})

t.test('a growing pyramid can be set as source, and a damaged shard of it is an error', async t => {
  const directory = join(t.testdir({ page: PAGE_FILES }), 'plate')
  const plate = new GrowingPlate(directory, { columns: 2, rows: 1 })
  await plate.writePlan()
  const journal = await ShardJournal.open(directory)
  const entry = await plate.writeShard(leaf(0, 0))
  journal.append(entry)
  const server = await startTestApp(t)
  const set = await server.app.inject(`/set_tile_source?tile_dir=${encodeURIComponent(directory)}`)
  t.equal(set.statusCode, 303)
  t.match((await server.app.inject('/current')).json(), { current: { id: plate.record.id }, changes: 0 })
  const path = join(directory, nameOfShard(entry))
  const whole = await readFile(path)
  await rm(path)
  for (const url of ['/tiles/4/0/0.png', `/pyramids/${plate.record.id}/tiles/0/0/0.bin`, '/get_tile?layer=0&x=0&y=0']) {
    const reply = await server.app.inject(url)
    t.match(
      [reply.statusCode, reply.json().code, reply.headers['cache-control']],
      [422, 'CORRUPT_DATA', 'no-store'],
      url,
    )
    t.notOk(reply.body.includes(directory), 'its path is not told')
  }
  await writeFile(path, whole)
  t.equal((await server.app.inject(`/pyramids/${plate.record.id}/tiles/0/0/0.bin`)).statusCode, 200)
  journal.append(await plate.writeShard(leaf(0, 1)))
  await journal.close()
  await delay(NEXT_LOOK_MS)
  await server.app.inject('/current')
  await delay(NEXT_LOOK_MS)
  const { changes } = (await server.app.inject('/current')).json()
  t.ok(changes > 0, 'a page that cannot listen hears of it by asking')
})
