/**
 * Does a frame cost the same in a plate of 100 and of 100,000, and is the memory bounded?
 * `npm run bench:scale -- [memory] [frames …]`
 *
 * Frames of 256² are made on demand in the workers; every build runs in a process of its own.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { account } from './account.js'

const BUILD = fileURLToPath(new URL('scale-build.js', import.meta.url))

const [memory = '300MiB', ...counts] = process.argv.slice(2)
const plates = counts.length > 0 ? counts.map(Number) : [100, 1000, 10_000, 100_000]

console.log(`memory ${memory}\n  frames   wall s    CPU s   µs CPU a frame   peak MB   files   output MB`)
for (const frames of plates) {
  const scratch = mkdtempSync(join(tmpdir(), 'tilestage-bench-scale-'))
  try {
    const { wallS, cpuS, rssMb } = account(BUILD, [join(scratch, 'plate'), String(frames), memory])
    const files = readdirSync(scratch, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
    const bytes = files.reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0)
    const cells = [
      String(frames).padStart(8),
      wallS.toFixed(2).padStart(9),
      cpuS.toFixed(2).padStart(9),
      ((1e6 * cpuS) / frames).toFixed(0).padStart(17),
      rssMb.toFixed(0).padStart(10),
      String(files.length).padStart(8),
      (bytes / 1e6).toFixed(0).padStart(12),
    ]
    console.log(cells.join(''))
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}
