import { existsSync, linkSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { seededRandom } from '../test/seeded-random.js'
import { encodePzf } from './pzf-encoder.js'

export interface PlateOptions {
  /** Up to a whole plate of 96 wells: A1 to A12, then the next row. */
  readonly series: number
  readonly framesPerSeries: number
  /** Edge of a frame, px. */
  readonly edge: number
  /** How many frames are different; further ones are links to their files, for plates larger than time and disk. All if left out. */
  readonly pictures?: number
}

const PIXEL_UM = 0.325
const WELL_PITCH_UM = 9000
const OVERLAP = 0.15
const CYCLE_S = 0.1
const DARK = 100
/** Deviates drawn once and used from a random place on: noise costs an addition a sample. */
const DEVIATES = 2 ** 20

/** Of every series. */
export const METADATA = JSON.stringify({
  StartTime: 1000,
  'Camera.CycleTime': CYCLE_S,
  'Camera.ADOffset': DARK,
  'Protocol.DataStartsAt': 0,
  'voxelsize.x': PIXEL_UM,
  'voxelsize.y': PIXEL_UM,
})

/** One exposure of a series, in the order of a microscope: the stage moves, then the camera exposes. */
export interface Exposure {
  /** `frame00000.pzf` and on. */
  readonly name: string
  /** Entries of `events.json`. */
  readonly moves: readonly (readonly [name: string, description: string, time: number])[]
  /** The bytes of the frame's file; to be called before the next exposure is asked for. */
  readonly encode: () => Buffer
}

/**
 * Write a plate of PYME series: cells on a gradient with shot noise, 15 % overlap, stage jitter. The same options give
 * the same bytes. Series that are there already are kept.
 *
 * @returns the series' folders.
 */
export function makePlate(folder: string, options: PlateOptions): string[] {
  const { series, framesPerSeries, edge, pictures = Number.POSITIVE_INFINITY } = options
  const folderOf = (well: number): string =>
    join(folder, `well_${String.fromCharCode(65 + Math.floor(well / 12))}${(well % 12) + 1}.pcs`)
  return Array.from({ length: series }, (_, well) => {
    const path = folderOf(well)
    const events = join(path, 'events.json')
    if (existsSync(events)) return path
    rmSync(path, { recursive: true, force: true })
    mkdirSync(path, { recursive: true })
    writeFileSync(join(path, 'metadata.json'), METADATA)
    const moves: Exposure['moves'][number][] = []
    let number = well * framesPerSeries
    for (const exposure of exposeSeries(well, framesPerSeries, edge)) {
      moves.push(...exposure.moves)
      const file = join(path, exposure.name)
      const picture = number % pictures
      if (picture === number) writeFileSync(file, exposure.encode())
      else linkSync(join(folderOf(Math.floor(picture / framesPerSeries)), frameName(picture % framesPerSeries)), file)
      number++
    }
    writeFileSync(join(path, 'final_metadata.json'), METADATA)
    // Written last, as PYME does: it says that the series is whole.
    writeFileSync(events, JSON.stringify(moves))
    return path
  })
}

/** The exposures of one well, row by row, back and forth. */
export function* exposeSeries(well: number, frames: number, edge: number): Generator<Exposure> {
  // A generator for each series: what is there already changes nothing about the others.
  const random = seededRandom(100 + well)
  const step = Math.floor(edge * (1 - OVERLAP)) * PIXEL_UM
  const columns = Math.ceil(Math.sqrt(frames))
  for (let frame = 0; frame < frames; frame++) {
    const row = Math.floor(frame / columns)
    const column = row % 2 === 0 ? frame % columns : columns - 1 - (frame % columns)
    const xUm = (well % 12) * WELL_PITCH_UM + column * step + random() - 0.5
    const yUm = Math.floor(well / 12) * WELL_PITCH_UM + row * step + random() - 0.5
    const time = 1000 + (frame + 0.3) * CYCLE_S
    yield {
      name: frameName(frame),
      moves: [
        ['ScannerXPos', xUm.toFixed(6), time],
        ['ScannerYPos', yUm.toFixed(6), time],
      ],
      encode: () => encodePzf(expose(edge, random), edge, edge, frame),
    }
  }
}

function frameName(frame: number): string {
  return `frame${String(frame).padStart(5, '0')}.pzf`
}

let deviates: Float32Array | undefined

function normalDeviates(): Float32Array {
  const random = seededRandom(7)
  deviates ??= Float32Array.from(
    { length: DEVIATES },
    () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
  )
  return deviates
}

function expose(edge: number, random: () => number): Uint16Array {
  const normal = normalDeviates()
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
    const counts = DARK + photons[i] + Math.sqrt(photons[i]) * normal[deviate]
    // Math.round, but several times as fast.
    samples[i] = counts > 0 ? (counts + 0.5) | 0 : 0
    deviate = (deviate + 1) & (DEVIATES - 1)
  }
  return samples
}
