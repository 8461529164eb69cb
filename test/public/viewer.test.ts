import { createServer, request as httpRequest } from 'node:http'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import t, { type Test } from 'tap'
import { formatCoordinate, formatSample } from '../../public/parts/number-format.js'
import { buildPyramid } from '../../src/engine/build-pyramid.js'
import { type BuildSettings, DEFAULT_SETTINGS } from '../../src/pyramid/build-settings.js'
import { openPyramid } from '../../src/pyramid/open-pyramid.js'
import type { Pyramid } from '../../src/pyramid/pyramid.js'
import type { RunningServer } from '../../src/server/serve.js'
import type { FrameSource } from '../../src/sources/frame-source.js'
import { openSources } from '../../src/sources/open-source.js'
import { freePort } from '../free-port.js'
import { syntheticSource } from '../pyramid/synthetic-source.js'
import {
  launchBrowser,
  noticeWith,
  type OpenPage,
  openPage,
  PHONE,
  pageBundle,
  readScreen,
  SHARP,
  untilReady,
} from './browser.js'
import { servePage } from './page-server.js'
import {
  comparePicture,
  contrastOf,
  differs,
  EDGE,
  FREE,
  grey,
  levelRect,
  PICTURE_TOP,
  readSamples,
  setContrast,
  tileRequests,
  truthOf,
  typeContrast,
  VOID,
  viewOf,
} from './picture-truth.js'

const folder = t.testdir({})
const plate = ['well_A1', 'well_A2', 'well_B1'].map(
  name => new URL(`../../examples/plate/${name}.pcs`, import.meta.url).pathname,
)

async function buildFrom(
  sources: readonly FrameSource[],
  name: string,
  settings: Partial<BuildSettings> = {},
  overwrite = false,
): Promise<string> {
  const output = join(folder, name)
  await buildPyramid({
    sources,
    output,
    settings: { ...DEFAULT_SETTINGS, ...settings },
    overwrite,
    strict: true,
    software: 'tilestage test',
  })
  return output
}

async function buildPlate(name: string, series = plate): Promise<string> {
  const { sources } = await openSources(series)
  const output = await buildFrom(sources as FrameSource[], name)
  for (const source of sources) await source.close()
  return output
}

let browser: Browser
let assetsFolder: string
let platePath: string
let wellPath: string

t.before(async () => {
  ;[browser, assetsFolder, platePath, wellPath] = await Promise.all([
    launchBrowser(),
    pageBundle(),
    buildPlate('plate'),
    buildPlate('other_well', plate.slice(1, 2)),
  ])
})
t.teardown(() => browser.close())

async function serve(t: Test, pyramids: readonly string[]): Promise<string> {
  return (await start(t, pyramids)).url
}

async function start(t: Test, pyramids: readonly string[], port = 0): Promise<RunningServer> {
  const server = await servePage(assetsFolder, pyramids, { port })
  t.teardown(() => server.close())
  return server
}

async function open(t: Test, url: string, options?: Parameters<typeof openPage>[2]): Promise<OpenPage> {
  const opened = await openPage(browser, url, options)
  t.teardown(() => opened.leave())
  return opened
}

async function openTruth(t: Test, path: string): Promise<Pyramid> {
  const pyramid = await openPyramid(path)
  t.teardown(() => pyramid.close())
  return pyramid
}

