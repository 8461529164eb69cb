// Builds the program and the benchmarks, and runs one of them: node scripts/bench.mjs NAME [arguments]
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const [name, ...args] = process.argv.slice(2)

function run(...command) {
  const { status } = spawnSync(process.execPath, command, { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}

run(join(root, 'scripts', 'build.mjs'))
await build({
  entryPoints: readdirSync(join(root, 'bench'))
    .filter(file => file.endsWith('.ts'))
    .map(file => join(root, 'bench', file)),
  outdir: join(root, 'dist'),
  entryNames: 'bench/[name]',
  // Beside the program's own modules: what they share finds worker threads and WebAssembly there.
  chunkNames: 'bench-[hash]',
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  packages: 'external',
  logLevel: 'error',
})
run(join(root, 'dist', 'bench', `${name}.js`), ...args)
