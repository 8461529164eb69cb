import { formatCount, formatDuration, formatNumber } from '../parts/number-format.js'
import type { BuildProgress } from '../server/pyramid-api.js'
import type { Notices } from './notices.js'

/** Says how far a build is, and at its end whether frames were left out. */
export class BuildNotice {
  readonly #notices: Notices
  /** Of the pyramid whose build was told: who closed the notice does not get it again. */
  #told: string | undefined

  constructor(notices: Notices) {
    this.#notices = notices
  }

  /** @param id of the pyramid. */
  show(id: string, { framesDone, framesTotal, secondsLeft }: BuildProgress): void {
    // A builder that is another process does not tell how far it is.
    if (framesDone === null || framesTotal === null) return
    const left = secondsLeft === null ? [] : [`${formatDuration(secondsLeft)} left`]
    const frames = `${formatNumber(framesDone)} of ${formatCount(framesTotal, 'frame')}`
    const text = ['Building', frames, ...left].join(' · ')
    const icon = { done: framesTotal > 0 ? framesDone / framesTotal : 0 }
    if (this.#told === id) this.#notices.rephrase('build', { text, icon })
    else this.#notices.show({ kind: 'build', icon, text, stays: true })
    this.#told = id
  }

  /** @param reason why the build ended before its pyramid was complete. */
  stop(reason: string): void {
    this.#told = undefined
    this.#notices.show({ kind: 'build', icon: 'warning', text: reason, stays: true })
  }

  /** @param frames of the finished pyramid; `undefined` where another one is shown now. */
  end(frames: { readonly used: number; readonly skipped: number } | undefined): void {
    if (this.#told === undefined) return
    this.#told = undefined
    this.#notices.dismiss('build')
    if (!frames?.skipped) return
    const total = formatCount(frames.used + frames.skipped, 'frame')
    const were = frames.skipped === 1 ? 'was' : 'were'
    const text = `Done. ${formatNumber(frames.skipped)} of ${total} ${were} skipped.`
    this.#notices.show({ kind: 'build', icon: 'warning', text, stays: true })
  }
}
