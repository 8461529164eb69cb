import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import t, { type Test } from 'tap'
import { formatSample } from '../../public/parts/number-format.js'
import { openPyramid } from '../../src/pyramid/open-pyramid.js'
import { freePort } from '../free-port.js'
import { launchBrowser, type OpenPage, openPage, SHARP, untilReady } from '../public/browser.js'
import {
  comparePicture,
  contrastOf,
  grey,
  PICTURE_TOP,
  readSamples,
  setContrast,
  truthOf,
} from '../public/picture-truth.js'
import { PLATE, shell, tilestage, tilestageProcess } from '../run-cli.js'
import { unpackFixture } from '../unpack-fixture.js'

const folder = t.testdir({})
const platePath = join(folder, 'plate')
const wellPath = join(folder, 'well')

let browser: Browser

t.before(async () => {
  const build = (series: string[], output: string) =>
    tilestage(['build', ...series, '--output', output, '--progress', 'none'])
  const wells = ['A1', 'A2', 'B1'].map(well => join(PLATE, `well_${well}.pcs`))
  const built = await Promise.all([build(wells, platePath), build(wells.slice(0, 1), wellPath)])
  if (built.some(({ status }) => status !== 0)) throw new Error(built.map(({ stderr }) => stderr).join())
  browser = await launchBrowser()
})
t.teardown(() => browser.close())

function exportSite(pyramid: string, to: string, ...flags: string[]) {
  return tilestage(['export', pyramid, '--to', to, '--format', 'static', ...flags])
}

/** Any web host: Python's. @returns its address, without a slash at the end. */
async function serveFiles(t: Test, root: string): Promise<string> {
  const port = await freePort()
  const host: ChildProcess = spawn('python3', ['-m', 'http.server', `${port}`, '--bind', '127.0.0.1', '-d', root], {
    stdio: 'ignore',
  })
  const ended = once(host, 'close')
  t.teardown(async () => {
    host.kill()
    await ended
  })
  const address = `http://127.0.0.1:${port}`
  const answers = () =>
    fetch(address).then(
      () => true,
      () => false,
    )
  while (!(await answers())) await new Promise(resolve => setTimeout(resolve, 50))
  return address
}

/** A page that keeps what the host answered. */
async function openExport(url: string): Promise<OpenPage & { readonly statuses: number[] }> {
  const opened = await openPage(browser, url, SHARP)
  const statuses: number[] = []
  opened.page.on('response', response => statuses.push(response.status()))
  return { ...opened, statuses }
}

/** Every file below a folder: its name, and what changes when it is written. */
async function filesOf(root: string): Promise<Map<string, string>> {
  const names = await readdir(root, { recursive: true, withFileTypes: true })
  const files = new Map<string, string>()
  for (const entry of names) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    const { ino, ctimeMs, size } = await stat(path)
    files.set(path.slice(root.length + 1), `${ino} ${ctimeMs} ${size}`)
  }
  return files
}

t.test('an export below a sub-path shows the true pixels, and asks for nothing that is not there', async t => {
  const root = join(folder, 'hosted')
  const { status, stdout } = await exportSite(platePath, join(root, 'lab data/plates'))
  t.equal(status, 0)
  t.equal(stdout, `${join(root, 'lab data/plates/index.html')}\n`)
  const address = await serveFiles(t, root)
  const { page, requests, errors, statuses, leave } = await openExport(`${address}/lab%20data/plates/`)
  t.teardown(leave)
  const pyramid = await openPyramid(platePath)
  t.teardown(() => pyramid.close())

  const fitted = await comparePicture(t, page, truthOf(pyramid), await contrastOf(page), 'automatic contrast')
  t.ok(fitted.covered > 20_000)
  await page.keyboard.press('1')
  await untilReady(page)
  await setContrast(page, grey(150, 400))
  await comparePicture(t, page, truthOf(pyramid), grey(150, 400), 'one screen pixel per sample')
  await page.keyboard.press('Shift+ArrowRight')
  await untilReady(page)
  await comparePicture(t, page, truthOf(pyramid), grey(150, 400), 'panned')
  await page.keyboard.press('Shift+0')
  await untilReady(page)
  await comparePicture(t, page, truthOf(pyramid), grey(150, 400), 'the whole plate')
  await page.keyboard.press(']')
  await untilReady(page)

  await page.mouse.move(300.5, 300.5 + PICTURE_TOP)
  await page.waitForFunction(() => document.querySelector('#status .source')?.textContent !== '')
  t.match(await page.textContent('#status .from'), /well_/, 'the frame is named')
  await page.keyboard.press('Enter')
  await page.waitForSelector('#value-details:not([hidden]) table')
  const pixel = (await page.textContent('#value-details .facts div:nth-child(2) dd'))?.split(', ').map(Number)
  const [column, row] = pixel as [number, number]
  const value = (await readSamples(pyramid, 0, { x0: column, y0: row, x1: column, y1: row }))(column, row)
  t.equal(await page.textContent('#value-details td.number'), formatSample(value as number, true))

  for (const hidden of ['#connection', '#points', '[data-tool=region]', '[data-tool=point]'])
    t.notOk(await page.isVisible(hidden), `${hidden} needs a server`)
  t.ok(await page.isVisible('[data-tool=measure]'))
  t.same(errors, [])
  t.same(
    [...new Set(requests.map(url => new URL(url).origin))].filter(origin => origin !== 'null'),
    [address],
  )
  t.same(
    statuses.filter(code => code >= 400),
    [],
  )
  t.ok(requests.every(url => url.startsWith('data:') || url.startsWith(`${address}/lab%20data/plates/`)))
})

