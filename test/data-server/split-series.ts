import { copyFileSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Spread a series over two servers as a cluster does: frames in turn, metadata on the first, what is written last on the
 * second, and one frame on both.
 *
 * @param path of the series below the roots.
 */
export function splitSeries(folder: string, roots: readonly [string, string], path: string): void {
  const names = readdirSync(folder).sort()
  const frames = names.filter(name => name.endsWith('.pzf'))
  const onBoth = frames.at(-5)
  for (const root of roots) mkdirSync(join(root, path), { recursive: true })
  for (const name of names) {
    const home = name.endsWith('.pzf') ? frames.indexOf(name) % 2 : name === 'metadata.json' ? 0 : 1
    const homes = name === onBoth ? [0, 1] : [home]
    for (const each of homes) copyFileSync(join(folder, name), join(roots[each]!, path, name))
  }
}
