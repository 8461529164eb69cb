import { Agent, type IncomingMessage, request } from 'node:http'
import { systemCode } from '../../errors.js'
import type { DataServer } from './data-server.js'
import type { Patience } from './patience.js'
import { ServerFailure } from './server-failure.js'

/** Of one thread, to one server: PYME's servers take a thread for each connection. */
const CONNECTIONS = 8
const REDIRECTIONS = [301, 302, 307, 308]
const MAX_REDIRECTS = 3
/** A longer body that is not wanted costs more than another connection. */
const MAX_DROPPED_BYTES = 64 * 1024

/**
 * Connections are kept, as every request on a new one costs two more round trips. One agent a thread, for all series;
 * connections that are free keep no process alive. It goes straight to the servers, whatever proxy the environment names.
 */
const AGENT = new Agent({ keepAlive: true, maxSockets: CONNECTIONS, maxFreeSockets: CONNECTIONS })

/** What is wanted of an answer. */
export interface Wanted {
  /** A body of more bytes is refused, where it tells its length before memory is taken. */
  readonly maxBytes: number
  /** Memory for the body; a longer one is not read. Taken as it comes where there is none given. */
  readonly into?: Uint8Array
  /** How much of the body is enough; then the connection is closed. */
  readonly headBytes?: number
  /** Ask for the length alone. */
  readonly lengthOnly?: boolean
  readonly signal?: AbortSignal
}

/** A body that arrived whole, or the head of one. */
export interface Body {
  /** As the server said; undefined where it did not. */
  readonly length: number | undefined
  /** Undefined where the body is longer than `into`, or only its length was asked for. */
  readonly bytes: Uint8Array | undefined
}

/**
 * Ask one server once.
 *
 * @param path from the root, escaped, with its query.
 * @returns the body of a 200, exactly as long as the server said it is.
 * @throws {ServerFailure} and the signal's reason.
 */
export async function httpGet(server: DataServer, path: string, wanted: Wanted, patience: Patience): Promise<Body> {
  let asked = path
  for (let redirects = 0; ; redirects++) {
    const answer = await new Exchange(server, asked, wanted, patience).result
    if ('body' in answer) return answer.body
    if (redirects === MAX_REDIRECTS) throw new ServerFailure('lasting', server, 'redirects in a circle')
    asked = redirectedPath(server, asked, answer.redirectedTo)
  }
}

/** @throws {ServerFailure} it leads to another server: names from the network must not choose whom we ask. */
function redirectedPath(server: DataServer, path: string, location: string): string {
  const origin = `http://${server.host}:${server.port}`
  const base = origin + path
  if (URL.canParse(location, base)) {
    const target = new URL(location, base)
    if (target.origin === new URL(base).origin) return target.pathname + target.search
  }
  throw new ServerFailure('lasting', server, 'redirects to another server, which is not followed')
}

type Answer = { readonly body: Body } | { readonly redirectedTo: string }
type Outcome = Answer | ServerFailure

/** One request and its answer. */
class Exchange {
  readonly result: Promise<Answer>
  readonly #server: DataServer
  readonly #wanted: Wanted
  readonly #patience: Patience
  #resolve!: (answer: Answer) => void
  #reject!: (error: unknown) => void
  #request: ReturnType<typeof request> | undefined
  #isSettled = false
  #timer: NodeJS.Timeout | undefined
  #wholeTimer: NodeJS.Timeout | undefined
  #hasHead = false
  #length: number | undefined
  #received = 0
  /** Of a body for which no memory was given. */
  readonly #chunks: Uint8Array[] = []

  constructor(server: DataServer, path: string, wanted: Wanted, patience: Patience) {
    this.#server = server
    this.#wanted = wanted
    this.#patience = patience
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    if (wanted.signal?.aborted) this.#reject(wanted.signal.reason)
    else this.#send(path)
  }

