import { EventEmitter, once } from 'node:events'
import { join } from 'node:path'
import { build as bundle } from 'esbuild'
import type { Browser, Page } from 'playwright-core'
import sharp from 'sharp'
import t, { type Test } from 'tap'
import type { Contrast } from '../../public/contrast/contrast.js'
import type { Levels, Look } from '../../public/picture/look.js'
import type { PyramidInfo } from '../../public/server/pyramid-api.js'
import { buildPyramid } from '../../src/engine/build-pyramid.js'
import type { SampleType } from '../../src/plane.js'
import { DEFAULT_SETTINGS } from '../../src/pyramid/build-settings.js'
import { openPyramid } from '../../src/pyramid/open-pyramid.js'
import type { Pyramid } from '../../src/pyramid/pyramid.js'
import { syntheticSource } from '../pyramid/synthetic-source.js'
import {
  launchBrowser,
  type OpenPage,
  openPage,
  pageBundle,
  readScreen,
  type Screen,
  SHARP,
  untilReady,
} from './browser.js'
import { servePage } from './page-server.js'
import {
  compareLook,
  differs,
  EDGE,
  type Exposed,
  FIRST_PLANE,
  FREE,
  grey,
  lookOf,
  PICTURE_TOP,
  setLook,
  tileRequests,
  truthOf,
  VOID,
} from './picture-truth.js'

const folder = t.testdir({})
const CHANNELS = 4
const FRAME = { width: 300, height: 280 }

/** Of each channel other values: counts around 60,000, a ramp, waves, and a few levels. */
function count(channel: number, zPlane: number, x: number, y: number): number {
  if (channel === 0) return 60_000 + ((3 * x + 5 * y + 4 * zPlane) % 17)
  if (channel === 1) return 400 + 2 * x + 3 * y + 50 * zPlane
  if (channel === 2) return Math.round(1000 + 500 * Math.sin(x / 11) * Math.cos(y / 13)) + 90 * zPlane
  return 100 * ((Math.floor(x / 8) + Math.floor(y / 8)) % 5) + 30 * zPlane
}

const signed = (channel: number, x: number, y: number): number =>
  (x + 2 * y) % 23 === 0 ? Number.NaN : Math.fround((channel + 1) * Math.sin(x / 9) * Math.cos(y / 7))

/** Two wells of two z-planes. Channels lie a little apart, so that each covers what others do not. */
async function buildWells(name: string, sampleType: SampleType): Promise<string> {
  const wells = ['A1', 'A2'].map((well, i) => {
    const planes = Array.from({ length: 2 * CHANNELS }, (_, p) => ({
      channel: p % CHANNELS,
      zPlane: Math.floor(p / CHANNELS),
    }))
    const frames = planes.map(plane => ({ xUm: 400 * i + 20 * plane.channel, yUm: 10 * plane.channel, ...plane }))
    const sample = (frame: number, x: number, y: number): number => {
      const { channel = 0, zPlane = 0 } = frames[frame] ?? {}
      return sampleType === 'uint16' ? count(channel, zPlane, x, y) : signed(channel, x, y)
    }
    return syntheticSource({ url: well, well, frames, sample, sampleType, frameSize: FRAME })
  })
  const output = join(folder, name)
  await buildPyramid({
    sources: wells,
    output,
    settings: DEFAULT_SETTINGS,
    overwrite: false,
    strict: true,
    software: 'tilestage test',
  })
  return output
}

let browser: Browser
let assetsFolder: string
let countsPath: string
let floatsPath: string

t.before(async () => {
  ;[browser, assetsFolder, countsPath, floatsPath] = await Promise.all([
    launchBrowser(),
    pageBundle(),
    buildWells('counts', 'uint16'),
    buildWells('floats', 'float32'),
  ])
})
t.teardown(() => browser.close())

/** Show a pyramid with the real server, and read its samples without it. */
async function open(t: Test, path: string): Promise<OpenPage & { url: string; info: PyramidInfo; pyramid: Pyramid }> {
  const server = await servePage(assetsFolder, [path])
  t.teardown(() => server.close())
  const pyramid = await openPyramid(path)
  t.teardown(() => pyramid.close())
  const opened = await openPage(browser, server.url, SHARP)
  t.teardown(() => opened.leave())
  // The names of the wells would be in the way.
  await opened.page.addStyleTag({ content: '#labels { visibility: hidden }' })
  await opened.page.keyboard.press('+')
  await untilReady(opened.page)
  const { pyramids } = (await (await fetch(`${server.url}pyramids`)).json()) as { pyramids: { id: string }[] }
  const info = (await (await fetch(`${server.url}pyramids/${pyramids[0]?.id}`)).json()) as PyramidInfo
  return { ...opened, url: server.url, info, pyramid }
}

