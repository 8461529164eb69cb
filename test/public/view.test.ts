import { join } from 'node:path'
import type { Browser, CDPSession, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import type { Contrast } from '../../public/contrast/contrast.js'
import { brightness, colourStep } from '../../public/contrast/contrast.js'
import { type View, ViewFrame } from '../../public/picture/view-frame.js'
import { parsePlace } from '../../public/view/parse-place.js'
import { buildPyramid } from '../../src/engine/build-pyramid.js'
import { DEFAULT_SETTINGS } from '../../src/pyramid/build-settings.js'
import { openPyramid } from '../../src/pyramid/open-pyramid.js'
import { syntheticSource } from '../pyramid/synthetic-source.js'
import { launchBrowser, type OpenPage, openPage, PHONE, pageBundle, readScreen, SHARP, untilReady } from './browser.js'
import { servePage } from './page-server.js'
import {
  differs,
  EDGE,
  EVERY_ROWS,
  FREE,
  grey,
  PICTURE,
  PICTURE_TOP,
  setContrast,
  tileRequests,
  truthOf,
  type ViewOfPicture,
  VOID,
  viewOf,
} from './picture-truth.js'

const folder = t.testdir({})
const PIXEL_UM = { x: 0.5, y: 0.5 }
const Z_PLANES = 5
/** The middle of the picture on a page of 1200 × 1000, and on a `SHARP` one. */
const MIDDLE = { left: 456, top: 462 }
const SHARP_MIDDLE = { left: PICTURE.width / 2, top: PICTURE.height / 2 }
const WINDOW: Contrast = grey(100, 1100)

type SeenView = View & ViewOfPicture

let browser: Browser
let url: string
let path: string

/** Two wells beside each other; no two places and no two z-planes look the same. */
async function build(): Promise<string> {
  const output = join(folder, 'wells')
  const frameSize = { width: 420, height: 380 }
  const wellAt = (well: string, xUm: number, offset: number) =>
    syntheticSource({
      url: well,
      well,
      pixelSizeUm: PIXEL_UM,
      frameSize,
      frames: Array.from({ length: Z_PLANES }, (_, zPlane) => ({ xUm, yUm: -40, zPlane })),
      sample: (zPlane, x, y) => 100 + ((x * 7 + y * 13 + offset + zPlane * 190 + Math.floor((x * y) / 50)) % 1000),
    })
  await buildPyramid({
    sources: [wellAt('A1', 100, 0), wellAt('A2', 340, 400)],
    output,
    settings: DEFAULT_SETTINGS,
    overwrite: false,
    strict: true,
    software: 'tilestage test',
  })
  return output
}

t.before(async () => {
  const [started, assetsFolder, built] = await Promise.all([launchBrowser(), pageBundle(), build()])
  browser = started
  path = built
  const server = await servePage(assetsFolder, [built])
  url = server.url
  t.teardown(async () => {
    await browser.close()
    await server.close()
  })
})

async function open(t: Test, options?: Parameters<typeof openPage>[2]): Promise<OpenPage> {
  const opened = await openPage(browser, url, options)
  t.teardown(() => opened.leave())
  return opened
}

async function seen(page: Page): Promise<SeenView> {
  await untilReady(page)
  return (await viewOf(page)) as SeenView
}

/** The stage position under a point of the picture, by arithmetic that owes nothing to the page. */
function stageUnder(view: View, left: number, top: number, middle = MIDDLE): [x: number, y: number] {
  const turn = (-view.rotation * Math.PI) / 180
  const [right, down] = [left - middle.left, top - middle.top]
  const x = right * Math.cos(turn) - down * Math.sin(turn)
  const y = right * Math.sin(turn) + down * Math.cos(turn)
  return [view.centerUm.x + x * view.umPerPx, view.centerUm.y + (view.yUp ? -y : y) * view.umPerPx]
}

function near(t: Test, found: readonly number[], wanted: readonly number[], tolerance: number, what: string): void {
  const isNear = found.every((value, i) => Math.abs(value - (wanted[i] as number)) <= tolerance)
  t.ok(isNear, `${what}: ${found} is within ${tolerance} of ${wanted}`)
}

/** Compare the free part of a turned or mirrored picture with the samples. */
async function compareTurned(t: Test, page: Page, what: string): Promise<void> {
  const view = await seen(page)
  const pyramid = await openPyramid(path)
  t.teardown(() => pyramid.close())
  const { originUm } = pyramid.geometry
  const scale = 2 ** view.level
  const area = { x0: view.x0 / scale, y0: view.y0 / scale, x1: view.x1 / scale, y1: view.y1 / scale }
  const sample = await truthOf(pyramid).samples(view.level, area)
  const screen = await readScreen(page)
  let covered = 0
  let wrong = 0
  let first = ''
  for (let row = FREE.y0; row < FREE.y1; row += EVERY_ROWS) {
    for (let column = FREE.x0; column < FREE.x1; column++) {
      const [xUm, yUm] = stageUnder(view, column + 0.5, row + 0.5, SHARP_MIDDLE)
      const x = ((xUm - originUm.x) / PIXEL_UM.x + 0.5) / scale
      const y = ((yUm - originUm.y) / PIXEL_UM.y + 0.5) / scale
      if ([x, y].some(value => Math.abs(value - Math.round(value)) < 0.1)) continue
      const value = sample(Math.floor(x), Math.floor(y))
      const step = value === undefined ? 0 : colourStep(brightness(value, WINDOW), false)
      const isVoid = !differs(screen, column, row, VOID) || !differs(screen, column, row, EDGE)
      if (value !== undefined) covered++
      const isWrong = value === undefined ? !isVoid : differs(screen, column, row, [step, step, step])
      if (isWrong && wrong++ === 0) first = `sample ${x}, ${y} = ${value} is wrong at ${column}, ${row}`
    }
  }
  t.ok(covered > 10_000, `${what}: ${covered} covered pixels`)
  t.equal(wrong, 0, `${what}: ${first}`)
}

t.test('stage and screen lead to each other and back, however one looks', async t => {
  for (const yUp of [false, true]) {
    for (let rotation = 0; rotation < 360; rotation += 37) {
      const frame = new ViewFrame({ centerUm: { x: 5e4, y: -3e3 }, umPerPx: 0.26, rotation, yUp }, 912, 924)
      const there = frame.toScreen({ x: 50_012.5, y: -3033.25 })
      const back = frame.toStage(there)
      near(t, [back.x, back.y], [50_012.5, -3033.25], 1e-9, `${rotation}°`)
      const truth = stageUnder(frame, there.left, there.top)
      near(t, truth, [50_012.5, -3033.25], 1e-9, 'and by other arithmetic')
      const placed = new ViewFrame(frame.placing(back, { left: 10, top: 20 }, { umPerPx: 3, rotation: 11 }), 912, 924)
      const { left, top } = placed.toScreen(back)
      near(t, [left, top, placed.umPerPx, placed.rotation], [10, 20, 3, 11], 1e-9, 'placed')
    }
  }
})

t.test('a place is understood as people write it', async t => {
  const wells = ['A1', 'B07'].map(name => ({ name, frames: 1, x0: 0, y0: 0, x1: 1, y1: 1 }))
  for (const text of [
    '10212.4, 20240.1',
    '10212.4 20240.1',
    '10212.4\t20240.1',
    '10212.4,20240.1',
    '10212,4 20240,1',
    '10212,4; 20240,1',
    '10.2124 mm, 20.2401 mm',
    '10.2124, 20.2401 mm',
    'x 10\u202f212.4\u202fµm  y 20\u202f240.1\u202fµm',
    ' x = 10212.4 um , y = 20240.1 um ',
  ]) {
    const place = parsePlace(text, wells)
    t.ok('stage' in place, text)
    if ('stage' in place) near(t, [place.stage.x, place.stage.y], [10_212.4, 20_240.1], 1e-6, text)
  }
  t.same(parsePlace('\u22125, 1e3 nm', []), { stage: { x: -0.005, y: 1 } })
  t.same(parsePlace('10,20', []), { stage: { x: 10, y: 20 } })
  for (const name of ['b7', 'B07', ' B7 ']) t.same(parsePlace(name, wells), { well: wells[1] }, name)
  t.match(parsePlace('Q9', wells), { problem: /^There is no well Q9 here\.$/ })
  t.match(parsePlace('1,234 5,678', wells), { problem: /thousands or decimals/ })
  for (const text of ['', 'somewhere', '5', '1, 2, 3', '10,5,20,3', '1e999, 0', '12 345 20 240']) {
    t.match(parsePlace(text, wells), { problem: /^Write a position as x, y in µm/ }, text)
  }
})

t.test('turned and mirrored pictures show the truth, and everything that follows the view does too', async t => {
  const { page, errors } = await open(t, SHARP)
  await setContrast(page, WINDOW)
  // Where the names of wells lie, one cannot see what is below.
  await page.addStyleTag({ content: '#labels { visibility: hidden }' })
  await page.focus('#picture')
  t.equal(await page.isVisible('#compass'), false)
  await page.keyboard.press('1')
  await page.keyboard.press('+')
  const upright = await seen(page)
  await compareTurned(t, page, 'upright')
  await page.keyboard.press('t')
  const turned = await seen(page)
  t.equal(turned.rotation, 90)
  t.same(turned.centerUm, upright.centerUm, 'it turns around its centre')
  await compareTurned(t, page, 'turned by 90°')
  await page.keyboard.press('y')
  await compareTurned(t, page, 'turned by 90° and mirrored')
  await page.keyboard.press('t')
  await compareTurned(t, page, 'turned by 180° and mirrored')
  await page.keyboard.press('y')
  await compareTurned(t, page, 'turned by 180°')
  await page.keyboard.press('Shift+T')
  await page.keyboard.press('Shift+T')
  await page.keyboard.press('y')
  await compareTurned(t, page, 'mirrored')

  await page.mouse.move(300, 400 + PICTURE_TOP)
  const [x, y] = stageUnder(await seen(page), 300, 400, SHARP_MIDDLE)
  const shown = async (name: string): Promise<number> =>
    Number((await page.textContent(`#status .${name}`))?.replace(/[^\d.]/g, ''))
  near(t, [await shown('x'), Math.abs(await shown('y'))], [x, Math.abs(y)], 0.06, 'read-out')

  await page.click('#view-menu-button')
  await page.fill('#rotation', '30')
  await page.press('#rotation', 'Enter')
  t.equal((await seen(page)).rotation, 30)
  await page.keyboard.press('Escape')
  await compareTurned(t, page, 'turned by 30° and mirrored')
  const before = await seen(page)
  await page.keyboard.press('ArrowRight')
  const after = await seen(page)
  near(
    t,
    stageUnder(before, SHARP_MIDDLE.left + 80, SHARP_MIDDLE.top, SHARP_MIDDLE),
    [after.centerUm.x, after.centerUm.y],
    1e-6,
    'arrows move along the screen',
  )

  t.ok(await page.isVisible('#compass'))
  await page.click('#compass')
  const reset = await seen(page)
  t.same([reset.rotation, reset.yUp], [0, false])
  t.equal(await page.isVisible('#compass'), false)
  t.same(errors, [])
})

/** The corners of the view in the overview, px. */
async function overviewFrame(page: Page): Promise<number[][]> {
  const points = (await page.getAttribute('#overview polygon', 'points')) ?? ''
  return points.split(' ').map(point => point.split(',').map(Number))
}

t.test('a turned well is fitted with all its corners in sight', async t => {
  const { page } = await open(t)
  await page.click('#view-menu-button')
  await page.fill('#rotation', '40')
  await page.press('#rotation', 'Enter')
  await page.keyboard.press('Escape')
  await page.keyboard.press('Shift+Digit0')
  const view = await seen(page)
  const frame = new ViewFrame(view, 912, 924)
  const corners = [
    [99.75, -40.25],
    [549.75, -40.25],
    [549.75, 149.75],
    [99.75, 149.75],
  ].map(([x = 0, y = 0]) => frame.toScreen({ x, y }))
  t.ok(corners.every(({ left, top }) => left >= 0 && left <= 912 && top >= 0 && top <= 924))
  t.equal(await page.isVisible('#overview'), false, 'all is seen')
  for (let i = 0; i < 4; i++) await page.keyboard.press('+')
  await seen(page)
  t.ok(await page.isVisible('#overview'))
  const points = await overviewFrame(page)
  const edges = points.map(([x = 0, y = 0], i) => {
    const [nextX = 0, nextY = 0] = points[(i + 1) % points.length] ?? []
    return Math.round((Math.atan2(nextY - y, nextX - x) * 180) / Math.PI)
  })
  t.ok(edges.includes(-40), 'the frame in the overview is turned the other way')
})

t.test('the mouse pans, zooms at the pointer, boxes a zoom, turns, and pins the reticle', async t => {
  // A wheel turns further where a pixel of the screen is larger.
  const { page, errors } = await open(t, { deviceScaleFactor: 1 })
  await page.keyboard.press('1')
  await page.keyboard.press('y')
  const start = await seen(page)
  const [x, y] = stageUnder(start, 300, 300)
  await page.mouse.move(300, 300 + PICTURE_TOP)
  await page.mouse.down()
  await page.mouse.move(420, 350 + PICTURE_TOP, { steps: 3 })
  await page.mouse.up()
  near(t, stageUnder(await seen(page), 420, 350), [x, y], 1e-6, 'what was taken is under the pointer')

  await page.mouse.wheel(0, -400)
  const zoomed = await seen(page)
  near(t, [zoomed.umPerPx], [start.umPerPx * 1.0015 ** -400], 1e-9, 'zoomed in')
  near(t, stageUnder(zoomed, 420, 350), [x, y], 1e-6, 'at the pointer')

  const [boxX, boxY] = stageUnder(zoomed, 500, 440)
  await page.mouse.move(450, 400 + PICTURE_TOP)
  await page.keyboard.down('Shift')
  await page.mouse.down()
  await page.mouse.move(550, 480 + PICTURE_TOP, { steps: 3 })
  t.ok(await page.isVisible('.zoom-box'))
  await page.mouse.up()
  await page.keyboard.up('Shift')
  const boxed = await seen(page)
  t.equal(await page.isVisible('.zoom-box'), false)
  near(t, [boxed.centerUm.x, boxed.centerUm.y], [boxX, boxY], 1e-6, 'the box is in the middle')
  near(t, [boxed.umPerPx], [(zoomed.umPerPx * 100) / 912], 1e-9, 'and fills the width')

  await page.keyboard.press('1')
  await seen(page)
  await page.mouse.move(MIDDLE.left + 200, MIDDLE.top + PICTURE_TOP)
  await page.keyboard.down('Shift')
  await page.keyboard.down('Alt')
  await page.mouse.down()
  await page.mouse.move(MIDDLE.left, MIDDLE.top + 200 + PICTURE_TOP, { steps: 4 })
  await page.mouse.up()
  await page.keyboard.up('Alt')
  await page.keyboard.up('Shift')
  const turned = await seen(page)
  near(t, [turned.rotation], [90], 1e-6, 'turned as the pointer went')

  const place = (): Promise<(string | null)[]> =>
    Promise.all(['x', 'y'].map(name => page.textContent(`#status .${name}`)))
  const place500 = stageUnder(turned, 500, 500)
  await page.mouse.click(500, 500 + PICTURE_TOP)
  const pinned = await place()
  await page.mouse.move(600, 600 + PICTURE_TOP)
  t.same(await place(), pinned, 'the read-out stays')
  await page.keyboard.press('ArrowRight')
  await seen(page)
  const box = await page.locator('#reticle').boundingBox()
  const [left, top] = [(box?.x ?? 0) + 12.5, (box?.y ?? 0) + 12.5 - PICTURE_TOP]
  t.not(left, 500)
  near(t, stageUnder(await seen(page), left, top), place500, 0.01, 'the reticle moves with the stage')
  await page.keyboard.press('Escape')
  t.equal(await page.isVisible('#reticle'), false)
  await page.mouse.move(601, 600 + PICTURE_TOP)
  t.strictNotSame(await place(), pinned)

  const there = [250, 60] as const
  const { left: column, top: row } = new ViewFrame(await seen(page), 912, 924).toScreen({ x: there[0], y: there[1] })
  await page.mouse.click(column, row + PICTURE_TOP, { button: 'right' })
  await page.click('#position-menu >> text=Centre here')
  const centred = await seen(page)
  near(t, [centred.centerUm.x, centred.centerUm.y], there, centred.umPerPx, 'the menu of a place')
  t.equal(await page.isVisible('#position-menu'), false)
  t.equal(await page.evaluate(() => document.activeElement?.id), 'picture')
  await page.mouse.click(520, 420 + PICTURE_TOP, { button: 'right' })
  await page.keyboard.press('ArrowUp')
  await page.keyboard.press('Enter')
  t.equal(await page.evaluate(() => document.activeElement?.id), 'go-to-place', 'the last action, by keys')
  t.same(errors, [])
})

t.test('one goes to a position or a well by typing it', async t => {
  const { page, errors } = await open(t)
  await page.keyboard.press('1')
  const before = await seen(page)
  await page.keyboard.press('g')
  await page.keyboard.type('somewhere')
  await page.keyboard.press('Enter')
  t.match(await page.textContent('#go-to-problem'), /^Write a position as x, y in µm, such as 1250\.5, 980, or a well/)
  await page.keyboard.type('5 mm, 5 mm')
  await page.keyboard.press('Enter')
  t.match(
    (await page.textContent('#go-to-problem'))?.replaceAll('\u202f', ' '),
    /^There are no frames: x runs from 100 to 550 µm/,
  )
  await page.keyboard.type('0.2 mm 12,5 µm')
  await page.keyboard.press('Enter')
  const there = await seen(page)
  near(t, [there.centerUm.x, there.centerUm.y, there.umPerPx], [200, 12.5, before.umPerPx], 1e-9, 'flown there')
  t.equal(await page.textContent('#status .x'), '200.0\u202fµm', 'and pinned')
  t.equal(await page.isVisible('#view-menu'), false)
  await page.keyboard.press('g')
  await page.keyboard.type('a2')
  await page.keyboard.press('Enter')
  await seen(page)
  t.equal(await page.textContent('.well-name'), 'A2')
  t.same(errors, [])
})

t.test('the overview moves the view, mirrored as the picture is', async t => {
  const { page } = await open(t)
  for (const key of ['1', '+', '+', '+', '+', '+', '+', 'y']) await page.keyboard.press(key)
  await seen(page)
  const canvas = await page.locator('#overview canvas').boundingBox()
  t.ok(canvas)
  if (!canvas) return
  const at = (x: number, y: number): [number, number] => [canvas.x + x * canvas.width, canvas.y + y * canvas.height]
  await page.mouse.move(...at(0.5, 0.5))
  await page.mouse.down()
  await page.mouse.move(...at(0.25, 0.75), { steps: 3 })
  const { centerUm } = await seen(page)
  t.ok(centerUm.x < 325 && centerUm.y < 55, 'below is where y is small')
  const points = await overviewFrame(page)
  const middle = [0, 1].map(axis => points.reduce((sum, point) => sum + (point[axis] as number) / points.length, 0))
  near(t, middle, [canvas.width * 0.25, canvas.height * 0.75], 1, 'its frame is under the pointer')
  t.same(await page.locator('#overview canvas').boundingBox(), canvas, 'it shows the same as long as one drags')
  await page.mouse.up()
})

/** Fingers on the screen, as the browser's own events. */
async function fingers(
  client: CDPSession,
  type: 'Start' | 'Move' | 'End',
  points: readonly (readonly [number, number])[],
) {
  const touchPoints = points.map(([x, y], id) => ({ x, y, id }))
  await client.send('Input.dispatchTouchEvent', { type: `touch${type}`, touchPoints })
}

/** Tap without waiting between one event and the next: a finger that stays for long is held, and two taps belong together. */
async function tap(client: CDPSession, place: readonly [number, number], times: number): Promise<void> {
  const taps = Array.from({ length: times }, () => [fingers(client, 'Start', [place]), fingers(client, 'End', [])])
  await Promise.all(taps.flat())
}

t.test('fingers drag, pinch, tap and hold', async t => {
  const { page, errors } = await open(t, PHONE)
  const client = await page.context().newCDPSession(page)
  const box = await page.locator('#picture').boundingBox()
  t.ok(box)
  if (!box) return
  const middle = { left: box.width / 2, top: box.height / 2 }
  const under = (view: View, x: number, y: number): [number, number] => stageUnder(view, x - box.x, y - box.y, middle)
  const start = await seen(page)

  const [x, y] = under(start, 150, 300)
  await Promise.all([fingers(client, 'Start', [[150, 300]]), fingers(client, 'Move', [[170, 330]])])
  near(t, under((await viewOf(page)) as SeenView, 170, 330), [x, y], 1e-6, 'one finger drags')
  const [pinchX, pinchY] = under((await viewOf(page)) as SeenView, 210, 330)
  await fingers(client, 'Start', [
    [170, 330],
    [250, 330],
  ])
  near(
    t,
    under((await viewOf(page)) as SeenView, 210, 330),
    [pinchX, pinchY],
    1e-6,
    'nothing jumps when a second one lands',
  )
  await fingers(client, 'Move', [
    [190, 250],
    [190, 410],
  ])
  const pinched = (await viewOf(page)) as SeenView
  near(t, [pinched.umPerPx], [start.umPerPx / 2], 1e-6, 'two fingers zoom')
  near(t, under(pinched, 190, 330), [pinchX, pinchY], 1e-6, 'about what lies between them')
  t.equal(pinched.rotation, 0, 'and do not turn')
  await client.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [{ x: 190, y: 410, id: 1 }] })
  await fingers(client, 'Move', [[200, 270]])
  await fingers(client, 'End', [])
  const moved = await seen(page)
  near(t, under(moved, 200, 270), under(pinched, 190, 250), 1e-6, 'the one that stays goes on')
  t.equal(await page.isVisible('#reticle.pinned'), false, 'no click came of it')

  await page.tap('#view-menu-button')
  await page.check('[name=by-fingers]')
  await page.tap('#view-menu-button')
  await fingers(client, 'Start', [
    [150, 400],
    [250, 400],
  ])
  await fingers(client, 'Move', [
    [200, 350],
    [200, 450],
  ])
  await fingers(client, 'End', [])
  const turned = await seen(page)
  near(t, [turned.rotation, turned.umPerPx], [90, moved.umPerPx], 1e-6, 'they turn when that is switched on')
  near(t, under(turned, 200, 400), under(moved, 200, 400), 1e-6, 'about what lies between them')

  await tap(client, [120, 500], 2)
  const tapped = await seen(page)
  near(t, [tapped.umPerPx], [turned.umPerPx / 2], 1e-9, 'a double tap zooms')
  near(t, under(tapped, 120, 500), under(turned, 120, 500), 1e-6, 'about the finger')

  await fingers(client, 'Start', [[130, 450]])
  await page.waitForSelector('#reticle.pinned')
  await fingers(client, 'End', [])
  const reticle = await page.locator('#reticle').boundingBox()
  near(t, [reticle?.x ?? 0, reticle?.y ?? 0], [130 - 12.5, 450 - 12.5], 0.01, 'a finger that is held pins the reticle')
  await tap(client, [200, 600], 1)
  t.equal(await page.isVisible('#reticle.pinned'), false, 'a tap frees it')
  t.same(errors, [])
})

