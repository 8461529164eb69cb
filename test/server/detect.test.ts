import { readFile, realpath, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { type Component, ComponentFinder } from '../../src/detect/component-finder.js'
import { otsuThreshold } from '../../src/detect/otsu.js'
import { thinOut } from '../../src/detect/thin-out.js'
import { HistogramBuilder } from '../../src/pyramid/histogram.js'
import { parseDetectors } from '../../src/server/detections/detector-command.js'
import { writePymePyramid } from '../pyramid/write-pyme-pyramid.js'
import { seededRandom } from '../seeded-random.js'
import { errorLines, PAGE_FILES, startTestApp } from './test-app.js'

/** Of the pyramids that `writePymePyramid` writes. */
const ORIGIN_UM = { x: 10019.5, y: -20.25 }
const PIXEL_UM = 0.325

interface TrueSpot {
  readonly x: number
  readonly y: number
}

/** Wider and higher than a block that is searched at once. */
const EDGE = 1152

/** Spots of 2 to 4 px, on a slope and noise; one lies where four blocks meet. */
function paintSpots(): { spots: TrueSpot[]; samples: Float32Array } {
  const random = seededRandom(5)
  const samples = new Float32Array(EDGE * EDGE)
  for (let i = 0; i < samples.length; i++) {
    // The sum of uniform numbers is as good as normal noise.
    samples[i] = 1000 + 0.02 * (i % EDGE) + 12 * (random() + random() + random() - 1.5)
  }
  const spots: TrueSpot[] = []
  for (let row = 0; row < 12; row++) {
    for (let column = 0; column < 12; column++) {
      const [x, y] = [64 + 96 * column + 30 * (random() - 0.5), 64 + 96 * row + 30 * (random() - 0.5)]
      if (row !== 10 || column !== 10) spots.push({ x, y })
    }
  }
  spots.push({ x: 1023.6, y: 1023.4 })
  for (const { x, y } of spots) {
    const [sigma, height] = [2 + 2 * random(), 200 + 500 * random()]
    for (let j = Math.floor(y) - 24; j <= y + 24; j++) {
      for (let i = Math.floor(x) - 24; i <= x + 24; i++) {
        samples[j * EDGE + i] += height * Math.exp(-((i - x) ** 2 + (j - y) ** 2) / (2 * sigma * sigma))
      }
    }
  }
  return { spots, samples }
}

const { spots: SPOTS, samples: SAMPLES } = paintSpots()
const TILES = Array.from({ length: 81 }, (_, i) => [i % 9, Math.floor(i / 9)] as const)

const SPOTS_PYRAMID = join(t.testdir({ spots: {} }), 'spots')
await writePymePyramid(SPOTS_PYRAMID, { tileSize: 128, tiles: TILES, value: (x, y) => SAMPLES[y * EDGE + x] })

async function startWithSpots(t: Test, options: Parameters<typeof startTestApp>[1] = {}) {
  t.testdir({ page: PAGE_FILES })
  const server = await startTestApp(t, { pyramids: [SPOTS_PYRAMID], ...options })
  const { id } = (await server.app.inject('/current')).json().current
  return { ...server, server, url: `/pyramids/${id}` }
}

function post(app: FastifyInstance, url: string, body: unknown) {
  return app.inject({
    method: 'POST',
    url: `${url}/detections`,
    payload: JSON.stringify(body),
    headers: { 'content-type': 'application/json' },
  })
}

async function untilEnded(app: FastifyInstance, url: string, n: number) {
  for (;;) {
    const status = (await app.inject(`${url}/detections/${n}`)).json()
    if (status.state !== 'queued' && status.state !== 'running') return status
    await wait(10)
  }
}

/** How many of the true spots were found, how many of the found are true, and the largest distance of such a pair, px. */
function compare(found: readonly { x: number; y: number }[], truth: readonly TrueSpot[]) {
  const places = found.map(({ x, y }) => ({ x: (x - ORIGIN_UM.x) / PIXEL_UM, y: (y - ORIGIN_UM.y) / PIXEL_UM }))
  const pairs = truth.flatMap(spot => {
    const distances = places.map(({ x, y }) => Math.hypot(x - spot.x, y - spot.y))
    const nearest = Math.min(...distances)
    return nearest < 3 ? [{ place: distances.indexOf(nearest), distance: nearest }] : []
  })
  return {
    recall: pairs.length / truth.length,
    precision: new Set(pairs.map(({ place }) => place)).size / found.length,
    worst: Math.max(...pairs.map(({ distance }) => distance)),
  }
}

t.test('both detectors find every spot and nothing else, within a fraction of a pixel', async t => {
  const { app, url, server } = await startWithSpots(t)
  t.same((await app.inject(`${url}/detections`)).json(), { detectors: ['threshold', 'log'], detections: [] })
  for (const [body, worst] of [
    [{ detector: 'log', sizeUm: [1.5, 4.5] }, 0.2],
    [{ detector: 'log', sizeUm: [1.5, 4.5], level: 1, threshold: 40 }, 0.3],
    [{ detector: 'threshold', threshold: 1100 }, 0.5],
    [{ detector: 'threshold', threshold: 1100, level: 1, sizeUm: '1,20' }, 0.7],
  ] as const) {
    const reply = await post(app, url, { ...body, replace: true })
    t.match([reply.statusCode, reply.json().state], [202, /queued|running/])
    const { n } = reply.json()
    const status = await untilEnded(app, url, n)
    t.match(status, { n, detector: body.detector, level: 'level' in body ? 1 : 0, state: 'done', found: SPOTS.length })
    t.equal(status.tilesDone, status.tilesTotal)
    t.equal(status.tilesTotal, 'level' in body ? 25 : 81)
    const { rois } = (await app.inject(`${url}/rois`)).json()
    t.ok(rois.every(({ name }: { name: string }) => name === body.detector))
    const result = compare(rois, SPOTS)
    t.match(result, { recall: 1, precision: 1 }, JSON.stringify(body))
    t.ok(result.worst < worst, `${JSON.stringify(body)}: ${result.worst} px at most`)
  }
  t.same(errorLines(server), [])
})

t.test('a box and a range of sizes limit what is found; what is found need not become ROIs', async t => {
  const { app, url } = await startWithSpots(t)
  const box = [ORIGIN_UM.x + 100 * PIXEL_UM, ORIGIN_UM.y + 200 * PIXEL_UM, 300 * PIXEL_UM, 250 * PIXEL_UM]
  const inBox = ({ x, y }: TrueSpot): boolean => x > 99 && x < 401 && y > 199 && y < 451
  const asked = { detector: 'log', sizeUm: [1.5, 4.5], box, threshold: 50, addRois: false }
  const { n } = (await post(app, url, asked)).json()
  const { locations, found, threshold } = await untilEnded(app, url, n)
  t.equal(threshold, 50)
  t.equal(found, SPOTS.filter(inBox).length)
  t.match(compare(locations, SPOTS.filter(inBox)), { recall: 1, precision: 1 })
  t.equal((await app.inject(`${url}/rois`)).json().count, 0)
  const large = (await post(app, url, { detector: 'threshold', threshold: 1100, sizeUm: [50, 60] })).json()
  t.match(await untilEnded(app, url, large.n), { state: 'done', found: 0 })
})

t.test('the edge of what is covered is no object', async t => {
  const folder = await realpath(t.testdir({ page: PAGE_FILES, ring: {} }))
  const path = join(folder, 'ring')
  const random = seededRandom(8)
  const tiles = TILES.filter(([column, row]) => column < 3 && row < 3 && !(column === 1 && row === 1))
  const spot = (x: number, y: number): number => 900 * Math.exp(-((x - 50) ** 2 + (y - 300) ** 2) / 18)
  await writePymePyramid(path, { tileSize: 128, tiles, value: (x, y) => 2000 + 20 * random() + spot(x, y) })
  const { app } = await startTestApp(t, { pyramids: [path] })
  const url = `/pyramids/${(await app.inject('/current')).json().current.id}`
  const { n } = (await post(app, url, { detector: 'log', sizeUm: [2, 10] })).json()
  t.match(await untilEnded(app, url, n), { state: 'done', found: 1 })
  t.ok(compare((await app.inject(`${url}/rois`)).json().rois, [{ x: 50, y: 300 }]).worst < 0.3)
})

t.test('one detection runs at a time; those that wait and the one that runs can be cancelled', async t => {
  const { app, url, server } = await startWithSpots(t, {
    detectors: parseDetectors([`slow=${process.execPath} -e setTimeout(()=>{},1e6) {output}`]),
  })
  const first = (await post(app, url, { detector: 'slow' })).json()
  const others = []
  for (let i = 0; i < 16; i++) others.push((await post(app, url, { detector: 'slow' })).json())
  t.match((await post(app, url, { detector: 'slow' })).json(), { code: 'TOO_MANY_DETECTIONS' })
  t.same(
    (await app.inject(`${url}/detections`)).json().detections.map(({ state }: { state: string }) => state),
    ['running', ...others.map(() => 'queued')],
  )
  const cancel = async (n: number) => (await app.inject({ method: 'DELETE', url: `${url}/detections/${n}` })).json()
  t.match(await cancel(others[0].n), { state: 'cancelled' })
  t.match(await cancel(first.n), { state: 'cancelled' })
  t.match(await cancel(first.n), { state: 'cancelled' }, 'a second time changes nothing')
  t.equal((await app.inject(`${url}/detections/${others[1].n}`)).json().state, 'running')
  t.equal((await app.inject(`${url}/detections/999`)).statusCode, 404)
  t.equal((await app.inject('/pyramids/other/detections/1')).statusCode, 404)
  await app.close()
  t.same(errorLines(server), [], 'and the server closes in the middle of one')
})

t.test('requests that make no sense are refused with a sentence', async t => {
  const { app, url, server } = await startWithSpots(t)
  for (const [body, code, message] of [
    [{}, 'BAD_REQUEST', /detector is missing/],
    [
      { detector: 'sh -c true' },
      'NOT_CONFIGURED',
      /no detector "sh -c true"; there are threshold, log, and --detector/,
    ],
    [{ detector: 'log', level: 99 }, 'NOT_FOUND', /no level 99/],
    [{ detector: 'log', channel: 1 }, 'NOT_FOUND', /no channel 1/],
    [{ detector: 'log', threshold: 'much' }, 'BAD_REQUEST', /threshold is "much"/],
    [{ detector: 'log', sizeUm: [5, 2] }, 'BAD_REQUEST', /sizeUm is 5,2; it is the smallest and the largest/],
    [{ detector: 'log', sizeUm: 4 }, 'BAD_REQUEST', /sizeUm is 4;/],
    [{ detector: 'log', sizeUm: [0.1, 2] }, 'BAD_REQUEST', /at level 0, diameters from 0\.6500 to 83\.20 µm/],
    [{ detector: 'log', box: [1, 2, 3] }, 'BAD_REQUEST', /box is 1,2,3; it is x,y,w,h/],
    [{ detector: 'log', box: [0, 0, 10, 10] }, 'NOT_FOUND', /lies beside the pyramid/],
    [{ detector: 'log', box: { x: 1 } }, 'BAD_REQUEST', /box is neither/],
    [{ detector: 'log', replace: 'yes' }, 'BAD_REQUEST', /replace is "yes"; it is 1 or 0/],
  ] as const) {
    t.match((await post(app, url, body)).json(), { code, message }, JSON.stringify(body))
  }
  t.equal((await app.inject(`${url}/rois`)).json().count, 0)
  t.same(errorLines(server), [])
})

/** A program as a lab would configure it: does what the recipe says. */
const PROGRAM = `
import { readFileSync, writeFileSync } from 'node:fs'
import { spawn } from 'node:child_process'
const [pyramid, level, recipe, output] = process.argv.slice(2)
const { csv, status = 0, message = '', hang = false, leaves = false } = JSON.parse(readFileSync(recipe, 'utf8'))
if (csv) writeFileSync(output + '.csv', csv.replace('LEVEL', level))
process.stderr.write(message.replace('PYRAMID', pyramid))
if (hang) {
  const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 1e6)'])
  writeFileSync(recipe + '.pids', process.pid + ' ' + child.pid)
  setTimeout(() => {}, 1e6)
} else {
  if (leaves) spawn(process.execPath, ['-e', 'setTimeout(() => {}, 1e6)'], { stdio: 'inherit' }).unref()
  process.exitCode = status
}
`

async function startWithProgram(t: Test) {
  const folder = await realpath(t.testdir({ page: PAGE_FILES, small: {}, 'a recipe': {}, 'program.mjs': PROGRAM }))
  const path = join(folder, 'small')
  await writePymePyramid(path, {
    tileSize: 32,
    tiles: [
      [0, 0],
      [1, 1],
    ],
    value: x => x,
  })
  const program = join(folder, 'program.mjs')
  const detectors = parseDetectors([`${process.execPath} "${program}" {pyramid} {level} {recipe} {output}`])
  const server = await startTestApp(t, { pyramids: [path], roots: [folder], detectors })
  const { id } = (await server.app.inject('/current')).json().current
  const recipe = async (name: string, content: unknown): Promise<string> => {
    const file = join(folder, 'a recipe', name)
    await writeFile(file, JSON.stringify(content))
    return file
  }
  const run = (file: string, more = '') =>
    server.app.inject(`/run_recipe_for_locations?recipe_path=${encodeURIComponent(file)}${more}`)
  return { ...server, server, folder, url: `/pyramids/${id}`, recipe, run }
}

t.test('a configured program is run with the recipe that a client names; its table replaces the ROIs', async t => {
  const { app, url, recipe, run, folder } = await startWithProgram(t)
  await app.inject('/add_roi?x=1&y=1')
  const file = await recipe('good one; rm -rf $HOME.json', { csv: 'x_um,y_um,name\n1.5,LEVEL,a\n3,4,\n' })
  const reply = await run(file)
  t.match([reply.statusCode, reply.headers.location], [303, 'roi_list'])
  t.same((await app.inject(`${url}/rois`)).json().rois, [
    { id: 2, x: 1.5, y: 1, name: 'a' },
    { id: 3, x: 3, y: 4, name: 'recipe' },
  ])
  await run(file, '&tile_level=0')
  t.same((await app.inject('/get_roi_locations')).body, '[[1.5, 0.0], [3.0, 4.0]]')
  t.equal((await run(file, '&tile_level=7')).statusCode, 404)
  t.equal((await run(join(folder, 'missing.json'))).statusCode, 404)
  t.equal((await run('/etc/passwd')).statusCode, 403, 'outside of the roots')
  t.match((await run('recipe')).json(), { code: 'BAD_REQUEST', message: /needs the path of a recipe/ })
})

t.test('why a program failed is told, with the end of what it said', async t => {
  const { app, run, recipe, server } = await startWithProgram(t)
  await app.inject('/add_roi?x=1&y=1')
  for (const [content, message] of [
    [
      { status: 3, message: 'Traceback\n  line 1\nValueError: no cells in PYRAMID' },
      /^The detector recipe ended with status 3: Traceback \| line 1 \| ValueError: no cells in small\.$/,
    ],
    [{}, /^The detector recipe left no table at \{output\}, \{output\}\.csv, \{output\}\.hdf/],
    [{ csv: 'a,b\n1,2\n' }, /no columns x_um and y_um/],
    [{ csv: 'x,y\n1,oops\n' }, /^…\/roi_locations\.csv: Row 1: y is "oops"/],
  ] as const) {
    const reply = await run(await recipe('r.json', content))
    t.match([reply.statusCode, reply.json().code], [422, 'DETECTOR_FAILED'])
    t.match(reply.json().message, message)
  }
  t.equal((await app.inject('/get_roi_locations')).body, '[[1.0, 1.0]]', 'nothing was changed')
  t.same(errorLines(server), [])
})

t.test('a program that leaves another one running is done when it ends', async t => {
  const { app, run, recipe } = await startWithProgram(t)
  await run(await recipe('leaves.json', { csv: 'x,y\n1,2\n', leaves: true }))
  t.equal((await app.inject('/get_roi_locations')).body, '[[1.0, 2.0]]')
})

t.test('a program that is cancelled ends, and what it started ends with it', async t => {
  const { app, url, recipe } = await startWithProgram(t)
  const file = await recipe('hang.json', { hang: true })
  const { n } = (await post(app, url, { detector: 'recipe', recipe: file })).json()
  let pids: number[] = []
  while (pids.length < 2) {
    await wait(20)
    pids = (await readFile(`${file}.pids`, 'utf8').catch(() => '')).split(' ').filter(Boolean).map(Number)
  }
  t.match((await app.inject({ method: 'DELETE', url: `${url}/detections/${n}` })).json(), { state: 'cancelled' })
  const isRunning = (pid: number): boolean => {
    try {
      return process.kill(pid, 0)
    } catch {
      return false
    }
  }
  // The end of the child may come a moment after that of its parent.
  while (pids.some(isRunning)) await wait(10)
  t.pass('both are gone')
})

t.test('without a program, recipes name the built-in detectors', async t => {
  const { app } = await startWithSpots(t)
  t.match((await app.inject('/run_recipe_for_locations?recipe_path=/r.yaml')).json(), {
    code: 'NOT_CONFIGURED',
    message: /--detector/,
  })
  t.equal((await app.inject('/run_recipe_for_locations?recipe_path=log&tile_level=1')).statusCode, 303)
  const { rois } = (await app.inject(`/pyramids/${(await app.inject('/current')).json().current.id}/rois`)).json()
  t.match(compare(rois, SPOTS), { recall: 1 })
})

t.test('components are those of a flood, however the image is cut into blocks', async t => {
  const random = seededRandom(3)
  for (const [density, edge] of [
    [0.1, 7],
    [0.4, 16],
    [0.55, 5],
    [0.7, 64],
  ] as const) {
    const [width, height] = [61, 47]
    const samples = Float32Array.from({ length: width * height }, () =>
      random() < density ? 1 + random() : random() / 2,
    )
    const mask = Uint8Array.from(samples, () => (random() < 0.95 ? 1 : 0))
    const found: Component[] = []
    const finder = new ComponentFinder({ x0: 100, y0: 50, x1: 100 + width, y1: 50 + height }, 0.5, one =>
      found.push(one),
    )
    for (let y0 = 0; y0 < height; y0 += edge) {
      for (let x0 = 0; x0 < width; x0 += edge) {
        const [w, h] = [Math.min(edge, width - x0), Math.min(edge, height - y0)]
        const at = (i: number): number => (y0 + Math.floor(i / w)) * width + x0 + (i % w)
        const block = Float32Array.from({ length: w * h }, (_, i) => samples[at(i)])
        const covered = Uint8Array.from({ length: w * h }, (_, i) => mask[at(i)])
        // Blocks without anything may be left out.
        if (!block.some((value, i) => value > 0.5 && covered[i] === 1)) continue
        const plane = { width: w, height: h, sampleType: 'float32', samples: block } as const
        const rect = { x0: 100 + x0, y0: 50 + y0, x1: 100 + x0 + w, y1: 50 + y0 + h }
        finder.add(rect, { plane, mask: covered })
      }
    }
    finder.finish()
    const expected = flood(samples, mask, width, height)
    const tidy = (all: Component[]) => all.map(({ pixels, x, y }) => `${pixels} ${x.toFixed(4)} ${y.toFixed(4)}`).sort()
    t.same(tidy(found), tidy(expected.map(one => ({ ...one, x: one.x + 100, y: one.y + 50 }))), `blocks of ${edge}`)
  }
})

function flood(samples: Float32Array, mask: Uint8Array, width: number, height: number): Component[] {
  const isOpen = samples.map((value, i) => (value > 0.5 && mask[i] === 1 ? 1 : 0))
  const found: Component[] = []
  for (let start = 0; start < isOpen.length; start++) {
    let [pixels, weight, wx, wy] = [0, 0, 0, 0]
    const todo = isOpen[start] ? [start] : []
    isOpen[start] = 0
    for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
      const [x, y, above] = [at % width, Math.floor(at / width), samples[at] - 0.5]
      pixels++
      weight += above
      wx += above * x
      wy += above * y
      for (let dy = -1; dy <= 1; dy++) {
        for (let dx = -1; dx <= 1; dx++) {
          const next = (y + dy) * width + x + dx
          if (x + dx < 0 || x + dx >= width || y + dy < 0 || y + dy >= height || !isOpen[next]) continue
          isOpen[next] = 0
          todo.push(next)
        }
      }
    }
    if (pixels > 0) found.push({ pixels, x: wx / weight, y: wy / weight })
  }
  return found
}

