/**
 * Does a whole plate take more memory than a row of it? `npm run bench:wells -- [memory] [frames per well]`
 *
 * Wells of 512² frames on a 9 mm lattice, through the command line; every build runs in a process of its own.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { account } from './account.js'
import { makePlate } from './make-plate.js'

const CLI = fileURLToPath(new URL('../cli.js', import.meta.url))
const WELLS = [12, 48, 96]
/** Frames that differ; the others are links to them. */
const PICTURES = 40

const [memory = '300MiB', framesPerSeries = '200'] = process.argv.slice(2)
const scratch = mkdtempSync(join(tmpdir(), 'tilestage-bench-wells-'))
try {
  const options = { framesPerSeries: Number(framesPerSeries), edge: 512, pictures: PICTURES }
  const folders = makePlate(join(scratch, 'plate'), { ...options, series: Math.max(...WELLS) })
  console.log(`memory ${memory}\n   wells   frames   wall s   µs CPU a frame   peak MB   files   output MB`)
  for (const wells of WELLS) {
    const output = join(scratch, 'out')
    const flags = ['--output', output, '--memory', memory, '--progress', 'json']
    const { wallS, cpuS, rssMb, stdout } = account(CLI, ['build', ...folders.slice(0, wells), ...flags])
    const { files, bytes } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as { files: number; bytes: number }
    const frames = wells * options.framesPerSeries
    const cells = [
      String(wells).padStart(8),
      String(frames).padStart(9),
      wallS.toFixed(1).padStart(9),
      ((1e6 * cpuS) / frames).toFixed(0).padStart(17),
      rssMb.toFixed(0).padStart(10),
      String(files).padStart(8),
      (bytes / 1e6).toFixed(0).padStart(12),
    ]
    console.log(cells.join(''))
    rmSync(output, { recursive: true })
  }
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
