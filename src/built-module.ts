/**
 * Where a built file lies, by its path in `dist/`. Worker threads and WebAssembly run from there also when this module
 * itself runs from `src/`, as it does in tests.
 */
export function builtModule(path: string): URL {
  return new URL(`../dist/${path}`, import.meta.url)
}
