import { element } from '../parts/element.js'
import { enableKeys, type KeyCommand, keysEnabled, keyTable } from './keys.js'

/** The dialog that lists the keys and can switch them off. @returns opens it. */
export function keysDialog(dialog: HTMLDialogElement, commands: readonly KeyCommand[]): () => void {
  element(dialog, '.keys', HTMLElement).replaceWith(keyTable(commands))
  const letters = element(dialog, 'input', HTMLInputElement)
  letters.checked = keysEnabled()
  letters.addEventListener('change', () => enableKeys(letters.checked))
  // A click on the backdrop lands on the dialog itself.
  dialog.addEventListener('click', event => {
    if (event.target === dialog) dialog.close()
  })
  return () => dialog.showModal()
}
