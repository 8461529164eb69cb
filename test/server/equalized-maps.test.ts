import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import t from 'tap'
import { equalizationOf } from '../../src/pyramid/equalization.js'
import { openPyramid } from '../../src/pyramid/open-pyramid.js'
import { cumulate, samplesUpTo } from '../../src/render/cumulative-histogram.js'
import { openDatastack } from '../../src/sources/datastack/open-datastack.js'
import { build } from '../engine/build-for-test.js'
import { unpackFixture } from '../unpack-fixture.js'
import { PAGE_FILES, startTestApp } from './test-app.js'

const fixtures = fileURLToPath(new URL('../fixtures/datastack/', import.meta.url))
const { histeq, elements } = JSON.parse(readFileSync(join(fixtures, 'truth.json'), 'utf8'))
const { viridis } = JSON.parse(readFileSync(join(fixtures, 'viridis256.json'), 'utf8'))

const TILE = 256

/** Of matplotlib's colours the nearest one. */
function nearestStep([red, green, blue]: Uint8Array): number {
  const distances = viridis.map(([r, g, b]: number[]) => Math.hypot(r - red, g - green, b - blue))
  return distances.indexOf(Math.min(...distances))
}

t.test('maps are equalized as by scikit-image, and coloured as by matplotlib', async t => {
  const folder = t.testdir({ page: PAGE_FILES })
  const path = join(folder, 'maps')
  const stack = unpackFixture(folder, 'datastack/v3_spec.datastack')
  const source = await openDatastack(stack, undefined, stack)
  await build([source], path)
  const pyramid = await openPyramid(path)
  const { app } = await startTestApp(t, { pyramids: [path] })
  for (const [channel, element] of elements.entries()) {
    const equalization = await equalizationOf(pyramid, channel)
    const { samples, width } = await source.readFrame(channel)
    const tiles = await Promise.all(
      [0, 1].map(async column => {
        const url = `/tiles/1/${column}/0.png?channel=${channel}&stretch=equalize&lut=viridis`
        const { rawPayload } = await app.inject(url)
        return await sharp(rawPayload).removeAlpha().raw().toBuffer()
      }),
    )
    for (const [place, expected] of Object.entries<number>(histeq[element].at)) {
      const [y, x] = place.split(',').map(Number)
      const equalized = samplesUpTo(cumulate(equalization), samples[y * width + x], false) / equalization.total
      t.ok(
        Math.abs(equalized - expected) < 1e-6,
        `${element} at ${place} is ${equalized}, and ${expected} by scikit-image`,
      )
      const at = 3 * (TILE * y + (x % TILE))
      const step = nearestStep(tiles[Math.floor(x / TILE)].subarray(at, at + 3))
      const steps = `step ${step}, and ${histeq[element].u8_at[place]} by matplotlib`
      t.ok(Math.abs(step - histeq[element].u8_at[place]) <= 1, `${element} at ${place} has the colour of ${steps}`)
    }
  }
})
