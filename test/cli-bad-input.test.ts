import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { PLATE, shell, tilestage, tilestageProcess } from './run-cli.js'
import { composePzf, plainEvents, plainMetadata, writeSeries } from './sources/write-series.js'

const canMount = spawnSync('unshare', ['-rm', 'true']).status === 0
/** A full or read-only disk is made in a namespace of its own, which only Linux has. */
const onItsOwnDisk = { skip: canMount ? (false as const) : 'this system lets users mount nothing' }

/** One sentence on stderr, nothing on stdout. */
async function refused(t: Test, args: string[], cwd: string, sentence: string | RegExp, status = 1): Promise<void> {
  const finished = await tilestage(args, { cwd })
  t.match(finished, { status, stdout: '' })
  t.match(finished.stderr, sentence)
  t.match(finished.stderr, /^tilestage: [^\n]+\.\n$/, 'one sentence on one line')
}

function contentOf(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
  return Object.fromEntries(
    files.map(({ parentPath, name }) => [join(parentPath, name), readFileSync(join(parentPath, name), 'base64')]),
  )
}

t.test('frames that cannot be read are skipped and named, with status 2, or stop a strict build', async t => {
  const cwd = t.testdir()
  const hostile = composePzf()
  hostile.writeUInt32LE(0xffffffff, 20)
  writeSeries(join(cwd, 'a.pcs'), [0, 1, 2, 3, 4], {
    'frame00001.pzf': composePzf().subarray(0, 70),
    'frame00002.pzf': '',
    'frame00003.pzf': hostile,
  })
  const args = ['build', 'a.pcs', '--output', 'p']
  const built = await tilestage(args, { cwd })
  t.equal(built.status, 2)
  for (const number of [1, 2, 3]) t.match(built.stderr, `tilestage: skipped: a.pcs/frame0000${number}.pzf `)
  t.match(built.stderr, '\n2 frames, 3 skipped, ')
  const again = await tilestage(args, { cwd })
  t.match(again, { status: 2, stderr: /^Already built: 2 frames, 3 skipped/m })
  t.match((await tilestage(['info', 'p'], { cwd })).stdout, /skipped +a\.pcs\/frame00001\.pzf/)
  const strict = await tilestage(['build', 'a.pcs', '--output', 'q', '--strict'], { cwd })
  t.match(strict, { status: 1, stderr: /a\.pcs\/frame0000[123]\.pzf / })
  t.match((await tilestage(['info', 'q'], { cwd })).stdout, /state +not finished/)
})

t.test('a series of which nothing can be read gives no pyramid', async t => {
  const cwd = t.testdir()
  const cut = composePzf().subarray(0, 70)
  writeSeries(join(cwd, 'a.pcs'), [0, 1], { 'frame00000.pzf': cut, 'frame00001.pzf': cut })
  await refused(
    t,
    ['build', 'a.pcs', '--output', 'p'],
    cwd,
    'None of the 2 frames can be read; the first failure: a.pcs/',
  )
  t.match((await tilestage(['info', 'p'], { cwd })).stdout, /state +not finished/)
})

t.test('a series without a pixel size asks for --pixel-size, and has its camera ROI with it', async t => {
  const cwd = t.testdir()
  const { 'voxelsize.x': x, 'voxelsize.y': _, ...bare } = plainMetadata
  const roi = { 'Camera.ROIOriginX': 9, 'Camera.ROIOriginY': 5 }
  writeSeries(join(cwd, 'bare.pcs'), [0, 1], { 'metadata.json': { ...bare, ...roi } })
  writeSeries(join(cwd, 'full.pcs'), [0, 1], { 'metadata.json': { ...plainMetadata, ...roi } })
  const without = await tilestage(['build', 'bare.pcs', '--output', 'p'], { cwd })
  t.match(without, {
    status: 1,
    stderr: /bare\.pcs does not say how large a pixel is .*; give it with --pixel-size\.\n$/,
  })
  t.notOk(existsSync(join(cwd, 'p')))
  t.equal((await tilestage(['build', 'bare.pcs', '--output', 'p', '--pixel-size', `${x},0.25`], { cwd })).status, 0)
  t.equal((await tilestage(['build', 'full.pcs', '--output', 'q'], { cwd })).status, 0)
  const origins = await Promise.all(
    ['p', 'q'].map(async path => JSON.parse((await tilestage(['info', path, '--json'], { cwd })).stdout).originUm),
  )
  t.same(origins[0], origins[1])
})

t.test('a series whose metadata or events do not place its frames is refused', async t => {
  const cwd = t.testdir()
  const { StartTime, ...timeless } = plainMetadata
  writeSeries(join(cwd, 'timeless.pcs'), [0, 1], { 'metadata.json': timeless })
  await refused(t, ['build', 'timeless.pcs', '--output', 'p'], cwd, 'the metadata has no usable StartTime')
  writeSeries(join(cwd, 'live.pcs'), [0, 1], { 'events.json': undefined })
  await refused(t, ['build', 'live.pcs', '--output', 'p'], cwd, 'live.pcs has no events.json, which PYME writes when')
  t.notOk(existsSync(join(cwd, 'p')))
})

