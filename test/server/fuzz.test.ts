import { once } from 'node:events'
import { lstat, mkdtemp, readdir, rm } from 'node:fs/promises'
import { Agent, type OutgoingHttpHeaders, request } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { STATUS_OF } from '../../src/server/http/error-replies.js'
import { seededRandom } from '../seeded-random.js'
import { buildSamplePlate } from './sample-server.js'
import { errorLines, PAGE_FILES, startTestApp } from './test-app.js'

const SEED = 20_261_122

/** What a value of any parameter may look like. */
const VALUES: readonly string[] = [
  '',
  ' ',
  'NaN',
  'Infinity',
  '-1',
  '-0',
  '1.5',
  '1e999',
  '9'.repeat(300),
  '0x10',
  '2147483648',
  '99999999999999999999',
  'null',
  'true',
  '[]',
  '{"a":1}',
  '1,2,,3',
  ','.repeat(500),
  'ü☃😀',
  '\u0000',
  'a\r\nset-cookie: b',
  '%',
  '%zz',
  '__proto__',
  'constructor',
  '..',
  '../../../etc/passwd',
  '/etc/passwd',
  '//etc//passwd',
  '..\\..\\windows',
  'C:\\windows\\win.ini',
  '\\\\host\\share',
  'file:///etc/passwd',
  'http://127.0.0.1:1/',
  '<script>alert(1)</script>',
  "'; DROP TABLE tiles; --",
  '$(id)',
]

/** What may stand in a path in the place of a part, as it is. */
const PATH_PARTS: readonly string[] = [
  '..',
  '.',
  '%2e%2e',
  '%2e%2e%2f%2e%2e%2fetc%2fpasswd',
  '..%2f..%2fetc%2fpasswd',
  '%2fetc%2fpasswd',
  '%5c..%5c',
  '..;',
  '%00',
  '%',
  '%zz',
  '%E0%A4%A',
  '%c0%ae%c0%ae',
  '/',
  '//',
  '\\',
  '*',
  'x'.repeat(2000),
]

const BODIES: readonly { readonly type?: string; readonly body: string | Buffer }[] = [
  { type: 'application/json', body: '' },
  { type: 'application/json', body: '{' },
  { type: 'application/json', body: 'null' },
  { type: 'application/json', body: '[]' },
  { type: 'application/json', body: '[[[[1]]]]' },
  { type: 'application/json', body: '"text"' },
  { type: 'application/json', body: '{"__proto__":{"a":1}}' },
  { type: 'application/json', body: '{"constructor":{"prototype":{"a":1}}}' },
  { type: 'application/json', body: '['.repeat(8000) },
  { type: 'application/json', body: '{"url":{"a":1},"tile_dir":[1],"series":{},"x":[[]],"n":1e400}' },
  { type: 'application/json; charset=utf-16', body: Buffer.from('{"a":1}', 'utf16le') },
  { type: 'application/x-www-form-urlencoded', body: 'a'.repeat(20_000) },
  { type: 'application/x-www-form-urlencoded', body: '&=&==&%&%zz&a&a&__proto__=1&hasOwnProperty=2' },
  { type: 'application/x-www-form-urlencoded', body: Buffer.from([0xff, 0xfe, 0x00, 0x3d, 0x80]) },
  { type: 'text/csv', body: 'x,y\n1,2\n"unclosed' },
  { type: 'text/csv', body: '\u0000\u0000\u0000' },
  { type: 'text/csv', body: 'x,y\n'.concat('NaN,1e999\n'.repeat(200)) },
  { type: 'multipart/form-data; boundary=x', body: '--x\r\n\r\n--x--' },
  { type: 'application/octet-stream', body: Buffer.alloc(1000, 0xff) },
  { type: 'no type at all', body: 'x' },
  { body: 'x' },
]

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND']

interface Parameter {
  readonly name: string
  readonly in: 'path' | 'query'
  readonly schema: { readonly default?: unknown }
  readonly example?: unknown
}

interface Operation {
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: {
    readonly content: Record<
      string,
      { readonly schema?: { readonly properties?: Record<string, { example?: unknown }> } }
    >
  }
}