t.test('an exported page shows all maps side by side, equalized too, and leads to the viewer and back', async t => {
  const maps = join(folder, 'maps')
  const scan = unpackFixture(join(folder, 'scan'), 'datastack/v3_spec.datastack')
  t.equal((await tilestage(['build', scan, '--output', maps, '--progress', 'none'])).status, 0)
  const root = join(folder, 'bucket')
  const names = ['--object', 'RP-T-1898', '--kind', 'elementmap']
  t.equal((await exportSite(maps, join(root, 'xrf'), ...names, '--grid', '--stretch', 'equalize')).status, 0)
  const without = await exportSite(maps, join(root, 'xrf'), ...names, '--stretch', 'equalize')
  t.match(without, { status: 64, stderr: /are drawn at first; add --grid\.$/m })
  const address = await serveFiles(t, root)
  const base = `${address}/xrf/RP-T-1898/html/RP-T-1898_elementmap`
  const { page, requests, errors, statuses, leave } = await openExport(`${base}.html`)
  t.teardown(leave)
  t.equal(await page.locator('.cell-picture').count(), 12, 'eleven elements, and the photo')
  const elements = await page.locator('.cell-style').allTextContents()
  t.same(elements.slice(0, 11), ['S', 'Cl', 'K', 'Ca', 'Ba', 'Ti', 'Mn', 'Fe', 'Cu', 'Zn', 'Pb'])
  const picture = page.locator('.cell-picture').nth(7)
  await picture.hover({ position: { x: 60, y: 40 } })
  await page.waitForFunction(() => /\d/.test(document.querySelector('.cell-value')?.textContent ?? ''))
  await page.mouse.wheel(0, -400)
  await untilReady(page)

  await page.click('.viewer-link')
  await page.waitForURL(/_elementmap_viewer\.html/)
  await untilReady(page)
  await page.click('#grid-link')
  await page.waitForURL(/_elementmap\.html/)
  await untilReady(page)
  t.same(errors, [])
  t.same(
    statuses.filter(code => code >= 400),
    [],
  )
  t.ok(requests.every(url => url.startsWith('data:') || url.startsWith(base)))
})

t.test('an export of nothing new writes nothing, and one of what was lost writes that', async t => {
  const to = join(folder, 'again')
  await exportSite(platePath, to)
  const before = await filesOf(to)
  const again = await exportSite(platePath, to)
  t.match(again.stderr, /^0 files written/m)
  t.same(await filesOf(to), before)

  const lost = [...before.keys()].find(name => name.endsWith('.bin')) as string
  const bytes = await readFile(join(to, lost))
  await rm(join(to, lost))
  t.match((await exportSite(platePath, to)).stderr, /^1 file written/m)
  t.same(await readFile(join(to, lost)), bytes)
})

t.test('an export that is stopped leaves the page before it, and the next one goes on from there', async t => {
  const root = join(folder, 'killed')
  await exportSite(wellPath, root)
  const earlier = await filesOf(root)
  const args = ['export', platePath, '--to', root, '--format', 'static', '--progress', 'json']
  let isStopped = false
  const killed = await tilestageProcess(args, {
    onOutput: (stdout, child) => {
      if (!isStopped && stdout.includes('"filesDone"')) isStopped = child.kill('SIGTERM')
    },
  })
  t.equal(killed.status, 143)
  t.match(killed.stderr, /Stopped\. Run the same command again/)
  const left = await filesOf(root)
  for (const [name, state] of earlier)
    if (!name.startsWith('.tilestage')) t.equal(left.get(name), state, `${name} is as it was`)
  t.ok(left.size > earlier.size, 'something was written')

  const address = await serveFiles(t, root)
  const { page, errors, statuses, leave } = await openExport(`${address}/`)
  const well = await openPyramid(wellPath)
  t.teardown(() => well.close())
  await comparePicture(t, page, truthOf(well), await contrastOf(page), 'the page before')
  t.same(errors, [])
  t.same(
    statuses.filter(code => code >= 400),
    [],
  )
  await leave()

  const resumed = await tilestage(args)
  t.equal(resumed.status, 0)
  const done = JSON.parse(resumed.stdout.trim().split('\n').at(-1) as string)
  t.ok(done.kept > 0, `${done.kept} files were there already`)
  t.equal(done.event, 'done')
  const plate = await openPyramid(platePath)
  t.teardown(() => plate.close())
  const now = await openExport(`${address}/`)
  await comparePicture(t, now.page, truthOf(plate), await contrastOf(now.page), 'the new page')
  await now.leave()
  const versions = (await readdir(join(root, 'index_files'))).map(name => name.split('-')[0]).sort()
  t.same(versions, ['tiles', 'view'], 'what no page names is gone')
})

