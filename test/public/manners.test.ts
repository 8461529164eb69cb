import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { buildPyramid } from '../../src/engine/build-pyramid.js'
import { DEFAULT_SETTINGS } from '../../src/pyramid/build-settings.js'
import { openPyramid } from '../../src/pyramid/open-pyramid.js'
import type { FrameSource } from '../../src/sources/frame-source.js'
import { openSources } from '../../src/sources/open-source.js'
import { syntheticSource } from '../pyramid/synthetic-source.js'
import {
  launchBrowser,
  noticeWith,
  type OpenPage,
  openPage,
  openWindow,
  PHONE,
  pageBundle,
  SHARP,
  untilReady,
} from './browser.js'
import { servePage } from './page-server.js'
import { comparePicture, contrastOf, grey, setContrast, tileRequests, truthOf } from './picture-truth.js'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
/** Cumulative layout shift, of which browsers call 0.1 good: the grips of the histogram find their places. */
const MAX_SHIFT = 0.001
const SIZES = [
  { width: 1200, height: 1000 },
  { width: 600, height: 400 },
  { width: 844, height: 390 },
  { width: 390, height: 844 },
]

const folder = t.testdir({})
const plate = ['well_A1', 'well_A2', 'well_B1'].map(
  name => new URL(`../../examples/plate/${name}.pcs`, import.meta.url).pathname,
)

let browser: Browser
let assetsFolder: string
let platePath: string
/** Eight small ones, and one in which nothing was imaged. */
let manyPaths: readonly string[]

async function buildFrom(sources: readonly FrameSource[], name: string): Promise<string> {
  const output = join(folder, name)
  const request = { sources, output, settings: DEFAULT_SETTINGS, overwrite: false, strict: true }
  await buildPyramid({ ...request, software: 'tilestage test' })
  return output
}

async function buildPlate(): Promise<string> {
  const { sources } = await openSources(plate)
  const output = await buildFrom(sources as FrameSource[], 'plate')
  for (const source of sources) await source.close()
  return output
}

async function buildMany(): Promise<string[]> {
  const names = Array.from({ length: 8 }, (_, i) => `well_${i + 1}`)
  const frames = [{ xUm: 0, yUm: 0 }]
  const build = (name: string, sample: (_: number, x: number) => number): Promise<string> =>
    buildFrom([syntheticSource({ url: name, frames, sampleType: 'float32', sample })], name)
  const paths = []
  for (const name of names) paths.push(await build(name, (_, x) => x))
  return [...paths, await build('blank', () => Number.NaN)]
}

t.before(async () => {
  ;[browser, assetsFolder, platePath, manyPaths] = await Promise.all([
    launchBrowser(),
    pageBundle(),
    buildPlate(),
    buildMany(),
  ])
})
t.teardown(() => browser.close())

async function serve(t: Test, pyramids: readonly string[]): Promise<string> {
  const server = await servePage(assetsFolder, pyramids)
  t.teardown(() => server.close())
  return server.url
}

async function open(t: Test, url: string, options?: Parameters<typeof openPage>[2]): Promise<OpenPage> {
  const opened = await openPage(browser, url, options)
  t.teardown(() => opened.leave())
  return opened
}

/** What axe finds that keeps people out, by its own rating; colours are looked at in both themes. */
async function barriers(page: Page, within: string): Promise<string[]> {
  return page.evaluate(async within => {
    interface Finding {
      readonly id: string
      readonly impact: string
      readonly nodes: readonly { readonly target: readonly string[]; readonly failureSummary: string }[]
    }
    type Run = (within: string, options: object) => Promise<{ violations: Finding[] }>
    const { axe } = window as unknown as { axe: { run: Run } }
    const found: string[] = []
    for (const [theme, runOnly] of [['light', ['color-contrast']], ['dark']] as const) {
      document.documentElement.dataset.theme = theme
      const { violations } = await axe.run(within, { resultTypes: ['violations'], ...(runOnly && { runOnly }) })
      for (const { id, nodes } of violations.filter(({ impact }) => ['serious', 'critical'].includes(impact))) {
        for (const { target, failureSummary } of nodes) found.push(`${theme}: ${id} ${target}: ${failureSummary}`)
      }
    }
    return found
  }, within)
}

