import { cp, mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { CorruptDataError, LimitExceededError, NotFoundError, UnsupportedDataError } from '../../src/errors.js'
import { openPyramid } from '../../src/pyramid/open-pyramid.js'
import { presentTiles } from '../../src/pyramid/present-tiles.js'
import { openPymePyramid } from '../../src/pyramid/pyme-pyramid.js'
import { decodePzf } from '../../src/sources/pyme/pzf.js'
import { composeNpy, tileFile, writePymePyramid } from './write-pyme-pyramid.js'

const LEGACY = fileURLToPath(new URL('../fixtures/pyme-pyramids/legacy_schema_A1first4_t128', import.meta.url))
const SELECTION = { channel: 0, zPlane: 0, timePoint: 0 }

/** Two wells of 2 × 2 tiles with a gap of one column, 5 × 2 tiles in all. */
const TWO_WELLS = {
  tileSize: 16,
  tiles: [
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
    [3, 0],
    [3, 1],
    [4, 0],
    [4, 1],
  ],
  value: (x: number, y: number) => x + 100 * y - 4.5,
} as const

t.test('a pyramid with the older names is whole: last column, last row and top included', async t => {
  const pyramid = await openPymePyramid(LEGACY)
  t.match(pyramid, {
    name: 'legacy_schema_A1first4_t128',
    format: 'PYME pyramid',
    complete: true,
    sampleType: 'float32',
    pedestal: 0,
    geometry: {
      originUm: { x: 10019.64245, y: 20009.231543 },
      pixelSizeUm: { x: 0.325, y: 0.325 },
      size: { width: 8 * 128, height: 3 * 128 },
      tileSize: 128,
      levelCount: 4,
    },
  })
  t.match(pyramid.id, /^[0-9a-f]{32}$/)
  t.match(pyramid.version, /^[0-9a-f]{8}\.4$/)
  const coverage = pyramid.coverage(SELECTION)
  t.same(
    [0, 1, 2, 3].map(level => coverage.tileRuns(level)),
    [
      [0, 24],
      [0, 8],
      [0, 2],
      [0, 1],
    ],
  )
  t.same(coverage.bounds, { x0: 0, y0: 0, x1: 1024, y1: 384 })
  for (const [level, column, row] of [
    [0, 7, 2],
    [3, 0, 0],
  ]) {
    const file = tileFile(LEGACY, level, column, row, 'legacy')
    const tile = await pyramid.readTile(SELECTION, { level, column, row })
    t.same(tile?.samples, decodePzf(await readFile(file), file).samples)
  }
})

t.test('rows of a tile are rows: x to the right, y down', async t => {
  const folder = t.testdir()
  await writePymePyramid(folder, TWO_WELLS)
  const pyramid = await openPymePyramid(folder)
  const tile = await pyramid.readTile(SELECTION, { level: 0, column: 1, row: 1 })
  t.equal(tile?.samples[0], 16 + 100 * 16 - 4.5)
  t.equal(tile?.samples[1], 17 + 100 * 16 - 4.5, 'the next sample lies to the right')
  t.equal(tile?.samples[16], 16 + 100 * 17 - 4.5, 'the next row lies below')
})

t.test('covered is what a level-0 tile covers, at every level', async t => {
  const folder = t.testdir()
  await writePymePyramid(folder, TWO_WELLS)
  const pyramid = await openPymePyramid(folder)
  t.same(pyramid.geometry.size, { width: 80, height: 32 })
  t.equal(pyramid.geometry.levelCount, 4)
  const coverage = pyramid.coverage(SELECTION)
  t.same(coverage.tileRuns(0), [0, 2, 1, 4, 1, 2])
  t.same(coverage.tileMask({ level: 0, column: 0, row: 0 }), undefined, 'a whole tile needs no mask')
  t.equal(await pyramid.readTile(SELECTION, { level: 0, column: 2, row: 0 }), undefined)
  const mask = coverage.tileMask({ level: 2, column: 0, row: 0 })
  const firstRow = [...(mask ?? []).slice(0, 16)].join('')
  t.equal(firstRow, '1111111100001111', 'a level-2 tile shows the gap between the wells')
  t.equal(mask?.[8 * 16], 0, 'and nothing below the mosaic')
})

t.test('the histogram counts covered samples and leaves out exact zeros', async t => {
  const folder = t.testdir()
  await writePymePyramid(folder, { ...TWO_WELLS, value: x => (x < 32 ? 0 : x - 47.5) })
  const histogram = await (await openPymePyramid(folder)).histogram(0)
  t.equal(histogram.total, 32 * 32)
  t.same([histogram.min, histogram.max], [0.5, 31.5])
})

t.test('the histogram of a large pyramid comes from a level of at most 64 tiles', async t => {
  const folder = t.testdir()
  const tiles = Array.from({ length: 90 }, (_, i) => [i % 10, Math.floor(i / 10)] as const)
  await writePymePyramid(folder, { ...TWO_WELLS, tiles, value: () => 7 })
  const histogram = await (await openPymePyramid(folder)).histogram(0)
  t.equal(histogram.total, 80 * 72, 'level 1: 5 × 5 tiles over 80 × 72 covered px')
})

t.test('a damaged tile is an error where it is read, and no hindrance for the histogram of the others', async t => {
  const folder = t.testdir()
  await writePymePyramid(folder, TWO_WELLS)
  const pyramid = await openPymePyramid(folder)
  const file = tileFile(folder, 0, 1, 1)
  const address = { level: 0, column: 1, row: 1 }
  const whole = await readFile(file)
  for (const length of [0, 10, 64, whole.length - 4]) {
    await writeFile(file, whole.subarray(0, length))
    await t.rejects(pyramid.readTile(SELECTION, address), CorruptDataError, `${length} bytes`)
  }
  t.equal((await pyramid.histogram(0)).total, 7 * 256)
  await rm(file)
  await t.rejects(pyramid.readTile(SELECTION, address), { code: 'CORRUPT_DATA', message: /001_img\.pzf is missing/ })
  await writeFile(file, whole)
  t.ok(await pyramid.readTile(SELECTION, address), 'and it is read as soon as it is whole again')
})

t.test('a tile of another size or type is corrupt', async t => {
  const folder = t.testdir()
  await writePymePyramid(folder, TWO_WELLS)
  const pyramid = await openPymePyramid(folder)
  await cp(tileFile(LEGACY, 0, 0, 0, 'legacy'), tileFile(folder, 0, 0, 0))
  await t.rejects(pyramid.readTile(SELECTION, { level: 0, column: 0, row: 0 }))
  const bytes = await readFile(tileFile(folder, 0, 0, 1))
  bytes.writeUInt32LE(8, 20)
  bytes.writeUInt32LE(32, 24)
  await writeFile(tileFile(folder, 0, 0, 1), bytes)
  await t.rejects(pyramid.readTile(SELECTION, { level: 0, column: 0, row: 1 }), {
    code: 'CORRUPT_DATA',
    message: /8 × 32 × 1 samples; a tile of this pyramid has 16 × 16/,
  })
})

t.test('a histogram that failed is computed again', async t => {
  const folder = t.testdir()
  await writePymePyramid(folder, { ...TWO_WELLS, tiles: [[0, 0]] })
  const pyramid = await openPymePyramid(folder)
  const file = tileFile(folder, 0, 0, 0)
  await rename(file, `${file}.away`)
  await t.rejects(pyramid.histogram(0), CorruptDataError)
  await rename(`${file}.away`, file)
  t.equal((await pyramid.histogram(0)).total, 256)
})

t.test('wrong addresses and planes are errors of the caller', async t => {
  const pyramid = await openPymePyramid(LEGACY)
  await t.rejects(pyramid.readTile(SELECTION, { level: 0, column: 8, row: 0 }), RangeError)
  await t.rejects(pyramid.readTile({ ...SELECTION, channel: 1 }, { level: 0, column: 0, row: 0 }), RangeError)
  t.throws(() => pyramid.coverage({ ...SELECTION, timePoint: 1 }), RangeError)
  await pyramid.close()
  await pyramid.close()
})

t.test("PYME's accumulators beside the tiles are not tiles", async t => {
  const folder = t.testdir()
  await writePymePyramid(folder, TWO_WELLS)
  for (const suffix of ['acc', 'occ']) {
    await writeFile(join(folder, '0', '000', '004', `009_${suffix}.pzf`), 'not looked at')
  }
  await writeFile(join(folder, '0', '000', 'Thumbs.db'), '')
  t.same((await openPymePyramid(folder)).geometry.size, { width: 80, height: 32 })
})

t.test('a pyramid of a single tile has the two levels that PYME gives it', async t => {
  const folder = t.testdir()
  await writePymePyramid(folder, { ...TWO_WELLS, tiles: [[0, 0]], value: () => 8 })
  const pyramid = await openPymePyramid(folder)
  t.same(pyramid.geometry, {
    originUm: { x: 10019.5, y: -20.25 },
    pixelSizeUm: { x: 0.325, y: 0.325 },
    size: { width: 16, height: 16 },
    tileSize: 16,
    levelCount: 2,
  })
  const top = await pyramid.readTile(SELECTION, { level: 1, column: 0, row: 0 })
  t.equal(top?.samples[0], 8)
  t.equal(pyramid.coverage(SELECTION).tileMask({ level: 1, column: 0, row: 0 })?.[8], 0)
})

t.test('the version changes with the tiles and with the metadata, the id only with the path', async t => {
  const folder = t.testdir()
  await writePymePyramid(folder, TWO_WELLS)
  const first = await openPymePyramid(folder)
  t.equal((await openPymePyramid(folder)).version, first.version)
  await writePymePyramid(folder, { ...TWO_WELLS, metadata: { 'Pyramid.x0': 1 } })
  const moved = await openPymePyramid(folder)
  t.not(moved.version, first.version)
  await rm(tileFile(folder, 0, 4, 1))
  const smaller = await openPymePyramid(folder)
  t.not(smaller.version, moved.version)
  t.equal(smaller.id, first.id)
  const link = join(t.testdir({}), 'link')
  await symlink(LEGACY, link)
  const linked = await openPymePyramid(link)
  t.equal(linked.id, (await openPymePyramid(LEGACY)).id, 'a link leads to the same pyramid')
  t.equal(linked.name, basename(LEGACY))
})

t.test('metadata that cannot be is refused in a sentence that names key and value', async t => {
  const folder = t.testdir()
  const cases: [Record<string, unknown>, typeof CorruptDataError | typeof UnsupportedDataError, RegExp][] = [
    [{ 'Pyramid.TileSize': 15 }, UnsupportedDataError, /TileSize 15; even sizes from 16 to 2048/],
    [{ 'Pyramid.TileSize': 1e9 }, UnsupportedDataError, /TileSize 1000000000;/],
    [{ 'Pyramid.TileSize': '256' }, CorruptDataError, /TileSize "256"; a finite number/],
    [{ 'Pyramid.PixelSize': 0 }, CorruptDataError, /PixelSize 0; it must be above 0/],
    [{ 'Pyramid.PixelSize': undefined }, CorruptDataError, /PixelSize nothing/],
    [{ 'Pyramid.x0': null }, CorruptDataError, /x0 null/],
    [{ 'Pyramid.KeySchema': '{x}/{y}' }, UnsupportedDataError, /names its tiles by "\{x\}\/\{y\}"/],
    [{ 'Pyramid.KeySchema': 'constructor' }, UnsupportedDataError, /names its tiles by "constructor"/],
  ]
  for (const [metadata, kind, message] of cases) {
    await writePymePyramid(folder, { ...TWO_WELLS, tiles: [[0, 0]], metadata })
    const error = await openPymePyramid(folder).then(
      () => undefined,
      (error: unknown) => error,
    )
    t.type(error, kind)
    t.match(error, { message })
  }
})

t.test('an unfinished or foreign layout is refused', async t => {
  const folder = t.testdir()
  await writePymePyramid(folder, TWO_WELLS)
  await rename(join(folder, '2'), join(folder, 'two'))
  await t.rejects(openPymePyramid(folder), {
    code: 'CORRUPT_DATA',
    message: /no level 2, and its tiles need levels 0 to 3/,
  })
  await rename(join(folder, 'two'), join(folder, '2'))
  await mkdir(join(folder, '0', '001'))
  await t.rejects(openPymePyramid(folder), { code: 'UNSUPPORTED_DATA', message: /2 z-planes/ })
  await rm(join(folder, '0', '001'), { recursive: true })
  const cases: [file: string, message: RegExp][] = [
    ['000_img.npy', /holds \.(pzf|npy) tiles and \.(pzf|npy) tiles; a PYME pyramid has one kind/],
    [
      '000_img.zarr',
      /000_img\.zarr is samples without a header, which PYME writes and cannot read back; .*\.pzf and \.npy/,
    ],
    ['000_img.tif', /000_img\.tif is a \.tif tile/],
  ]
  for (const [file, message] of cases) {
    await writeFile(join(folder, '0', '000', '000', file), '')
    await t.rejects(openPymePyramid(folder), { code: 'UNSUPPORTED_DATA', message })
    await rm(join(folder, '0', '000', '000', file))
  }
  await mkdir(join(folder, '0', '000', '9999999'))
  await writeFile(join(folder, '0', '000', '9999999', '000_img.pzf'), '')
  await t.rejects(openPymePyramid(folder), LimitExceededError, 'a tile far away would make a huge grid')
  await rm(join(folder, '0'), { recursive: true })
  await t.rejects(openPymePyramid(folder), NotFoundError)
  await writeFile(join(folder, 'img.db'), '')
  await t.rejects(openPymePyramid(folder), { code: 'UNSUPPORTED_DATA', message: /img\.db is an SQLite database/ })
})

t.test('tiles that are numpy arrays are served as the float64 that they are', async t => {
  const folder = t.testdir({ npy: {}, pzf: {} })
  const value = (x: number, y: number): number => x / 3 + 100 * y - 4.5
  await writePymePyramid(join(folder, 'npy'), { ...TWO_WELLS, value, extension: '.npy' })
  await writePymePyramid(join(folder, 'pzf'), { ...TWO_WELLS, value })
  const [npy, pzf] = [await openPyramid(join(folder, 'npy')), await openPyramid(join(folder, 'pzf'))]
  t.equal(npy.sampleType, 'float64')
  t.same(npy.geometry, pzf.geometry)
  for (let level = 0; level < npy.geometry.levelCount; level++) {
    t.same(npy.coverage(SELECTION).tileRuns(level), pzf.coverage(SELECTION).tileRuns(level))
    for (const address of presentTiles(npy.coverage(SELECTION), npy.geometry, level)) {
      const [exact, rounded] = [await npy.readTile(SELECTION, address), await pzf.readTile(SELECTION, address)]
      t.same(Float32Array.from(exact!.samples), rounded!.samples)
    }
  }
  const tile = await npy.readTile(SELECTION, { level: 0, column: 1, row: 1 })
  t.equal(tile?.samples[1], value(17, 16), 'not rounded')
  t.equal((await npy.histogram(0)).total, (await pzf.histogram(0)).total)
})

t.test('numpy tiles in the old names and in Fortran order are the same', async t => {
  const folder = t.testdir()
  await writePymePyramid(folder, {
    ...TWO_WELLS,
    naming: 'legacy',
    metadata: { 'Pyramid.KeySchema': undefined },
    extension: '.npy',
  })
  const pyramid = await openPymePyramid(folder)
  const address = { level: 0, column: 1, row: 1 }
  const tile = await pyramid.readTile(SELECTION, address)
  const samples = tile!.samples as Float64Array
  await writeFile(tileFile(folder, 0, 1, 1, 'legacy', '.npy'), composeNpy(samples, [16, 16], true))
  t.same(await pyramid.readTile(SELECTION, address), tile)
})

t.test('a numpy tile that is damaged, of another shape or type is an error that names it', async t => {
  const folder = t.testdir()
  await writePymePyramid(folder, { ...TWO_WELLS, extension: '.npy' })
  const pyramid = await openPymePyramid(folder)
  const file = tileFile(folder, 0, 1, 1, 'new', '.npy')
  const whole = await readFile(file)
  const cases: [bytes: Buffer, message: RegExp][] = [
    [whole.subarray(0, 0), /not an npy file/],
    [whole.subarray(0, 50), /truncated/],
    [whole.subarray(0, whole.length - 8), /has 2040 bytes of samples; its header .* means 2048/],
    [composeNpy(new Float64Array(256), [8, 32]), /8 × 32 samples; a tile of this pyramid has 16 × 16/],
    [composeNpy(new Float64Array(256), [16, 16, 1]), /16 × 16 × 1 samples/],
    [composeNpy(new Float32Array(256), [16, 16]), /float32 samples; such tiles of a PYME pyramid are float64/],
  ]
  for (const [bytes, message] of cases) {
    await writeFile(file, bytes)
    const reading = pyramid.readTile(SELECTION, { level: 0, column: 1, row: 1 })
    await t.rejects(reading, { code: 'CORRUPT_DATA', message }, String(message))
  }
  await writeFile(file, Buffer.alloc(2 ** 18))
  await t.rejects(pyramid.readTile(SELECTION, { level: 0, column: 1, row: 1 }), LimitExceededError, 'before it is read')
})

t.test('what is no pyramid is named for what it is', async t => {
  const folder = t.testdir({
    empty: {},
    file: 'text',
    series: { 'metadata.json': '{"StartTime": 1}', 'frame00000.pzf': '' },
    other: { 'notes.txt': 'x' },
    zarr: { 'zarr.json': '{"attributes": {"ome": {}}}' },
    damaged: { 'metadata.json': '{"Pyramid.TileSize": ' },
  })
  const cases: [string, RegExp][] = [
    ['empty', /empty is not a pyramid: it is an empty folder/],
    ['file', /file is a file, and a pyramid is a folder/],
    ['series', /a PYME series, from which `tilestage build` makes one/],
    ['other', /a folder of 1 entry without/],
    ['zarr', /a Zarr node that tilestage did not write/],
    ['damaged', /metadata\.json is not valid JSON/],
    ['missing', /missing does not exist/],
  ]
  for (const [name, message] of cases) await t.rejects(openPyramid(join(folder, name)), { message }, name)
  t.equal((await openPyramid(LEGACY)).format, 'PYME pyramid')
})

t.test('reading a tile can be given up', async t => {
  const pyramid = await openPymePyramid(LEGACY)
  const reading = pyramid.readTile(SELECTION, { level: 0, column: 0, row: 0 }, { signal: AbortSignal.abort() })
  await t.rejects(reading, { name: 'AbortError' })
})
