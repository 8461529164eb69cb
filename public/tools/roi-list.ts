import { mergeCalls } from '../parts/merge-calls.js'
import { ApiError, type PointUm } from '../server/pyramid-api.js'
import {
  addRois,
  type Roi,
  type RoiEvent,
  type RoiReply,
  type RoiShape,
  readRois,
  removeRoi,
  renameRoi,
  replaceRois,
} from '../server/roi-api.js'
import type { UndoStack } from './undo-stack.js'

export interface RoiListener {
  changed(): void
  /** The server wants its token; `again` repeats what was refused. */
  refused(again: () => void): void
  failed(message: string): void
}

/** Events of other pages are followed no more often than this. */
const READ_EVERY_MS = 250

/** The list of ROIs that all pages and programs share, as far as this page knows it. */
export class RoiList {
  readonly #undo: UndoStack
  readonly #listener: RoiListener
  readonly #readSoon = mergeCalls(() => this.read(), READ_EVERY_MS)
  #pyramidId: string | undefined
  #revision = -1
  #rois: readonly Roi[] = []
  /** Centres of the ROIs, x and y in turn, µm. */
  #centres = new Float64Array()
  /** New ids of those that were removed and put back. */
  readonly #renewedIds = new Map<number, number>()
  /** One change after the other: each is made with the list that the one before left. */
  #queue: Promise<void> = Promise.resolve()

  constructor(undo: UndoStack, listener: RoiListener) {
    this.#undo = undo
    this.#listener = listener
  }

  get rois(): readonly Roi[] {
    return this.#rois
  }

  get centres(): Float64Array {
    return this.#centres
  }

  /** Turn to the list of a pyramid. */
  async open(pyramidId: string | undefined): Promise<void> {
    if (pyramidId === this.#pyramidId) return
    this.#pyramidId = pyramidId
    this.#revision = -1
    // Ids are those of one list: in another one they name other ROIs.
    this.#undo.forget(this)
    this.#renewedIds.clear()
    this.#set([])
    await this.read()
  }

  /** Somebody changed a list. */
  hear({ id, revision }: RoiEvent): void {
    // A change of our own is told as well, perhaps before its answer is here.
    void this.#queue.then(() => {
      if (id === this.#pyramidId && revision !== this.#revision) this.#readSoon()
    })
  }

