import { icon } from '../parts/icon.js'

/** What a notice is about: a later one of the same kind takes its place. */
export type NoticeKind =
  | 'swap'
  | 'refused'
  | 'lost'
  | 'polling'
  | 'damage'
  | 'gone'
  | 'trouble'
  | 'build'
  | 'link'
  | 'linked'
  | 'points'
  | 'items'
  | 'no-webgl'

export interface Notice {
  readonly kind: NoticeKind
  /** `**name**` is set in bold. */
  readonly text: string
  /** With `keepsNotice`, the notice stays until what it says no longer holds. */
  readonly action?: { readonly label: string; readonly run: () => void; readonly keepsNotice?: boolean }
  /** Asks for an answer: stays until it is closed or taken back. */
  readonly stays?: boolean
  /** Spoken at once. */
  readonly urgent?: boolean
  /** A share (0 … 1) of what is to be done is shown as a bar instead. */
  readonly icon: 'swap' | 'warning' | { readonly done: number }
}

const SHOWN_MS = 8000

/** Messages at the top of the picture, one at a time, newest first. They pause while pointer or focus is on them. */
export class Notices {
  readonly #root: HTMLElement
  #waiting: Notice[] = []
  #timer: number | undefined

  constructor(root: HTMLElement) {
    this.#root = root
    const pause = (): void => clearTimeout(this.#timer)
    root.addEventListener('pointerenter', pause)
    root.addEventListener('focusin', pause)
    root.addEventListener('pointerleave', () => this.#startTimer())
    root.addEventListener('focusout', () => this.#startTimer())
  }

  show(notice: Notice): void {
    this.#waiting = [notice, ...this.#waiting.filter(other => other.kind !== notice.kind)]
    this.#render()
  }

  /** Change what a notice that is shown says, e.g. a countdown, without speaking it again. */
  rephrase(kind: NoticeKind, change: Pick<Notice, 'text'> & Partial<Pick<Notice, 'icon'>>): void {
    this.#waiting = this.#waiting.map(notice => (notice.kind === kind ? { ...notice, ...change } : notice))
    const notice = this.#waiting[0]
    if (notice?.kind !== kind) return
    const words = this.#root.querySelector('.words')
    words?.setAttribute('aria-live', 'off')
    words?.replaceChildren(...styledWords(notice.text))
    if (typeof notice.icon === 'object') this.#root.firstElementChild?.replaceWith(progressBar(notice.icon.done))
  }

  /** Take back what no longer holds. */
  dismiss(kind: NoticeKind): void {
    const count = this.#waiting.length
    this.#waiting = this.#waiting.filter(notice => notice.kind !== kind)
    if (this.#waiting.length !== count) this.#render()
  }

  #render(): void {
    const notice = this.#waiting[0]
    clearTimeout(this.#timer)
    this.#root.hidden = !notice
    if (!notice) {
      this.#root.replaceChildren()
      return
    }
    this.#root.setAttribute('role', notice.urgent ? 'alert' : 'status')
    this.#root.dataset.kind = notice.kind
    const words = document.createElement('span')
    words.className = 'words'
    words.append(...styledWords(notice.text))
    const parts = [typeof notice.icon === 'string' ? icon(notice.icon) : progressBar(notice.icon.done), words]
    if (notice.action) {
      const { label, run, keepsNotice } = notice.action
      const button = document.createElement('button')
      button.className = 'button'
      button.textContent = label
      button.addEventListener('click', () => {
        if (!keepsNotice) this.dismiss(notice.kind)
        run()
      })
      parts.push(button)
    }
    const close = document.createElement('button')
    close.className = 'icon-button'
    close.setAttribute('aria-label', 'Close this notice')
    close.append(icon('close'))
    close.addEventListener('click', () => this.dismiss(notice.kind))
    parts.push(close)
    this.#root.replaceChildren(...parts)
    this.#startTimer()
  }

  #startTimer(): void {
    const notice = this.#waiting[0]
    clearTimeout(this.#timer)
    if (notice && !notice.stays) this.#timer = setTimeout(() => this.dismiss(notice.kind), SHOWN_MS)
  }
}

function progressBar(done: number): Element {
  const bar = document.createElement('div')
  bar.className = 'progress'
  const filled = document.createElement('i')
  filled.style.width = `${100 * done}%`
  bar.append(filled)
  return bar
}

function styledWords(text: string): Node[] {
  return text.split('**').map((part, index) => {
    if (index % 2 === 0) return document.createTextNode(part)
    const bold = document.createElement('b')
    bold.textContent = part
    return bold
  })
}
