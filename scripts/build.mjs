// Bundle the program into dist/ and the page into dist/public/. Types are checked by `npm run check`.
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import asc from 'assemblyscript/asc'
import { build } from 'esbuild'
import { unpackWoff } from './unpack-woff.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const dist = join(root, 'dist')
/** Takes the place of dist/ when all of it is there: whoever runs from dist/ meanwhile sees one build or the other. */
const fresh = join(root, `dist.${process.pid}`)
const assets = join(fresh, 'public')

process.on('exit', () => rmSync(fresh, { recursive: true, force: true }))

const { error, stderr } = await asc.main([
  'kernels/index.ts',
  ...['--baseDir', root, '--outFile', join(fresh, 'kernels.wasm')],
  ...['-O3', '--noAssert', '--runtime', 'stub', '--enable', 'simd'],
])
if (error) {
  console.error(stderr.toString())
  process.exit(1)
}

// Node takes about a millisecond for each module that it loads: a few large ones start in half the time of three hundred.
// They lie side by side, so that `builtModule` finds its files from each of them.
await build({
  entryPoints: startedModules().map(path => join(root, 'src', path)),
  outbase: join(root, 'src'),
  outdir: fresh,
  bundle: true,
  splitting: true,
  keepNames: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  target: 'node20',
})
chmodSync(join(fresh, 'cli.js'), 0o755)

// Labels in pictures: the server may have no fonts at all. The licence goes where the font goes.
const inter = dirname(createRequire(import.meta.url).resolve('@fontsource/inter/package.json'))
const woff = readFileSync(join(inter, 'files/inter-latin-500-normal.woff'))
writeFileSync(join(fresh, 'render', 'inter-medium.ttf'), unpackWoff(woff))
copyFileSync(join(inter, 'LICENSE'), join(fresh, 'render', 'inter-medium.LICENSE'))

mkdirSync(assets, { recursive: true })
const { metafile } = await build({
  entryPoints: ['viewer.ts', 'viewer.css', 'grid/grid.ts', 'grid/grid.css'].map(name => join(root, 'public', name)),
  outdir: assets,
  entryNames: '[name]',
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  legalComments: 'linked',
  metafile: true,
})
// Whoever hands the page on hands these on: each asks for its licence to come along.
const bundled = new Set(
  Object.keys(metafile.inputs).flatMap(file => file.match(/.*node_modules\/(@[^/]+\/)?[^/]+/)?.[0] ?? []),
)
writeFileSync(join(assets, 'viewer.LICENSE'), [...bundled].sort().map(licenceOf).join('\n'))
for (const page of ['index.html', 'grid/grid.html'])
  copyFileSync(join(root, 'public', page), join(assets, basename(page)))
rmSync(dist, { recursive: true, force: true })
renameSync(fresh, dist)

/**
 * Modules that are loaded by their path in `dist/`, as `builtModule` gives it: the program, threads, and what reads frames
 * in a thread. And the errors, which readers that are not ours throw.
 */
function startedModules() {
  const sources = readdirSync(join(root, 'src'), { recursive: true }).filter(name => name.endsWith('.ts'))
  const texts = sources.map(name => readFileSync(join(root, 'src', name), 'utf8'))
  const named = texts.flatMap(text => [...text.matchAll(/builtModule\('(.+)\.js'\)/g)].map(([, path]) => `${path}.ts`))
  return ['errors.ts', ...named]
}

/** What a package says of its licence, below its name. */
function licenceOf(folder) {
  const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const file = readdirSync(folder).find(entry => /^licen[cs]e/i.test(entry))
  return `${name} ${version}\n\n${readFileSync(join(folder, file), 'utf8')}`
}