interface Answer {
  readonly status: number
  readonly type: string
  readonly text: string
}

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const plate = await buildSamplePlate(t)
t.testdir({ page: PAGE_FILES })
const stateFolder = await mkdtemp(join(tmpdir(), 'tilestage-'))
t.teardown(() => rm(stateFolder, { recursive: true }))
const server = await startTestApp(t, { pyramids: [plate], stateFolder })
const { app, registry } = server
await app.listen({ host: '127.0.0.1', port: 0 })
const { port } = app.server.address() as AddressInfo
const agent = new Agent({ keepAlive: true, maxSockets: 8 })
t.teardown(() => agent.destroy())
const [{ pyramid }] = registry.list()
const { paths } = app.swagger() as { paths: Record<string, Record<string, Operation>> }

/** Send just this target; of an answer that does not end, the head counts. */
function ask(method: string, path: string, headers: OutgoingHttpHeaders = {}, body?: string | Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request({ port, host: '127.0.0.1', method, path, headers, agent }, reply => {
      const { statusCode: status = 0 } = reply
      const type = String(reply.headers['content-type'] ?? '')
      if (type.startsWith('text/event-stream')) {
        resolve({ status, type, text: '' })
        reply.destroy()
        return
      }
      const parts: Buffer[] = []
      reply.on('data', part => parts.push(part))
      reply.on('end', () => resolve({ status, type, text: Buffer.concat(parts).toString() }))
      reply.on('error', reject)
    })
    asked.on('error', reject)
    asked.end(body)
  })
}

/** What is wrong with an answer, whatever was asked. */
function complaint({ status, type, text }: Answer, method: string): string | undefined {
  if (status < 400) return status >= 200 ? undefined : `status ${status}`
  if (status === 500) return `500: ${text}`
  if (method === 'HEAD') return undefined
  if (!type.startsWith('application/json')) return `an error of type ${type}`
  const { code, message, ...others } = JSON.parse(text)
  if (STATUS_OF[code as keyof typeof STATUS_OF] !== status) return `${code} with ${status}`
  if (Object.keys(others).length > 0) return `more than code and message: ${text}`
  if (typeof message !== 'string' || !/.[.!]$/s.test(message)) return `no sentence: ${message}`
  if (/\n\s+at |node_modules|\.[jt]s:\d/.test(message)) return `a stack: ${message}`
  if (message.includes(plate) || message.includes(stateFolder)) return `a path: ${message}`
  return undefined
}

/** Ask many things, a few at a time. @returns what was wrong, with what was asked. */
async function askAll(
  requests: Iterable<{ method: string; path: string; headers?: OutgoingHttpHeaders; body?: string | Buffer }>,
): Promise<{ readonly asked: number; readonly wrong: readonly string[] }> {
  const wrong: string[] = []
  let asked = 0
  const queue = requests[Symbol.iterator]()
  const worker = async (): Promise<void> => {
    for (let next = queue.next(); !next.done; next = queue.next()) {
      const { method, path, headers, body } = next.value
      asked++
      const answer = await ask(method, path, headers, body).catch((error: Error) => error)
      const problem = answer instanceof Error ? answer.message : complaint(answer, method)
      if (problem !== undefined)
        wrong.push(`${method} ${path.slice(0, 200)} ${String(body ?? '').slice(0, 80)}: ${problem}`)
    }
  }
  await Promise.all(Array.from({ length: 8 }, worker))
  return { asked, wrong }
}

/** Values that work, of a documented operation. */
function workingValue({ name, schema, example }: Parameter): string | undefined {
  if (name === 'id') return pyramid.id
  const value = example ?? schema.default ?? (name === 'file' ? '0.png' : undefined)
  return value === undefined ? undefined : String(value)
}

