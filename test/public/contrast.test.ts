import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import t from 'tap'
import { brightness, type Contrast, colourStep } from '../../public/contrast/contrast.js'
import type { ContrastState } from '../../public/contrast/contrast-state.js'
import { buildPyramid } from '../../src/engine/build-pyramid.js'
import type { SampleType } from '../../src/plane.js'
import { DEFAULT_SETTINGS } from '../../src/pyramid/build-settings.js'
import { channelColours } from '../../src/render/channel-colours.js'
import { coloursOf } from '../../src/render/colour-maps.js'
import type { RunningServer } from '../../src/server/serve.js'
import { syntheticSource } from '../pyramid/synthetic-source.js'
import { launchBrowser, noticeWith, type OpenPage, openPage, PHONE, pageBundle, untilReady } from './browser.js'
import { servePage } from './page-server.js'
import type { Exposed } from './picture-truth.js'

const folder = t.testdir({})
const SIZE = { width: 200, height: 160 }
const WELLS = ['A1', 'A2', 'A3']
const NAMES = ['DAPI', 'GFP', 'Cy5']

/** Samples of the plate: skewed, other in every channel and well. */
function plateSample(well: number, channel: number, x: number, y: number): number {
  const spread = (x * 7919 + y * 104729 + channel * 31) % 997
  return 100 + 40 * channel + Math.floor((spread * spread * (well + 1) * (channel + 2)) / 900)
}

interface Recipe {
  readonly names: readonly string[]
  readonly wells?: readonly string[]
  readonly sampleType?: SampleType
  readonly sample: (well: number, channel: number, x: number, y: number) => number
}

async function build(name: string, { names, wells, sampleType = 'uint16', sample }: Recipe): Promise<string> {
  const sources = (wells ?? ['']).map((well, index) =>
    syntheticSource({
      url: `${name}_${index}`,
      well: well || undefined,
      channels: names.map(each => ({ name: each })),
      frames: names.map((_, channel) => ({ xUm: 300 * index, yUm: 0, channel })),
      frameSize: SIZE,
      sampleType,
      sample: (frame, x, y) => sample(index, frame, x, y),
    }),
  )
  const output = join(folder, name)
  const settings = DEFAULT_SETTINGS
  await buildPyramid({ sources, output, settings, overwrite: false, strict: true, software: 'tilestage test' })
  return output
}

const ODD: Readonly<Record<string, Omit<Recipe, 'names'>>> = {
  constant: { sample: () => 500 },
  'constant float': { sampleType: 'float32', sample: () => 0.1 },
  'all NaN': { sampleType: 'float32', sample: () => Number.NaN },
  'with NaN': { sampleType: 'float32', sample: (_, __, x, y) => ((x + y) % 3 === 0 ? Number.NaN : x / 1e6) },
  'two values': { sampleType: 'uint8', sample: (_, __, x) => (x % 2) * 255 },
  'two counts': { sample: (_, __, x) => 60_000 + (x % 2) },
  'full range': { sample: (_, __, x, y) => (x + y * SIZE.width) * 2.0481 },
  'full float range': { sampleType: 'float32', sample: (_, __, x) => (x % 2 ? 1 : -1) * 3e38 },
  'signed counts': { sampleType: 'int16', sample: (_, __, x, y) => x * y - 20_000 },
}

let browser: Browser
let server: RunningServer
let ids: ReadonlyMap<string, string>
let opened: OpenPage | undefined

