import { existsSync } from 'node:fs'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import type { Browser, Page } from 'playwright-core'
import sharp from 'sharp'
import t from 'tap'
import { launchBrowser } from '../public/browser.js'
import { type Finished, run, tilestage } from '../run-cli.js'
import { seededRandom } from '../seeded-random.js'
import { buildSamplePlate, type SampleServer, startSampleServer } from '../server/sample-server.js'
import { composeNpy, describeArray } from '../sources/compose-npy.js'

const SCRIPT = fileURLToPath(new URL('../../examples/charts/make-charts.mjs', import.meta.url))
const MOST_BYTES = 40_000
const ROWS = 200
const PICTURE_PX = 96
const MOVES = 100
/** Dots with nothing else so near can be pointed at, px. */
const APART = 16
/** Mean of all differences between a picture and what the screen shows of it, grey values. */
const SAME = 0.5

/** What the page of a chart is made from. */
interface Row {
  readonly x: number
  readonly y: number
  readonly spread: number
  readonly mean0: number
  readonly mean1: number
}

/** A chart in a browser. */
interface Chart {
  readonly page: Page
  /** Addresses on the network that it asked for. */
  readonly requests: string[]
  /** Middles of the dots, in the order of the rows. */
  dots(): Promise<{ x: number; y: number }[]>
  /** The picture that the tooltip shows. */
  readonly picture: string
}

/** Choose what is shown. */
function choose({ page }: Chart, measure: number): Promise<unknown> {
  return page.locator('select').selectOption({ index: measure })
}

let server: SampleServer
let browser: Browser
let folder: string
t.before(async () => {
  const plate = await buildSamplePlate(t)
  server = await startSampleServer(t, plate)
  browser = await launchBrowser()
  folder = t.testdir()
  const random = seededRandom(7)
  const corners = JSON.parse(await (await fetch(`${server.address}pyramids/${server.id}/wells`)).text()).wells.map(
    ({ boxUm }: { boxUm: { x: number; y: number } }) => boxUm,
  )
  const rois = Array.from({ length: ROWS }, (_, i) => {
    const { x, y } = corners[i % corners.length]
    return [x + 40 + 280 * random(), y + 40 + 280 * random()]
  })
  await mark(rois)
})
t.teardown(() => browser.close())

function makeCharts(...args: string[]): Promise<Finished> {
  return run(process.execPath, [SCRIPT, '--server', server.address, ...args], { cwd: folder })
}

async function mark(rois: readonly unknown[]): Promise<void> {
  const { status } = await fetch(`${server.address}pyramids/${server.id}/rois?replace=1`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(rois),
  })
  if (status !== 201) throw new Error(`The places were answered ${status}.`)
}

async function rowsOf(page: string): Promise<Row[]> {
  const [, json] = /id="data"[^>]*>(.*)<\/script>/.exec(await readFile(page, 'utf8')) ?? []
  const data = JSON.parse(json)
  return data.rows ?? data.data.values
}

async function openChart(file: string, offline = false): Promise<Chart> {
  const context = await browser.newContext({ viewport: { width: 950, height: 700 }, deviceScaleFactor: 1, offline })
  t.teardown(() => context.close())
  const page = await context.newPage()
  const requests: string[] = []
  page.on('request', request => /^https?:/.test(request.url()) && requests.push(request.url()))
  page.on('pageerror', error => t.fail(error.message))
  await page.goto(pathToFileURL(file).href)
  if (file.endsWith('bokeh.html')) {
    await page.waitForFunction(() => Boolean((globalThis as unknown as BokehPage).Bokeh.documents[0]?.is_idle))
    return { page, requests, dots: () => page.evaluate(findBokehDots), picture: 'img' }
  }
  const dots = page.locator('.mark-symbol.role-mark path')
  await dots.first().waitFor()
  return {
    page,
    requests,
    dots: () =>
      dots.evaluateAll(paths =>
        paths.map(path => {
          const { x, y, width, height } = path.getBoundingClientRect()
          return { x: x + width / 2, y: y + height / 2 }
        }),
      ),
    picture: '#vg-tooltip-element img',
  }
}

