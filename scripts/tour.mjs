// The page with everything that it can do: npm run tour
//
// Serves the sample plate, and cells in four channels, five z-planes and three time points, which are made on the fly; and
// opens the page in a browser, with something in every panel. With --screenshots, the pictures of docs/viewer.md are taken
// instead.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { openBrowser } from '../src/commands/serve.ts'
import { buildPyramid } from '../src/engine/build-pyramid.ts'
import { DEFAULT_SETTINGS } from '../src/pyramid/build-settings.ts'
import { cellsSources } from './tour-cells.mjs'
import { takeShots } from './tour-shots.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const CLI = join(root, 'dist', 'cli.js')
/** Places of the sample plate that are marked, stage µm. */
const POINTS = [
  { x: 10082, y: 20160.5, name: 'bright spot' },
  { x: 10128, y: 20277, name: 'pair' },
  { x: 10240.5, y: 20229.5, name: 'to look at again' },
]
/** Outlines, a length and a region, as a link has them. */
const MEASURED = [
  'x=10186&y=20186&um=0.446',
  'layers=outlines,points,measurements',
  'm=length:10110,20125;10272,20196:Across',
  'm=region:10200,20240;10290,20320:Field',
].join('&')

const { values } = parseArgs({ options: { screenshots: { type: 'boolean', default: false } } })
const folder = mkdtempSync(join(tmpdir(), 'tilestage-tour-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
// Ctrl-C ends the server, and after it this.
process.on('SIGINT', () => undefined)

const [plate, cells] = ['plate', 'cells'].map(name => join(folder, name))
const series = ['A1', 'A2', 'B1'].map(well => join(root, 'examples', 'plate', `well_${well}.pcs`))
const built = spawnSync(process.execPath, [CLI, 'build', ...series, '--output', plate], { stdio: 'inherit' })
if (built.status !== 0) process.exit(built.status ?? 1)
await buildPyramid({
  sources: cellsSources(),
  settings: { ...DEFAULT_SETTINGS, join: { kind: 'time' } },
  ...{ output: cells, overwrite: false, strict: true, software: 'tilestage tour' },
})

const server = spawn(process.execPath, [CLI, 'serve', plate, cells, '--port', '0'], {
  stdio: ['inherit', 'pipe', 'inherit'],
  // The points are gone with the pyramids.
  env: { ...process.env, XDG_STATE_HOME: folder },
})
const [url] = await once(createInterface({ input: server.stdout }), 'line')
const { pyramids } = await (await fetch(new URL('pyramids', url))).json()
const idOf = name => pyramids.find(pyramid => pyramid.name === name).id
const pageOf = name => `${url}?pyramid=${idOf(name)}`
await fetch(new URL(`pyramids/${idOf('plate')}/rois`, url), {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify(POINTS),
})

if (values.screenshots) {
  const shots = join(root, 'docs', 'viewer')
  mkdirSync(shots, { recursive: true })
  try {
    await takeShots(pageOf, MEASURED, shots)
  } finally {
    server.kill('SIGINT')
  }
} else {
  const filled = `${pageOf('plate')}#${MEASURED}`
  console.log(`The sample plate: ${filled}\nFour channels, z and time: ${pageOf('cells')}`)
  openBrowser(filled, process)
}
const [status] = await once(server, 'exit')
process.exit(status ?? 0)