t.before(async () => {
  browser = await launchBrowser()
  const assetsFolder = await pageBundle()
  const pyramids = [
    await build('plate', { names: NAMES, wells: WELLS, sample: plateSample }),
    await build('swapped', { names: ['Cy5', 'DAPI', 'GFP'], wells: WELLS, sample: plateSample }),
    await build('single', { names: ['Camera'], sample: plateSample }),
    await build('six', { names: ['a', 'b', 'c', 'd', 'e', 'f'], sample: plateSample }),
    await build('photo', { names: ['Red', 'Green', 'Blue'], sampleType: 'uint8', sample: (_, c, x) => x + c }),
    await build('signed', {
      names: ['Phase'],
      sampleType: 'float32',
      sample: (_, __, x, y) => Math.sin(x / 9) - y / 500,
    }),
  ]
  for (const [name, recipe] of Object.entries(ODD)) pyramids.push(await build(name, { names: ['Camera'], ...recipe }))
  server = await servePage(assetsFolder, pyramids)
  const list = (await (await fetch(`${server.url}pyramids`)).json()) as { pyramids: { id: string; name: string }[] }
  ids = new Map(list.pyramids.map(({ id, name }) => [name, id]))
})
t.teardown(async () => {
  await browser.close()
  await server.close()
})

const urlOf = (name: string): string => `${server.url}?pyramid=${ids.get(name)}`

/** Load a pyramid, in one window for all tests: what it complains about is gathered from all of them. */
async function open(name: string): Promise<OpenPage> {
  if (!opened) {
    opened = await openPage(browser, urlOf(name))
  } else {
    await opened.page.goto(urlOf(name))
    await untilReady(opened.page)
  }
  return opened
}

const stateOf = async (page: Page): Promise<ContrastState> => {
  await untilReady(page)
  return page.evaluate(() => (window as unknown as Exposed).tilestage.contrast.state)
}
const windowsOf = async (page: Page): Promise<number[][]> =>
  (await stateOf(page)).channels.map(({ contrast }) => [contrast.black, contrast.white])
const visibleIn = async (page: Page): Promise<boolean[]> => (await stateOf(page)).channels.map(({ visible }) => visible)
const fieldsOf = async (page: Page): Promise<number[]> => {
  await untilReady(page)
  const texts = ['black', 'white'].map(name => page.inputValue(`input[name=${name}]`))
  return (await Promise.all(texts)).map(text => Number(text.replace(/\s/g, '')))
}

/** Black and white of samples: those that 0.1 % and 99.9 % of them do not exceed. */
function percentiles(samples: readonly number[]): [number, number] {
  const sorted = samples.toSorted((a, b) => a - b)
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] as number
  return [at(0.001), at(0.999)]
}

function samplesOf(channel: number, wells: readonly number[]): number[] {
  return wells.flatMap(well =>
    Array.from({ length: SIZE.width * SIZE.height }, (_, i) =>
      plateSample(well, channel, i % SIZE.width, Math.floor(i / SIZE.width)),
    ),
  )
}

const ALL = [0, 1, 2]

/** Drag a handle, or whatever is there, by some pixels. */
async function drag(page: Page, selector: string, xPx: number, yPx = 0): Promise<void> {
  const box = await page.locator(selector).boundingBox()
  if (!box) throw new Error(`${selector} is not to be seen`)
  const [x, y] = [box.x + box.width / 2, box.y + Math.min(box.height / 2, 50)]
  await page.mouse.move(x, y)
  await page.mouse.down()
  await page.mouse.move(x + xPx / 2, y + yPx / 2)
  await page.mouse.move(x + xPx, y + yPx)
  await page.mouse.up()
  await untilReady(page)
}

const choose = async (page: Page, value: string): Promise<void> => {
  await page.click('#colour-map')
  await page.check(`#colours-menu input[value="${value}"]`)
  await page.keyboard.press('Escape')
}

t.test('at first every channel has its own colour and the automatic window of the whole channel', async t => {
  const { page, errors } = await open('plate')
  const { channels } = await stateOf(page)
  t.same(
    channels.map(({ contrast }) => contrast.colours),
    channelColours(NAMES.map(name => ({ name }))),
  )
  t.same(
    await windowsOf(page),
    ALL.map(channel => percentiles(samplesOf(channel, ALL))),
  )
  t.same(await visibleIn(page), [true, true, true])
  t.same(await page.locator('.channels [role=tab]').allTextContents(), NAMES)
  const [row] = await page.locator('.layer').allTextContents()
  t.match(row, /^DAPI100–[\d\s]+ counts$/)

  const single = await stateOf((await open('single')).page)
  t.equal(single.channels[0]?.contrast.colours, 'grey')
  const photo = (await stateOf((await open('photo')).page)).channels.map(({ contrast }) => contrast)
  t.same(
    photo.map(({ black, white, colours }) => [black, white, colours]),
    ['#ff0000', '#00ff00', '#0000ff'].map(colours => [0, 255, colours]),
  )
  const signed = (await stateOf((await open('signed')).page)).channels[0]?.contrast as Contrast
  t.equal(signed.colours, 'blue-red')
  t.equal(signed.black, -signed.white, 'the neutral grey stands for 0')
  t.same(errors, [])
})

