import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import sharp from 'sharp'
import t, { type Test } from 'tap'
import {
  formatArea,
  formatLength,
  formatMean,
  formatNumber,
  formatSample,
  formatSquare,
} from '../../public/parts/number-format.js'
import { areaUm2, lengthUm, perimeterUm, snapDirection } from '../../public/tools/measurement-geometry.js'
import { measurementsCsv } from '../../public/tools/measurements-csv.js'
import { nameFrames } from '../../public/tools/provenance.js'
import { buildPyramid } from '../../src/engine/build-pyramid.js'
import { DEFAULT_SETTINGS } from '../../src/pyramid/build-settings.js'
import { openPyramid } from '../../src/pyramid/open-pyramid.js'
import type { Pyramid } from '../../src/pyramid/pyramid.js'
import type { ServerConfig } from '../../src/server/serve.js'
import { brokenFrame, syntheticSource } from '../pyramid/synthetic-source.js'
import {
  launchBrowser,
  noticeWith,
  type OpenPage,
  openPage,
  PHONE,
  pageBundle,
  readScreen,
  untilReady,
} from './browser.js'
import { servePage } from './page-server.js'
import { levelRect, PICTURE_TOP, readSamples, viewOf } from './picture-truth.js'

type Place = readonly [left: number, top: number]

/** µm on the stage. */
interface Point {
  readonly x: number
  readonly y: number
}

const BROKEN = 5
const PIXEL_UM = { x: 0.5, y: 0.4 }
const FRAME = { width: 200, height: 160 }
/** Overlapping along x, with a gap before the last column; the last frame cannot be read. */
const FRAMES = [0, 50].flatMap(y => [0, 80, 200].map(x => ({ xUm: 1000 + x, yUm: 2000 + y })))

const folder = t.testdir({})
let browser: Browser
let assetsFolder: string
let path: string
let pyramid: Pyramid

t.before(async () => {
  path = join(folder, 'frames')
  const source = syntheticSource({
    url: 'scan_7',
    frames: FRAMES,
    frameSize: FRAME,
    pixelSizeUm: PIXEL_UM,
    sample: (frame, x, y) => (frame === BROKEN ? brokenFrame(frame) : 500 + 100 * frame + ((x * 7 + y * 13) % 90)),
  })
  ;[browser, assetsFolder] = await Promise.all([
    launchBrowser(),
    pageBundle(),
    buildPyramid({
      sources: [source],
      output: path,
      settings: DEFAULT_SETTINGS,
      overwrite: false,
      strict: false,
      software: 'tilestage test',
    }),
  ])
  pyramid = await openPyramid(path)
})
t.teardown(async () => {
  await browser.close()
  await pyramid.close()
})

async function serve(t: Test, settings: Partial<ServerConfig> = {}): Promise<string> {
  const server = await servePage(assetsFolder, [path], settings)
  t.teardown(() => server.close())
  return server.url
}

async function open(t: Test, url: string, options?: Parameters<typeof openPage>[2]): Promise<OpenPage> {
  const opened = await openPage(browser, url, options)
  await opened.page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
  t.teardown(() => opened.leave())
  return opened
}

/** Stage positions of places on the picture, by arithmetic of our own. */
async function stageOf(page: Page, places: readonly Place[]): Promise<Point[]> {
  const { x0, y0, umPerPx } = await viewOf(page)
  const { originUm } = pyramid.geometry
  return places.map(([left, top]) => ({
    x: originUm.x + (x0 - 0.5) * PIXEL_UM.x + left * umPerPx,
    y: originUm.y + (y0 - 0.5) * PIXEL_UM.y + top * umPerPx,
  }))
}

const click = (page: Page, [left, top]: Place): Promise<void> => page.mouse.click(left, top + PICTURE_TOP)
/** All at once: the second click follows within the time of a double click, however busy the machine is. */
async function doubleClick(page: Page, [left, top]: Place): Promise<void> {
  await page.mouse.move(left, top + PICTURE_TOP)
  await Promise.all([1, 2].flatMap(clickCount => [page.mouse.down({ clickCount }), page.mouse.up({ clickCount })]))
}