t.test('slices are stepped through and played, without a flash and without a request too many', async t => {
  const opened = await open(t, SHARP)
  const { page, errors } = opened
  await setContrast(page, WINDOW)
  await page.focus('#picture')
  const label = (): Promise<string | null> => page.textContent('[data-axis=zPlane] output')
  t.equal(await label(), `1 of ${Z_PLANES}`)
  await page.keyboard.press(',')
  await untilReady(page)
  t.equal(await label(), `${Z_PLANES} of ${Z_PLANES}`, 'around the end')
  await page.keyboard.press('.')
  await untilReady(page)
  t.equal(await label(), `1 of ${Z_PLANES}`)

  const first = await readScreen(page)
  let answer = (): void => undefined
  const held = new Promise<void>(resolve => {
    answer = resolve
  })
  await page.route(/tiles.*depth=1/, async route => {
    await held
    await route.continue()
  })
  await page.keyboard.press('.')
  await page.waitForFunction(() => document.documentElement.dataset.ready !== '1')
  const waiting = await readScreen(page)
  const changed = (other: typeof first): number => {
    let count = 0
    for (let row = FREE.y0; row < FREE.y1; row += EVERY_ROWS) {
      for (let column = FREE.x0; column < FREE.x1; column++) {
        const at = 3 * ((row + PICTURE_TOP) * first.width + column)
        if (differs(other, column, row, [...first.rgb.subarray(at, at + 3)])) count++
      }
    }
    return count
  }
  t.equal(changed(waiting), 0, 'what is drawn stays until the next slice is there')
  answer()
  await untilReady(page)
  t.ok(changed(await readScreen(page)) > 5000, 'then the next one is drawn')

  await page.selectOption('[name=speed]', '10')
  await page.focus('#picture')
  await page.keyboard.press('Space')
  t.equal(await page.getAttribute('[data-axis=zPlane] button', 'aria-pressed'), 'true')
  for (const index of [4, 5, 1, 2])
    await page.waitForFunction(
      text => document.querySelector('[data-axis=zPlane] output')?.textContent === text,
      `${index} of ${Z_PLANES}`,
    )
  await page.keyboard.press('Space')
  t.equal(await page.getAttribute('[data-axis=zPlane] button', 'aria-pressed'), 'false')
  await untilReady(page)
  const tiles = tileRequests(opened)
  t.equal(new Set(tiles).size, tiles.length, 'no tile was asked for twice')
  t.same(errors, [])
})

t.test('flights end where they lead, also when one follows another; full screen comes and goes', async t => {
  const { page, errors } = await open(t, { reducedMotion: 'no-preference' })
  const start = await seen(page)
  for (const key of ['+', '+', '+']) await page.keyboard.press(key)
  const zoomed = await seen(page)
  near(t, [zoomed.umPerPx], [start.umPerPx / 1.5 ** 3], 1e-9, 'three steps')
  near(t, [zoomed.centerUm.x, zoomed.centerUm.y], [start.centerUm.x, start.centerUm.y], 1e-9, 'at the same place')
  for (const key of ['Shift+T', 'Shift+T', 'y']) await page.keyboard.press(key)
  const turned = await seen(page)
  t.same([turned.rotation, turned.yUp], [180, true])
  await page.keyboard.press('n')
  const back = await seen(page)
  t.same([back.rotation, back.yUp], [0, false])
  await page.keyboard.press('f')
  await page.waitForFunction(() => document.fullscreenElement !== null)
  await page.keyboard.press('f')
  await page.waitForFunction(() => document.fullscreenElement === null)
  t.same(errors, [])
})
