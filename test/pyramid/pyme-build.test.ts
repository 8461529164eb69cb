import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { lockFolder } from '../../src/engine/build-lock.js'
import { buildPymePyramid } from '../../src/engine/build-pyme-pyramid.js'
import type { BuildReport, BuildRequest } from '../../src/engine/build-pyramid.js'
import { writePymePyramid } from '../../src/engine/write-pyme-pyramid.js'
import type { BuildSettings } from '../../src/pyramid/build-settings.js'
import type { TileAddress } from '../../src/pyramid/mosaic-geometry.js'
import { openPyramid } from '../../src/pyramid/open-pyramid.js'
import { presentTiles } from '../../src/pyramid/present-tiles.js'
import type { Pyramid } from '../../src/pyramid/pyramid.js'
import type { FrameSource } from '../../src/sources/frame-source.js'
import { openPcsSeries } from '../../src/sources/pyme/pcs-series.js'
import { build, requestOf } from '../engine/build-for-test.js'
import { shell, tilestage } from '../run-cli.js'
import { PAGE_FILES, startTestApp } from '../server/test-app.js'
import { plainMetadata, writeSeries } from '../sources/write-series.js'
import { naivePymeTiles } from './naive-mosaic.js'
import { brokenFrame, syntheticSource } from './synthetic-source.js'
import { writePymePyramid as writeAsPyme } from './write-pyme-pyramid.js'

const PLANE = { channel: 0, zPlane: 0, timePoint: 0 }
const PLATE = fileURLToPath(new URL('../../examples/plate/', import.meta.url))
const TRUTH: { metadata: Record<string, unknown>; tiles: Record<string, string> } = JSON.parse(
  readFileSync(new URL('../fixtures/pyme/concat_A1_A2_B1_t256.json', import.meta.url), 'utf8'),
)

const buildPyme = (...wanted: Parameters<typeof requestOf>): Promise<BuildReport> =>
  buildPymePyramid(requestOf(...wanted))

const openWells = (...wells: string[]): Promise<FrameSource[]> =>
  Promise.all(wells.map(well => openPcsSeries(join(PLATE, `well_${well}.pcs`))))

/** Four by three frames that overlap. */
const mosaic = (url: string, xUm = 0): FrameSource =>
  syntheticSource({
    url,
    frames: Array.from({ length: 12 }, (_, i) => ({ xUm: xUm + (i % 4) * 50, yUm: Math.floor(i / 4) * 40 })),
    sample: (frame, x, y) => 1000 * frame + x * y,
  })

/** Every file below a folder, by path: its bytes as a hash. */
function contentOf(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
  return Object.fromEntries(
    files
      .map(({ parentPath, name }) => join(parentPath, name))
      .sort()
      .map(path => [path.slice(folder.length + 1), hash(readFileSync(path))]),
  )
}

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

const tilesOf = (folder: string): string[] =>
  Object.keys(contentOf(folder)).filter(name => !['metadata.json', 'tilestage.json'].includes(name))

const metadataOf = (folder: string): Record<string, number> =>
  JSON.parse(readFileSync(join(folder, 'metadata.json'), 'utf8'))

/** Every tile of a pyramid that has one. */
async function* readTiles(pyramid: Pyramid): AsyncGenerator<[TileAddress, Float32Array]> {
  for (let level = 0; level < pyramid.geometry.levelCount; level++) {
    for (const address of presentTiles(pyramid.coverage(PLANE), pyramid.geometry, level))
      yield [address, (await pyramid.readTile(PLANE, address))!.samples as Float32Array]
  }
}

t.test("the pyme blend of the three wells is PYME's own folder: names, metadata and every byte of a tile", async t => {
  const output = join(t.testdir(), 'plate')
  const { files, record } = await buildPyme(await openWells('A1', 'A2', 'B1'), output, { blend: 'pyme' })
  t.same(tilesOf(output), Object.keys(TRUTH.tiles).sort())
  t.equal(files, 131 + 2)
  const different = Object.entries(TRUTH.tiles).filter(
    ([name, sha256]) => hash(readFileSync(join(output, name)).subarray(64)) !== sha256,
  )
  t.same(different, [])
  const header = readFileSync(join(output, '0/000/000/000_img.pzf')).subarray(0, 64)
  t.equal(
    header.toString('hex'),
    `42440302000043${'00'.repeat(13)}000100000001000001${'00'.repeat(19)}40${'00'.repeat(15)}`,
  )
  t.equal(readFileSync(join(output, 'metadata.json'), 'utf8'), JSON.stringify(TRUTH.metadata, null, 2))
  t.same(readdirSync(join(output, '..')), ['plate'], 'nothing is left beside it')
  t.equal(JSON.parse(readFileSync(join(output, 'tilestage.json'), 'utf8')).fingerprint, record.fingerprint)
})

