import type { ContrastControl } from '../contrast/contrast-control.js'
import type { SessionNotices } from '../frame/session-notices.js'
import type { Workspace } from '../frame/workspace.js'
import type { Slice } from '../picture/look.js'
import type { Picture } from '../picture/picture.js'
import type { PyramidInfo } from '../server/pyramid-api.js'
import type { Tools } from '../tools/tools.js'
import { brokenNames, contrastOfLink, type ReadLink, type SeenState, seenChannels } from './permalink.js'

/** The parts of the page that a link speaks of. */
export interface LinkedParts {
  readonly picture: Picture
  readonly contrast: ContrastControl
  readonly tools: Tools
  readonly workspace: Workspace
  readonly notices: SessionNotices
}

/** Between what the page shows and what a link says of it. */
export class LinkedView {
  readonly #parts: LinkedParts
  /** What a link asks for, until it is shown. */
  #asked: SeenState | undefined

  constructor(parts: LinkedParts) {
    this.#parts = parts
  }

  /** What a link to what is seen has to say. */
  seen({ id, version }: PyramidInfo, { zPlane, timePoint }: Slice): SeenState {
    const { picture, contrast, tools, workspace } = this.#parts
    return {
      id,
      version,
      view: picture.view,
      slice: { zPlane, timePoint },
      contrast: { ...contrast.state, channels: seenChannels(contrast.state) },
      tools: tools.state,
      dockOpen: workspace.dockOpen,
    }
  }

  /** Remember what a link asks for. */
  ask({ state, broken }: ReadLink): void {
    const { notices, workspace } = this.#parts
    this.#asked = state
    if (broken.length > 0)
      notices.linkTold(`Parts of this link could not be read and were left out: ${brokenNames(broken)}.`)
    if (state.dockOpen !== undefined) workspace.openDock(state.dockOpen)
  }

  /** The pyramid of the link is not to be had. */
  forget(): void {
    this.#asked = undefined
  }

  /** The slice that the link asks for, if it is a link to this pyramid. */
  sliceOf(pyramid: PyramidInfo): Slice | undefined {
    return this.#isOf(pyramid) ? this.#asked?.slice : undefined
  }

  /** Show what the link asks for of a pyramid that is open, all but the slice; it is done with then. */
  show(pyramid: PyramidInfo): void {
    const asked = this.#isOf(pyramid) ? this.#asked : undefined
    this.#asked = undefined
    if (!asked) return
    const { picture, contrast, tools, notices } = this.#parts
    if (asked.view) picture.view = asked.view
    if (asked.contrast) contrast.restore(contrastOfLink(asked.contrast, contrast.state))
    if (asked.tools) tools.restore(asked.tools)
    if (asked.version !== undefined && asked.version !== pyramid.version)
      notices.linkTold('The version of this link no longer exists: this is the newest.')
  }

  #isOf({ id }: PyramidInfo): boolean {
    return this.#asked !== undefined && (this.#asked.id === undefined || this.#asked.id === id)
  }
}
