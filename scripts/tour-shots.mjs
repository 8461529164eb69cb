// The pictures of docs/viewer.md, each a line of SHOTS.
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import sharp from 'sharp'

const CHROMIUM_PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const MAX_KB = 120
const WEBP_QUALITIES = [82, 70, 55, 40]

const WINDOW = { viewport: { width: 1200, height: 1000 } }
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 }

const press =
  (...keys) =>
  async page => {
    for (const key of keys) {
      await page.keyboard.press(key)
      await untilReady(page)
    }
  }
const tap = selector => page => page.tap(selector)
const click =
  (...selectors) =>
  async page => {
    for (const selector of selectors) {
      await page.click(selector)
      await untilReady(page)
    }
  }
const then =
  (...steps) =>
  async page => {
    for (const step of steps) await step(page)
  }
const point = (x, y) => page => page.mouse.move(x, y)
const pin = (x, y) => page => page.mouse.click(x, y)

const OWN_WELLS = then(click('.of-wells label:has([value=own])', '.well[aria-label^=A2]'), press('Shift+A'))

/** File, pyramid, whether something is measured in it, what is done first, what of the page is taken, and where. */
const SHOTS = [
  { file: 'plate', pyramid: 'plate' },
  { file: 'light', pyramid: 'plate', query: '&theme=light' },
  { file: 'wall', pyramid: 'plate', query: '&display=wall' },
  { file: 'cells', pyramid: 'cells' },
  { file: 'contrast', pyramid: 'plate', part: '#contrast' },
  { file: 'own-wells', pyramid: 'plate', reach: OWN_WELLS, part: '#dock' },
  { file: 'marks', pyramid: 'plate', reach: press('c') },
  { file: 'colours', pyramid: 'cells', reach: click('#colour-map'), part: '#colours-menu' },
  { file: 'channels', pyramid: 'cells', part: '#contrast' },
  { file: 'layers', pyramid: 'cells', part: '#layers' },
  { file: 'wells', pyramid: 'plate', part: '#plate' },
  { file: 'planes', pyramid: 'cells', part: '#planes' },
  { file: 'measured', pyramid: 'plate', measured: true },
  { file: 'profile', pyramid: 'plate', measured: true, reach: openEntry('Across'), part: '#measurements' },
  { file: 'region', pyramid: 'plate', measured: true, reach: openEntry('Field'), part: '#measurements' },
  { file: 'points', pyramid: 'plate', measured: true, reach: click('#points [role=option]'), part: '#points' },
  { file: 'pixel', pyramid: 'plate', reach: then(point(415, 412), press('Enter')), part: '#value-details' },
  { file: 'turned', pyramid: 'cells', reach: press('t', 'y', 'g') },
  { file: 'reticle', pyramid: 'plate', reach: then(pin(441, 584), pressRight(441, 584)) },
  { file: 'export', pyramid: 'cells', reach: press('e'), part: '#export' },
  { file: 'crop', pyramid: 'cells', reach: then(press('e'), exporting('samples')), part: '#export' },
  { file: 'python', pyramid: 'cells', reach: then(press('e'), exporting('python')), part: '#export' },
  { file: 'chooser', pyramid: 'plate', reach: click('#chooser') },
  { file: 'keys', pyramid: 'plate', reach: press('?'), part: '#keys' },
  { file: 'phone', pyramid: 'plate', at: PHONE },
  { file: 'phone-contrast', pyramid: 'plate', at: PHONE, reach: tap('#tabs [data-sheet=contrast]') },
]

/** Open what was measured, and the line profile of a length. */
function openEntry(name) {
  return async page => {
    await click(`.entry:has(:text-is("${name}"))`)(page)
    const profile = page.locator('#measurements').getByText('Line profile', { exact: true })
    if (await profile.isVisible()) await profile.click()
    else await page.waitForSelector('#measurements .numbers dl')
  }
}

function exporting(kind) {
  return click(`#export label:has([value=${kind}])`)
}

function pressRight(x, y) {
  return page => page.mouse.click(x, y, { button: 'right' })
}

/**
 * @param pageOf address of the page with a pyramid. @param measured what a link of the plate tells of measurements.
 * @param folder that the pictures go to. @throws {Error} there is no Chromium, or a picture is too large.
 */
export async function takeShots(pageOf, measured, folder) {
  const executablePath = process.env.TILESTAGE_CHROMIUM ?? CHROMIUM_PLACES.find(place => existsSync(place))
  if (!executablePath) throw new Error('There is no Chromium; install it, or name one with TILESTAGE_CHROMIUM.')
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--enable-unsafe-swiftshader'] })
  try {
    for (const { file, pyramid, query = '', measured: isMeasured, reach, part = 'body', at = WINDOW } of SHOTS) {
      const context = await browser.newContext({ ...at, reducedMotion: 'reduce' })
      const page = await context.newPage()
      await page.goto(pageOf(pyramid) + query + (isMeasured ? `#${measured}` : ''))
      await untilReady(page)
      await reach?.(page)
      await untilReady(page)
      await save(await page.locator(part).screenshot(), join(folder, `${file}.webp`))
      await context.close()
    }
  } finally {
    await browser.close()
  }
}

async function untilReady(page) {
  await page.evaluate(() => new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve))))
  await page.waitForFunction(() => document.documentElement.dataset.ready === '1', null, { timeout: 60_000 })
}

/** As good as it may be and still be small. */
async function save(png, path) {
  for (const quality of WEBP_QUALITIES) {
    await sharp(png).webp({ quality, effort: 6 }).toFile(path)
    if (statSync(path).size <= 1000 * MAX_KB) return
  }
  throw new Error(`${path} is larger than ${MAX_KB} kB.`)
}