t.test('every pixel of the picture is its sample through the chosen window, and contrast fetches nothing', async t => {
  const opened = await open(t, await serve(t, [platePath]), SHARP)
  const { page } = opened
  const pyramid = await openTruth(t, platePath)
  const fitted = await comparePicture(t, page, truthOf(pyramid), await contrastOf(page), 'automatic contrast, fitted')
  t.ok(fitted.covered > 20_000)

  await page.keyboard.press('1')
  await untilReady(page)
  t.equal((await viewOf(page)).umPerPx, pyramid.geometry.pixelSizeUm.x, 'one screen pixel per sample')
  const before = tileRequests(opened).length
  for (const contrast of [
    grey(100, 600),
    grey(150, 160),
    grey(140, 900, 0.5),
    { ...grey(120, 500), inverted: true },
    { ...grey(100, 800), colours: 'magma' } as const,
    { ...grey(100, 800), colours: 'cividis', inverted: true } as const,
  ]) {
    const { black, white, gamma, colours, inverted } = contrast
    await (inverted ? typeContrast : setContrast)(page, contrast)
    await comparePicture(
      t,
      page,
      truthOf(pyramid),
      contrast,
      `${black} to ${white}, gamma ${gamma}, ${colours}${inverted ? ', inverted' : ''}`,
    )
  }
  t.equal(tileRequests(opened).length, before, 'no tile was asked for')

  await setContrast(page, grey(150, 160))
  for (let i = 0; i < 5; i++) await page.keyboard.press('+')
  await comparePicture(t, page, truthOf(pyramid), grey(150, 160), 'magnified')
  await page.keyboard.press('0')
  for (let i = 0; i < 2; i++) await page.keyboard.press('-')
  const small = await comparePicture(t, page, truthOf(pyramid), grey(150, 160), 'from a coarser level')
  t.ok(small.uncovered > 5000, 'the border of the well is in view')
  const screen = await readScreen(page)
  const row = Array.from({ length: FREE.x1 - FREE.x0 }, (_, x) => x + FREE.x0)
  const border = row.findIndex(column => differs(screen, column, 250, VOID))
  t.notOk(differs(screen, border + FREE.x0, 250, EDGE), 'one pixel of border')
  t.ok(
    differs(screen, border + FREE.x0 + 1, 250, EDGE) && differs(screen, border + FREE.x0 + 1, 250, VOID),
    'then samples',
  )
  t.same(opened.errors, [])
})

t.test('floating-point samples below zero are drawn and read out as they are', async t => {
  const sample = (_: number, x: number, y: number): number => Math.fround(Math.sin(x / 9) * Math.cos(y / 7) - 0.25)
  const frames = [{ xUm: -50, yUm: 20 }]
  const source = syntheticSource({ frames, sample, sampleType: 'float32', frameSize: { width: 300, height: 280 } })
  const path = await buildFrom([source], 'floats')
  const { page, errors } = await open(t, await serve(t, [path]), SHARP)
  const pyramid = await openTruth(t, path)
  const centred = { ...(await contrastOf(page)), colours: 'blue-red' } as const
  await comparePicture(t, page, truthOf(pyramid), centred, 'automatic contrast')
  await setContrast(page, grey(-0.5, 0.25))
  await comparePicture(t, page, truthOf(pyramid), grey(-0.5, 0.25), 'around zero')
  const view = await viewOf(page)
  const [x, y] = [view.x0 + 303.5 * view.umPerPx, view.y0 + 305.5 * view.umPerPx].map(Math.floor)
  await page.mouse.move(303.5, 305.5 + PICTURE_TOP)
  const value = (await readSamples(pyramid, 0, levelRect(view)))(x as number, y as number)
  t.equal(await page.textContent('#status .sample'), formatSample(value as number, false))
  t.same(errors, [])
})

t.test('the read-out gives stage position and stored counts under the pointer', async t => {
  const { page } = await open(t, await serve(t, [platePath]), { deviceScaleFactor: 1 })
  const pyramid = await openTruth(t, platePath)
  const { originUm, pixelSizeUm } = pyramid.geometry
  await page.keyboard.press('1')
  await untilReady(page)
  const view = await viewOf(page)
  const sample = await readSamples(pyramid, 0, levelRect(view))
  for (const [column, row] of [
    [300, 300],
    [457, 611],
    [702, 255],
  ] as const) {
    await page.mouse.move(column, row + PICTURE_TOP)
    const x = view.x0 + (column * view.umPerPx) / pixelSizeUm.x
    const y = view.y0 + (row * view.umPerPx) / pixelSizeUm.y
    const value = sample(Math.floor(x), Math.floor(y))
    t.equal(
      await page.textContent('#status .x'),
      formatCoordinate(originUm.x + (x - 0.5) * pixelSizeUm.x, view.umPerPx),
    )
    t.equal(
      await page.textContent('#status .y'),
      formatCoordinate(originUm.y + (y - 0.5) * pixelSizeUm.y, view.umPerPx),
    )
    t.equal(await page.textContent('#status .sample'), `${formatSample(value as number, true)} counts`)
    t.match(await page.textContent('#status .source'), /^well_A1, frame/)
  }
  await page.keyboard.press('0')
  await untilReady(page)
  await page.mouse.move(20, PICTURE_TOP + 500)
  t.equal(await page.textContent('#status .sample'), 'no frame here')
})

