import { createHash } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { realpath } from 'node:fs/promises'
import type { FastifyBaseLogger } from 'fastify'
import { fromSystemError, NotFoundError, SourceUnavailableError, UnsupportedDataError } from '../../errors.js'
import type { BuildFeed, FeedProgress } from '../../pyramid/build-feed.js'
import { openPyramid } from '../../pyramid/open-pyramid.js'
import type { Growth, Pyramid } from '../../pyramid/pyramid.js'
import { readRecord } from '../../pyramid/pyramid-store.js'
import { readRootStamp } from '../../pyramid/root-stamp.js'
import { type BuildEvent, BuildProgressEvents } from '../events/build-progress-events.js'
import { TileChanges, type TilesEvent } from '../events/tile-changes.js'
import { ServedPyramid } from './served-pyramid.js'

/** Pyramids kept open for those who still hold their URLs, besides the named ones. */
const MAX_KEPT = 16

/** A root file is looked at no more often than this, a growing pyramid no more often than that. */
const CHECK_EVERY_MS = 1000
const CHECK_GROWTH_EVERY_MS = 250

/** Old versions remembered for each pyramid. */
const MAX_OVERWRITTEN = 64

/** What everybody looks at; `revision` grows with every change of it. */
export interface CurrentState {
  readonly current: { readonly id: string; readonly name: string; readonly version: string } | null
  readonly revision: number
  /** Grows with every change of the current pyramid's tiles. */
  readonly changes: number
}

/** A request to change the source that was not granted, for the banner in open pages. */
export interface Refusal {
  readonly tileDir: string
  readonly message: string
  /** Counts refusals, so that a page shows each once. */
  readonly number: number
}

/**
 * The pyramids that the server has open, and the one that everybody looks at.
 *
 * `events` tells of every change of the current one (`source`) and of every refused change (`refused`); of growing
 * pyramids also which tiles changed (`tiles`), and how far a build in this process is (`build`).
 */
export class PyramidRegistry {
  readonly events = new EventEmitter<{
    source: [CurrentState]
    refused: [Refusal]
    tiles: [TilesEvent]
    build: [BuildEvent]
  }>()
  readonly #log: FastifyBaseLogger
  readonly #openPyramid: (path: string) => Promise<Pyramid>
  readonly #served = new Map<string, ServedPyramid>()
  readonly #checks = new Map<ServedPyramid, Promise<void>>()
  /** Real path of the folder that goes by the id that its metadata says. A copy of it gets another one. */
  readonly #homes = new Map<string, string>()
  /** Builds in this process, by the real path of their folder. */
  readonly #feeds = new Map<string, BuildFeed>()
  #currentId: string | undefined
  #revision = 0
  #changes = 0
  #requests = 0
  /** Counts uses of pyramids. */
  #uses = 0
  /** Number of the request that the current pyramid was set by. */
  #setBy = 0
  #refusal: Refusal | undefined
  #refusals = 0

  constructor(log: FastifyBaseLogger, open: (path: string) => Promise<Pyramid> = openPyramid) {
    this.#log = log
    this.#openPyramid = open
  }

  get state(): CurrentState {
    const pyramid = this.#current?.pyramid
    return {
      current: pyramid ? { id: pyramid.id, name: pyramid.name, version: pyramid.version } : null,
      revision: this.#revision,
      changes: this.#changes,
    }
  }

  /** The last refusal, unless a later change was granted. */
  get refusal(): Refusal | undefined {
    return this.#refusal
  }

