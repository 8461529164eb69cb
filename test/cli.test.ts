import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, symlinkSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { freePort } from './free-port.js'
import { CLI, PLATE, type RunOptions, shell, tilestage, tilestageProcess } from './run-cli.js'
import { composePzf, plainMetadata, writeSeries } from './sources/write-series.js'

const jsonLines = (text: string): Record<string, unknown>[] =>
  text
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))

/** Run a server until it has said where it listens; `use` gets its URL, then it is stopped with SIGINT. */
async function serving(
  args: readonly string[],
  use: (url: string) => Promise<unknown>,
  options: RunOptions = {},
): Promise<{ status: number | null; stdout: string; stderr: string }> {
  let using: Promise<unknown> | undefined
  const finished = await tilestageProcess(args, {
    ...options,
    onOutput(stdout, child) {
      const url = /http:\/\/[^\s"]+/.exec(stdout)?.[0]
      if (url === undefined || using) return
      using = use(url).finally(() => child.kill('SIGINT'))
    },
  })
  await using
  return finished
}

t.test('wrong usage is status 64 and one sentence that tells what is possible', async t => {
  const cases: [args: string[], sentence: string][] = [
    [['bild'], 'There is no command bild; did you mean tilestage build?'],
    [['frobnicate'], 'There is no command frobnicate; the commands are build, serve, view, info, export, demo.'],
    [['build', 'x', '--ouput', 'y'], 'tilestage build knows no flag --ouput; did you mean --output?'],
    [['info', 'x', '--output', 'y'], 'tilestage info knows no flag --output; tilestage info --help lists its flags.'],
    [['build', 'x'], 'Say where the pyramid is to be written: --output DIR.'],
    [['build', '--output', 'y'], 'Name the series to build from, as paths or quoted globs.'],
    [['build', 'x', '--output', '--strict'], '--output needs a value: --output DIR.'],
    [['build', 'x', '--output', 'a', '--output', 'b'], '--output is given twice.'],
    [['info', '--json=yes', 'x'], '--json takes no value.'],
    [['info'], 'Name the series or the pyramid to describe.'],
    [['serve', '--port', 'http'], '--port http is not possible; it is a whole number from 0 to 65535.'],
    [['serve', '--cache', 'big'], '--cache big is not possible; it is a size such as 512MiB.'],
    [
      ['serve', '--host', '0.0.0.0', '--port', '0'],
      'Others can reach 0.0.0.0, so --root must say below which folder pyramids may be opened; 127.0.0.1 needs none.',
    ],
    [['demo', 'x'], 'tilestage demo takes no series; tilestage view does.'],
  ]
  for (const [args, sentence] of cases) {
    const { status, stdout, stderr } = await tilestage(args)
    t.same({ status, stdout, stderr }, { status: 64, stdout: '', stderr: `tilestage: ${sentence}\n` }, args.join(' '))
  }
})

t.test('a wrong value of a build flag is told before anything is built', async t => {
  const output = join(t.testdir(), 'p')
  const cases: [flag: string, value: string, possible: string][] = [
    ['--origin', '5', 'it is X,Y in µm'],
    ['--pixel-size', '0', 'it is a size above 0 in µm, or two of them as X,Y'],
    ['--tile-size', '100', 'it is one of 128, 256, 512, 1024'],
    ['--as', 'channels', 'it is time'],
    ['--blend', 'max', 'it is one of feather, mean, last, pyme'],
    ['--channel', 'DAPI', 'it is NAME=GLOB'],
  ]
  for (const [flag, value, possible] of cases) {
    const { status, stderr } = await tilestage(['build', join(PLATE, 'well_A1.pcs'), '--output', output, flag, value])
    t.equal(stderr, `tilestage: ${flag} ${value} is not possible; ${possible}.\n`)
    t.equal(status, 64)
  }
  t.notOk(existsSync(output))
})

t.test('an environment variable stands in for its flag, and is named where it is wrong', async t => {
  const env = { TILESTAGE_PORT: 'http' }
  const wrong = await tilestage(['serve'], { env })
  t.equal(wrong.stderr, 'tilestage: TILESTAGE_PORT http is not possible; it is a whole number from 0 to 65535.\n')
  t.equal(wrong.status, 64)
  const { status } = await serving(['serve', '--port', '0'], async url => t.equal((await fetch(url)).status, 200), {
    env,
  })
  t.equal(status, 0, 'the flag counts where both are given')
})

t.test('help is printed for the program and for every command, with examples', async t => {
  const program = await tilestageProcess(['--help'])
  t.equal(program.status, 0)
  for (const name of ['build', 'serve', 'view', 'info', 'export', 'demo']) {
    t.match(program.stdout, `tilestage ${name}`)
    const asked = await tilestage([name, '--help'])
    t.equal(asked.status, 0)
    t.match(asked.stdout, /\nExamples\n {2}tilestage /)
    t.ok(asked.stdout.split('\n').every(line => line.length <= 100))
  }
  t.match((await tilestage(['--version'])).stdout, /^\d+\.\d+\.\d+\n$/)
})

t.test('series are described for people and as JSON', async t => {
  const { status, stdout } = await tilestage(['info', join(PLATE, '*.pcs')])
  t.equal(status, 0)
  t.match(stdout, /^well_A1 {2}PYME series {2}\/.*well_A1\.pcs\n/)
  t.match(stdout, ' 25 of 256 × 256 px, uint16, numbers 0 to 24\n')
  t.match(stdout, /\n3 series, 75 frames\n$/)
  const { series } = JSON.parse((await tilestage(['info', join(PLATE, '*.pcs'), '--json'])).stdout)
  t.same(
    series.map(({ name, frames, well }: Record<string, unknown>) => ({ name, frames, well })),
    ['A1', 'A2', 'B1'].map(well => ({ name: `well_${well}`, frames: 25, well })),
  )
})

t.test('what cannot be described is named beside what can', async t => {
  const cwd = t.testdir({ plate: { 'bad.h5': 'no HDF5' } })
  await cp(join(PLATE, 'well_A1.pcs'), join(cwd, 'plate/well_A1.pcs'), { recursive: true })
  const damaged = 'plate/bad.h5 is no HDF5 file: it does not begin with the signature of one.'
  const message = `tilestage: ${damaged}\ntilestage: plate/none.h5 does not exist; `
  const mixed = await tilestage(['info', 'plate/well_A1.pcs', 'plate/bad.h5', 'plate/none.h5'], { cwd })
  t.match(mixed, { status: 2, stdout: /^well_A1 .*\n {2}frames /, stderr: message })
  const { status, stdout } = await tilestage(['info', 'plate', '--json'], { cwd })
  const failures = [{ url: 'plate/bad.h5', code: 'CORRUPT_DATA', message: damaged }]
  t.match({ status, ...JSON.parse(stdout) }, { status: 2, series: [{ name: 'well_A1' }], failures })
  const alone = await tilestage(['info', 'plate/bad.h5'], { cwd })
  t.same(alone, { status: 1, stdout: '', stderr: `tilestage: ${damaged}\n` })
})

t.test('a pyramid is built once, described, and replaced only with --overwrite', async t => {
  const cwd = t.testdir()
  const args = ['build', join(PLATE, 'well_A1.pcs'), '--output', 'made/p']
  const first = await tilestage(args, { cwd })
  t.same({ status: first.status, stdout: first.stdout }, { status: 0, stdout: `${join(cwd, 'made/p')}\n` })
  t.match(first.stderr, /^25 frames, 1135 × 1137 px, 4 levels, [\d.]+ MB in 13 files, [\d.]+ s\n$/)
  t.equal((await tilestage(args, { cwd })).stderr, 'Already built: 25 frames, 1135 × 1137 px.\n')

  const { stdout } = await tilestage(['info', 'made/p'], { cwd })
  t.match(stdout, /^p {2}tilestage pyramid {2}\/.*made\/p\n {2}state +complete\n/)
  t.match(stdout, 'pixel size  0.325 µm')
  const described = JSON.parse((await tilestage(['info', 'made/p', '--json'], { cwd })).stdout)
  t.match(described, { kind: 'pyramid', name: 'p', complete: true, frames: { used: 25, skipped: 0 } })

  const refused = await tilestage([...args, '--blend', 'last'], { cwd })
  t.equal(refused.status, 1)
  t.match(
    refused.stderr,
    /already holds a pyramid of other settings \(blend: feather there, last asked for\); name another --output, or replace/,
  )
  const replaced = await tilestage([...args, '--blend', 'last', '--overwrite'], { cwd })
  t.equal(replaced.status, 0)
  const after = JSON.parse((await tilestage(['info', 'made/p', '--json'], { cwd })).stdout)
  t.match(after, { id: described.id, settings: { blend: 'last' } })
  t.not(after.revision, described.revision)
})

t.test('--progress json writes one object a line to the standard output and nothing else', async t => {
  const cwd = t.testdir()
  writeSeries(join(cwd, 'a.pcs'), [0, 1, 2, 4], { 'frame00002.pzf': Buffer.from('no frame') })
  const { status, stdout, stderr } = await tilestage(['build', 'a.pcs', '--output', 'p', '--progress', 'json'], { cwd })
  const events = jsonLines(stdout)
  t.same([status, stderr], [2, ''])
  t.match(events[0], { event: 'opened', series: 1, frames: 4 })
  t.match(events[1], { event: 'warning', message: /3/ })
  t.match(events.at(-3), { event: 'progress', framesDone: 4, framesTotal: 4, secondsLeft: 0 })
  t.match(events.at(-2), { event: 'skipped', series: 'a', frame: 2, reason: /frame00002\.pzf/ })
  t.match(events.at(-1), { event: 'done', path: join(cwd, 'p'), built: true, frames: { used: 3, skipped: 1 } })
})

t.test('folders may have odd names, be relative, links, or begin with a dash', async t => {
  const cwd = t.testdir()
  const name = '-wéll "A1" [x]$(y) \'z.pcs'
  writeSeries(join(cwd, name), [0, 1])
  symlinkSync(join(cwd, name), join(cwd, 'link'))
  for (const [output, ...args] of [
    ['ü [1]', '--', name],
    ['ü [1]', './-w*'],
    ['-q', 'link/'],
  ]) {
    const { status, stdout } = await tilestage(['build', `--output=${output}`, ...args], { cwd })
    t.same({ status, stdout }, { status: 0, stdout: `${join(cwd, output)}\n` })
  }
})

t.test('a line break or an escape code in a name does not reach the terminal', async t => {
  const cwd = t.testdir()
  mkdirSync(join(cwd, 'bad\u001b[31m\nname'))
  const { stderr } = await tilestage(['info', 'bad\u001b[31m\nname'], { cwd })
  t.match(stderr, /^tilestage: bad\\x1b\[31m\\x0aname is an empty folder; .*\n$/)
  writeSeries(join(cwd, 'a.pcs'), [0], { 'metadata.json': { ...plainMetadata, 'Sample.Well': 'A1\u001b[2J' } })
  const { stdout } = await tilestage(['info', 'a.pcs'], { cwd })
  t.match(stdout, /well +A1\\x1b\[2J\n/)
})

t.test('a reader of the output that goes away does not stop a build', async t => {
  const cwd = t.testdir()
  const { stdout } = await shell(
    'set -o pipefail; tilestage build "$PLATE/well_A1.pcs" --output p --progress json | head -1 >/dev/null; echo "= $?"; tilestage info p',
    cwd,
  )
  t.match(stdout, /^= 0\n.*\n {2}state +complete\n/)
})

t.test('an output that cannot be written is a failure', async t => {
  const { stdout } = await shell('tilestage info "$PLATE/well_A1.pcs" > /dev/full; echo "= $?"', t.testdir())
  t.match(stdout, /^tilestage: The standard output cannot be written: the disk is full.*\n= 1\n$/)
})

for (const [signal, expected] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  t.test(`${signal} stops a build cleanly and says how to go on, and the same command then works`, async t => {
    const cwd = t.testdir()
    // With work for long enough that the signal comes before its end.
    const args = ['build', join(PLATE, '*.pcs'), '--output', 'p', '--progress', 'json', '--workers', '1']
    let isStopped = false
    const { status, stderr } = await tilestageProcess(args, {
      cwd,
      onOutput(stdout, child) {
        // A second signal ends the program on the spot.
        if (!isStopped && stdout.includes('started')) isStopped = child.kill(signal)
      },
    })
    t.equal(status, expected)
    t.equal(stderr, 'tilestage: Stopped. Run the same command again to go on from here.\n')
    t.match((await tilestage(['info', 'p'], { cwd })).stdout, /state +not finished/)
    await serving(
      ['serve', 'p', '--port', '0'],
      async url => {
        const { pyramids } = (await (await fetch(new URL('pyramids', url))).json()) as { pyramids: unknown[] }
        t.match(pyramids, [{ name: 'p', complete: false }], 'what there is of it is shown')
      },
      { cwd },
    )
    t.equal((await tilestage(args, { cwd })).status, 0)
    t.match((await tilestage(['info', 'p'], { cwd })).stdout, /state +complete/)
  })
}

t.test('view builds below the cache folder once and serves; a second run takes what is there', async t => {
  const cwd = t.testdir()
  const env = { XDG_CACHE_HOME: join(cwd, 'cache'), HOME: undefined }
  // Complete, so that nothing is waited for.
  const files = { 'frame00001.pzf': composePzf({ fill: 7 }), 'final_metadata.json': plainMetadata }
  writeSeries(join(cwd, 'a.pcs'), [0, 1, 2], files)
  const args = ['view', 'a.pcs', '--port', '0', '--progress', 'json']
  for (const built of [true, false]) {
    const finished = await serving(
      args,
      async url => {
        for (;;) {
          const reply = await fetch(new URL('pyramids', url))
          const { pyramids } = (await reply.json()) as { pyramids: { complete: boolean }[] }
          // It is served while it is built.
          if (!pyramids[0].complete) continue
          t.match(pyramids, [{ name: 'a', current: true }])
          break
        }
      },
      { cwd, env },
    )
    t.equal(finished.status, 0)
    const events = jsonLines(finished.stdout)
    t.match(events.at(built ? -1 : -2), {
      event: 'done',
      built,
      path: new RegExp(`^${join(cwd, 'cache/tilestage')}/\\w+/a$`),
    })
    t.match(
      events.find(({ event }) => event === 'serving'),
      { event: 'serving', url: /^http:\/\/127\.0\.0\.1:\d+\/$/ },
    )
  }
})

t.test('view says what it cannot show, and names a wrong server flag before it builds', async t => {
  const cwd = t.testdir()
  const empty = await tilestage(['view', '.'], { cwd })
  t.match(empty, { status: 1, stderr: 'tilestage: . is an empty folder; a series is a folder with' })
  const port = await tilestage(['view', PLATE, '--output', 'p', '--port', 'x'], { cwd })
  t.equal(port.status, 64)
  t.notOk(existsSync(join(cwd, 'p')), 'a wrong server flag is told before the build')
  writeSeries(join(cwd, 'a.pcs'), [0])
  await tilestage(['build', 'a.pcs', '--output', 'p'], { cwd })
  const built = await tilestage(['view', 'p', '--blend', 'last'], { cwd })
  t.match(built, {
    status: 64,
    stderr: 'tilestage: p is a pyramid already; --blend is for series that are to be built.\n',
  })
})

t.test('serve needs no folder, and says what listens on a port that is taken', async t => {
  const { status, stderr } = await serving(['serve', '--port', '0'], async url => {
    t.equal((await fetch(url)).status, 200)
  })
  t.same([status, stderr], [0, ''])
  const other = createServer((_, reply) => reply.end('{"program":"another"}')).listen(0, '127.0.0.1')
  t.teardown(() => other.close())
  await new Promise(resolve => other.once('listening', resolve))
  const { port } = other.address() as AddressInfo
  const taken = await tilestage(['serve', '--port', `${port}`])
  t.equal(taken.status, 1)
  const owner = process.platform === 'linux' ? `node.* \\(process ${process.pid}\\)` : 'another program'
  const sentence = `^tilestage: Port ${port} of 127.0.0.1 is in use by .*${owner}; stop that, or choose another port`
  t.match(taken.stderr, new RegExp(sentence))
})

/** The folder that everybody looks at. */
async function shownBy(url: string): Promise<string> {
  const { current } = (await (await fetch(new URL('current', url))).json()) as { current: { id: string } }
  const { pyramids } = (await (await fetch(new URL('pyramids', url))).json()) as {
    pyramids: { id: string; name: string }[]
  }
  return pyramids.find(({ id }) => id === current.id)?.name ?? ''
}

t.test('where another tilestage listens already, it shows what is served or viewed next', async t => {
  const cwd = t.testdir()
  const files = { 'frame00001.pzf': composePzf({ fill: 7 }), 'final_metadata.json': plainMetadata }
  for (const name of ['first', 'second', 'third']) {
    writeSeries(join(cwd, `${name}.pcs`), [0, 1], files)
    if (name !== 'third') await tilestage(['build', `${name}.pcs`, '--output', name], { cwd })
  }
  await serving(
    ['serve', 'first', '--port', '0'],
    async url => {
      const { port } = new URL(url)
      const told = { status: 0, stdout: `${url}\n`, stderr: 'Another tilestage listens there, and shows it now.\n' }
      t.same(await tilestage(['serve', 'second', '--port', port], { cwd }), told)
      t.equal(await shownBy(url), 'second')
      t.match(await tilestage(['view', 'third.pcs', '--output', 'third', '--port', port], { cwd }), { status: 0 })
      t.equal(await shownBy(url), 'third')
      const own = await tilestage(['serve', 'first', '--port', port, '--root', '.'], { cwd })
      t.match(own, { status: 1, stderr: `Port ${port} of 127.0.0.1 is in use by` }, 'who wants another kind is told')
      t.equal(await shownBy(url), 'third')
    },
    { cwd },
  )
  await serving(
    ['serve', 'first', '--port', '0', '--root', 'first'],
    async url => {
      const { port } = new URL(url)
      const { status, stderr } = await tilestage(['serve', 'second', '--port', port], { cwd })
      t.equal(status, 1)
      t.match(
        stderr,
        `tilestage: Another tilestage listens on port ${port} and refuses to show ${join(cwd, 'second')} (`,
      )
      t.equal(await shownBy(url), 'first')
    },
    { cwd },
  )
})

t.test('what is viewed already is viewed again', async t => {
  const cwd = t.testdir()
  // Its acquisition goes on, and so does the first view.
  writeSeries(join(cwd, 'a.pcs'), [0, 1])
  const view = ['view', 'a.pcs', '--output', 'p', '--port']
  await serving(
    [...view, '0'],
    async url => {
      const again = await tilestage([...view, new URL(url).port], { cwd })
      t.same([again.status, again.stdout.split('\n').at(-2)], [0, url])
      t.equal(await shownBy(url), 'p')
    },
    { cwd },
  )
})

t.test("PYME's notebooks find the server, and start it where there is none", async t => {
  const cwd = t.testdir()
  for (const name of ['first', 'second']) {
    writeSeries(join(cwd, `${name}.pcs`), [0, 1])
    await tilestage(['build', `${name}.pcs`, '--output', name], { cwd })
  }
  const port = await freePort()
  const page = `http://127.0.0.1:${port}/`
  const setSource = (name: string): Promise<Response> =>
    fetch(`${page}set_tile_source?tile_dir=${encodeURIComponent(join(cwd, name))}`)
  await t.rejects(setSource('first'), { cause: { code: 'ECONNREFUSED' } })
  // It is given the folder and nothing else.
  const program = spawn(process.execPath, [CLI, 'serve', join(cwd, 'first')], {
    env: { ...process.env, TILESTAGE_PORT: `${port}` },
    stdio: 'ignore',
  })
  t.teardown(() => program.kill())
  // They wait for 3 s, which suffices by far, but for a machine that runs tests.
  const answer = (): Promise<Response> => fetch(page).catch(() => setTimeout(50).then(answer))
  t.equal((await answer()).status, 200)
  t.equal(await shownBy(page), 'first')
  const { status, redirected, url } = await setSource('second')
  t.same([status, redirected, url], [200, true, page])
  t.equal(await shownBy(page), 'second')
})

t.test('with --wait a build follows the one that writes to its output', async t => {
  const cwd = t.testdir()
  writeSeries(join(cwd, 'a.pcs'), [0, 1, 2])
  const args = ['build', 'a.pcs', '--output', 'p', '--progress', 'json']
  // Waits for the end of the acquisition.
  const watching = spawn(process.execPath, [CLI, ...args, '--watch'], { cwd, stdio: ['ignore', 'pipe', 'ignore'] })
  t.teardown(() => watching.kill())
  await once(watching.stdout, 'data')
  while (!existsSync(join(cwd, 'p', '.tilestage-building'))) await setTimeout(20)
  const refused = await tilestage(args, { cwd })
  t.match(refused, { status: 1, stderr: `tilestage: Another build writes to ${join(cwd, 'p')} (process ` })
  let isStopped = false
  const waited = await tilestageProcess([...args, '--wait'], {
    cwd,
    onOutput(stdout) {
      if (stdout.includes('Another build') && !isStopped) isStopped = watching.kill()
    },
  })
  t.match(jsonLines(waited.stdout), [
    { event: 'opened', series: 1, frames: 3 },
    { event: 'warning', message: /^Another build writes to / },
  ])
  t.match(jsonLines(waited.stdout).at(-1), { event: 'done', frames: { used: 3 } })
})