t.test('of spots that lie in each other, the one that stands out most stays', async t => {
  const random = seededRandom(4)
  const spots = Array.from({ length: 400 }, () => ({
    x: 300 * random(),
    y: 300 * random(),
    radius: 1 + 20 * random() ** 3,
    response: random(),
  }))
  const kept: typeof spots = []
  for (const spot of [...spots].sort((a, b) => b.response - a.response)) {
    const isFree = kept.every(({ x, y, radius }) => Math.hypot(x - spot.x, y - spot.y) >= Math.max(radius, spot.radius))
    if (isFree) kept.push(spot)
  }
  t.same(thinOut(spots), kept)
})

t.test("Otsu's threshold parts two classes of values", async t => {
  const random = seededRandom(2)
  for (const type of ['uint16', 'float32'] as const) {
    const builder = new HistogramBuilder(type)
    const samples = Array.from({ length: 3000 }, (_, i) => (i % 3 === 0 ? 400 : 100) + 20 * random())
    builder.add(type === 'uint16' ? Uint16Array.from(samples) : Float32Array.from(samples))
    const threshold = otsuThreshold(builder.finish())
    t.ok(threshold >= 119 && threshold < 400, `${type}: ${threshold}`)
  }
  const flat = new HistogramBuilder('uint16')
  flat.add(Uint16Array.of(7, 7, 7))
  t.equal(otsuThreshold(flat.finish()), 7, 'of one value, nothing is above')
})

t.test('commands are split as a shell would, and named', async t => {
  t.same(parseDetectors(['cells=python "/opt/my tools/find.py" --x=1 {pyramid} -o {output}', 'prog {output}']), [
    { name: 'cells', words: ['python', '/opt/my tools/find.py', '--x=1', '{pyramid}', '-o', '{output}'] },
    { name: 'recipe', words: ['prog', '{output}'] },
  ])
  t.same(parseDetectors(['python find.py --x=1 {output}'])[0].name, 'recipe')
  for (const [texts, message] of [
    [['a=prog'], /has no \{output\}/],
    [['a='], /names no command/],
    [['log=prog {output}'], /there is a detector log already/],
    [['prog {output}', 'other {output}'], /there is a detector recipe already; write --detector NAME=COMMAND/],
  ] as const) {
    t.throws(() => parseDetectors(texts), { name: 'UsageError', message })
  }
})
