import type { PyramidInfo, RefusedSwap } from '../server/pyramid-api.js'
import type { Notices } from './notices.js'

/** What else to show: an id, or what the server shows. */
export type Choice = (id: string | undefined) => void

/** Tells which pyramid is shown now, and why it is not another one. */
export class SessionNotices {
  readonly #notices: Notices
  readonly #choose: Choice
  #lastRefusal = ''

  constructor(notices: Notices, choose: Choice) {
    this.#notices = notices
    this.#choose = choose
  }

  /** @param kept what is as it was: nothing where another part of the stage is looked at. */
  swapped(before: PyramidInfo, now: PyramidInfo, kept: { readonly view: boolean; readonly contrast: boolean }): void {
    const same = kept.contrast ? 'view and contrast kept' : 'view kept, contrast automatic'
    const what = kept.view ? `Same stage area: ${same}.` : 'Different stage area: fitted, contrast automatic.'
    const action = { label: 'Go back', run: () => this.#choose(before.id) }
    this.#notices.show({ kind: 'swap', icon: 'swap', text: `Now showing **${now.name}**. ${what}`, action })
  }

  /** @param shown what is shown instead. */
  refused({ tileDir, message, number }: RefusedSwap, shown: PyramidInfo | undefined): void {
    // Event stream and polling repeat the last refusal, and a server that was started anew counts from one again.
    const refusal = JSON.stringify([number, tileDir])
    if (refusal === this.#lastRefusal) return
    this.#lastRefusal = refusal
    const quoted = `"${tileDir}"`
    const reason = message.replace(message.includes(quoted) ? quoted : tileDir, `**${tileDir}**`)
    const still = shown ? ` Still showing ${shown.name}.` : ''
    const text = `Swap refused: ${reason}${still}`
    this.#notices.show({ kind: 'refused', icon: 'warning', text, stays: true, urgent: true })
  }

  gone(): void {
    const action = { label: 'Open current', run: () => this.#choose(undefined) }
    const text = 'This pyramid is not served any more.'
    this.#notices.show({ kind: 'gone', icon: 'warning', text, action, stays: true })
  }

  /** A link shows something else than the server does. */
  linked(shown: Pick<PyramidInfo, 'name'>, current: Pick<PyramidInfo, 'name'>): void {
    const text = `This link shows **${shown.name}**. The server now shows ${current.name}.`
    const action = { label: 'Follow the server', run: () => this.#choose(undefined) }
    this.#notices.show({ kind: 'linked', icon: 'warning', text, action, stays: true })
  }

  linkUnknown(): void {
    this.linkTold('This server does not have the pyramid of the link: have it opened here, then open the link again.')
  }

  /** Something of a link is not as it says. */
  linkTold(text: string): void {
    this.#notices.show({ kind: 'link', icon: 'warning', text })
  }

  trouble(text: string, stays = false): void {
    this.#notices.show({ kind: 'trouble', icon: 'warning', text, stays })
  }

  /** A pyramid was opened: what was said of the one before does not hold any more. */
  opened(isFirst: boolean): void {
    this.#notices.dismiss('damage')
    this.#notices.dismiss('gone')
    this.#notices.dismiss('linked')
    this.#notices.dismiss('trouble')
    if (!isFirst) this.#notices.dismiss('refused')
  }
}