/** As much of Bokeh as is asked here. */
interface BokehView {
  readonly frame?: { x_scale: { compute(value: number): number }; y_scale: { compute(value: number): number } }
  readonly el: HTMLElement
  readonly child_views: readonly BokehView[]
  readonly model: { renderers: { data_source: { data: { spread: number[]; value: number[] } } }[] }
}

interface BokehPage {
  readonly Bokeh: { readonly documents: { is_idle: boolean }[]; readonly index: Iterable<BokehView> }
}

function findBokehDots(): { x: number; y: number }[] {
  const find = (views: Iterable<BokehView>): BokehView | undefined => {
    for (const view of views) {
      const found = view.frame ? view : find(view.child_views)
      if (found) return found
    }
    return undefined
  }
  const { frame, el, model } = find((globalThis as unknown as BokehPage).Bokeh.index) as Required<BokehView>
  const { spread, value } = model.renderers[0].data_source.data
  const { x, y } = el.getBoundingClientRect()
  return spread.map((_, i) => ({
    x: x + frame.x_scale.compute(spread[i]),
    y: y + frame.y_scale.compute(value[i]),
  }))
}

/** Dots that no other one is near to, as numbers of rows. */
function findLonely(dots: readonly { x: number; y: number }[]): number[] {
  const isFar = (i: number): boolean =>
    dots.every(({ x, y }, k) => k === i || Math.hypot(x - dots[i].x, y - dots[i].y) > APART)
  return dots.flatMap((_, i) => (isFar(i) ? [i] : []))
}

/** Point at a dot, from where there is none, until its picture is there. */
async function pointAt({ page, dots, picture }: Chart, row: number): Promise<{ x: number; y: number }> {
  const { x, y } = (await dots())[row]
  await page.mouse.move(2, 2)
  await page.locator(picture).waitFor({ state: 'hidden' })
  await page.mouse.move(Math.round(x), Math.round(y))
  await page.locator(picture).waitFor()
  await page.locator(picture).evaluate((image: HTMLImageElement) => image.decode())
  return { x: Math.round(x), y: Math.round(y) }
}

/** Grey values of a picture, of the size that all have. */
async function greyOf(png: Buffer): Promise<Buffer> {
  const picture = sharp(png).flatten().resize(PICTURE_PX, PICTURE_PX, { fit: 'fill', kernel: 'nearest' })
  return picture.toColourspace('b-w').extractChannel(0).raw().toBuffer()
}

/** Where the dots are once they have moved. */
async function movedDots({ dots }: Chart, before: unknown): Promise<{ x: number; y: number }[]> {
  for (;;) {
    const now = await dots()
    if (!isDeepStrictEqual(now, before)) return now
  }
}

function meanDifference(a: Buffer, b: Buffer): number {
  return a.reduce((sum, grey, i) => sum + Math.abs(grey - b[i]), 0) / a.length
}

const truths = new Map<string, Promise<Buffer[]>>()

/** The pictures of all rows as the server draws them, with numbers for black and white. */
function truthOf(rows: readonly Row[], um: number): Promise<Buffer[]> {
  const places = JSON.stringify([um, rows.map(({ x, y }) => [x, y])])
  const truth = truths.get(places) ?? drawAll(rows, um)
  truths.set(places, truth)
  return truth
}

async function drawAll(rows: readonly Row[], um: number): Promise<Buffer[]> {
  const root = `${server.address}pyramids/${server.id}`
  const histogram: { binStart: number; counts: number[]; total: number } = await (
    await fetch(`${root}/histogram?bins=65536`)
  ).json()
  const percentile = (share: number): number => {
    let [bin, sum] = [0, histogram.counts[0]]
    while (sum < share * histogram.total) sum += histogram.counts[++bin]
    return histogram.binStart + bin
  }
  const window = `min=${percentile(0.001)}&max=${percentile(0.995)}`
  return Promise.all(
    rows.map(async ({ x, y }) => {
      const square = `x=${x - um / 2}&y=${y - um / 2}&w=${um}&h=${um}&width=${PICTURE_PX}&height=${PICTURE_PX}`
      const reply = await fetch(`${root}/crop.png?${square}&${window}`)
      return greyOf(Buffer.from(await reply.arrayBuffer()))
    }),
  )
}