t.test('levels follow fields, handles, wheel and keys, of all channels with Alt', async t => {
  const { page, errors } = await open('plate')
  const automatic = await windowsOf(page)
  await page.fill('input[name=black]', '150')
  await page.press('input[name=black]', 'Enter')
  t.same(
    (await windowsOf(page)).map(([black]) => black),
    [150, automatic[1]?.[0], automatic[2]?.[0]],
  )
  await page.fill('input[name=white]', '151')
  await page.press('input[name=white]', 'Alt+Enter')
  t.same(
    await windowsOf(page),
    ALL.map(() => [150, 151]),
    'typed with Alt, and one count apart',
  )

  await page.click('.auto', { modifiers: ['Alt'] })
  t.same(await windowsOf(page), automatic)
  await drag(page, '.handle.white', -40)
  const dragged = await windowsOf(page)
  t.ok((dragged[0]?.[1] as number) < (automatic[0]?.[1] as number))
  t.same(dragged.slice(1), automatic.slice(1))
  await drag(page, '.plot', 12)
  const moved = await windowsOf(page)
  t.ok((moved[0]?.[0] as number) > (dragged[0]?.[0] as number))
  const width = ([black = 0, white = 0]: readonly number[]): number => white - black
  t.ok(Math.abs(width(moved[0] as number[]) - width(dragged[0] as number[])) <= 1, 'the window keeps its width')
  await page.keyboard.down('Alt')
  await drag(page, '.handle.black', 20)
  await page.keyboard.up('Alt')
  const blacks = (await windowsOf(page)).map(([black]) => black)
  t.equal(new Set(blacks).size, 1, 'dragged with Alt, all have the same black')

  await drag(page, '.handle.gamma', 0, 20)
  const gamma = (await stateOf(page)).channels.map(({ contrast }) => contrast.gamma)
  t.ok((gamma[0] as number) > 1)
  t.same(gamma.slice(1), [1, 1])
  await page.dblclick('.handle.gamma')
  t.equal((await stateOf(page)).channels[0]?.contrast.gamma, 1)

  const end = await page.textContent('.axis-end')
  await page.hover('.plot')
  await page.mouse.wheel(0, -300)
  await untilReady(page)
  t.not(await page.textContent('.axis-end'), end, 'the wheel zooms the axis')
  await page.dblclick('.plot', { position: { x: 250, y: 20 } })
  await untilReady(page)
  t.equal(await page.textContent('.axis-end'), end)
  await page.focus('.handle.white')
  const [, white = 0] = await fieldsOf(page)
  await page.keyboard.press('ArrowRight')
  await page.keyboard.press('Shift+ArrowRight')
  t.equal((await fieldsOf(page))[1], white + 11)
  t.equal(await page.getAttribute('.handle.white', 'aria-valuetext'), `${(white + 11).toLocaleString('fr')} counts`)
  t.same(errors, [])
})

