import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { brotliDecompressSync } from 'node:zlib'

const fixtures = new URL('./fixtures/', import.meta.url)

/**
 * Put a packed fixture into a folder of the test.
 *
 * @param name within the fixtures, without its `.br`.
 * @returns the path of the file.
 */
export function unpackFixture(folder: string, name: string): string {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, basename(name))
  writeFileSync(path, brotliDecompressSync(readFileSync(new URL(`${name}.br`, fixtures))))
  return path
}