const move = (page: Page, [left, top]: Place): Promise<void> => page.mouse.move(left, top + PICTURE_TOP, { steps: 3 })

async function drag(page: Page, from: Place, to: Place): Promise<void> {
  await move(page, from)
  await page.mouse.down()
  await move(page, to)
  await page.mouse.up()
}

const numbers = (page: Page): Promise<string[]> => page.locator('#measurements .entry-number').allTextContents()
const factsOf = (page: Page, selector: string): Promise<string[]> => page.locator(`${selector} dd`).allTextContents()

/** What a button copies. */
async function copied(page: Page, button: string): Promise<string> {
  await page.evaluate(() => navigator.clipboard.writeText(''))
  await page.click(button)
  await page.waitForFunction(async () => (await navigator.clipboard.readText()) !== '')
  return page.evaluate(() => navigator.clipboard.readText())
}

const rowsOf = (csv: string): string[][] =>
  csv
    .trimEnd()
    .split('\r\n')
    .map(line => line.split(','))

t.test('lengths, perimeters and areas are those of the stage', async t => {
  const far = { x: 1e7, y: -2e7 }
  const square = [far, { x: far.x + 3, y: far.y }, { x: far.x + 3, y: far.y + 4 }, { x: far.x, y: far.y + 4 }]
  t.equal(areaUm2(square), 12)
  t.equal(areaUm2([...square].reverse()), 12, 'whichever way around')
  t.equal(perimeterUm(square), 14)
  t.equal(lengthUm([far, { x: far.x + 3, y: far.y + 4 }]), 5)
  const snapped = snapDirection({ x: 0, y: 0 }, { x: 10, y: 2.5 })
  t.ok(Math.abs(Math.atan2(snapped.y, snapped.x) - Math.PI / 12) < 1e-12, '15°')
  t.ok(Math.abs(Math.hypot(snapped.x, snapped.y) - Math.hypot(10, 2.5)) < 1e-12, 'as long as before')
  const csv = measurementsCsv([{ kind: 'region', points: [square[2], square[0]] as Point[], name: '=a, "b"' }])
  t.match(csv, /"'=a, ""b""",region,,14,12,3,4,/)
  t.equal(nameFrames([{ series: 'a', frame: 6 }]), 'a, frame 6')
  t.equal(
    nameFrames([
      { series: 'a', frame: 6 },
      { series: 'a', frame: 7 },
      { series: 'b', frame: 1 },
    ]),
    'a, frames 6 + 7 + b, frame 1',
  )
})

