import { readdirSync, readFileSync } from 'node:fs'
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import type { ServerConfig } from '../../src/server/serve.js'
import { PLATE, tilestage } from '../run-cli.js'
import { buildSamplePlate, startSampleServer } from '../server/sample-server.js'
import { composePzf, plainMetadata, writeSeries } from '../sources/write-series.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const PAGE = new URL('../../docs/troubleshooting.md', import.meta.url)

interface Row {
  readonly sentence: string
  /** Of the reply, where the page names one. */
  readonly status: number | undefined
  /** What stands between its variable parts. */
  readonly pieces: readonly string[]
}

/** What the page says that the program says: the first column of its tables, but for the last one. */
const rows: Row[] = readFileSync(PAGE, 'utf8')
  .split('## What it does not say')[0]
  .split('\n')
  .flatMap(line => {
    const [, status, sentence] = /^\| (?:(\d{3}) )?`([^`]+)` \| /.exec(line) ?? []
    if (!sentence) return []
    // The dots of `#token=…` are the program's own.
    const pieces = sentence.split(/(?<!=)…/).map(piece => piece.trim())
    return [{ sentence, status: status ? Number(status) : undefined, pieces: pieces.filter(Boolean) }]
  })

function hasInOrder(text: string, pieces: readonly string[]): boolean {
  let from = 0
  return pieces.every(piece => {
    const at = text.indexOf(piece, from)
    from = at + piece.length
    return at >= 0
  })
}

/** Rows whose sentence was heard. */
const heard = new Set<Row>()

/** What the program said is on the page. */
function hear(t: Test, said: string, status?: number): void {
  const found = rows.filter(row => hasInOrder(said, row.pieces) && row.status === status)
  t.ok(found.length > 0, `on the page: ${said}`)
  for (const row of found) heard.add(row)
}

t.test('what a build says is on the page', async t => {
  const cwd = t.testdir({ empty: {}, notes: { 'read.me': 'mine' } })
  const series = (name: string, files: Record<string, unknown> = {}, metadata: Record<string, unknown> = {}): string =>
    writeSeries(join(cwd, name), [0, 1], { 'metadata.json': { ...plainMetadata, ...metadata }, ...files })
  series('a.pcs')
  series('b.pcs')
  series('placeless.pcs', { 'events.json': undefined })
  series('timeless.pcs', {}, { StartTime: undefined })
  series('unscaled.pcs', {}, { 'voxelsize.x': 0 })
  series('other.pcs', {}, { 'voxelsize.x': 2, 'voxelsize.y': 2 })
  series('bright.pcs', {}, { 'Camera.ADOffset': undefined })
  const cut = composePzf().subarray(0, 70)
  series('gap.pcs', { 'frame00001.pzf': cut })
  series('lost.pcs', { 'frame00000.pzf': cut, 'frame00001.pzf': cut })
  const build = async (args: string, status: number): Promise<void> => {
    const finished = await tilestage(['build', ...args.split(' '), '--progress', 'none'], { cwd })
    t.equal(finished.status, status, args)
    for (const said of finished.stderr.match(/(?<=^tilestage: ).*/gm) ?? []) {
      // The series whose pixel size is unknown says so twice.
      if (!said.includes('The pixel size is unknown')) hear(t, said)
    }
  }
  await build('*.psc --output p', 1)
  await build('none --output p', 1)
  await build('empty --output p', 1)
  await build('placeless.pcs --output p', 1)
  await build('timeless.pcs --output p', 1)
  await build('unscaled.pcs --output p', 1)
  await build('a.pcs other.pcs --output p', 1)
  await build('a.pcs b.pcs --output p', 1)
  await build('--channel x=a.pcs b.pcs --output p', 64)
  await build('bright.pcs --output bright', 0)
  await build('gap.pcs --output gap', 2)
  await build('lost.pcs --output lost', 1)
  await build('a.pcs --output p', 0)
  await build('a.pcs --output p --blend mean', 1)
  await build('b.pcs --output p', 1)
  await build('a.pcs --output notes', 1)
  await mkdir(join(cwd, 'locked'))
  await writeFile(join(cwd, 'locked/.tilestage-building'), '7 another-machine -\n')
  await build('a.pcs --output locked', 1)
  const { stdout } = await tilestage(['info', 'lost'], { cwd })
  hear(t, /not finished.*/.exec(stdout)?.[0] ?? stdout)
})

