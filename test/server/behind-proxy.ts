import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What a proxy in front of the server does. */
export interface ProxyHabits {
  /** Path below which it shows the server, with a slash at both ends. */
  readonly prefix: string
  /** Whether it cuts the prefix off. */
  readonly strips: boolean
  /** Whether it holds an answer back until it has all of it. */
  readonly buffers: boolean
  /** Whether it says in `X-Forwarded-…` who asks, and for what. */
  readonly forwards: boolean
}

/**
 * A small proxy that passes the Host header on unchanged.
 *
 * @param elsewhere answers what is not below the prefix. @returns it, listening on a free port.
 */
export async function startProxy(
  backend: URL,
  habits: ProxyHabits,
  elsewhere: RequestListener = (_, reply) => reply.writeHead(404).end('not below the prefix'),
): Promise<Server> {
  const { prefix, strips, buffers, forwards } = habits
  const proxy = createServer((asked, reply) => {
    const { method, headers, url = '/', socket } = asked
    if (!url.startsWith(prefix)) return elsewhere(asked, reply)
    const forwarded = {
      'x-forwarded-for': `${headers['x-forwarded-for'] ?? '198.51.100.7'}, ${socket.remoteAddress}`,
      'x-forwarded-host': headers.host,
      'x-forwarded-proto': 'https',
    }
    const path = strips ? url.slice(prefix.length - 1) : url
    const passed = request(new URL(backend.origin), {
      method,
      path,
      headers: { ...headers, ...(forwards && forwarded) },
    })
    passed.on('response', answer => {
      const send = (): void => void reply.writeHead(answer.statusCode ?? 502, answer.headers)
      if (!buffers) {
        send()
        answer.pipe(reply)
        return
      }
      const parts: Buffer[] = []
      answer.on('data', part => parts.push(part))
      answer.on('end', () => {
        send()
        reply.end(Buffer.concat(parts))
      })
    })
    passed.on('error', () => reply.destroy())
    reply.on('close', () => passed.destroy())
    asked.pipe(passed)
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  return proxy
}

export function addressOf(server: Server): URL {
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
}

/** A server as it is seen through its proxy. */
export interface ProxiedServer {
  /** Of the proxy, with the prefix. */
  readonly url: URL
  /** The name by which browsers know the proxy. */
  readonly publicHost: string
  /** Where a change needs it. */
  readonly token?: string
  readonly prefix: string
  readonly buffers: boolean
  /** Folders of two pyramids; the first one is current. */
  readonly pyramids: readonly [string, string]
}

export interface Check {
  readonly says: string
  readonly isTrue: boolean
  /** What was found where it is not. */
  readonly found: string
}

interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

/** Ask with a Host header of one's own, which `fetch` does not allow. */
function ask(
  { url, publicHost }: ProxiedServer,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(new URL(path, url), { method, headers: { host: publicHost, ...headers }, agent: false })
    asked.on('error', reject)
    asked.on('response', async answer => {
      const parts: Buffer[] = []
      answer.on('data', part => parts.push(part))
      answer.on('error', reject)
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(parts) }),
      )
    })
    asked.end()
  })
}

/** The names of events that arrive, until the wanted one does or a time is over. */
async function listenFor({ url, publicHost, token }: ProxiedServer, wanted: string, ms: number): Promise<string[]> {
  const headers = { host: publicHost, ...(token && { 'x-tilestage-token': token }) }
  const asked = request(new URL('events', url), { headers, agent: false })
  let text = ''
  const names = (): string[] => [...text.matchAll(/^event: (.*)\n/gm)].map(match => match[1])
  asked.on('error', () => undefined)
  await new Promise<void>(resolve => {
    const tooLate = setTimeout(resolve, ms)
    asked.on('response', answer => {
      answer.on('error', () => undefined)
      answer.on('data', part => {
        text += part
        if (!names().includes(wanted)) return
        clearTimeout(tooLate)
        resolve()
      })
    })
    asked.end()
  })
  asked.destroy()
  return names()
}

