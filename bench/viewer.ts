/**
 * Does the page stay quick and small on a large plate? `npm run bench:viewer -- [--minutes 10] [--seed 1]`
 *
 * A plate of 500,000 × 350,000 px with 1,000 wells, in Chromium without a graphics card. Tells the tile requests of a view
 * at each level, the time until the first picture is complete, and the time between frames while one pans, zooms and
 * changes contrast, also with 96 wells of four channels; then one wanders about for some minutes, and the page may not grow.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { pino } from 'pino'
import type { Browser, Page } from 'playwright-core'
import { type RunningServer, startServer } from '../src/server/serve.js'
import { launchBrowser, openPage, untilReady } from '../test/public/browser.js'
import { seededRandom } from '../test/seeded-random.js'
import { account, median } from './account.js'

const BUILD = fileURLToPath(new URL('viewer-plate.js', import.meta.url))
const PAGE = fileURLToPath(new URL('../public', import.meta.url))
/** As many pixels as on a screen; tests are content with fewer. */
const SCREEN = { viewport: { width: 1200, height: 1000 }, deviceScaleFactor: 1 }
const LOADS = 5
const DRAG_STEPS = 60
const SAMPLE_EVERY_MS = 10_000
/** The page keeps 128 MiB of samples and as much of textures; so many wells fill both. */
const FILLING_WELLS = 80
/** How much the last third may have more than the second. */
const GROWTH = 0.05

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '10' }, seed: { type: 'string', default: '1' } },
})
const durationMs = 60_000 * Number(values.minutes)
const random = seededRandom(Number(values.seed))

const share = (sorted: readonly number[], part: number): number => sorted[Math.floor(part * (sorted.length - 1))]

/** `p50 / p95` of the times between frames while something is done, ms. */
async function frameTimes(page: Page, act: () => Promise<void>): Promise<string> {
  await page.evaluate(() => {
    const frames: number[] = []
    Object.assign(window, { frames })
    const note = (time: number): void => {
      frames.push(time)
      requestAnimationFrame(note)
    }
    requestAnimationFrame(note)
  })
  await act()
  const times = await page.evaluate(() => (window as unknown as { frames: number[] }).frames.splice(0))
  const steps = times.slice(1).map((time, i) => time - times[i])
  const sorted = steps.sort((a, b) => a - b)
  return `${share(sorted, 0.5).toFixed(1)} / ${share(sorted, 0.95).toFixed(1)} ms`
}

async function drag(page: Page, from: readonly [number, number], to: readonly [number, number]): Promise<void> {
  await page.mouse.move(...from)
  await page.mouse.down()
  await page.mouse.move(...to, { steps: DRAG_STEPS })
  await page.mouse.up()
}

async function measureFirstPicture(browser: Browser, url: string): Promise<void> {
  const times: number[] = []
  for (let i = 0; i < LOADS; i++) {
    const context = await browser.newContext(SCREEN)
    await context.addInitScript(() => {
      new MutationObserver((_, observer) => {
        if (document.documentElement.dataset.ready !== '1') return
        Object.assign(window, { readyAt: performance.now() })
        observer.disconnect()
      }).observe(document, { attributes: true, subtree: true, attributeFilter: ['data-ready'] })
    })
    const page = await context.newPage()
    await page.goto(url)
    await untilReady(page)
    times.push(await page.evaluate(() => (window as unknown as { readyAt: number }).readyAt))
    await context.close()
  }
  const all = times.map(time => time.toFixed(0)).join(', ')
  console.log(`picture, histogram and thumbnails complete after ${median(times).toFixed(0)} ms (${all})`)
}

async function measureRequests(browser: Browser, url: string): Promise<void> {
  const { page, requests } = await openPage(browser, url, SCREEN)
  const count = (): number => requests.filter(request => request.includes('/tiles/')).length
  console.log(`${count()} tile requests until the whole plate and its thumbnails are drawn`)
  const ofLevels = new Map<number, number[]>()
  const look = async (key: string): Promise<void> => {
    const before = count()
    await page.keyboard.press(key)
    await untilReady(page)
    const level = await page.evaluate(
      () => (window as unknown as { tilestage: { view: { level: number } } }).tilestage.view.level,
    )
    ofLevels.set(level, [...(ofLevels.get(level) ?? []), count() - before])
  }
  await page.keyboard.press('Digit0')
  await page.keyboard.press('Digit1')
  await untilReady(page)
  const wholePlate = 20
  for (let step = 0; step < wholePlate; step++) {
    for (const key of ['-', 'Shift+ArrowRight', 'Shift+ArrowDown', 'Shift+ArrowLeft', 'Shift+ArrowUp']) await look(key)
  }
  console.log('   level   views   tile requests a view: least, median, most')
  for (const [level, counts] of [...ofLevels].sort(([a], [b]) => a - b)) {
    const figures = [Math.min(...counts), median(counts), Math.max(...counts)].map(figure => String(figure).padStart(5))
    console.log(`${String(level).padStart(8)}${String(counts.length).padStart(8)}   ${figures.join('')}`)
  }
  await page.context().close()
}

async function measureEmptyPage(browser: Browser): Promise<void> {
  const page = await browser.newPage()
  const pause = (): Promise<void> => page.waitForTimeout(2000)
  console.log(`time between frames, p50 / p95: an empty page ${await frameTimes(page, pause)}`)
  await page.close()
}

