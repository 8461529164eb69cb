import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { bytesOfSamples, type Rect, type SampleType } from '../../src/plane.js'
import { levelSize } from '../../src/pyramid/mosaic-geometry.js'
import type { MosaicSelection, Pyramid } from '../../src/pyramid/pyramid.js'
import { openTilestagePyramid } from '../../src/pyramid/pyramid-store.js'
import { readRegion } from '../../src/pyramid/read-region.js'
import { build } from '../engine/build-for-test.js'
import { syntheticSource } from '../pyramid/synthetic-source.js'

const PYTHON = process.env.TILESTAGE_PYTHON ?? '/usr/bin/python3'
const PAGE = new URL('../../docs/pyramid-format.md', import.meta.url)

/** A part of one plane of one level. */
interface Part extends MosaicSelection {
  readonly level: number
  readonly rect: Rect
}

/** What the page's Python says of each part: its samples, then a byte for each that tells whether it is covered. */
async function readInPython(folder: string, parts: readonly Part[]): Promise<Buffer> {
  const blocks = [...readFileSync(PAGE, 'utf8').matchAll(/^```python\n(.*?)^```$/gms)].map(([, block]) => block)
  const asked = parts.map(({ level, rect: { x0, y0, x1, y1 }, channel, zPlane, timePoint }) => [
    ...[level, x0, y0, x1, y1],
    ...[channel, zPlane, timePoint],
  ])
  const script = `${blocks.join('\n')}
import sys
for part in json.loads(sys.argv[2]):
    sys.stdout.buffer.write(read(sys.argv[1], *part).tobytes() + covered(sys.argv[1], *part).tobytes())
`
  const args = ['-c', script, folder, JSON.stringify(asked)]
  const { stdout } = await promisify(execFile)(PYTHON, args, { encoding: 'buffer', maxBuffer: 2 ** 28 })
  return stdout
}

/** The same by our own reader. */
async function readHere(pyramid: Pyramid, parts: readonly Part[]): Promise<Buffer> {
  const bytes: Uint8Array[] = []
  for (const { level, rect, ...selection } of parts) {
    const { plane, mask } = await readRegion(pyramid, selection, level, rect)
    bytes.push(bytesOfSamples(plane.samples), mask ?? new Uint8Array(plane.samples.length).fill(1))
  }
  return Buffer.concat(bytes)
}

/** Every level of every plane as a whole, and a few rectangles that begin and end within tiles, and beyond the mosaic. */
function partsOf({ geometry, channels, zPlanes }: Pyramid): Part[] {
  const levels = Array.from({ length: geometry.levelCount }, (_, level) => {
    const { width, height } = levelSize(geometry, level)
    return { level, rect: { x0: 0, y0: 0, x1: width, y1: height } }
  })
  const pieces = [
    { level: 0, rect: { x0: 101, y0: 13, x1: 102, y1: 14 } },
    { level: 0, rect: { x0: 250, y0: 30, x1: 2301, y1: 99 } },
    { level: 1, rect: { x0: 1100, y0: 20, x1: 1400, y1: 300 } },
    { level: 2, rect: { x0: -7, y0: -130, x1: 20, y1: 40 } },
  ]
  return channels.flatMap((_, channel) =>
    Array.from({ length: zPlanes }, (_, zPlane) =>
      [...levels, ...pieces].map(part => ({ ...part, channel, zPlane, timePoint: 0 })),
    ).flat(),
  )
}

/** Two planes of overlapping frames and lonely ones: tiles between them are empty, and so is a whole shard. */
async function buildHoley(folder: string, sampleType: SampleType): Promise<Pyramid> {
  const places = [
    { xUm: 0, yUm: 0 },
    { xUm: 150, yUm: 31 },
    { xUm: 2200, yUm: 60 },
    { xUm: 300, yUm: 2190 },
  ]
  const frames = places.flatMap(place => [0, 1].map(plane => ({ ...place, channel: plane, zPlane: plane })))
  const source = syntheticSource({
    frames,
    frameSize: { width: 203, height: 117 },
    sampleType,
    sample: (frame, x, y) => {
      if (sampleType === 'float32' && x === 50 && y < 20) return Number.NaN
      return ((frame * 7919 + x * 31 + y * 517) % 60000) / (sampleType === 'float32' ? 7 : 1)
    },
  })
  await build([source], folder, { tileSize: 128 })
  return openTilestagePyramid(folder)
}

for (const sampleType of ['uint16', 'float32'] as const) {
  t.test(`the Python of the page reads every ${sampleType} sample, and what is covered, as we do`, async t => {
    const pyramid = await buildHoley(join(t.testdir(), 'plate'), sampleType)
    t.teardown(() => pyramid.close())
    t.same([pyramid.sampleType, pyramid.channels.length, pyramid.zPlanes], [sampleType, 2, 2])
    const parts = partsOf(pyramid)
    t.ok(parts.length > 4 * 5)
    const ours = await readHere(pyramid, parts)
    t.ok(ours.equals(await readInPython(pyramid.path, parts)))
  })
}

t.test('the Python of the page refuses damage', async t => {
  const pyramid = await buildHoley(join(t.testdir(), 'plate'), 'uint16')
  await pyramid.close()
  const part = { level: 0, rect: { x0: 0, y0: 0, x1: 9, y1: 9 }, channel: 0, zPlane: 0, timePoint: 0 }
  const shard = join(pyramid.path, '0/c/0/0/0/0/0')
  const bytes = readFileSync(shard)
  for (const place of [40, bytes.length - 10]) {
    const damaged = Buffer.from(bytes)
    damaged[place] ^= 1
    writeFileSync(shard, damaged)
    await t.rejects(readInPython(pyramid.path, [part]), /ValueError: A checksum is wrong/)
  }
})