const [RED, GREEN, BLUE]: Contrast['colours'][] = ['#f0561d', '#30d040', '#3d8bff']
const NARROW = { ...grey(60_002, 60_012), colours: RED as Contrast['colours'] }
const RAMP = { ...grey(500, 1500, 0.6), colours: GREEN as Contrast['colours'] }
const WAVES = { ...grey(600, 1400, 1.7), colours: BLUE as Contrast['colours'] }
const STEPS = { ...grey(50, 380), colours: '#f5ea6b' } as const

/** The channels of a look, by number. */
const only = (...channels: readonly number[]): Look => ({
  ...lookOf(),
  channels: channels.map(channel => ({ channel, contrast: [NARROW, RAMP, WAVES, STEPS][channel] as Contrast })),
})

t.test('colours of up to four channels add up, each with its own contrast, and contrast fetches nothing', async t => {
  const opened = await open(t, countsPath)
  const { page, pyramid } = opened
  const truth = truthOf(pyramid)
  for (const channels of [[0], [0, 1], [2, 1, 3], [0, 1, 2, 3]]) {
    await setLook(page, only(...channels))
    const { covered, uncovered } = await compareLook(t, page, truth, only(...channels), `channels ${channels}`)
    t.ok(covered > 20_000 && uncovered > 2000)
  }
  const asked = tileRequests(opened).length
  const looks: Record<string, Look> = {
    'square root, logarithm, a map and grey': lookOf(
      { ...NARROW, stretch: 'sqrt' },
      { ...RAMP, stretch: 'log', colours: 'magma' },
      { ...WAVES, colours: 'blue-red' },
      grey(0, 2000),
    ),
    'inverted, with a colour and with a map': lookOf(
      { ...NARROW, inverted: true },
      { ...RAMP, stretch: 'log', gamma: 3, inverted: true },
      { ...WAVES, colours: 'viridis', inverted: true },
      { ...STEPS, gamma: 0.2 },
    ),
  }
  for (const [what, look] of Object.entries(looks)) {
    await setLook(page, look)
    await compareLook(t, page, truth, look, what)
  }
  const marking = { ...only(0, 1), marksClipped: true }
  await setLook(page, marking)
  const { covered, marked } = await compareLook(t, page, truth, marking, 'clipped samples marked')
  t.ok(marked > 0.2 * covered)
  t.equal(tileRequests(opened).length, asked, 'no tile was asked for')
  await setLook(page, { ...marking, channels: [] })
  const { covered: none } = await compareLook(t, page, truth, lookOf(), 'all channels hidden')
  t.equal(none, 0)
  t.same(opened.errors, [])
})

t.test('channels and slices are asked for once; what was drawn stays until they are there', async t => {
  const opened = await open(t, countsPath)
  const { page, pyramid } = opened
  const truth = await lookAtOneOnly(page, pyramid)
  const asked = async (change: () => Promise<unknown>): Promise<Set<string>> => {
    const before = tileRequests(opened).length
    await change()
    await untilReady(page)
    const queries = tileRequests(opened)
      .slice(before)
      .map(url => new URL(url).searchParams)
    return new Set(queries.map(query => `channel ${query.get('channel')}, z ${query.get('depth')}`))
  }
  const show = (...channels: number[]) => asked(() => setLook(page, only(...channels)))
  const before = await freePixels(page)
  const { held, release } = await hold(page, /\/tiles\/.*channel=2/)
  await setLook(page, only(0, 2))
  await held
  t.ok(before.equals(await freePixels(page)), 'while the other channel is on its way nothing has changed')
  release()
  await compareLook(t, page, truth, only(0, 2), 'then it is there')
  t.same(await show(0, 1, 2), new Set(['channel 1, z 1']))
  t.same(await show(1), new Set(), 'solo')
  await compareLook(t, page, truth, only(1), 'solo')
  t.same(await show(0, 1, 2), new Set(), 'and all back')
  t.same(await show(3), new Set(['channel 3, z 1']), 'one alone that was never shown')
  await compareLook(t, page, truth, only(3), 'a channel instead of others')
  const slide = (key: string) => asked(() => page.press('#planes input', key))
  t.same(await slide('ArrowLeft'), new Set(), 'the slice before')
  await setLook(page, only(0))
  await compareLook(t, page, truthOf(pyramid), only(0), 'the slice before')
  t.same(await slide('ArrowRight'), new Set(), 'and back')
  t.same(opened.errors, [])
})