async function measureFrames(browser: Browser, url: string): Promise<void> {
  const { page } = await openPage(browser, url, { ...SCREEN, reducedMotion: 'no-preference' })
  await page.keyboard.press('Digit0')
  await untilReady(page)
  const pan = await frameTimes(page, () => drag(page, [700, 700], [300, 400]))
  await page.keyboard.press('Digit0')
  await untilReady(page)
  const zoom = await frameTimes(page, async () => {
    await page.mouse.move(450, 500)
    for (let step = 0; step < DRAG_STEPS; step++) await page.mouse.wheel(0, step < DRAG_STEPS / 2 ? -60 : 60)
  })
  await page.keyboard.press('Digit0')
  await untilReady(page)
  const box = await page.locator('.handle.white').boundingBox()
  if (!box) throw new Error('the histogram has no grip for white')
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2]
  const contrast = await frameTimes(page, () => drag(page, [x, y], [x - 60, y]))
  console.log(`pan ${pan}, zoom ${zoom}, contrast ${contrast}`)
  await page.context().close()
}

interface Sample {
  /** Objects, MB (10⁶ bytes). */
  readonly heapMb: number
  /** Samples in memory, and the texels of tiles. */
  readonly arraysMb: number
  readonly nodes: number
  readonly listeners: number
  readonly textures: number
}

/** Wander about, and look at the page's memory now and then. */
async function measureMemory(browser: Browser, url: string): Promise<readonly Sample[]> {
  const context = await browser.newContext({ ...SCREEN, reducedMotion: 'reduce' })
  await context.addInitScript(() => {
    const gl = WebGLRenderingContext.prototype
    const { createTexture, deleteTexture } = gl
    const textures = new Set<WebGLTexture | null>()
    Object.assign(window, { textures })
    gl.createTexture = function () {
      const texture = createTexture.call(this)
      textures.add(texture)
      return texture as WebGLTexture
    }
    gl.deleteTexture = function (texture) {
      textures.delete(texture)
      deleteTexture.call(this, texture)
    }
  })
  const page = await context.newPage()
  await page.goto(url)
  await untilReady(page)
  for (let i = 0; i < FILLING_WELLS; i++) {
    await page.keyboard.press(']')
    await untilReady(page)
  }
  const devtools = await context.newCDPSession(page)
  const samples: Sample[] = []
  const ways = ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown']
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]
  const endsAt = performance.now() + durationMs
  let sampleAt = performance.now() + Math.min(SAMPLE_EVERY_MS, durationMs / 30)
  while (performance.now() < endsAt) {
    const chance = random()
    if (chance < 0.6) await page.keyboard.press(`Shift+${pick(ways)}`)
    else if (chance < 0.9) await page.keyboard.press(pick(['+', '-']))
    else await page.keyboard.press(pick([']', '[', 'Digit0', 'Digit1', 'Shift+Digit0']))
    if (random() < 0.3) await untilReady(page)
    if (performance.now() < sampleAt) continue
    sampleAt += Math.min(SAMPLE_EVERY_MS, durationMs / 30)
    await untilReady(page)
    await devtools.send('HeapProfiler.collectGarbage')
    const { usedSize, backingStorageSize } = await devtools.send('Runtime.getHeapUsage')
    const { nodes, jsEventListeners } = await devtools.send('Memory.getDOMCounters')
    const textures = await page.evaluate(() => (window as unknown as { textures: Set<unknown> }).textures.size)
    const [heapMb, arraysMb] = [usedSize / 1e6, backingStorageSize / 1e6]
    samples.push({ heapMb, arraysMb, nodes, listeners: jsEventListeners, textures })
  }
  await context.close()
  return samples
}

function report(samples: readonly Sample[]): void {
  const third = Math.floor(samples.length / 3)
  const mean = (of: keyof Sample, from: number): number =>
    samples.slice(from * third, (from + 1) * third).reduce((sum, sample) => sum + sample[of], 0) / third
  console.log(`${samples.length} looks at the memory: means of the first, second and last third`)
  for (const of of ['heapMb', 'arraysMb', 'nodes', 'listeners', 'textures'] as const) {
    const thirds = [0, 1, 2].map(part => mean(of, part))
    console.log(`${of.padStart(10)} ${thirds.map(figure => figure.toFixed(1).padStart(10)).join('')}`)
    if (thirds[2] <= (1 + GROWTH) * thirds[1]) continue
    console.error(`${of} grew by more than ${100 * GROWTH} %`)
    process.exitCode = 1
  }
}

const server = (pyramid: string): Promise<RunningServer> =>
  startServer({
    host: '127.0.0.1',
    port: 0,
    roots: [],
    allowedHosts: [],
    cacheBytes: 512 * 2 ** 20,
    pyramids: [pyramid],
    logger: pino({ level: 'silent' }),
    software: 'benchmark',
    assetsFolder: PAGE,
  })

const scratch = mkdtempSync(join(tmpdir(), 'tilestage-bench-viewer-'))
const [plate, channels] = [join(scratch, 'plate'), join(scratch, 'channels')]
const { wallS } = account(BUILD, [plate, '40', '25', '1'])
account(BUILD, [channels, '12', '8', '4'])
console.log(`500,000 × 350,000 px with 1,000 wells, built in ${wallS.toFixed(1)} s`)
const [ofPlate, ofChannels] = [await server(plate), await server(channels)]
const browser = await launchBrowser()
try {
  await measureFirstPicture(browser, ofPlate.url)
  await measureRequests(browser, ofPlate.url)
  await measureEmptyPage(browser)
  await measureFrames(browser, ofPlate.url)
  console.log('96 wells of four channels')
  await measureFrames(browser, ofChannels.url)
  report(await measureMemory(browser, ofPlate.url))
} finally {
  await browser.close()
  await ofPlate.close()
  await ofChannels.close()
  rmSync(scratch, { recursive: true, force: true })
}