t.test('auto to view takes in 0.1 to 99.9 % of the samples in view', async t => {
  const { page, errors } = await open('plate')
  const automatic = await windowsOf(page)
  await page.focus('#picture')
  await page.keyboard.press(']')
  await untilReady(page)
  await page.click('.auto-view')
  const inView = (channel: number): [number, number] => percentiles(samplesOf(channel, [0]))
  t.same(await windowsOf(page), [inView(0), ...automatic.slice(1)])
  t.match(await page.textContent('.below'), /^(0\.0|<\s0\.1)\s% below black$/)
  await page.click('.auto-view', { modifiers: ['Alt'] })
  t.same(await windowsOf(page), ALL.map(inView))
  await page.click('.of-channels label:last-child')
  await page.focus('#picture')
  await page.keyboard.press('Shift+A')
  const windows = ALL.map(inView)
  const one = [Math.min(...windows.map(([black]) => black)), Math.max(...windows.map(([, white]) => white))]
  t.same(await windowsOf(page), [one, one, one], 'one contrast for all takes in every channel')
  await page.keyboard.press('a')
  const whole = [
    Math.min(...automatic.map(each => each[0] as number)),
    Math.max(...automatic.map(each => each[1] as number)),
  ]
  t.same(await windowsOf(page), [whole, whole, whole])
  await page.click('.of-channels label:first-child')
  await page.click('.auto')
  t.same(await windowsOf(page), [automatic[0], whole, whole])
  t.same(errors, [])
})

t.test('each well has its own contrast from its own samples, and the shared one stays untouched', async t => {
  const { page, errors } = await open('plate')
  const shared = await windowsOf(page)
  await page.click('.of-wells label:last-child')
  await untilReady(page)
  t.ok(await page.isVisible('.choose-well'), 'levels wait for a well')
  await page.focus('#picture')
  for (const [well, name] of WELLS.entries()) {
    await page.keyboard.press(']')
    t.same(await fieldsOf(page), percentiles(samplesOf(0, [well])), name)
    t.equal(await page.textContent('.all-label'), name)
    t.match(await page.textContent('.well-facts'), /^own contrast/)
  }
  const lookOf = (): Promise<readonly (readonly [number, { black: number; white: number }])[]> =>
    page.evaluate(() => [...((window as unknown as Exposed).tilestage.contrast.look.channels[1]?.ofWells ?? [])])
  t.same(
    (await lookOf()).map(([well, { black, white }]) => [well, black, white]).sort(),
    ALL.map(well => [well, ...percentiles(samplesOf(1, [well]))]),
    'every channel of every well',
  )
  await page.fill('input[name=white]', '777')
  await page.press('input[name=white]', 'Enter')
  t.same((await stateOf(page)).channels[0]?.ofWells, { A3: { black: 100, white: 777, gamma: 1 } })
  await page.focus('#picture')
  await page.keyboard.press('[')
  t.same(await fieldsOf(page), percentiles(samplesOf(0, [1])), 'the others keep theirs')
  await page.click('.of-wells label:first-child')
  t.same(await fieldsOf(page), shared[0])
  t.same(await windowsOf(page), shared)
  await page.click('.of-wells label:last-child')
  await page.focus('#picture')
  await page.keyboard.press(']')
  t.equal((await fieldsOf(page))[1], 777)
  await page.click('.auto')
  t.same(await fieldsOf(page), percentiles(samplesOf(0, [2])), 'Auto is that of the well')
  t.same(errors, [])
})