/** One after the other on the same page: each is a state that people meet, and the part of the page that it changes. */
type States = Readonly<Record<string, readonly [within: string, reach: (page: Page) => Promise<unknown>]>>

async function pressOnPicture(page: Page, key: string): Promise<void> {
  await page.keyboard.press('Escape')
  await page.focus('#picture')
  await page.keyboard.press(key)
}

async function dragTool(page: Page, key: string, top: number): Promise<void> {
  await pressOnPicture(page, key)
  await page.mouse.move(300, top)
  await page.mouse.down()
  await page.mouse.move(420, top + 80, { steps: 3 })
  await page.mouse.up()
}

const ON_A_SCREEN: States = {
  'the picture': ['body', async () => undefined],
  'the chooser': [
    'header',
    async page => {
      await page.click('#chooser')
      await page.waitForSelector('#chooser-menu input')
    },
  ],
  'the keys': ['#keys', page => pressOnPicture(page, '?')],
  'a figure to export': ['#export', page => pressOnPicture(page, 'e')],
  'a crop to export': ['#export', page => page.check('#export [value=samples]')],
  'Python to copy': ['#export', page => page.check('#export [value=python]')],
  'where to go': ['#view-menu', page => pressOnPicture(page, 'g')],
  'the colours': [
    '#contrast',
    async page => {
      await page.keyboard.press('Escape')
      await page.click('#colour-map')
    },
  ],
  'wells with a contrast each': [
    '#contrast',
    async page => {
      await page.keyboard.press('Escape')
      await page.check('.of-wells [value=own]')
    },
  ],
  'details of a place': [
    '#value-details',
    async page => {
      await page.mouse.move(300, 300)
      await pressOnPicture(page, 'Enter')
      await page.waitForSelector('#value-details:not([hidden]) table')
    },
  ],
  'a length with its profile': [
    '#measurements',
    async page => {
      await dragTool(page, 'm', 300)
      await page.keyboard.press('Enter')
      await page.click('#measurements :text-is("Line profile")')
    },
  ],
  'a region with its numbers': [
    '#measurements',
    async page => {
      await dragTool(page, 'r', 500)
      await page.waitForSelector('#measurements .numbers dl')
    },
  ],
  'a list of points': [
    '#points',
    async page => {
      await pressOnPicture(page, 'p')
      await page.mouse.click(350, 700)
      await page.click('#points [role=option]')
    },
  ],
  'the dialog for a token': [
    '#token',
    page => page.evaluate(() => document.querySelector<HTMLDialogElement>('#token')?.showModal()),
  ],
  'a turned picture': ['main', page => pressOnPicture(page, 't')],
  'the dock closed': ['header', page => pressOnPicture(page, 'd')],
  'the picture only': ['main', page => page.keyboard.press('h')],
}

const ON_A_PHONE: States = {
  'a phone': ['body', async () => undefined],
  'contrast on a phone': ['#dock', page => page.tap('#tabs [data-sheet=contrast]')],
  'the plate on a phone': ['#dock', page => page.tap('#tabs [data-sheet=plate]')],
  'measurements on a phone': ['#dock', page => page.tap('#tabs [data-sheet=measurements]')],
}

const WITHOUT_PYRAMID: States = {
  'nothing to show': ['body', async () => undefined],
  'a notice': [
    '#notice',
    async page => {
      await fetch(`${new URL('set_tile_source?tile_dir=nowhere', page.url())}`, { redirect: 'manual' })
      await page.waitForSelector('#notice:not([hidden])')
    },
  ],
}

t.test('nothing on the page keeps people out who see, hear or move differently', async t => {
  const everything = await serve(t, [platePath, ...manyPaths])
  const empty = await serve(t, [])
  for (const [url, states, options] of [
    [everything, ON_A_SCREEN, {}],
    [everything, ON_A_PHONE, PHONE],
    [empty, WITHOUT_PYRAMID, {}],
  ] as const) {
    const { page, errors } = await open(t, url, options)
    await page.evaluate(AXE)
    for (const [name, [within, reach]] of Object.entries(states)) {
      await reach(page)
      t.same(await barriers(page, within), [], name)
    }
    t.same(errors, [])
  }
})