t.test('clicks measure lengths and areas, handles and keys change them, and everything can be undone', async t => {
  const { page, errors } = await open(t, await serve(t))
  const places: Place[] = [
    [200, 300],
    [500, 420],
    [430, 600],
  ]
  const [a, b, c] = (await stageOf(page, places)) as [Point, Point, Point]
  await page.keyboard.press('m')
  t.equal(await page.getAttribute('#tools [data-tool=measure]', 'aria-pressed'), 'true')
  await click(page, places[0] as Place)
  await click(page, places[1] as Place)
  t.same(await numbers(page), [formatLength(Math.hypot(b.x - a.x, b.y - a.y))], 'two clicks: a length')
  await click(page, places[2] as Place)
  t.same(await numbers(page), [formatSquare(areaUm2([a, b, c]))], 'a third one: an area')
  await page.keyboard.press('Enter')
  await drag(page, [300, 700], [600, 700])
  const { umPerPx } = await viewOf(page)
  t.same((await numbers(page))[1], formatLength(300 * umPerPx), 'a drag: a length')

  await page.keyboard.down('Shift')
  await drag(page, [300, 640], [500, 630])
  await page.keyboard.up('Shift')
  t.equal((await factsOf(page, '.details .facts'))[1], '0.0°', 'with Shift along an axis')

  await page.keyboard.press('Escape')
  t.equal(await page.getAttribute('#tools [data-tool=pan]', 'aria-pressed'), 'true', 'Esc goes back to Pan')
  const before = await viewOf(page)
  await drag(page, [600, 700], [600, 740])
  t.same(await viewOf(page), before, 'a handle is dragged, not the picture')
  t.equal((await numbers(page))[1], formatLength(Math.hypot(300, 40) * umPerPx))
  const csv = rowsOf(await copied(page, '.copy-all'))
  t.same(
    csv.map(row => row[1]),
    ['kind', 'area', 'length', 'length'],
  )
  t.ok(Math.abs(Number(csv[1]?.[4]) - areaUm2([a, b, c])) < 1e-6, 'copied in full precision')

  await page.focus('#picture')
  await page.keyboard.press('Delete')
  t.equal((await numbers(page)).length, 2, 'Delete removes the selected one')
  await page.keyboard.press('Control+z')
  t.equal((await numbers(page)).length, 3)
  await page.keyboard.press('Control+z')
  t.equal((await numbers(page))[1], formatLength(300 * umPerPx), 'a drag is one step')
  for (let i = 0; i < 3; i++) await page.keyboard.press('Control+z')
  t.same(await numbers(page), [formatLength(Math.hypot(b.x - a.x, b.y - a.y))], 'the area is a length again')
  await page.keyboard.press('Control+z')
  t.same(await numbers(page), [])
  t.same(errors, [])
})

t.test('a line profile has the sample under each of its steps, and a gap where no frame lies', async t => {
  const { page, errors } = await open(t, await serve(t))
  const places: Place[] = [
    [150, 400],
    [800, 470],
  ]
  const [from, to] = (await stageOf(page, places)) as [Point, Point]
  await page.keyboard.press('m')
  await drag(page, places[0] as Place, places[1] as Place)
  await page.click('text=Line profile')
  await page.waitForSelector('.profile .sample-plot path[stroke]')
  const [, ...rows] = rowsOf(await copied(page, '.profile .button'))
  const sample = await readSamples(pyramid, 0, { x0: 0, y0: 0, x1: 700, y1: 400 })
  const { originUm } = pyramid.geometry
  let gaps = 0
  const wrong = rows.filter(([, value], i) => {
    const share = i / (rows.length - 1)
    const x = Math.floor((from.x + share * (to.x - from.x) - originUm.x) / PIXEL_UM.x + 0.5)
    const y = Math.floor((from.y + share * (to.y - from.y) - originUm.y) / PIXEL_UM.y + 0.5)
    const truth = sample(x, y)
    if (truth === undefined) gaps++
    return value !== `${truth ?? ''}`
  })
  t.same(wrong, [], `${rows.length} samples`)
  t.ok(rows.length > 400 && gaps > 20 && gaps < rows.length / 2, `${gaps} of them in the gap`)
  t.ok(Math.abs(Number(rows.at(-1)?.[0]) - Math.hypot(to.x - from.x, to.y - from.y)) < 1e-9)

  await page.hover('.profile .ground', { position: { x: 64, y: 50 } })
  t.match(await page.textContent('.profile .readout'), /µm · \d+ counts/)
  await page.focus('.profile .ground')
  await page.keyboard.press('ArrowRight')
  t.match(await page.getAttribute('.profile .ground', 'aria-valuetext'), /µm · /, 'by keyboard as well')
  t.same(errors, [])
})