t.test('the legend shows what becomes of every value, and what lies beyond', async t => {
  const { page, errors } = await open('plate')
  const legend = (): Promise<number[]> =>
    page.$eval('canvas.legend', canvas => [
      ...((canvas as HTMLCanvasElement).getContext('2d')?.getImageData(0, 0, 256, 1).data ?? []),
    ])
  await page.fill('input[name=black]', '150')
  await page.press('input[name=black]', 'Enter')
  await page.fill('input[name=gamma]', '0.6')
  await page.press('input[name=gamma]', 'Enter')
  const numberAt = async (selector: string): Promise<number> =>
    Number((await page.textContent(selector))?.split(/ of| counts/)[0]?.replace(/\s/g, ''))
  const check = async (what: string): Promise<void> => {
    const { contrast } = (await stateOf(page)).channels[0] as { contrast: Contrast }
    const [from, to] = [await numberAt('.axis-start'), await numberAt('.axis-end')]
    const shown = await legend()
    const table = coloursOf(contrast.colours)
    let worst = 0
    for (let x = 0; x < 256; x++) {
      // The axis is labelled in whole counts.
      const value = from + ((x + 0.5) / 256) * (to - from)
      const step = 4 * colourStep(brightness(value, contrast), contrast.inverted)
      const steep = Math.abs(brightness(value + 1, contrast) - brightness(value - 1, contrast)) * 255
      const off = Math.max(
        ...[0, 1, 2].map(part => Math.abs((table[step + part] as number) - (shown[4 * x + part] as number))),
      )
      worst = Math.max(worst, off - steep)
    }
    t.ok(worst <= 2, `${what}: off by ${worst}`)
  }
  await check('gamma')
  for (const stretch of ['sqrt', 'log', 'linear']) {
    await choose(page, stretch)
    await check(stretch)
  }
  await page.click('.invert')
  await check('inverted')
  await choose(page, 'viridis')
  await check('a map')
  t.equal(await page.textContent('#colour-map .name'), 'Viridis')
  await page.click('#colour-map')
  await page.$eval('input[type=color]', input => {
    ;(input as HTMLInputElement).value = '#12ab9f'
    input.dispatchEvent(new Event('input', { bubbles: true }))
  })
  await page.keyboard.press('Escape')
  await check('a colour of one’s own')
  await page.click('.marks')
  t.equal((await stateOf(page)).marksClipped, true)
  const marked = await legend()
  t.same(marked.slice(0, 3), [0x2f, 0x6b, 0xff])
  t.same(marked.slice(-4, -1), [0xff, 0x3b, 0x30])
  await page.focus('#picture')
  await page.keyboard.press('c')
  await page.keyboard.press('s')
  const { marksClipped, smooth } = await stateOf(page)
  t.same([marksClipped, smooth], [false, true])
  await choose(page, 'nearest')
  t.equal((await stateOf(page)).smooth, false)
  t.same(errors, [])
})

t.test('layers are shown, hidden and singled out by pointer and by keys', async t => {
  const { page, errors } = await open('plate')
  const eye = (channel: number) => page.locator('.layer .eye').nth(channel)
  await eye(1).click()
  t.same(await visibleIn(page), [true, false, true])
  t.equal(await eye(1).getAttribute('aria-checked'), 'false')
  await eye(2).click({ modifiers: ['Alt'] })
  t.same(await visibleIn(page), [false, false, true], 'Alt: this one alone')
  await eye(2).click({ modifiers: ['Alt'] })
  t.same(await visibleIn(page), [true, false, true], 'and again all that were seen')
  await page.locator('.layer .name').nth(2).click()
  t.equal((await stateOf(page)).selected, 2)
  t.equal(await page.getAttribute('.channels [role=tab]:nth-child(3)', 'aria-selected'), 'true')
  await eye(0).focus()
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('Space')
  t.same(await visibleIn(page), [true, true, true])
  for (const channel of [0, 1, 2]) await eye(channel).click()
  t.same(await visibleIn(page), [false, false, true])
  t.equal(await page.textContent('#layers .note'), 'One channel stays visible')
  await page.focus('.channels [aria-selected=true]')
  await page.keyboard.press('ArrowLeft')
  t.equal((await stateOf(page)).selected, 1)
  t.equal(await page.textContent('.below'), 'This channel is hidden')

  const six = (await open('six')).page
  t.same(await visibleIn(six), [true, true, true, true, false, false])
  await six.locator('.layer .eye').nth(4).click()
  t.same(await visibleIn(six), [true, true, true, true, false, false])
  t.equal(await six.textContent('#layers .note'), 'Up to four channels at once')
  await six.locator('.layer .eye').nth(0).click()
  await six.locator('.layer .eye').nth(4).click()
  t.same(await visibleIn(six), [false, true, true, true, true, false])
  t.notOk(await six.isVisible('#layers .note'))
  t.same(errors, [])
})