t.test("every other blend is ours in PYME's layout, sample by sample, and is served", async t => {
  const folder = t.testdir({ page: PAGE_FILES })
  const sources = await openWells('A1')
  await buildPyme(sources, join(folder, 'pyme'))
  await build(sources, join(folder, 'ours'), { sampleType: 'float32' })
  const [pyme, ours] = [await openPyramid(join(folder, 'pyme')), await openPyramid(join(folder, 'ours'))]
  t.equal(pyme.format, 'PYME pyramid')
  t.same(pyme.geometry.originUm, ours.geometry.originUm)
  t.same(pyme.geometry.pixelSizeUm, ours.geometry.pixelSizeUm)
  t.equal(pyme.geometry.levelCount, ours.geometry.levelCount)
  let [tiles, wrong] = [0, 0]
  for await (const [address, samples] of readTiles(ours)) {
    const written = (await pyme.readTile(PLANE, address))!.samples
    samples.forEach((sample, i) => {
      if (written[i] !== (Number.isNaN(sample) ? 0 : sample)) wrong++
    })
    tiles++
  }
  t.same({ tiles, wrong }, { tiles: tilesOf(join(folder, 'pyme')).length, wrong: 0 })
  await ours.close()

  const { app } = await startTestApp(t, { pyramids: [join(folder, 'pyme')] })
  const reply = await app.inject('/get_tile?layer=0&x=1&y=1')
  t.match([reply.statusCode, reply.headers['content-type']], [200, 'image/png'])
})

t.test('a pyramid of integers is written as its counts above dark, zeros where no frame lies', async t => {
  const folder = t.testdir()
  const source = syntheticSource({
    frames: [
      { xUm: 0, yUm: 0 },
      { xUm: 200, yUm: 40 },
    ],
    darkLevel: 99.5,
    sample: (frame, x, y) => 90 + frame + x + y,
  })
  await build([source], join(folder, 'ours'), { tileSize: 128 })
  const pyramid = await openPyramid(join(folder, 'ours'))
  t.equal(pyramid.sampleType, 'uint16')
  const written = await writePymePyramid(pyramid, join(folder, 'pyme'), { fades: false, workers: 1 })
  const pyme = await openPyramid(join(folder, 'pyme'))
  const tile = await pyme.readTile(PLANE, { level: 0, column: 0, row: 0 })
  t.equal(tile?.samples[0], 90 - 99.5, 'noise below the dark level stays')
  t.equal(tile?.samples[63 + 128], 90 + 63 + 1 - 99.5)
  t.equal(tile?.samples[64], 0)
  t.equal((await pyme.readTile(PLANE, { level: 0, column: 1, row: 0 }))?.samples[72 + 128 * 40], 91 - 99.5)
  t.equal(written.files, 3 + 2 + 1 + 1, 'three levels, and the metadata')
  await pyramid.close()
})

t.test('a mosaic within one tile has the two levels that PYME gives it, and its counts', async t => {
  const frames = [
    { xUm: 0, yUm: 0 },
    { xUm: 50, yUm: 30 },
  ]
  const options = { frames, darkLevel: 3, sample: (frame: number, x: number, y: number) => 100 * frame + x * y }
  const source = syntheticSource(options)
  const folder = t.testdir()
  await buildPyme([source], join(folder, 'pyme'), { blend: 'pyme', tileSize: 128 })
  t.match(metadataOf(join(folder, 'pyme')), {
    'Pyramid.Depth': 1,
    'Pyramid.NTilesX': 0,
    'Pyramid.NTilesY': 0,
    'Pyramid.PixelsX': 0,
    'Pyramid.TileSize': 128,
  })
  const placed = await Promise.all(
    frames.map(async ({ xUm, yUm }, i) => ({ plane: await source.readFrame(i), x: xUm, y: yUm })),
  )
  const naive = naivePymeTiles(placed, 3, 128)
  const pyramid = await openPyramid(join(folder, 'pyme'))
  for await (const [{ level }, samples] of readTiles(pyramid))
    t.same(samples, naive.get(`${level},0,0`), `level ${level}`)

  await buildPyme([syntheticSource({ ...options, sample: () => 43 })], join(folder, 'even'), { tileSize: 128 })
  const even = await openPyramid(join(folder, 'even'))
  const top = (await even.readTile(PLANE, { level: 1, column: 0, row: 0 }))!.samples
  t.same([...new Set(top)].sort(), [0, 40], 'other blends do not fade at their borders')
})