t.test('an open page follows set_tile_source without a reload, and says so', async t => {
  const url = await serve(t, [platePath, wellPath])
  const opened = await open(t, url, SHARP)
  const { page } = opened
  const swapTo = (path: string): Promise<Response> =>
    fetch(`${url}set_tile_source?tile_dir=${encodeURIComponent(path)}`, { redirect: 'manual' })
  let loads = 0
  page.on('load', () => loads++)

  t.equal((await swapTo(wellPath)).status, 303)
  t.match(
    await noticeWith(page, 'Now showing other_well'),
    /Now showing other_well\. Different stage area: fitted, contrast automatic\./,
  )
  t.equal(await page.textContent('#chooser b'), 'other_well')
  await comparePicture(t, page, truthOf(await openTruth(t, wellPath)), await contrastOf(page), 'the other pyramid')

  t.equal((await swapTo(join(folder, 'nowhere'))).status, 404)
  t.match(await noticeWith(page, 'Swap refused'), /Still showing other_well/)

  await setContrast(page, grey(150, 400))
  const before = await viewOf(page)
  t.equal((await swapTo(platePath)).status, 303)
  t.match(await noticeWith(page, 'Now showing plate'), /Same stage area: view and contrast kept\./)
  t.equal(await page.textContent('#chooser b'), 'plate')
  // Notices stay as long as they are pointed at.
  await page.hover('#notice')
  t.equal((await viewOf(page)).umPerPx, before.umPerPx)
  await comparePicture(t, page, truthOf(await openTruth(t, platePath)), grey(150, 400), 'view and contrast kept')

  await page.click('#notice :text("Go back")')
  await page.waitForSelector('#chooser b:text-is("other_well")')
  t.match(page.url(), /\?pyramid=/, 'going back pins the pyramid')
  t.equal(loads, 0)
  // The refused swap was asked for by the test, not by the page.
  t.same(opened.errors, [])
})

t.test('a pyramid that is built anew under an open page is shown anew', async t => {
  const series = plate.slice(2)
  const path = await buildPlate('rebuilt', series)
  const opened = await open(t, await serve(t, [path]), SHARP)
  const { page, errors } = opened
  const contrast = grey(130, 500)
  await setContrast(page, contrast)
  const before = await openPyramid(path)
  const { version } = before
  await before.close()
  const { sources } = await openSources(series)
  await buildFrom(sources as FrameSource[], 'rebuilt', { blend: 'last', dark: 0 }, true)
  const pyramid = await openTruth(t, path)
  t.not(pyramid.version, version)
  while (!tileRequests(opened).some(url => url.includes(pyramid.version))) await page.waitForEvent('request')
  await comparePicture(t, page, truthOf(pyramid), contrast, 'the new samples, contrast kept')
  t.same(errors, [])
})

t.test('a lost server is told, and the page heals when it is back', async t => {
  const port = await freePort()
  const server = await start(t, [platePath], port)
  const { page } = await open(t, server.url)
  await page.waitForSelector('#connection[data-state=live]')
  await server.close()
  await page.waitForSelector('#notice:has-text("Server not reachable")')
  t.equal(await page.textContent('#connection .word'), 'Offline')
  await start(t, [wellPath], port)
  await page.click('#notice :text("Try now")')
  await page.waitForSelector('#connection[data-state=live]')
  await page.waitForSelector('#chooser b:text-is("other_well")')
  t.notMatch(await page.textContent('#notice'), /not reachable/)
})

t.test('wells, overview and keys move the view', async t => {
  const { page } = await open(t, await serve(t, [platePath]))
  const name = (): Promise<string | null> => page.textContent('.well-name')
  t.equal(await name(), 'A1')
  await page.keyboard.press(']')
  await untilReady(page)
  t.equal(await name(), 'A2')
  await page.click('.well[aria-label^="B1"]')
  await untilReady(page)
  t.equal(await name(), 'B1')
  t.match(await page.textContent('.well-facts'), /25 frames/)
  await page.keyboard.press('1')
  await page.keyboard.press('+')
  await untilReady(page)
  const before = await viewOf(page)
  await page.click('#overview', { position: { x: 30, y: 30 } })
  await untilReady(page)
  const after = await viewOf(page)
  t.ok(after.x0 < before.x0 && after.y0 < before.y0, 'up and to the left')
  await page.keyboard.press('Shift+Digit0')
  await untilReady(page)
  t.match(await page.textContent('.well-facts'), /Whole plate/)
  t.equal(await page.isVisible('#overview'), false, 'all is visible')
  await page.keyboard.press('?')
  t.ok(await page.isVisible('#keys'))
})

