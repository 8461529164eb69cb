import {
  ApiError,
  type BuildEvent,
  type CurrentPyramid,
  type RefusedSwap,
  readCurrent,
  request,
  type TilesEvent,
} from './pyramid-api.js'
import type { RoiEvent } from './roi-api.js'

/**
 * How the page hears of swaps and growth: `live` by the event stream, `polling` where a proxy holds the stream back,
 * `checking` until one of them has answered, `lost` while the server does not answer at all.
 */
export type FeedState = 'checking' | 'live' | 'polling' | 'lost'

export interface FeedListener {
  /**
   * The current pyramid, told at the start and after every change.
   *
   * @param gapless whether all tile changes since the last call were told as well.
   */
  source(current: CurrentPyramid, gapless: boolean): void
  /** Tiles of a growing pyramid have changed. */
  tiles(changes: TilesEvent): void
  build(progress: BuildEvent): void
  /** The server is there; told every 2 s while the stream works. */
  beat(): void
  refused(swap: RefusedSwap): void
  /** The list of ROIs of a pyramid has changed. */
  rois(change: RoiEvent): void
  /**
   * @param retryAtMs while lost: when the next attempt is due, in `performance.now()` time.
   * @param refusal what the server said, where it is there and does not let this page read.
   */
  state(state: FeedState, retryAtMs?: number, refusal?: string): void
}

/** The server sends a beat every 2 s. */
const SILENCE_MS = 5000
const POLL_MS = 2000
/** Polls between two attempts to get the stream back. */
const POLLS_PER_ATTEMPT = 15
const FIRST_RETRY_MS = 2000
const LONGEST_RETRY_MS = 15000

/** Server-sent events, read with `fetch` because `EventSource` cannot send a token; falls back to polling and heals by itself. */
export class EventFeed {
  readonly #listener: FeedListener
  readonly #closing = new AbortController()
  /** Of the last event: the server sends what came after it when the stream is back. */
  #lastId: string | undefined
  /**
   * What was told since the last `source`: all, by this stream and those that it went on from; only the count of
   * changes; or not even that, since another process counts from nought again.
   */
  #told: 'all' | 'count' | 'nothing' = 'count'
  /** Why the server did not answer the last poll, where it said so. */
  #refusal: string | undefined
  #wake: () => void = () => {}

  constructor(listener: FeedListener) {
    this.#listener = listener
  }

  /** Follow the server until `close`. */
  async run(): Promise<void> {
    this.#listener.state('checking')
    let retryMs = FIRST_RETRY_MS
    while (!this.#closing.signal.aborted) {
      const wasLive = await this.#stream()
      if (this.#closing.signal.aborted) return
      this.#listener.state('checking')
      // A stream that worked and ended comes back at once; one that never spoke is held back by something.
      if (await this.#poll(wasLive ? 1 : POLLS_PER_ATTEMPT)) {
        retryMs = FIRST_RETRY_MS
        continue
      }
      this.#listener.state('lost', performance.now() + retryMs, this.#refusal)
      await this.#pause(retryMs)
      retryMs = Math.min(LONGEST_RETRY_MS, retryMs * 2)
    }
  }

  /** Do not wait for the next attempt. */
  tryNow(): void {
    this.#wake()
  }

  close(): void {
    this.#closing.abort()
    this.#wake()
  }

  /** Read events until the stream ends, fails, or is silent for too long. @returns whether there were any. */
  async #stream(): Promise<boolean> {
    let live = false
    const silence = new AbortController()
    let timer = setTimeout(() => silence.abort(), SILENCE_MS)
    const signal = AbortSignal.any([silence.signal, this.#closing.signal])
    try {
      const headers: HeadersInit = this.#lastId === undefined ? {} : { 'Last-Event-ID': this.#lastId }
      const reply = await request('events', { signal, cache: 'no-store', headers })
      const reader = reply.body?.pipeThrough(new TextDecoderStream()).getReader()
      let text = ''
      for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
        clearTimeout(timer)
        timer = setTimeout(() => silence.abort(), SILENCE_MS)
        if (!live) this.#listener.state('live')
        live = true
        const messages = (text + part.value).split(/\r?\n\r?\n/)
        text = messages.pop() ?? ''
        for (const message of messages) this.#dispatch(message)
      }
    } catch (error) {
      if (!isExpected(error)) throw error
    } finally {
      clearTimeout(timer)
    }
    return live
  }

  #dispatch(message: string): void {
    const lines = message.split(/\r?\n/)
    const fieldOf = (name: string): string =>
      lines
        .filter(line => line.startsWith(`${name}:`))
        .map(line => line.slice(name.length + 1).trim())
        .join('\n')
    const event = fieldOf('event')
    this.#lastId = fieldOf('id') || this.#lastId
    if (event === 'reset') this.#told = 'nothing'
    if (event === 'source') {
      const { changes, ...current } = JSON.parse(fieldOf('data')) as CurrentPyramid
      this.#listener.source(this.#told === 'nothing' ? current : { ...current, changes }, this.#told === 'all')
      this.#told = 'all'
    }
    if (event === 'tiles') this.#listener.tiles(JSON.parse(fieldOf('data')) as TilesEvent)
    if (event === 'build') this.#listener.build(JSON.parse(fieldOf('data')) as BuildEvent)
    if (event === 'beat') this.#listener.beat()
    if (event === 'rois') this.#listener.rois(JSON.parse(fieldOf('data')) as RoiEvent)
    if (event === 'refused') this.#listener.refused(JSON.parse(fieldOf('data')) as RefusedSwap)
  }

  /** Ask every 2 s, `times` times. @returns false once the server does not answer. */
  async #poll(times: number): Promise<boolean> {
    for (let polls = 0; polls < times && !this.#closing.signal.aborted; polls++) {
      if (polls > 0) await this.#pause(POLL_MS)
      try {
        const reply = await readCurrent(AbortSignal.timeout(SILENCE_MS))
        if (times > 1) this.#listener.state('polling')
        this.#listener.source(reply, false)
        if (reply.refused) this.#listener.refused(reply.refused)
      } catch (error) {
        if (!isExpected(error)) throw error
        this.#refusal = error instanceof ApiError && error.status < 500 ? error.message : undefined
        return false
      }
    }
    return true
  }

  #pause(ms: number): Promise<void> {
    return new Promise(resolve => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

/** Network failures, refusals and our own aborts; anything else is a bug. */
function isExpected(error: unknown): boolean {
  return error instanceof TypeError || error instanceof ApiError || error instanceof DOMException
}
