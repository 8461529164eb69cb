import { appendFile, mkdir, open, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { HistogramBuilder } from '../../src/pyramid/histogram.js'
import { JournalFollower } from '../../src/pyramid/journal-follower.js'
import { encodeLine, MAX_LINE_BYTES } from '../../src/pyramid/journal-lines.js'
import { writeShardEntry } from '../../src/pyramid/shard-entry.js'
import { JOURNAL_FILE, type ShardEntry, ShardJournal } from '../../src/pyramid/shard-journal.js'
import { seededRandom } from '../seeded-random.js'

/** An entry of the shard at `level`, (row 0, `column`), of some samples that depend on `seed`. */
function entryOf(level: number, column: number, seed = column, more: Partial<ShardEntry> = {}): ShardEntry {
  const random = seededRandom(seed)
  const builder = new HistogramBuilder('uint16')
  builder.add(Uint16Array.from({ length: 5000 }, () => 100 + 40 * random() ** 2))
  return {
    selection: { channel: 0, zPlane: 0, timePoint: 0 },
    level,
    row: 0,
    column,
    fingerprint: seed.toString(16).padStart(16, '0'),
    bytes: 1000 + seed,
    crc32: 'c0ffee00',
    clipped: 0,
    histogram: builder.finish(),
    ...more,
  }
}

async function all(entries: AsyncIterable<ShardEntry>): Promise<ShardEntry[]> {
  const list = []
  for await (const entry of entries) list.push(entry)
  return list
}

function collector() {
  const told: (ShardEntry | 'restart')[] = []
  return { told, onRestart: () => void told.push('restart'), onEntry: (entry: ShardEntry) => void told.push(entry) }
}

t.test('entries come back as they were written, floats, NaN and empty histograms included', async t => {
  const directory = t.testdir()
  const floats = new HistogramBuilder('float32')
  floats.add(Float32Array.of(-1.5, 0.1, 3e7, Number.NaN))
  const empty = new HistogramBuilder('int16').finish()
  const counts = [0, 0, 0, 1, 127, 128, 0, 16_384, 2 ** 31, 2 ** 45 + 1, 0, 0]
  const sparse = { min: 1.5, max: 9, total: 7, binStart: -0.25, binWidth: 1e-3, counts }
  const entries = [
    entryOf(0, 3, 3, {
      clipped: 7,
      covered: [3 * 2048, 0, 4 * 2048, 2048, 3 * 2048 + 5, 6, 3 * 2048 + 7, 8],
      skipped: [{ series: 1, frame: 12, reason: 'frame00012.pzf: "torn"\nélan' }],
      overlaps: [0, 1, 0, 2, 5000, 101.25, 0.1 + 0.2, 0, 1, 1, 4, 1, Number.NaN, 99],
    }),
    entryOf(1, 0, 4, { histogram: floats.finish() }),
    entryOf(1, 1, 6, { histogram: sparse }),
    entryOf(2, 0, 5, { histogram: empty, selection: { channel: 1, zPlane: 2, timePoint: 0 } }),
  ]
  const journal = await ShardJournal.open(directory)
  for (const entry of entries) journal.append(entry)
  for (const entry of entries) t.same(await journal.read(entry), entry)
  t.match(journal.current(entries[0]), { fingerprint: entries[0].fingerprint, bytes: 1003 })
  t.equal(journal.current(entryOf(0, 9)), undefined)
  await t.rejects(journal.read(entryOf(0, 9)), RangeError)
  await journal.close()
  const again = await ShardJournal.open(directory)
  t.same(await all(again.entries()), entries, 'and after it was opened anew')
  t.equal(again.size, 4)
  await again.close()
})

t.test('the newest entry of a shard counts, and compaction keeps only that, sorted, in the same bytes', async t => {
  const directory = t.testdir()
  const journal = await ShardJournal.open(directory)
  t.teardown(() => journal.close())
  for (const column of [5, 1, 3]) journal.append(entryOf(0, column))
  journal.append(entryOf(1, 0))
  journal.append(entryOf(0, 1, 77))
  const wanted = [entryOf(0, 1, 77), entryOf(0, 3), entryOf(0, 5), entryOf(1, 0)]
  t.same(await all(journal.entries()), wanted)
  const first = await journal.compact()
  const bytes = await readFile(join(directory, JOURNAL_FILE))
  t.equal(first.bytes, bytes.length)
  t.same(await journal.compact(), first)
  t.same(await readFile(join(directory, JOURNAL_FILE)), bytes)
  journal.append(entryOf(0, 2))
  t.same(await journal.read(entryOf(0, 2)), entryOf(0, 2), 'it goes on after compaction')
  await journal.compact(({ column }) => column !== 2)
  t.equal(journal.current(entryOf(0, 2)), undefined)
  t.same(await readFile(join(directory, JOURNAL_FILE)), bytes)
})

t.test('a torn or damaged line is a shard that was not made, and new lines begin a line', async t => {
  const directory = t.testdir()
  const path = join(directory, JOURNAL_FILE)
  const journal = await ShardJournal.open(directory)
  for (let column = 0; column < 4; column++) journal.append(entryOf(0, column))
  await journal.close()
  const whole = await readFile(path)
  const lineLength = whole.indexOf('\n') + 1
  for (const cut of [1, 9, lineLength - 1]) {
    await writeFile(path, whole.subarray(0, whole.length - cut))
    const torn = await ShardJournal.open(directory)
    t.equal(torn.size, 3, `${cut} bytes short`)
    torn.append(entryOf(0, 3))
    await torn.close()
    t.same(await readFile(path), whole)
  }
  const flipped = Buffer.from(whole)
  flipped[lineLength + 40] ^= 4
  await writeFile(path, flipped)
  const damaged = await ShardJournal.open(directory)
  t.equal(damaged.size, 3)
  t.equal(damaged.current(entryOf(0, 1)), undefined)
  await damaged.close()
})

t.test('hostile journals cost the shards they name, not memory or a crash', async t => {
  const directory = t.testdir()
  const path = join(directory, JOURNAL_FILE)
  await mkdir(join(directory, 'tilestage'))
  const good = JSON.parse(writeShardEntry(entryOf(0, 1)))
  const wild = [
    { ...good, row: -1 },
    { ...good, column: 2 ** 40 },
    { ...good, level: 1.5 },
    { ...good, c: 1e9 },
    { ...good, fingerprint: '../../etc/passwd' },
    { ...good, crc32: 12345678.5 },
    { ...good, bytes: -5 },
    { ...good, bytes: 1e300 },
    { ...good, clipped: 'x' },
    { ...good, histogram: null },
    { ...good, histogram: { ...good.histogram, bins: 2 ** 31 } },
    { ...good, histogram: { ...good.histogram, counts: 'AAAA' } },
    { ...good, histogram: { ...good.histogram, counts: 'AP//////////fw==' } },
    { ...good, histogram: { ...good.histogram, counts: '////////////////' } },
    { ...good, histogram: { ...good.histogram, counts: '' } },
    { ...good, histogram: { ...good.histogram, binWidth: 0 } },
    { ...good, histogram: { ...good.histogram, min: null } },
    { ...good, covered: [0, 0, 5000, 1] },
    { ...good, covered: [2048, 0, 2049] },
    { ...good, covered: 'all' },
    { ...good, skipped: [[0, 1]] },
    { ...good, skipped: 5 },
    { ...good, overlaps: [1, 2, 3] },
    [],
    null,
    7,
  ]
  await writeFile(path, Buffer.concat(wild.map(line => encodeLine(JSON.stringify(line)))))
  await appendFile(path, encodeLine('not JSON'))
  await appendFile(path, `${'\n'.repeat(1000)}deadbeef\n\0\0\0\n`)
  const long = await open(path, 'a')
  for (let written = 0; written <= MAX_LINE_BYTES; written += 2 ** 20)
    await long.appendFile(Buffer.alloc(2 ** 20, 0x61))
  await long.close()
  await appendFile(path, Buffer.concat([Buffer.from('\n'), encodeLine(JSON.stringify(good))]))
  const journal = await ShardJournal.open(directory)
  t.same(await all(journal.entries()), [entryOf(0, 1)], 'what makes sense between them counts')
  await journal.close()
  await rm(path)
  await mkdir(path)
  await t.rejects(ShardJournal.open(directory), /shards\.ndjson (is not a file|is a directory)/)
})

t.test('a follower is told of every line once, of a torn one when it is whole, and of a new journal', async t => {
  const directory = t.testdir()
  const path = join(directory, JOURNAL_FILE)
  const follower = new JournalFollower(directory)
  t.teardown(() => follower.close())
  const news = collector()
  await follower.look(news)
  t.same(news.told, [], 'no journal yet')
  const journal = await ShardJournal.open(directory)
  journal.append(entryOf(0, 0))
  journal.append(entryOf(0, 1))
  await follower.look(news)
  await follower.look(news)
  t.same(news.told.splice(0), [entryOf(0, 0), entryOf(0, 1)])
  const line = encodeLine(writeShardEntry(entryOf(0, 2)))
  await appendFile(path, line.subarray(0, 30))
  await follower.look(news)
  t.same(news.told, [])
  await appendFile(path, line.subarray(30))
  await appendFile(path, encodeLine('damaged').subarray(3))
  await follower.look(news)
  t.same(news.told.splice(0), [entryOf(0, 2)])
  await journal.compact()
  await follower.look(news)
  t.same(news.told.splice(0), ['restart', entryOf(0, 0), entryOf(0, 1)], 'the writer did not know of the third')
  await truncate(path, 0)
  await journal.close()
  await follower.look(news)
  t.same(news.told.splice(0), ['restart'])
  await rename(path, `${path}.gone`)
  await follower.look(news)
  t.same(news.told, [])
})
