import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Browser, Page } from 'playwright-core'
import sharp from 'sharp'
import t, { type Test } from 'tap'
import { brightness, type Contrast, colourStep } from '../../public/contrast/contrast.js'
import { fileName } from '../../public/share/file-name.js'
import { buildPyramid } from '../../src/engine/build-pyramid.js'
import { DEFAULT_SETTINGS } from '../../src/pyramid/build-settings.js'
import { openPyramid } from '../../src/pyramid/open-pyramid.js'
import type { Pyramid } from '../../src/pyramid/pyramid.js'
import { coloursOf } from '../../src/render/colour-maps.js'
import { readNpy } from '../../src/sources/npy.js'
import { type SyntheticFrame, syntheticSource } from '../pyramid/synthetic-source.js'
import { launchBrowser, type OpenPage, openPage, pageBundle, readScreen, SHARP, untilReady } from './browser.js'
import { servePage } from './page-server.js'
import { EDGE, grey, readSamples, viewOf } from './picture-truth.js'

const SIZE = { width: 500, height: 420 }
const ORIGIN_UM = { x: 10_000, y: -3000 }
const PIXEL_UM = { x: 0.5, y: 0.5 }
/** Uncovered, on a dark and on a light ground. */
const UNCOVERED = { dark: [0x1c, 0x1e, 0x21], light: [0xcd, 0xd1, 0xd6] }

const folder = t.testdir({})

/** Two z-planes of four frames, with a hole in the middle of what they cover. */
async function build(name: string, shift = 0): Promise<string> {
  const places = [0, 1].flatMap(zPlane =>
    [
      [0, 0],
      [300, 40],
      [20, 300],
      [330, 310],
    ].map(([x = 0, y = 0]): SyntheticFrame => ({ xUm: ORIGIN_UM.x + shift + x, yUm: ORIGIN_UM.y + y, zPlane })),
  )
  const source = syntheticSource({
    url: name,
    frames: places,
    frameSize: SIZE,
    pixelSizeUm: PIXEL_UM,
    darkLevel: 20,
    sample: (frame, x, y) => 100 + ((x * 3 + y * 7 + frame * 41) % 900),
  })
  const output = join(folder, name)
  await buildPyramid({
    sources: [source],
    output,
    settings: { ...DEFAULT_SETTINGS, blend: 'last' },
    overwrite: true,
    strict: true,
    software: 'tilestage test',
  })
  return output
}

let browser: Browser
let assetsFolder: string
let first: string
let second: string

t.before(async () => {
  ;[browser, assetsFolder, first, second] = await Promise.all([
    launchBrowser(),
    pageBundle(),
    build('plate 06'),
    build('plate_07', 40_000),
  ])
})
t.teardown(() => browser.close())

async function serve(t: Test, pyramids: readonly string[]): Promise<string> {
  const server = await servePage(assetsFolder, pyramids, { software: 'tilestage 9.9' })
  t.teardown(() => server.close())
  return server.url
}

async function open(t: Test, url: string, options?: Parameters<typeof openPage>[2]): Promise<OpenPage> {
  const opened = await openPage(browser, url, options)
  t.teardown(() => opened.leave())
  return opened
}

async function truth(t: Test, path: string): Promise<Pyramid> {
  const pyramid = await openPyramid(path)
  t.teardown(() => pyramid.close())
  return pyramid
}

/** What the address says once it has come to rest: a timer that is set later, for longer, ends later. */
async function linkOf(page: Page): Promise<URLSearchParams> {
  await untilReady(page)
  await page.evaluate(() => new Promise(resolve => setTimeout(resolve, 600)))
  await page.waitForURL(await page.evaluate(() => location.href))
  return new URLSearchParams(new URL(page.url()).hash.slice(1))
}

const setField = async (page: Page, name: string, value: string): Promise<void> => {
  await page.fill(`input[name=${name}]`, value)
  await page.press(`input[name=${name}]`, 'Enter')
}

