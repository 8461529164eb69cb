import {
  ApiError,
  type CurrentPyramid,
  type PlaneSelection,
  type PyramidInfo,
  type RefusedSwap,
  readCurrent,
  readPyramid,
} from './pyramid-api.js'
import { TileStore } from './tile-store.js'

export interface SessionListener {
  /** Which plane of a pyramid is going to be shown. */
  planeOf(pyramid: PyramidInfo): PlaneSelection
  /** Another pyramid, or another version of the same, is open. */
  opened(store: TileStore, before: PyramidInfo | undefined): void
  /** The server has no current pyramid. */
  empty(): void
  /** The pinned pyramid is not there any more. */
  gone(): void
  /** A pyramid could not be opened for another reason. */
  failed(message: string): void
  /** A tile could not be read. */
  tileFailed(error: Error): void
}

const PIN = 'pyramid'

/** Which pyramid the page shows: the one that the address pins (`?pyramid=id`), else the server's current one. */
export class PyramidSession {
  readonly #listener: SessionListener
  #store: TileStore | undefined
  #current: CurrentPyramid['current'] = null
  /** Only the newest of several openings under way counts. */
  #openings = 0
  #isOpening = false

  constructor(listener: SessionListener) {
    this.#listener = listener
  }

  get store(): TileStore | undefined {
    return this.#store
  }

  get pinned(): string | undefined {
    return new URLSearchParams(location.search).get(PIN) ?? undefined
  }

  /** Show one pyramid whatever the server's current one is; `undefined` follows the server again. */
  async pin(id: string | undefined): Promise<void> {
    const url = new URL(location.href)
    if (id === undefined) url.searchParams.delete(PIN)
    else url.searchParams.set(PIN, id)
    history.replaceState(history.state, '', url)
    await this.refresh()
  }

  /**
   * Open the first pyramid without waiting for the event stream, which a proxy may hold back.
   *
   * @returns the last swap, if the server turned it down.
   */
  async start(): Promise<RefusedSwap | undefined> {
    try {
      const reply = await readCurrent()
      await this.follow(reply)
      return reply.refused ?? undefined
    } catch (error) {
      // The event feed finds out as well, says so, and tries again.
      if (!(error instanceof TypeError || error instanceof ApiError)) throw error
      return undefined
    }
  }

  /** The server told its current pyramid. */
  async follow({ current }: CurrentPyramid): Promise<void> {
    const known = this.#current
    this.#current = current
    const shown = this.#store?.pyramid
    if (this.pinned === undefined && current) {
      if (shown && isSameVersion(shown, current)) return
      // The event stream repeats what is being opened.
      if (this.#isOpening && known && isSameVersion(known, current)) return
    }
    await this.refresh()
  }

  /** Look again whether what should be shown is what is shown. */
  async refresh(): Promise<void> {
    const opening = ++this.#openings
    this.#isOpening = true
    try {
      await this.#open(() => opening === this.#openings)
    } finally {
      if (opening === this.#openings) this.#isOpening = false
    }
  }

  /** @param isNewest whether no other opening has begun since. */
  async #open(isNewest: () => boolean): Promise<void> {
    const pinned = this.pinned
    const id = pinned ?? this.#current?.id
    if (id === undefined) {
      this.#close()
      return this.#listener.empty()
    }
    try {
      const pyramid = await readPyramid(id)
      const before = this.#store?.pyramid
      if (!isNewest() || (before && isSameVersion(before, pyramid))) return
      const store = new TileStore(pyramid, error => this.#onTileFailure(error))
      await store.prepare(this.#listener.planeOf(pyramid))
      if (!isNewest()) return
      this.#close()
      this.#store = store
      this.#listener.opened(store, before)
    } catch (error) {
      if (!isNewest()) return
      if (error instanceof ApiError && error.status === 404 && pinned !== undefined) this.#listener.gone()
      else if (error instanceof ApiError) this.#listener.failed(error.message)
      // A server that does not answer is the event feed's matter; it calls `follow` when it is back.
      else if (!(error instanceof TypeError)) throw error
    }
  }

  #onTileFailure(error: Error): void {
    // The version that the tiles belong to was overwritten.
    if (error instanceof ApiError && error.status === 410) void this.refresh()
    else this.#listener.tileFailed(error)
  }

  #close(): void {
    this.#store?.close()
    this.#store = undefined
  }
}

type Version = Pick<PyramidInfo, 'id' | 'version'>

function isSameVersion(a: Version, b: Version): boolean {
  return a.id === b.id && a.version === b.version
}