t.test('--keep leaves what earlier pages name, and --names are those of the channels', async t => {
  const to = join(folder, 'kept')
  await exportSite(wellPath, to)
  await exportSite(platePath, to, '--keep', '--names', 'Fe')
  const versions = (await readdir(join(to, 'index_files'))).map(name => name.split('-')[0]).sort()
  t.same(versions, ['tiles', 'tiles', 'view', 'view'])
  const [, view] = /data-view="([^"]+)"/.exec(await readFile(join(to, 'index.html'), 'utf8')) as RegExpExecArray
  t.match(JSON.parse(await readFile(join(to, view as string, 'pyramid.json'), 'utf8')), { channels: [{ name: 'Fe' }] })
})

t.test('pages are named after object and kind, and their addresses are printed', async t => {
  const to = join(folder, 'named')
  const names = ['--object', 'RP-T-1898-A-3689', '--kind', 'histeq_elementmap', '--subdir', 'xrf']
  const { status, stdout } = await exportSite(
    wellPath,
    to,
    ...names,
    '--public-url',
    'https://images.example/b 1'.replace(' ', '%20'),
  )
  t.equal(status, 0)
  const page = 'xrf/RP-T-1898-A-3689/html/RP-T-1898-A-3689_histeq_elementmap.html'
  t.equal(stdout, `https://images.example/b%201/${page}\n`)
  t.match(await readFile(join(to, page), 'utf8'), /data-view="RP-T-1898-A-3689_histeq_elementmap_files\/view-/)
})

t.test('a target that refuses a file is named, and the page before stays', async t => {
  const to = join(folder, 'refusing')
  await exportSite(wellPath, to)
  const page = await readFile(join(to, 'index.html'))
  const elsewhere = join(folder, 'elsewhere')
  await exportSite(platePath, elsewhere)
  const tiles = (await readdir(join(elsewhere, 'index_files'))).find(name => name.startsWith('tiles-')) as string
  await writeFile(join(to, 'index_files', tiles), 'a file in the place of the folder')
  const { status, stderr } = await exportSite(platePath, to)
  t.equal(status, 1)
  t.match(stderr, new RegExp(`^tilestage: .*${tiles}.* is not a directory`, 'm'))
  t.same(await readFile(join(to, 'index.html')), page)
})

t.test('a full disk stops the export with a sentence, and with more room it goes on', async t => {
  const { stdout } = await shell(
    `mkdir full
    mount -t tmpfs -o size=3m none full
    tilestage export ${wellPath} --to full/site --format static; echo "= $?"
    ls full/site/index.html 2>&1
    mount -o remount,size=30m full
    tilestage export ${wellPath} --to full/site --format static; echo "= $?"
    ls full/site/index.html`,
    folder,
    true,
  )
  t.match(stdout, /the disk is full; free some space and run the same command again\.\n= 1\n/)
  t.match(stdout, /cannot access[^\n]*\n/)
  t.match(stdout, /were there already\n[^\n]*index\.html\n= 0\nfull\/site\/index\.html\n$/)
})

t.test('what cannot be exported is refused before anything is written', async t => {
  const to = join(folder, 'none')
  const refused = async (args: string[], expected: RegExp, status = 64): Promise<void> => {
    const finished = await tilestage(['export', ...args])
    t.equal(finished.status, status)
    t.match(finished.stderr, expected)
  }
  const site = [wellPath, '--to', to, '--format', 'static']
  await refused([], /Name one pyramid/)
  await refused([wellPath], /--to PATH/)
  await refused([wellPath, '--to', to], /Say what to write/)
  await refused([...site, '--object', 'a'], /--object and --kind go together/)
  await refused([...site, '--object', 'a/b', '--kind', 'c'], /--object is called "a\/b", which holds a slash/)
  await refused([...site, '--subdir', '../up'], /--subdir is called "\.\."/)
  await refused([...site, '--names', 'a,b'], /--names lists 2 names, and there is 1 layer/)
  await refused([...site, '--names', 'Fe/Ca'], /--names is called "Fe\/Ca", which holds a slash/)
  await refused([...site, '--public-url', 'bucket'], /--public-url bucket is not possible; it begins with https/)
  await refused([PLATE, '--to', to, '--format', 'static'], /is not a pyramid/, 1)
  t.same(await filesOf(folder).then(files => [...files.keys()].filter(name => name.startsWith('none/'))), [])
})