t.test('a link shows another page the same, pixel by pixel', async t => {
  const url = await serve(t, [first])
  const { page, errors } = await open(t, url, SHARP)
  await linkOf(page)
  t.match(page.url(), /#id=/, 'the address tells what is seen before anything was done')

  await page.mouse.move(500, 500)
  await page.mouse.down()
  await page.mouse.move(431, 467, { steps: 3 })
  await page.mouse.up()
  await page.mouse.wheel(0, -333)
  await page.keyboard.press('t')
  await page.keyboard.press('y')
  await page.keyboard.press('.')
  await page.keyboard.press('i')
  await setField(page, 'black', '180')
  await setField(page, 'white', '790')
  await setField(page, 'gamma', '0.7')
  await page.click('#picture', { position: { x: 5, y: 500 } })
  await page.keyboard.press('Escape')
  await page.keyboard.press('d')
  await page.mouse.move(600, 5)
  await page.evaluate(() => (document.activeElement as HTMLElement).blur())
  const link = await linkOf(page)
  t.match(Object.fromEntries(link), {
    rot: '90',
    up: '1',
    z: '1',
    dock: 'closed',
    c: /^0:180\.\.790,g0\.7,.*inverted/,
  })
  t.equal(await page.evaluate(() => history.length), 2, 'no entries in the history')

  const other = await open(t, page.url(), SHARP)
  await other.page.mouse.move(600, 5)
  t.same(await linkOf(other.page), link)
  const [screen, otherScreen] = [await readScreen(page), await readScreen(other.page)]
  t.ok(screen.rgb.equals(otherScreen.rgb), 'the screens are equal')

  await page.keyboard.press('m')
  await page.mouse.click(200, 300)
  await page.mouse.click(400, 500)
  await page.keyboard.press('Escape')
  await page.keyboard.press('o')
  const measured = await linkOf(page)
  t.match(Object.fromEntries(measured), { m: /^length:/, layers: /outlines/ })
  await other.page.goto(page.url())
  t.same(await linkOf(other.page), measured, 'a measurement, in an address that is followed')
  t.same([...errors, ...other.errors], [])
})

t.test('the address follows a swap, and a link to another pyramid is shown as pinned', async t => {
  const url = await serve(t, [first, second])
  const { page, errors } = await open(t, url)
  const before = await linkOf(page)
  const link = page.url()
  await fetch(`${url}set_tile_source?tile_dir=${encodeURIComponent(second)}`, { redirect: 'manual' })
  await page.waitForSelector('#chooser b:text-is("plate_07")')
  const after = await linkOf(page)
  t.not(after.get('id'), before.get('id'))
  t.ok(Number(after.get('x')) > Number(before.get('x')) + 30_000)
  t.notMatch(page.url(), /pyramid=/, 'the page still follows the server')

  const other = await open(t, link)
  await other.page.waitForSelector('#notice:has-text("This link shows plate 06. The server now shows plate_07.")')
  t.equal(await other.page.textContent('#chooser b'), 'plate 06')
  t.match(other.page.url(), /\?pyramid=/)
  await other.page.click('#chooser')
  t.match(await other.page.textContent('#chooser-menu [aria-checked=true]'), /plate 06/)
  await other.page.keyboard.press('Escape')
  await other.page.click('#notice :text("Follow the server")')
  await other.page.waitForSelector('#chooser b:text-is("plate_07")')
  t.equal((await linkOf(other.page)).get('id'), after.get('id'))
  t.notMatch(other.page.url(), /pyramid=/)
  t.same([...errors, ...other.errors], [])
})

t.test('what a link names and is not there, or makes no sense, is told in a sentence and does no harm', async t => {
  const url = await serve(t, [first])
  const pyramid = await truth(t, first)
  const { page, errors } = await open(t, `${url}#token=secret&x=10100&y=-2900&um=0.5`)
  const { x0, umPerPx } = await viewOf(page)
  t.equal(umPerPx, 0.5)
  t.notMatch(page.url(), /secret/)
  t.equal(await page.evaluate(() => sessionStorage.getItem('tilestage-token')), 'secret')
  const follow = async (hash: string, told?: string): Promise<void> => {
    await page.evaluate(text => {
      location.hash = text
    }, hash)
    if (told) await page.waitForSelector(`#notice:has-text("${told}")`)
    await untilReady(page)
  }
  await follow('x=10120&y=-2900&um=0.5')
  t.equal((await viewOf(page)).x0, x0 + 40, 'an address that is edited is followed')
  t.notMatch((await linkOf(page)).toString(), /secret/)

  await follow(
    `id=${pyramid.id}&v=old&x=10100&y=-2900&um=0.25&c=0:200..300`,
    'The version of this link no longer exists',
  )
  t.match(Object.fromEntries(await linkOf(page)), { v: pyramid.version, x: '10100', y: '-2900', um: '0.25' })

  await follow('x=NaN&y=1e308&um=1e-300&c=0:1e308..1e309&rot=4&nonsense=1', 'left out: x, y, um, c, nonsense.')
  t.match(Object.fromEntries(await linkOf(page)), { x: '10100', um: '0.25', c: '0:200..300' }, 'what is seen stays')
  t.same(errors, [])

  await follow('id=gone&v=1&x=1&y=2&um=3', 'does not have the pyramid of the link: have it opened here')
  t.equal(await page.textContent('#chooser b'), 'plate 06')
  t.match(Object.fromEntries(await linkOf(page)), { id: pyramid.id, um: '0.25' }, 'the address tells what is seen')
  await follow('nonsense=1&z=77', 'left out: nonsense.')
  t.match(Object.fromEntries(await linkOf(page)), { id: pyramid.id, um: '0.25' }, 'and does so again')
  await page.click('#chooser')
  await page.click(`#chooser-menu [data-id="${pyramid.id}"]`)
  await page.waitForFunction(() => location.search.includes('pyramid='))
  t.match(Object.fromEntries(await linkOf(page)), { id: pyramid.id, um: '0.25' }, 'also when it is pinned')
  // Only that the server does not have it is logged by the browser.
  t.same(
    errors.filter(text => !/404/.test(text)),
    [],
  )
})

t.test('the link is copied, or shown where the browser does not let a page copy', async t => {
  const url = await serve(t, [first])
  const { page } = await open(t, url)
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
  const told = page.waitForSelector('#copy-link :text("Copied")')
  await page.keyboard.press('l')
  await told
  t.equal(await page.evaluate(() => navigator.clipboard.readText()), page.url())

  await page.evaluate(() => {
    Object.defineProperty(navigator, 'clipboard', { value: undefined })
    document.execCommand = () => false
  })
  await page.click('#copy-link')
  const field = page.locator('#link-popover input')
  t.equal(await field.inputValue(), page.url())
  t.equal(await page.evaluate(() => String(getSelection())), page.url(), 'selected')
  await page.keyboard.press('Escape')
  t.notOk(await field.isVisible())
})

interface FigureWishes {
  readonly format?: 'png' | 'tiff'
  readonly mm: string
  readonly background: 'dark' | 'light' | 'transparent'
  readonly parts?: readonly string[]
}

/** Save a figure at 150 dpi. @returns the file and its name. */
async function saveFigure(page: Page, { format = 'png', mm, background, parts = [] }: FigureWishes) {
  await page.keyboard.press('e')
  await page.check(`[name=figure-format][value=${format}]`)
  await page.check('[name=figure-dpi][value="150"]')
  await page.check(`[name=figure-background][value=${background}]`)
  await page.fill('[name=figure-width]', mm)
  for (const part of ['scaleBar', 'legend', 'coordinates', 'name', 'overlay'])
    await page.setChecked(`[name=figure-part][value=${part}]`, parts.includes(part))
  const facts = await page.textContent('.figure-facts')
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('.save-figure')])
  const file = await readFile(await download.path())
  await page.keyboard.press('Escape')
  return { file, facts, name: download.suggestedFilename() }
}

