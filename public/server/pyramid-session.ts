import { mergeCalls } from '../parts/merge-calls.js'
import { TileStore } from '../tiles/tile-store.js'
import {
  ApiError,
  type CurrentPyramid,
  type PlaneSelection,
  type PyramidInfo,
  type RefusedSwap,
  readCurrent,
  readPyramid,
  type TilesEvent,
} from './pyramid-api.js'

export interface SessionListener {
  /** Which planes of a pyramid are going to be shown. */
  planesOf(pyramid: PyramidInfo): readonly PlaneSelection[]
  /** Another pyramid, or another version of the same, is open. */
  opened(store: TileStore, before: PyramidInfo | undefined): void
  /** The server has no current pyramid. */
  empty(): void
  /** The pinned pyramid is not there any more. */
  gone(): void
  /** What a link names is shown; the server's current pyramid is another one. */
  linked(shown: PyramidInfo, current: CurrentPyramid['current']): void
  /** The server does not know what a link names; its current pyramid is going to be shown. */
  linkUnknown(): void
  /** A pyramid could not be opened for another reason. */
  failed(message: string): void
  /** A tile could not be read. */
  tileFailed(error: Error): void
  /** Tiles of the pyramid that is shown have newer versions. */
  grew(): void
  /** Frames were added to what is going to be in the pyramid that is shown: its wells and its coverage may be others. */
  replanned(store: TileStore): void
}

const PIN = 'pyramid'
/** The plan of a growing pyramid is read no more often than this. */
const REPLAN_EVERY_MS = 500

/** Which pyramid the page shows: the one that the address pins (`?pyramid=id`), else the server's current one. */
export class PyramidSession {
  readonly #listener: SessionListener
  readonly #catchUp = mergeCalls(() => this.#replan(), REPLAN_EVERY_MS)
  #store: TileStore | undefined
  /** Not shown yet, but tile changes concern it as well. */
  #opening: TileStore | undefined
  #current: CurrentPyramid['current'] = null
  #isCurrentKnown = false
  /** The pyramid that a link names, until the server's current one is known. */
  #linked: string | undefined
  /** The pyramid that is pinned because a link names it. */
  #pinnedByLink: string | undefined
  /** Of the server's current pyramid, as it was told last. */
  #changes: number | undefined
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
    this.#linked = undefined
    this.#setPin(id)
    await this.refresh()
  }

  #setPin(id: string | undefined): void {
    this.#pinnedByLink = undefined
    const url = new URL(location.href)
    if (id === undefined) url.searchParams.delete(PIN)
    else url.searchParams.set(PIN, id)
    // What it tells of another pyramid than the one that is going to be shown is over.
    if ((id ?? this.#current?.id) !== this.#store?.pyramid.id) url.hash = ''
    history.replaceState(history.state, '', url)
  }

  /** Show the pyramid that a link names: the server's current one is followed, any other is pinned. */
  async openLinked(id: string): Promise<void> {
    this.#linked = id
    if (!this.#isCurrentKnown) return
    this.#decideLinked()
    await this.refresh()
  }

  #decideLinked(): void {
    const linked = this.#linked
    this.#linked = undefined
    if (linked === undefined || linked === this.pinned) return
    const isCurrent = linked === this.#current?.id
    this.#setPin(isCurrent ? undefined : linked)
    if (!isCurrent) this.#pinnedByLink = linked
  }

  /**
   * Open the first pyramid without waiting for the event stream, which a proxy may hold back.
   *
   * @returns the last swap, if the server turned it down.
   */
  async start(): Promise<RefusedSwap | undefined> {
    try {
      const reply = await readCurrent()
      await this.follow(reply, false)
      return reply.refused ?? undefined
    } catch (error) {
      // The event feed finds out as well, says so, and tries again.
      if (!(error instanceof TypeError || error instanceof ApiError)) throw error
      return undefined
    }
  }

  /**
   * The server told its current pyramid.
   *
   * @param gapless whether all tile changes until now were told by `changed`.
   */
  async follow({ current, changes }: CurrentPyramid, gapless: boolean): Promise<void> {
    const known = this.#current
    // `changes` are those of the server's current pyramid, which need not be the one that is shown.
    const countTells = changes !== undefined && this.pinned === undefined
    const missed = !gapless && !(countTells && changes === this.#changes)
    this.#current = current
    this.#isCurrentKnown = true
    this.#changes = changes
    this.#decideLinked()
    for (const store of [this.#store, this.#opening]) if (store && missed) store.hasGap = true
    const shown = this.#store?.pyramid
    if (this.pinned === undefined && current) {
      if (shown && isSameVersion(shown, current)) return missed ? this.#catchUp() : undefined
      // The event stream repeats what is being opened.
      if (this.#isOpening && known && isSameVersion(known, current)) return
    }
    await this.refresh()
    if (this.#store?.hasGap) this.#catchUp()
  }

  /** Tiles of a growing pyramid have changed. */
  changed({ id, plan, shards }: TilesEvent): void {
    if (this.#opening?.pyramid.id === id) this.#opening.setVersions(shards)
    const store = this.#store
    if (store?.pyramid.id !== id) return
    store.setVersions(shards)
    this.#listener.grew()
    const isOfPlan = (plane: PlaneSelection): boolean => store.planOf(plane) === plan
    if (!this.#listener.planesOf(store.pyramid).every(isOfPlan)) this.#catchUp()
  }

  /** Of the server's current pyramid events tell that it is complete; any other has to be asked. */
  async lookAfterPinned(): Promise<void> {
    const shown = this.#store?.pyramid
    if (shown && !shown.complete && shown.id !== this.#current?.id) await this.refresh()
  }

  /** A builder has finished a pyramid. */
  built(id: string): void {
    if (this.#store?.pyramid.id === id) this.#catchUp()
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
      this.#opening = store
      await Promise.all(this.#listener.planesOf(pyramid).map(plane => store.prepare(plane)))
      if (!isNewest()) return
      if (this.#store) store.adopt(this.#store)
      this.#close()
      this.#store = store
      this.#opening = undefined
      this.#listener.opened(store, before)
      if (pinned !== undefined && pinned === this.#pinnedByLink) this.#listener.linked(pyramid, this.#current)
      this.#pinnedByLink = undefined
      if (store.hasGap) this.#catchUp()
    } catch (error) {
      if (!isNewest()) return
      const isUnknown = error instanceof ApiError && error.status === 404 && pinned !== undefined
      if (isUnknown && pinned === this.#pinnedByLink) {
        this.#setPin(undefined)
        this.#listener.linkUnknown()
        return this.#open(isNewest)
      }
      if (isUnknown) this.#listener.gone()
      else if (error instanceof ApiError) this.#listener.failed(error.message)
      // A server that does not answer is the event feed's matter; it calls `follow` when it is back.
      else if (!(error instanceof TypeError)) throw error
    }
  }

  /** Read what a growing pyramid is going to be, and what there is of it, as it is now. */
  async #replan(): Promise<void> {
    const store = this.#store
    if (!store || store.pyramid.complete) return
    try {
      const pyramid = await readPyramid(store.pyramid.id)
      if (!isSameVersion(pyramid, store.pyramid)) return await this.refresh()
      await store.replan(pyramid, this.#listener.planesOf(pyramid))
      if (store === this.#store) this.#listener.replanned(store)
    } catch (error) {
      // What is shown stays; the event feed finds out as well, and comes back to it.
      if (!(error instanceof TypeError || error instanceof ApiError)) throw error
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