t.test('a region has the statistics of its samples, gives them to the contrast, and can be downloaded', async t => {
  const url = await serve(t)
  const { page, errors } = await open(t, url)
  const places: Place[] = [
    [420, 300],
    [250, 520],
  ]
  const [a, b] = (await stageOf(page, places)) as [Point, Point]
  await page.keyboard.press('r')
  await drag(page, places[0] as Place, places[1] as Place)
  await page.waitForSelector('.numbers dd')
  t.same(await numbers(page), [formatArea(a.x - b.x, b.y - a.y)])
  const { originUm } = pyramid.geometry
  const [x0, y0] = [Math.ceil((b.x - originUm.x) / PIXEL_UM.x), Math.ceil((a.y - originUm.y) / PIXEL_UM.y)]
  const [x1, y1] = [Math.ceil((a.x - originUm.x) / PIXEL_UM.x), Math.ceil((b.y - originUm.y) / PIXEL_UM.y)]
  const sample = await readSamples(pyramid, 0, { x0, y0, x1, y1 })
  const values: number[] = []
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) {
      const value = sample(x, y)
      if (value !== undefined) values.push(value)
    }
  }
  values.sort((p, q) => p - q)
  const sum = values.reduce((total, value) => total + value, 0)
  const mean = sum / values.length
  const sd = Math.sqrt(values.reduce((total, value) => total + (value - mean) ** 2, 0) / values.length)
  const facts = await factsOf(page, '.numbers .facts')
  const median = Number(facts[2]?.replace(/\D/g, ''))
  t.ok(values.filter(value => value < median).length <= values.length / 2, 'half lie below the median')
  t.ok(values.filter(value => value > median).length <= values.length / 2, 'and half above')
  t.equal(facts[0], formatMean(mean, true))
  t.equal(facts[1], formatMean(sd, true))
  t.equal(facts[3], formatSample(sum, true))
  t.same(facts.slice(4), [
    formatSample(values[0] as number, true),
    formatSample(values.at(-1) as number, true),
    formatNumber(values.length),
    formatSquare(values.length * PIXEL_UM.x * PIXEL_UM.y),
  ])
  const [, row] = rowsOf(await copied(page, '.region .button:text("Copy")'))
  t.same(row?.slice(1, 3), [`${values.length}`, `${Number(row?.[2])}`])

  const crop = await fetch(new URL((await page.getAttribute('.region a.button', 'href')) ?? '', url))
  const { width, height } = await sharp(Buffer.from(await crop.arrayBuffer())).metadata()
  t.same([width, height], [x1 - x0, y1 - y0])

  await page.click('text=Auto contrast from this region')
  await untilReady(page)
  const black = Number(await page.getAttribute('.handle.black', 'aria-valuenow'))
  const white = Number(await page.getAttribute('.handle.white', 'aria-valuenow'))
  t.ok(black >= (values[0] as number) - 1 && white <= (values.at(-1) as number) + 1, `${black} to ${white}`)
  t.same(errors, [])
})