  /** Ask for the list as it is. */
  async read(): Promise<void> {
    const id = this.#pyramidId
    if (id === undefined) return
    try {
      const { revision, rois } = await readRois(id)
      if (id !== this.#pyramidId || revision === this.#revision) return
      this.#revision = revision
      this.#set(rois)
    } catch (error) {
      // A server that does not answer is the event feed's matter; it calls again when it is back.
      if (!(error instanceof TypeError || error instanceof ApiError)) throw error
    }
  }

  /** The ROI whose centre is nearest to a point, within a radius. */
  nearest(point: PointUm, radiusUm: number): Roi | undefined {
    const centres = this.#centres
    let least = radiusUm * radiusUm
    let found = -1
    for (let i = 0; i < centres.length; i += 2) {
      const dx = (centres[i] as number) - point.x
      const dy = (centres[i + 1] as number) - point.y
      const distance = dx * dx + dy * dy
      if (distance > least) continue
      least = distance
      found = i / 2
    }
    return this.#rois[found]
  }

  /** @param shapes or a table as CSV. @returns those that were added. */
  add(shapes: readonly RoiShape[] | string): Promise<readonly Roi[]> {
    return this.#change(async id => {
      const added = await addRois(id, shapes)
      this.#follow(id, added, [...this.#rois, ...added.rois])
      this.#remember(id, () => this.#takeAway(added.rois))
      return added.rois
    })
  }

  remove(roi: Roi): void {
    void this.#change(async id => {
      const reply = await removeRoi(id, roi.id)
      const rest = this.#rois.filter(({ id: other }) => other !== roi.id)
      this.#follow(id, reply, rest)
      this.#remember(id, () => this.#putBack([roi]))
      return []
    })
  }

  rename(roi: Roi, name: string): void {
    void this.#change(async pyramidId => {
      const renamed = await this.#setName(pyramidId, roi.id, name)
      const before = roi.name ?? ''
      this.#remember(pyramidId, () => void this.#change(() => this.#setName(pyramidId, this.#idNow(roi), before)))
      return renamed
    })
  }

  /** Remove the ROI near a place, or add a point there. */
  toggle(point: PointUm, radiusUm: number): void {
    const near = this.nearest(point, radiusUm)
    if (near) this.remove(near)
    else void this.add([point])
  }

  clear(): void {
    const before = this.#rois
    void this.#change(async id => {
      this.#follow(id, await replaceRois(id, []), [])
      this.#remember(id, () => this.#putBack(before))
      return []
    })
  }

  async #setName(pyramidId: string, id: number, name: string): Promise<readonly Roi[]> {
    const reply = await renameRoi(pyramidId, id, name)
    const [renamed] = reply.rois
    const next = this.#rois.map(roi => (renamed && roi.id === id ? renamed : roi))
    this.#follow(pyramidId, reply, next)
    return reply.rois
  }

  #takeAway(rois: readonly Roi[]): void {
    void this.#change(async pyramidId => {
      const ids = new Set(rois.map(roi => this.#idNow(roi)))
      const rest = this.#rois.filter(({ id }) => !ids.has(id))
      const [id] = ids
      // A list that is replaced loses what others added meanwhile, so that is left to tables.
      const isOne = ids.size === 1 && id !== undefined
      this.#follow(pyramidId, await (isOne ? removeRoi(pyramidId, id) : replaceRois(pyramidId, rest)), rest)
      return []
    })
  }

  #putBack(rois: readonly Roi[]): void {
    void this.#change(async pyramidId => {
      const added = await addRois(pyramidId, rois)
      added.rois.forEach(({ id }, i) => {
        this.#renewedIds.set((rois[i] as Roi).id, id)
      })
      this.#follow(pyramidId, added, [...this.#rois, ...added.rois])
      return []
    })
  }

  /** The server never gives an id again, so what was put back has another one. */
  #idNow({ id }: Pick<Roi, 'id'>): number {
    const renewed = this.#renewedIds.get(id)
    return renewed === undefined ? id : this.#idNow({ id: renewed })
  }

  #remember(pyramidId: string, undo: () => void): void {
    if (pyramidId === this.#pyramidId) this.#undo.push(undo, this)
  }

  /** @param pyramidId whose list is changed: nothing is, once another one is shown. */
  #change(make: (pyramidId: string) => Promise<readonly Roi[]>, pyramidId = this.#pyramidId): Promise<readonly Roi[]> {
    const done = this.#queue.then(async () => {
      if (pyramidId === undefined || pyramidId !== this.#pyramidId) return []
      try {
        return await make(pyramidId)
      } catch (error) {
        if (error instanceof ApiError && error.status === 401)
          this.#listener.refused(() => void this.#change(make, pyramidId))
        else if (error instanceof ApiError) this.#listener.failed(error.message)
        else if (error instanceof TypeError) this.#listener.failed('The server does not answer; nothing was changed.')
        else throw error
        return []
      }
    })
    this.#queue = done.then(() => undefined)
    return done
  }

  /** @param rois the list after a change of ours, if nobody else changed it meanwhile. */
  #follow(pyramidId: string, { revision }: RoiReply, rois: readonly Roi[]): void {
    if (pyramidId !== this.#pyramidId) return
    if (revision !== this.#revision + 1) {
      this.#readSoon()
      return
    }
    this.#revision = revision
    this.#set(rois)
  }

  #set(rois: readonly Roi[]): void {
    this.#rois = rois
    this.#centres = new Float64Array(2 * rois.length)
    rois.forEach(({ x, y, w = 0, h = 0 }, i) => {
      this.#centres[2 * i] = x + w / 2
      this.#centres[2 * i + 1] = y + h / 2
    })
    this.#listener.changed()
  }
}