/** Texts of a PNG by keyword, and its px per metre. */
function readChunks(png: Buffer) {
  const texts: Record<string, string> = {}
  let pxPerMetre = 0
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) {
    const type = png.toString('latin1', at + 4, at + 8)
    const data = png.subarray(at + 8, at + 8 + png.readUInt32BE(at))
    if (type === 'pHYs') pxPerMetre = data.readUInt32BE(0)
    if (type !== 'iTXt') continue
    const end = data.indexOf(0)
    texts[data.toString('latin1', 0, end)] = data.toString('utf8', end + 5)
  }
  return { texts, pxPerMetre }
}

/** How many pixels of a figure's picture are not the samples below them, and how many were compared. */
async function compareFigure(
  image: { readonly data: Buffer; readonly width: number; readonly height: number },
  pyramid: Pyramid,
  view: { readonly x: number; readonly y: number; readonly um: number; readonly turns: number; readonly yUp: boolean },
  contrast: Contrast,
  uncovered: readonly number[],
) {
  const { originUm, pixelSizeUm, size } = pyramid.geometry
  const sample = await readSamples(pyramid, 0, { x0: 0, y0: 0, x1: size.width, y1: size.height })
  const table = coloursOf(contrast.colours)
  const counts = { covered: 0, uncovered: 0, wrong: 0 }
  for (let row = 3; row < image.height; row += 4) {
    for (let column = 1; column < image.width; column += 3) {
      let right = column + 0.5 - image.width / 2
      let down = row + 0.5 - image.height / 2
      // A quarter turn clockwise brings what was above to the right.
      for (let turn = 0; turn < view.turns; turn++) [right, down] = [down, -right]
      const x = (view.x + right * view.um - originUm.x) / pixelSizeUm.x + 0.5
      const y = (view.y + (view.yUp ? -down : down) * view.um - originUm.y) / pixelSizeUm.y + 0.5
      if ([x, y].some(value => Math.abs(value - Math.round(value)) < 0.05)) continue
      const value = sample(Math.floor(x), Math.floor(y))
      const step = value === undefined ? 0 : 4 * colourStep(brightness(value, contrast), contrast.inverted)
      const expected = value === undefined ? uncovered : table.subarray(step, step + 3)
      const at = 3 * (row * image.width + column)
      const isWrong = [0, 1, 2].some(i => Math.abs((image.data[at + i] as number) - (expected[i] as number)) > 1)
      if (value === undefined) counts.uncovered++
      else counts.covered++
      if (isWrong) counts.wrong++
    }
  }
  return counts
}