t.test('what was chosen can be taken elsewhere as plain data', async t => {
  const { page, errors } = await open('plate')
  await page.locator('.layer .eye').nth(1).click()
  await page.locator('.channels [role=tab]').nth(2).click()
  await page.fill('input[name=white]', '900')
  await page.press('input[name=white]', 'Enter')
  await page.click('.of-wells label:last-child')
  await page.focus('#picture')
  await page.keyboard.press(']')
  await untilReady(page)
  await page.keyboard.press('c')
  await page.fill('input[name=gamma]', '2')
  await page.press('input[name=gamma]', 'Enter')
  const state = JSON.parse(JSON.stringify(await stateOf(page))) as ContrastState
  t.match(state, { selected: 2, wells: 'own', marksClipped: true, channels: [{}, { visible: false }, {}] })
  const restore = (page: Page, state: ContrastState): Promise<void> =>
    page.evaluate(state => (window as unknown as Exposed).tilestage.contrast.restore(state), state)
  const other = (await open('plate')).page
  await restore(other, state)
  t.same(await stateOf(other), state)
  const single = (await open('single')).page
  await restore(single, state)
  const kept = await stateOf(single)
  t.match(kept, { selected: 0, wells: 'same', channels: [{ visible: true }] })
  t.equal(kept.channels.length, 1)
  t.same(errors, [])
})

t.test('a hot swap keeps the contrast of channels by their names', async t => {
  const { page, errors } = await open('plate')
  await page.fill('input[name=white]', '321')
  await page.press('input[name=white]', 'Enter')
  await page.locator('.layer .eye').nth(2).click()
  await page.click('#chooser')
  await page.click('#chooser-menu button:has-text("swapped")')
  t.match(await noticeWith(page, 'swapped'), /view and contrast kept/)
  t.equal(await page.textContent('#chooser b'), 'swapped')
  const { channels, selected } = await stateOf(page)
  t.equal(channels[1]?.contrast.white, 321)
  t.same(
    channels.map(({ visible }) => visible),
    [false, true, true],
  )
  t.equal(selected, 1, 'the tab of the same channel is open')
  t.same(errors, [])
})

t.test('whatever the samples are, axis and fields make sense', async t => {
  const { page, errors } = await open('single')
  for (const name of Object.keys(ODD)) {
    await open(name)
    await page.click('.auto-view')
    await page.hover('.plot')
    for (const wheel of [-2000, 4000]) await page.mouse.wheel(0, wheel)
    await untilReady(page)
    const texts = await page.$$eval('#contrast, #layers', parts => parts.map(part => part.textContent).join(' '))
    const paths = await page.$$eval('.plot path', paths => paths.map(path => path.getAttribute('d')).join(' '))
    const handles = await page.$$eval('.handle', all => all.map(each => (each as HTMLElement).style.cssText).join(' '))
    t.notMatch(`${texts} ${paths} ${handles}`, /NaN|Infinity|undefined/, name)
    const [start, end] = await Promise.all(['.axis-start', '.axis-end'].map(part => page.textContent(part)))
    t.not(start, end?.split(' counts')[0]?.split(',')[0], `${name}: the axis goes from ${start} to ${end}`)
    t.ok(Math.max(start?.length ?? 99, end?.length ?? 99) < 32, name)
    const [[black = 0, white = 0] = []] = await windowsOf(page)
    t.ok(Number.isFinite(black) && white > black, `${name}: ${black} to ${white}`)
  }
  t.same(errors, [])
})

t.test('on a phone contrast and layers are sheets', async t => {
  const { page, errors, leave } = await openPage(browser, urlOf('plate'), PHONE)
  t.teardown(leave)
  await page.tap('#tabs [data-sheet=layers]')
  await page.locator('.layer .eye').nth(0).tap()
  t.same(await visibleIn(page), [false, true, true])
  await page.tap('#tabs [data-sheet=contrast]')
  t.notOk(await page.isVisible('#layers'))
  await page.locator('.channels [role=tab]').nth(1).tap()
  t.equal((await stateOf(page)).selected, 1)
  const { width, x } = (await page.locator('#contrast').boundingBox()) as { width: number; x: number }
  t.ok(x >= 0 && x + width <= 390)
  t.same(errors, [])
})
