import { createHash } from 'node:crypto'
import {
  copyFileSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { type Dataset, File, ready } from 'h5wasm/node'
import t, { type Test } from 'tap'
import { examineFile } from '../../src/sources/file-version.js'
import { Hdf5File } from '../../src/sources/hdf5/hdf5-file.js'
import type { Hdf5Dataset, Hdf5Group } from '../../src/sources/hdf5/hdf5-messages.js'
import { Hdf5Pool } from '../../src/sources/hdf5/hdf5-pool.js'
import { decodeValues } from '../../src/sources/hdf5/hdf5-values.js'
import { HeapLimit } from '../../src/sources/hdf5/heap-limit.js'
import { unpackFixture } from '../unpack-fixture.js'

interface Truth {
  readonly shape?: number[]
  readonly sha256_le?: string
  readonly lossy?: string
  readonly at_10_20?: number
}

const truth: Record<string, Record<string, Truth>> = JSON.parse(
  readFileSync(new URL('../fixtures/h5/truth.json', import.meta.url), 'utf8'),
)
const UNREADABLE = ['/blosc_zlib', '/blosc_snappy', '/ca_blosc_zlib', '/ca_blosc_snappy', '/ca_lzo']

const pool = new Hdf5Pool({ threads: 2 })
t.teardown(() => pool.close())

function open(path: string, roots?: readonly string[]): Hdf5File {
  return new Hdf5File(path, { pool, roots })
}

function unpack(t: Test, ...names: string[]): string[] {
  const folder = t.testdir({})
  return names.map(name => unpackFixture(folder, `h5/${name}`))
}

/** All of a dataset. */
async function readAll(file: Hdf5File, dataset: string): Promise<Uint8Array> {
  const { shape } = (await file.describe(dataset, 0)) as Hdf5Dataset
  return (await file.read(dataset, { offset: shape!.map(() => 0), count: shape! })).bytes
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function countOpenFiles(): number {
  return readdirSync('/dev/fd').length
}

t.test('every type, filter and layout gives the bytes that were written, little endian', async t => {
  const names = Object.keys(truth).filter(name => name.endsWith('.h5') && name !== 'bad_chunk.h5')
  const paths = unpack(t, ...names, 'external_raw.bin')
  for (const [i, name] of names.entries()) {
    const file = open(paths[i])
    const rows = Object.entries(truth[name]).filter(([, row]) => row.sha256_le && !row.lossy)
    t.ok(rows.length > 0)
    for (const [dataset, { shape, sha256_le }] of rows) {
      if (UNREADABLE.includes(dataset)) continue
      const { bytes } = await file.read(dataset, { offset: shape!.map(() => 0), count: shape! })
      t.equal(sha256(bytes), sha256_le, `${name} ${dataset}`)
    }
  }
})

t.test('a filter that loses something keeps within what it promises', async t => {
  const [path] = unpack(t, 'filters.h5')
  for (const [dataset, row] of Object.entries(truth['filters.h5']).filter(([, { lossy }]) => lossy)) {
    const { type, bytes } = await open(path).read(dataset, { offset: [10, 20], count: [1, 1] })
    const [value] = decodeValues(type, bytes, 1) as [number]
    t.ok(Math.abs(value - row.at_10_20!) <= Number(row.lossy), dataset)
  }
})

t.test('a filter that cannot be read is refused by its name, and with that of the dataset', async t => {
  const [filters, pytables] = unpack(t, 'filters.h5', 'pytables.h5')
  const cases: [path: string, dataset: string, filter: string][] = [
    [filters, '/blosc_zlib', 'blosc (32001) with zlib'],
    [filters, '/blosc_snappy', 'blosc (32001) with snappy'],
    [pytables, '/ca_blosc_zlib', 'blosc (32001) with zlib'],
    [pytables, '/ca_lzo', 'lzo (305)'],
  ]
  for (const [path, dataset, filter] of cases) {
    const start = `${path}: the dataset ${dataset} is compressed by ${filter}, which cannot be read; gzip, `
    const error = await open(path)
      .read(dataset, { offset: [0, 0], count: [96, 128] })
      .catch((error: Error) => error)
    t.match(error, { name: 'UnsupportedDataError' })
    t.equal((error as Error).message.slice(0, start.length), start)
  }
})

t.test('a filter that stops the thread is an error, and the next read has a thread', async t => {
  const [path] = unpack(t, 'filters.h5')
  // The header now says lz4 where the chunks are of zlib, which is not compiled in.
  const bytes = readFileSync(path)
  const zlib = Buffer.from(Uint32Array.of(5, 1, 4).buffer)
  const place = bytes.indexOf(zlib)
  t.ok(place > 0 && bytes.indexOf(zlib, place + 1) < 0, 'one dataset is set up so')
  bytes.writeUInt32LE(1, place + 8)
  writeFileSync(path, bytes)
  const file = open(path)
  await t.rejects(file.read('/blosc_zlib', { offset: [0, 0], count: [96, 128] }), {
    name: /CorruptDataError|SourceUnavailableError/,
    message: new RegExp(path),
  })
  t.equal(sha256(await readAll(file, '/gzip4')), truth['filters.h5']['/gzip4'].sha256_le)
})

t.test(
  'of a damaged dataset the good chunks are read, and the bad one never shows what was read before it',
  async t => {
    const [bad, good] = unpack(t, 'bad_chunk.h5', 'filters.h5')
    const { chunks } = (await open(bad).describe('/img', 0)) as Hdf5Dataset
    const [height, width] = chunks!
    const broken: string[] = []
    for (let row = 0; row < 96; row += height) {
      for (let column = 0; column < 128; column += width) {
        const slab = { offset: [row, column], count: [Math.min(height, 96 - row), Math.min(width, 128 - column)] }
        // What a reader that does not look at the status would give out again.
        const expected = (await open(good).read('/gzip4', slab)).bytes
        await open(bad)
          .read('/img', slab)
          .then(
            ({ bytes }) => t.same(bytes, expected),
            (error: Error) => {
              broken.push(`${row}, ${column}`)
              t.match(error, {
                name: 'CorruptDataError',
                message: `${bad} is damaged: /img cannot be read from ${row}, ${column} on through gzip (1)`,
              })
              t.type(error.cause, 'string')
            },
          )
      }
    }
    t.same(broken, ['32, 48'])
  },
)

t.test('what is no whole HDF5 file is told apart, and nothing stays open after 200 tries', async t => {
  const folder = t.testdir({ 'empty.h5': '', 'text.h5': 'x'.repeat(2000), folder: {} })
  const truncated = unpackFixture(folder, 'h5/filters.h5')
  truncateSync(truncated, 331726)
  const cases: [name: string, error: string, message: RegExp][] = [
    ['empty.h5', 'CorruptDataError', /is empty\.$/],
    ['text.h5', 'CorruptDataError', /is no HDF5 file: it does not begin with the signature of one\.$/],
    ['filters.h5', 'CorruptDataError', /is damaged and cannot be opened: truncated file: eof = 331726/],
    ['none.h5', 'NotFoundError', /does not exist\.$/],
    ['folder', 'UnsupportedDataError', /is a folder where a file is expected\.$/],
  ]
  let before = 0
  for (let i = 0; i < 200; i++) {
    for (const [name, error, message] of cases) {
      const found = await open(join(folder, name))
        .describe()
        .catch((error: Error) => error)
      if (i === 0) t.match(found, { name: error, message })
    }
    if (i === 0) before = countOpenFiles()
  }
  t.equal(countOpenFiles(), before)
})

t.test('no file outside of the allowed folders is opened, however a file leads there', async t => {
  const folder = t.testdir({ in: {}, out: {} })
  const inside = join(folder, 'in')
  const outside = join(folder, 'out')
  const hostile = unpackFixture(inside, 'h5/hostile_external_etc_passwd.h5')
  await t.rejects(readAll(open(hostile), '/ext'), {
    name: 'UnsupportedDataError',
    message: `${hostile}: /ext leads to /etc/passwd, which lies outside of the folders that may be read.`,
  })
  // The virtual dataset takes its samples from filters.h5 beside it, which is a link to one elsewhere.
  const virtual = unpackFixture(inside, 'h5/layouts.h5')
  const target = unpackFixture(outside, 'h5/filters.h5')
  symlinkSync(target, join(inside, 'filters.h5'))
  await t.rejects(readAll(open(virtual), '/vds'), {
    name: 'UnsupportedDataError',
    message: /\/vds leads to .*filters\.h5/,
  })
  t.equal(sha256(await readAll(open(virtual, [inside, outside]), '/vds')), truth['layouts.h5']['/vds'].sha256_le)
  await ready
  const linking = join(inside, 'linking.h5')
  const file = new File(linking, 'w')
  file.create_external_link(target, '/gzip4', 'there')
  file.create_external_link('layouts.h5', '/stack', 'beside')
  file.close()
  await t.rejects(readAll(open(linking), '/there'), {
    name: 'UnsupportedDataError',
    message: `${linking}: /there leads to ${target}, which lies outside`,
  })
  t.equal(sha256(await readAll(open(linking), '/beside')), truth['layouts.h5']['/stack'].sha256_le)
  t.match(((await open(linking).describe()) as Hdf5Group).children, {
    there: { kind: 'external-link', target: `${target}:/gzip4` },
  })
})

t.test('a size that a file only announces costs no memory', async t => {
  await ready
  const path = join(t.testdir({}), 'bomb.h5')
  const file = new File(path, 'w')
  const empty = { data: new Uint32Array(0), shape: [0, 0], maxshape: [null, null] }
  file.create_dataset({ name: 'huge', ...empty, chunks: [64, 64] }).resize([2 ** 40, 2 ** 20])
  file.create_dataset({ name: 'chunk', ...empty, chunks: [16384, 16384], compression: 'gzip' }).resize([16384, 16384])
  file.close()
  t.match(await open(path).describe('/huge', 0), { shape: [2 ** 40, 2 ** 20] })
  const { bytes } = await open(path).read('/huge', { offset: [2 ** 39, 7], count: [2, 2] })
  t.same(bytes, new Uint8Array(16), 'what was never written is the fill value')
  await t.rejects(open(path).read('/huge', { offset: [0, 0], count: [2 ** 20, 2 ** 10] }), {
    name: 'LimitExceededError',
    message: /4096 MiB of \/huge were to be read at once; up to 1024 MiB are\.$/,
  })
  await t.rejects(open(path).read('/chunk', { offset: [0, 0], count: [1, 1] }), {
    name: 'LimitExceededError',
    message: /the dataset \/chunk has chunks of 1024 MiB; up to 256 MiB are read\.$/,
  })
})

t.test('tables come by columns, rows of any length as bytes, attributes as values', async t => {
  const [dtypes, attrs] = unpack(t, 'dtypes.h5', 'attrs.h5')
  const table = await open(dtypes).readTable('/positions_table', 1, 2)
  t.same(
    [...table],
    [
      ['x', [50, 100]],
      ['y', [0, 0]],
      ['tile', [1, 2]],
      ['name', ['t1', 't2']],
    ],
  )
  const pixel = await open(dtypes).read('/compound', { offset: [10, 20], count: [1, 1] })
  t.same(decodeValues(pixel.type, pixel.bytes, 1), [{ x: 10, y: 2.5, I: 2896, flag: 1 }])
  const half = await open(dtypes).read('/f2', { offset: [10, 20], count: [1, 1] })
  t.same(decodeValues(half.type, half.bytes, 1), [2896])
  const words = await open(dtypes).readRows('/str_vlen', 0, 3)
  t.same(
    words.map(row => Buffer.from(row).toString()),
    ['µm', 'nm', 'Å'],
  )
  t.same(
    (await open(dtypes).readRows('/vlen_u2', 0, 3)).map(row => [...row]),
    [[1, 0, 2, 0, 3, 0], [4, 0], []],
  )
  const { attributes } = (await open(attrs).describe('/img', 0)) as Hdf5Dataset
  t.match(attributes, {
    unit: { value: 'µm' },
    flag: { value: true },
    big: { value: 2n ** 60n },
    names: { value: ['a', 'bb'] },
    origin: { value: [100.5, -20.25] },
    pixelsize: { value: 0.325, shape: [] },
    empty: { value: undefined, shape: null },
  })
  t.match(await open(attrs).readAttribute('/img', 'unit'), { value: 'µm' })
})

t.test('what is not there is named, with what is', async t => {
  const [path] = unpack(t, 'layouts.h5')
  const file = open(path)
  await t.rejects(file.describe('/nothing'), {
    name: 'NotFoundError',
    message: /holds no \/nothing; at its top there are broken, compact, /,
  })
  await t.rejects(file.describe('/broken'), {
    name: 'NotFoundError',
    message: /\/broken is a link to .*, which is not there\.$/,
  })
  await t.rejects(file.read('/', { offset: [], count: [] }), {
    name: 'NotFoundError',
    message: /\/ is a group, not a dataset\.$/,
  })
  await t.rejects(file.read('/stack', { offset: [3, 0, 0], count: [2, 96, 128] }), {
    name: 'NotFoundError',
    message: /\/stack has 4 × 96 × 128 elements, and 2 × 96 × 128 from 3, 0, 0 on are asked for\.$/,
  })
  await t.rejects(file.readAttribute('/stack', 'unit'), {
    name: 'NotFoundError',
    message: /\/stack has no attribute unit; there is nothing\.$/,
  })
})

t.test('a file that was overwritten in place, or by another one, is read as it is now', async t => {
  const [path, other] = unpack(t, 'latest.h5', 'layouts.h5')
  const bytes = readFileSync(path)
  const first = truth['latest.h5']['/stack'].sha256_le
  t.equal(sha256(await readAll(open(path), '/stack')), first)
  await ready
  const file = new File(path, 'a')
  const stack = file.get('stack') as Dataset
  stack.write_slice([[1, 2]], new Uint16Array(96 * 128).fill(7))
  file.close()
  const { bytes: written } = await open(path).read('/stack', { offset: [1, 0, 0], count: [1, 96, 128] })
  t.same(written, new Uint8Array(new Uint16Array(96 * 128).fill(7).buffer))
  writeFileSync(path, bytes)
  t.equal(sha256(await readAll(open(path), '/stack')), first)
  copyFileSync(other, `${path}.next`)
  renameSync(`${path}.next`, path)
  t.equal(sha256(await readAll(open(path), '/compact')), truth['layouts.h5']['/compact'].sha256_le)
})

t.test('what was opened while a coarse clock may still hide a change is not kept', async t => {
  const [path] = unpack(t, 'latest.h5')
  const before = readFileSync(path)
  await ready
  const file = new File(path, 'a')
  const stack = file.get('stack') as Dataset
  stack.write_slice([[1, 2]], new Uint16Array(96 * 128).fill(7))
  file.close()
  const after = readFileSync(path)
  t.equal(after.length, before.length)
  const slab = { offset: [1, 0, 0], count: [1, 96, 128] }
  // The thread is there by then.
  await open(path).read('/stack', slab)
  const time = (Date.now() - 1000) / 1000
  const write = (bytes: Uint8Array): void => {
    writeFileSync(path, bytes)
    utimesSync(path, time, time)
  }
  write(before)
  const { bytes: old } = await open(path).read('/stack', slab)
  write(after)
  await setTimeout(1200)
  const { bytes } = await open(path).read('/stack', slab)
  t.not(sha256(bytes), sha256(old))
  t.same(bytes, new Uint8Array(new Uint16Array(96 * 128).fill(7).buffer))
})

t.test('the time of a file may lie in the future', async t => {
  const [path] = unpack(t, 'latest.h5')
  const time = Date.now() / 1000 + 86400
  utimesSync(path, time, time)
  const { isSettled } = examineFile(path)
  await setTimeout(2100)
  t.same([isSettled, examineFile(path).isSettled], [false, true])
})

t.test('a file that is written in SWMR mode is followed, each frame from the moment it was flushed', async t => {
  await ready
  const path = join(t.testdir({}), 'live.h5')
  const file = new File(path, 'w', { libver: 'latest' })
  file.create_dataset({
    name: 'frames',
    data: new Uint16Array(0),
    shape: [0, 64, 64],
    maxshape: [null, 64, 64],
    chunks: [1, 64, 64],
  })
  file.flush()
  t.equal(file.start_swmr_write(), 0)
  const frames = file.get('frames') as Dataset
  for (let count = 1; count <= 15; count++) {
    frames.resize([count, 64, 64])
    frames.write_slice([[count - 1, count]], new Uint16Array(64 * 64).fill(count))
    file.flush()
    t.match(await open(path).describe('/frames', 0), { shape: [count, 64, 64] })
    const { bytes } = await open(path).read('/frames', { offset: [count - 1, 0, 0], count: [1, 64, 64] })
    t.same(bytes, new Uint8Array(new Uint16Array(64 * 64).fill(count).buffer))
  }
  file.close()
})

t.test('a thousand reads leave no file open', async t => {
  const [path] = unpack(t, 'filters.h5')
  const read = (): Promise<unknown> => open(path).read('/gzip4', { offset: [0, 0], count: [8, 8] })
  const readTen = (): Promise<unknown> => Promise.all(Array.from({ length: 10 }, read))
  await readTen()
  const before = countOpenFiles()
  for (let i = 0; i < 100; i++) await readTen()
  t.equal(countOpenFiles(), before)
})

t.test('calls wait for a free thread, end when they are aborted, and fail when time is up', async t => {
  const [path] = unpack(t, 'filters.h5')
  const busy = new Hdf5Pool({ threads: 1 })
  t.teardown(() => busy.close())
  const file = new Hdf5File(path, { pool: busy })
  const names = ['/gzip4', '/lzf', '/bzip2', '/zstd'].filter(name => truth['filters.h5'][name].sha256_le)
  const all = await Promise.all(names.map(name => readAll(file, name)))
  t.same(new Set(all.map(sha256)), new Set([truth['filters.h5']['/gzip4'].sha256_le]))
  const slab = { offset: [0, 0], count: [96, 128] }
  const reason = new Error('looked elsewhere')
  const controller = new AbortController()
  const reading = [1, 2, 3].map(() => file.read('/gzip4', slab, controller.signal))
  controller.abort(reason)
  for (const read of reading) await t.rejects(read, reason)
  await t.rejects(file.read('/gzip4', slab, AbortSignal.abort(reason)), reason)
  await t.resolves(file.read('/gzip4', slab))
  const hasty = new Hdf5Pool({ timeoutMs: 1 })
  t.teardown(() => hasty.close())
  await t.rejects(new Hdf5File(path, { pool: hasty }).describe(), {
    name: 'SourceUnavailableError',
    message: /could not be read: the thread for HDF5 was stopped \(it gave no answer within/,
  })
  const closed = new Hdf5Pool()
  const pending = new Hdf5File(path, { pool: closed }).describe()
  await Promise.all([t.rejects(pending, { name: 'SourceUnavailableError' }), closed.close(), closed.close()])
  await t.rejects(new Hdf5File(path, { pool: closed }).describe(), TypeError)
})

t.test(
  'a damaged list that leads back to itself is told as damage, and lengths take no memory before they are checked',
  async t => {
    const path = unpackFixture(t.testdir({}), 'usid/compound_main.h5')
    const bytes = readFileSync(path)
    const collection = bytes.indexOf('GCOL')
    // A text in the file's heap whose length is that of nothing: HDF5 stays at this one for ever.
    bytes.writeUInt8(0, collection + 328)
    writeFileSync(path, bytes)
    const watchful = new Hdf5Pool({ quietMs: 200 })
    t.teardown(() => watchful.close())
    await t.rejects(new Hdf5File(path, { pool: watchful }).describe('/', 24), {
      name: 'CorruptDataError',
      message: `${path} is damaged: HDF5 could not go on reading it (it came to no end).`,
    })
    const limit = new HeapLimit()
    limit.install()
    limit.bytes = 3 * 2 ** 16
    const { Memory } = WebAssembly as unknown as { Memory: new (pages: object) => { grow(pages: number): number } }
    const memory = new Memory({ initial: 1 })
    t.equal(memory.grow(2), 1)
    t.throws(() => memory.grow(1), RangeError)
    limit.bytes = Number.POSITIVE_INFINITY
  },
)

t.test('slices larger than a piece are put together in order, along every axis', async t => {
  await ready
  const path = join(t.testdir({}), 'large.h5')
  const file = new File(path, 'w')
  const [frames, rows, columns] = [3, 5000, 3000]
  const data = new Uint16Array(frames * rows * columns)
  for (let i = 0; i < data.length; i++) data[i] = i % 65521
  file.create_dataset({ name: 'chunked', data, shape: [frames, rows, columns], chunks: [2, 1000, 3000] })
  file.close()
  const whole = (await open(path).read('/chunked', { offset: [0, 0, 0], count: [frames, rows, columns] })).bytes
  t.equal(Buffer.compare(whole, new Uint8Array(data.buffer)), 0)
  const part = (await open(path).read('/chunked', { offset: [1, 10, 0], count: [2, 4990, columns] })).bytes
  t.equal(
    sha256(part.subarray(0, 4990 * columns * 2)),
    sha256(whole.subarray((rows + 10) * columns * 2, 2 * rows * columns * 2)),
  )
})
