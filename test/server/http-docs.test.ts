import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { argumentsFor, readExamples, statusByFetch, statusOf } from '../docs/page-commands.js'
import { PLATE, tilestage } from '../run-cli.js'
import { unpackFixture } from '../unpack-fixture.js'
import { buildSamplePlate, type SampleServer, startSampleServer } from './sample-server.js'

const PAGE = new URL('../../docs/http-api.md', import.meta.url)

/** What the page calls its server. */
const ADDRESS = 'http://127.0.0.1:8979/'

/** What else the page names, and what it is here. */
function realThings({ address, id, plate }: SampleServer, stackId: string): Record<string, string> {
  return {
    [ADDRESS]: address,
    $STACK: stackId,
    $ID: id,
    '${ID}': id,
    $TOKEN: 'secret',
    '/ssd/plate_07': plate,
    '/data/plate_07': PLATE,
  }
}

/** Whether a path is one that a template such as `/pyramids/{id}` describes; `{*}` stands for any number of parts. */
function fits(path: string, template: string): boolean {
  const pattern = template.split(/(\{[^}]+\})/).map(part => {
    if (part === '{*}') return '.+'
    return part.startsWith('{') ? '[^/]+' : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  })
  return new RegExp(`^${pattern.join('')}$`).test(path)
}

const plate = await buildSamplePlate(t)

interface Operation {
  readonly summary?: string
  readonly tags?: readonly string[]
}

t.test('every command of the page gives the status that the page says', async t => {
  // What a command writes to a file (-o), another one may send.
  const cwd = await mkdtemp(join(tmpdir(), 'tilestage-'))
  t.teardown(() => rm(cwd, { recursive: true }))
  unpackFixture(cwd, 'quickdraw/octopus.ndjson')
  const stack = join(cwd, 'stack')
  const images = unpackFixture(cwd, 'quickdraw/octopus.npy')
  t.equal((await tilestage(['build', images, '--output', stack, '--progress', 'none'])).status, 0)
  const { id: stackId } = JSON.parse(await readFile(join(stack, 'zarr.json'), 'utf8')).attributes.tilestage
  const server = await startSampleServer(t, plate, { token: 'secret', outputRoot: cwd, pyramids: [plate, stack] })
  for (const example of await readExamples(PAGE, ADDRESS)) {
    const args = argumentsFor(example, realThings(server, stackId))
    t.equal(await statusOf(args, cwd), example.status, example.command)
    if (example.method === 'GET' && !args.includes('--max-time'))
      t.equal(await statusByFetch(args, cwd), example.status, `${example.command}, by fetch`)
  }
  t.same(
    server.log.filter(({ level }) => level >= 50),
    [],
  )
})

t.test('every route is documented, and has its command on the page; every command has its route', async t => {
  const server = await startSampleServer(t, plate)
  const document = (await (await fetch(`${server.address}openapi.json`)).json()) as {
    readonly paths: Record<string, Record<string, Operation>>
    readonly tags: { readonly name: string }[]
  }
  const examples = await readExamples(PAGE, ADDRESS)
  const page = await readFile(PAGE, 'utf8')
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  )
  for (const { path, method, operation } of operations) {
    t.ok(operation.summary && operation.tags, `${method} ${path} is documented`)
    t.ok(
      examples.some(example => example.method === method && fits(example.path, path)),
      `${method} ${path} has a command`,
    )
    for (const group of operation.tags ?? []) t.match(page, `\n## ${group}\n`)
  }
  for (const example of examples.filter(({ method }) => method !== 'HEAD')) {
    t.ok(
      operations.some(({ path, method }) => example.method === method && fits(example.path, path)),
      `${example.command} has a route`,
    )
  }
})