async function pixelsOf(file: Buffer) {
  const { data, info } = await sharp(file).removeAlpha().raw().toBuffer({ resolveWithObject: true })
  return { data, width: info.width, height: info.height }
}

t.test('a figure has the samples at the size that was asked for, turned and mirrored as they are seen', async t => {
  const url = await serve(t, [first])
  const pyramid = await truth(t, first)
  const contrast = { ...grey(180, 790, 0.7), colours: 'magma', inverted: true } as const
  const { page, errors } = await open(t, url)
  for (const [turns, yUp, um] of [
    [0, false, 0.4],
    [1, true, 0.31],
    [3, false, 0.2],
  ] as const) {
    const view = `x=10210.3&y=-2790.7&um=${um}&rot=${90 * turns}&up=${yUp ? 1 : 0}`
    await page.evaluate(hash => {
      location.hash = hash
    }, `${view}&c=0:180..790,g0.7,magma,inverted`)
    await untilReady(page)
    const background = turns === 0 ? 'light' : 'dark'
    const { file, facts, name } = await saveFigure(page, { mm: '200', background })
    t.match(facts, /^200\.0 × 202\.\d\smm · 1\s181 × 1\s197\spx · up to 4\.24\sMB$/)
    t.equal(name, 'plate_06_10210_-2791um.png')
    const image = await pixelsOf(file)
    t.equal(image.width, 1181)
    // Of the picture on the screen, which is 912 px wide.
    const at = { x: 10210.3, y: -2790.7, um: (um * 912) / 1181, turns, yUp }
    const compared = await compareFigure(image, pyramid, at, contrast, UNCOVERED[background])
    t.equal(compared.wrong, 0, JSON.stringify({ turns, ...compared }))
    t.ok(compared.covered > 30_000)
    const { texts, pxPerMetre } = readChunks(file)
    t.equal(pxPerMetre, 5906)
    t.match(texts, { Title: 'plate 06', Software: 'tilestage 9.9', Permalink: page.url() })
    t.match(JSON.parse(texts.Description ?? ''), {
      pyramid: { id: pyramid.id, version: pyramid.version },
      stage: { rotation: 90 * turns, yUp, centerUm: { x: 10210.3, y: -2790.7 } },
      darkLevel: 20,
      channels: [{ black: 180, white: 790, gamma: 0.7, colours: 'magma', inverted: true }],
    })
  }
  t.same(errors, [])
})