/** Which of all pictures is seen, and how far it is from that. */
async function lookAt(
  { page, picture }: Chart,
  truth: readonly Buffer[],
): Promise<{ row: number; difference: number }> {
  // Between two pixels of the screen a picture is blurred, and Bokeh's tooltips let the chart shine through.
  await page.locator(picture).evaluate((image: HTMLImageElement) => {
    Object.assign(image.style, { position: 'fixed', left: '0', top: '0' })
    const { host } = image.getRootNode() as Partial<ShadowRoot>
    if (host instanceof HTMLElement) host.style.opacity = '1'
  })
  const seen = await greyOf(await page.locator(picture).screenshot())
  const differences = truth.map(expected => meanDifference(seen, expected))
  const difference = Math.min(...differences)
  return { row: differences.indexOf(difference), difference }
}

/** Crops and numbers of rectangles that the server was asked for since it was started. */
async function countRequests(): Promise<number> {
  const metrics = await (await fetch(`${server.address}metrics`)).text()
  return Number(/^tilestage_requests_total\{.*regions.*\} (\d+)$/im.exec(metrics)?.[1] ?? 0)
}

for (const name of ['vega-lite', 'bokeh']) {
  t.test(`${name}: pointing at a dot shows its own picture, which is asked for once`, async t => {
    const { status, stdout, stderr } = await makeCharts('--output', 'served', '--around', '16,64')
    t.match([status, stderr], [0, ''])
    const file = join(folder, 'served', `${name}.html`)
    t.match(stdout, `${name}.html: ${ROWS} dots`)
    const { size } = await stat(file)
    t.ok(size <= MOST_BYTES, `${size} bytes`)
    const rows = await rowsOf(file)
    const truth = await truthOf(rows, 16)
    const chart = await openChart(file)
    const [first, ...others] = findLonely(await chart.dots())
    const before = await countRequests()
    const { x, y } = await pointAt(chart, first)
    for (let i = 0; i < MOVES; i++) await chart.page.mouse.move(x + (i % 3) - 1, y + (i % 2))
    await pointAt(chart, first)
    t.equal(await countRequests(), before + 1, `${MOVES} moves over one dot are one request`)
    for (const row of [first, ...others.slice(0, 4)]) {
      await pointAt(chart, row)
      const seen = await lookAt(chart, truth)
      t.equal(seen.row, row, `the picture of row ${row}`)
      t.ok(seen.difference < SAME, `${seen.difference}`)
    }

    const dotsBefore = await chart.dots()
    await choose(chart, 1)
    const dots = await movedDots(chart, dotsBefore)
    const upwards = rows.map((_, i) => i).sort((a, b) => rows[a].mean1 - rows[b].mean1)
    const falls = upwards.filter((row, i) => i > 0 && dots[row].y > dots[upwards[i - 1]].y + 1)
    t.same(falls, [], 'the list changes the y axis')
    const [row] = findLonely(dots)
    await pointAt(chart, row)
    t.equal((await lookAt(chart, await truthOf(rows, 64))).row, row, 'and the pictures')
  })

  t.test(`${name}: a page for an e-mail has its pictures in it and needs no network`, async t => {
    const { status, stderr } = await makeCharts('--output', 'mail', '--around', '16,64', '--rows', '20', '--embed')
    t.match([status, stderr], [0, ''])
    t.notOk(existsSync(join(folder, 'mail/lib')), 'nor any other file')
    const file = join(folder, 'mail', `${name}.html`)
    const rows = await rowsOf(file)
    const chart = await openChart(file, true)
    for (const [measure, um] of [
      [0, 16],
      [1, 64],
    ] as const) {
      const before = await chart.dots()
      await choose(chart, measure)
      const [row] = findLonely(measure === 0 ? before : await movedDots(chart, before))
      await pointAt(chart, row)
      const seen = await lookAt(chart, await truthOf(rows, um))
      t.equal(seen.row, row)
      t.ok(seen.difference < SAME, `${seen.difference}`)
    }
    t.same(chart.requests, [])
  })
}

