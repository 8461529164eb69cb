// esbuild turns TypeScript into what Node runs, a file at a time. tap's own loader does so too, but with the whole
// TypeScript compiler in every test's process: that took longer than many a test. (.taprc tells it not to start.)
import { readFile } from 'node:fs/promises'
import { register } from 'node:module'
import { fileURLToPath } from 'node:url'
import { isMainThread } from 'node:worker_threads'
import { transform } from 'esbuild'

// Node runs the two functions below in a thread of their own, where this module is loaded again.
if (isMainThread) register(import.meta.url)

/** `./module.js` in a TypeScript file means `./module.ts`, as for the compiler. */
export function resolve(specifier, context, next) {
  const isOurs = /^\.{1,2}\/.*\.js$/.test(specifier) && context.parentURL?.endsWith('.ts')
  return next(isOurs ? specifier.replace(/js$/, 'ts') : specifier, context)
}

export async function load(url, context, next) {
  if (!url.endsWith('.ts')) return next(url, context)
  const sourcefile = fileURLToPath(url)
  const source = await readFile(sourcefile)
  const { code } = await transform(source, { loader: 'ts', sourcefile, sourcemap: 'inline', target: 'node20' })
  return { format: 'module', source: code, shortCircuit: true }
}