t.test('where a frame ends on the border of a tile, the next tile is made of zeros, as PYME does', async t => {
  const folder = t.testdir()
  const source = syntheticSource({
    // The first ends at (128, 128), the other at (512, 500).
    frames: [
      { xUm: 64, yUm: 80 },
      { xUm: 0, yUm: 0 },
      { xUm: 448, yUm: 452 },
    ],
    sample: () => 7,
  })
  const output = join(folder, 'pyme')
  await buildPyme([source], output, { tileSize: 128 })
  const level = (n: number): string[] => tilesOf(output).filter(name => name.startsWith(`${n}/`))
  t.same(level(0), [
    '0/000/000/000_img.pzf',
    '0/000/000/001_img.pzf',
    '0/000/001/000_img.pzf',
    '0/000/001/001_img.pzf',
    '0/000/003/003_img.pzf',
    '0/000/004/003_img.pzf',
  ])
  t.same(level(1), ['1/000/000/000_img.pzf', '1/000/001/001_img.pzf', '1/000/002/001_img.pzf'])
  t.same(level(2), ['2/000/000/000_img.pzf', '2/000/001/000_img.pzf'])
  t.same(level(3), ['3/000/000/000_img.pzf'], 'the zeros need a level of their own')
  t.match(metadataOf(output), { 'Pyramid.Depth': 3, 'Pyramid.NTilesX': 4, 'Pyramid.NTilesY': 3 })
  t.notOk(
    readFileSync(join(output, '0/000/004/003_img.pzf'))
      .subarray(64)
      .some(byte => byte !== 0),
  )
  const pyramid = await openPyramid(output)
  const top = (await pyramid.readTile(PLANE, { level: 3, column: 0, row: 0 }))!.samples
  const level2 = (await pyramid.readTile(PLANE, { level: 2, column: 0, row: 0 }))!.samples
  t.equal(top[0], 7)
  t.equal(level2[127 + 128 * 120], 7)
  t.equal(top[63 + 128 * 60], 7, 'half as far')
  t.equal(top[64 + 128 * 60], 0)
})

t.test('a stage position far from the others leaves its tiles where they are', async t => {
  const output = join(t.testdir(), 'pyme')
  const source = syntheticSource({ frames: [{ xUm: 1000, yUm: 700 }], sample: () => 5 })
  await buildPyme([source], output, { tileSize: 128, originUm: { x: 0, y: 0 } })
  const pyramid = await openPyramid(output)
  t.equal(pyramid.geometry.levelCount, 5)
  t.equal((await pyramid.readTile(PLANE, { level: 4, column: 0, row: 0 }))?.samples[63 + 128 * 44], 5)
})

t.test('what cannot be one plane of square pixels is refused before anything is built', async t => {
  const folder = t.testdir()
  const output = join(folder, 'pyme')
  const frames = [
    { xUm: 0, yUm: 0 },
    { xUm: 0, yUm: 0, channel: 1 },
  ]
  const series = () => syntheticSource({ frames: frames.slice(0, 1) })
  const cases: [FrameSource[], Partial<BuildSettings>, RegExp][] = [
    [
      [syntheticSource({ frames })],
      {},
      /pyme would have 2 × 1 × 1 planes \(channels × z-planes × time points\), and PYME's/,
    ],
    [[syntheticSource({ frames: [{ xUm: 0, yUm: 0, zPlane: 2 }] })], {}, /1 × 3 × 1 planes/],
    [[series(), series()], { join: { kind: 'time' } }, /1 × 1 × 2 planes/],
    [
      [series()],
      { pixelSizeUm: { x: 0.5, y: 0.25 } },
      /pixels of 0\.5 × 0\.25 µm, and PYME's pyramids have square ones/,
    ],
  ]
  for (const [sources, settings, message] of cases)
    await t.rejects(buildPyme(sources, output, settings), { name: 'UnsupportedDataError', message })
  t.same(readdirSync(folder), [])
})

