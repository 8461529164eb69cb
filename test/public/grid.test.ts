import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import t, { type Test } from 'tap'
import { styleOfPhoto } from '../../public/grid/cell-style.js'
import { columnsFor } from '../../public/grid/grid-columns.js'
import type { ChannelInfo } from '../../public/server/pyramid-api.js'
import { groupsOf } from '../../src/render/channel-groups.js'
import { COLOUR_TABLES } from '../../src/render/colour-maps.js'
import { cumulate, samplesUpTo } from '../../src/render/cumulative-histogram.js'
import { build } from '../engine/build-for-test.js'
import { syntheticSource } from '../pyramid/synthetic-source.js'
import { launchBrowser, type OpenPage, openPage, pageBundle } from './browser.js'
import { servePage } from './page-server.js'

/** Eleven maps of 320 × 240 px, each with a disc at a place of its own on a ramp. */
const ELEMENTS = ['S', 'Cl', 'K', 'Ca', 'Ba', 'Ti', 'Mn', 'Fe', 'Cu', 'Zn', 'Pb']
const SIZE = { width: 320, height: 240 }
const valueAt = (map: number, x: number, y: number): number => {
  const isInDisc = Math.hypot(x - 40 - 24 * map, y - 120) < 15
  return Math.fround((map + 1) * (isInDisc ? 3 : 0.5 + x / 640 + y / 4800))
}

const folder = t.testdir()
const path = join(folder, 'maps')
await build(
  [
    syntheticSource({
      url: 'maps',
      frames: ELEMENTS.map((_, channel) => ({ xUm: 0, yUm: 0, channel })),
      frameSize: SIZE,
      sampleType: 'float32',
      sample: valueAt,
      channels: ELEMENTS.map((name, i) => ({ name, unit: 'cps', active: i === 0 })),
      isUncalibrated: true,
    }),
  ],
  path,
)
const browser = await launchBrowser()
const server = await servePage(await pageBundle(), [path])
t.teardown(async () => {
  await browser.close()
  await server.close()
})

const WINDOW = { viewport: { width: 1200, height: 800 }, deviceScaleFactor: 1 }

async function openGrid(t: Test, query = ''): Promise<OpenPage> {
  const opened = await openPage(browser, `${server.url}grid.html${query}`, WINDOW)
  t.teardown(() => opened.leave())
  await isReady(opened)
  return opened
}

async function isReady({ page }: OpenPage): Promise<void> {
  await page.waitForFunction(() => document.documentElement.dataset.ready === '1')
}

/** The middle pixels of what a map shows. */
function pixelsOf({ page }: OpenPage, map: number): Promise<number[]> {
  return page.evaluate(i => {
    const canvas = document.querySelectorAll<HTMLCanvasElement>('.cell-picture canvas')[i] as HTMLCanvasElement
    const { width, height } = canvas
    return [...(canvas.getContext('2d')?.getImageData(Math.floor(width / 2), Math.floor(height / 2), 1, 1).data ?? [])]
  }, map)
}

/** What a map shows once that is something else. */
async function recoloured(opened: OpenPage, map: number, before: readonly number[]): Promise<number[]> {
  for (;;) {
    const now = await pixelsOf(opened, map)
    if (!isDeepStrictEqual(now, before)) return now
  }
}

t.test('maps lie in the columns in which they are largest', async t => {
  t.equal(columnsFor(11, 4 / 3, 1200, 720), 4)
  t.equal(columnsFor(1, 2, 1200, 720), 1)
  t.equal(columnsFor(11, 4 / 3, 390, 700), 2, 'on a phone they are as wide as they may, and the page scrolls')
})

t.test('a photo among maps is one map', async t => {
  const window = { black: 0, white: 200 }
  const channel = (name: string, color: string | null = null): ChannelInfo => ({ name, color, window })
  const photo = [channel('Photo Red', 'ff0000'), channel('Photo Green', '00ff00'), channel('Photo Blue', '0000ff')]
  t.same(groupsOf([channel('Fe'), ...photo, channel('Pb')]), [
    { title: 'Fe', channels: [0] },
    { title: 'Photo', channels: [1, 2, 3] },
    { title: 'Pb', channels: [4] },
  ])
  t.same(groupsOf([channel('R', 'ff0000'), channel('G', '00ff00')]).length, 2)
  const [dapi, gfp, cy5] = [channel('DAPI', 'ff0000'), channel('GFP', '00ff00'), channel('Cy5', '0000ff')]
  t.same(groupsOf([dapi, gfp, cy5]).length, 3, 'stains that are shown in these colours are no photo')
  t.same(groupsOf([channel('Photo'), ...photo]).length, 4, 'titles stay different')
  t.match(styleOfPhoto(photo[0] as ChannelInfo), { black: 0, white: 255, colours: '#ff0000' })
})

