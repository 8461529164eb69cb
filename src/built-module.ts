/**
 * Where a built file lies, by its path in `dist/`. Worker threads and WebAssembly run from there also when this module
 * itself runs from `src/`, as it does in tests.
 */
export function builtModule(path: string): URL {
  return packagedFile(`dist/${path}`)
}

/** Where a file of the package lies: this module is one folder below its root, in `src/` and in `dist/`. */
export function packagedFile(path: string): URL {
  return new URL(`../${path}`, import.meta.url)
}
