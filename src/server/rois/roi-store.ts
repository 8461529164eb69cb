import { EventEmitter } from 'node:events'
import { join } from 'node:path'
import type { FastifyBaseLogger } from 'fastify'
import { SourceUnavailableError, systemCode } from '../../errors.js'
import { whileLocked } from './lock-file.js'
import { EMPTY_LIST, type RoiList } from './roi-list.js'
import { readStateFile, setAside, stampOf, writeStateFile } from './roi-state-file.js'

/** A list changed: that of the pyramid `id`. */
export interface RoisEvent {
  readonly id: string
  readonly revision: number
  readonly count: number
}

/** A list in memory, and what is known of its file. */
interface HeldList {
  list: RoiList
  /** Of the file that holds `list`; undefined where none was found yet. */
  stamp: string | undefined
  /** The file lags behind: it could not be written. */
  isUnsaved: boolean
  /** Of a file that could neither be read nor set aside: it is left alone. */
  isKeptOut: boolean
  /** Settles when nobody works with the list any more. */
  idle: Promise<unknown>
}

/**
 * The ROI lists of all pyramids, each a file of the state folder.
 *
 * Changes of one list come one after the other, those of other servers with the same folder included, and each is on
 * disk before it is answered. A file that another server wrote meanwhile is read again. Where the disk takes nothing, lists live in memory and everything else goes on.
 */
export class RoiStore {
  readonly events = new EventEmitter<{ rois: [RoisEvent] }>()
  readonly #folder: string | undefined
  readonly #log: FastifyBaseLogger
  readonly #held = new Map<string, HeldList>()
  #hasWarned = false

  /** @param stateFolder of this program; made when something is kept in it. Undefined keeps everything in memory. */
  constructor(stateFolder: string | undefined, log: FastifyBaseLogger) {
    this.#folder = stateFolder === undefined ? undefined : join(stateFolder, 'rois')
    this.#log = log
  }

  /** The list of a pyramid; empty where nothing was ever marked. */
  read(pyramidId: string): Promise<RoiList> {
    return this.#inTurn(pyramidId, async held => {
      await this.#refresh(pyramidId, held)
      return held.list
    })
  }

  /**
   * Change the list of a pyramid.
   *
   * @param edit makes another list of the one that it is given, or returns that; it may throw.
   * @returns the list after the change.
   */
  change(pyramidId: string, edit: (list: RoiList) => RoiList): Promise<RoiList> {
    return this.#inTurn(pyramidId, async held => {
      const before = held.list
      const apply = async (): Promise<RoiList> => {
        await this.#refresh(pyramidId, held)
        const edited = edit(held.list)
        if (edited === held.list) return edited
        held.list = edited
        await this.#save(pyramidId, held)
        return edited
      }
      const list = await (this.#folder === undefined ? apply() : whileLocked(this.#path(pyramidId), apply))
      if (list === before) return list
      this.events.emit('rois', { id: pyramidId, revision: list.revision, count: list.rois.length })
      return list
    })
  }

  #inTurn<T>(pyramidId: string, work: (held: HeldList) => Promise<T>): Promise<T> {
    let held = this.#held.get(pyramidId)
    if (!held) {
      held = { list: EMPTY_LIST, stamp: undefined, isUnsaved: false, isKeptOut: false, idle: Promise.resolve() }
      this.#held.set(pyramidId, held)
    }
    const turn = held.idle.then(() => work(held))
    held.idle = turn.catch(() => undefined)
    return turn
  }

  /** Take what is on disk, where that is newer. */
  async #refresh(pyramidId: string, held: HeldList): Promise<void> {
    if (this.#folder === undefined || held.isUnsaved || held.isKeptOut) return
    const path = this.#path(pyramidId)
    try {
      const stamp = await stampOf(path)
      // What somebody deleted under us is still known, and is written anew with the next change.
      if (stamp === undefined || stamp === held.stamp) return
      held.list = await readStateFile(path)
      held.stamp = stamp
    } catch (error) {
      if (mayPass(error)) {
        throw new SourceUnavailableError('The list of ROIs cannot be read just now; try again.', { cause: error })
      }
      await this.#giveUpFile(path, held, error)
    }
  }

  async #giveUpFile(path: string, held: HeldList, reason: unknown): Promise<void> {
    try {
      const aside = await setAside(path)
      this.#log.warn({ path, aside, err: reason }, 'ROI list not readable, set aside')
    } catch (error) {
      held.isKeptOut = true
      this.#log.warn({ path, err: error }, 'ROI list neither readable nor movable, kept in memory')
    }
  }

  async #save(pyramidId: string, held: HeldList): Promise<void> {
    if (held.isKeptOut) return
    if (this.#folder === undefined) {
      this.#warnOnce('there is no folder for the state of this user')
      return
    }
    const path = this.#path(pyramidId)
    try {
      await writeStateFile(path, pyramidId, held.list)
      held.stamp = await stampOf(path)
      held.isUnsaved = false
    } catch (error) {
      held.isUnsaved = true
      this.#warnOnce(error)
    }
  }

  #warnOnce(reason: unknown): void {
    if (this.#hasWarned) return
    this.#hasWarned = true
    this.#log.warn({ folder: this.#folder, err: reason }, 'ROI lists are not saved, only kept in memory')
  }

  #path(pyramidId: string): string {
    // Ids are letters, digits, _ and -, whoever wrote the pyramid.
    return join(this.#folder!, `${pyramidId}.json`)
  }
}

/** Whether the file may be whole, and read by the next try: when too many files are open, say. */
function mayPass(error: unknown): boolean {
  const code = error instanceof SourceUnavailableError ? systemCode(error.cause) : undefined
  return code !== undefined && !['EACCES', 'EPERM', 'EISDIR'].includes(code)
}
