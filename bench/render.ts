/**
 * What does a cold tile cost, from its samples to a lossless PNG, and how large is it? `npm run bench:render -- [runs]`
 */
import { cpus } from 'node:os'
import sharp from 'sharp'
import { drawPicture } from '../src/render/draw-picture.js'
import { withAlpha } from '../src/render/raster.js'
import { shade } from '../src/render/shade.js'
import type { LayerStyle } from '../src/render/style.js'
import { decodePzf } from '../src/sources/pyme/pzf.js'
import { exposeSeries } from './make-plate.js'

const TILE = 256
const FRAME = 4 * TILE
const FRAMES = 3
/** A run draws all tiles so often, so that the clock's steps do not count. */
const ROUNDS = 5

const runs = Number(process.argv[2] ?? 7)

interface Tile {
  readonly samples: Uint16Array
  readonly mask: Uint8Array | undefined
}

interface Encoder {
  readonly name: string
  encode(tile: Tile, style: LayerStyle): Promise<Uint8Array>
}

const NARROW: LayerStyle = { black: 120, white: 500, gamma: 1, stretch: 'linear', colours: 'grey', inverted: false }
const WIDE: LayerStyle = { ...NARROW, black: 0, white: 4000 }

function halve(samples: Uint16Array, width: number): Uint16Array {
  const half = width / 2
  return Uint16Array.from({ length: half * half }, (_, i) => {
    const at = 2 * width * Math.floor(i / half) + 2 * (i % half)
    return Math.round((samples[at] + samples[at + 1] + samples[at + width] + samples[at + width + 1]) / 4)
  })
}

function cutTiles(samples: Uint16Array, width: number): Tile[] {
  const columns = width / TILE
  return Array.from({ length: columns * columns }, (_, i) => {
    const start = TILE * (width * Math.floor(i / columns) + (i % columns))
    const tile = new Uint16Array(TILE * TILE)
    for (let y = 0; y < TILE; y++) tile.set(samples.subarray(start + y * width, start + y * width + TILE), y * TILE)
    return { samples: tile, mask: undefined }
  })
}

/** What a tile at the edge of a round well looks like. */
function cover(tile: Tile): Tile {
  const mask = Uint8Array.from({ length: TILE * TILE }, (_, i) => Number(i % TILE < i / TILE))
  return { samples: tile.samples.map((value, i) => value * mask[i]), mask }
}

const levels: Tile[][] = [[], [], []]
for (const { encode } of exposeSeries(0, FRAMES, FRAME)) {
  let samples = decodePzf(encode(), 'frame').samples as Uint16Array
  for (const [level, tiles] of levels.entries()) {
    tiles.push(...cutTiles(samples, FRAME >> level))
    samples = halve(samples, FRAME >> level)
  }
}

const works: readonly { readonly name: string; readonly tiles: readonly Tile[]; readonly style: LayerStyle }[] = [
  ...levels.map((tiles, level) => ({ name: `level ${level}`, tiles: tiles.slice(0, 12), style: NARROW })),
  { name: 'level 0, wide window', tiles: levels[0].slice(0, 12), style: WIDE },
  { name: 'level 1, half covered', tiles: levels[1].map(cover), style: NARROW },
]

const own: Encoder = {
  name: 'tilestage',
  encode: (tile, style) => drawPicture({ width: TILE, height: TILE, layers: [{ ...tile, style }], format: 'png' }),
}

/** The same shading, and then the image library. */
function sharpAt(compressionLevel: number): Encoder {
  return {
    name: `sharp, level ${compressionLevel}`,
    encode: ({ samples, mask }, style) => {
      const { steps } = shade(samples, mask, style)
      const channels = mask ? 2 : 1
      const pixels = mask ? withAlpha(steps, 1, mask) : steps
      return sharp(pixels, { raw: { width: TILE, height: TILE, channels } })
        .toColourspace('b-w')
        .png({ compressionLevel })
        .toBuffer()
    },
  }
}

/** Grey as the image library reads it, for a look whether a PNG shows what it should. */
async function decode(png: Uint8Array): Promise<Buffer> {
  return sharp(png).ensureAlpha().toColourspace('srgb').raw().toBuffer()
}

/** Milliseconds of the processor's time for a tile, all threads together: others may be using the machine. */
async function time({ encode }: Encoder, tiles: readonly Tile[], style: LayerStyle): Promise<number> {
  const started = process.cpuUsage()
  for (let round = 0; round < ROUNDS; round++) for (const tile of tiles) await encode(tile, style)
  const { user, system } = process.cpuUsage(started)
  return (user + system) / 1000 / ROUNDS / tiles.length
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]

const encoders = [own, sharpAt(1), sharpAt(3)]
console.log(`Tiles of ${TILE}² uint16, shaded and encoded as 8-bit PNG, with ${cpus()[0]?.model.trim()}`)
console.log(`Medians of ${runs} runs: CPU time, bytes, and both as shares of sharp's at level 1\n`)
for (const { name, tiles, style } of works) {
  // A wrong answer is no measurement.
  for (const tile of tiles) {
    const [found, expected] = await Promise.all(
      [own, encoders[1]].map(async one => decode(await one.encode(tile, style))),
    )
    const visible = tile.mask ?? new Uint8Array(TILE * TILE).fill(1)
    for (let i = 0; i < visible.length; i++) {
      if (found[4 * i + 3] !== 255 * visible[i] || (visible[i] && found[4 * i] !== expected[4 * i]))
        throw new Error(`${name}: pixel ${i} differs`)
    }
  }
  for (const encoder of encoders) await time(encoder, tiles, style)
  const times: number[][] = encoders.map(() => [])
  for (let run = 0; run < runs; run++) {
    for (const [i, encoder] of encoders.entries()) times[i].push(await time(encoder, tiles, style))
  }
  const bytes = await Promise.all(
    encoders.map(async ({ encode }) =>
      median(await Promise.all(tiles.map(async tile => (await encode(tile, style)).length))),
    ),
  )
  console.log(name)
  for (const [i, encoder] of encoders.entries()) {
    const ratio = median(times[i].map((ms, run) => ms / times[1][run]))
    console.log(
      `  ${encoder.name.padEnd(16)} ${median(times[i]).toFixed(2)} ms ${(bytes[i] / 1000).toFixed(1).padStart(6)} kB` +
        `   × ${ratio.toFixed(2)}  × ${(bytes[i] / bytes[1]).toFixed(2)}`,
    )
  }
}
