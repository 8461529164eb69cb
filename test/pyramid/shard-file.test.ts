import { open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { CorruptDataError, TilestageError, UnsupportedDataError } from '../../src/errors.js'
import { allocateSamples, bytesOfSamples, SAMPLE_TYPES, type SampleType } from '../../src/plane.js'
import { decodeBlosc, encodeBlosc } from '../../src/pyramid/blosc.js'
import { OpenShard } from '../../src/pyramid/open-shard.js'
import { OpenShards } from '../../src/pyramid/open-shards.js'
import { decodeShardIndex, decodeTile, encodeShard, indexLength } from '../../src/pyramid/shard-file.js'
import { seededRandom } from '../seeded-random.js'

const EDGE = 32

/** Camera-like samples: a smooth part and noise in the low bits. */
function noisyTile(type: SampleType, seed: number) {
  const random = seededRandom(seed)
  const tile = allocateSamples(type, EDGE * EDGE)
  for (let i = 0; i < tile.length; i++) tile[i] = 100 + (i % EDGE) * 3 + random() * 20
  return tile
}

t.test('tiles of every type come back as they were, absent ones as absent', async t => {
  for (const type of Object.keys(SAMPLE_TYPES) as SampleType[]) {
    const tiles = [noisyTile(type, 1), undefined, allocateSamples(type, EDGE * EDGE), undefined]
    const shard = encodeShard(tiles)
    const tileBytes = bytesOfSamples(tiles[0] as Uint8Array).length
    const index = decodeShardIndex(shard.subarray(shard.length - indexLength(4)), shard.length, tileBytes, 'shard')
    t.same(
      index.map(range => range !== undefined),
      [true, false, true, false],
    )
    index.forEach((range, i) => {
      if (!range) return
      const back = decodeTile(shard.subarray(range.offset, range.offset + range.length), type, EDGE * EDGE, 'shard')
      t.equal(Buffer.compare(bytesOfSamples(back), bytesOfSamples(tiles[i] as typeof back)), 0, `${type} tile ${i}`)
    })
  }
})

t.test('every single flipped bit in a tile or the index is found', async t => {
  const shard = encodeShard([noisyTile('uint16', 2)])
  const indexAt = shard.length - indexLength(1)
  const random = seededRandom(3)
  let missed = 0
  for (let k = 0; k < 600; k++) {
    const damaged = Buffer.from(shard)
    const at = k < 300 ? Math.floor(random() * indexAt) : indexAt + Math.floor(random() * indexLength(1))
    damaged[at] ^= 1 << Math.floor(random() * 8)
    try {
      const [range] = decodeShardIndex(damaged.subarray(indexAt), damaged.length, 2 * EDGE * EDGE, 'shard')
      if (range) decodeTile(damaged.subarray(range.offset, range.offset + range.length), 'uint16', EDGE * EDGE, 'shard')
      missed++
    } catch (error) {
      if (!(error instanceof CorruptDataError)) throw error
    }
  }
  t.equal(missed, 0)
})

t.test(
  'an index that reaches outside the file, or asks for more than a tile, is refused even with a right checksum',
  async t => {
    const shard = encodeShard([noisyTile('uint8', 4)])
    const index = shard.subarray(shard.length - indexLength(1))
    t.throws(() => decodeShardIndex(index, indexLength(1) + 10, EDGE * EDGE, 'shard'), /places tile 0 outside the file/)
    t.throws(() => decodeShardIndex(index, shard.length, 100, 'shard'), /gives tile 0 \d+ bytes; its samples have 100/)
  },
)

t.test('a Blosc frame of a hostile writer is an error or the expected bytes, whatever is in it', async t => {
  const samples = bytesOfSamples(noisyTile('uint16', 5))
  const frame = encodeBlosc(samples, 2)
  const random = seededRandom(6)
  let odd = 0
  for (let k = 0; k < 3000; k++) {
    const damaged = Buffer.from(frame.subarray(0, k % 3 === 0 ? Math.floor(random() * frame.length) : frame.length))
    for (let flips = 0; flips < 1 + (k % 4) && damaged.length > 0; flips++) {
      damaged[Math.floor(random() * Math.min(damaged.length, k % 2 ? 40 : damaged.length))] = Math.floor(random() * 256)
    }
    try {
      if (decodeBlosc(damaged, samples.length, 2, 'chunk').length !== samples.length) odd++
    } catch (error) {
      if (!(error instanceof TilestageError)) odd++
    }
  }
  t.equal(odd, 0)
})

t.test('frames of other writers are read too: stored as they are, or in several blocks', async t => {
  const samples = bytesOfSamples(noisyTile('uint16', 7))
  const header = Buffer.alloc(16)
  header.set([2, 1, 0x02 | (1 << 5), 2])
  header.writeUInt32LE(samples.length, 4)
  header.writeUInt32LE(samples.length, 8)
  header.writeUInt32LE(16 + samples.length, 12)
  t.same(Buffer.from(decodeBlosc(Buffer.concat([header, samples]), samples.length, 2, 'chunk')), Buffer.from(samples))

  // Two unsplit blocks of raw shuffled bytes.
  const half = samples.length / 2
  const blocks = [0, 1].map(i => {
    const part = samples.subarray(i * half, (i + 1) * half)
    const planes = Buffer.concat([part.filter((_, k) => k % 2 === 0), part.filter((_, k) => k % 2 === 1)])
    const length = Buffer.alloc(4)
    length.writeInt32LE(half)
    return Buffer.concat([length, planes])
  })
  const starts = Buffer.alloc(8)
  starts.writeUInt32LE(24, 0)
  starts.writeUInt32LE(24 + 4 + half, 4)
  const head = Buffer.from(header)
  head[2] = 0x01 | 0x10 | (1 << 5)
  head.writeUInt32LE(half, 8)
  head.writeUInt32LE(24 + 2 * (4 + half), 12)
  t.same(
    Buffer.from(decodeBlosc(Buffer.concat([head, starts, ...blocks]), samples.length, 2, 'chunk')),
    Buffer.from(samples),
  )

  head[2] = 0x01 | (4 << 5)
  t.throws(
    () => decodeBlosc(Buffer.concat([head, starts, ...blocks]), samples.length, 2, 'chunk'),
    UnsupportedDataError,
  )
})

t.test('shards that are pushed out while they are read give their own samples, and no file stays open', async t => {
  const folder = t.testdir()
  const shape = { tileSize: 512, sampleType: 'uint16' } as const
  const names = Array.from({ length: 8 }, (_, i) => join(folder, String(i)))
  for (const [shard, name] of names.entries()) {
    const tiles = Array.from({ length: 16 }, (_, i) => new Uint16Array(512 * 512).fill(100 * shard + i))
    await writeFile(name, encodeShard(tiles))
  }
  const shards = new OpenShards(2)
  const opened: OpenShard[] = []
  const openShard = async (name: string): Promise<OpenShard> => {
    const shard = await OpenShard.open(name, shape)
    opened.push(shard)
    return shard
  }
  const wrong: string[] = []
  const read = async (reader: number): Promise<void> => {
    const random = seededRandom(reader)
    for (let i = 0; i < 60; i++) {
      const shard = Math.floor(random() * names.length)
      const tile = Math.floor(random() * 16)
      const samples = await shards.read(
        names[shard],
        shape,
        () => openShard(names[shard]),
        at => at.readTile(tile),
      )
      if (samples?.[0] !== 100 * shard + tile) wrong.push(`${shard} ${tile}: ${samples?.[0]}`)
      if (random() < 0.05) shards.closeBelow(folder)
      // Takes the number that a file had which was closed just now.
      await (await open(names[0])).close()
    }
  }
  await Promise.all(Array.from({ length: 12 }, (_, i) => read(i)))
  t.same(wrong, [])
  t.ok(opened.length > names.length, 'they were pushed out and opened again')
  shards.closeBelow(folder)
  await setImmediate()
  t.ok(opened.every(shard => shard.isClosed))
})
