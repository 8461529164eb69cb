/**
 * Acts like a microscope: writes a series frame by frame, to be looked at while it grows.
 * `npm run bench:grow -- FOLDER.pcs [frames] [frames a second] [edge of a frame, px]`
 *
 * The stage moves (`events.json` is written anew and renamed), the camera exposes (the frame's file is written in one
 * go), and so on; `final_metadata.json` comes at the end.
 */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { exposeSeries, METADATA } from './make-plate.js'

/** Encoding a frame takes time that belongs to the program which is looked at: so few are encoded, and beforehand. */
const PICTURES = 32

const [folder, ...numbers] = process.argv.slice(2)
const [frames = 200, rate = 20, edge = 512] = numbers.map(Number)
if (!folder || !(frames > 0) || !(rate > 0) || !(edge > 0)) {
  console.error('npm run bench:grow -- FOLDER.pcs [frames] [frames a second] [edge of a frame, px]')
  process.exit(64)
}

const pictures = Array.from(exposeSeries(0, Math.min(frames, PICTURES), edge), ({ encode }) => encode())
mkdirSync(folder, { recursive: true })
writeFileSync(join(folder, 'metadata.json'), METADATA)

const started = performance.now()
const events: unknown[] = []
let written = 0
for (const { name, moves } of exposeSeries(0, frames, edge)) {
  events.push(...moves)
  replaceFile('events.json', JSON.stringify(events))
  writeFileSync(join(folder, name), pictures[written % pictures.length])
  written++
  if (written % Math.ceil(rate) === 0 || written === frames) console.log(`${written} of ${frames} frames`)
  // Counted from the start, so that a late frame does not make all others late.
  await setTimeout(started + (1000 * written) / rate - performance.now())
}
writeFileSync(join(folder, 'final_metadata.json'), METADATA)
console.log(`${folder} is complete`)

function replaceFile(name: string, text: string): void {
  const temporary = join(folder, `${name}.tmp`)
  writeFileSync(temporary, text)
  renameSync(temporary, join(folder, name))
}
