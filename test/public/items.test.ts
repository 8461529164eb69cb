import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import t from 'tap'
import { aroundItem, itemAt, rectOfItem } from '../../public/items/item-grid.js'
import { parsePlace } from '../../public/view/parse-place.js'
import { openSources } from '../../src/sources/open-source.js'
import { build } from '../engine/build-for-test.js'
import { unpackFixture } from '../unpack-fixture.js'
import { launchBrowser, openPage, pageBundle, readScreen, SHARP, untilReady } from './browser.js'
import { servePage } from './page-server.js'

const truth = JSON.parse(readFileSync(new URL('../fixtures/quickdraw/truth.json', import.meta.url), 'utf8'))
const german: number[] = truth.countries.flatMap((country: string, n: number) => (country === 'DE' ? [n] : []))

const folder = t.testdir({})
let browser: Browser
let assetsFolder: string

t.before(async () => {
  ;[browser, assetsFolder] = await Promise.all([launchBrowser(), pageBundle()])
})
t.teardown(() => browser?.close())

const GRID = { count: 11, columns: 4, width: 10, height: 20, x: 100, y: 200, fields: [] }

t.test('an image of a stack is found by a pixel, and a pixel by its number', async t => {
  t.same(rectOfItem(GRID, 6), { x0: 120, y0: 220, x1: 130, y1: 240 })
  t.same(aroundItem(GRID, 6), { x0: 110, y0: 200, x1: 140, y1: 260 })
  for (let n = 0; n < GRID.count; n++) {
    const { x0, y0, x1, y1 } = rectOfItem(GRID, n)
    t.same([itemAt(GRID, { x: x0, y: y0 }), itemAt(GRID, { x: x1 - 0.01, y: y1 - 0.01 })], [n, n])
  }
  for (const pixel of [undefined, { x: 99, y: 200 }, { x: 140, y: 200 }, { x: 100, y: 199 }, { x: 130, y: 240 }])
    t.equal(itemAt(GRID, pixel), undefined)
})

t.test('# and a number go to an image', async t => {
  t.same(parsePlace(' # 12', [], 300), { item: 12 })
  t.match(parsePlace('#300', [], 300), { problem: /no image 300: they are numbered from 0 to 299/ })
  t.match(parsePlace('#0', []), { problem: /^Write a position as x, y/ })
})

t.test('images are named under the pointer, filtered by a field, and gone to', async t => {
  const path = unpackFixture(folder, 'quickdraw/octopus.npy')
  unpackFixture(folder, 'quickdraw/octopus.ndjson')
  const output = join(folder, 'octopus')
  await build((await openSources([path])).sources, output)
  const server = await servePage(assetsFolder, [output])
  t.teardown(() => server.close())
  const { page, errors } = await openPage(browser, server.url, { ...SHARP, viewport: { width: 1200, height: 900 } })
  const panel = page.locator('#items')
  const source = page.locator('#status .source')
  t.equal(await panel.locator('.summary').textContent(), '300')

  await hover(page, 42)
  await source.getByText(`item 42 · ${truth.countries[42]}`).waitFor()
  await page.locator('#status .value').click()
  const facts = await page.locator('#value-details .facts').innerText()
  t.match(facts.replace(/\s+/g, ' '), new RegExp(`item 42 .*word octopus countrycode ${truth.countries[42]} `))
  await page.keyboard.press('Escape')

  await panel.locator('select[name=item-field]').selectOption('countrycode')
  const options = await panel.locator('select[name=item-value] option').allTextContents()
  t.equal(options.length, 16)
  t.ok(options.includes('DE · 21'), options.join())
  const brightness = async (n: number): Promise<number> => meanOf(await readScreen(page), await boxOf(page, n))
  const [before, beforeOther] = [await brightness(german[3]), await brightness(german[3] + 1)]
  await panel.locator('select[name=item-value]').selectOption({ label: 'DE · 21' })
  await panel.locator('.summary', { hasText: '21 of 300' }).waitFor()
  await untilReady(page)
  t.equal(await brightness(german[3]), before, 'what matches is as it was')
  t.ok((await brightness(german[3] + 1)) < 0.5 * beforeOther, 'the others are dim')

  for (const n of german.slice(0, 2)) {
    await panel.locator('.next').click()
    t.equal(await panel.locator('.item-name').textContent(), `#${n}`)
  }
  await panel.locator('.previous').click()
  await panel.locator('.previous').click()
  t.equal(await panel.locator('.item-name').textContent(), `#${german.at(-1)}`, 'around the end')
  await panel.locator('.item-facts', { hasText: 'DE' }).waitFor()
  await untilReady(page)
  const { x0, y0, x1, y1 } = rectOfItem({ ...GRID, columns: 18, width: 28, height: 28, x: 0, y: 0 }, german.at(-1)!)
  const seen = await visibleRect(page)
  t.ok(seen.x0 < x0 && seen.y0 < y0 && seen.x1 > x1 && seen.y1 > y1 && seen.x1 - seen.x0 < 300, JSON.stringify(seen))

  await page.locator('#picture').focus()
  await page.keyboard.press('g')
  await page.locator('#go-to-place').fill('#7')
  await page.keyboard.press('Enter')
  await panel.locator('.item-name', { hasText: '#7' }).waitFor()
  t.same(errors, [])
})

interface Box {
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
}

function visibleRect(page: Page): Promise<{ x0: number; y0: number; x1: number; y1: number }> {
  return page.evaluate('window.tilestage.view')
}

/** Where an image of the fixture is on the screen, while the picture is not turned. */
async function boxOf(page: Page, n: number): Promise<Box> {
  const view = await visibleRect(page)
  const picture = (await page.locator('#picture').boundingBox())!
  const scale = picture.width / (view.x1 - view.x0)
  return {
    left: picture.x + ((n % 18) * 28 - view.x0) * scale,
    top: picture.y + (Math.floor(n / 18) * 28 - view.y0) * scale,
    width: 28 * scale,
    height: 28 * scale,
  }
}

async function hover(page: Page, n: number): Promise<void> {
  const { left, top, width, height } = await boxOf(page, n)
  await page.mouse.move(left + width / 2, top + height / 2)
}

/** Of the inner half of a box: interpolation reaches over its edges. */
function meanOf({ width, rgb }: Awaited<ReturnType<typeof readScreen>>, box: Box): number {
  let sum = 0
  let count = 0
  for (let y = Math.ceil(box.top + box.height / 4); y < box.top + (3 * box.height) / 4; y++) {
    for (let x = Math.ceil(box.left + box.width / 4); x < box.left + (3 * box.width) / 4; x++) {
      sum += rgb[3 * (y * width + x)]
      count++
    }
  }
  return sum / count
}