t.test('events out of order place the frames as events in order do', async t => {
  const cwd = t.testdir()
  writeSeries(join(cwd, 'a.pcs'), [0, 1, 2])
  writeSeries(join(cwd, 'b.pcs'), [0, 1, 2], { 'events.json': plainEvents(3).reverse() })
  const placed = await Promise.all(
    ['a.pcs', 'b.pcs'].map(async path => JSON.parse((await tilestage(['info', path, '--json'], { cwd })).stdout)),
  )
  t.same(placed[0].series[0].stageUm, placed[1].series[0].stageUm)
})

t.test('a path or glob that leads to no series says what is there', async t => {
  const cwd = t.testdir({ empty: {}, file: 'text' })
  writeSeries(join(cwd, 'plate/a.pcs'), [0])
  const build = (path: string): string[] => ['build', path, '--output', 'p']
  await refused(
    t,
    build('plate/*.psc'),
    cwd,
    /^tilestage: plate\/\*\.psc matches no folder and no file that can be read; .*plate holds 1 entry, 1 of them/,
  )
  await refused(t, build('none'), cwd, /^tilestage: none does not exist; /)
  await refused(t, build('empty'), cwd, 'empty is an empty folder; a series is a folder with')
  await refused(t, build('file'), cwd, 'file is a file; a series is a folder with')
  t.notOk(existsSync(join(cwd, 'p')))
})

t.test('series over the same area are not blended by accident, and one named twice is taken once', async t => {
  const cwd = t.testdir()
  for (const name of ['a.pcs', 'b.pcs']) writeSeries(join(cwd, name), [0, 1])
  await refused(
    t,
    ['build', 'a.pcs', 'b.pcs', '--output', 'p'],
    cwd,
    /^tilestage: a\.pcs and b\.pcs cover .*--channel NAME=GLOB .*, --as time .*, or --merge /,
  )
  const both = await tilestage(['build', '--channel', 'x=a.pcs', '--channel', 'y=b.pcs', '--output', 'q'], { cwd })
  t.equal(both.status, 0)
  const twice = await tilestage(['build', 'a.pcs', './a.pcs', '--output', 'r'], { cwd })
  t.match(twice, {
    status: 0,
    stderr: /^tilestage: \.\/a\.pcs is the same series as a\.pcs and is taken once\.\n2 frames,/,
  })
})

t.test('an output that holds something else, or is part of a series, is left as it is', async t => {
  const cwd = t.testdir({
    notes: { 'read.me': 'mine' },
    damaged: { 'zarr.json': '{"attributes": {', 0: { x: 'y' } },
    other: { 'zarr.json': '{"zarr_format": 3, "node_type": "group"}' },
    file: 'mine',
  })
  const series = writeSeries(join(cwd, 'a.pcs'), [0, 1])
  symlinkSync(series, join(cwd, 'link'))
  const before = contentOf(cwd)
  const cases: [output: string, sentence: string][] = [
    ['notes', 'notes holds something else (read.me) and is left alone; name a new or empty folder with --output.'],
    ['other', 'other holds something else (zarr.json) and is left alone; '],
    ['damaged', 'zarr.json is not valid JSON, so the folder is left alone; name another --output, or remove it first.'],
    ['file', 'file is a file; --output names a folder.'],
    ['file/p', 'file/p lies below a file; --output names a folder.'],
    ['a.pcs', 'a.pcs lies inside the series a.pcs; name an --output elsewhere.'],
    ['link/p', 'link/p lies inside the series a.pcs; name an --output elsewhere.'],
  ]
  for (const [output, sentence] of cases) {
    await refused(t, ['build', 'a.pcs', '--output', output, '--overwrite'], cwd, sentence)
  }
  t.same(contentOf(cwd), before)
})

t.test('two builds do not write to one folder, and the lock of one that was killed is taken over', async t => {
  const cwd = t.testdir()
  const args = ['build', join(PLATE, 'well_A1.pcs'), '--output', 'p', '--progress', 'json']
  let second: ReturnType<typeof tilestage> | undefined
  const first = await tilestageProcess(args, {
    cwd,
    onOutput(stdout, child) {
      if (second || !stdout.includes('started')) return
      // Stopped, so that it holds the folder for as long as the second one needs.
      child.kill('SIGSTOP')
      second = tilestage(['build', join(PLATE, 'well_A2.pcs'), '--output', 'p'], { cwd })
      second.finally(() => child.kill('SIGKILL'))
    },
  })
  t.equal(first.status, null)
  t.match(await second, {
    status: 1,
    stderr: /^tilestage: Another build writes to .*p \(process \d+ on .*\); wait for it, /,
  })
  t.equal((await tilestage(args, { cwd })).status, 0)
  t.notOk(readdirSync(join(cwd, 'p')).some(name => name.startsWith('.')))
  mkdirSync(join(cwd, 'q'))
  writeFileSync(join(cwd, 'q', 'zarr.json.tmp'), '{"zarr_fo')
  const over = await tilestage(['build', join(PLATE, 'well_A1.pcs'), '--output', 'q'], { cwd })
  t.equal(over.status, 0, 'killed before its first file had its name')
})

