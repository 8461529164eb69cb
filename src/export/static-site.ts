import { readdir, readFile } from 'node:fs/promises'
import { join, posix } from 'node:path'
import { fromSystemError } from '../errors.js'
import { SAMPLE_TYPES } from '../plane.js'
import type { MosaicSelection, Pyramid } from '../pyramid/pyramid.js'
import { CONTENT_SECURITY_POLICY } from '../server/routes/page.js'
import type { ExportReport, ExportRequest } from './export-request.js'
import { type ExportObject, ExportTarget, hashOf } from './export-target.js'
import { LocalAnswers, PAGE_FOLDER } from './local-answers.js'
import { ProgressCounter } from './progress-counter.js'
import { countTiles, planesOf, presentTiles } from './pyramid-planes.js'
import { fileOfAnswer } from './static-files.js'

/** To be raised when exports of the same pyramid hold other samples. */
const SAMPLES_VERSION = 1

/** The page asks for all frames at once where there are no more. */
const MOST_FRAMES = 2000

/** The pages, each of which has a link to the other. */
const PAGES = { viewer: 'index.html', grid: 'grid.html' } as const
type PageName = keyof typeof PAGES

const DESCRIPTION_FILE = 'pyramid.json'

export interface SiteWishes {
  /** Whether tiles that no page names any more stay. */
  readonly keepsOthers: boolean
  /** Which page is called as the export is; the other one lies beside it. */
  readonly page: PageName
  /** How the maps side by side are drawn at first; as in addresses of the server. */
  readonly look: { readonly stretch: string | undefined; readonly lut: string | undefined }
}

/**
 * Export the viewer with all that it asks a server for, for hosts that only hand out files.
 *
 * Everything lies in folders that are named after their content, `…_files/tiles-HASH` and `…_files/view-HASH`; the page
 * names them and is written last. So an export that is stopped leaves the page before it as it was. Folders that no
 * page names any more are removed at the end.
 *
 * @throws {SourceUnavailableError} the target refuses something. @throws as `Pyramid.readTile`.
 */
export async function exportStaticSite(
  request: ExportRequest,
  { keepsOthers, page, look }: SiteWishes,
): Promise<ExportReport> {
  const { pyramid, folder, names, software, signal } = request
  const answers = await LocalAnswers.open(pyramid.path, software)
  const content = hashOf(pyramid.id, pyramid.version, String(SAMPLES_VERSION))
  const target = await ExportTarget.open(folder, `static-${names.stem}`, content)
  try {
    const files = `${names.page.replace(/\.html$/, '')}_files`
    const view = await readView(request, answers)
    const tilesFolder = `tiles-${content}`
    const viewFolder = `view-${hashOf(...[...view].flat())}`
    const tiles = countTiles(pyramid)
    const tileBytes = pyramid.geometry.tileSize ** 2 * (SAMPLE_TYPES[pyramid.sampleType].bytes + 1)
    const other: PageName = page === 'viewer' ? 'grid' : 'viewer'
    const total = tiles + view.size
    request.onPlan({ files: total, bytes: tiles * tileBytes })
    const progress = new ProgressCounter(target, total, request)
    await target.putAll(tilesOf(pyramid, answers, `${files}/${tilesFolder}`), signal, () => progress.count())
    for (const [name, bytes] of view) {
      signal.throwIfAborted()
      if (!isPage(name)) await target.putSmall(`${files}/${viewFolder}/${name}`, bytes)
      progress.count()
    }
    const base = posix.basename(files)
    const pages = { [page]: names.page, [other]: names.page.replace(/\.html$/, `_${other}.html`) } as Record<
      PageName,
      string
    >
    await target.finish()
    // The one that everybody knows comes last.
    for (const written of [other, page]) {
      const html = pageOf(view.get(PAGES[written]) as Buffer, `${base}/${viewFolder}/`, {
        tiles: `${base}/${tilesFolder}/`,
        pyramid: pyramid.id,
        ...(written === 'viewer' ? { grid: posix.basename(pages.grid) } : { viewer: posix.basename(pages.viewer) }),
        ...(written === 'grid' && look.stretch !== undefined && { stretch: look.stretch }),
        ...(written === 'grid' && look.lut !== undefined && { colours: look.lut }),
      })
      await target.putSmall(pages[written], html)
    }
    for (const found of keepsOthers ? [] : await target.names(files))
      if (/^(tiles|view)-/.test(found) && found !== tilesFolder && found !== viewFolder)
        await target.remove(`${files}/${found}`)
    return { results: [names.page], ...target.done }
  } finally {
    await target.abandon()
    await answers.close()
  }
}