t.test('nothing moves while the page loads, and no window is too small', async t => {
  const url = await serve(t, [platePath])
  for (const viewport of SIZES) {
    const { page, leave } = await openWindow(browser, { viewport, reducedMotion: 'no-preference' })
    t.teardown(leave)
    const observing = await page.addInitScript(() => {
      const shifts: [number, string][] = []
      Object.assign(window, { shifts })
      interface Shift extends PerformanceEntry {
        readonly value: number
        readonly sources: readonly { readonly node: Element | null }[]
      }
      new PerformanceObserver(list => {
        for (const { value, sources } of list.getEntries() as Shift[])
          shifts.push([value, sources.map(({ node }) => node?.id || node?.getAttribute?.('class')).join()])
      }).observe({ type: 'layout-shift', buffered: true })
    })
    t.teardown(() => observing.dispose())
    await page.goto(url)
    await untilReady(page)
    const size = `${viewport.width} × ${viewport.height}`
    const shifts = await page.evaluate(() => (window as unknown as { shifts: [number, string][] }).shifts)
    const shifted = shifts.reduce((sum, [value]) => sum + value, 0)
    t.ok(shifted <= MAX_SHIFT, `${size}: nothing shifts ${JSON.stringify(shifts)}`)
    const overflow = await page.evaluate(() => [
      document.documentElement.scrollWidth - innerWidth,
      document.documentElement.scrollHeight - innerHeight,
    ])
    t.same(overflow, [0, 0], `${size}: nothing overflows`)
  }
})

t.test('a browser without WebGL shows the same pixels', async t => {
  const url = await serve(t, [platePath])
  const opened = await openWindow(browser, SHARP)
  const { page } = opened
  t.teardown(() => opened.leave())
  const withoutWebgl = await page.addInitScript(() => {
    const getContext = HTMLCanvasElement.prototype.getContext as (...args: unknown[]) => unknown
    Object.assign(HTMLCanvasElement.prototype, {
      getContext(this: HTMLCanvasElement, kind: string, ...more: unknown[]) {
        return kind.startsWith('webgl') ? null : getContext.call(this, kind, ...more)
      },
    })
  })
  t.teardown(() => withoutWebgl.dispose())
  await page.goto(url)
  t.match(await noticeWith(page, 'Drawn without WebGL'), /Drawn without WebGL/)
  await untilReady(page)
  const pyramid = await openPyramid(platePath)
  t.teardown(() => pyramid.close())
  // A canvas places its tiles by whole pixels of the screen, which is nothing in samples that are this large.
  await page.keyboard.press('1')
  for (let i = 0; i < 7; i++) await page.keyboard.press('+')
  await comparePicture(t, page, truthOf(pyramid), await contrastOf(page), 'automatic contrast')
  const asked = tileRequests(opened).length
  await setContrast(page, { ...grey(100, 800), colours: 'magma' })
  await comparePicture(t, page, truthOf(pyramid), { ...grey(100, 800), colours: 'magma' }, 'another contrast')
  t.equal(tileRequests(opened).length, asked, 'for which nothing is fetched')
  t.same(opened.errors, [])
})

t.test('the whole page is reached with the keyboard, in reading order, and the focus is seen', async t => {
  const { page } = await open(t, await serve(t, [platePath]))
  const reached: string[] = []
  for (;;) {
    await page.keyboard.press('Tab')
    const focus = await page.evaluate(() => {
      const focused = document.activeElement
      if (!focused || focused === document.body) return undefined
      const outlines = [focused, focused.parentElement as Element].map(ringed => getComputedStyle(ringed))
      const part = focused.closest('header, #picture, #tools, #dock section, footer')
      const ring = outlines.some(({ outlineStyle, outlineWidth }) => outlineStyle === 'solid' && outlineWidth === '2px')
      return { part: part?.id || part?.nodeName, name: focused.id || focused.className, ring }
    })
    if (!focus) break
    t.ok(focus.ring, `${focus.part} ${focus.name} has a ring`)
    if (reached.at(-1) !== focus.part) reached.push(focus.part ?? focus.name)
  }
  t.same(reached, ['HEADER', 'picture', 'tools', 'contrast', 'plate', 'points', 'layers', 'status'])
})