/** Drive a server through its proxy as browsers, scripts and other sites would. */
export async function checkBehindProxy(proxied: ProxiedServer): Promise<Check[]> {
  const { publicHost, prefix, token, pyramids, buffers } = proxied
  const checks: Check[] = []
  const check = (says: string, isTrue: boolean, found: unknown): void =>
    void checks.push({ says, isTrue, found: String(found) })
  const own = { origin: `https://${publicHost}`, 'sec-fetch-site': 'same-origin' }
  const withToken: Record<string, string> = token === undefined ? {} : { 'x-tilestage-token': token }
  const setSource = (folder: string, headers: Record<string, string>): Promise<Answer> =>
    ask(proxied, `set_tile_source?tile_dir=${encodeURIComponent(folder)}`, headers)

  const page = await ask(proxied, './')
  check('the page loads', page.status === 200, page.status)
  const links = [...page.body.toString().matchAll(/(?:src|href)="([^"#]+)"/g)].map(match => match[1])
  const files = links.filter(link => !link.startsWith('data:'))
  check(
    'its files are named relative to it',
    files.length > 0 && files.every(file => !/^(\/|[a-z]+:)/.test(file)),
    files,
  )
  for (const file of files) {
    const { status } = await ask(proxied, file)
    check(`${file} loads`, status === 200, status)
  }

  const current = await ask(proxied, 'current')
  const { current: first } = JSON.parse(current.body.toString())
  const tile = await ask(proxied, `pyramids/${first?.id}/tiles/0/0/0.png`)
  const isImage = tile.status === 200 && tile.headers['content-type'] === 'image/png'
  check('a tile loads', isImage, `${tile.status} ${isImage ? '' : tile.body}`)
  const again = await ask(proxied, `pyramids/${first?.id}/tiles/0/0/0.png`, {
    'if-none-match': String(tile.headers.etag),
  })
  check('a tile that is known need not be sent again', again.status === 304, again.status)
  const docs = await ask(proxied, 'docs')
  const script = await ask(proxied, 'docs/start.js')
  check('the documentation loads', docs.status === 200 && script.status === 200, `${docs.status}, ${script.status}`)

  for (const [says, headers] of [
    ['of another site', { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }],
    ['of another site in an old browser', { origin: 'https://evil.example' }],
    ['of another port', { 'sec-fetch-site': 'same-site', origin: `https://${publicHost}:8443` }],
  ] as const) {
    const { status } = await setSource(pyramids[1], headers)
    check(`a change by a page ${says} is refused`, status === (token === undefined ? 403 : 401), status)
  }
  const foreign = await ask(proxied, 'current', { host: 'evil.example', 'x-forwarded-host': 'evil.example' })
  check('an unknown host name is refused', foreign.status === 403 || foreign.status === 404, foreign.status)
  if (token !== undefined) {
    const { status } = await setSource(pyramids[1], own)
    check('a change without the token is refused', status === 401, status)
  }

  const listening = listenFor(proxied, 'source', buffers ? 1500 : 60_000)
  const swap = await setSource(pyramids[1], { ...own, ...withToken })
  const target = new URL(String(swap.headers.location), new URL('set_tile_source', proxied.url))
  check('the page itself may change what is shown', swap.status === 303, `${swap.status} ${swap.body}`)
  check('it is led to the page below the prefix', target.pathname === prefix, swap.headers.location)
  const polled = JSON.parse((await ask(proxied, 'current')).body.toString()).current
  check('/current tells of the change', polled?.id !== undefined && polled.id !== first?.id, JSON.stringify(polled))
  const heard = await listening
  if (buffers) check('events are held back by the proxy, so pages ask /current instead', heard.length === 0, heard)
  else check('the event stream tells of the change', heard.includes('source'), heard)
  await setSource(pyramids[0], { ...own, ...withToken })
  return checks
}