t.test('images of a stack are pictures of dots by their number', async t => {
  const [count, edge] = [12, 8]
  const greys = Uint8Array.from({ length: count * edge * edge }, (_, i) => 20 * Math.floor(i / edge ** 2))
  const [stack, plate] = [join(folder, 'stack.npy'), join(folder, 'stack-pyramid')]
  await writeFile(stack, composeNpy(describeArray('|u1', `${count}, ${edge}, ${edge}`), greys))
  const { status, stderr } = await tilestage(['build', stack, '--output', plate, '--progress', 'none'])
  if (status !== 0) throw new Error(stderr)
  const { address, id } = await startSampleServer(t, plate)
  const { version } = await (await fetch(`${address}pyramids/${id}`)).json()

  const made = await makeCharts('--output', 'stack', '--rows', '1')
  t.equal(made.status, 0, made.stderr)
  const file = join(folder, 'stack/vega-lite.html')
  const look = `v=${version}&width=${PICTURE_PX}&height=${PICTURE_PX}&min=0&max=255`
  const spec = {
    data: { values: Array.from({ length: count }, (_, n) => ({ n })) },
    transform: [{ calculate: `'${address}pyramids/${id}/items/' + datum.n + '.png?${look}'`, as: 'image' }],
    mark: 'circle',
    encoding: { x: { field: 'n', type: 'quantitative' }, tooltip: [{ field: 'image', type: 'nominal' }] },
    width: 600,
    // The pictures are looked at in the corner of the page.
    padding: 150,
  }
  const page = await readFile(file, 'utf8')
  await writeFile(
    file,
    page.replace(/(id="data"[^>]*>).*(?=<\/script>)/, (_, tag) => tag + JSON.stringify(spec)),
  )
  const chart = await openChart(file)
  for (const n of [0, 5, count - 1]) {
    await pointAt(chart, n)
    const seen = await lookAt(chart, [Buffer.alloc(PICTURE_PX ** 2, 20 * n)])
    t.ok(seen.difference < SAME, `image ${n}: ${seen.difference}`)
  }
  t.equal((await fetch(`${address}pyramids/${id}/items/${count}.png?${look}`)).status, 404)
})

t.test('places outside the mosaic are left out, and what cannot be is told in a sentence', async t => {
  await mark([[10_100, 20_100], { x: 10_120, y: 20_120, w: 10, h: 20 }, [0, 0], [15_000, 25_000]])
  const { status, stdout, stderr } = await makeCharts('--output', 'few')
  t.match([status, stdout, stderr], [0, /: 2 dots/, /^2 places were never imaged and are left out.\n$/])
  t.match(await rowsOf(join(folder, 'few/bokeh.html')), [
    { x: 10_100, y: 20_100, well: 'A1' },
    { x: 10_125, y: 20_130, well: 'A1' },
  ])
  for (const [args, message] of [
    [[], /--output is missing/],
    [['--output', 'x', '--around', '12,0'], /--around 12,0 is not possible/],
    [['--output', 'x', '--rows', '1.5'], /--rows 1.5 is not possible/],
    [['--output', 'x', '--server', 'here'], /--server here is no address/],
    [['--output', 'x', '--server', 'http://127.0.0.1:1'], /does not answer .*tilestage demo/],
    [['--output', 'x', '--pyramid', 'no-such-pyramid'], /is answered 404/],
    [['--output', 'x', '--colour', 'red'], /--colour/],
  ] as const) {
    const refused = await makeCharts(...args)
    t.match([refused.status, refused.stderr.split('\n').length], [1, 2], args.join(' '))
    t.match(refused.stderr, message)
  }
  t.notOk(existsSync(join(folder, 'x')))
})