t.test('points are shared: what one page does, the other one shows', async t => {
  const url = await serve(t)
  const [one, other] = [await open(t, url), await open(t, url)]
  const countOn = ({ page }: OpenPage, count: number): Promise<unknown> =>
    page.waitForSelector(`#points .summary:text-is("${count === 0 ? 'none' : formatNumber(count)}")`)
  const rois = async (): Promise<{ x: number; y: number; name?: string }[]> => {
    const { current } = (await (await fetch(`${url}current`)).json()) as { current: { id: string } }
    return ((await (await fetch(`${url}pyramids/${current.id}/rois`)).json()) as { rois: [] }).rois
  }
  await other.page.waitForSelector('#connection[data-state=live]')
  const [first] = (await stageOf(one.page, [[300, 400]])) as [Point]
  await one.page.keyboard.press('p')
  await click(one.page, [300, 400])
  await Promise.all([countOn(one, 1), countOn(other, 1)])
  const [roi] = await rois()
  t.ok(roi && Math.hypot(roi.x - first.x, roi.y - first.y) < 1e-6, 'where it was clicked')

  await one.page.fill('input[name=point-name]', 'nucleus')
  await one.page.press('input[name=point-name]', 'Enter')
  await other.page.waitForSelector('#points [role=option]:has-text("nucleus")')

  await doubleClick(other.page, [600, 300])
  await Promise.all([countOn(one, 2), countOn(other, 2)])
  await doubleClick(other.page, [604, 303])
  await Promise.all([countOn(one, 1), countOn(other, 1)])
  await other.page.focus('#picture')
  await other.page.keyboard.press('Control+z')
  await Promise.all([countOn(one, 2), countOn(other, 2)])

  const table = {
    name: 'cells.csv',
    mimeType: 'text/csv',
    buffer: Buffer.from('x_um,y_um,name\n1010,2010,a\n1020,2020,b\n'),
  }
  await one.page.setInputFiles('#points input[type=file]', table)
  await Promise.all([countOn(one, 4), countOn(other, 4)])
  const exported = await fetch(new URL((await one.page.getAttribute('.export', 'href')) ?? '', url))
  t.match(await exported.text(), /1010,2010,,,a\r\n1020,2020,,,b/)
  await one.page.click('#points .clear')
  await Promise.all([countOn(one, 0), countOn(other, 0)])
  await one.page.focus('#picture')
  await one.page.keyboard.press('Control+z')
  await Promise.all([countOn(one, 4), countOn(other, 4)])
  await one.page.keyboard.press('Control+z')
  await Promise.all([countOn(one, 2), countOn(other, 2)])
  t.same(
    (await rois()).map(({ name }) => name ?? '').sort(),
    ['', 'nucleus'],
    'what was imported is taken back, and nothing else',
  )

  await one.page.click('#points [role=option] >> nth=0')
  await one.page.click('#points .go-to')
  await untilReady(one.page)
  const chosen = (await rois())[0] as Point
  const view = await viewOf(one.page)
  const [centre] = (await stageOf(one.page, [
    [((view.x1 - view.x0) * PIXEL_UM.x) / view.umPerPx / 2, ((view.y1 - view.y0) * PIXEL_UM.y) / view.umPerPx / 2],
  ])) as [Point]
  t.ok(Math.hypot(centre.x - chosen.x, centre.y - chosen.y) < 0.01, 'one flies there')
  await one.page.click('#points .delete')
  await Promise.all([countOn(one, 1), countOn(other, 1)])

  await other.page.setInputFiles('#points input[type=file]', { ...table, buffer: Buffer.from('a,b\n1,2\n') })
  t.match(await noticeWith(other.page, 'x_um'), /x_um/, 'a wrong table is told in a sentence')
  t.same(one.errors, [])
})

t.test('where changes need the token, the page asks for it and goes on with what was refused', async t => {
  const url = new URL(await serve(t, { host: '0.0.0.0', token: 'letmein', roots: [folder] }))
  const { page } = await open(t, `http://127.0.0.1:${url.port}/`)
  await page.keyboard.press('p')
  await click(page, [300, 400])
  await page.waitForSelector('#notice:has-text("Changing points needs the token printed at start-up.")')
  t.equal(await page.textContent('#points .summary'), 'none')
  await page.click('#notice :text("Enter token")')
  await page.fill('#token input', 'letmein')
  await page.press('#token input', 'Enter')
  await page.waitForSelector('#points .summary:text-is("1")')
  t.notOk(page.url().includes('letmein'))
})

