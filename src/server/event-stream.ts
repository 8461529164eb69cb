import type { FastifyReply } from 'fastify'
import { RequestRefusal } from './request-refusal.js'

const MAX_LISTENERS = 1000

/** A page that hears nothing for 5 s takes the stream for blocked. */
const BEAT_EVERY_MS = 2000

/** A listener that lets this much pile up has gone away without saying so. */
const MAX_UNREAD_BYTES = 64 * 1024

/** Server-sent events to every open page. */
export class EventStream {
  readonly #listeners = new Set<FastifyReply['raw']>()
  readonly #maxListeners: number
  #beat: NodeJS.Timeout | undefined

  constructor(maxListeners = MAX_LISTENERS) {
    this.#maxListeners = maxListeners
  }

  get listenerCount(): number {
    return this.#listeners.size
  }

  /**
   * Take over a reply and keep it open.
   *
   * @param first events that this listener gets at once.
   * @throws {RequestRefusal} too many listen already.
   */
  connect(reply: FastifyReply, first: readonly { readonly name: string; readonly data: unknown }[]): void {
    if (this.#listeners.size >= this.#maxListeners) {
      throw new RequestRefusal(
        'TOO_MANY_LISTENERS',
        `${this.#maxListeners} pages listen already; ask /current instead.`,
      )
    }
    reply.hijack()
    const listener = reply.raw
    for (const [header, value] of Object.entries(reply.getHeaders()))
      if (value !== undefined) listener.setHeader(header, value)
    listener.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store, no-transform',
      connection: 'close',
      // nginx would hold events back until its buffer is full.
      'x-accel-buffering': 'no',
    })
    this.#listeners.add(listener)
    listener.once('close', () => this.#drop(listener))
    for (const { name, data } of first) listener.write(encode(name, data))
    this.#beat ??= setInterval(() => this.send('beat', {}), BEAT_EVERY_MS).unref()
  }

  /** Tell everybody. */
  send(name: string, data: unknown): void {
    const text = encode(name, data)
    for (const listener of this.#listeners) {
      if (listener.writableLength <= MAX_UNREAD_BYTES) listener.write(text)
      else {
        // At once, not at its `close` event: writing to a destroyed reply would throw.
        this.#drop(listener)
        listener.destroy()
      }
    }
  }

  /** End every stream, so that the server can close. */
  close(): void {
    for (const listener of this.#listeners) listener.end()
    this.#listeners.clear()
    this.#stopBeat()
  }

  #drop(listener: FastifyReply['raw']): void {
    this.#listeners.delete(listener)
    if (this.#listeners.size === 0) this.#stopBeat()
  }

  #stopBeat(): void {
    clearInterval(this.#beat)
    this.#beat = undefined
  }
}

function encode(name: string, data: unknown): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
}
