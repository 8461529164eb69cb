import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { parseArgsStringToArgv } from 'string-argv'
import t from 'tap'
import { PLATE } from '../run-cli.js'
import { buildSamplePlate, type SampleServer, startSampleServer } from './sample-server.js'

const PAGE = new URL('../../docs/http-api.md', import.meta.url)

/** What the page calls its server, a pyramid on its disk, and series to build from. */
const ADDRESS = 'http://127.0.0.1:8979/'
const SHOWN_PYRAMID = '/ssd/plate_07'
const SHOWN_SERIES = '/data/plate_07'

/** One command of the page: `curl … # STATUS`. */
interface Example {
  readonly command: string
  readonly method: string
  readonly path: string
  readonly status: number
}

async function readExamples(): Promise<Example[]> {
  const page = await readFile(PAGE, 'utf8')
  const blocks = [...page.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block.replaceAll('\\\n', ' '))
  return blocks.flatMap(block => block.split('\n').filter(line => line.startsWith('curl '))).map(parseExample)
}

/** @throws the line is not of the form that the page promises. */
function parseExample(line: string): Example {
  const [, command, status] = /^(curl .*?) +# (\d{3})$/.exec(line) ?? []
  if (!command) throw new Error(`docs/http-api.md: ${line} does not end in "# STATUS".`)
  const args = parseArgsStringToArgv(command)
  const url = args.find(arg => arg.startsWith(ADDRESS))
  if (!url) throw new Error(`docs/http-api.md: ${line} does not ask ${ADDRESS}.`)
  const named = args.indexOf('-X')
  const sendsBody = args.some(arg => /^(-d|--data.*|-F)$/.test(arg)) && !args.includes('-G')
  const method = named >= 0 ? args[named + 1] : args.includes('-I') ? 'HEAD' : sendsBody ? 'POST' : 'GET'
  return { command, method, path: new URL(url).pathname, status: Number(status) }
}

/** The arguments of curl with this server, pyramid and series in the place of the page's. */
function argumentsFor({ command }: Example, { address, id, plate }: SampleServer): string[] {
  const local = command
    .replaceAll(ADDRESS, address)
    .replaceAll(/\$ID|\$\{ID\}/g, id)
    .replaceAll('$TOKEN', 'secret')
    .replaceAll(SHOWN_PYRAMID, plate)
    .replaceAll(SHOWN_SERIES, PLATE)
  return parseArgsStringToArgv(local).slice(1)
}

/** Run curl, or do what it would. @returns the status; of a stream that does not end, too. */
async function statusOf(args: readonly string[], cwd: string): Promise<number> {
  const wanted = ['--silent', '--show-error', '--max-time', '5', '--write-out', '%{stderr}%{http_code}']
  try {
    const { stderr } = await promisify(execFile)('curl', [...wanted, ...args], {
      cwd,
      encoding: 'buffer',
      maxBuffer: 2 ** 28,
    })
    return Number(stderr.toString().slice(-3))
  } catch (error) {
    const { code, stderr } = error as { code?: unknown; stderr?: Buffer }
    if (code === 'ENOENT') return statusByFetch(args, cwd)
    const isUnending = args.includes('--max-time') && code === 28
    if (isUnending) return Number(/(\d{3})$/.exec(String(stderr))?.[1])
    throw new Error(`curl ${args.join(' ')}: ${stderr}`)
  }
}

/** What the page's options of curl mean, for machines without it. */
async function statusByFetch(args: readonly string[], cwd: string): Promise<number> {
  const headers = new Headers()
  const fields: string[] = []
  let url = new URL('http://unset.localhost')
  let method: string | undefined
  let isQuery = false
  for (let i = 0; i < args.length; i++) {
    const value = args[i + 1]
    switch (args[i]) {
      case '-X':
        method = value
        i++
        break
      case '-H':
        headers.append(value.split(':')[0], value.slice(value.indexOf(':') + 1).trim())
        i++
        break
      case '-d':
      case '--data-binary':
        fields.push(value.startsWith('@') ? await readFile(join(cwd, value.slice(1)), 'utf8') : value)
        i++
        break
      case '--data-urlencode':
        fields.push(value.replace(/=.*/s, text => `=${encodeURIComponent(text.slice(1))}`))
        i++
        break
      case '-G':
        isQuery = true
        break
      case '-I':
        method = 'HEAD'
        break
      case '-o':
      case '--max-time':
        i++
        break
      default:
        if (args[i].startsWith('http')) url = new URL(args[i])
    }
  }
  const text = fields.join('&')
  if (isQuery) url.search = [url.search.slice(1), text].filter(Boolean).join('&')
  const sendsBody = fields.length > 0 && !isQuery
  if (sendsBody && !headers.has('content-type')) headers.set('content-type', 'application/x-www-form-urlencoded')
  const reply = await fetch(url, {
    method: method ?? (sendsBody ? 'POST' : 'GET'),
    headers,
    redirect: 'manual',
    ...(sendsBody && { body: text }),
  })
  await reply.body?.cancel()
  return reply.status
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
  const server = await startSampleServer(t, plate, { token: 'secret', outputRoot: cwd })
  for (const example of await readExamples()) {
    const args = argumentsFor(example, server)
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
  const examples = await readExamples()
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