t.test(
  'points belong to their pyramid: after a swap nothing that is undone or selected concerns another one',
  async t => {
    const other = join(folder, 'other')
    await cp(path, other, { recursive: true })
    const url = await serve(t, { pyramids: [path, other] })
    const { page, errors } = await open(t, url)
    const pointsOf = async (name: string): Promise<number> => {
      const list = (await (await fetch(`${url}pyramids`)).json()) as { pyramids: { id: string; name: string }[] }
      const id = list.pyramids.find(each => each.name === name)?.id
      return ((await (await fetch(`${url}pyramids/${id}/rois`)).json()) as { count: number }).count
    }
    const show = async (tileDir: string, name: string): Promise<void> => {
      await fetch(`${url}set_tile_source?tile_dir=${encodeURIComponent(tileDir)}`, { redirect: 'manual' })
      await page.waitForSelector(`#chooser b:text-is("${name}")`)
      await untilReady(page)
    }
    const isCounted = (count: number): Promise<unknown> => page.waitForSelector(`#points .summary:text-is("${count}")`)
    await page.keyboard.press('p')
    await click(page, [300, 400])
    await isCounted(1)
    await show(other, 'other')
    await click(page, [350, 420])
    await isCounted(1)
    await show(path, 'frames')
    await isCounted(1)
    await page.keyboard.press('Control+z')
    await page.keyboard.press('Delete')
    await click(page, [500, 420])
    await isCounted(2)
    await page.keyboard.press('Control+z')
    await isCounted(1)
    t.same([await pointsOf('frames'), await pointsOf('other')], [1, 1])
    t.same(errors, [])
  },
)

t.test('where reading needs the token, what is downloaded brings a signature along', async t => {
  const { href } = new URL('#token=letmein', await serve(t, { token: 'letmein', isPrivate: true }))
  const { page } = await open(t, href)
  await page.keyboard.press('r')
  await drag(page, [250, 520], [420, 300])
  await page.waitForSelector('.numbers dd')
  const [crop] = await Promise.all([page.waitForEvent('download'), page.click('.region a.button')])
  t.match(await sharp(await crop.path()).metadata(), { format: 'tiff' })
  t.notMatch(crop.url(), /letmein/)
})

t.test('what could not be measured is told, and measured once the server is back', async t => {
  // Without the event stream the page asks every two seconds whether the server is there.
  const { page, leave } = await openPage(browser, await serve(t), {}, '**/events*')
  t.teardown(leave)
  await page.route('**/stats?*', route => route.abort())
  await page.keyboard.press('r')
  await drag(page, [250, 520], [420, 300])
  await page.waitForSelector('.region p:text-is("The server does not answer.")')
  await page.unroute('**/stats?*')
  await page.waitForSelector('.numbers dd')
  t.equal(await page.textContent('.region p'), '')
})

t.test('the read-out names the frames under the pointer, and outlines show where they lie', async t => {
  const opened = await open(t, await serve(t), { deviceScaleFactor: 1 })
  const { page } = opened
  const placement = pyramid.placement
  t.ok(placement)
  if (!placement) return
  const rects = FRAMES.map((_, i) => placement.rect(i))
  const { x0, y0, umPerPx } = await viewOf(page)
  for (const place of [
    [150, 300],
    [350, 300],
    [390, 450],
    [390, 470],
    [700, 300],
    [560, 300],
    [720, 560],
  ] as const) {
    const x = x0 + (place[0] * umPerPx) / PIXEL_UM.x
    const y = y0 + (place[1] * umPerPx) / PIXEL_UM.y
    const frames = [...rects.keys()].filter(i => {
      const rect = rects[i] as (typeof rects)[number]
      return i !== BROKEN && x >= rect.x0 && x < rect.x1 && y >= rect.y0 && y < rect.y1
    })
    await move(page, place)
    const source = await page.textContent('#status .source')
    const names = `scan_7, ${frames.length === 1 ? 'frame' : 'frames'} ${frames.join(' + ')}`
    t.equal(source?.split(' · ')[0], frames.length === 0 ? '' : names, `${place}`)
    if (frames.length === 0) t.equal(await page.textContent('#status .sample'), 'no frame here')
  }

  await move(page, [10, 10])
  await page.focus('#picture')
  await page.keyboard.press('o')
  await untilReady(page)
  const screen = await readScreen(page)
  const at = (left: number, top: number): number[] => {
    const index = 3 * ((Math.round(top) + PICTURE_TOP) * screen.width + Math.round(left))
    return [...screen.rgb.subarray(index, index + 3)]
  }
  const isBright = (left: number, top: number): boolean =>
    [-1, 0, 1].some(i => [-1, 0, 1].some(j => at(left + i, top + j).every(part => part > 130)))
  const isWarn = (left: number, top: number): boolean =>
    [-1, 0, 1].some(i => {
      const [red, , blue] = at(left, top + i) as [number, number, number]
      return red > blue + 60
    })
  for (const [i, rect] of rects.entries()) {
    const left = ((rect.x0 - x0) * PIXEL_UM.x) / umPerPx
    const top = ((rect.y0 - y0) * PIXEL_UM.y) / umPerPx
    const width = ((rect.x1 - rect.x0) * PIXEL_UM.x) / umPerPx
    if (i !== BROKEN) t.ok(isBright(left + 0.1 * width, top), `upper edge of frame ${i}`)
    const dashes = Array.from({ length: 60 }, (_, step) => isWarn(left + 0.2 * width + step, top))
    t.equal(dashes.includes(true) && dashes.includes(false), i === BROKEN, `frame ${i} dashed`)
  }
  t.same(opened.requests.filter(url => url.includes('/placement')).length, 1, 'asked for once')
  t.same(opened.errors, [])
})

