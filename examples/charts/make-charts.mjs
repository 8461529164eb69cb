// Charts that show the image behind each of their points: node make-charts.mjs --output charts
//
// Takes the marked places of the pyramid that a server shows (where there are none, spots that it finds), measures around each,
// and writes two pages, vega-lite.html and bokeh.html, with the libraries beside them. Pictures come from the server while
// somebody points at a dot; with --embed they are in the pages, and each page is one file for an e-mail.
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { vegaLiteSpec } from './vega-lite-spec.mjs'

const HELP = `node make-charts.mjs [--server http://127.0.0.1:8979/] [--pyramid ID] [--around 12,48] [--rows 200] [--embed] --output DIR

  --server   the server, and the address of the pictures in the pages
  --pyramid  by itself what the server shows
  --around   edges of the squares that are measured and shown, µm; of a pyramid with several channels the first one
  --rows     most dots; of more places, as many that are spread over the list
  --embed    each page is one file, with the pictures in it
`

const PICTURE_PX = 96
/** What is measured around a place if nobody says, px of full resolution. */
const USUAL_EDGES_PX = [48, 192]
const MOST_CHANNELS = 4
/** Requests at a time: what the pages' readers ask for goes first. */
const AT_ONCE = 4

/** Scripts of the pages, in their order. */
const LIBRARIES = {
  'vega-lite': [
    ['vega', 'build/vega.min.js'],
    ['vega-lite', 'build/vega-lite.min.js'],
    ['vega-embed', 'build/vega-embed.min.js'],
  ],
  bokeh: ['bokeh', 'bokeh-widgets', 'bokeh-api'].map(name => ['@bokeh/bokehjs', `build/js/${name}.min.js`]),
}

const here = dirname(fileURLToPath(import.meta.url))

