import { keptByBrowser } from '../parts/kept.js'

/** One line of the keys dialog, and what it does. */
export interface KeyCommand {
  /** As in `KeyboardEvent.key` or `.code`; several keys may do the same. */
  readonly keys: readonly string[]
  /** `undefined`: with and without Shift. */
  readonly shift?: boolean
  /** With Ctrl, or the command key. */
  readonly control?: boolean
  /** Pages that were exported have no use for it. */
  readonly needsServer?: boolean
  /** As shown to people. */
  readonly label: string
  readonly does: string
  run(event: KeyboardEvent): void
}

const OFF_KEY = 'tilestage-keys-off'

export function keysEnabled(): boolean {
  return keptByBrowser.get(OFF_KEY) === undefined
}

export function enableKeys(enabled: boolean): void {
  if (enabled) keptByBrowser.remove(OFF_KEY)
  else keptByBrowser.set(OFF_KEY, '1')
}

/** What needs letters or arrows for itself. */
const OWN_KEYS = 'input, select, [role=slider], [role=menu], dialog'

/**
 * Run commands while the picture, or nothing at all, has the focus. Letters, digits and signs also act from buttons, which
 * have no use for them, so that one can go on with a key after a click.
 */
export function listenToKeys(picture: HTMLElement, commands: readonly KeyCommand[]): void {
  document.addEventListener('keydown', event => {
    const focused = document.activeElement
    const onPicture = focused === picture || focused === document.body || focused === null
    const here = onPicture || (event.key.length === 1 && event.key !== ' ' && !focused.closest(OWN_KEYS))
    const withControl = event.ctrlKey || event.metaKey
    if (!here || event.altKey || !keysEnabled()) return
    const command = commands.find(
      ({ keys, shift, control = false }) =>
        (keys.includes(event.key) || keys.includes(event.code)) &&
        (shift === undefined || shift === event.shiftKey) &&
        control === withControl,
    )
    if (!command) return
    event.preventDefault()
    command.run(event)
  })
}

/** The rows of the keys dialog. */
export function keyTable(commands: readonly KeyCommand[]): HTMLElement {
  const list = document.createElement('dl')
  for (const { label, does } of commands) {
    if (label === '') continue
    const term = document.createElement('dt')
    for (const key of label.split(' ')) {
      const cap = document.createElement('kbd')
      cap.textContent = key
      term.append(cap)
    }
    const meaning = document.createElement('dd')
    meaning.textContent = does
    list.append(term, meaning)
  }
  return list
}