t.test('a figure is what the screen shows where their pixels are the same', async t => {
  const url = `${await serve(t, [first])}#x=10210.3&y=-2790.7&um=0.5&c=0:180..790`
  const { page } = await open(t, url, { deviceScaleFactor: 1 })
  await page.keyboard.press('h')
  await untilReady(page)
  const screen = await readScreen(page)
  const { file } = await saveFigure(page, { mm: String((1200 / 150) * 25.4), background: 'dark' })
  const image = await pixelsOf(file)
  t.same([image.width, image.height], [1200, 1000])
  let differing = 0
  for (let row = 150; row < 850; row += 3) {
    for (let column = 0; column < 1200; column++) {
      const at = 3 * (row * 1200 + column)
      // The screen draws a line along what is covered.
      if (EDGE.every((part, i) => part === screen.rgb[at + i])) continue
      const off = Math.max(
        ...[0, 1, 2].map(i => Math.abs((image.data[at + i] as number) - (screen.rgb[at + i] as number))),
      )
      if (off > 1) differing++
    }
  }
  t.ok(differing < 170, `${differing} pixels differ`)
})

t.test('words, legend and scale bar are drawn around and on a figure', async t => {
  const { page } = await open(t, `${await serve(t, [first])}#x=10210.3&y=-2790.7&um=0.4&c=0:180..790,viridis`)
  const parts = ['scaleBar', 'legend', 'coordinates', 'name']
  const { file } = await saveFigure(page, { mm: '100', background: 'light', parts })
  const image = await pixelsOf(file)
  const um = (0.4 * 912) / image.width
  t.ok(image.height > Math.round((image.width * 924) / 912) + 80, 'room for words')
  const isWhite = (x: number, y: number): boolean => image.data.readUIntBE(3 * (y * image.width + x), 3) === 0xffffff
  const bars: number[] = []
  for (let y = 400; y < image.height - 100; y++) {
    let run = 0
    for (let x = 12; x < 250; x++) {
      if (isWhite(x, y)) run++
      else if (run > 0) {
        if (run > 40) bars.push(run)
        run = 0
      }
    }
  }
  t.equal(new Set(bars).size, 1, `one bar: ${bars}`)
  const length = (bars[0] ?? 0) * um
  t.ok(
    [20, 50, 100].some(round => Math.abs(length - round) < um),
    `${length} µm`,
  )

  const tiff = await saveFigure(page, { format: 'tiff', mm: '50', background: 'light', parts })
  t.match(await sharp(tiff.file).metadata(), { format: 'tiff', channels: 3, density: 150 })
  t.match(tiff.file.toString('latin1'), /\{"software":"tilestage 9\.9","permalink":"http/)
  const png = await saveFigure(page, { mm: '50', background: 'light', parts })
  t.ok((await pixelsOf(tiff.file)).data.equals((await pixelsOf(png.file)).data), 'both formats have the same pixels')
  const clear = await saveFigure(page, { format: 'tiff', mm: '50', background: 'transparent' })
  const { data, info } = await sharp(clear.file).raw().toBuffer({ resolveWithObject: true })
  t.equal(info.channels, 4)
  t.same(new Set(data.filter((_, i) => i % 4 === 3)), new Set([0, 255]))

  await page.keyboard.press('e')
  await page.check('[name=figure-dpi][value="600"]')
  await page.fill('[name=figure-width]', '500')
  t.match(await page.textContent('.figure-facts'), /too large: up to 65 megapixels/)
  t.ok(await page.isDisabled('.save-figure'))
})

t.test('crop and Python give the samples that are seen', async t => {
  const url = await serve(t, [first])
  const pyramid = await truth(t, first)
  const { page, errors } = await open(t, `${url}#x=10210.3&y=-2790.7&um=0.2&z=1&c=0:180..790`)
  const { originUm } = pyramid.geometry
  const edge = (um: number, origin: number): number => Math.ceil((um - origin) / 0.5)
  const x0 = edge(10210.3 - 456 * 0.2, originUm.x)
  const y0 = edge(-2790.7 - 462 * 0.2, originUm.y)
  const size = { width: edge(10210.3 + 456 * 0.2, originUm.x) - x0, height: edge(-2790.7 + 462 * 0.2, originUm.y) - y0 }
  const plane = { channel: 0, zPlane: 1, timePoint: 0 }
  const sample = await readSamples(pyramid, 0, { x0, y0, x1: x0 + size.width, y1: y0 + size.height }, plane)
  const expected = Array.from({ length: size.width * size.height }, (_, i) => {
    return sample(x0 + (i % size.width), y0 + Math.floor(i / size.width)) ?? 0
  })

  await page.keyboard.press('e')
  await page.check('[name=export-kind][value=samples]')
  const facts = await page.textContent('.samples-facts')
  t.match(facts?.replace(/\s/g, ' '), new RegExp(`· ${size.width} × ${size.height} px · 26\\d kB$`))
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('.save-samples')])
  const { data, info } = await sharp(await readFile(await download.path()))
    .toColourspace('grey16')
    .raw({ depth: 'ushort' })
    .toBuffer({ resolveWithObject: true })
  t.match(info, size)
  const counts = new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2)
  t.ok(
    expected.every((value, i) => value === counts[i]),
    'the crop',
  )

  await page.check('[name=export-kind][value=python]')
  const code = await page.inputValue('.python-code')
  const [npyUrl = ''] = /http:[^"]*/.exec(code) ?? []
  const array = readNpy(new Uint8Array(await (await fetch(npyUrl)).arrayBuffer()), npyUrl)
  t.same(array.shape, [1, size.height, size.width])
  t.ok(
    expected.every((value, i) => value === array.samples[i]),
    'the array',
  )
  const sum = expected.reduce((total, value) => total + value, 0)
  const printed = await runPython(
    `${code}\nprint(samples.shape, samples.sum(dtype=int), x_um[0], pixel_size_um, dark_level)`,
  )
  const left = originUm.x + (x0 - 0.5) * 0.5
  const answer = `(1, ${size.height}, ${size.width}) ${sum} ${left} (0.5, 0.5) 20`
  if (printed === undefined) t.comment('There is no python3 with numpy here: the array was read without it.')
  else t.equal(printed, answer)
  t.same(errors, [])
})

