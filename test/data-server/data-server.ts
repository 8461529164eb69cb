import {
  appendFileSync,
  createReadStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs'
import {
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeader,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join, posix } from 'node:path'
import { matchSegment } from '../../src/sources/cluster/glob-pattern.js'

/** A listing that did not come through this server stays as it was for so long. */
const LISTING_KEPT_MS = 30_000

const TYPES: Record<string, string> = {
  '.json': 'application/json',
  '.txt': 'text/plain',
  '.csv': 'text/csv',
  '.h5': 'application/x-hdf5',
}

const EXPLANATIONS: Record<number, string> = {
  404: 'Nothing matches the given URI',
  405: 'Specified method is invalid for this resource',
  500: 'Server got itself in trouble',
  501: 'Server does not support this operation',
}

/** What a server does instead of what it should. */
export type Fault =
  /** Never answers. */
  | { readonly kind: 'silence' }
  /** Sends so many bytes of the body, then nothing. */
  | { readonly kind: 'stall'; readonly afterBytes: number }
  /** Sends so many bytes of the body, then closes the connection. */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  /** Announces another length than it sends. */
  | { readonly kind: 'lie'; readonly extraBytes: number }
  /** Sends the first bytes of a file as if they were all, and says so or says no length. */
  | { readonly kind: 'half'; readonly bytes: number; readonly length: 'told' | 'untold' }
  /** Announces no length, and sends for ever. */
  | { readonly kind: 'endless' }
  | { readonly kind: 'status'; readonly status: number }
  /** Closes the connection without an answer. */
  | { readonly kind: 'drop' }
  | { readonly kind: 'redirect'; readonly to: string }
  /** A 200 with another body. */
  | { readonly kind: 'answer'; readonly body: string }
  | { readonly kind: 'slow'; readonly ms: number }

interface Trouble {
  readonly url: RegExp
  readonly fault: Fault
  times: number
}

export interface DataServerOptions {
  readonly port?: number
  /** The root as messages name it: PYME's server tells its clients where its disk is. */
  readonly shownRoot?: string
  /** Folders of series that HDF5 files are shown as, by the path of the file: `variants/a1.h5`. */
  readonly spools?: Readonly<Record<string, string>>
  /** For listings that are kept for half a minute, ms; undefined keeps none. */
  readonly clock?: () => number
}

/** A data server that answers as PYME's does (PYME.cluster.HTTPDataServer), and fails on demand. */
export class DataServerForTest {
  readonly root: string
  /** Requests so far, as `GET /path`. */
  readonly requests: string[] = []
  port = 0
  readonly #options: DataServerOptions
  readonly #listings = new Map<string, { readonly body: string; readonly at: number }>()
  #troubles: Trouble[] = []
  #server: Server | undefined

  private constructor(root: string, options: DataServerOptions) {
    this.root = root
    this.#options = options
  }

  static async start(root: string, options: DataServerOptions = {}): Promise<DataServerForTest> {
    const started = new DataServerForTest(root, options)
    started.port = options.port ?? 0
    await started.restart()
    return started
  }

  /** For `--cluster`. */
  get address(): string {
    return `127.0.0.1:${this.port}`
  }

  /** Close every connection, whatever is under way, and take no more. */
  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (!server) return
    const closed = new Promise(resolve => server.close(resolve))
    server.closeAllConnections()
    await closed
  }

  /** Listen again, on the same port. */
  async restart(): Promise<void> {
    const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
      this.requests.push(`${request.method} ${request.url}`)
      const fault = this.#takeFault(request.url ?? '')
      if (fault) this.#misbehave(fault, request, response)
      else this.#answer(request, response)
    })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.port, '127.0.0.1', resolve)
    })
    this.port = (server.address() as AddressInfo).port
    this.#server = server
  }

  /** Do something else with requests that match, so many times. */
  misbehave(url: RegExp, fault: Fault, times = Number.POSITIVE_INFINITY): void {
    this.#troubles.push({ url, fault, times })
  }

  /** From now on do what should be done. */
  behave(): void {
    this.#troubles = []
  }

  #takeFault(url: string): Fault | undefined {
    const trouble = this.#troubles.find(({ url: pattern, times }) => times > 0 && pattern.test(url))
    if (trouble) trouble.times--
    return trouble?.fault
  }

  #misbehave(fault: Fault, request: IncomingMessage, response: ServerResponse): void {
    const url = request.url ?? ''
    const file = (): Buffer => readFileSync(this.#pathOf(url))
    switch (fault.kind) {
      case 'silence':
        return
      case 'drop':
        request.socket.destroy()
        return
      case 'slow':
        setTimeout(() => this.#answer(request, response), fault.ms)
        return
      case 'status':
        this.#refuse(response, fault.status, 'Trouble')
        return
      case 'redirect':
        send(response, 301, [
          ['Content-Length', '0'],
          ['Location', fault.to],
        ])
        return
      case 'answer':
        this.#sendJson(request, response, fault.body)
        return
      case 'endless': {
        begin(response, 200, [['Content-type', 'application/octet-stream']])
        const more = (): void => {
          while (!response.destroyed && response.write(Buffer.alloc(64 * 1024)));
        }
        response.on('drain', more)
        more()
        return
      }
      case 'half': {
        const headers: Header[] = fault.length === 'told' ? [['Content-Length', String(fault.bytes)]] : []
        send(response, 200, headers, file().subarray(0, fault.bytes))
        return
      }
      case 'lie': {
        const bytes = file()
        begin(response, 200, [['Content-Length', String(bytes.length + fault.extraBytes)]])
        // Node holds back what goes beyond; the socket does not.
        response.flushHeaders()
        request.socket.write(bytes)
        return
      }
      case 'stall':
      case 'cut': {
        const bytes = file()
        begin(response, 200, [['Content-Length', String(bytes.length)]])
        response.write(bytes.subarray(0, fault.afterBytes), () => fault.kind === 'cut' && request.socket.destroy())
        return
      }
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = request.url ?? ''
    if (request.method === 'PUT') this.#put(request, response)
    else if (request.method !== 'GET' && request.method !== 'HEAD')
      this.#refuse(response, 501, `Unsupported method ('${request.method}')`)
    else if (url.startsWith('/__glob')) this.#sendMatches(request, response)
    else if (url === '/__status') this.#sendStatus(request, response)
    else this.#get(request, response)
  }

  #get(request: IncomingMessage, response: ServerResponse): void {
    const url = request.url ?? ''
    const path = this.#pathOf(url)
    const spooled = this.#spooled(url)
    if (spooled === null) this.#notFound(url, response)
    else if (typeof spooled === 'string') this.#sendJson(request, response, spooled)
    else if (spooled) this.#send(request, response, typeOf(url), spooled)
    else this.#getFile(request, response, path, statOf(path))
  }

  #getFile(request: IncomingMessage, response: ServerResponse, path: string, stats: Stats | undefined): void {
    const url = request.url ?? ''
    if (stats === undefined || (stats.isFile() && url.endsWith('/'))) this.#notFound(url, response)
    else if (stats.isFile()) this.#sendFile(request, response, path, stats)
    else if (url.endsWith('/')) this.#sendJson(request, response, this.#list(path))
    else
      send(response, 301, [
        ['Content-Length', '0'],
        ['Location', `${url}/`],
      ])
  }

  #notFound(url: string, response: ServerResponse): void {
    const shown = join(this.#options.shownRoot ?? this.root, cleanPath(url))
    this.#refuse(response, 404, `File not found - ${url}, [${shown}]`)
  }

  /** A file below a spool, or its listing as text; null where the spool has no such file, undefined outside of spools. */
  #spooled(url: string): Buffer | string | null | undefined {
    for (const [path, folder] of Object.entries(this.#options.spools ?? {})) {
      if (!url.startsWith(`/${path}/`)) continue
      const name = url.slice(path.length + 2)
      const frames = readdirSync(folder)
        .filter(each => each.endsWith('.pzf'))
        .sort()
      if (name === '') {
        return jsonOf(Object.fromEntries(['metadata.json', 'events.json', ...frames].map(each => [each, [0, 0]])))
      }
      if (name === 'events.json')
        return Buffer.from(JSON.stringify(JSON.parse(readFileSync(join(folder, name), 'utf8'))))
      return name === 'metadata.json' || frames.includes(name) ? readFileSync(join(folder, name)) : null
    }
    return undefined
  }

  #sendFile(request: IncomingMessage, response: ServerResponse, path: string, stats: Stats): void {
    const headers: Header[] = [
      ['Content-type', typeOf(path)],
      ['Content-Length', String(stats.size)],
      ['Last-Modified', stats.mtime.toUTCString()],
    ]
    begin(response, 200, headers)
    if (request.method === 'HEAD') response.end()
    else
      createReadStream(path)
        .on('error', () => response.destroy())
        .pipe(response)
  }

  #send(request: IncomingMessage, response: ServerResponse, type: string, body: Uint8Array): void {
    const headers: Header[] = [
      ['Content-type', type],
      ['Content-Length', String(body.length)],
    ]
    send(response, 200, headers, request.method === 'HEAD' ? undefined : body)
  }

  #sendJson(request: IncomingMessage, response: ServerResponse, text: string): void {
    this.#send(request, response, 'application/json; charset=utf-8', Buffer.from(text))
  }

  #refuse(response: ServerResponse, status: number, message: string): void {
    const shown = escapeHtml(message)
    const body = Buffer.from(
      `<!DOCTYPE HTML>\n<html lang="en">\n    <head>\n        <meta charset="utf-8">\n        <title>Error response</title>\n    </head>\n    <body>\n        <h1>Error response</h1>\n        <p>Error code: ${status}</p>\n        <p>Message: ${shown}.</p>\n        <p>Error code explanation: ${status} - ${EXPLANATIONS[status] ?? 'Trouble'}.</p>\n    </body>\n</html>\n`,
    )
    const headers: Header[] = [
      ['Content-Type', 'text/html;charset=utf-8'],
      ['Content-Length', String(body.length)],
    ]
    send(response, status, headers, body, message)
  }

  /** The listing of a folder: names in order, each with its type bits and its size. */
  #list(folder: string): string {
    const { clock } = this.#options
    const kept = this.#listings.get(folder)
    if (clock && kept && clock() - kept.at < LISTING_KEPT_MS) return kept.body
    const entries = readdirSync(folder)
      .sort()
      .flatMap((name): [string, [number, number]][] => {
        const path = join(folder, name)
        const stats = statOf(path)
        if (stats?.isFile()) return [[name, [name.endsWith('.h5') ? 6 : 0, stats.size]]]
        if (!stats) return []
        const within = readdirSync(path)
        const bits = 1 + (within.includes('metadata.json') ? 2 : 0) + (within.includes('events.json') ? 4 : 0)
        // Python counts the links of a folder to itself and to the one above.
        return [[`${name}/`, [bits, within.length + 2]]]
      })
    const body = jsonOf(Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1))))
    if (clock) this.#listings.set(folder, { body, at: clock() })
    return body
  }

  #sendMatches(request: IncomingMessage, response: ServerResponse): void {
    const pattern = new URL(request.url ?? '', 'http://localhost').searchParams.get('pattern')
    if (pattern === null) {
      request.socket.destroy()
      return
    }
    let paths = ['']
    for (const segment of pattern.split('/').filter(Boolean)) {
      const matches = matchSegment(segment)
      paths = paths.flatMap(path =>
        this.#namesIn(path)
          .filter(matches)
          .map(name => posix.join(path, name)),
      )
    }
    // Python does not sort either.
    this.#sendJson(request, response, jsonOf(paths.reverse()))
  }

  #namesIn(path: string): string[] {
    const folder = join(this.root, path)
    return statOf(folder)?.isDirectory() ? readdirSync(folder) : []
  }

  #sendStatus(request: IncomingMessage, response: ServerResponse): void {
    const status = {
      IPAddress: '127.0.0.1',
      BindAddress: ['127.0.0.1', this.port],
      Port: this.port,
      Protocol: '1.1',
      TestMode: false,
      ComputerName: 'pymebox',
      Disk: { total: 1e9, used: 4e8, free: 6e8 },
      Uptime: '0:02:04.184883',
      CPUUsage: [50],
      MemUsage: {},
      Network: {},
      GPUUsage: [],
      GPUMem: [],
    }
    this.#sendJson(request, response, jsonOf(status))
  }

  #put(request: IncomingMessage, response: ServerResponse): void {
    const url = request.url ?? ''
    const isAppended = url.startsWith('/__aggregate_txt/')
    const path = this.#pathOf(isAppended ? url.slice('/__aggregate_txt'.length) : url)
    const chunks: Buffer[] = []
    request.on('data', chunk => chunks.push(chunk))
    request.on('end', () => {
      const shown = join(this.#options.shownRoot ?? this.root, cleanPath(url))
      if (url.endsWith('/')) mkdirSync(path, { recursive: true })
      else if (existsSync(path) && !isAppended) {
        this.#refuse(response, 405, `File already exists ${shown}`)
        return
      } else {
        mkdirSync(dirname(path), { recursive: true })
        if (isAppended) appendFileSync(path, Buffer.concat(chunks))
        else writeFileSync(path, Buffer.concat(chunks))
        this.#listings.delete(dirname(path))
      }
      send(response, 200, [['Content-Length', '0']])
    })
  }

  #pathOf(url: string): string {
    return join(this.root, cleanPath(url))
  }
}

