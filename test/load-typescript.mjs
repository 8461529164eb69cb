// esbuild makes one module of a test and all of ours that it imports: Node loads that many times faster than the files one
// by one. tap's own loader takes the files, and the whole TypeScript compiler in every test's process: that took longer than
// many a test. (.taprc tells it not to start.)
import { readFile } from 'node:fs/promises'
import { register } from 'node:module'
import { dirname } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { isMainThread } from 'node:worker_threads'
import { build } from 'esbuild'

// Node runs the two functions below in a thread of their own, where this module is loaded again.
if (isMainThread) register(import.meta.url)

/** What tests import later, or not at all, by the URL that it would have as a file beside the test. */
const parts = new Map()

export function resolve(specifier, { parentURL }, next) {
  const url = /^\.{1,2}\//.test(specifier) ? new URL(specifier, parentURL).href : undefined
  return parts.has(url) ? { url, shortCircuit: true } : next(specifier)
}

export async function load(url, context, next) {
  if (!parts.has(url) && !url.endsWith('.ts')) return next(url, context)
  return { format: 'module', source: parts.get(url) ?? (await bundle(fileURLToPath(url))), shortCircuit: true }
}

async function bundle(path) {
  const { outputFiles } = await build({
    entryPoints: [path],
    outdir: dirname(path),
    write: false,
    bundle: true,
    splitting: true,
    packages: 'external',
    plugins: [{ name: 'own-places', setup: keepOwnPlaces }],
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: 'inline',
    sourcesContent: false,
  })
  const [whole, ...later] = outputFiles
  for (const part of later) parts.set(pathToFileURL(part.path).href, part.contents)
  return whole.contents
}

/** Every file finds what lies beside it, though its code has moved. */
function keepOwnPlaces({ onLoad }) {
  onLoad({ filter: /\.ts$/ }, async ({ path }) => {
    const place = JSON.stringify(pathToFileURL(path).href)
    return { contents: (await readFile(path, 'utf8')).replaceAll('import.meta.url', place), loader: 'ts' }
  })
}