t.test('what the user keeps in a pyramid’s folder outlives --overwrite', async t => {
  const cwd = t.testdir()
  writeSeries(join(cwd, 'a.pcs'), [0, 1])
  const args = ['build', 'a.pcs', '--output', 'p']
  t.equal((await tilestage(args, { cwd })).status, 0)
  mkdirSync(join(cwd, 'p/mine'))
  writeFileSync(join(cwd, 'p/mine/notes.txt'), 'kept')
  t.equal((await tilestage([...args, '--blend', 'mean', '--overwrite'], { cwd })).status, 0)
  t.equal(readFileSync(join(cwd, 'p/mine/notes.txt'), 'utf8'), 'kept')
  t.same(readdirSync(cwd).sort(), ['a.pcs', 'p'])
  // A name that a build uses for a moment, and the user has used before.
  mkdirSync(join(cwd, '.p.old/7'), { recursive: true })
  writeFileSync(join(cwd, '.p.old/7/notes.txt'), 'kept')
  t.equal((await tilestage([...args, '--blend', 'mean'], { cwd })).status, 0)
  t.match(await tilestage([...args, '--overwrite'], { cwd }), { status: 1, stderr: /p cannot be replaced: .*\.p\.old/ })
  t.equal(readFileSync(join(cwd, '.p.old/7/notes.txt'), 'utf8'), 'kept')
})

t.test('an output folder that cannot be made is named', async t => {
  const cwd = t.testdir()
  writeSeries(join(cwd, 'a.pcs'), [0])
  if (process.platform === 'linux')
    await refused(t, ['build', 'a.pcs', '--output', '/proc/p'], cwd, '/proc/p cannot be made: /proc takes no folders.')
  await refused(t, ['build', 'a.pcs', '--output', 'x'.repeat(300)], cwd, 'has too long a name')
})

t.test('a full disk stops a build, and the same command works once there is space', onItsOwnDisk, async t => {
  const cwd = t.testdir({ disk: {} })
  const { stdout } = await shell(
    `mount -t tmpfs -o size=1m tmpfs disk
    tilestage build "$PLATE/well_A1.pcs" --output disk/p; echo "= $?"
    tilestage info disk/p | grep state
    mount -o remount,size=20m disk
    tilestage build "$PLATE/well_A1.pcs" --output disk/p; echo "= $?"`,
    cwd,
    true,
  )
  const full = 'cannot be written: the disk is full; free some space and run the same command again\\.'
  t.match(
    stdout,
    new RegExp(`^tilestage: .*disk/p/\\S+ ${full}\n= 1\n +state +not finished.*\n25 frames, .*\n.*\n= 0\n$`),
  )
})

t.test('a disk that fills up during --overwrite leaves the old pyramid whole', onItsOwnDisk, async t => {
  const cwd = t.testdir({ disk: {} })
  const { stdout } = await shell(
    `mount -t tmpfs -o size=3m tmpfs disk
    tilestage build "$PLATE/well_A1.pcs" --output disk/p >/dev/null; echo "= $?"
    cp -r disk/p before
    tilestage build "$PLATE/well_A1.pcs" --output disk/p --blend mean --overwrite; echo "= $?"
    diff -r disk/p before && ls -A disk`,
    cwd,
    true,
  )
  t.match(stdout, /= 0\ntilestage: .*the disk is full.*\n= 1\n.p.building\np\n$/)
})

t.test('nothing is built on a read-only disk, and what is there is shown', onItsOwnDisk, async t => {
  const cwd = t.testdir({ disk: {} })
  const { stdout } = await shell(
    `mount -t tmpfs tmpfs disk
    tilestage build "$PLATE/well_A1.pcs" --output disk/p >/dev/null
    mkdir disk/empty
    mount -o remount,ro disk
    for output in new/p empty 'p --blend mean --overwrite' p; do
      tilestage build "$PLATE/well_A1.pcs" --output disk/$output; echo "= $?"
    done`,
    cwd,
    true,
  )
  const sentences = stdout.split('\n').filter(line => line.startsWith('tilestage: '))
  t.equal(sentences.length, 3)
  for (const sentence of sentences) t.match(sentence, /disk\/\S+ cannot be written: the file system is read-only\.$/)
  t.same(stdout.match(/= \d/g), ['= 1', '= 1', '= 1', '= 0'])
})

t.test('a pyramid on a mount point is not replaced, and that is told before the build', onItsOwnDisk, async t => {
  const cwd = t.testdir({ disk: {} })
  const { stdout } = await shell(
    `mount -t tmpfs tmpfs disk
    tilestage build "$PLATE/well_A1.pcs" --output disk >/dev/null
    tilestage build "$PLATE/well_A1.pcs" --output disk --blend mean --overwrite; echo "= $?"`,
    cwd,
    true,
  )
  t.match(stdout, /disk is where a disk is mounted, .*; name a folder below it with --output\.\n= 1\n$/)
})
