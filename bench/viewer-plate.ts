/** The plates of `bench/viewer.ts`: OUTPUT COLUMNS ROWS CHANNELS. Wells of 2 × 2 frames, far apart as on a real plate. */
import { buildPyramid } from '../src/engine/build-pyramid.js'
import { DEFAULT_SETTINGS } from '../src/pyramid/build-settings.js'
import { onDemandSource } from '../test/engine/on-demand-source.js'

const READER = new URL('../../test/engine/on-demand-reader.mjs', import.meta.url).href
const PLATE = { width: 500_000, height: 350_000 }
const [output, ...numbers] = process.argv.slice(2)
const [columns, rows, channels] = numbers.map(Number)
const EDGE = 512
/** 15 % overlap. */
const STEP = 435
const PIXEL_UM = 0.25

const wellEdge = EDGE + STEP
const pitch = {
  x: (PLATE.width - wellEdge) / (columns - 1),
  y: (PLATE.height - wellEdge) / (rows - 1),
}
const places = Array.from({ length: channels }, (_, channel) =>
  [0, 1].flatMap(row => [0, 1].map(column => ({ x: column * STEP, y: row * STEP, channel }))),
).flat()

const sources = Array.from({ length: columns * rows }, (_, i) => {
  const [column, row] = [i % columns, Math.floor(i / columns)]
  const source = onDemandSource({
    url: `/plate/${i}`,
    well: `${String.fromCharCode(65 + row)}${column + 1}`,
    pixelSizeUm: { x: PIXEL_UM, y: PIXEL_UM },
    channels: Array.from({ length: channels }, (_, channel) => ({ name: `Channel ${channel + 1}` })),
    frames: places.map(({ x, y, channel }) => ({
      channel,
      xUm: Math.round(column * pitch.x + x) * PIXEL_UM,
      yUm: Math.round(row * pitch.y + y) * PIXEL_UM,
    })),
    frameSize: { width: EDGE, height: EDGE },
  })
  return { ...source, reader: { module: READER, data: source.reader?.data } }
})
await buildPyramid({
  sources,
  ...{ output, overwrite: false, strict: true },
  settings: DEFAULT_SETTINGS,
  software: 'benchmark',
})
