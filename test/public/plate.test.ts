import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { buildPyramid } from '../../src/engine/build-pyramid.js'
import { DEFAULT_SETTINGS } from '../../src/pyramid/build-settings.js'
import { syntheticSource } from '../pyramid/synthetic-source.js'
import { launchBrowser, type OpenPage, openPage, pageBundle, untilReady } from './browser.js'
import { servePage } from './page-server.js'
import { grey, lookOf, setLook, tileRequests } from './picture-truth.js'

const folder = t.testdir({})
const FRAME = { width: 300, height: 300 }
const PITCH = 1000
const counts = (well: number): number => 200 + 10 * well

let browser: Browser
let assetsFolder: string

t.before(async () => {
  ;[browser, assetsFolder] = await Promise.all([launchBrowser(), pageBundle()])
})
t.teardown(() => browser.close())

/** A row of wells, each of one frame of one value. */
async function openWells(t: Test, wells: number): Promise<OpenPage> {
  const output = join(folder, `wells-${wells}`)
  await buildPyramid({
    sources: Array.from({ length: wells }, (_, i) =>
      syntheticSource({
        url: `A${i + 1}`,
        well: `A${i + 1}`,
        frames: [{ xUm: i * PITCH, yUm: 0 }],
        sample: () => counts(i),
        frameSize: FRAME,
      }),
    ),
    ...{
      output,
      settings: { ...DEFAULT_SETTINGS, dark: 0 },
      overwrite: false,
      strict: true,
      software: 'tilestage test',
    },
  })
  const server = await servePage(assetsFolder, [output])
  t.teardown(() => server.close())
  const opened = await openPage(browser, server.url)
  t.teardown(() => opened.leave())
  return opened
}

/** Wells of which the page asked for full resolution: each lies in tiles of its own. */
const wellsRead = (opened: OpenPage): number =>
  new Set(tileRequests(opened).flatMap(url => /\/tiles\/0\/(\d+)\//.exec(url)?.[1] ?? [])).size

const firstPixels = (page: Page): Promise<number[]> =>
  page.$$eval('.well canvas', canvases =>
    canvases.map(canvas => (canvas as HTMLCanvasElement).getContext('2d')?.getImageData(0, 0, 1, 1).data[0] ?? -1),
  )

t.test('cells below 24 px show the mean intensity of their well', async t => {
  const opened = await openWells(t, 14)
  const { page } = opened
  await setLook(page, lookOf(grey(200, 455)))
  await untilReady(page)
  t.same(
    await firstPixels(page),
    Array.from({ length: 14 }, (_, i) => 10 * i),
  )
  const width = await page.$eval('.well', cell => cell.clientWidth)
  t.ok(width >= 12 && width < 24)
  t.ok(wellsRead(opened) < 4, 'at full resolution only what is looked at')
  t.same(opened.errors, [])
})

t.test('cells below 12 px show where wells are, and load nothing', async t => {
  const opened = await openWells(t, 30)
  const { page } = opened
  t.equal(await page.isVisible('.well canvas'), false)
  t.equal(await page.locator('.well').count(), 30)
  t.ok(wellsRead(opened) < 4, 'at full resolution only what is looked at')
  await page.focus('.well')
  await page.keyboard.press('ArrowRight')
  await page.keyboard.press('Enter')
  await untilReady(page)
  t.equal(await page.textContent('.well-name'), 'A2')
  t.equal(await page.getAttribute('[aria-label^="A2,"]', 'aria-current'), 'true')
  t.equal(await page.locator('.well[tabindex="0"]').count(), 1)
  t.same(opened.errors, [])
})