  #send(path: string): void {
    const { host, port } = this.#server
    const method = this.#wanted.lengthOnly ? 'HEAD' : 'GET'
    const hostname = host.replace(/^\[|\]$/g, '')
    const sent = request({ agent: AGENT, hostname, port, path, method, headers: { Host: `${host}:${port}` } })
    this.#request = sent
    this.#wanted.signal?.addEventListener('abort', this.#abort)
    sent.on('socket', socket => {
      // Nobody is waited for before there is a connection to be had: the queue is ours.
      const { wholeMs, connectMs, headersMs } = this.#patience
      this.#wholeTimer = setTimeout(() => this.#fail(`took more than ${seconds(wholeMs)}`), wholeMs)
      const awaitHead = (): void => this.#await(headersMs, `did not answer within ${seconds(headersMs)}`)
      if (socket.connecting) {
        this.#await(connectMs, `took no connection within ${seconds(connectMs)}`)
        socket.once('connect', () => this.#isSettled || awaitHead())
      } else awaitHead()
    })
    sent.on('response', response => this.#receive(response))
    sent.on('error', error => {
      const isClosed = ['ECONNRESET', 'EPIPE'].includes(systemCode(error) ?? '')
      const isStale = sent.reusedSocket && isClosed && !this.#hasHead
      // The server had closed a connection that was kept. Every try uses one up, so this ends.
      if (isStale && !this.#isSettled) {
        this.#stopWaiting()
        this.#send(path)
      } else this.#fail(describeFailure(error), error)
    })
    sent.end()
  }

  #receive(response: IncomingMessage): void {
    this.#hasHead = true
    const { stallMs } = this.#patience
    this.#await(stallMs, `sent nothing more for ${seconds(stallMs)}`)
    response.on('error', error => this.#fail(describeFailure(error), error))
    const outcome = this.#judge(response)
    if (outcome) this.#drop(response, outcome)
    else {
      response.on('data', (chunk: Buffer) => this.#take(chunk))
      response.on('end', () => this.#finish(response.complete))
      response.on('close', () => this.#finish(response.complete))
    }
  }

  /** What there is to be said without the body; undefined where it is wanted. */
  #judge({ statusCode = 0, headers }: IncomingMessage): Outcome | undefined {
    const { location } = headers
    if (REDIRECTIONS.includes(statusCode) && location !== undefined) return { redirectedTo: location }
    if (statusCode !== 200) {
      const reason = statusCode === 404 ? 'does not have it' : `answered ${statusCode}`
      return this.#failure(kindOfStatus(statusCode), reason)
    }
    const encoding = headers['content-encoding']
    if (encoding !== undefined) {
      return this.#failure('lasting', `answered in the encoding ${encoding}, which nobody asked for`)
    }
    const { maxBytes, into, headBytes, lengthOnly } = this.#wanted
    const length = headers['content-length'] === undefined ? undefined : Number(headers['content-length'])
    if (lengthOnly) return { body: { length, bytes: undefined } }
    this.#length = length
    if (length === undefined) return undefined
    if (length > maxBytes && headBytes === undefined) {
      return this.#failure('too-long', `has ${length} bytes of it; up to ${maxBytes} are read`)
    }
    return into && length > into.length ? { body: { length, bytes: undefined } } : undefined
  }

  #take(chunk: Buffer): void {
    if (this.#isSettled) return
    this.#timer?.refresh()
    const { maxBytes, into, headBytes } = this.#wanted
    const at = this.#received
    this.#received += chunk.length
    const isFull = into !== undefined && this.#received > into.length
    if (into && !isFull) into.set(chunk, at)
    if (!into) this.#chunks.push(chunk)
    if (isFull) this.#cutOff({ body: { length: undefined, bytes: undefined } })
    else if (headBytes !== undefined && this.#received >= headBytes) {
      this.#cutOff({ body: { length: this.#length, bytes: this.#bytes().subarray(0, headBytes) } })
    } else if (this.#received > maxBytes) {
      this.#cutOff(this.#failure('too-long', `sent more than the ${maxBytes} bytes of it that are read`))
    }
  }

  #finish(isComplete: boolean): void {
    const isWhole = isComplete && (this.#length === undefined || this.#length === this.#received)
    if (isWhole) this.#settle({ body: { length: this.#length, bytes: this.#bytes() } })
    else this.#fail(`sent ${this.#received} of ${this.#length ?? 'unknown'} bytes and no more`)
  }

  #bytes(): Uint8Array {
    const { into } = this.#wanted
    if (into) return into.subarray(0, this.#received)
    return this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks)
  }

  /** Let a body go by that is not wanted: read to its end, the connection can be kept. PYME's tell the paths of its disk. */
  #drop(response: IncomingMessage, outcome: Outcome): void {
    const announced = Number(response.headers['content-length'] ?? 0)
    if (announced > MAX_DROPPED_BYTES && !this.#wanted.lengthOnly) this.#cutOff(outcome)
    let dropped = 0
    response.on('data', (chunk: Buffer) => {
      dropped += chunk.length
      if (dropped > MAX_DROPPED_BYTES) this.#cutOff(outcome)
    })
    response.on('end', () => this.#settle(outcome))
    response.on('close', () => this.#settle(outcome))
  }

  #await(ms: number, otherwise: string): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#fail(otherwise), ms)
  }

  readonly #abort = (): void => {
    if (this.#isSettled) return
    this.#request?.destroy()
    this.#isSettled = true
    this.#stopWaiting()
    this.#reject(this.#wanted.signal?.reason)
  }

  #failure(kind: ServerFailure['kind'], reason: string, cause?: unknown): ServerFailure {
    return new ServerFailure(kind, this.#server, reason, cause)
  }

  #fail(reason: string, cause?: unknown): void {
    this.#cutOff(this.#failure('passing', reason, cause))
  }

  /** Settle, and close the connection: what else comes is not read. */
  #cutOff(outcome: Outcome): void {
    if (this.#isSettled) return
    this.#settle(outcome)
    this.#request?.destroy()
  }

  #settle(outcome: Outcome): void {
    if (this.#isSettled) return
    this.#isSettled = true
    this.#stopWaiting()
    if (outcome instanceof ServerFailure) this.#reject(outcome)
    else this.#resolve(outcome)
  }

  #stopWaiting(): void {
    clearTimeout(this.#timer)
    clearTimeout(this.#wholeTimer)
    this.#wanted.signal?.removeEventListener('abort', this.#abort)
  }
}

function kindOfStatus(status: number): ServerFailure['kind'] {
  if (status === 404 || status === 410) return 'absent'
  const mayPass = (status >= 500 && status !== 501) || status === 408 || status === 429
  return mayPass ? 'passing' : 'lasting'
}

const REASONS: Record<string, string> = {
  ECONNREFUSED: 'refuses connections',
  ECONNRESET: 'closed the connection',
  EPIPE: 'closed the connection',
  EHOSTUNREACH: 'cannot be reached',
  ENETUNREACH: 'cannot be reached',
  ENOTFOUND: 'has a name that nobody knows',
  EAI_AGAIN: 'has a name that nobody knows just now',
}

function describeFailure(error: Error): string {
  const { code } = error as NodeJS.ErrnoException
  // Parse errors of Node's own kind.
  if (code?.startsWith('HPE_')) return 'sent what is no HTTP'
  return REASONS[code ?? ''] ?? `failed (${error.message})`
}

function seconds(ms: number): string {
  return `${ms / 1000} s`
}