type Header = readonly [string, string]

function send(
  response: ServerResponse,
  status: number,
  headers: readonly Header[],
  body?: Uint8Array,
  reason?: string,
): void {
  begin(response, status, headers, reason)
  response.end(body)
}

/** Write the head as Python does: no header but its own, in its order. */
function begin(response: ServerResponse, status: number, headers: readonly Header[], reason?: string): void {
  const phrases: Record<number, string> = { 200: 'OK', 301: 'Moved Permanently' }
  response.removeHeader('Connection')
  response.sendDate = false
  const own: Header[] = [
    ['Server', 'SimpleHTTP/0.6 Python/3.11.2'],
    ['Date', new Date().toUTCString()],
  ]
  const flat: OutgoingHttpHeader[] = [...own, ...headers].flat()
  response.writeHead(status, reason ?? phrases[status] ?? 'Trouble', flat)
}

/** A path below the root: dots lead nowhere, escaped or not. */
function cleanPath(url: string): string {
  const segments = decodeURIComponent(url.replace(/\?.*$/, '')).split('/')
  return `/${segments.filter((segment, i) => segment !== '..' && segment !== '.' && (segment !== '' || i === segments.length - 1)).join('/')}`
}

function statOf(path: string): Stats | undefined {
  // A slash behind the name of a file is what makes Node throw.
  return statSync(path.replace(/\/$/, ''), { throwIfNoEntry: false })
}

function typeOf(path: string): string {
  return TYPES[posix.extname(path)] ?? 'application/octet-stream'
}

/** As PYME's server writes it: without spaces, slashes escaped. */
function jsonOf(value: unknown): string {
  return JSON.stringify(value).replaceAll('/', '\\/')
}

function escapeHtml(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#x27;' }
  return text.replace(/[&<>"']/g, character => entities[character] ?? character)
}