t.test('the details of a place tell what is stored, what the camera counted and what the stage said', async t => {
  const { page, errors } = await open(t, await serve(t))
  await move(page, [150, 300])
  await page.focus('#picture')
  await page.keyboard.press('Enter')
  await page.waitForSelector('#value-details:not([hidden])')
  const text = await copied(page, '#value-details .copy')
  const [place] = (await stageOf(page, [[150, 300]])) as [Point]
  const { originUm } = pyramid.geometry
  const x = Math.floor((place.x - originUm.x) / PIXEL_UM.x + 0.5)
  const y = Math.floor((place.y - originUm.y) / PIXEL_UM.y + 0.5)
  const value = (await readSamples(pyramid, 0, levelRect({ ...(await viewOf(page)), level: 0 })))(x, y) as number
  t.match(text, `pixel: ${x} ${y}\n`)
  t.match(text, `Channel 1: stored ${value}, above dark ${value - pyramid.pedestal}\n`)
  t.match(text, 'from scan_7, frame 0, stage 1000 2000 um')
  t.notOk(
    [...text].some(sign => sign > '~'),
    'plain ASCII',
  )
  t.match(await page.textContent('#value-details'), formatSample(value, true))
  await page.keyboard.press('Escape')
  t.equal(await page.isVisible('#value-details'), false)
  t.equal(await page.evaluate(() => document.activeElement?.id), 'picture', 'the focus goes back')
  await page.click('#details-button')
  await page.waitForSelector('#value-details:not([hidden])')
  t.same(errors, [])
})

t.test('on a phone the tools are in a sheet, and fingers measure', async t => {
  const { page, errors } = await open(t, await serve(t), PHONE)
  await page.tap('#tabs [data-sheet=measurements]')
  await page.tap('.tool-row [data-tool=measure]')
  t.equal(await page.isVisible('#measurements'), false, 'the sheet gives way to the picture')
  await page.touchscreen.tap(100, 300)
  await page.touchscreen.tap(250, 380)
  const { umPerPx } = await viewOf(page)
  t.same(await numbers(page), [formatLength(Math.hypot(150, 80) * umPerPx)])
  await page.tap('#tool-hint button')
  t.equal(await page.isVisible('#tool-hint'), false)
  t.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0)
  t.same(errors, [])
})

t.test('a link brings measurements and what is visible along', async t => {
  const { page } = await open(t, await serve(t))
  await page.keyboard.press('m')
  await drag(page, [200, 300], [500, 420])
  await page.keyboard.press('o')
  await page.keyboard.press('Escape')
  await page.waitForFunction(() => location.hash.includes('layers='))
  const again = await open(t, page.url())
  t.same(await numbers(again.page), await numbers(page))
  t.equal(await again.page.getAttribute('#layers [aria-label^="Frame outlines"]', 'aria-checked'), 'true')
  t.same(again.errors, [])
})
