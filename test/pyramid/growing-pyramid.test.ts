import { createHash } from 'node:crypto'
import { appendFile, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { CorruptDataError, SourceUnavailableError, UnsupportedDataError } from '../../src/errors.js'
import { bytesOfSamples, type Rect, SAMPLE_TYPES, type SampleArray } from '../../src/plane.js'
import { fillMask } from '../../src/pyramid/coverage.js'
import { HistogramBuilder } from '../../src/pyramid/histogram.js'
import { gridOf, SHARD_SIZE, type TileAddress } from '../../src/pyramid/mosaic-geometry.js'
import { openPyramid } from '../../src/pyramid/open-pyramid.js'
import type { CoveredTile, Growth, GrowthChange, Pyramid } from '../../src/pyramid/pyramid.js'
import {
  JOURNAL_FILE,
  nameOfShard,
  type ShardEntry,
  ShardJournal,
  type ShardKey,
} from '../../src/pyramid/shard-journal.js'
import { FIRST_PLANE, framesOf, GrowingPlate, maskOf, plainSample } from './growing-plate.js'

interface Grown {
  readonly pyramid: Pyramid
  readonly growth: Growth
  readonly journal: ShardJournal
  /** What the pyramid told. */
  readonly changes: GrowthChange[]
  /** Write a shard, append its entry, and look. */
  build(key: ShardKey, ...how: [shown?: GrowingPlate['frames'], sample?: typeof plainSample]): Promise<ShardEntry>
}

/** The plate's pyramid with a plan and no shards, opened, and closed after the test. */
async function grow(t: Test, plate: GrowingPlate): Promise<Grown> {
  await plate.writePlan()
  const journal = await ShardJournal.open(plate.directory)
  const pyramid = await openPyramid(plate.directory)
  t.teardown(() => Promise.all([pyramid.close(), journal.close()]))
  const { growth } = pyramid
  if (!growth) throw new Error('the pyramid does not grow')
  const changes: GrowthChange[] = []
  growth.onChange = change => changes.push(change)
  return {
    pyramid,
    growth,
    journal,
    changes,
    async build(...how) {
      const entry = await plate.writeShard(...how)
      journal.append(entry)
      await growth.look()
      return entry
    },
  }
}

function leaf(row: number, column: number): ShardKey {
  return { selection: FIRST_PLANE, level: 0, row, column }
}

function tilesOf(pyramid: Pyramid, level: number): TileAddress[] {
  const { columns, rows } = gridOf(pyramid.geometry, level)
  return Array.from({ length: columns * rows }, (_, i) => ({
    level,
    column: i % columns,
    row: Math.floor(i / columns),
  }))
}

/** One byte a pixel of a tile, 1 = it lies in one of these leaves. */
function maskOfLeaves(leaves: readonly ShardKey[], address: TileAddress, tileSize: number): Uint8Array {
  const mask = new Uint8Array(tileSize * tileSize)
  const square = (row: number, column: number, size: number): Rect => ({
    x0: column * size,
    y0: row * size,
    x1: (column + 1) * size,
    y1: (row + 1) * size,
  })
  const edge = SHARD_SIZE / 2 ** address.level
  fillMask(
    mask,
    square(address.row, address.column, tileSize),
    leaves.map(({ row, column }) => square(row, column, edge)),
  )
  return mask
}

/** How many of a tile's pixels are not what they must be while these leaves are built and nothing else. */
function countWrong(
  tile: CoveredTile | undefined,
  plate: GrowingPlate,
  address: TileAddress,
  leaves: readonly ShardKey[],
): number {
  const { tileSize, sampleType } = plate.record
  const final = plate.finalTile(address)
  const built = maskOfLeaves(leaves, address, tileSize)
  const mask = tile ? maskOf(tile) : new Uint8Array(tileSize * tileSize)
  const blank = SAMPLE_TYPES[sampleType].integer ? 0 : Number.NaN
  let wrong = 0
  for (let i = 0; i < mask.length; i++) {
    const covered = final.mask[i] & built[i]
    if (mask[i] !== covered) wrong++
    else if (tile && !Object.is(tile.plane.samples[i], covered ? final.samples[i] : blank)) wrong++
  }
  return wrong
}

/** Of samples and mask; arrays of 65,536 numbers are compared by it. */
function digestOf(samples: SampleArray | undefined, mask?: Uint8Array): string {
  const hash = createHash('sha1')
  if (samples) hash.update(bytesOfSamples(samples))
  if (mask) hash.update(mask)
  return hash.digest('hex')
}

function digestOfTile(tile: CoveredTile | undefined): string {
  return tile ? digestOf(tile.plane.samples, maskOf(tile)) : digestOf(undefined)
}

/** The shard that a tile lies in. */
function shardOf({ level, row, column }: TileAddress, tileSize: number): ShardKey {
  const place = (tile: number): number => Math.floor((tile * tileSize) / SHARD_SIZE)
  return { selection: FIRST_PLANE, level, row: place(row), column: place(column) }
}

for (const [what, options] of [
  ['16-bit samples', { columns: 3, rows: 2, tileSize: 256, sampleType: 'uint16' }],
  [
    'floats with NaN among them, tiles of 512',
    {
      columns: 2,
      rows: 1,
      tileSize: 512,
      sampleType: 'float32',
      sample: (x: number, y: number) => (x % 50 === 3 && y % 3 === 0 ? Number.NaN : plainSample(x, y) / 8),
    },
  ],
  [
    '8-bit samples, tiles of 128',
    {
      columns: 2,
      rows: 1,
      tileSize: 128,
      sampleType: 'uint8',
      sample: (x: number, y: number) => plainSample(x, y) & 255,
    },
  ],
] as const) {
  t.test(`a pyramid that grows shows final samples or nothing at every moment: ${what}`, async t => {
    const plate = new GrowingPlate(t.testdir(), options)
    const { pyramid, growth, changes, build } = await grow(t, plate)
    const { levelCount } = pyramid.geometry
    const order: ShardKey[] = plate.shards.filter(({ level }) => level === 0).reverse()
    // A parent comes as soon as those below it are there.
    for (const parent of plate.shards.filter(({ level }) => level > 0)) {
      const children = order.filter(
        ({ level, row, column }) =>
          level === parent.level - 1 && row >> 1 === parent.row && column >> 1 === parent.column,
      )
      order.splice(Math.max(...children.map(child => order.indexOf(child))) + 1, 0, parent)
    }
    t.equal(order.length, plate.shards.length)
    const { tileSize } = plate.record
    const all = Array.from({ length: levelCount }, (_, level) => tilesOf(pyramid, level)).flat()
    const leaves: ShardKey[] = []
    /** Digest of a tile by its address and version: another digest would be another tile under the same name. */
    const seen = new Map<string, string>()
    for (const key of order) {
      const near = all.filter(
        address => address.level > 1 || nameOfShard(shardOf(address, tileSize)) === nameOfShard(key),
      )
      const before = new Map(near.map(address => [address, growth.tileVersion(FIRST_PLANE, address)]))
      changes.length = 0
      await build(key)
      if (key.level === 0) leaves.push(key)
      const told = new Set(
        changes.flatMap(({ shards }) => shards.map(shard => `${nameOfShard(shard)} ${shard.version}`)),
      )
      let [wrong, repeated, untold] = [0, 0, 0]
      for (const address of near) {
        const tile = await growth.readCoveredTile(FIRST_PLANE, address)
        wrong += countWrong(tile, plate, address, leaves)
        const version = growth.tileVersion(FIRST_PLANE, address)
        if (!version) continue
        const name = `${Object.values(address)} ${version}`
        const digest = digestOfTile(tile)
        if ((seen.get(name) ?? digest) !== digest) repeated++
        seen.set(name, digest)
        const isTold = told.has(`${nameOfShard(shardOf(address, tileSize))} ${version}`)
        if (before.get(address) !== version && !isTold) untold++
      }
      t.same([wrong, repeated, untold], [0, 0, 0], nameOfShard(key))
    }
    let wrong = 0
    for (const address of all)
      wrong += countWrong(await growth.readCoveredTile(FIRST_PLANE, address), plate, address, leaves)
    t.equal(wrong, 0, 'all of it')
    t.match(growth.tileVersion(FIRST_PLANE, { level: 1, row: 0, column: 0 }), new RegExp(`\\.${levelCount}$`))
    t.notOk(growth.hasEnded)
    const again = await openPyramid(plate.directory)
    const versions = again.growth?.shardVersions(FIRST_PLANE)
    t.ok(
      versions?.every(level => [...level.values()].every(version => !/-p/.test(version))),
      'who opens it then sees versions that are stable for ever',
    )
    t.same(versions?.[0], growth.shardVersions(FIRST_PLANE)[0], 'level 0 has the same ones')
    await again.close()
  })
}

t.test('what was planned is the coverage, and what is wanted and not built is told', async t => {
  const plate = new GrowingPlate(t.testdir(), { columns: 2, rows: 1 })
  const { pyramid, growth, build } = await grow(t, plate)
  const wanted: unknown[] = []
  growth.onWanted = (selection, address) => wanted.push([selection, address])
  t.match(pyramid, { complete: false, format: 'tilestage', frames: { used: plate.frames.length } })
  t.match(await pyramid.histogram(0), { total: 0, counts: [] }, 'nothing was counted yet')
  t.ok(pyramid.coverage(FIRST_PLANE).hasTile({ level: 0, row: 0, column: 0 }))
  t.same(
    growth.shardVersions(FIRST_PLANE).map(level => level.size),
    Array(pyramid.geometry.levelCount).fill(0),
  )
  const top = { level: pyramid.geometry.levelCount - 1, row: 0, column: 0 }
  t.equal(await pyramid.readTile(FIRST_PLANE, top), undefined)
  t.equal(await pyramid.readTile(FIRST_PLANE, { level: 0, row: 0, column: 0 }), undefined)
  t.same(wanted.splice(0), [
    [FIRST_PLANE, top],
    [FIRST_PLANE, { level: 0, row: 0, column: 0 }],
  ])
  await build(leaf(0, 1))
  t.ok(await pyramid.readTile(FIRST_PLANE, top))
  const hole = tilesOf(pyramid, 0).find(address => !plate.finalTile(address).mask.includes(1))
  t.equal(await pyramid.readTile(FIRST_PLANE, hole!), undefined)
  t.same(wanted, [], 'what is partly there will come anyway, and where no frame lies nothing will')
  await t.rejects(pyramid.readTile(FIRST_PLANE, { level: 0, row: 99, column: 0 }), RangeError)
  t.throws(() => pyramid.coverage({ ...FIRST_PLANE, channel: 1 }), RangeError)
})

t.test('frames that arrive change the plan and the shards they touch, and no version of the pyramid', async t => {
  const all = framesOf(2, 1)
  const plate = new GrowingPlate(t.testdir(), { columns: 2, rows: 1, frames: all })
  const few = all.filter((_, i) => i % 3 > 0)
  await plate.writePlan(few)
  const journal = await ShardJournal.open(plate.directory)
  const pyramid = await openPyramid(plate.directory)
  t.teardown(() => Promise.all([pyramid.close(), journal.close()]))
  const growth = pyramid.growth!
  const { version } = pyramid
  const changes: GrowthChange[] = []
  growth.onChange = change => changes.push(change)
  journal.append(await plate.writeShard(leaf(0, 0), few))
  await growth.look()
  const before = growth.tileVersion(FIRST_PLANE, { level: 0, row: 0, column: 0 })
  const late = all[0]
  const address = { level: 0, row: 0, column: 0 }
  t.notOk(pyramid.coverage(FIRST_PLANE).hasTile(address))
  await plate.writePlan(all)
  await growth.look()
  t.ok(pyramid.coverage(FIRST_PLANE).hasTile(address))
  t.equal(await pyramid.readTile(FIRST_PLANE, address), undefined, 'planned, and not in the file yet')
  journal.append(await plate.writeShard(leaf(0, 0), all))
  await growth.look()
  const tile = await growth.readCoveredTile(FIRST_PLANE, address)
  t.equal(digestOf(tile?.plane.samples), digestOf(plate.finalTile(address).samples))
  t.ok(late.x0 === 0 && late.y0 === 0)
  t.not(growth.tileVersion(FIRST_PLANE, address), before)
  t.equal(pyramid.version, version)
  t.same(
    changes.map(({ plan, shards }) => [plan, shards.filter(({ level }) => level === 0).length]),
    [
      [1, 1],
      [2, 0],
      [2, 1],
    ],
  )
  const counted = await pyramid.histogram(0)
  const expected = new HistogramBuilder('uint16')
  const { plane, mask } = plate.levels[0]
  expected.add(
    plane.samples,
    mask.map((value, i) => (i % plane.width < SHARD_SIZE ? value : 0)),
  )
  t.same(counted, expected.finish(), 'the histogram counts the shard as it is now, and not as it was')
  await plate.writePlan(all, { size: { width: 5000, height: 2018 }, levelCount: 6 })
  await growth.look()
  t.ok(growth.hasEnded, 'another geometry is another version')
  const wider = await openPyramid(plate.directory)
  t.not(wider.version, version)
  t.equal(wider.lineage, pyramid.lineage)
  await wider.close()
})

t.test('with thumbnails coarse tiles cost no reading', async t => {
  const folder = t.testdir({ a: {}, b: {} })
  const [plate, other] = ['a', 'b'].map(name => new GrowingPlate(join(folder, name), { columns: 2, rows: 1 }))
  const { growth, changes, build } = await grow(t, plate)
  const reading = await grow(t, other)
  for (const column of [0, 1]) {
    const entry = await build(leaf(0, column))
    await reading.build(leaf(0, column))
    const address = { level: 3, row: 0, column }
    const { samples, mask } = plate.finalTile(address)
    growth.offerThumbnail(entry, { samples, mask })
    await rm(join(plate.directory, nameOfShard(entry)))
    const offered = await growth.readCoveredTile(FIRST_PLANE, address)
    const read = await reading.growth.readCoveredTile(FIRST_PLANE, address)
    t.equal(digestOfTile(offered), digestOfTile(read))
  }
  const above = { level: 4, row: 0, column: 0 }
  const composed = await growth.readCoveredTile(FIRST_PLANE, above)
  t.equal(countWrong(composed, plate, above, [leaf(0, 0), leaf(0, 1)]), 0)
  await build(leaf(0, 0), plate.frames.slice(2))
  const first = { level: 3, row: 0, column: 0 }
  const newer = await growth.readCoveredTile(FIRST_PLANE, first)
  t.not(digestOf(newer?.mask), digestOf(plate.finalTile(first).mask), 'a thumbnail of an older file is not used')
  changes.length = 0
  await build(leaf(0, 0), [])
  t.equal(await growth.readCoveredTile(FIRST_PLANE, first), undefined, 'none of its frames can be read any more')
  t.match(changes, [{ plan: 2 }], 'and nothing is left that could have a version')
})

t.test('damage is an error until it is repaired, and never a picture', async t => {
  const plate = new GrowingPlate(t.testdir(), { columns: 2, rows: 1 })
  const { growth, journal, build } = await grow(t, plate)
  const { directory } = plate
  await build(leaf(0, 0))
  const path = join(directory, nameOfShard(leaf(0, 0)))
  const whole = await readFile(path)
  const read = (level: number) => growth.readCoveredTile(FIRST_PLANE, { level, row: 0, column: 0 })
  const flipped = Buffer.from(whole)
  flipped[1000] ^= 1
  for (const [bytes, what] of [
    [whole.subarray(0, whole.length - 9), /has \d+ bytes where the journal tells of|checksum of its index/],
    [whole.subarray(0, 10), /is cut off/],
    [flipped, /is not the file that the journal tells of/],
    [undefined, /is missing although the journal tells of it/],
  ] as const) {
    await rename(path, `${path}.away`)
    if (bytes) await writeFile(path, bytes)
    // The journal's word is kept; what is open stays open and whole.
    const again = await openPyramid(directory)
    for (const level of [0, 4]) {
      const reading = again.growth!.readCoveredTile(FIRST_PLANE, { level, row: 0, column: 0 })
      await t.rejects(reading, CorruptDataError, `level ${level}`)
      await t.rejects(again.growth!.readCoveredTile(FIRST_PLANE, { level, row: 0, column: 0 }), { message: what })
    }
    await rename(`${path}.away`, path)
    t.ok(await again.growth!.readCoveredTile(FIRST_PLANE, { level: 0, row: 0, column: 0 }), 'whole again')
    await again.close()
  }
  const entry = await plate.writeShard(leaf(0, 1))
  await appendFile(join(directory, JOURNAL_FILE), '0badc0de {"level":0,"row":0,"col')
  await growth.look()
  t.equal(growth.tileVersion(FIRST_PLANE, { level: 0, row: 0, column: 8 }), undefined)
  await journal.close()
  const resumed = await ShardJournal.open(directory)
  resumed.append(entry)
  await growth.look()
  t.ok(growth.tileVersion(FIRST_PLANE, { level: 0, row: 0, column: 8 }), 'a torn line is overtaken by the next one')
  await resumed.compact()
  const versions = growth.shardVersions(FIRST_PLANE).map(level => [...level])
  await growth.look()
  t.same(
    growth.shardVersions(FIRST_PLANE).map(level => [...level]),
    versions,
    'a new journal with the same lines is no change',
  )
  await resumed.compact(({ column }) => column === 0)
  await resumed.close()
  const { plan } = growth
  await growth.look()
  t.equal(
    growth.tileVersion(FIRST_PLANE, { level: 0, row: 0, column: 8 }),
    undefined,
    'what a new journal does not tell of is gone',
  )
  t.equal(growth.plan, plan + 1)
  t.ok(await read(0))
  await truncate(join(directory, 'zarr.json'), 100)
  await t.rejects(growth.look(), CorruptDataError)
})

t.test('a shard that is replaced again and again while it is read is never mixed', async t => {
  // Noise is stored as it is, so that files of the same frames have the same length.
  const sampleOf = (state: number) => (x: number, y: number) => {
    const mixed = Math.imul((x * 73_856_093) ^ (y * 19_349_663) ^ (state * 83_492_791), 0x2c1b3c6d)
    return Math.imul(mixed ^ (mixed >>> 15), 0x297a2d39) >>> 24
  }
  const frames = [0, 1009].map(y0 => ({ x0: 0, y0, x1: SHARD_SIZE, y1: y0 + 1009 }))
  const plate = new GrowingPlate(t.testdir(), { columns: 2, rows: 1, sampleType: 'uint8', frames })
  const { growth, journal } = await grow(t, plate)
  const path = join(plate.directory, nameOfShard(leaf(0, 0)))
  const addresses = [0, 1, 5].map(row => ({ level: 0, row, column: row }))
  const states: { readonly entry: ShardEntry; readonly bytes: Buffer; readonly tiles: readonly string[] }[] = []
  for (let state = 1; state < 5; state++) {
    const entry = await plate.writeShard(leaf(0, 0), state % 2 === 0 ? frames.slice(0, 1) : frames, sampleOf(state))
    journal.append(entry)
    await growth.look()
    const tiles = await Promise.all(addresses.map(address => growth.readCoveredTile(FIRST_PLANE, address)))
    states.push({ entry, bytes: await readFile(path), tiles: tiles.map(digestOfTile) })
  }
  t.equal(new Set(states.flatMap(({ tiles }) => tiles)).size, 11, 'the last tile is not covered in two of them')
  t.equal(states[0].bytes.length, states[2].bytes.length)
  let isWriting = true
  const writing = (async () => {
    for (let round = 0; round < 40; round++) {
      const { entry, bytes } = states[round % states.length]
      await writeFile(`${path}.tmp`, bytes)
      await rename(`${path}.tmp`, path)
      // As a builder in another process that is held up for a moment.
      await delay(round % 8)
      journal.append(entry)
      await delay(round % 5)
    }
    isWriting = false
  })()
  const reads = [0, 0, 0, 0]
  const named = new Map<string, string>()
  let [mixed, misnamed] = [0, 0]
  while (isWriting) {
    for (const [i, address] of addresses.entries()) {
      const version = growth.tileVersion(FIRST_PLANE, address)
      const tile = digestOfTile(await growth.readCoveredTile(FIRST_PLANE, address))
      const state = states.findIndex(({ tiles }) => tiles[i] === tile)
      if (state < 0) mixed++
      else reads[state]++
      if (version !== growth.tileVersion(FIRST_PLANE, address)) continue
      const name = `${i} ${version}`
      if ((named.get(name) ?? tile) !== tile) misnamed++
      named.set(name, tile)
    }
    await growth.look()
  }
  await writing
  t.same([mixed, misnamed], [0, 0])
  t.ok(reads.filter(count => count > 0).length > 2, `reads of each state: ${reads}`)
})

t.test('an unfinished build without a plan is refused, one that ends is told, one begun anew is not mixed', async t => {
  const plate = new GrowingPlate(t.testdir(), { columns: 2, rows: 1 })
  const { directory } = plate
  const grown = await grow(t, plate)
  const { growth, journal, pyramid, build } = grown
  for (const key of plate.shards) await build(key)
  const before = await growth.readCoveredTile(FIRST_PLANE, { level: 2, row: 0, column: 1 })
  await plate.finish(journal)
  await growth.look()
  t.ok(growth.hasEnded)
  const complete = await openPyramid(directory)
  t.notOk(complete.growth)
  t.not(complete.version, pyramid.version)
  t.equal(complete.lineage, pyramid.lineage)
  const after = await complete.readTile(FIRST_PLANE, { level: 2, row: 0, column: 1 })
  t.equal(digestOf(after?.samples), digestOf(before?.plane.samples))
  t.same(await complete.histogram(0), await pyramid.histogram(0), 'counted along the way, or at the end')
  await complete.close()

  await rm(directory, { recursive: true })
  const anew = new GrowingPlate(directory, { columns: 2, rows: 1, revision: '0000bbbb', sample: () => 7 })
  const fresh = await grow(t, anew)
  await fresh.build(leaf(0, 0))
  t.not(fresh.pyramid.lineage, pyramid.lineage)
  await journal.close()
  await rm(join(directory, JOURNAL_FILE))
  await rm(join(directory, nameOfShard(leaf(0, 0))))
  const third = new GrowingPlate(directory, { columns: 2, rows: 1, revision: '0000cccc', sample: () => 9 })
  await third.writePlan()
  const journalOfThird = await ShardJournal.open(directory)
  journalOfThird.append(await third.writeShard(leaf(0, 0)))
  await journalOfThird.close()
  await t.rejects(fresh.growth.readCoveredTile(FIRST_PLANE, { level: 0, row: 1, column: 1 }), SourceUnavailableError)
  t.ok(fresh.growth.hasEnded)

  const root = JSON.parse(await readFile(join(directory, 'zarr.json'), 'utf8'))
  delete root.attributes.tilestage.placement
  await writeFile(join(directory, 'zarr.json'), JSON.stringify(root))
  await t.rejects(openPyramid(directory), UnsupportedDataError)
  await t.rejects(openPyramid(directory), /was not finished and left no plan; run the same build command again/)
})