t.test('smooth pictures are interpolated across tiles, and nothing bleeds in from what is not covered', async t => {
  const { page, pyramid, errors } = await open(t, countsPath)
  const truth = truthOf(pyramid)
  const look = { ...only(1, 2), smooth: true }
  await setLook(page, look)
  await page.keyboard.press('1')
  for (let i = 0; i < 3; i++) await page.keyboard.press('+')
  const { covered } = await compareLook(t, page, truth, look, 'enlarged, two channels, over the borders of tiles')
  t.ok(covered > 10_000)
  await page.keyboard.press('Shift+ArrowUp')
  const edge = await compareLook(t, page, truth, look, 'at the border of what is covered')
  t.ok(edge.uncovered > 1000 && edge.covered > 1000)
  await setLook(page, { ...look, smooth: false })
  await compareLook(t, page, truth, { ...look, smooth: false }, 'rectangles again')
  t.same(errors, [])
})

t.test('wells have levels of their own, all at once', async t => {
  const { page, pyramid, info, errors } = await open(t, countsPath)
  t.same(
    info.wells.map(({ name }) => name),
    ['A1', 'A2'],
  )
  const own = (levels: Record<number, Levels>): ReadonlyMap<number, Levels> =>
    new Map(Object.entries(levels).map(([well, each]) => [Number(well), each]))
  const [first, second] = only(1, 2).channels as [Look['channels'][0], Look['channels'][0]]
  const look = {
    ...lookOf(),
    channels: [
      { ...first, ofWells: own({ 1: { black: 300, white: 900, gamma: 1.5 } }) },
      {
        ...second,
        ofWells: own({ 0: { black: 900, white: 1100, gamma: 0.5 }, 1: { black: 0, white: 3000, gamma: 1 } }),
      },
    ],
  }
  await setLook(page, look)
  const truth = truthOf(pyramid, FIRST_PLANE, info.wells)
  await compareLook(t, page, truth, look, 'both wells')
  await page.keyboard.press('-')
  await compareLook(t, page, truth, look, 'from a coarser level')
  await setLook(page, only(1, 2))
  await compareLook(t, page, truth, only(1, 2), 'the same for all again')
  t.same(errors, [])
})

t.test('floats with gaps are drawn as they are, also below zero', async t => {
  const { page, pyramid, errors } = await open(t, floatsPath)
  const look = lookOf(
    { ...grey(-1, 1), colours: 'blue-red' },
    { ...grey(-0.5, 1.5, 0.7), stretch: 'sqrt', colours: '#00ff80' },
  )
  await setLook(page, look)
  await compareLook(t, page, truthOf(pyramid), look, 'two channels')
  await page.keyboard.press('1')
  await page.keyboard.press('+')
  await page.keyboard.press('+')
  await setLook(page, { ...look, smooth: true, channels: look.channels.slice(0, 1) })
  const smooth = { ...look, smooth: true, channels: look.channels.slice(0, 1) }
  await compareLook(t, page, truthOf(pyramid), smooth, 'interpolated around gaps')
  t.same(errors, [])
})

t.test('where one of the channels cannot be read the tile is hatched', async t => {
  const { page, pyramid } = await open(t, countsPath)
  const truth = await lookAtOneOnly(page, pyramid)
  await page.route(/\/tiles\/.*channel=1/, route =>
    route.fulfill({ status: 422, contentType: 'application/json', body: '{"message":"damaged"}' }),
  )
  await setLook(page, only(0, 1))
  await page.waitForSelector('#notice:has-text("could not be read")')
  await untilReady(page)
  const screen = await readScreen(page)
  let others = 0
  for (let column = FREE.x0; column < FREE.x1; column++) {
    if (differs(screen, column, 250, VOID) && differs(screen, column, 250, EDGE)) others++
  }
  t.equal(others, 0, 'void and stripes')
  await setLook(page, only(0))
  await compareLook(t, page, truth, only(0), 'the other channel is there')
})