t.test('several threads write the same files, and what goes wrong in one is told', async t => {
  const folder = t.testdir()
  const frameSize = { width: 2600, height: 2600 }
  const source = syntheticSource({ frames: [{ xUm: 0, yUm: 0 }], frameSize, sample: (_, x, y) => (x * y) % 4099 })
  await build([source], join(folder, 'ours'), { tileSize: 128 })
  const pyramid = await openPyramid(join(folder, 'ours'))
  const write = (name: string, workers: number, signal?: AbortSignal) =>
    writePymePyramid(pyramid, join(folder, name), { fades: false, workers, signal })
  const alone = await write('alone', 1)
  t.same(await write('together', 3), alone)
  t.ok(alone.files > 3 * 150)
  t.same(contentOf(join(folder, 'together')), contentOf(join(folder, 'alone')))

  const reason = new Error('stopped')
  const stop = new AbortController()
  const stopped = write('stopped', 3, stop.signal)
  stop.abort(reason)
  await t.rejects(stopped, reason)
  await t.rejects(write('stopped', 3, AbortSignal.abort(reason)), reason)
  t.notOk(existsSync(join(folder, 'stopped', 'metadata.json')))

  const shard = join(folder, 'ours/0/c/0/0/0/0/0')
  const bytes = readFileSync(shard)
  bytes[1000] ^= 1
  writeFileSync(shard, bytes)
  await t.rejects(write('damaged', 3), { name: 'CorruptDataError', message: /ours\/0\/c\/0\/0\/0\/0\/0/ })
  await pyramid.close()
})

t.test('a build that was stopped at any point goes on, and ends in the same bytes', async t => {
  const folder = t.testdir()
  const sources = [mosaic('a'), mosaic('b', 400)]
  await buildPyme(sources, join(folder, 'whole'))
  const expected = contentOf(join(folder, 'whole'))
  const output = join(folder, 'plate')
  for (const share of [0.2, 0.6, 1]) {
    const stop = new AbortController()
    const reason = new Error('stopped')
    const onProgress: BuildRequest['onProgress'] = ({ framesDone, framesTotal }) => {
      if (framesDone >= share * framesTotal) stop.abort(reason)
    }
    await t.rejects(buildPyme(sources, output, {}, { onProgress, signal: stop.signal }), reason)
    t.same(readdirSync(folder).sort(), ['.plate.stitched', 'whole'], 'what was stitched, and nothing else')
  }
  // As a build leaves it that is killed while it writes tiles.
  mkdirSync(join(folder, '.plate.tiles'))
  writeFileSync(join(folder, '.plate.tiles', 'tilestage.json'), '{}')
  writeFileSync(join(folder, '.plate.tiles', 'strange.pzf'), '')
  const { built } = await buildPyme(sources, output)
  t.ok(built)
  const { 'tilestage.json': _, ...tiles } = contentOf(output)
  t.match(expected, tiles)
  t.equal(Object.keys(tiles).length, Object.keys(expected).length - 1)
  t.same(readdirSync(folder).sort(), ['plate', 'whole'])
})

t.test('what is there already is not built again, replaced only by --overwrite, and moved along', async t => {
  const folder = t.testdir()
  const output = join(folder, 'plate')
  const [a1, a2] = [mosaic('a1'), mosaic('a2', 400)]
  await buildPyme([a1], output)
  const before = contentOf(output)
  t.match(await buildPyme([a1], output), { built: false, record: { frames: { used: 12 } } })
  await t.rejects(buildPyme([a1], output, { blend: 'mean' }), {
    name: 'UnsupportedDataError',
    message: /plate already holds a pyramid of other settings \(blend: feather there, mean asked for\)/,
  })
  await t.rejects(buildPyme([a2], output), { message: /of other series/ })
  t.same(contentOf(output), before)

  writeFileSync(join(output, 'roi_locations.hdf'), 'mine')
  mkdirSync(join(output, '2024'))
  writeFileSync(join(output, '2024/notes.txt'), 'mine too')
  symlinkSync(output, join(folder, 'link'))
  t.ok((await buildPyme([a1], join(folder, 'link'), { blend: 'mean' }, { overwrite: true })).built)
  t.equal(readFileSync(join(output, 'roi_locations.hdf'), 'utf8'), 'mine')
  t.equal(readFileSync(join(output, '2024/notes.txt'), 'utf8'), 'mine too')
  t.not(contentOf(output)['0/000/000/000_img.pzf'], before['0/000/000/000_img.pzf'])
  const { record } = await buildPyme([a1, a2], output, { blend: 'mean' })
  t.equal(record.frames.used, 24, 'series that were added are taken in')
  t.equal(readFileSync(join(output, 'roi_locations.hdf'), 'utf8'), 'mine')

  // As it is left when the build is killed between two renames.
  renameSync(output, join(folder, '.plate.old'))
  t.notOk((await buildPyme([a1, a2], output, { blend: 'mean' })).built)
  t.same(readdirSync(folder).sort(), ['link', 'plate'])
})