/** @returns what a program prints; undefined where there is no Python with numpy. */
async function runPython(code: string): Promise<string | undefined> {
  for (const python of ['python3', '/usr/bin/python3']) {
    const hasNumpy = await promisify(execFile)(python, ['-c', 'import numpy']).then(
      () => true,
      () => false,
    )
    if (hasNumpy) return (await promisify(execFile)(python, ['-c', code])).stdout.trim()
  }
  return undefined
}

t.test('on a wall there are the picture, its name, scale bar and state, in larger letters', async t => {
  const { page, errors } = await open(t, `${await serve(t, [first])}?display=wall`)
  for (const part of ['#chooser b', '#connection', '#scale-bar']) t.ok(await page.isVisible(part), part)
  for (const part of ['#dock', '#status', '#tools', '#facts', '#copy-link', '#overview'])
    t.notOk(await page.isVisible(part), part)
  t.equal(await page.evaluate(() => getComputedStyle(document.body).fontSize), '19.5px')
  t.same(errors, [])
})

t.test('names of files say what they show, in characters that every disk takes', async t => {
  t.equal(fileName('plate 07/µ:x', 'A1', { x: 10212.4, y: -3.6 }, 'png'), 'plate_07_µ_x_A1_10212_-4um.png')
  t.equal(fileName('../..', undefined, { x: 0, y: 0 }, 'tif'), 'pyramid_0_0um.tif')
})
