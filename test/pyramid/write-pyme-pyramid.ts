import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

export interface PymePyramidPlan {
  readonly tileSize: number
  /** Columns and rows of the level-0 tiles that exist. */
  readonly tiles: readonly (readonly [column: number, row: number])[]
  /** Sample at a pixel of level 0. */
  readonly value: (x: number, y: number) => number
  readonly naming?: 'new' | 'legacy'
  /** What the tiles are: float32 PZF, or float64 numpy arrays. */
  readonly extension?: '.pzf' | '.npy'
  /** Replaces or adds keys of metadata.json. */
  readonly metadata?: Readonly<Record<string, unknown>>
}

type Tile = Float64Array

const pad = (index: number): string => String(index).padStart(3, '0')

/** Where PYME keeps a tile. */
export function tileFile(
  folder: string,
  level: number,
  column: number,
  row: number,
  naming: 'new' | 'legacy' = 'new',
  extension = '.pzf',
): string {
  const name = naming === 'new' ? join('000', pad(column), pad(row)) : join(pad(column), `${pad(column)}_${pad(row)}`)
  return join(folder, String(level), `${name}_img${extension}`)
}

/**
 * Write a pyramid as PYME does: raw float32 PZF tiles or float64 numpy tiles, each level the mean of 2 × 2 samples of the one below (missing
 * tiles count as 0), up to the level of a single tile.
 */
export async function writePymePyramid(folder: string, plan: PymePyramidPlan): Promise<void> {
  const { tileSize, tiles, value, naming = 'new', extension = '.pzf' } = plan
  let level = new Map<string, Tile>()
  for (const [column, row] of tiles) {
    const samples = new Float64Array(tileSize * tileSize)
    for (let y = 0; y < tileSize; y++) {
      for (let x = 0; x < tileSize; x++) samples[y * tileSize + x] = value(column * tileSize + x, row * tileSize + y)
    }
    level.set(`${column},${row}`, samples)
  }
  let depth = 0
  for (; ; depth++) {
    for (const [key, samples] of level) {
      const [column, row] = key.split(',').map(Number)
      const file = tileFile(folder, depth, column, row, naming, extension)
      await mkdir(dirname(file), { recursive: true })
      await writeFile(
        file,
        extension === '.npy'
          ? composeNpy(columnsOf(samples, tileSize), [tileSize, tileSize])
          : composeTile(samples, tileSize),
      )
    }
    // PYME makes one level more than a single tile needs.
    if (level.size === 1 && depth > 0) break
    level = halveLevel(level, tileSize)
  }
  const columns = Math.max(...tiles.map(([column]) => column))
  const rows = Math.max(...tiles.map(([, row]) => row))
  const metadata = {
    'Pyramid.Backend': 'PZFTileIO',
    'Pyramid.Depth': depth,
    ...(naming === 'new' && { 'Pyramid.KeySchema': '{level:d}/{z:03d}/{x:03d}/{y:03d}_{suff}{ext}' }),
    'Pyramid.NTilesX': columns,
    'Pyramid.NTilesY': rows,
    'Pyramid.PixelSize': 0.325,
    'Pyramid.PixelsX': columns * tileSize,
    'Pyramid.PixelsY': rows * tileSize,
    'Pyramid.TileSize': tileSize,
    'Pyramid.x0': 10019.5,
    'Pyramid.y0': -20.25,
    ...plan.metadata,
  }
  await writeFile(join(folder, 'metadata.json'), JSON.stringify(metadata))
}

function halveLevel(level: ReadonlyMap<string, Tile>, tileSize: number): Map<string, Tile> {
  const coarser = new Map<string, Tile>()
  const half = tileSize / 2
  for (const [key, samples] of level) {
    const [column, row] = key.split(',').map(Number)
    const parentKey = `${column >> 1},${row >> 1}`
    const parent = coarser.get(parentKey) ?? new Float64Array(tileSize * tileSize)
    coarser.set(parentKey, parent)
    for (let y = 0; y < half; y++) {
      for (let x = 0; x < half; x++) {
        const at = 2 * y * tileSize + 2 * x
        const mean = (samples[at] + samples[at + 1] + samples[at + tileSize] + samples[at + tileSize + 1]) * 0.25
        parent[((row & 1) * half + y) * tileSize + (column & 1) * half + x] = mean
      }
    }
  }
  return coarser
}

/** A PZF file of version 3, float32, not compressed, x as the first axis. */
function composeTile(samples: Tile, tileSize: number): Buffer {
  const header = Buffer.alloc(64)
  header.write('BD')
  header.set([3, 2, 0, 0], 2)
  header.write('C', 6)
  header.writeUInt32LE(tileSize, 20)
  header.writeUInt32LE(tileSize, 24)
  header.writeUInt32LE(1, 28)
  header.writeUInt32LE(64, 48)
  return Buffer.concat([header, Buffer.from(Float32Array.from(columnsOf(samples, tileSize)).buffer)])
}

/** A numpy file of version 1. */
export function composeNpy(values: Float64Array | Float32Array, shape: readonly number[], fortran = false): Buffer {
  const type = values instanceof Float64Array ? '<f8' : '<f4'
  const order = fortran ? 'True' : 'False'
  const text = `{'descr': '${type}', 'fortran_order': ${order}, 'shape': (${shape.join(', ')}), }`
  const header = Buffer.alloc(128, ' ')
  header.write('\x93NUMPY\x01\x00\x76\x00', 'latin1')
  header.write(text, 10)
  header.write('\n', 127)
  return Buffer.concat([header, Buffer.from(values.buffer)])
}

/** Columns one after the other, as PYME's arrays have x as their first axis. */
function columnsOf(samples: Tile, tileSize: number): Tile {
  return samples.map((_, i) => samples[(i % tileSize) * tileSize + Math.floor(i / tileSize)])
}