t.test('what is not ours is left alone, whatever is asked for', async t => {
  const folder = t.testdir({
    other: { 'notes.txt': 'mine' },
    'file.txt': '',
    '.new.tiles': { 'notes.txt': 'mine' },
    '.taken.old': { 7: { 'notes.txt': 'mine' } },
  })
  const sources = [mosaic('a1')]
  await writeAsPyme(join(folder, 'pymes'), { tileSize: 16, tiles: [[0, 0]], value: () => 1 })
  await build(sources, join(folder, 'ours'))
  await buildPyme(sources, join(folder, 'damaged'))
  writeFileSync(join(folder, 'damaged', 'tilestage.json'), '{')
  const before = contentOf(folder)
  const cases: [string, RegExp][] = [
    ['other', /other holds something else \(notes\.txt\) and is left alone/],
    ['pymes', /pymes holds something else \(0, 1, metadata\.json\)/],
    ['ours', /ours holds something else/],
    ['damaged', /tilestage\.json is not valid JSON/],
    ['file.txt', /file\.txt is a file; --output names a folder/],
    ['new', /\.new\.tiles holds something else \(notes\.txt\)/],
    ['taken', /taken cannot be replaced: .*\.taken\.old, which it would be called meanwhile, holds something else/],
  ]
  for (const [name, message] of cases)
    await t.rejects(buildPyme(sources, join(folder, name), {}, { overwrite: true }), { message }, name)
  rmSync(join(folder, '.new.stitched'), { recursive: true })
  t.same(contentOf(folder), before)
})

t.test('frames that cannot be read are told, and where two builds meet one is refused', async t => {
  const folder = t.testdir({ plate: {} })
  const output = join(folder, 'plate')
  const frames = [
    { xUm: 0, yUm: 0 },
    { xUm: 40, yUm: 0 },
  ]
  const source = syntheticSource({ frames, sample: frame => (frame === 1 ? brokenFrame(1) : 5) })
  const unlock = await lockFolder(output)
  await t.rejects(buildPyme([source], output), { name: 'FolderInUseError', message: /Another build writes to/ })
  await unlock()
  const { skipped, record } = await buildPyme([source], output)
  t.match(skipped, [{ frame: 1, reason: /damaged/ }])
  t.same(record.frames.skipped, 1)
  await t.rejects(buildPyme([source], output, {}, { growing: {} as never }), RangeError)
})

t.test('the command line writes it, and says what does not go together', async t => {
  const cwd = t.testdir()
  writeSeries(join(cwd, 'a.pcs'), [0, 1], { 'metadata.json': { ...plainMetadata, 'voxelsize.y': 0.5 } })
  const wrong: [string[], RegExp][] = [
    [['--watch'], /--watch and --format pyme exclude each other: .* when the acquisition has ended\./],
    [['--dtype', 'uint16'], /--dtype uint16 is not possible; the tiles of a PYME pyramid are float32\./],
    [['--format', 'dzi'], /--format/],
  ]
  for (const [flags, message] of wrong) {
    const formats = flags.includes('--format') ? [] : ['--format', 'pyme']
    const { status, stderr } = await tilestage(['build', 'a.pcs', '--output', 'p', ...formats, ...flags], { cwd })
    t.equal(status, 64)
    t.match(stderr, message)
  }
  const command = ['build', 'a.pcs', '--output', 'p', '--format', 'pyme', '--dtype', 'float32']
  t.match(await tilestage(command, { cwd }), { status: 0, stdout: /\/p\n$/, stderr: /^2 frames, .* MB in \d files/ })
  t.match(await tilestage(command, { cwd }), { status: 0, stderr: /^Already built: 2 frames/ })
  t.match(await tilestage(['info', 'p'], { cwd }), { status: 0, stdout: /p {2}PYME pyramid/ })
})

const canMount = spawnSync('unshare', ['-rm', 'true']).status === 0
/** A full disk is made in a namespace of its own, which only Linux has. */
const onItsOwnDisk = { skip: canMount ? (false as const) : 'this system lets users mount nothing' }

t.test('a disk that fills up with tiles gets its space back, and the same command goes on', onItsOwnDisk, async t => {
  const cwd = t.testdir({ disk: {} })
  const { stdout } = await shell(
    `mount -t tmpfs -o size=9m tmpfs disk
    tilestage build "$PLATE/well_A1.pcs" --output disk/p --format pyme; echo "= $?"
    ls -A disk
    mount -o remount,size=40m disk
    tilestage build "$PLATE/well_A1.pcs" --output disk/p --format pyme >/dev/null; echo "= $?"
    ls -A disk`,
    cwd,
    true,
  )
  const full = 'cannot be written: the disk is full; free some space and run the same command again\\.'
  t.match(
    stdout,
    new RegExp(`^tilestage: .*/\\.p\\.tiles/0/\\S+ ${full}\n= 1\n\\.p\\.stitched\n25 frames, .*\n= 0\np\n$`),
  )
})
