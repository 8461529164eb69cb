const COPIED_SHOWN_MS = 2000

/** Copy a text; the button reads "Copied" for 2 s where that worked. */
export async function copyText(text: string, button: HTMLButtonElement): Promise<void> {
  const label = button.textContent
  if (!(await copyToClipboard(text)) || label === 'Copied') return
  button.textContent = 'Copied'
  setTimeout(() => {
    button.textContent = label
  }, COPIED_SHOWN_MS)
}

/**
 * @returns whether it could be copied: browsers offer the clipboard to pages of this machine and of https alone, and to
 *   others, in most cases, a selection.
 */
export async function copyToClipboard(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return copySelection(text)
  }
}

function copySelection(text: string): boolean {
  const focused = document.activeElement
  const field = document.createElement('textarea')
  field.className = 'unseen'
  field.value = text
  // Behind an open dialog nothing can be selected.
  const room = focused?.closest('dialog') ?? document.body
  room.append(field)
  field.select()
  const copied = document.execCommand('copy')
  field.remove()
  if (focused instanceof HTMLElement) focused.focus()
  return copied
}
