import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, stat, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative, sep } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { CLI, type Finished, run } from '../run-cli.js'
import { unpackFixture } from '../unpack-fixture.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const MOST_PACKED_BYTES = 8e6

/** What may be in the package. */
const WANTED = [
  /^(package\.json|LICENSE|(README|CHANGELOG)\.md|src\/sources\/README\.md)$/,
  /^dist\/(?!bench[/-]).*\.(js|wasm|html|css|ttf|LICENSE)$/,
  /^(docs|examples)\/.*\.(md|webp|json|pzf|ipynb|mjs|html)$/,
]

interface Packed {
  readonly filename: string
  readonly size: number
  readonly files: readonly { readonly path: string }[]
}

let packed: Packed
/** Outside the clone: what is missing in the package must not be found in the clone's own packages. */
let home: string
let installed: string
/** The command of the installed package, and a folder with nothing but Node to find in it. */
let program: string
let bin: string

t.before(async () => {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'tilestage-package-')))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  home = join(folder, 'home')
  installed = join(home, 'node_modules/tilestage')
  program = join(home, 'node_modules/.bin/tilestage')
  bin = join(folder, 'bin')
  await Promise.all([mkdir(home), mkdir(bin)])
  await symlink(process.execPath, join(bin, 'node'))
  // dist/ is there already, and nobody's packages are to be touched: no scripts.
  const told = await npm(ROOT, 'pack', '--ignore-scripts', '--json', '--pack-destination', folder)
  packed = Object.values(JSON.parse(told) as Packed[])[0]
  const options = ['--prefix', home, '--ignore-scripts', '--omit=dev', '--prefer-offline', '--no-audit', '--no-fund']
  await npm(home, 'install', ...options, join(folder, packed.filename))
})

async function npm(cwd: string, ...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await run('npm', args, { cwd })
  if (status !== 0) throw new Error(`npm ${args[0]}: ${stderr}`)
  return stdout
}

function runInstalled(args: readonly string[]): Promise<Finished> {
  return run(program, args, { cwd: home, env: { PATH: bin } })
}

/** Paths of the files below a folder, as a package has them, with what tells of a change. */
async function filesBelow(folder: string): Promise<Map<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name))
  const facts = await Promise.all(files.map(file => stat(file)))
  return new Map(
    files.map((file, i) => [
      relative(folder, file).split(sep).join('/'),
      `${facts[i].size} bytes, ${facts[i].mtimeMs} ms`,
    ]),
  )
}

t.test('the package holds the built program, the sample plate and the pages, and nothing else', async t => {
  const paths = packed.files.map(({ path }) => path)
  t.same(
    paths.filter(path => !WANTED.some(pattern => pattern.test(path))),
    [],
  )
  const built = [...(await filesBelow(join(ROOT, 'dist'))).keys()].filter(path => !/^bench[/-]/.test(path))
  t.same(paths.filter(path => path.startsWith('dist/')).sort(), built.map(path => `dist/${path}`).sort())
  for (const path of ['LICENSE', 'README.md', 'docs/http-api.md', 'examples/plate/well_A1.pcs/frame00000.pzf']) {
    t.ok(paths.includes(path), path)
  }
  t.ok(packed.size < MOST_PACKED_BYTES, `${packed.size} bytes`)
})

t.test('nothing that comes with it compiles, runs a script, or is for development', async t => {
  const { packages } = JSON.parse(await readFile(join(home, 'node_modules/.package-lock.json'), 'utf8')) as {
    packages: Record<string, { hasInstallScript?: boolean }>
  }
  const places = Object.keys(packages)
  t.ok(places.includes('node_modules/fastify'))
  t.same(
    places.filter(place => packages[place].hasInstallScript || existsSync(join(home, place, 'binding.gyp'))),
    [],
  )
  const { devDependencies } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
  // Some come with a package that is needed.
  const lock = JSON.parse(await readFile(join(ROOT, 'package-lock.json'), 'utf8')).packages
  const development = Object.keys(devDependencies).filter(name => lock[`node_modules/${name}`].dev)
  t.ok(development.includes('tap'))
  const unwanted = ['node-gyp', ...development]
  t.same(
    unwanted.filter(name => places.some(place => place.endsWith(`node_modules/${name}`))),
    [],
  )
})

/** The page, the pages of the API, and tiles of our encoder and of sharp's. */
const ASKED = ['', 'viewer.js', 'viewer.css', 'docs', 'docs/swagger-ui.css', 'tiles/7/0/0.png', 'tiles/7/0/0.webp']

/** What the demo answers once its plate is built. */
async function askDemo(command: string, args: readonly string[], env: Record<string, string>): Promise<string[]> {
  let asking: Promise<string[]> | undefined
  const finished = await run(command, [...args, 'demo', '--port', '0'], {
    cwd: home,
    env,
    onOutput(stdout, child) {
      const url = /http:\/\/\S+/.exec(stdout)?.[0]
      if (url) asking ??= ask(url).finally(() => child.kill('SIGINT'))
    },
  })
  if (!asking || finished.status !== 0) throw new Error(`The demo ended with ${finished.status}: ${finished.stderr}`)
  return asking
}

async function ask(url: string): Promise<string[]> {
  for (;;) {
    const reply = await fetch(new URL('pyramids', url))
    const [pyramid] = ((await reply.json()) as { pyramids: { id: string; complete: boolean }[] }).pyramids
    if (pyramid.complete) {
      // A picture with a font in it, too.
      const crop = `pyramids/${pyramid.id}/crop.png?x=10050&y=20050&w=250&h=250&width=200&layers=0,0&labels=1`
      return Promise.all([...ASKED, crop].map(path => answerAt(path, url)))
    }
    await sleep(100)
  }
}

/** The status, the path that was asked for, and what tells whether two answers are the same. */
async function answerAt(path: string, url: string): Promise<string> {
  const reply = await fetch(new URL(path, url))
  const bytes = Buffer.from(await reply.arrayBuffer())
  return `${reply.status} ${path.split('/').at(-1)}: ${bytes.length} bytes, ${createHash('sha256').update(bytes).digest('hex')}`
}

t.test('installed elsewhere, its demo answers as that of the clone does, and writes nothing where it lies', async t => {
  const before = await filesBelow(installed)
  const [own, other] = await Promise.all([
    askDemo(process.execPath, [CLI], { XDG_CACHE_HOME: join(home, 'cache-of-clone') }),
    askDemo(program, [], { PATH: bin, XDG_CACHE_HOME: join(home, 'cache') }),
  ])
  t.ok(own.every(answer => answer.startsWith('200 ')))
  t.same(other, own)
  t.same(await filesBelow(installed), before)
})

t.test('installed elsewhere, it tells its version and reads HDF5 through a plugin', async t => {
  const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
  t.same(await runInstalled(['--version']), { status: 0, stdout: `${version}\n`, stderr: '' })
  const spool = unpackFixture(home, 'pyme/a1_blosc5.h5')
  const { status, stderr } = await runInstalled(['build', spool, '--output', 'spool'])
  t.match({ status, stderr }, { status: 0, stderr: /^3 frames, /m })
})