t.test('what opens is closed by Escape, and the focus goes back to where it was', async t => {
  const { page, errors } = await open(t, await serve(t, [platePath, ...manyPaths]))
  const focused = (): Promise<string | undefined> => page.evaluate(() => document.activeElement?.id)
  await page.focus('#chooser')
  await page.keyboard.press('Enter')
  await page.waitForSelector('#chooser-menu [role=menuitemradio]:focus')
  await page.keyboard.type('well_7')
  t.same(await page.locator('#chooser-menu [role=menuitemradio]:visible b').allTextContents(), ['well_7'])
  await page.keyboard.press('Escape')
  t.equal(await focused(), 'chooser')
  t.notOk(await page.isVisible('#chooser-menu'))

  await page.focus('#help')
  await page.keyboard.press('Enter')
  await page.waitForSelector('#keys[open]')
  await page.keyboard.press('Escape')
  t.equal(await focused(), 'help')

  await page.focus('#chooser')
  await page.keyboard.press('Enter')
  await page.waitForSelector('#chooser-menu [role=menuitemradio]:focus')
  await page.keyboard.type('WELL_7')
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('Enter')
  await page.waitForSelector('#chooser b:text-is("well_7")')
  t.same(errors, [])
})

t.test('the theme that was chosen is there when the page is opened again', async t => {
  const { page, errors } = await open(t, await serve(t, [platePath]))
  const theme = (): Promise<string | undefined> => page.evaluate(() => document.documentElement.dataset.theme)
  t.equal(await theme(), 'dark')
  await page.click('#theme')
  await untilReady(page)
  t.equal(await theme(), 'light')
  await page.reload()
  await untilReady(page)
  t.equal(await theme(), 'light')
  t.same(errors, [])
})

t.test('samples that are no numbers are shown as not imaged, without an error', async t => {
  const { page, errors } = await open(t, await serve(t, manyPaths.slice(-1)))
  t.equal(await page.textContent('#chooser b'), 'blank')
  await page.mouse.move(400, 500)
  t.equal(await page.textContent('#status .sample'), 'no frame here')
  t.same(errors, [])
})

t.test('without a server the page says so, and goes on by itself', async t => {
  const url = await serve(t, [platePath])
  const { page, leave } = await openWindow(browser)
  t.teardown(leave)
  await page.route(/\/(current|events|pyramids)/, route => route.abort())
  await page.goto(url)
  await page.waitForSelector('#notice:has-text("Server not reachable")')
  t.equal(await page.textContent('#connection .word'), 'Offline')
  await page.unroute(/\/(current|events|pyramids)/)
  await page.click('#notice :text("Try now")')
  await untilReady(page)
  t.equal(await page.textContent('#chooser b'), 'plate')
})

t.test('what was looked at is not asked for again, and nobody else is asked', async t => {
  const url = await serve(t, [platePath])
  const opened = await open(t, url)
  const { page } = opened
  await page.keyboard.press('1')
  await untilReady(page)
  for (const key of ['Shift+ArrowRight', 'Shift+ArrowDown', ']', '-', '0']) {
    await page.keyboard.press(key)
    await untilReady(page)
  }
  const asked = opened.requests.length
  for (const key of ['1', 'Shift+ArrowLeft', 'Shift+ArrowUp', '[', '0']) {
    await page.keyboard.press(key)
    await untilReady(page)
  }
  t.same(tileRequests(opened).length, new Set(tileRequests(opened)).size, 'no tile twice')
  t.ok(asked > 10)
  t.same(
    opened.requests.filter(request => !request.startsWith(url) && !request.startsWith('data:')),
    [],
  )
  t.same(opened.errors, [])
})
