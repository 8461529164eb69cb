import type { FastifyReply } from 'fastify'
import { RequestRefusal } from '../http/request-refusal.js'
import { EventReplay, encodeEvent } from './event-replay.js'

const MAX_LISTENERS = 1000

/** A page that hears nothing for 5 s takes the stream for blocked. */
const BEAT_EVERY_MS = 2000

/** Enough for a page whose laptop slept, or whose proxy cut the stream off; bursts of tile changes last a few seconds. */
const REPLAY_EVENTS = 1000
const REPLAY_BYTES = 64 * 1024

/** A listener that lets this much pile up has gone away without saying so. What is replayed at once fits in. */
const MAX_UNREAD_BYTES = 2 * REPLAY_BYTES

/** When an `EventSource` shall try again; our own page does by itself. */
const RETRY_MS = 2000

interface NamedEvent {
  readonly name: string
  readonly data: unknown
}

/**
 * Server-sent events to every open page. A listener that was away presents the id of the last event that it read and
 * gets what it missed; where that is not known any more it gets `reset`, after which everything is to be read anew.
 */
export class EventStream {
  readonly #listeners = new Set<FastifyReply['raw']>()
  readonly #maxListeners: number
  readonly #replay = new EventReplay(REPLAY_EVENTS, REPLAY_BYTES)
  #beat: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(maxListeners = MAX_LISTENERS) {
    this.#maxListeners = maxListeners
  }

  get listenerCount(): number {
    return this.#listeners.size
  }

  /**
   * Take over a reply and keep it open.
   *
   * @param state events that tell how things are, for a listener that begins anew.
   * @param lastId of the last event that the listener read, if it read any.
   * @throws {RequestRefusal} too many listen already, or the server is being stopped.
   */
  connect(reply: FastifyReply, state: readonly NamedEvent[], lastId?: string): void {
    if (this.#isClosed) throw new RequestRefusal('NOT_READY', 'The server is being stopped.')
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
    listener.write(`retry: ${RETRY_MS}\n\n${this.#welcome(state, lastId)}`)
    this.#beat ??= setInterval(() => this.#write(encodeEvent(this.#replay.lastId, 'beat', {})), BEAT_EVERY_MS).unref()
  }

  /** Tell everybody. */
  send(name: string, data: unknown): void {
    this.#write(this.#replay.add(name, data))
  }

  #welcome(state: readonly NamedEvent[], lastId: string | undefined): string {
    const missed = lastId === undefined ? undefined : this.#replay.since(lastId)
    if (missed) return missed.join('')
    const reset = lastId === undefined ? [] : [{ name: 'reset', data: {} }]
    return [...reset, ...state].map(({ name, data }) => encodeEvent(this.#replay.lastId, name, data)).join('')
  }

  #write(text: string): void {
    for (const listener of this.#listeners) {
      if (listener.writableLength <= MAX_UNREAD_BYTES) listener.write(text)
      else {
        // At once, not at its `close` event: writing to a destroyed reply would throw.
        this.#drop(listener)
        listener.destroy()
      }
    }
  }

  /** End every stream, and let no other one begin, so that the server can close. */
  close(): void {
    this.#isClosed = true
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