/** The target of an operation with some values in the place of those that work. */
function targetOf(
  path: string,
  { parameters = [] }: Operation,
  changed: Readonly<Record<string, string>> = {},
): string {
  const rawPath = parameters
    .filter(parameter => parameter.in === 'path')
    .reduce(
      (target, parameter) =>
        target.replace(`{${parameter.name}}`, () => changed[parameter.name] ?? workingValue(parameter) ?? '0'),
      path,
    )
  const query = parameters
    .filter(parameter => parameter.in === 'query')
    .map(parameter => [parameter.name, changed[parameter.name] ?? encode(workingValue(parameter))] as const)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${value}`)
  return query.length > 0 ? `${rawPath}?${query.join('&')}` : rawPath
}

function encode(value: string | undefined): string | undefined {
  return value === undefined ? undefined : encodeURIComponent(value)
}

const operations = Object.entries(paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
)

/** Every path below a folder with what tells of a change. */
async function everything(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const told = entries.map(async entry => {
    const path = join(entry.parentPath, entry.name)
    const { size, mtimeMs } = await lstat(path)
    return `${path} ${size} ${mtimeMs}`
  })
  return (await Promise.all(told)).sort()
}

const before = await everything(plate)

t.test('any value of any parameter of any route gets an answer that makes sense', async t => {
  const random = seededRandom(SEED)
  const known = new Set<string>()
  /** All of them for the first parameter of a name, a few for those that are read by the same code. */
  const some = (name: string, values: readonly string[]): readonly string[] => {
    if (known.has(name)) return values.filter(() => random() < 0.15)
    known.add(name)
    return values
  }
  function* requests() {
    for (const { path, method, operation } of operations) {
      yield { method, path: targetOf(path, operation) }
      for (const parameter of operation.parameters ?? []) {
        const { name } = parameter
        const escaped = VALUES.map(value => encodeURIComponent(value))
        const raw =
          parameter.in === 'path' ? PATH_PARTS : ['%', '%zz', '%00', '%E0%A4%A', `1&${name}=2`, `&${name}[]=1`]
        for (const value of some(name, [...escaped, ...raw])) {
          yield { method, path: targetOf(path, operation, { [name]: value }) }
        }
      }
    }
  }
  const { asked, wrong } = await askAll(requests())
  t.same(wrong, [])
  t.comment(`${asked} requests`)
})

t.test('any body of any kind gets an answer that makes sense', async t => {
  const random = seededRandom(SEED)
  function* requests() {
    for (const { path, method, operation } of operations) {
      if (!operation.requestBody && ['GET', 'HEAD', 'OPTIONS'].includes(method)) continue
      for (const { type, body } of BODIES) {
        yield { method, path: targetOf(path, operation), headers: type ? { 'content-type': type } : {}, body }
      }
      const fields = Object.values(operation.requestBody?.content ?? {}).flatMap(({ schema }) =>
        Object.keys(schema?.properties ?? {}),
      )
      for (const field of new Set(fields)) {
        for (const value of VALUES.filter(() => random() < 0.5)) {
          const form = {
            headers: { 'content-type': 'application/x-www-form-urlencoded' },
            body: `${field}=${encodeURIComponent(value)}`,
          }
          yield { method, path: targetOf(path, operation), ...form }
        }
        const json = {
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ [field]: [{ deep: [] }] }),
        }
        yield { method, path: targetOf(path, operation), ...json }
      }
    }
  }
  const { asked, wrong } = await askAll(requests())
  t.same(wrong, [])
  t.comment(`${asked} requests`)
})

t.test('other methods, odd headers and targets at random get an answer that makes sense', async t => {
  const random = seededRandom(SEED)
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]
  function* requests() {
    for (const { path, operation } of operations)
      for (const method of METHODS) yield { method, path: targetOf(path, operation) }
    for (const headers of [
      { range: 'bytes=-1' },
      { range: 'bytes=9-1,2-3' },
      { 'if-none-match': '*' },
      { 'if-none-match': '"'.repeat(5000) },
      { 'accept-encoding': 'gzip;q=NaN, \u00ff' },
      { 'last-event-id': '-1' },
      { authorization: 'Bearer' },
      { cookie: 'a=b' },
      { host: '127.0.0.1:99999' },
      { host: '' },
      { origin: 'null', 'sec-fetch-site': 'cross-site' },
      { 'x-forwarded-host': 'evil.example', 'x-forwarded-for': 'x'.repeat(1000) },
      { 'content-length': '5', 'content-type': 'application/json', expect: '100-continue' },
    ]) {
      const body = 'content-length' in headers ? '[1,2]' : undefined
      for (const { path, method, operation } of operations)
        if (!body || method !== 'GET') yield { method, path: targetOf(path, operation), headers, body }
    }
    const characters = [...'/.?&=%0123456789abcz\\*;:@~"\'<>{}[]|^`-_+,()!$#', 'pyramids', 'tiles', pyramid.id]
    for (let i = 0; i < 1000; i++) {
      const { path, method, operation } = pick(operations)
      const target = [...targetOf(path, operation)]
      for (let changes = 1 + random() * 4; changes > 0; changes--) {
        target.splice(1 + Math.floor(random() * target.length), random() < 0.5 ? 1 : 0, pick(characters))
      }
      yield { method, path: target.join('').slice(0, 4000) }
    }
  }
  const { asked, wrong } = await askAll(requests())
  t.same(
    wrong.filter(line => !line.includes('contains unescaped characters')),
    [],
  )
  t.comment(`${asked} requests`)
})