/** What the server answers to a request, whose Host header may be any. */
function ask(
  url: string,
  headers: Readonly<Record<string, string>> = {},
  method = 'GET',
  body = '',
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const form = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': String(body.length) }
    const sent = request(url, { method, headers: { ...headers, ...(body && form) } }, async reply => {
      let text = ''
      for await (const chunk of reply.setEncoding('utf8')) text += chunk
      resolve({ status: reply.statusCode ?? 0, text })
    })
    sent.on('error', reject).end(body)
  })
}

t.test('what the server says is on the page', async t => {
  const plate = await buildSamplePlate(t)
  const folder = dirname(plate)
  const start = (config: Partial<ServerConfig>) => startSampleServer(t, plate, config)
  const refusal = async (...asked: Parameters<typeof ask>): Promise<void> => {
    const { status, text } = await ask(...asked)
    hear(t, JSON.parse(text).message, status)
  }
  for (const config of [{ host: '0.0.0.0' }, { host: '203.0.113.9', roots: [folder] }, { pyramids: [PLATE] }]) {
    await start(config).then(
      () => t.fail('it started'),
      (error: Error) => hear(t, error.message),
    )
  }
  const token = { 'x-tilestage-token': 'secret' }
  const shared = await start({ host: '0.0.0.0', roots: [folder], token: 'secret', outputRoot: folder })
  const open = `http://127.0.0.1:${new URL(shared.address).port}/`
  await refusal(`${open}current`, { host: 'foreign.example' })
  await refusal(`${open}current`, {}, 'PUT', `tile_dir=${plate}`)
  await refusal(`${open}current`, { 'x-tilestage-token': 'wrong' }, 'PUT', `tile_dir=${plate}`)
  await refusal(`${open}current`, token, 'PUT', 'tile_dir=/etc')
  await refusal(`${open}builds`, token, 'POST', `series=${folder}&output=/etc/p`)
  const alone = await start({})
  await refusal(`${alone.address}current`, { origin: 'https://other.example' }, 'PUT', `tile_dir=${plate}`)
  await refusal(`${alone.address}builds`, {}, 'POST', 'series=a&output=b')
  const secret = await start({ isPrivate: true, token: 'secret' })
  await refusal(`${secret.address}current`)

  const damaged = join(folder, 'damaged')
  await cp(plate, damaged, { recursive: true })
  const shard = join(damaged, '0/c/0/0/0/0/0')
  const bytes = await readFile(shard)
  bytes[40] ^= 1
  await writeFile(shard, bytes)
  const hurt = await startSampleServer(t, damaged)
  await refusal(`${hurt.address}pyramids/${hurt.id}/tiles/7/0/0.bin`)
})

t.test('every other sentence of the page stands in the source', async t => {
  const sources = (folder: string): string[] =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter(name => /\.(ts|html)$/.test(name))
      .map(name => readFileSync(join(ROOT, folder, name), 'utf8'))
  const texts = [...sources('src'), ...sources('public'), readFileSync(join(ROOT, 'scripts/setup.cjs'), 'utf8')]
  t.ok(rows.length > 40)
  t.ok(heard.size > 25, `${heard.size} were heard`)
  for (const { sentence, pieces } of rows.filter(row => !heard.has(row))) {
    // What stands behind the last variable part may come from elsewhere: a full stop.
    const stopless = pieces.map(piece => piece.replace(/\.$/, ''))
    t.ok(
      texts.some(text => hasInOrder(text, stopless)),
      sentence,
    )
  }
})
