import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

/** Compare two pyramids byte by byte and say what differs; the exit status becomes 1 where a shard does. */
export function comparePyramids(one: string, other: string): void {
  const [expected, found] = [hashFiles(one), hashFiles(other)]
  const names = [...new Set([...expected.keys(), ...found.keys()])].sort()
  const different = names.filter(name => expected.get(name) !== found.get(name))
  const shards = names.filter(isShard)
  const wrong = different.filter(isShard)
  if (wrong.length > 0) process.exitCode = 1
  console.log(
    wrong.length === 0
      ? `${shards.length} of ${shards.length} shards and arrays are the same, byte for byte.`
      : `DIFFERENT: ${wrong.join(', ')}`,
  )
  const side = names.length - shards.length
  console.log(`Of ${side} side files ${different.length - wrong.length} differ: ${different.join(', ')}`)
  console.log('  (names of the series, stamps of their files, ids, times)')
}

/** Pixels and what describes them: all that is not about where they came from. */
function isShard(name: string): boolean {
  return name !== 'zarr.json' && !name.startsWith('tilestage/')
}

function hashFiles(folder: string): Map<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
  return new Map(
    files.map(entry => {
      const path = join(entry.parentPath, entry.name)
      return [relative(folder, path), createHash('sha256').update(readFileSync(path)).digest('hex')]
    }),
  )
}