/** What ends this with a sentence; `status` is that of an answer. */
class Refusal extends Error {
  constructor(message, status) {
    super(message)
    this.status = status
  }
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      server: { type: 'string', default: 'http://127.0.0.1:8979/' },
      pyramid: { type: 'string' },
      around: { type: 'string' },
      rows: { type: 'string', default: '200' },
      embed: { type: 'boolean', default: false },
      output: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    process.stdout.write(HELP)
    process.exit()
  }
  if (!values.output) throw new Refusal('--output is missing: the folder that the pages are written to.')
  if (!URL.canParse(values.server))
    throw new Refusal(`--server ${values.server} is no address; it is such as http://127.0.0.1:8979/.`)
  const around = values.around?.split(',').map(Number)
  if (around && !around.every(um => um > 0 && um < 1e9))
    throw new Refusal(`--around ${values.around} is not possible; it lists lengths above 0, such as 12,48.`)
  const rows = Number(values.rows)
  if (!Number.isInteger(rows) || rows < 1)
    throw new Refusal(`--rows ${values.rows} is not possible; it is a whole number above 0.`)
  return { ...values, around, rows, server: values.server.replace(/\/*$/, '/') }
}

/** Ask the server. @returns the answer. @throws {Refusal} it refuses, in its own words. */
async function ask(address, options = {}) {
  // On a shared host the token starts detectors, and reads what is private.
  const token = process.env.TILESTAGE_TOKEN
  const headers = token ? { 'X-Tilestage-Token': token } : {}
  const reply = await fetch(address, { ...options, headers }).catch(({ cause }) => {
    throw new Refusal(`${address} does not answer (${cause?.code}); start a server with: npx tilestage demo`)
  })
  if (reply.ok) return reply
  if (reply.status === 429) {
    await sleep(1000 * Number(reply.headers.get('retry-after')))
    return ask(address, options)
  }
  const text = await reply.text()
  throw new Refusal(`${address} is answered ${reply.status}: ${text}`, reply.status)
}

const askJson = async (address, options) => (await ask(address, options)).json()

/** The marked places of a pyramid, else spots that a detector finds; stage µm. */
async function findPlaces(pyramidUrl) {
  const { rois } = await askJson(`${pyramidUrl}/rois`)
  if (rois.length > 0) return rois.map(({ x, y, w = 0, h = 0 }) => ({ x: x + w / 2, y: y + h / 2 }))
  console.error('Nothing is marked; looking for spots …')
  const body = new URLSearchParams({ detector: 'log', level: '2', addRois: '0' })
  const { n } = await askJson(`${pyramidUrl}/detections`, { method: 'POST', body })
  for (;;) {
    const { state, message, locations } = await askJson(`${pyramidUrl}/detections/${n}`)
    if (state === 'done') return locations
    if (state === 'failed' || state === 'cancelled') throw new Refusal(`No spots were found: ${message ?? state}.`)
    await sleep(250)
  }
}

/** Of many, as many as are wanted, spread over all. */
function spread(all, most) {
  const count = Math.min(all.length, most)
  return Array.from({ length: count }, (_, i) => all[Math.floor((i * all.length) / count)])
}

/** What can be chosen: a measure with its pictures. Their addresses lack the corner, which each row has. */
function listMeasures({ id, version, channels, pixelSizeUm }, around) {
  const edges = around ?? USUAL_EDGES_PX.map(px => Number((px * pixelSizeUm.x).toPrecision(2)))
  const isOne = channels.length === 1
  const looks = isOne ? edges.map(um => [0, um]) : channels.slice(0, MOST_CHANNELS).map((_, i) => [i, edges[0]])
  return looks.map(([channel, um], i) => ({
    // Of the column that it has in the rows.
    key: `mean${i}`,
    name: isOne ? `${um} µm around` : channels[channel].name,
    ...{ channel, um },
    // Percentiles of the whole channel: all pictures have one scale.
    picture: `pyramids/${id}/crop.png?v=${version}&channel=${channel}&w=${um}&h=${um}&width=${PICTURE_PX}&height=${PICTURE_PX}&min=p0.1&max=p99.5`,
  }))
}

/** Corner of the square around a place, as in an address. */
const cornerOf = ({ x, y }, { um }) => `x=${x - um / 2}&y=${y - um / 2}`

/** The well that a place lies in. */
function wellAt({ wells, originUm, pixelSizeUm }, { x, y }) {
  const px = Math.round((x - originUm.x) / pixelSizeUm.x)
  const py = Math.round((y - originUm.y) / pixelSizeUm.y)
  return wells.find(({ x0, y0, x1, y1 }) => px >= x0 && px < x1 && py >= y0 && py < y1)?.name ?? '–'
}

const round = (value, digits) => Number(value.toFixed(digits))

/** @returns a row of the chart; undefined where nothing was imaged, or outside the mosaic. */
async function measure(pyramidUrl, pyramid, measures, found) {
  const place = { x: round(found.x, 2), y: round(found.y, 2) }
  const row = { ...place, well: wellAt(pyramid, place) }
  for (const one of measures) {
    const square = `${cornerOf(place, one)}&w=${one.um}&h=${one.um}&channel=${one.channel}`
    const { count, mean, sd } = await askJson(`${pyramidUrl}/stats?${square}`).catch(error => {
      if (error.status === 404) return { count: 0 }
      throw error
    })
    if (count === 0) return undefined
    row.spread ??= round(sd, 2)
    row[one.key] = round(mean, 2)
  }
  return row
}

/** Do something with each, a few at a time. */
async function mapSome(all, work) {
  const results = []
  let next = 0
  const takeTurns = async () => {
    while (next < all.length) {
      const i = next++
      results[i] = await work(all[i])
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, takeTurns))
  return results
}

/** Put the pictures themselves into the rows, a `…_picture` for each measure. */
async function embedPictures(server, rows, measures) {
  return mapSome(rows, async row => {
    const pictures = {}
    for (const one of measures) {
      const reply = await ask(`${server}${one.picture}&${cornerOf(row, one)}`)
      const bytes = Buffer.from(await reply.arrayBuffer())
      pictures[`${one.key}_picture`] = `data:image/png;base64,${bytes.toString('base64')}`
    }
    return { ...row, ...pictures }
  })
}

/** A file of a library that is installed here or where this is called. */
function libraryFile([name, file]) {
  const folders = [here, process.cwd()].flatMap(folder => createRequire(join(folder, 'x')).resolve.paths(name))
  const found = folders.map(folder => join(folder, name, file)).find(path => existsSync(path))
  if (found) return found
  throw new Refusal(`${name} is not installed here; npm install vega vega-lite vega-embed @bokeh/bokehjs brings it.`)
}

/** The page with its data and its libraries. */
function fillPage(name, data, isEmbedded) {
  const scripts = LIBRARIES[name].map(library => {
    if (!isEmbedded) return `<script src="lib/${library[1].split('/').at(-1)}"></script>`
    return `<script>${readFileSync(libraryFile(library), 'utf8').replaceAll('</script', '<\\/script')}</script>`
  })
  // A name with a tag in it stays a name.
  const json = JSON.stringify(data).replaceAll('<', '\\u003c')
  return readFileSync(join(here, `${name}.html`), 'utf8')
    .replace('<!-- libraries -->', () => scripts.join('\n'))
    .replace('null</script>', () => `${json}</script>`)
}

async function makeCharts() {
  const { server, around, embed, output, pyramid: named, rows: most } = readArguments()
  const libraries = Object.values(LIBRARIES).flat()
  libraries.forEach(libraryFile)
  const id = named ?? (await askJson(`${server}current`)).current?.id
  if (id === undefined) throw new Refusal(`${server} shows no pyramid; --pyramid names one.`)
  const pyramidUrl = `${server}pyramids/${encodeURIComponent(id)}`
  const pyramid = await askJson(pyramidUrl)
  const measures = listMeasures(pyramid, around)
  const places = spread(await findPlaces(pyramidUrl), most)
  const measured = await mapSome(places, place => measure(pyramidUrl, pyramid, measures, place))
  const seen = measured.filter(row => row !== undefined)
  if (seen.length === 0)
    throw new Refusal(`${pyramid.name} has nothing to chart: no place that was imaged is marked or was found.`)
  if (seen.length < places.length)
    console.error(`${places.length - seen.length} places were never imaged and are left out.`)
  const rows = embed ? await embedPictures(server, seen, measures) : seen
  // Counts spread evenly on a logarithmic scale, which signed values do not have.
  const isLog = rows.every(row => row.spread > 0 && measures.every(({ key }) => row[key] > 0))
  const scale = isLog ? 'log' : 'linear'
  const unit = pyramid.channels[0].unit ?? 'counts'
  const chart = { title: pyramid.name, server: embed ? null : server, unit, measures, rows, scale }

  mkdirSync(join(output, embed ? '.' : 'lib'), { recursive: true })
  if (!embed)
    for (const library of libraries) cpSync(libraryFile(library), join(output, 'lib', library[1].split('/').at(-1)))
  for (const [name, data] of [
    ['vega-lite', vegaLiteSpec(chart)],
    ['bokeh', chart],
  ]) {
    const page = fillPage(name, data, embed)
    writeFileSync(join(output, `${name}.html`), page)
    console.log(`${join(output, `${name}.html`)}: ${rows.length} dots, ${Math.ceil(Buffer.byteLength(page) / 1000)} kB`)
  }
}

try {
  await makeCharts()
} catch (error) {
  const isOurs = error instanceof Refusal || error.code?.startsWith('ERR_PARSE_ARGS')
  console.error(isOurs ? error.message : error)
  process.exitCode = 1
}