  get #current(): ServedPyramid | undefined {
    return this.#find(undefined)
  }

  #find(id = this.#currentId): ServedPyramid | undefined {
    return id === undefined ? undefined : this.#served.get(id)
  }

  list(): ServedPyramid[] {
    return [...this.#served.values()]
  }

  isCurrent(pyramid: Pyramid): boolean {
    return this.#current?.pyramid === pyramid
  }

  /** Open a pyramid that the server was started with; the first one becomes current. */
  async addNamed(path: string): Promise<void> {
    const served = await this.#open(path, true)
    if (this.#currentId === undefined) this.#makeCurrent(served)
  }

  /**
   * Show a pyramid while a build in this process makes it: what it finishes shows at once, what is looked at comes
   * first, and pages hear how far it is. As `addNamed`, it becomes current where there is none.
   *
   * @throws {UnsupportedDataError} the build has written no plan yet.
   */
  async attach(feed: BuildFeed): Promise<void> {
    let path = await realFolder(feed.directory)
    this.#feeds.set(path, feed)
    await this.addNamed(path).catch(error => {
      this.#feeds.delete(path)
      throw error
    })
    const served = (): ServedPyramid | undefined => this.#at(path)
    const progress = new BuildProgressEvents(served, event => this.events.emit('build', event))
    feed.on('shard', (entry, thumbnail) => {
      const growth = served()?.pyramid.growth
      if (thumbnail) growth?.offerThumbnail(entry, thumbnail)
      growth?.look().catch(error => this.#log.warn({ path, err: error }, 'growing pyramid not read'))
    })
    feed.on('progress', state => progress.collect(state))
    feed.on('finished', directory => {
      this.#finish(path, directory)
        .then(pyramid => {
          path = pyramid.path
          progress.finish(pyramid)
        })
        .catch(error => this.#log.warn({ path: directory, err: error }, 'finished pyramid not opened'))
    })
  }

  /** A build is done: open what it made, in the folder that it has now. */
  async #finish(before: string, directory: string): Promise<Pyramid> {
    const growing = this.#at(before)
    if (growing) await this.#check(growing)
    const path = await realFolder(directory)
    const there = this.#at(path)?.pyramid
    return there?.complete ? there : (await this.#open(path, true)).pyramid
  }

  #at(path: string): ServedPyramid | undefined {
    return this.list().find(({ pyramid }) => pyramid.path === path)
  }

  /** A request to show another pyramid came: those that come later win over it. */
  takeTurn(): number {
    return ++this.#requests
  }

  /**
   * Show another pyramid to everybody. It is opened first, so that a failure changes nothing; of two requests at the
   * same time the later one wins.
   *
   * @param path a real path, which the caller has judged.
   * @param turn of the request, where judging took its time.
   * @throws {UnsupportedDataError} the path became a link to some other place meanwhile.
   */
  async setCurrent(path: string, turn = this.takeTurn()): Promise<void> {
    const served = await this.#open(path, false)
    if (turn < this.#setBy) return
    this.#setBy = turn
    this.#refusal = undefined
    if (served !== this.#current) this.#makeCurrent(served)
    await this.#closeUnused()
  }

  /**
   * Show a pyramid that is open already to everybody.
   *
   * @throws {NotFoundError} there is none of that id.
   */
  showOpen(id: string): void {
    const served = this.#find(id)
    if (!served) throw notOpen()
    this.#setBy = this.takeTurn()
    this.#refusal = undefined
    if (served !== this.#current) this.#makeCurrent(served)
  }

  /** Open a pyramid and show it to nobody: it is listed, and its URLs are answered. */
  async add(path: string): Promise<Pyramid> {
    const growing = this.#at(path)
    if (growing?.pyramid.growth) await this.#check(growing)
    const served = await this.#open(path, false)
    served.lastUse = ++this.#uses
    await this.#closeUnused()
    return served.pyramid
  }

  /** Remember how far a build is that another process does. */
  setProgress(id: string, progress: FeedProgress): void {
    const served = this.#find(id)
    if (served) served.progress = progress
  }

  /** Remember that a change was refused, and tell open pages. */
  refuse(tileDir: string, message: string): void {
    this.#refusal = { tileDir, message, number: ++this.#refusals }
    this.events.emit('refused', this.#refusal)
  }

  /**
   * A pyramid that needs no look at the disk before it is used, the current one where `id` is undefined: for answers
   * that are ready in memory. Undefined where `use` has more to do.
   */
  atHand(id: string | undefined): ServedPyramid | undefined {
    const served = this.#find(id)
    if (served === undefined || isDue(served)) return undefined
    served.lastUse = ++this.#uses
    return served
  }

  /**
   * Do something with a pyramid, the current one where `id` is undefined. It is the newest version on disk, give or
   * take a second, and stays open meanwhile. Work that fails because the pyramid is being overwritten is done again
   * with the new version.
   *
   * @throws {NotFoundError} no such pyramid, or none is current.
   */
  async use<T>(id: string | undefined, work: (served: ServedPyramid) => Promise<T>): Promise<T> {
    const known = this.#find(id)
    if (known && isDue(known)) await this.#check(known)
    const served = this.#find(id)
    if (served === undefined) {
      if (id !== undefined) throw notOpen()
      throw new NotFoundError('No pyramid is shown yet; name one with /set_tile_source?tile_dir=….')
    }
    served.lastUse = ++this.#uses
    try {
      return await served.use(work)
    } catch (error) {
      if (!(error instanceof SourceUnavailableError)) throw error
      await this.#check(served)
      const newer = this.#find(id)
      if (newer === undefined || newer === served) throw error
      return newer.use(work)
    }
  }

  /** Look what became of the current pyramid and of those that grow, as often as it makes sense, and tell of it. */
  async checkDue(): Promise<void> {
    const watched = this.list().filter(served => served === this.#current || served.pyramid.growth)
    await Promise.all(watched.filter(isDue).map(served => this.#check(served)))
  }

  async close(): Promise<void> {
    const all = [...this.#served.values()]
    this.#served.clear()
    this.#currentId = undefined
    await Promise.all(all.map(served => served.retire()))
  }

  /** Open a pyramid, or find that the same version is open already. */
  async #open(path: string, named: boolean): Promise<ServedPyramid> {
    const stamp = await readRootStamp(path)
    const pyramid = named ? await this.#openPyramid(path) : await this.#openReal(path)
    await this.#tellApart(pyramid)
    const known = this.#served.get(pyramid.id)
    if (known && known.pyramid.path === pyramid.path && known.pyramid.version === pyramid.version) {
      await pyramid.close()
      return known
    }
    // Pages shall have heard of all that a growing one became before they hear of another version.
    await known?.pyramid.growth?.look().catch(error => this.#log.warn({ path, err: error }, 'growing pyramid not read'))
    return this.#serve(pyramid, stamp ?? '', named || known?.named === true)
  }

  /**
   * Give a copy of a pyramid an id of its own, the same each time, so that URLs of either never lead to the other. A
   * pyramid that was only moved keeps its id.
   */
  async #tellApart(pyramid: Pyramid): Promise<void> {
    const { id, path } = pyramid
    const home = this.#homes.get(id) ?? path
    if (home === path || !(await mayHold(home, id))) this.#homes.set(id, path)
    else pyramid.id = createHash('sha256').update(`${id} ${path}`).digest('hex').slice(0, 32)
  }

  /** Open a pyramid by its real path: a link that was put there since could lead out of the roots. */
  async #openReal(path: string): Promise<Pyramid> {
    const pyramid = await this.#openPyramid(path)
    if (pyramid.path === path) return pyramid
    await pyramid.close()
    throw new UnsupportedDataError(`${path} was replaced by a link while it was opened.`, { url: path })
  }

  /**
   * Put an opened pyramid in its place: that of its own older version, and of `replaced`, which lay in the same folder
   * and may have been another pyramid. Those are closed when their last user is done.
   */
  #serve(pyramid: Pyramid, stamp: string, named: boolean, replaced?: ServedPyramid): ServedPyramid {
    const older = this.#served.get(pyramid.id)
    const served = new ServedPyramid(pyramid, stamp, older ? overwrittenVersions(older, pyramid) : [], named)
    const outgoing = new Set([older, replaced].filter(one => one !== undefined))
    const wasCurrent = this.#current !== undefined && outgoing.has(this.#current)
    for (const old of outgoing) {
      this.#served.delete(old.pyramid.id)
      // Before the new version: what pages know then is what it shows.
      old.changes?.flush()
    }
    if (pyramid.growth) this.#follow(served, pyramid.growth, older)
    this.#served.set(pyramid.id, served)
    served.lastUse = ++this.#uses
    this.#log.info({ name: pyramid.name, path: pyramid.path, version: pyramid.version }, 'pyramid opened')
    if (wasCurrent) this.#makeCurrent(served)
    for (const old of outgoing) old.retire().catch(error => this.#log.warn({ err: error }, 'pyramid not closed'))
    return served
  }

  #follow(served: ServedPyramid, growth: Growth, older: ServedPyramid | undefined): void {
    const { pyramid } = served
    served.progress = older?.progress
    served.changes = new TileChanges(pyramid.id, growth, event => {
      if (this.isCurrent(pyramid)) this.#changes++
      this.events.emit('tiles', event)
    })
    const feed = this.#feeds.get(pyramid.path)
    if (feed) growth.onWanted = (selection, address) => feed.prioritise(selection, address)
  }

  #makeCurrent(served: ServedPyramid): void {
    this.#currentId = served.pyramid.id
    this.#revision++
    this.#log.info({ name: served.pyramid.name, revision: this.#revision }, 'source set')
    this.events.emit('source', this.state)
  }

  /** Everybody who asks meanwhile waits for the same look. */
  #check(served: ServedPyramid): Promise<void> {
    const running = this.#checks.get(served)
    if (running) return running
    const check = this.#reopenIfChanged(served).finally(() => {
      served.checkedAtMs = performance.now()
      this.#checks.delete(served)
    })
    this.#checks.set(served, check)
    return check
  }

  /** The old version stays where the new one cannot be opened: it may be half written, and the next look is near. */
  async #reopenIfChanged(served: ServedPyramid): Promise<void> {
    const { path, growth } = served.pyramid
    const stamp = await readRootStamp(path)
    let pyramid: Pyramid
    try {
      await growth?.look()
      if (stamp === undefined || stamp === served.stamp) return
      if (growth && !growth.hasEnded) {
        // Only the plan was extended.
        served.stamp = stamp
        return
      }
      pyramid = await this.#openReal(path)
      await this.#tellApart(pyramid)
    } catch (error) {
      if (served.failedStamp !== stamp) this.#log.warn({ path, err: error }, 'changed pyramid not opened')
      served.failedStamp = stamp
      return
    }
    const isReplaced = this.#served.get(served.pyramid.id) !== served
    if (isReplaced || pyramid.version === served.pyramid.version) {
      served.stamp = stamp
      await pyramid.close()
      return
    }
    this.#serve(pyramid, stamp, served.named, served)
  }

  /** Close those longest unused that nobody named and nobody reads. */
  async #closeUnused(): Promise<void> {
    const closable = [...this.#served.values()]
      .filter(served => !served.named && !served.isInUse && served !== this.#current)
      .sort((a, b) => a.lastUse - b.lastUse)
    for (const served of closable.slice(0, Math.max(0, closable.length - MAX_KEPT))) {
      this.#served.delete(served.pyramid.id)
      await served.retire()
    }
  }
}

function notOpen(): NotFoundError {
  return new NotFoundError('The server has no such pyramid open; /pyramids lists those that it has.')
}

/** Whether a folder still holds the pyramid of an id; also where that cannot be told just now. */
async function mayHold(folder: string, id: string): Promise<boolean> {
  try {
    return (await readRecord(folder))?.id === id
  } catch {
    return true
  }
}

async function realFolder(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (error) {
    throw fromSystemError(error, path)
  }
}

function isDue({ checkedAtMs, pyramid }: ServedPyramid): boolean {
  return performance.now() - checkedAtMs >= (pyramid.growth ? CHECK_GROWTH_EVERY_MS : CHECK_EVERY_MS)
}

/** Versions whose tiles no longer exist. Those of a pyramid that only grew still do: nothing of it was overwritten. */
function overwrittenVersions({ pyramid, overwritten }: ServedPyramid, newer: Pyramid): string[] {
  const hasGrown = !pyramid.complete && pyramid.lineage === newer.lineage
  const gone = hasGrown ? overwritten : [...overwritten, pyramid.version]
  return gone.filter(version => version !== newer.version).slice(-MAX_OVERWRITTEN)
}