t.test('all channels stand side by side, and a view of one is the view of all', async t => {
  const opened = await openGrid(t)
  const { page, errors } = opened
  t.same(await page.locator('.cell-style').allTextContents(), ELEMENTS)
  t.match(await page.textContent('.facts'), /^11 maps · 320 × 240.px$/)
  const grid = (): Promise<{ centerUm: { x: number; y: number }; umPerPx: number }[]> =>
    page.evaluate(() => (window as unknown as { tilestageGrid: { views(): never } }).tilestageGrid.views())
  const [before] = await grid()
  await page
    .locator('.cell-picture')
    .nth(7)
    .hover({ position: { x: 100, y: 60 } })
  await page.mouse.wheel(0, -400)
  await page.keyboard.press('ArrowRight')
  await isReady(opened)
  const views = await grid()
  t.equal(views.length, 11)
  t.ok(views[0]!.umPerPx < before!.umPerPx / 1.5)
  for (const view of views) t.same(view, views[0])
  await page.setViewportSize({ width: 900, height: 700 })
  await isReady(opened)
  const [after] = await grid()
  t.ok(Math.hypot(after!.centerUm.x - views[0]!.centerUm.x, after!.centerUm.y - views[0]!.centerUm.y) < 1e-9)
  t.same(errors, [])
})

t.test('the crosshair is at one place in all maps, with what each has there', async t => {
  const opened = await openGrid(t)
  const { page } = opened
  const box = (await page.locator('.cell-picture').nth(3).boundingBox()) as { width: number; height: number }
  await page
    .locator('.cell-picture')
    .nth(3)
    .hover({ position: { x: box.width / 2 + 20, y: box.height / 2 - 10 } })
  await page.waitForFunction(() => !document.querySelector('.cell-value')?.textContent?.match(/^(…|)$/))
  const { x, y } = await page.evaluate(
    () => (window as unknown as { tilestageGrid: { pixel: { x: number; y: number } } }).tilestageGrid.pixel,
  )
  const texts = await page.locator('.cell-value').allTextContents()
  ELEMENTS.forEach((name, map) => {
    const value = valueAt(map, Math.floor(x), Math.floor(y))
    t.equal(Number.parseFloat(texts[map]!), Number(value.toPrecision(4)), name)
    t.match(texts[map], /cps$/)
  })
  await page.mouse.move(600, 5)
  t.equal(await page.locator('.crosshair:visible').count(), 0)
})

t.test('equalized, a map has the colours that its cumulative distribution gives', async t => {
  const opened = await openGrid(t, '?stretch=equalize')
  const histogram = await (await fetch(`${server.url}pyramids/${await idOf()}/equalization?channel=7`)).json()
  t.equal(histogram.counts.length, 256)
  t.equal(histogram.total, SIZE.width * SIZE.height)
  const cumulative = cumulate(histogram)
  const share = (value: number): number => samplesUpTo(cumulative, value, false)
  const [low, high] = [share(histogram.min), share(histogram.max)]
  const value = valueAt(7, SIZE.width / 2, SIZE.height / 2)
  const step = Math.round((255 * (share(value) - low)) / (high - low))
  const [red, green, blue] = await pixelsOf(opened, 7)
  const near = [-2, -1, 0, 1, 2].some(d => {
    const at = 4 * Math.min(255, Math.max(0, step + d))
    return [red, green, blue].every((part, i) => part === COLOUR_TABLES.viridis[at + i])
  })
  t.ok(near, `${[red, green, blue]} is viridis ${step}`)
})

t.test('each map has a contrast of its own', async t => {
  const opened = await openGrid(t, '?colours=grey')
  const { page } = opened
  const [before, other] = [await pixelsOf(opened, 7), await pixelsOf(opened, 2)]
  await page.getByRole('button', { name: 'Fe: contrast' }).click()
  await page.fill('#levels [name=white]', '1000000')
  await page.keyboard.press('Tab')
  t.same((await recoloured(opened, 7, before)).slice(0, 3), [0, 0, 0])
  t.same(await pixelsOf(opened, 2), other, 'the others stay')
  await page.getByRole('button', { name: 'Auto' }).click()
  t.same(await recoloured(opened, 7, [0, 0, 0, 255]), before)
})

async function idOf(): Promise<string> {
  return (await (await fetch(`${server.url}current`)).json()).current.id
}
