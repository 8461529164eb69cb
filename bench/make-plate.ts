import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { seededRandom } from '../test/seeded-random.js'
import { encodePzf } from './pzf-encoder.js'

export interface PlateOptions {
  readonly series: number
  readonly framesPerSeries: number
  /** Edge of a frame, px. */
  readonly edge: number
}

const PIXEL_UM = 0.325
const WELL_PITCH_UM = 9000
const OVERLAP = 0.15
const CYCLE_S = 0.1
const DARK = 100
/** Deviates drawn once and used from a random place on: noise costs an addition a sample. */
const DEVIATES = 2 ** 20

/**
 * Write a plate of PYME series: cells on a gradient with shot noise, 15 % overlap, stage jitter. The same options give
 * the same bytes.
 *
 * @returns the series' folders.
 */
export function makePlate(folder: string, { series, framesPerSeries, edge }: PlateOptions): string[] {
  const random = seededRandom(7)
  const normal = Float32Array.from(
    { length: DEVIATES },
    () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
  )
  const step = Math.floor(edge * (1 - OVERLAP)) * PIXEL_UM
  const columns = Math.ceil(Math.sqrt(framesPerSeries))
  return Array.from({ length: series }, (_, well) => {
    const [wellRow, wellColumn] = [Math.floor(well / 12), well % 12]
    const path = join(folder, `well_${String.fromCharCode(65 + wellRow)}${wellColumn + 1}.pcs`)
    const done = join(path, 'events.json')
    if (existsSync(done)) return path
    mkdirSync(path, { recursive: true })
    const metadata = {
      StartTime: 1000,
      'Camera.CycleTime': CYCLE_S,
      'Camera.ADOffset': DARK,
      'Protocol.DataStartsAt': 0,
      'voxelsize.x': PIXEL_UM,
      'voxelsize.y': PIXEL_UM,
    }
    writeFileSync(join(path, 'metadata.json'), JSON.stringify(metadata))
    const events: [string, string, number][] = []
    for (let frame = 0; frame < framesPerSeries; frame++) {
      const row = Math.floor(frame / columns)
      const column = row % 2 === 0 ? frame % columns : columns - 1 - (frame % columns)
      const xUm = wellColumn * WELL_PITCH_UM + column * step + random() - 0.5
      const yUm = wellRow * WELL_PITCH_UM + row * step + random() - 0.5
      const time = 1000 + (frame + 0.3) * CYCLE_S
      events.push(['ScannerXPos', xUm.toFixed(6), time], ['ScannerYPos', yUm.toFixed(6), time])
      writeFileSync(
        join(path, `frame${String(frame).padStart(5, '0')}.pzf`),
        encodePzf(expose(edge, random, normal), edge, edge, frame),
      )
    }
    // Written last, as PYME does: it says that the series is whole.
    writeFileSync(done, JSON.stringify(events))
    return path
  })
}

function expose(edge: number, random: () => number, normal: Float32Array): Uint16Array {
  const photons = new Float32Array(edge * edge)
  for (let y = 0; y < edge; y++)
    for (let x = 0; x < edge; x++) photons[y * edge + x] = 40 + (60 * x) / edge + (30 * y) / edge
  const cells = Math.round((edge * edge) / 6000)
  for (let cell = 0; cell < cells; cell++) {
    const [cx, cy, sigma, height] = [random() * edge, random() * edge, 2 + 6 * random(), 40 + 400 * random() ** 3]
    const reach = Math.ceil(3 * sigma)
    for (let y = Math.max(0, Math.floor(cy) - reach); y < Math.min(edge, cy + reach); y++) {
      for (let x = Math.max(0, Math.floor(cx) - reach); x < Math.min(edge, cx + reach); x++) {
        photons[y * edge + x] += height * Math.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * sigma * sigma))
      }
    }
  }
  const samples = new Uint16Array(edge * edge)
  let deviate = Math.floor(random() * DEVIATES)
  for (let i = 0; i < samples.length; i++) {
    samples[i] = Math.max(0, Math.round(DARK + photons[i] + Math.sqrt(photons[i]) * normal[deviate]))
    deviate = (deviate + 1) % DEVIATES
  }
  return samples
}
