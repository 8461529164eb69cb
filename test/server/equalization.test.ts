import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { equalizationOf } from '../../src/pyramid/equalization.js'
import { openPyramid } from '../../src/pyramid/open-pyramid.js'
import type { Pyramid } from '../../src/pyramid/pyramid.js'
import { ServedPyramid } from '../../src/server/pyramids/served-pyramid.js'
import { readPictureStyle } from '../../src/server/tiles/picture-style.js'
import { build } from '../engine/build-for-test.js'
import { type SyntheticFrame, syntheticSource } from '../pyramid/synthetic-source.js'

const EDGE = 600

/** How a pyramid is read, and a gate before each tile. */
interface Reads {
  readonly tiles: string[]
  readonly channels: Set<number>
  mostChannels: number
  gate: Promise<void>
}

/** A pyramid of floats, of which every tile that is read is written down. */
async function openWatched(t: Test, frames: readonly SyntheticFrame[]): Promise<{ pyramid: Pyramid; reads: Reads }> {
  const output = join(t.testdir(), 'plate')
  const sample = (frame: number, x: number, y: number): number => Math.fround((frame + 1) * Math.sqrt(EDGE * y + x))
  const frameSize = { width: EDGE, height: EDGE }
  await build([syntheticSource({ frames, frameSize, sample, sampleType: 'float32' })], output)
  const pyramid = await openPyramid(output)
  t.teardown(() => pyramid.close())
  const reads: Reads = { tiles: [], channels: new Set(), mostChannels: 0, gate: Promise.resolve() }
  const readTile = pyramid.readTile.bind(pyramid)
  pyramid.readTile = async (selection, address, options) => {
    const { channel } = selection
    reads.channels.add(channel)
    reads.mostChannels = Math.max(reads.mostChannels, reads.channels.size)
    reads.tiles.push(`${channel}/${address.level}/${address.column}/${address.row}`)
    await reads.gate
    const tile = await readTile(selection, address, options)
    reads.channels.delete(channel)
    return tile
  }
  return { pyramid, reads }
}

const TILES_OF_A_FRAME = 9

t.test('a channel is counted once for all who ask, and one channel at a time', async t => {
  const frames = [0, 1, 2].map(channel => ({ xUm: 0, yUm: 0, channel }))
  const { pyramid, reads } = await openWatched(t, frames)
  const served = new ServedPyramid(pyramid, '', [], true)
  const asked = [0, 1, 2, 0, 1, 2, 0].map(channel => served.equalization(channel))
  const [first, second, , again] = await Promise.all(asked)
  t.equal(first, again)
  t.not(first, second)
  t.match(first, { total: EDGE * EDGE, min: 0 })
  t.equal(reads.tiles.length, 3 * TILES_OF_A_FRAME)
  t.equal(reads.mostChannels, 1)
  t.equal(await served.equalization(0), first)
  await readPictureStyle({ channel: '0,1,2', stretch: 'equalize' }, served)
  t.equal(reads.tiles.length, 3 * TILES_OF_A_FRAME, 'what was counted is known')
})

t.test('a count goes on while somebody waits, and is given up when nobody does', async t => {
  const { pyramid, reads } = await openWatched(t, [{ xUm: 0, yUm: 0 }])
  const served = new ServedPyramid(pyramid, '', [], true)
  let open = (): void => {}
  const close = (): void => {
    reads.gate = new Promise(resolve => {
      open = resolve
    })
  }
  close()
  const leaving = [new AbortController(), new AbortController()]
  const [left, stayed] = leaving.map(({ signal }) => served.equalization(0, signal))
  await nextTurn()
  leaving[0].abort()
  await t.rejects(left, { name: 'AbortError' })
  open()
  t.match(await stayed, { total: EDGE * EDGE })

  const anew = new ServedPyramid(pyramid, '', [], true)
  close()
  reads.tiles.length = 0
  const alone = new AbortController()
  const given = readPictureStyle({ stretch: 'equalize' }, anew, alone.signal)
  while (reads.tiles.length === 0) await nextTurn()
  alone.abort()
  await t.rejects(given, { name: 'AbortError' })
  open()
  t.match(await anew.equalization(0), { total: EDGE * EDGE }, 'who asks later gets it')
  t.ok(reads.tiles.length < 2 * TILES_OF_A_FRAME, 'the first count did not go on')
})

t.test('a failure is not kept', async t => {
  const { pyramid, reads } = await openWatched(t, [{ xUm: 0, yUm: 0 }])
  const served = new ServedPyramid(pyramid, '', [], true)
  reads.gate = Promise.reject(new Error('no such disk'))
  await t.rejects(served.equalization(0), { message: 'no such disk' })
  reads.gate = Promise.resolve()
  t.match(await served.equalization(0), { total: EDGE * EDGE })
})

t.test('while a channel grows it is counted again when it has a quarter more', async t => {
  const { pyramid, reads } = await openWatched(t, [{ xUm: 0, yUm: 0 }])
  const histogram = await pyramid.histogram(0)
  let { total } = histogram
  pyramid.histogram = async () => ({ ...histogram, total })
  const served = new ServedPyramid(pyramid, '', [], true)
  const countsAt = async (share: number): Promise<number> => {
    total = Math.round(share * histogram.total)
    reads.tiles.length = 0
    await served.equalization(0)
    return reads.tiles.length / TILES_OF_A_FRAME
  }
  t.same([await countsAt(0.5), await countsAt(0.6), await countsAt(0.63), await countsAt(0.7)], [1, 0, 1, 0])
  t.equal(await countsAt(0.1), 1, 'it began anew')
})

t.test('a large channel is counted at the finest level that has 67 million pixels', async t => {
  const far = { xUm: 20_000, yUm: 20_000 }
  const { pyramid, reads } = await openWatched(t, [{ xUm: 0, yUm: 0 }, far])
  const { total } = await equalizationOf(pyramid, 0)
  t.same([...new Set(reads.tiles.map(tile => tile.split('/')[1]))], ['2'])
  t.equal(total, (2 * EDGE * EDGE) / 4 ** 2)
})