interface Description {
  readonly channels: readonly object[]
  readonly items?: object | null
}

/** Everything but the tiles: the page's own files, and small answers. By name. */
async function readView(
  { pyramid, names, software }: ExportRequest,
  answers: LocalAnswers,
): Promise<Map<string, Buffer>> {
  const view = new Map<string, Buffer>()
  for (const file of (await namesOf(PAGE_FOLDER)).sort()) view.set(file, await readFile(join(PAGE_FOLDER, file)))
  const version = software.split(' ').at(-1)
  view.set('healthz.json', Buffer.from(JSON.stringify({ version })))
  for (const url of answersOf(pyramid)) {
    const file = fileOfAnswer(url)
    if (file === undefined) throw new RangeError(`an export keeps no answer to ${url}`)
    view.set(file.name, await answers.get(url))
  }
  const described = JSON.parse(String(view.get(DESCRIPTION_FILE))) as Description
  const channels = described.channels.map((channel, i) => ({ ...channel, name: names.titles[i] }))
  // Rows of a table are looked up by a server.
  const items = described.items ? { ...described.items, fields: [] } : null
  view.set(DESCRIPTION_FILE, Buffer.from(JSON.stringify({ ...described, channels, items })))
  return view
}

async function namesOf(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    throw fromSystemError(error, folder)
  }
}

/** What the page asks for besides tiles. */
function* answersOf(pyramid: Pyramid): Generator<string> {
  const of = `pyramids/${encodeURIComponent(pyramid.id)}`
  yield* ['current', 'pyramids', of]
  for (const plane of planesOf(pyramid)) yield `${of}/coverage?${queryOf(plane)}`
  for (let channel = 0; channel < pyramid.channels.length; channel++) {
    yield `${of}/histogram?channel=${channel}&bins=1024`
    yield `${of}/equalization?channel=${channel}`
    // As the page has it: of a well, the middle plane of the first time point tells.
    const plane = { channel, zPlane: Math.floor(pyramid.zPlanes / 2), timePoint: 0 }
    for (const { rect } of pyramid.wells) {
      const { x0, y0, x1, y1 } = rect
      const place = `x=${x0}&y=${y0}&w=${x1 - x0}&h=${y1 - y0}&units=px`
      yield `${of}/histogram?${queryOf(plane)}&${place}&bins=1024`
    }
  }
  const { used, skipped } = pyramid.frames ?? { used: Infinity, skipped: 0 }
  if (pyramid.placement && used + skipped <= MOST_FRAMES) yield `${of}/placement?limit=10000`
}

function* tilesOf(pyramid: Pyramid, answers: LocalAnswers, folder: string): Generator<ExportObject> {
  const { geometry, id, version } = pyramid
  for (const plane of planesOf(pyramid)) {
    for (let level = geometry.levelCount - 1; level >= 0; level--) {
      const zoom = geometry.levelCount - 1 - level
      for (const { column, row } of presentTiles(pyramid, plane, level)) {
        const place = `${zoom}/${column}/${row}`
        const url = `pyramids/${encodeURIComponent(id)}/tiles/${place}.bin?${queryOf(plane)}&v=${encodeURIComponent(version)}`
        yield { name: `${folder}/${fileOfAnswer(url)?.name}`, make: () => answers.get(url) }
      }
    }
  }
}

const queryOf = ({ channel, zPlane, timePoint }: MosaicSelection): string =>
  `channel=${channel}&t=${timePoint}&depth=${zPlane}`

function isPage(name: string): boolean {
  return Object.values<string>(PAGES).includes(name)
}

/** A page of the server, told where its files lie. */
function pageOf(html: Buffer, view: string, data: Readonly<Record<string, string>>): string {
  const policy = `<meta http-equiv="Content-Security-Policy" content="${CONTENT_SECURITY_POLICY}">`
  const attributes = Object.entries({ view, ...data }).map(([name, path]) => ` data-${name}="${escapeUrl(path)}"`)
  return html
    .toString()
    .replace('<html', () => `<html${attributes.join('')}`)
    .replace('<head>', () => `<head>\n${policy}`)
    .replace(/(href|src)="((?:viewer|grid)\.(?:css|js))"/g, (_, name, file) => `${name}="${escapeUrl(view)}${file}"`)
}

/** A path as an address in HTML. */
function escapeUrl(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/').replaceAll("'", '%27')
}