t.test('thumbnails and figures have the colours of the server, pixel by pixel', async t => {
  for (const [path, looks] of [
    [
      countsPath,
      [only(0), only(0, 1, 2, 3), lookOf({ ...NARROW, stretch: 'log', colours: 'inferno', inverted: true })],
    ],
    [floatsPath, [lookOf({ ...grey(-1, 1, 2), colours: 'blue-red' }, { ...grey(0, 1), colours: '#ff8000' })]],
  ] as const) {
    const { page, url, info } = await open(t, path)
    await page.evaluate(await regionScript())
    for (const look of looks) {
      for (const level of [0, 1]) {
        const png = await page.evaluate(
          ([info, look, level]) => (window as unknown as RegionWindow).paint(info, look, level),
          [info, look, level] as const,
        )
        const painted = await rgbaOf(Buffer.from(png.slice(png.indexOf(',') + 1), 'base64'))
        const query = styleQuery(look)
        const crop = `${url}pyramids/${info.id}/crop.png?x=0&y=0&w=${info.width}&h=${info.height}&units=px&level=${level}&${query}`
        const served = await rgbaOf(await (await fetch(crop)).arrayBuffer())
        let wrong = 0
        for (let i = 0; i < served.length; i += 4) {
          const isCovered = served[i + 3] !== 0
          const isWrong = [0, 1, 2].some(
            part => Math.abs((served[i + part] as number) - (painted[i + part] as number)) > 1,
          )
          if ((painted[i + 3] !== 0) !== isCovered || (isCovered && isWrong)) wrong++
        }
        t.equal(painted.length, served.length)
        t.equal(wrong, 0, `level ${level}, ${query}`)
      }
    }
  }
})

/** Show channel 0 alone of the second z-plane, of which nothing else was shown. @returns what is in that z-plane. */
async function lookAtOneOnly(page: Page, pyramid: Pyramid) {
  await page.evaluate(() => (window as unknown as Exposed).tilestage.contrast.solo(0))
  await untilReady(page)
  await page.press('#planes input', 'ArrowRight')
  await setLook(page, only(0))
  await untilReady(page)
  return truthOf(pyramid, { ...FIRST_PLANE, zPlane: 1 })
}

interface RegionWindow {
  paint(info: PyramidInfo, look: Look, level: number): Promise<string>
}

/** Four bytes a pixel. */
const rgbaOf = (png: ArrayBuffer | Buffer): Promise<Buffer> => sharp(png).ensureAlpha().raw().toBuffer()

/** What paints thumbnails and figures, as a script for a page: each becomes the data URL of a PNG. */
async function regionScript(): Promise<string> {
  const contents = `
    import { TileStore } from './tile-store.js'
    import { paintRegion, readRegion } from './region-picture.js'
    window.paint = async (info, look, level) => {
      const region = { x0: 0, y0: 0, x1: info.width, y1: info.height }
      const channels = look.channels.map(({ channel }) => channel)
      const targetPx = Math.max(info.width, info.height) / 2 ** level
      const store = new TileStore(info, () => undefined)
      const picture = await readRegion(store, { zPlane: 0, timePoint: 0 }, channels, region, targetPx)
      const canvas = document.createElement('canvas')
      paintRegion(canvas, picture, look, info.wells)
      return canvas.toDataURL()
    }`
  const resolveDir = new URL('../../public/tiles', import.meta.url).pathname
  const { outputFiles } = await bundle({ stdin: { contents, resolveDir }, bundle: true, write: false, format: 'iife' })
  return outputFiles[0]?.text ?? ''
}

/** A look as the server is asked for it. */
function styleQuery({ channels }: Look): string {
  const list = (value: (contrast: Contrast) => unknown): string =>
    channels.map(({ contrast }) => value(contrast)).join()
  return new URLSearchParams({
    channel: channels.map(({ channel }) => channel).join(),
    min: list(({ black }) => black),
    max: list(({ white }) => white),
    gamma: list(({ gamma }) => gamma),
    stretch: list(({ stretch }) => stretch),
    lut: list(({ colours }) => colours.replace('#', '')),
    invert: list(({ inverted }) => Number(inverted)),
  }).toString()
}

/** What is drawn where nothing floats over the picture. */
async function freePixels(page: Page): Promise<Buffer> {
  const { width, rgb }: Screen = await readScreen(page)
  const rows = Array.from({ length: FREE.y1 - FREE.y0 }, (_, i) => {
    const start = 3 * ((FREE.y0 + i + PICTURE_TOP) * width)
    return rgb.subarray(start + 3 * FREE.x0, start + 3 * FREE.x1)
  })
  return Buffer.concat(rows)
}

/** Keep requests waiting. @returns what tells that there is one, and lets them go on. */
async function hold(page: Page, urls: RegExp): Promise<{ held: Promise<unknown>; release: () => void }> {
  const gate = new EventEmitter()
  const [held, opening] = [once(gate, 'held'), once(gate, 'open')]
  await page.route(urls, async route => {
    gate.emit('held')
    await opening
    await route.continue()
  })
  return { held, release: () => gate.emit('open') }
}
