/** One build of `bench/scale.ts`: OUTPUT FRAMES MEMORY. */
import { buildPyramid } from '../src/engine/build-pyramid.js'
import { DEFAULT_SETTINGS } from '../src/pyramid/build-settings.js'
import { onDemandSource, rasterPositions } from '../test/engine/on-demand-source.js'

const EDGE = 256
/** 15 % overlap. */
const STEP = 218
const READER = new URL('../../test/engine/on-demand-reader.mjs', import.meta.url).href

/** What the reader makes its frames from, and the copy that it is made in. */
const NOISE_BYTES = 20 * 2 ** 20

const [output, frames, memory] = process.argv.slice(2)
const count = Number(frames)
const source = onDemandSource({
  frames: rasterPositions(count, Math.ceil(Math.sqrt(count)), STEP),
  frameSize: { width: EDGE, height: EDGE },
})
await buildPyramid({
  sources: [{ ...source, reader: { module: READER, data: source.reader?.data, heldBytes: NOISE_BYTES } }],
  ...{ output, overwrite: false, strict: true },
  settings: DEFAULT_SETTINGS,
  software: 'benchmark',
  memoryBytes: Number.parseInt(memory, 10) * 2 ** 20,
})
