import { randomBytes } from 'node:crypto'

/** An event as it is sent. */
interface SentEvent {
  readonly number: number
  readonly name: string
  readonly text: string
  readonly bytes: number
}

/** Of these only the newest one counts. */
const STATES: readonly string[] = ['source', 'refused']

/**
 * The last events of this process, for listeners that were away for a moment. The id of an event is `EPOCH-NUMBER`:
 * the epoch is another one after every start of the server.
 */
export class EventReplay {
  readonly #epoch = randomBytes(6).toString('hex')
  readonly #maxEvents: number
  readonly #maxBytes: number
  #events: SentEvent[] = []
  #bytes = 0
  #number = 0

  constructor(maxEvents: number, maxBytes: number) {
    this.#maxEvents = maxEvents
    this.#maxBytes = maxBytes
  }

  /** Id of the newest event; of none, before the first one. */
  get lastId(): string {
    return `${this.#epoch}-${this.#number}`
  }

  /** Number an event and keep it. @returns what is to be sent. */
  add(name: string, data: unknown): string {
    this.#number++
    const text = encodeEvent(this.lastId, name, data)
    const bytes = Buffer.byteLength(text)
    this.#events.push({ number: this.#number, name, text, bytes })
    this.#bytes += bytes
    while (this.#events.length > this.#maxEvents || this.#bytes > this.#maxBytes)
      this.#bytes -= this.#events.shift()?.bytes ?? 0
    return text
  }

  /**
   * What was sent after an event, without what it would be wrong to show again.
   *
   * @param lastId as a listener presents it.
   * @returns undefined where that is not known: an event of another process, or of too long ago.
   */
  since(lastId: string): string[] | undefined {
    const [epoch, digits] = lastId.split('-')
    const oldest = this.#events[0]?.number ?? this.#number + 1
    if (epoch !== this.#epoch || !/^\d{1,15}$/.test(digits ?? '')) return undefined
    const number = Number(digits)
    if (number < oldest - 1 || number > this.#number) return undefined
    const missed = this.#events.filter(event => event.number > number)
    return missed.filter(event => isNewest(event, missed)).map(({ text }) => text)
  }
}

function isNewest(event: SentEvent, all: readonly SentEvent[]): boolean {
  return !STATES.includes(event.name) || event === all.findLast(({ name }) => name === event.name)
}

export function encodeEvent(id: string, name: string, data: unknown): string {
  return `event: ${name}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`
}