t.test('handles of the histogram move with arrow keys and pointer', async t => {
  const { page } = await open(t, await serve(t, [platePath]))
  const black = page.locator('.handle.black')
  const start = Number(await black.getAttribute('aria-valuenow'))
  await black.focus()
  await page.keyboard.press('ArrowRight')
  await page.keyboard.press('Shift+ArrowRight')
  await untilReady(page)
  t.equal(Number(await black.getAttribute('aria-valuenow')), start + 11)
  t.match(await black.getAttribute('aria-valuetext'), /counts$/)
  const white = page.locator('.handle.white')
  const whiteStart = Number(await white.getAttribute('aria-valuenow'))
  const box = await white.boundingBox()
  t.ok(box)
  if (!box) return
  await page.mouse.move(box.x + 12, box.y + 60)
  await page.mouse.down()
  await page.mouse.move(box.x - 60, box.y + 60, { steps: 4 })
  await page.mouse.up()
  await untilReady(page)
  t.ok(Number(await white.getAttribute('aria-valuenow')) < whiteStart - 100)
  t.equal(
    await page.inputValue('input[name=white]').then(text => Number(text.replace(/\s/g, ''))),
    Number(await white.getAttribute('aria-valuenow')),
  )
})

t.test('below a path prefix everything stays there, and no other host is asked', async t => {
  const target = new URL(await serve(t, [platePath]))
  const prefix = '/user/ann/proxy/8979'
  const proxy = createServer((incoming, outgoing) => {
    if (!incoming.url?.startsWith(`${prefix}/`)) {
      outgoing.writeHead(404).end()
      return
    }
    const { method, headers } = incoming
    const onward = httpRequest(new URL(incoming.url.slice(prefix.length), target), { method, headers }, reply => {
      outgoing.writeHead(reply.statusCode ?? 502, reply.headers)
      reply.pipe(outgoing)
    })
    onward.on('error', () => outgoing.destroy())
    outgoing.on('close', () => onward.destroy())
    incoming.pipe(onward)
  })
  await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    proxy.closeAllConnections()
    proxy.close()
  })
  const { port } = proxy.address() as { port: number }
  const { page, requests, errors } = await open(t, `http://127.0.0.1:${port}${prefix}/`, SHARP)
  await page.waitForSelector('#connection[data-state=live]')
  await comparePicture(t, page, truthOf(await openTruth(t, platePath)), await contrastOf(page), 'below a prefix')
  const outside = requests.filter(
    url => !url.startsWith(`http://127.0.0.1:${port}${prefix}/`) && !url.startsWith('data:'),
  )
  t.same(outside, [])
  t.same(errors, [])
})

t.test('on a phone nothing overflows, and everything can be hit with a finger', async t => {
  const { page } = await open(t, await serve(t, [platePath]), { ...PHONE, deviceScaleFactor: 2 })
  const overflow = (): Promise<number> => page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
  t.equal(await overflow(), 0)
  t.match(await page.textContent('#status .sample'), /counts$/, 'without hover the centre is read out')
  for (const sheet of ['contrast', 'plate', 'measurements']) {
    await page.tap(`#tabs [data-sheet=${sheet}]`)
    await untilReady(page)
    t.ok(await page.isVisible(`#${sheet}`))
    t.equal(await overflow(), 0, sheet)
    const small = await page.evaluate(() =>
      Array.from(document.querySelectorAll<HTMLElement>('button, input, select, [role=slider]'))
        .filter(target => target.checkVisibility({ visibilityProperty: true }))
        .map(target => ({
          name: target.id || target.className || target.getAttribute('name'),
          box: target.getBoundingClientRect(),
        }))
        .filter(({ box }) => box.width < 24 || box.height < 24)
        .map(({ name, box }) => `${name} ${box.width} × ${box.height}`),
    )
    t.same(small, [], `${sheet}: targets of 24 px or more`)
  }
})

t.test('a server without a pyramid says what to do, and the page opens the first one by itself', async t => {
  const url = await serve(t, [])
  const { page, errors } = await open(t, url, SHARP)
  t.ok(await page.isVisible('text=Nothing to show yet'))
  await fetch(`${url}set_tile_source?tile_dir=${encodeURIComponent(platePath)}`, { redirect: 'manual' })
  await page.waitForSelector('#chooser b:text-is("plate")')
  await untilReady(page)
  await comparePicture(t, page, truthOf(await openTruth(t, platePath)), await contrastOf(page), 'the first pyramid')
  t.same(errors, [])
})