t.test('connections that are cut, slow, nonsense or given up leave nothing behind', async t => {
  const sockets: Socket[] = []
  const open = async (bytes: string): Promise<Socket> => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => undefined).on('data', () => undefined)
    await once(socket, 'connect')
    socket.write(bytes)
    sockets.push(socket)
    return socket
  }
  const head = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`
  const tile = (i: number): string => `/pyramids/${pyramid.id}/tiles/0/0/0.png?min=0&max=${1000 + i}`
  await ask('GET', tile(-1))
  await delay(100)
  collectGarbage()
  const memoryBefore = process.memoryUsage()

  for (const bytes of [
    'G',
    'GET / HTTP/1.1\r\nHost: localh',
    'POST /current HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf',
    'PUT /current HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    'PUT /current HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n',
    'GET / HTTP/9.9\r\n\r\n',
    'GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n',
    'GET / HTTP/1.1\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n',
    'GET /\u0000 HTTP/1.1\r\nHost: localhost\r\n\r\n',
    '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003',
    '\r\n'.repeat(1000),
  ]) {
    for (let i = 0; i < 5; i++) await open(bytes)
  }
  const slow = await Promise.all([...'abcdefgh'].map(() => open('')))
  for (const byte of head(tile(0)).slice(0, 20)) for (const socket of slow) socket.write(byte)
  for (let i = 0; i < 40; i++) {
    await open(Array.from({ length: 50 }, (_, j) => head(tile(50 * i + j))).join(''))
  }
  for (const socket of sockets) socket.destroy()

  const answer = await ask('GET', '/healthz')
  t.equal(answer.status, 200)
  const figure = async (name: string): Promise<number> => {
    const { text } = await ask('GET', '/metrics')
    return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1])
  }
  for (const name of [
    'tilestage_tiles_pending',
    'tilestage_reads_pending',
    'tilestage_pictures_waiting',
    'tilestage_pictures_drawing',
    'tilestage_event_listeners',
  ]) {
    while ((await figure(name)) > 0) await delay(20)
    t.equal(await figure(name), 0, name)
  }
  agent.destroy()
  while ((await new Promise(resolve => app.server.getConnections((_error, count) => resolve(count)))) !== 0)
    await delay(20)
  collectGarbage()
  const { heapUsed } = process.memoryUsage()
  t.ok(heapUsed - memoryBefore.heapUsed < 16 * 2 ** 20, `the heap grew by ${heapUsed - memoryBefore.heapUsed} bytes`)
})

t.test('after all this the server is as it was', async t => {
  t.same(await everything(plate), before, 'nothing was created or changed')
  t.equal((await ask('GET', `/pyramids/${pyramid.id}/tiles/0/0/0.png`)).status, 200)
  t.equal(registry.list().length, 1)
  t.same(errorLines(server), [])
})
